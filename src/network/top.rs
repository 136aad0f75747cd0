//! A network's top: the classes that it tells apart, and what they are called.

use crate::error::{Error, Result};
use crate::network::base::Base;

impl Base {
    /// Names the outputs of the top.
    pub(crate) fn named(mut self, class_names: Vec<String>) -> Self {
        self.class_names = class_names;
        self
    }

    /// What an output of the top is called: "class 281" where nobody knows.
    pub(crate) fn class_name(&self, number: usize) -> String {
        let name = self.class_names.get(number).cloned();
        name.unwrap_or_else(|| format!("class {number}"))
    }

    /// The output of the top with this name, the first of two that share one (ImageNet's "crane" is a
    /// bird and a machine); "class 517" is understood always.
    pub(crate) fn class_number(&self, name: &str) -> Option<usize> {
        let by_number = || name.strip_prefix("class ")?.parse().ok();
        let found = self.class_names.iter().position(|known| known == name);
        found
            .or_else(by_number)
            .filter(|&number| number < self.num_outputs())
    }

    /// How many classes the top tells apart; 0 without one.
    pub(crate) fn num_outputs(&self) -> usize {
        match *self.output_shape() {
            [outputs] if self.has_top() => outputs,
            _ => 0,
        }
    }

    /// Refuses a base without its top; `call` is the function that a classifier has for the same.
    pub(crate) fn check_has_top(&self, call: &str) -> Result<()> {
        if self.num_outputs() > 0 {
            return Ok(());
        }
        Err(Error::Mismatch {
            what: "the network".into(),
            expected: "one with its top, which names classes".into(),
            found: format!("one that ends in {:?}", self.output_shape()),
            remedy: format!(
                "Use `lab.with_top(Architecture::Vgg16)?`, or `{call}` of a classifier, which \
                 `Classifier::new(&base, ..)` makes"
            ),
        })
    }
}
