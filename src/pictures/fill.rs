//! [`Fill`]: what a moved picture's empty places get.
//!
//! ```
//! use evcxr_transfer::Fill;
//! assert_eq!(Fill::Constant(255.0).to_string(), "constant 255");
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a place gets that the moved picture leaves empty: the modes of scipy.ndimage.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Fill {
    /// The nearest pixel of the picture: Keras' default.
    #[default]
    Nearest,
    /// The picture mirrored at its edge: `d c b a | a b c d | d c b a`.
    Reflect,
    /// The picture again. As in scipy its last pixel falls on the first of the next one, so that
    /// it repeats after n - 1 pixels.
    Wrap,
    /// One value in all three channels, 0 to 255 (Keras' `cval`), from the centre of the outermost
    /// pixel on.
    Constant(f64),
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest => f.write_str("nearest"),
            Self::Reflect => f.write_str("reflect"),
            Self::Wrap => f.write_str("wrap"),
            Self::Constant(value) => write!(f, "constant {value}"),
        }
    }
}
