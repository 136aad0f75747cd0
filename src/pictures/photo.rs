//! One picture: decoded, resized and scaled as Keras does it.
//!
//! Keras' `load_img` is Pillow: JPEGs are decoded by libjpeg-turbo, alpha is dropped, orientation
//! tags are ignored, and resizing takes the nearest pixel unless said otherwise. Here the same
//! pixels come out (tests/pixels.rs compares them with Pillow's). Layout: (H, W, 3), RGB bytes.
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
use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::pictures::decode::{MOST_PIXELS, decode};
use crate::show::notebook;

/// How a picture is resized, with Pillow's and Keras' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel: Keras' default.
    #[default]
    Nearest,
    /// A triangle as wide as a target pixel, at least two source pixels.
    Bilinear,
    /// Keys' cubic with a = -0.5, as wide as two target pixels on each side.
    Bicubic,
}

impl Interpolation {
    /// How far the filter reaches at its original size, in source pixels.
    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// The filter's weight at a distance from its centre.
    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Self::Nearest => 0.0,
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bilinear | Self::Bicubic => 0.0,
        }
    }
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        })
    }
}

/// How bytes become the numbers that a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// 0 to 1: the lesson's `rescale=1./255`.
    #[default]
    Unit,
    /// What Keras' VGG weights were trained with (`preprocess_input`, mode "caffe"): BGR, less the
    /// mean of ImageNet's pixels, 103.939, 116.779 and 123.68.
    Caffe,
    /// What torchvision's weights were trained with: 0 to 1, less the mean (0.485, 0.456, 0.406),
    /// over the standard deviation (0.229, 0.224, 0.225).
    Torch,
}

impl Scaling {
    /// (N, H, W, 3) RGB bytes to f32 of the same shape.
    pub(crate) fn apply(self, bytes: &Tensor) -> std::result::Result<Tensor, TchError> {
        let pixels = bytes.f_to_kind(Kind::Float)?;
        let device = pixels.device();
        // Made on the device: a copy from the host would make it wait in every batch.
        let per_channel = |values: [f32; 3]| {
            let parts = values.map(|v| Tensor::f_full([1], f64::from(v), (Kind::Float, device)));
            let parts = parts
                .into_iter()
                .collect::<std::result::Result<Vec<_>, _>>()?;
            Tensor::f_cat(&parts, 0)
        };
        // Keras multiplies by the f32 nearest to 1/255; dividing by 255 differs in the last bit.
        match self {
            Self::Unit => pixels.f_mul_scalar(f64::from(1.0f32 / 255.0)),
            Self::Caffe => pixels
                .f_flip([3])?
                .f_sub(&per_channel([103.939, 116.779, 123.68])?),
            // torchvision's `ToTensor` divides.
            Self::Torch => pixels
                .f_div_scalar(255.0)?
                .f_sub(&per_channel([0.485, 0.456, 0.406])?)?
                .f_div(&per_channel([0.229, 0.224, 0.225])?),
        }
    }
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "scaled by 1/255",
            Self::Caffe => "as BGR less ImageNet's mean (Keras' preprocess_input)",
            Self::Torch => "normalised by ImageNet's mean and deviation (torchvision)",
        })
    }
}

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
    /// GIF (first frame), TIFF, PPM, WebP.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Picture`] if it is no whole picture.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let encoded = std::fs::read(path).map_err(Error::file(path, "read"))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (width, height, bytes) = decode(&encoded).map_err(|problem| unusable(path, problem))?;
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
        if how != Interpolation::Nearest {
            return Ok(self.filtered(width, height, how));
        }
        let bytes = self.nearest(width, height);
        Ok(Self {
            name: self.name.clone(),
            width,
            height,
            bytes,
        })
    }

    /// The pixels as a base takes them: resized, (1, size, size, 3) bytes.
    pub(crate) fn to_tensor(&self, size: usize, how: Interpolation) -> Result<Tensor> {
        let small = self.resize(size, size, how)?;
        let side = size as i64;
        Tensor::f_from_data_size(small.bytes(), &[1, side, side, 3], Kind::Uint8)
            .map_err(Error::compute("making a tensor of a picture"))
    }

    fn nearest(&self, width: usize, height: usize) -> Vec<u8> {
        let columns = nearest_sources(self.width, width);
        let mut bytes = Vec::with_capacity(width * height * 3);
        for y in nearest_sources(self.height, height) {
            let row = &self.bytes[y * self.width * 3..(y + 1) * self.width * 3];
            for &x in &columns {
                bytes.extend_from_slice(&row[x * 3..x * 3 + 3]);
            }
        }
        bytes
    }

    /// A pass along each side whose length changes, each rounded to bytes. The order shows in the
    /// last bit, more where bicubic clips. Pillow up to 12.3 always goes along the rows first;
    /// Pillow 13 begins with the columns where the height loses more than twice what the width does
    /// (found by comparing both orders with its result for 11,736 pairs of sizes, without exception).
    fn filtered(&self, width: usize, height: usize, how: Interpolation) -> Self {
        let rows_lost = self.height as i64 - height as i64;
        let columns_lost = self.width as i64 - width as i64;
        if rows_lost > 0 && rows_lost > 2 * columns_lost {
            self.filtered_height(height, how).filtered_width(width, how)
        } else {
            self.filtered_width(width, how).filtered_height(height, how)
        }
    }

    fn filtered_width(&self, width: usize, how: Interpolation) -> Self {
        if width == self.width {
            return self.clone();
        }
        let filters = filters(self.width, width, how);
        let mut bytes = Vec::with_capacity(width * self.height * 3);
        for row in self.bytes.chunks_exact(self.width * 3) {
            for filter in &filters {
                bytes.extend(filter.apply(|k| &row[k * 3..k * 3 + 3]));
            }
        }
        Self {
            name: self.name.clone(),
            width,
            height: self.height,
            bytes,
        }
    }

    fn filtered_height(&self, height: usize, how: Interpolation) -> Self {
        if height == self.height {
            return self.clone();
        }
        let mut bytes = Vec::with_capacity(self.width * height * 3);
        for filter in filters(self.height, height, how) {
            for x in 0..self.width {
                let start = |k: usize| (k * self.width + x) * 3;
                bytes.extend(filter.apply(|k| &self.bytes[start(k)..start(k) + 3]));
            }
        }
        Self {
            name: self.name.clone(),
            width: self.width,
            height,
            bytes,
        }
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

    /// Shows the picture under a notebook cell.
    pub fn evcxr_display(&self) {
        match self.to_png() {
            Ok(png) => notebook::Bundle::text(&format!("{self:?}"))
                .png(&png)
                .show(),
            Err(error) => notebook::Bundle::text(&error.to_string()).show(),
        }
    }
}

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

