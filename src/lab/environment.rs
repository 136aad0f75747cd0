//! What the environment says: these variables are read here and nowhere else.

use std::env::var_os;
use std::path::PathBuf;

/// What was taken from the environment.
pub(crate) struct Environment {
    /// `EVCXR_TRANSFER_DATA`: the data folder.
    pub(crate) data: Option<PathBuf>,
    /// `EVCXR_TRANSFER_OFFLINE`, of any value: the network is not used.
    pub(crate) is_offline: bool,
    /// `EVCXR_TRANSFER_STOP`: while this file exists, long work ends at its next batch. The kernel makes it when
    /// a cell is interrupted.
    pub(crate) stop: Option<PathBuf>,
}

impl Environment {
    pub(crate) fn read() -> Self {
        Self {
            data: var_os("EVCXR_TRANSFER_DATA").map(PathBuf::from),
            is_offline: var_os("EVCXR_TRANSFER_OFFLINE").is_some(),
            stop: var_os("EVCXR_TRANSFER_STOP").map(PathBuf::from),
        }
    }
}
