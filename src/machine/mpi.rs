//! The processes of a world by MPI: all that the crate's feature `mpi` adds.
//!
//! MPI's own way with errors stays: a process that is lost ends the others.

use std::sync::Arc;

use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::{self, Universe};
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::CommunicatorCollectives;

use crate::error::{Error, Result};
use crate::machine::exchange::Exchange;

/// How many numbers one call of MPI takes, which counts them in 31 bits.
const AT_ONCE: usize = 1 << 28;

/// MPI between its beginning and its end.
struct Mpi(Universe);

/// Begins with MPI: the rank of this process, its computer, and the way to the others.
///
/// # Errors
/// [`Error::Mismatch`] if somebody has done so before.
pub(crate) fn open() -> Result<(usize, String, Arc<dyn Exchange>)> {
    // Pictures are decoded by other threads, which never speak to MPI.
    let (universe, _) = environment::initialize_with_threading(mpi::Threading::Serialized)
        .ok_or_else(|| Error::Mismatch {
            what: "the world".into(),
            expected: "to be opened once".into(),
            found: "one that is open already, or was".into(),
            remedy: "Hand the first one on: clones of it are one world".into(),
        })?;
    let mpi = Mpi(universe);
    let rank = mpi.all().rank().unsigned_abs() as usize;
    let node = environment::processor_name().unwrap_or_default();
    let all: Arc<dyn Exchange> = Arc::new(mpi);
    Ok((rank, node, all))
}

impl Mpi {
    fn all(&self) -> SimpleCommunicator {
        self.0.world()
    }
}

impl Exchange for Mpi {
    fn sum(&self, values: &mut [f32]) {
        let mut sums = vec![0.0; values.len().min(AT_ONCE)];
        for some in values.chunks_mut(AT_ONCE) {
            let sums = &mut sums[..some.len()];
            self.all()
                .all_reduce_into(&*some, sums, SystemOperation::sum());
            some.copy_from_slice(sums);
        }
    }

    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let all = self.all();
        let mut counts = vec![0; all.size().unsigned_abs() as usize];
        all.all_gather_into(&(own.len() as i32), &mut counts[..]);
        let mut end: i32 = 0;
        let starts = counts.iter().map(|&count| {
            end += count;
            end - count
        });
        let starts = starts.collect::<Vec<_>>();
        let mut said = vec![0; end.unsigned_abs() as usize];
        let mut parts = PartitionMut::new(&mut said[..], &counts[..], &starts[..]);
        all.all_gather_varcount_into(own, &mut parts);
        let mut rest = said.as_slice();
        let each = counts.iter().map(|&count| {
            let (own, others) = rest.split_at(count.unsigned_abs() as usize);
            rest = others;
            own.to_vec()
        });
        each.collect()
    }

    fn abort(&self) {
        self.all().abort(1);
    }
}
