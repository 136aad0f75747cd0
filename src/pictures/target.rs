//! [`Target`]: what pictures are labelled with, and so what a model of them answers.

use serde::{Deserialize, Serialize};

/// What pictures are labelled with, and so what a model of them answers. It decides the head's outputs, the loss
/// and the measure:
///
/// | | outputs | loss | measure |
/// | --- | --- | --- | --- |
/// | `Class` | sigmoid for two classes, softmax for more | cross-entropy | accuracy |
/// | `Labels` | a sigmoid for each label | binary cross-entropy, the mean over the labels | binary accuracy, threshold 0.5 |
/// | `Numbers` | as they are | mean squared error | mean absolute error, `mae` |
///
/// Keras: `class_mode` of `flow_from_dataframe`; fastai: `CategoryBlock`, `MultiCategoryBlock`, `RegressionBlock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[doc(alias(
    "class_mode",
    "CategoryBlock",
    "MultiCategoryBlock",
    "RegressionBlock",
    "multi_label",
    "regression"
))]
pub enum Target {
    /// One class of several: what class folders say.
    #[default]
    Class,
    /// Any number of labels, none too: a red square is `red` and `square`.
    Labels,
    /// A number or several, in units of one's own: an age, a price, the place of a nose.
    Numbers,
}

impl Target {
    /// What its names are names of, for people to read.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Labels => "label",
            Self::Numbers => "number",
        }
    }

    /// The same for more than one.
    pub(crate) fn nouns(self) -> &'static str {
        match self {
            Self::Class => "classes",
            Self::Labels => "labels",
            Self::Numbers => "numbers",
        }
    }

    /// How many names there must be at least.
    pub(crate) fn fewest_names(self) -> usize {
        match self {
            Self::Class => 2,
            Self::Labels | Self::Numbers => 1,
        }
    }
}
