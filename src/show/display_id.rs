//! The name of a place under a cell whose content can change.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

/// A name that no other display has, be it of another cell or another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayId(String);

impl DisplayId {
    /// The clock, and 64 bits that the standard library draws from the system for each hasher: a counter of
    /// our own would start anew in every cell.
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanoseconds = since.unwrap_or_default().as_nanos();
        let drawn = RandomState::new().build_hasher().finish();
        Self(format!("{nanoseconds:x}-{drawn:016x}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_that_are_made_at_once_differ() {
        let ids = (0..10_000).map(|_| DisplayId::new().0);
        assert_eq!(ids.collect::<BTreeSet<_>>().len(), 10_000);
    }
}
