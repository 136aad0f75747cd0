//! One step of the set-up, and what all of them work with.

use checkout::lock::Lock;
use checkout::place::Place;

use crate::choice::Choice;
use crate::kernel::Ahead;
use crate::trouble::Result;

/// What the steps work with.
pub struct Plan<'a> {
    /// The repository.
    pub place: &'a Place,
    /// Keeps other set-ups out.
    pub lock: Lock,
    /// Which libtorch is wanted.
    pub choice: Choice,
    /// The kernel's build, where one of the steps needs it.
    pub ahead: Ahead,
}

/// One step.
pub struct Step {
    /// What it is called.
    pub title: &'static str,
    /// Whether its work is done already.
    pub is_done: fn(&Plan) -> bool,
    /// Its work.
    pub work: fn(&Plan) -> Result<()>,
}
