//! A batch of transforms as libtorch applies it.
//!
//! `transform` draws the [`Transform`]s. A plan holds those of an epoch on the device, and each batch
//! goes through one `grid_sampler`: (N, H, W, 3), bytes or f32 from 0 to 255, to f32 of the same
//! shape and range. The formulas are those of Keras 3 (`apply_transform` in
//! keras/src/legacy/preprocessing/image.py) and of scipy.ndimage.affine_transform with order 1;
//! tests/library/augment.rs compares with both.
//!
//! ```
//! use evcxr_transfer::{Augment, Fill, Tensor, Transform};
//! let turned = Transform { theta: 90.0, ..Transform::identity() };
//! let pixels = Tensor::from_slice(&[1u8, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]).view([1, 2, 2, 3]);
//! let pixels = Augment::none().fill(Fill::Reflect).apply(&pixels, &[turned])?;
//! // 1 2      2 4
//! // 3 4  ->  1 3
//! assert!((pixels.double_value(&[0, 0, 1, 0]) - 4.0).abs() < 1e-5);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::scalar::scalar;
use crate::pictures::augment::Augment;
use crate::pictures::fill::Fill;
use crate::pictures::transform::Transform;

impl Augment {
    /// Applies one transform to each picture: (N, H, W, 3) bytes, or f32 from 0 to 255, to f32 of
    /// the same shape and range on the same device. Only the fill is taken from the options.
    /// A picture whose transform moves nothing keeps its pixels exactly.
    ///
    /// # Errors
    /// [`Error::Argument`] for options that [`Augment::check`] refuses, pixels of another shape or
    /// kind and transforms that are no finite numbers; [`Error::Mismatch`] if there are more or
    /// fewer transforms than pictures; [`Error::OutOfMemory`] and [`Error::Compute`] from libtorch.
    pub fn apply(&self, pixels: &Tensor, transforms: &[Transform]) -> Result<Tensor> {
        self.check()?;
        let (shape, kind) = (pixels.size(), pixels.f_kind());
        let (n, size) = match (shape.as_slice(), &kind) {
            (&[n, height, width, 3], Ok(Kind::Uint8 | Kind::Float)) if height > 0 && width > 0 => {
                (n as usize, (height as usize, width as usize))
            }
            _ => {
                let kind = kind.map_or("another kind".into(), |kind| format!("{kind:?}"));
                return Err(Error::Argument {
                    argument: "pixels",
                    value: format!("a tensor {shape:?} of {kind}"),
                    expected: "it must be (N, H, W, 3), Uint8 or Float".into(),
                });
            }
        };
        if n != transforms.len() {
            return Err(Error::Mismatch {
                what: "transforms and pictures".into(),
                expected: format!("{n} transforms, one for each picture"),
                found: transforms.len().to_string(),
                remedy: "Draw them with `augment.transforms(n, (height, width), seed)?`".into(),
            });
        }
        if let Some(transform) = transforms.iter().find(|transform| !transform.is_finite()) {
            return Err(Error::Argument {
                argument: "transforms",
                value: format!("{transform:?}"),
                expected: "they must be finite numbers".into(),
            });
        }
        self.plan(transforms, size, pixels.device())
            .and_then(|plan| plan.apply(pixels, 0))
            .map_err(Error::batch(format!("augmenting {n} pictures"), n))
    }

    /// Brings the transforms of an epoch to the device, for pictures of `size` (height, width).
    pub(crate) fn plan(
        &self,
        transforms: &[Transform],
        size: (usize, usize),
        device: Device,
    ) -> std::result::Result<Plan, TchError> {
        Plan::new(self.fill, transforms, size, device)
    }
}

/// The transforms of a whole epoch on the device, so that no batch waits for the host.
pub(crate) struct Plan {
    fill: Fill,
    transforms: Vec<Transform>,
    /// (N, 2, 3, 1, 1)
    matrices: Tensor,
    /// (N, 3) of bool: moves, flip_horizontal, flip_vertical.
    switches: Tensor,
    /// (N, 1, 1, 1), NaN where the brightness stays; only if it changes anywhere.
    brightness: Option<Tensor>,
    /// 0, 1, ... as (H, 1) and (W).
    rows: Tensor,
    columns: Tensor,
    /// The outermost pixels' centres in x and in y, (2, 1, 1).
    edges: Tensor,
    /// The same, a thousandth of a pixel further out.
    limits: Tensor,
}

