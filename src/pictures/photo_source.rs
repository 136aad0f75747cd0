//! [`PhotoSource`]: where one asks for a picture, a path does as well as a [`Photo`].
//!
//! ```
//! use evcxr_transfer::{Photo, PhotoSource};
//! let source = PhotoSource::from("data/samples/train/cats/cat.0.jpg");
//! assert_eq!(source.photo()?.name(), "cat.0.jpg");
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::pictures::photo::Photo;

/// A picture as an argument: a file that is yet to be read, or a [`Photo`].
///
/// Made from a path or a photo where one is asked for: `model.predict("my_cat.jpg")`.
#[derive(Clone, Debug)]
pub enum PhotoSource {
    /// A picture file.
    File(PathBuf),
    /// A picture in memory.
    Loaded(Photo),
}

impl PhotoSource {
    /// The picture itself, at its own size.
    ///
    /// # Errors
    /// As [`Photo::open`].
    pub fn photo(self) -> Result<Photo> {
        match self {
            Self::File(path) => Photo::open(path),
            Self::Loaded(photo) => Ok(photo),
        }
    }
}

impl<P: AsRef<Path>> From<P> for PhotoSource {
    fn from(path: P) -> Self {
        Self::File(path.as_ref().to_owned())
    }
}

impl From<&Photo> for PhotoSource {
    fn from(photo: &Photo) -> Self {
        Self::Loaded(photo.clone())
    }
}

impl From<Photo> for PhotoSource {
    fn from(photo: Photo) -> Self {
        Self::Loaded(photo)
    }
}
