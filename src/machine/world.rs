//! [`World`]: the processes that work on one thing together, and what they tell each other.
//!
//! One process is a world of its own, in which nothing is exchanged. With the crate's feature `mpi` and a start by `mpirun`
//! or `srun` there are more ([`World::open`]). The words are MPI's and PyTorch's: so many processes are the world's size, and
//! the number of each is its rank.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::machine::environment;
use crate::machine::exchange::Exchange;
#[cfg(feature = "mpi")]
use crate::machine::mpi;

/// All processes of a program that was started several times at once, as one of them sees it. Cheap to clone.
///
/// ```
/// use evcxr_transfer::{Fit, World};
/// let world = World::open()?; // once, at the beginning of the program
/// assert_eq!((world.rank(), world.size()), (0, 1)); // nobody else was started
/// let fit = Fit::default().world(&world);
/// # Ok::<(), evcxr_transfer::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias(
    "mpi",
    "communicator",
    "world_size",
    "DistributedDataParallel",
    "init_process_group",
    "MultiWorkerMirroredStrategy"
))]
pub struct World {
    rank: usize,
    /// The computer of each process, by rank.
    nodes: Arc<[String]>,
    /// None where there is nobody else.
    exchange: Option<Arc<dyn Exchange>>,
}

impl World {
    /// The processes that `mpirun` or `srun` started together with this one, if the crate was built with its feature `mpi`; otherwise, and if
    /// nobody else was started, this one alone. Once in a program, which ends the others with [`World::abort`] when it
    /// fails.
    ///
    /// PyTorch: `torch.distributed.init_process_group("mpi")`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if several processes were started and cannot hear each other, since each would do all of the
    /// work, or if the world is open already.
    pub fn open() -> Result<Self> {
        #[cfg(feature = "mpi")]
        let world = mpi::open().map(|(rank, node, all)| Self::connected(rank, &node, all))?;
        #[cfg(not(feature = "mpi"))]
        let world = Self::alone();
        world.check_started(environment::processes_started())?;
        Ok(world)
    }

    /// A world of one process; the default of [`Fit`](crate::Fit).
    pub fn alone() -> Self {
        Self {
            rank: 0,
            nodes: Arc::new([String::new()]),
            exchange: None,
        }
    }

    /// Process `rank` of those that `exchange` connects; `node` is its computer.
    #[cfg(any(test, feature = "mpi"))]
    pub(crate) fn connected(rank: usize, node: &str, exchange: Arc<dyn Exchange>) -> Self {
        let nodes = exchange.gather(node.as_bytes());
        let named = |node: &Vec<u8>| String::from_utf8_lossy(node).into_owned();
        Self {
            rank,
            nodes: nodes.iter().map(named).collect(),
            exchange: Some(exchange).filter(|_| nodes.len() > 1),
        }
    }

    /// Refuses more processes than those that hear each other.
    fn check_started(&self, started: usize) -> Result<()> {
        if started <= self.size() {
            return Ok(());
        }
        Err(Error::Mismatch {
            what: "processes".into(),
            expected: format!("{started} that hear each other, as many as were started"),
            found: format!("a world of {}", self.size()),
            remedy: match cfg!(feature = "mpi") {
                false => "Build the program with `--features mpi`",
                true => "Start them with the `mpirun` of the MPI that the program was built with, or `srun --mpi=pmix`",
            }
            .into(),
        })
    }

    /// The number of processes.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The number of this process, counted from 0. The first shows progress and writes checkpoints for all.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Its number among the processes on the same computer, counted from 0: that of its GPU.
    pub fn local_rank(&self) -> usize {
        let before = self.nodes.iter().take(self.rank);
        before
            .filter(|&node| *node == self.nodes[self.rank])
            .count()
    }

    /// Ends the other processes, which would wait for this one for good. For a program that fails, after it has said
    /// why; a process alone goes on.
    ///
    /// ```
    /// # use evcxr_transfer::World;
    /// # fn train(world: &World) -> evcxr_transfer::Result<()> { Ok(()) }
    /// let world = World::open()?;
    /// if let Err(error) = train(&world) {
    ///     eprintln!("error: {error}");
    ///     world.abort();
    /// }
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    pub fn abort(&self) {
        if let Some(exchange) = &self.exchange {
            exchange.abort();
        }
    }

    /// Whether there is nobody else.
    pub(crate) fn is_alone(&self) -> bool {
        self.exchange.is_none()
    }

    /// Which of `count` things are this process': as many as those of any other, or one more or less, side by side.
    pub(crate) fn share(&self, count: usize) -> Range<usize> {
        Self::share_of(count, self.rank, self.size())
    }

    /// Those of process `rank` of `size`.
    pub(crate) fn share_of(count: usize, rank: usize, size: usize) -> Range<usize> {
        count * rank / size..count * (rank + 1) / size
    }

