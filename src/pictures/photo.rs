//! One picture: [`Photo`], decoded and resized as Keras does it.
//!
//! Keras' `load_img` is Pillow: JPEGs are decoded by libjpeg-turbo, alpha is dropped, orientation
//! tags are ignored, and resizing takes the nearest pixel unless said otherwise. Here the same
//! pixels come out (tests/library/pixels.rs compares them with Pillow's). Layout: (H, W, 3), RGB bytes.
//!
//! ```
//! use evcxr_transfer::{Interpolation, Photo};
//! let photo = Photo::open("data/samples/train/cats/cat.0.jpg")?;
//! let small = photo.resize(150, 150, Interpolation::Nearest)?;
//! assert_eq!(small.bytes().len(), 150 * 150 * 3);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use ndarray::Array3;
use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::machine::disk;
use crate::machine::patience::patiently;
use crate::pictures::decode::decode;
use crate::pictures::folder::check_is_local;
use crate::pictures::pixels::MOST_PIXELS;
use crate::pictures::resize::{Interpolation, resized};
use crate::show::display::displayed;
use crate::show::encoded::Encoded;
use crate::show::notebook::Bundle;

/// A picture in memory: RGB bytes, (H, W, 3), with the name that it goes by.
#[derive(Clone, PartialEq, Eq)]
pub struct Photo {
    name: String,
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl Photo {
    /// Reads a picture file at its own size. The format is told from the content: JPEG, PNG, BMP,
    /// GIF (first frame), TIFF (not fax group 3, LZMA, Zstandard, Lab), PPM, WebP.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Picture`] if it is no whole picture, [`Error::Download`]
    /// for an address on the web, which has to be downloaded first, [`Error::Stopped`] if the cell is stopped while the
    /// disk does not answer.
    #[doc(alias("load_img", "Image.open", "imread"))]
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (doing, file) = (format!("reading {}", path.display()), path.to_owned());
        // Only the disk may keep one waiting; to decode on that thread, too, takes longer (benches/README.md).
        let encoded = patiently(&doing, move || encoded(&file))?;
        Self::decoded(path, &encoded)
    }

    /// The same on this thread, for who reads many and waits for them himself.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::decoded(path, &encoded(path)?)
    }

    fn decoded(path: &Path, encoded: &[u8]) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (width, height, bytes) = decode(encoded).map_err(|problem| unusable(path, problem))?;
        Self::from_pixels(&name, width, height, bytes)
    }

    /// Decodes a picture file that is in memory already; `name` is what it is called in titles.
    ///
    /// # Errors
    /// [`Error::Picture`] if the bytes are no whole picture.
    pub fn from_bytes(name: &str, encoded: &[u8]) -> Result<Self> {
        let (width, height, bytes) =
            decode(encoded).map_err(|problem| unusable(Path::new(name), problem))?;
        Self::from_pixels(name, width, height, bytes)
    }

    /// A picture from its pixels: RGB bytes in rows, (height, width, 3).
    ///
    /// # Errors
    /// [`Error::Argument`] if a side is 0 or the number of bytes is not height x width x 3.
    pub fn from_pixels(name: &str, width: usize, height: usize, bytes: Vec<u8>) -> Result<Self> {
        let expected = width
            .checked_mul(height)
            .and_then(|pixels| pixels.checked_mul(3));
        if bytes.is_empty() || expected != Some(bytes.len()) {
            return Err(Error::Argument {
                argument: "bytes",
                value: format!("{} bytes", bytes.len()),
                expected: format!(
                    "a picture of {width} x {height} needs width x height x 3, not 0"
                ),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            width,
            height,
            bytes,
        })
    }

    /// What the picture is called in titles: its file name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, (H, W, 3) RGB.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The pixels as an array, (H, W, 3) RGB, a copy.
    pub fn to_array(&self) -> Array3<u8> {
        Array3::from_shape_fn((self.height, self.width, 3), |(y, x, channel)| {
            self.bytes[(y * self.width + x) * 3 + channel]
        })
    }

    /// The picture at another size; the aspect changes with it, as in Keras. The same size gives
    /// the same picture.
    ///
    /// # Errors
    /// [`Error::Argument`] if a side is 0, or so large that the picture would be a bomb.
    pub fn resize(&self, width: usize, height: usize, how: Interpolation) -> Result<Self> {
        for (argument, value) in [("width", width), ("height", height)] {
            if value == 0
                || value as u64 > 65_535
                || width.saturating_mul(height) as u64 > MOST_PIXELS
            {
                return Err(Error::Argument {
                    argument,
                    value: value.to_string(),
                    expected: format!(
                        "a picture has sides from 1 to 65,535 and {MOST_PIXELS} pixels at most"
                    ),
                });
            }
        }
        Ok(Self {
            name: self.name.clone(),
            width,
            height,
            bytes: resized(&self.bytes, (self.width, self.height), (width, height), how),
        })
    }

    /// The pixels as a base takes them: resized, (1, size, size, 3) bytes.
    pub(crate) fn to_tensor(&self, size: usize, how: Interpolation) -> Result<Tensor> {
        let small = self.resize(size, size, how)?;
        let side = size as i64;
        Tensor::f_from_data_size(small.bytes(), &[1, side, side, 3], Kind::Uint8)
            .map_err(Error::compute("making a tensor of a picture"))
    }

    /// The picture as a PNG file, losslessly.
    ///
    /// # Errors
    /// [`Error::Picture`] if it cannot be encoded.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let mut encoded = std::io::Cursor::new(Vec::new());
        image::write_buffer_with_format(
            &mut encoded,
            &self.bytes,
            self.width as u32,
            self.height as u32,
            image::ExtendedColorType::Rgb8,
            ImageFormat::Png,
        )
        .map_err(|error| unusable(Path::new(&self.name), error.to_string()))?;
        Ok(encoded.into_inner())
    }
}

displayed!(
    Photo,
    "Shows the picture under a notebook cell.",
    |photo| match photo.to_png() {
        Ok(png) => {
            // A point of the page for each pixel.
            let size = (photo.width, photo.height);
            let picture = Encoded::smaller(png, &photo.bytes, size, 96);
            Bundle::text(&format!("{photo:?}")).picture(&picture)
        }
        Err(error) => Bundle::text(&error.to_string()),
    }
);

impl From<Photo> for RgbImage {
    /// The same pixels, for drawing; no copy.
    fn from(photo: Photo) -> Self {
        // A photo has as many bytes as its sides say, so that there is always a picture.
        Self::from_raw(photo.width as u32, photo.height as u32, photo.bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Photo {} ({}, {}, 3)",
            self.name, self.height, self.width
        )
    }
}

/// The bytes of a picture file.
fn encoded(path: &Path) -> Result<Vec<u8>> {
    check_is_local(path)?;
    disk::read(path)
}

fn unusable(path: &Path, problem: impl Into<String>) -> Error {
    Error::Picture {
        path: PathBuf::from(path),
        problem: problem.into(),
    }
}
