//! Dropout: hidden values that are left out at random while a head learns.

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::memory::check_room;
use crate::machine::scalar::scalar;
use crate::training::order::Draws;

/// How much of a hidden layer is left out.
#[derive(Clone, Copy)]
pub(crate) struct Dropout {
    /// The width of the layer.
    pub(crate) units: usize,
    /// The share that is set to zero, 0 up to (not) 1.
    pub(crate) rate: f64,
}

impl Dropout {
    /// What is kept in an epoch: a row of `units` for each picture that this process takes, 1 = kept. All at
    /// once, so that a GPU is not made to wait for the host in every step. Nothing at a rate of 0.
    pub(crate) fn masks(self, draws: &Draws, device: Device) -> Result<Option<Tensor>> {
        if self.rate == 0.0 {
            return Ok(None);
        }
        let values = draws.pictures.saturating_mul(self.units);
        check_room(
            Device::Cpu,
            values,
            "the dropout of an epoch",
            "Show fewer pictures in an epoch (`steps_per_epoch`, `batch_size`), or make the head smaller",
        )?;
        let mut random = draws.random("dropout");
        let kept = (0..values)
            .map(|_| u8::from(f64::from(random.uniform()) >= self.rate))
            .collect::<Vec<_>>();
        Tensor::f_from_slice(&kept)
            .and_then(|masks| {
                let masks = masks.f_view([-1, self.units as i64])?;
                let own = match draws.places() {
                    Some(places) => masks.f_index_select(0, &Tensor::f_from_slice(places)?)?,
                    None => masks,
                };
                own.f_to_device(device)
            })
            .map(Some)
            .map_err(Error::compute("drawing the dropout of an epoch"))
    }

    /// Leaves out what `mask` (N, units) does not keep. Inverted: what is kept grows, so that nothing
    /// changes at prediction time.
    pub(crate) fn apply(
        self,
        hidden: &Tensor,
        mask: &Tensor,
    ) -> std::result::Result<Tensor, TchError> {
        let scale = 1.0 / (1.0 - self.rate);
        hidden.f_mul(&mask.f_to_kind(Kind::Float)?.f_mul(&scalar(scale)?)?)
    }
}

/// The masks of a batch, `count` of the epoch's masks from number `first` on.
pub(crate) fn rows_of(
    masks: Option<&Tensor>,
    first: usize,
    count: usize,
) -> std::result::Result<Option<Tensor>, TchError> {
    masks
        .map(|masks| masks.f_narrow(0, first as i64, count as i64))
        .transpose()
}