impl Plan {
    /// Coordinates are f32 here and f64 in scipy: within this distance, in pixels, of the outermost
    /// pixel's centre they count as on it. Without it a shift along one axis would lose the edge
    /// pixels of the other.
    const SLACK: f64 = 1e-3;
    /// For the same reason, where Keras cuts 100.0 off to the byte 100, it may be 99.999 here.
    const BYTE_SLACK: f64 = 1.0 / 256.0;

    /// The plan for pictures of `size` (height, width), none of whose sides may be 0.
    pub(crate) fn new(
        fill: Fill,
        transforms: &[Transform],
        size: (usize, usize),
        device: Device,
    ) -> std::result::Result<Self, TchError> {
        let n = transforms.len() as i64;
        let upload = |values: &[f32]| Tensor::f_from_slice(values)?.f_to_device(device);
        let matrices = transforms
            .iter()
            .flat_map(|transform| transform.matrix(size))
            .flatten()
            .map(|value| value as f32)
            .collect::<Vec<_>>();
        let switches = transforms
            .iter()
            .flat_map(|t| [t.moves(), t.flip_horizontal, t.flip_vertical])
            .collect::<Vec<_>>();
        let factors = transforms
            .iter()
            .map(|transform| transform.brightness.map_or(f32::NAN, |b| b as f32))
            .collect::<Vec<_>>();
        let brightness = transforms
            .iter()
            .any(|transform| transform.brightness.is_some())
            .then(|| upload(&factors)?.f_view([n, 1, 1, 1]));
        let (height, width) = size;
        let edges = |slack: f64| {
            let edge = |side: usize| (1.0 + (2.0 * slack - 1.0) / side as f64) as f32;
            upload(&[edge(width), edge(height)])?.f_view([2, 1, 1])
        };
        let count = |side: usize| upload(&(0..side).map(|n| n as f32).collect::<Vec<_>>());
        Ok(Self {
            fill,
            transforms: transforms.to_vec(),
            matrices: upload(&matrices)?.f_view([n, 2, 3, 1, 1])?,
            switches: Tensor::f_from_slice(&switches)?
                .f_view([n, 3])?
                .f_to_device(device)?,
            brightness: brightness.transpose()?,
            rows: count(height)?.f_view([-1, 1])?,
            columns: count(width)?,
            edges: edges(0.0)?,
            limits: edges(Self::SLACK)?,
        })
    }

    /// Transforms `pixels`, (n, H, W, 3) bytes or f32, by the plan's rows `first`..`first` + n.
    /// The result is f32 in contiguous (n, H, W, 3) memory.
    pub(crate) fn apply(
        &self,
        pixels: &Tensor,
        first: usize,
    ) -> std::result::Result<Tensor, TchError> {
        let (n, ..) = pixels.size4()?;
        let here = |tensor: &Tensor| tensor.f_narrow(0, first as i64, n);
        let switches = here(&self.switches)?;
        let switch = |index: i64| switches.f_select(1, index)?.f_view([n, 1, 1, 1]);
        // What is asked of the host's copy costs no wait for the device.
        let transforms = self.transforms.iter().skip(first).take(n as usize);
        let is_any = |asked: fn(&Transform) -> bool| transforms.clone().any(asked);

        let planes = pixels.f_to_kind(Kind::Float)?.f_permute([0, 3, 1, 2])?;
        let moved = is_any(Transform::moves)
            .then(|| self.moved(&planes, &here(&self.matrices)?))
            .transpose()?;
        let planes = match moved {
            Some(moved) if !is_any(|transform| !transform.moves()) => moved,
            moved => {
                let mut still = planes;
                if is_any(|transform| transform.flip_horizontal) {
                    still = still.f_flip([3])?.f_where_self(&switch(1)?, &still)?;
                }
                if is_any(|transform| transform.flip_vertical) {
                    still = still.f_flip([2])?.f_where_self(&switch(2)?, &still)?;
                }
                match moved {
                    Some(moved) => moved.f_where_self(&switch(0)?, &still)?,
                    None => still,
                }
            }
        };
        let result = planes.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        match &self.brightness {
            Some(factors) => brightened(result, &here(factors)?),
            None => Ok(result),
        }
    }

