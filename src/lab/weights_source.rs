//! [`WeightsSource`]: where a base's weights come from.

use std::fmt;
use std::path::PathBuf;

use crate::files::remote::Remote;
use crate::lab::named_weights::name_of;

/// Where a base's weights come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WeightsSource {
    /// A file that somebody named.
    File(PathBuf),
    /// An official file that is on this machine.
    AtHand(Remote),
    /// An official file, from the network.
    Download(Remote),
    Seeded(u64),
}

/// As the lab's table shows it.
impl fmt::Display for WeightsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(&name_of(path)),
            Self::AtHand(_) | Self::Download(_) => f.write_str("ImageNet"),
            Self::Seeded(seed) => write!(f, "seeded random (seed {seed})"),
        }
    }
}
