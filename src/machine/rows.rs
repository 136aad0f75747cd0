//! Rows that each process has made a share of, given to all.

use std::ops::Range;

use tch::{Device, Kind, TchError, Tensor};

use crate::machine::world::World;

/// So many values go from process to process at once.
const AT_ONCE: usize = 1 << 24;

impl World {
    /// Gives each process the rows of `stored` (N, ..) that the others have; those of its own `share` are filled.
    pub(crate) fn hand_round(&self, stored: &Tensor, share: Range<usize>) -> Result<(), TchError> {
        let rows = stored.size().first().map_or(0, |&rows| rows as usize);
        if self.is_alone() || rows == 0 {
            return Ok(());
        }
        for others in [0..share.start, share.end..rows] {
            let mut others = stored.f_narrow(0, others.start as i64, others.len() as i64)?;
            let _ = others.f_zero_()?;
        }
        // A sum in which all but one are zero.
        let at_once = (AT_ONCE / (stored.numel() / rows).max(1)).max(1);
        for first in (0..rows).step_by(at_once) {
            let count = at_once.min(rows - first);
            let mut some = stored.f_narrow(0, first as i64, count as i64)?;
            let flat = some.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?;
            let mut values = Vec::<f32>::try_from(&flat.f_reshape(-1)?)?;
            self.sum(&mut values);
            some.f_copy_(&Tensor::f_from_slice(&values)?.f_view_as(&some)?)?;
        }
        Ok(())
    }
}
