//! How many rows fit into memory at once, found out by trying.
//!
//! Whoever sends many batches through the same computation holds one [`FittingBatch`] for the whole of it:
//! what did not fit once is not tried again with every batch.

use tch::{TchError, Tensor};

use crate::error::is_out_of_memory;

/// The largest number of rows that may fit.
pub(crate) struct FittingBatch {
    most: i64,
}

impl FittingBatch {
    /// Begins with so many rows at once.
    pub(crate) fn new(batch_size: usize) -> Self {
        Self {
            most: i64::try_from(batch_size).unwrap_or(i64::MAX).max(1),
        }
    }

    /// Hands `rows` [N, ..] to `pass` in parts that fit, each with the number of its first row. A part for
    /// which memory does not suffice comes again in halves, and so on down to single rows; all later
    /// parts are as small from then on.
    pub(crate) fn each(
        &mut self,
        rows: &Tensor,
        pass: &mut dyn FnMut(i64, &Tensor) -> Result<(), TchError>,
    ) -> Result<(), TchError> {
        let count = rows.size().first().copied().unwrap_or_default();
        let mut first = 0;
        while first < count {
            let taken = self.most.min(count - first);
            match pass(first, &rows.f_narrow(0, first, taken)?) {
                Ok(()) => first += taken,
                Err(error) if is_out_of_memory(&error) && taken > 1 => self.most = taken / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The same for a `pass` that makes one tensor of another; they come back as one.
    pub(crate) fn run(
        &mut self,
        rows: &Tensor,
        pass: &dyn Fn(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        let mut outputs = Vec::new();
        self.each(rows, &mut |_, part| {
            outputs.push(pass(part)?);
            Ok(())
        })?;
        match outputs.len() {
            // No rows: the answer has the shape of one that has some.
            0 => pass(rows),
            1 => Ok(outputs.remove(0)),
            _ => Tensor::f_cat(&outputs, 0),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use std::cell::RefCell;

    use tch::{Device, Kind};

    use super::*;
    use crate::machine::scalar::scalar;

    /// A computation that has memory for so many rows, and remembers how many it was asked for.
    fn memory_for(
        most: i64,
        asked: &RefCell<Vec<i64>>,
    ) -> impl Fn(&Tensor) -> Result<Tensor, TchError> {
        move |part: &Tensor| {
            let count = part.size()[0];
            asked.borrow_mut().push(count);
            match count <= most {
                true => part.f_mul(&scalar(2.0)?),
                false => Err(TchError::Torch(
                    "CUDA out of memory. Tried to allocate".into(),
                )),
            }
        }
    }

    #[test]
    fn what_does_not_fit_goes_through_in_smaller_parts() {
        let rows = Tensor::arange(7, (Kind::Float, Device::Cpu));
        let expected = &rows * 2.0;
        for most in [1, 2, 7] {
            for batch_size in [1, 3, 7, 100] {
                let asked = RefCell::default();
                let mut fitting = FittingBatch::new(batch_size);
                let found = fitting.run(&rows, &memory_for(most, &asked)).unwrap();
                assert_eq!(found, expected, "{most}, {batch_size}");
            }
        }
        let asked = RefCell::default();
        let mut fitting = FittingBatch::new(7);
        assert!(fitting.run(&rows, &memory_for(0, &asked)).is_err());
    }

    #[test]
    fn what_did_not_fit_once_is_not_tried_again() {
        let rows = Tensor::arange(8, (Kind::Float, Device::Cpu));
        let asked = RefCell::default();
        let mut fitting = FittingBatch::new(8);
        for _ in 0..2 {
            let _ = fitting.run(&rows, &memory_for(2, &asked)).unwrap();
        }
        assert_eq!(*asked.borrow(), [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]);
    }
}