    /// Interpolates [n, 3, H, W] at the places that (n, 2, 3, 1, 1) `matrices` give.
    fn moved(&self, planes: &Tensor, matrices: &Tensor) -> std::result::Result<Tensor, TchError> {
        // Sums, not a matrix product: libtorch may round the factors of one to TF32 on a GPU.
        let part = |index: i64| matrices.f_select(2, index);
        let by_row = part(2)?.f_addcmul(&part(1)?, &self.rows)?;
        // x and y as planes, (n, 2, H, W): ten times as fast to compute as pairs are.
        let places = part(0)?.f_mul(&self.columns)?.f_add(&by_row)?;
        let sample = |places: &Tensor, padding: i64| {
            let places = places.f_permute([0, 2, 3, 1])?;
            planes.f_grid_sampler(&places, BILINEAR, padding, false)
        };
        match self.fill {
            Fill::Nearest => sample(&places, BORDER),
            Fill::Reflect => sample(&places, REFLECTION),
            Fill::Wrap => {
                // A side of one pixel has no period; any will do, since only that pixel is near.
                let period = self
                    .edges
                    .f_mul(&scalar(2.0)?)?
                    .f_maximum(&scalar(f64::from(f32::EPSILON))?)?;
                let wrapped = places
                    .f_add(&self.edges)?
                    .f_remainder_tensor(&period)?
                    .f_sub(&self.edges)?;
                let outside = places.f_abs()?.f_gt_tensor(&self.limits)?;
                sample(&wrapped.f_where_self(&outside, &places)?, BORDER)
            }
            Fill::Constant(value) => {
                let outside = places
                    .f_abs()?
                    .f_gt_tensor(&self.limits)?
                    .f_any_dim(1, true)?;
                sample(&places, BORDER)?.f_masked_fill_(&outside, value)
            }
        }
    }
}

// libtorch's numbers for `grid_sampler`'s choices (GridSamplerUtils.h). Without `align_corners` its
// reflection is scipy's: at the outer edge of the outermost pixel.
const BILINEAR: i64 = 0;
const BORDER: i64 = 1;
const REFLECTION: i64 = 2;

/// What Pillow's `ImageEnhance.Brightness` makes of (n, H, W, 3): bytes, times a factor in f32,
/// clipped, cut off to bytes again. Where the factor is NaN the values stay.
fn brightened(pixels: Tensor, factors: &Tensor) -> std::result::Result<Tensor, TchError> {
    let mut bytes = pixels.f_add(&scalar(Plan::BYTE_SLACK)?)?.f_trunc_()?;
    let _ = bytes.f_mul_(factors)?.f_clamp_(0.0, 255.0)?.f_trunc_()?;
    pixels.f_where_self(&factors.f_isnan()?, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_an_epoch_serves_its_batches() {
        let size = (6, 8);
        let augment = Augment::lesson().fill(Fill::Wrap).brightness(0.5, 1.5);
        let transforms = augment.transforms(7, size, 2).unwrap();
        let plan = augment.plan(&transforms, size, Device::Cpu).unwrap();
        let values = (0..7 * 6 * 8 * 3).map(|k| (k * 37 % 256) as u8);
        let pixels = Tensor::from_slice(&values.collect::<Vec<_>>()).view([7, 6, 8, 3]);
        let whole = augment.apply(&pixels, &transforms).unwrap();
        for (first, n) in [(0, 3), (3, 3), (6, 1)] {
            let batch = plan.apply(&pixels.narrow(0, first, n), first as usize);
            let batch = batch.unwrap();
            assert!(batch.is_contiguous());
            assert_eq!(batch, whole.narrow(0, first, n), "from {first} on");
        }
        // Past the end is an error, not a panic.
        assert!(plan.apply(&pixels.narrow(0, 0, 2), 6).is_err());
    }
}
