//! One picture's affine transform: what is drawn for it, and which pixel it takes from where.
//!
//! The formulas, the order of draws and the distributions are those of Keras 3 (`apply_transform` and
//! `get_random_transform` in keras/src/legacy/preprocessing/image.py); tests/library/augment.rs compares with them.
//! `plan` applies a batch of transforms.
//!
//! ```
//! use evcxr_transfer::Augment;
//! let drawn = Augment::none().rotation(40.0).transforms(2, (150, 150), 0)?;
//! assert!(drawn.iter().all(|transform| transform.theta.abs() <= 40.0 && transform.zx == 1.0));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use tch::Device;

use crate::error::Result;
use crate::machine::memory::check_room;
use crate::machine::random::Random;
use crate::pictures::augment::Augment;

/// What happens to one picture, in the units and with the names of Keras' `apply_transform`.
///
/// Keras works with (x, y) coordinates whose x is called a row when it is drawn and a column when
/// it is applied; what is said here is what happens to the picture. For the same reason the centre
/// lies half the height from the left and half the width from the top, which is the middle of
/// square pictures alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transform {
    /// Degrees by which the picture turns to the left (anticlockwise).
    pub theta: f64,
    /// Pixels by which it then moves to the left. Drawn from the height shift.
    pub tx: f64,
    /// Pixels by which it then moves up. Drawn from the width shift.
    pub ty: f64,
    /// Degrees of shearing.
    pub shear: f64,
    /// Width of the part of the picture that is seen, as a share: below 1 the picture is enlarged.
    pub zx: f64,
    /// Height of the part of the picture that is seen, as a share.
    pub zy: f64,
    /// Whether left and right are swapped, after all of the above.
    pub flip_horizontal: bool,
    /// Whether top and bottom are swapped, after all of the above.
    pub flip_vertical: bool,
    /// The factor for every value, last of all; `None` leaves them unrounded.
    pub brightness: Option<f64>,
}

impl Default for Transform {
    fn default() -> Self {
        Self {
            theta: 0.0,
            tx: 0.0,
            ty: 0.0,
            shear: 0.0,
            zx: 1.0,
            zy: 1.0,
            flip_horizontal: false,
            flip_vertical: false,
            brightness: None,
        }
    }
}

impl Transform {
    /// The transform that changes nothing.
    pub fn identity() -> Self {
        Self::default()
    }

    pub(crate) fn is_finite(&self) -> bool {
        [self.theta, self.tx, self.ty, self.shear, self.zx, self.zy]
            .into_iter()
            .chain(self.brightness)
            .all(f64::is_finite)
    }

    /// Whether pixels have to be interpolated. Flips alone only change their order.
    pub(crate) fn moves(&self) -> bool {
        [self.theta, self.tx, self.ty, self.shear] != [0.0; 4] || (self.zx, self.zy) != (1.0, 1.0)
    }

    /// Where the value of an output pixel is read: the matrix that turns (column, row, 1) into
    /// `grid_sampler`'s coordinates x and y, which run from -1 to 1 over the whole picture.
    pub(crate) fn matrix(&self, (height, width): (usize, usize)) -> [[f64; 3]; 2] {
        let (sin, cos) = self.theta.to_radians().sin_cos();
        let (shear_sin, shear_cos) = self.shear.to_radians().sin_cos();
        let (height, width) = (height as f64, width as f64);
        // Keras' product rotation x shift x shear x zoom around its centre.
        let linear = [
            [
                cos * self.zx,
                (-cos * shear_sin - sin * shear_cos) * self.zy,
            ],
            [
                sin * self.zx,
                (-sin * shear_sin + cos * shear_cos) * self.zy,
            ],
        ];
        let shift = [cos * self.tx - sin * self.ty, sin * self.tx + cos * self.ty];
        let centre = [height / 2.0 - 0.5, width / 2.0 - 0.5];
        let mut matrix = [[0.0; 3]; 2];
        for (axis, side) in [width, height].into_iter().enumerate() {
            let [mut column, mut row] = linear[axis];
            let mut offset = shift[axis] + centre[axis] - column * centre[0] - row * centre[1];
            // Flips come after the rest: column c shows what column width - 1 - c would have.
            if self.flip_horizontal {
                offset += column * (width - 1.0);
                column = -column;
            }
            if self.flip_vertical {
                offset += row * (height - 1.0);
                row = -row;
            }
            // Pixel k has its centre at (2 k + 1) / side - 1.
            let scale = 2.0 / side;
            matrix[axis] = [column * scale, row * scale, (offset + 0.5) * scale - 1.0];
        }
        matrix
    }
}

impl Augment {
    /// Draws a transform for each of `n` pictures of `size` (height, width). The same seed gives
    /// the same transforms; the order of draws and the distributions are those of Keras'
    /// `get_random_transform`, the numbers are not (its generator is NumPy's).
    ///
    /// # Errors
    /// [`Error::Mismatch`](crate::Error::Mismatch) if so many do not fit into memory.
    pub fn transforms(&self, n: usize, size: (usize, usize), seed: u64) -> Result<Vec<Transform>> {
        let bytes = n.saturating_mul(size_of::<Transform>());
        let what = format!("{n} transforms");
        check_room(Device::Cpu, bytes, &what, "Draw fewer, a batch at a time")?;
        Ok(self.draw(n, size, &mut Random::new(seed, "augment")))
    }

    /// Draws from a stream that goes on, for the epochs of a training run.
    pub(crate) fn draw(
        &self,
        n: usize,
        (height, width): (usize, usize),
        random: &mut Random,
    ) -> Vec<Transform> {
        let mut between = |low: f64, high: f64| low + (high - low) * f64::from(random.uniform());
        let mut transform = || {
            // Keras skips the draw of what is not asked for, except that of the flips.
            let mut around_zero = |range: f64| match range {
                0.0 => 0.0,
                _ => between(-range, range),
            };
            let unit = |range: f64, side: usize| if range < 1.0 { side as f64 } else { 1.0 };
            let theta = around_zero(self.rotation);
            let tx = around_zero(self.height_shift) * unit(self.height_shift, height);
            let ty = around_zero(self.width_shift) * unit(self.width_shift, width);
            let shear = around_zero(self.shear);
            let (zx, zy) = match self.zoom {
                (1.0, 1.0) => (1.0, 1.0),
                (low, high) => (between(low, high), between(low, high)),
            };
            let flip_horizontal = between(0.0, 1.0) < 0.5 && self.horizontal_flip;
            let flip_vertical = between(0.0, 1.0) < 0.5 && self.vertical_flip;
            let brightness = self.brightness.map(|(low, high)| between(low, high));
            Transform {
                theta,
                tx,
                ty,
                shear,
                zx,
                zy,
                flip_horizontal,
                flip_vertical,
                brightness,
            }
        };
        (0..n).map(|_| transform()).collect()
    }
}
