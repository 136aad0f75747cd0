//! Worlds whose processes are threads, for tests of whatever is done together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::Duration;

use super::*;

/// A network as slow as it is told to be, which counts what the first process sends.
#[derive(Default)]
pub(crate) struct Network {
    /// For each message.
    pub(crate) latency: Duration,
    /// For each byte of it.
    pub(crate) of_a_byte: Duration,
    /// What the last process takes besides, before it says anything.
    pub(crate) last_is_late: Duration,
    pub(crate) messages: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
}

impl Network {
    /// How long so many messages take, that have so many bytes together.
    pub(crate) fn predicted(&self, messages: usize, bytes: usize) -> Duration {
        self.latency * messages as u32 + self.of_a_byte * bytes as u32
    }
}

/// What threads tell each other.
struct Threads {
    rank: usize,
    said: Arc<(Barrier, Mutex<Vec<Vec<u8>>>)>,
    network: Arc<Network>,
}

impl Exchange for Threads {
    fn sum(&self, values: &mut [f32]) {
        let own = values.iter().flat_map(|value| value.to_le_bytes());
        let all = self.gather(&own.collect::<Vec<_>>());
        values.fill(0.0);
        for said in all {
            for (sum, bytes) in values.iter_mut().zip(said.chunks_exact(4)) {
                *sum += f32::from_le_bytes(bytes.try_into().unwrap_or_default());
            }
        }
    }

    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let (all_here, said) = &*self.said;
        let said = || said.lock().unwrap_or_else(PoisonError::into_inner);
        let network = &self.network;
        if self.rank == 0 {
            network.messages.fetch_add(1, Ordering::SeqCst);
            network.bytes.fetch_add(own.len(), Ordering::SeqCst);
        }
        let is_last = self.rank + 1 == said().len();
        if is_last {
            std::thread::sleep(network.last_is_late);
        }
        std::thread::sleep(network.predicted(1, own.len()));
        said()[self.rank] = own.to_vec();
        all_here.wait();
        let all = said().clone();
        // Nobody may say the next thing before all have heard this one.
        all_here.wait();
        all
    }

    fn abort(&self) {}
}

/// What `work` gives on each of `size` processes, by rank.
pub(crate) fn in_a_world<T: Send>(size: usize, work: impl Fn(&World) -> T + Sync) -> Vec<T> {
    in_a_slow_world(size, &Arc::default(), work)
}

/// The same with a network that takes its time.
pub(crate) fn in_a_slow_world<T: Send>(
    size: usize,
    network: &Arc<Network>,
    work: impl Fn(&World) -> T + Sync,
) -> Vec<T> {
    let said = Arc::new((Barrier::new(size), Mutex::new(vec![Vec::new(); size])));
    std::thread::scope(|scope| {
        let process = |rank| {
            let said = Arc::clone(&said);
            let (work, network) = (&work, Arc::clone(network));
            scope.spawn(move || {
                let exchange = Arc::new(Threads {
                    rank,
                    said,
                    network,
                });
                // Two on each computer.
                let node = format!("node{}", rank / 2);
                work(&World::connected(rank, &node, exchange))
            })
        };
        let processes = (0..size).map(process).collect::<Vec<_>>();
        let outcomes = processes.into_iter().map(|process| process.join());
        outcomes
            .map(|outcome| outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

#[test]
fn everything_is_shared_out_once() {
    for (count, size) in [(2003, 4), (20, 3), (3, 4), (0, 2)] {
        let shares = in_a_world(size, |world| world.share(count));
        let all = shares.clone().into_iter().flatten();
        assert_eq!(all.collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        let lengths = shares.iter().map(ExactSizeIterator::len);
        assert!(lengths.clone().max() <= lengths.min().map(|least| least + 1));
    }
    assert_eq!(World::alone().share(7), 0..7);
}

#[test]
fn sums_are_the_same_everywhere_and_gpus_are_counted_by_computer() {
    let heard = in_a_world(3, |world| {
        let own = world.rank() as f32 + 1.0;
        let mut values = [own, 10.0 * own];
        world.sum(&mut values);
        let first = world.of_first(f64::from(own));
        (
            values,
            world.sum_few([0.1, f64::from(own)]),
            first,
            world.local_rank(),
        )
    });
    let expected = ([6.0, 60.0], [0.1 + 0.1 + 0.1, 6.0], 1.0);
    for (rank, (values, few, first, local_rank)) in heard.into_iter().enumerate() {
        assert_eq!((values, few, first), expected);
        assert_eq!(local_rank, rank % 2);
    }
}

#[test]
fn who_fails_is_named_on_all() {
    let stopped = || Error::Stopped {
        doing: "reading".into(),
    };
    let failed = |problem: &str| Error::Figure {
        problem: problem.into(),
    };
    let agreed = in_a_world(3, |world| {
        let is_last = world.rank() == 2;
        [
            world.agree(Ok(())),
            world.agree(if is_last { Err(stopped()) } else { Ok(()) }),
            world.agree(if is_last {
                Err(failed("ink"))
            } else {
                Err(stopped())
            }),
            world.agree(Err(failed("paper"))),
        ]
    });
    for outcomes in agreed {
        let [good, stop, one, all] = outcomes.map(Result::err);
        assert!(good.is_none());
        assert!(matches!(stop, Some(Error::Stopped { .. })));
        let one = one.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            one.starts_with("process 2 of 3 (on node1): ") && one.contains("ink"),
            "{one}"
        );
        // What all have is everybody's own error.
        assert!(matches!(all, Some(Error::Figure { .. })));
    }
}

#[test]
fn a_difference_is_told_with_its_node() {
    let said = in_a_world(3, |world| {
        let pictures = if world.rank() == 1 { 1999 } else { 2000 };
        let facts = [("seed", 0), ("training pictures", pictures)];
        let facts = facts.map(|(name, value)| (name.to_owned(), Value::from(value)));
        world.check_same(&BTreeMap::from(facts))
    });
    for outcome in said {
        let error = outcome
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        let expected =
            "process 1 of 3 (on node0): training pictures: 1999, and process 0 (on node0) has 2000";
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn processes_that_do_not_hear_each_other_are_refused() {
    let world = World::alone();
    assert!(world.check_started(1).is_ok());
    let error = world
        .check_started(4)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(error.contains("4 that hear each other"), "{error}");
    assert!(world.check_enough("training pictures", 1).is_ok());
    let few = in_a_world(2, |world| {
        world.check_enough("training pictures", 1).is_err()
    });
    assert_eq!(few, [true, true]);
}
