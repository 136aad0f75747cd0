//! Variables that a reader has had and has no more, and why.

use std::collections::{BTreeMap, BTreeSet};

/// Where each variable that is gone went.
#[derive(Default)]
pub struct Gone {
    by_name: BTreeMap<String, Way>,
}

/// What became of a variable.
enum Way {
    /// Cell number so-and-so has taken it.
    Given(u64),
    /// All were lost in that cell.
    Lost(u64),
}

impl Gone {
    /// Takes note of what there was before the cell and of what there is after it.
    pub fn cell(
        &mut self,
        cell: u64,
        before: &BTreeSet<String>,
        after: &BTreeSet<String>,
        are_lost: bool,
    ) {
        for name in before.difference(after) {
            let way = match are_lost {
                true => Way::Lost(cell),
                false => Way::Given(cell),
            };
            self.by_name.insert(name.clone(), way);
        }
        self.by_name.retain(|name, _| !after.contains(name));
    }

    /// What a reader should know who gets this message of the compiler.
    pub fn explain(&self, message: &str) -> Option<String> {
        // "cannot find value `data` in this scope"
        let name = message
            .strip_prefix("cannot find value `")?
            .split('`')
            .next()?;
        Some(match self.by_name.get(name)? {
            Way::Given(cell) => format!(
                "`{name}` was given away in cell [{cell}]: run the cell that made it again, or lend it there \
                 with `&{name}`"
            ),
            Way::Lost(cell) => {
                format!("all variables were lost in cell [{cell}]: run the notebook from its start")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_variable_that_was_given_away_is_remembered_until_it_is_made_again() {
        let mut gone = Gone::default();
        let message = "cannot find value `data` in this scope";
        gone.cell(3, &names(&["data", "lab"]), &names(&["lab"]), false);
        let text = gone.explain(message).unwrap();
        assert!(
            text.starts_with("`data` was given away in cell [3]"),
            "{text}"
        );
        assert!(
            gone.explain("cannot find value `lab` in this scope")
                .is_none()
        );
        assert!(gone.explain("mismatched types").is_none());
        gone.cell(4, &names(&["lab"]), &names(&["data", "lab"]), false);
        assert!(gone.explain(message).is_none());
        gone.cell(5, &names(&["data", "lab"]), &names(&[]), true);
        let text = gone.explain(message).unwrap();
        assert!(
            text.starts_with("all variables were lost in cell [5]"),
            "{text}"
        );
    }
}
