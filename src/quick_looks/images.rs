//! [`show_images`]: a grid of pictures from arrays, tensors or photos.
//!
//! ```
//! use evcxr_transfer::{ndarray::Array, show_images};
//! let pictures = Array::from_shape_fn((6, 8, 8, 3), |(n, y, x, c)| (n + y + x + c) as f32 / 23.0);
//! let figure = show_images(&pictures)?;
//! # assert!(figure.to_string().contains("6 pictures"));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use ndarray::{Array3, ArrayD, ArrayView3, Axis, Ix4};

use crate::error::{Error, Result};
use crate::pictures::photo::Photo;
use crate::quick_looks::titles::{in_brackets, short};
use crate::quick_looks::values::Values;
use crate::show::draw::grid;
use crate::show::draw::range::Range;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};

/// Pictures to look at: an array or tensor of them, or [`Photo`]s.
///
/// Made from either where pictures are asked for: `show_images(&tensor)`.
#[derive(Clone, Debug)]
pub enum Images {
    /// Numbers, shaped as [`show_images`] says.
    Values(Values),
    /// Photos with their names.
    Photos(Vec<Photo>),
}

impl<T: Into<Values>> From<T> for Images {
    fn from(values: T) -> Self {
        Self::Values(values.into())
    }
}

impl From<&Photo> for Images {
    fn from(photo: &Photo) -> Self {
        Self::Photos(vec![photo.clone()])
    }
}

impl From<Vec<Photo>> for Images {
    fn from(photos: Vec<Photo>) -> Self {
        Self::Photos(photos)
    }
}

impl From<&Vec<Photo>> for Images {
    fn from(photos: &Vec<Photo>) -> Self {
        Self::Photos(photos.clone())
    }
}

impl From<&[Photo]> for Images {
    fn from(photos: &[Photo]) -> Self {
        Self::Photos(photos.to_vec())
    }
}

/// A grid of pictures, each with its number or name; of more than 100 that many, evenly spaced.
///
/// Shapes: (N, H, W, 3) and (N, H, W, 1), as Keras has them; [N, 3, H, W] and [N, 1, H, W], as PyTorch has
/// them; one picture (H, W, 3), (H, W, 1) or [3, H, W]; any other (N, H, W), and (H, W), in grey. Values: 0 to 1 if all that are shown lie there,
/// else 0 to 255 if they do, else from the smallest (black) to the largest (white); what is not finite is
/// black. The title says which.
///
/// matplotlib: `plt.imshow` in a loop over `plt.subplot`; fastai: `show_images`.
///
/// # Errors
/// [`Error::Argument`] for another shape, no picture at all or a tensor of other than real numbers,
/// [`Error::Compute`] if a tensor cannot be read.
#[doc(alias("imshow", "make_grid", "show_batch"))]
pub fn show_images(images: impl Into<Images>) -> Result<Figure> {
    let values = match images.into() {
        Images::Values(values) => values,
        Images::Photos(photos) => {
            if photos.is_empty() {
                return Err(Error::Argument {
                    argument: "images",
                    value: "an empty list".into(),
                    expected: "it must hold a photo at least".into(),
                });
            }
            let (n, count, notes) = grid::count(photos.len(), photos.len(), "pictures");
            let tiles = grid::spread(n, photos.len()).map(|number| {
                let photo = &photos[number];
                Tile::new(photo.clone(), photo.name())
            });
            return Ok(Figure::photos(
                &titled(&count, &notes),
                tiles.collect(),
                grid::columns(n),
            ));
        }
    };
    let shape = values.shape();
    let all = number_of_pictures(&shape);
    let (n, count, notes) = grid::count(all, all, "pictures");
    let numbers = grid::spread(n, all).collect::<Vec<_>>();
    // Thousands of pictures would take gigabytes as f64.
    let values = if n < all {
        values.rows(&numbers)?
    } else {
        values
    };
    let pictures = pictures_of(values.array()?)?;
    let greys = Greys::of(&pictures);
    let mut tiles = Vec::with_capacity(n);
    for (number, picture) in numbers.iter().zip(&pictures) {
        let photo = greys.photo(&number.to_string(), picture.view())?;
        let label = if all > 1 {
            photo.name().to_owned()
        } else {
            String::new()
        };
        tiles.push(Tile::new(photo, label));
    }
    let title = format!("{count}, {}, {}", in_brackets(&shape), greys.words);
    Ok(Figure::photos(
        &titled(&title, &notes),
        tiles,
        grid::columns(n),
    ))
}

/// How many pictures an array of this shape holds, if it holds any.
fn number_of_pictures(shape: &[usize]) -> usize {
    match *shape {
        [3, _, _] | [_, _, 1 | 3] => 1,
        [pictures, _, _] | [pictures, _, _, _] => pictures,
        _ => 1,
    }
}

/// Single pictures, each (H, W, 1 or 3).
fn pictures_of(values: ArrayD<f64>) -> Result<Vec<Array3<f64>>> {
    let shape = values.shape().to_vec();
    let refused = || {
        Error::Argument {
        argument: "images",
        value: format!("an array of shape {}", in_brackets(&shape)),
        expected:
            "it must be (N, H, W, 3), (N, H, W, 1), (H, W, 3), (H, W, 1), (N, H, W) or (H, W), or PyTorch's \
                   [N, 3, H, W], [N, 1, H, W] or [3, H, W], without a size of 0"
                .into(),
    }
    };
    let is_colours = |size: usize| size == 3 || size == 1;
    let batch = match *shape.as_slice() {
        [_, _] => values.insert_axis(Axis(0)).insert_axis(Axis(3)),
        // Three grey pictures are likelier to be one in colours, and so is a last size of 1.
        [_, _, 3 | 1] => values.insert_axis(Axis(0)),
        [3, _, _] => values
            .permuted_axes([1, 2, 0].as_slice())
            .insert_axis(Axis(0)),
        [_, _, _] => values.insert_axis(Axis(3)),
        [_, _, _, last] if is_colours(last) => values,
        [_, first, _, _] if is_colours(first) => values.permuted_axes([0, 2, 3, 1].as_slice()),
        _ => return Err(refused()),
    };
    let batch = batch.into_dimensionality::<Ix4>().map_err(|_| refused())?;
    if batch.is_empty() {
        return Err(refused());
    }
    Ok(batch
        .outer_iter()
        .map(|picture| picture.to_owned())
        .collect())
}

/// Which values are black and white, and how to say it.
struct Greys {
    range: Range<f64>,
    words: String,
}

impl Greys {
    fn of(pictures: &[Array3<f64>]) -> Self {
        let range = Range::of(pictures.iter().flatten().copied());
        let (low, high) = match (range.low, range.high) {
            (0.0.., ..=1.0) => (0.0, 1.0),
            (0.0.., ..=255.0) => (0.0, 255.0),
            own => own,
        };
        Self {
            range: Range { low, high },
            words: format!("black {} to white {}", short(low), short(high)),
        }
    }

    /// What is not finite is black.
    fn photo(&self, name: &str, picture: ArrayView3<f64>) -> Result<Photo> {
        let (height, width, colours) = picture.dim();
        let bytes = picture.iter().flat_map(|&value| {
            let byte = (self.range.share(value) * 255.0).round() as u8;
            let times = if colours == 1 { 3 } else { 1 };
            std::iter::repeat_n(byte, times)
        });
        Photo::from_pixels(name, width, height, bytes.collect())
    }
}
