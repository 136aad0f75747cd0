//! A map over the picture that it is about: how Grad-CAM and occlusion show what they find.

use ndarray::Array2;
use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::arrays::numbers_of;
use crate::pictures::photo::Photo;
use crate::show::display::Displayable;
use crate::show::draw::colour;
use crate::show::draw::tile::Tile;
use crate::show::figure::Figure;
use crate::show::notebook::Bundle;

/// How much of a map's colour lies over the picture.
const OPACITY: f32 = 0.5;

/// A picture under a map of shares, 0 (dark blue) to 1 (yellow), which is enlarged to the picture's size.
pub(crate) fn laid_over(photo: &Photo, shares: &Array2<f32>) -> Result<Photo> {
    let (height, width) = (photo.height(), photo.width());
    let enlarged = || -> std::result::Result<Vec<f32>, TchError> {
        let (rows, columns) = shares.dim();
        let flat = shares.iter().copied().collect::<Vec<_>>();
        let map = Tensor::f_from_slice(&flat)?.f_view([1, 1, rows as i64, columns as i64])?;
        let size = [height as i64, width as i64];
        numbers_of(&map.f_upsample_bilinear2d(size, false, None, None)?)
    };
    let shares = enlarged().map_err(Error::compute("enlarging a heat map"))?;
    let mut bytes = Vec::with_capacity(height * width * 3);
    for (pixel, share) in photo.bytes().chunks_exact(3).zip(shares) {
        let (red, green, blue) = colour::viridis(share);
        for (&below, above) in pixel.iter().zip([red, green, blue]) {
            let mixed = f32::from(below) * (1.0 - OPACITY) + f32::from(above) * OPACITY;
            bytes.push(mixed.round() as u8);
        }
    }
    Photo::from_pixels(photo.name(), width, height, bytes)
}

/// The picture with its name, and beside it the same with the map over it.
pub(crate) fn side_by_side(title: &str, photo: &Photo, overlay: Photo, label: String) -> Figure {
    let tiles = vec![
        Tile::new(photo.clone(), photo.name()),
        Tile::new(overlay, label),
    ];
    Figure::grid(title, tiles, 2)
}

/// The figure as a notebook cell shows it, or why there is none.
pub(crate) fn bundle(plot: Result<Figure>) -> Bundle {
    match plot {
        Ok(figure) => figure.bundle(),
        Err(error) => Bundle::text(&error.to_string()),
    }
}
