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
    /// Its type's crate had been built again, which that cell has found.
    BuiltAgain(u64),
}

/// A cell that has ended, as far as variables go.
pub struct Cell<'a> {
    /// Its number.
    pub number: u64,
    /// What it says.
    pub code: &'a str,
    /// Whether it was compiled, so that it has run.
    pub has_run: bool,
    /// Whether all variables were lost in it.
    pub has_ended_all: bool,
}

impl Cell<'_> {
    /// Where a variable went that is no more after the cell.
    fn way(&self, name: &str) -> Way {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let is_named = self
            .code
            .split(|letter| !is_part(letter))
            .any(|word| word == name);
        match (self.has_ended_all, self.has_run && is_named) {
            (true, _) => Way::Lost(self.number),
            (false, true) => Way::Given(self.number),
            // Nobody took it: evcxr has dropped it, since what it is made of is another crate now.
            (false, false) => Way::BuiltAgain(self.number),
        }
    }
}

impl Gone {
    /// Takes note of what there was before the cell and of what there is after it.
    pub fn cell(&mut self, cell: &Cell<'_>, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        for name in before.difference(after) {
            self.by_name.insert(name.clone(), cell.way(name));
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
            Way::BuiltAgain(cell) => format!(
                "`{name}` was lost in cell [{cell}], since the crate of its type was built again: run the cell that made it \
                 again"
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

    /// Cell `number` with this code, which has run unless all was lost in it.
    fn ran(number: u64, code: &str) -> Cell<'_> {
        Cell {
            number,
            code,
            has_run: true,
            has_ended_all: false,
        }
    }

    #[test]
    fn a_variable_that_was_given_away_is_remembered_until_it_is_made_again() {
        let mut gone = Gone::default();
        let message = "cannot find value `data` in this scope";
        let taken = ran(3, "let head = train(data)?;");
        gone.cell(&taken, &names(&["data", "lab"]), &names(&["lab"]));
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
        let made = ran(4, "let data = lab.cats_and_dogs()?;");
        gone.cell(&made, &names(&["lab"]), &names(&["data", "lab"]));
        assert!(gone.explain(message).is_none());
        let all = Cell {
            has_ended_all: true,
            ..ran(5, "std::process::abort()")
        };
        gone.cell(&all, &names(&["data", "lab"]), &names(&[]));
        let text = gone.explain(message).unwrap();
        assert!(
            text.starts_with("all variables were lost in cell [5]"),
            "{text}"
        );
    }

    #[test]
    fn what_no_cell_has_taken_was_lost_when_its_crate_was_built_again() {
        // Named by nobody; named in a cell that was not compiled, since the variable was gone by then.
        let (other, not_run) = (ran(7, "1 + my_data"), ran(7, "data.show(4)?"));
        for has_run in [true, false] {
            let cell = if has_run { &other } else { &not_run };
            let cell = Cell { has_run, ..*cell };
            let mut gone = Gone::default();
            gone.cell(&cell, &names(&["data"]), &names(&[]));
            let text = gone
                .explain("cannot find value `data` in this scope")
                .unwrap();
            assert!(
                text.contains("was lost in cell [7], since the crate"),
                "{text}"
            );
        }
    }
}