    /// Refuses fewer things than processes; `what` they are.
    pub(crate) fn check_enough(&self, what: &str, count: usize) -> Result<()> {
        if count >= self.size() {
            return Ok(());
        }
        Err(Error::Mismatch {
            what: format!("{what} for {} processes", self.size()),
            expected: format!("{} or more, so that each process has work", self.size()),
            found: count.to_string(),
            remedy: "Start fewer processes".into(),
        })
    }

    /// Adds up the values of all processes, place by place; alone they stay.
    pub(crate) fn sum(&self, values: &mut [f32]) {
        if let Some(exchange) = &self.exchange {
            exchange.sum(values);
        }
    }

    /// The same in f64, in the order of ranks, for a few numbers.
    pub(crate) fn sum_few<const N: usize>(&self, own: [f64; N]) -> [f64; N] {
        let Some(exchange) = &self.exchange else {
            return own;
        };
        let said = own.iter().flat_map(|value| value.to_le_bytes());
        let mut sums = [0.0; N];
        for numbers in exchange.gather(&said.collect::<Vec<_>>()) {
            for (sum, bytes) in sums.iter_mut().zip(numbers.chunks_exact(8)) {
                *sum += bytes.try_into().map_or(f64::NAN, f64::from_le_bytes);
            }
        }
        sums
    }

    /// What process 0 has.
    pub(crate) fn of_first(&self, own: f64) -> f64 {
        let [first] = self.sum_few([if self.rank == 0 { own } else { 0.0 }]);
        first
    }

    /// What has come of something that all processes have done: the own outcome, unless another one has failed. All of
    /// them fail then, so that none waits for one that is gone.
    ///
    /// # Errors
    /// The own error where all have the same, otherwise [`Error::Process`], or [`Error::Stopped`] where one was asked to stop.
    pub(crate) fn agree<T>(&self, own: Result<T>) -> Result<T> {
        let Some(exchange) = &self.exchange else {
            return own;
        };
        let said = match &own {
            Ok(_) => Value::Null,
            Err(Error::Stopped { doing }) => serde_json::json!({ "stopped": doing }),
            Err(error) => serde_json::json!({ "failed": error.to_string() }),
        };
        let all = exchange.gather(said.to_string().as_bytes());
        let all = all.iter().map(|said| serde_json::from_slice(said));
        let all = all
            .map(|said| said.unwrap_or(Value::Null))
            .collect::<Vec<Value>>();
        if all.iter().all(|other| *other == said) {
            return own;
        }
        let find = |key: &str| {
            let mut words = all.iter().map(|said| said[key].as_str());
            let rank = words.position(|words| words.is_some())?;
            Some((rank, all[rank][key].as_str()?.to_owned()))
        };
        match (find("failed"), find("stopped")) {
            (Some((rank, problem)), _) => Err(self.failed(rank, problem)),
            (None, Some((_, doing))) => Err(Error::Stopped { doing }),
            (None, None) => own,
        }
    }

    /// What process `rank` has failed with.
    fn failed(&self, rank: usize, problem: String) -> Error {
        Error::Process {
            rank,
            size: self.size(),
            node: self.nodes.get(rank).cloned().unwrap_or_default(),
            problem,
        }
    }

    /// Refuses processes that begin with other things than process 0 does.
    ///
    /// # Errors
    /// [`Error::Process`] names the first of them and the first difference; the same on all.
    pub(crate) fn check_same(&self, own: &BTreeMap<String, Value>) -> Result<()> {
        let Some(exchange) = &self.exchange else {
            return Ok(());
        };
        let all = exchange.gather(serde_json::json!(own).to_string().as_bytes());
        let all = all.iter().map(|said| serde_json::from_slice(said));
        let all = all
            .map(|said| said.unwrap_or(Value::Null))
            .collect::<Vec<Value>>();
        let first = &all[0];
        for (rank, other) in all.iter().enumerate() {
            let names = [first, other].into_iter().filter_map(Value::as_object);
            let mut names = names.flat_map(|facts| facts.keys());
            if let Some(name) = names.find(|name| first[name.as_str()] != other[name.as_str()]) {
                let [here, there] = [&first[name.as_str()], &other[name.as_str()]];
                let problem = format!(
                    "{name}: {there}, and process 0 (on {}) has {here}. Start all processes with the same \
                     program, arguments, pictures and weights",
                    self.nodes[0]
                );
                return Err(self.failed(rank, problem));
            }
        }
        Ok(())
    }
}

impl Default for World {
    /// The same as [`World::alone`].
    fn default() -> Self {
        Self::alone()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World: process {} of {}", self.rank, self.size())
    }
}

#[cfg(test)]
pub(crate) mod tests;