/// A picture to look at: a file that is yet to be read, or a [`Photo`].
///
/// Made from a path or a photo where one is asked for: `model.predict("my_cat.jpg")`.
#[derive(Clone, Debug)]
pub enum Picture {
    /// A picture file.
    File(PathBuf),
    /// A picture in memory.
    Loaded(Photo),
}

impl Picture {
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

impl From<&str> for Picture {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl From<String> for Picture {
    fn from(path: String) -> Self {
        Self::File(path.into())
    }
}

impl From<&Path> for Picture {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for Picture {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<PathBuf> for Picture {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Photo> for Picture {
    fn from(photo: &Photo) -> Self {
        Self::Loaded(photo.clone())
    }
}

impl From<Photo> for Picture {
    fn from(photo: Photo) -> Self {
        Self::Loaded(photo)
    }
}

/// For each target pixel the source pixel: Pillow walks in f64 from half a step on and truncates.
/// The closed form floor((k + 0.5) x step) rounds elsewhere where a step ends on a pixel's edge.
fn nearest_sources(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut position = step * 0.5;
    let mut sources = Vec::with_capacity(to);
    for _ in 0..to {
        // The walk's rounding errors can lead past the last pixel.
        sources.push((position as usize).min(from - 1));
        position += step;
    }
    sources
}

/// The weights of consecutive source pixels for one target pixel.
struct Filter {
    first: usize,
    /// In units of 2^-22, Pillow's fixed point for bytes.
    weights: Vec<i32>,
}

impl Filter {
    const BITS: u32 = 22;

    /// The weighted sum of the pixels that `pixel(index)` gives, rounded and clipped to bytes.
    fn apply<'a>(&self, pixel: impl Fn(usize) -> &'a [u8]) -> [u8; 3] {
        let mut sums = [1i32 << (Self::BITS - 1); 3];
        for (index, &weight) in (self.first..).zip(&self.weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel(index)) {
                *sum += i32::from(value) * weight;
            }
        }
        sums.map(|sum| (sum >> Self::BITS).clamp(0, 255) as u8)
    }
}

/// Pillow's `precompute_coeffs` (src/libImaging/Resample.c): the filter is widened by the shrinking
/// factor, cut at the edges and made to add up to 1.
fn filters(from: usize, to: usize, how: Interpolation) -> Vec<Filter> {
    let scale = from as f64 / to as f64;
    let widening = scale.max(1.0);
    let support = how.support() * widening;
    let filter = |target: usize| {
        let centre = (target as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weights = (first..end)
            .map(|source| how.weight((source as f64 - centre + 0.5) * (1.0 / widening)))
            .collect::<Vec<_>>();
        let total = weights.iter().sum::<f64>();
        let fixed = |weight: f64| {
            let exact = weight / total * f64::from(1u32 << Filter::BITS);
            (exact + if exact < 0.0 { -0.5 } else { 0.5 }) as i32
        };
        Filter {
            first,
            weights: weights.into_iter().map(fixed).collect(),
        }
    };
    (0..to).map(filter).collect()
}

fn unusable(path: &Path, problem: impl Into<String>) -> Error {
    Error::Picture {
        path: PathBuf::from(path),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_adds_up_to_one_whatever_the_sizes() {
        for (from, to) in [(500, 150), (41, 150), (3, 7), (1, 5)] {
            for how in [Interpolation::Bilinear, Interpolation::Bicubic] {
                for filter in filters(from, to, how) {
                    let total = filter.weights.iter().sum::<i32>();
                    // Each weight is rounded by at most half a unit.
                    let slack = filter.weights.len() as i32 / 2 + 1;
                    assert!(
                        (total - (1 << Filter::BITS)).abs() <= slack,
                        "{from} -> {to}, {how}"
                    );
                }
            }
        }
    }
}
