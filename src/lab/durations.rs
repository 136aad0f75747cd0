//! [`Durations`]: how long the lesson's three parts take on a machine, from less than a second of its own work.
//!
//! Nearly all of the lesson's time is VGG16's: so many pictures through its convolutions. How many it does in
//! a second is measured; how many each part needs follows from the lesson.
//!
//! ```no_run
//! use evcxr_transfer::Lab;
//! let lab = Lab::open()?;
//! println!("{}", lab.durations()?);
//! let lab = lab.measured(); // quick or full by it
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::time::{Duration, Instant};

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::lab::choice::Choice;
use crate::machine::device;
use crate::machine::precision::Precision;
use crate::network::base::Base;
use crate::network::weights::weights::Weights;
use crate::show::display::displayed;
use crate::show::table::Table;

/// The lesson's pictures: their side in pixels.
const SIZE: usize = 150;
/// How long passes are repeated. A first pass that takes longer is enough.
const MEASURED: Duration = Duration::from_millis(500);
/// How long one pass may take.
const PASS: Duration = Duration::from_millis(200);
/// The lesson's batch; larger ones are hardly faster.
const LARGEST_BATCH: i64 = 20;
/// What fine-tuning takes beyond part 2, for the gradients of the last block.
const FINE_TUNING: f64 = 1.15;
/// An epoch of the head alone on 2,000 pictures' features, in seconds: 0.3 on two cores, less elsewhere.
const HEAD_EPOCH: f64 = 0.3;
/// The longest that a reader should wait who has not asked for the whole lesson.
const LONGEST_FULL: Duration = Duration::from_secs(15 * 60);

/// How much of the lesson is done.
#[derive(Debug, Clone, Copy)]
struct Run {
    train: f64,
    validation: f64,
    epochs: f64,
}

const QUICK: Run = Run {
    train: 400.0,
    validation: 200.0,
    epochs: 10.0,
};
const FULL: Run = Run {
    train: 2000.0,
    validation: 1000.0,
    epochs: 30.0,
};

impl Run {
    /// Seconds of parts 1 to 3.
    fn parts(self, pictures_per_second: f64) -> [f64; 3] {
        let once = (self.train + self.validation) / pictures_per_second;
        let head = self.epochs * HEAD_EPOCH * self.train / FULL.train;
        // Augmented pictures pass the base in every epoch, those of validation once a run.
        let augmented = self.epochs * self.train + self.validation;
        let frozen = augmented / pictures_per_second;
        [once + head, frozen, frozen * FINE_TUNING]
    }

    fn all(self, pictures_per_second: f64) -> Duration {
        let seconds = self.parts(pictures_per_second).iter().sum();
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// How long the lesson's three parts take on this machine, quick and full, as measured.
#[derive(Clone)]
pub struct Durations {
    pictures_per_second: f64,
    device: Device,
    precision: Precision,
}

impl Durations {
    /// Measures with random weights: their values do not matter for the time.
    pub(crate) fn measure(device: Device, precision: Precision) -> Result<Self> {
        let base = Base::vgg16(SIZE, &Weights::seeded(0), device, precision)?;
        let failed = Error::compute(format!(
            "measuring how fast {} computes",
            device::name(device)
        ));
        Ok(Self {
            pictures_per_second: pictures_per_second(&base).map_err(failed)?,
            device,
            precision,
        })
    }

    /// How many pictures of 150 x 150 pixels pass VGG16's convolutions in a second.
    pub fn pictures_per_second(&self) -> f64 {
        self.pictures_per_second
    }

    /// All three parts of a quick run: 400 + 200 pictures, 10 epochs.
    pub fn quick(&self) -> Duration {
        QUICK.all(self.pictures_per_second)
    }

    /// All three parts of the whole lesson: 2,000 + 1,000 pictures, 30 epochs.
    pub fn full(&self) -> Duration {
        FULL.all(self.pictures_per_second)
    }

    /// Each part, quick and full, in words: "about 4 min".
    pub fn table(&self) -> Table {
        let mut table = Table::new("How long it takes here", &["", "quick", "full"]);
        let rate = self.pictures_per_second;
        let names = [
            "part 1, feature extraction",
            "part 2, frozen base, augmented",
            "part 3, fine-tuning block 5",
        ];
        for (part, name) in names.into_iter().enumerate() {
            let of = |run: Run| about(run.parts(rate)[part]);
            table.push([name.to_owned(), of(QUICK), of(FULL)]);
        }
        let of = |all: Duration| about(all.as_secs_f64());
        table.push(["all three".to_owned(), of(self.quick()), of(self.full())]);
        let rate = match rate {
            0.0..10.0 => format!("{rate:.1}"),
            _ => format!("{rate:.0}"),
        };
        table.note(&format!(
            "Measured: {rate} pictures/s through VGG16 on {} in {}. Quick: 400 + 200 pictures, 10 \
             epochs; full: 2,000 + 1,000, 30 epochs.",
            device::name(self.device),
            self.precision
        ))
    }

    /// Quick or full.
    pub(crate) fn run(&self) -> Choice<bool> {
        let full = self.full();
        let words = about(full.as_secs_f64());
        let reason = format!("measured: all three parts in full take {words} here");
        Choice::new(full <= LONGEST_FULL, reason)
    }
}

displayed!(
    Durations,
    "Shows the table under a notebook cell.",
    |durations| durations.table().bundle()
);

/// The pictures that a base does in a second; the first passes, in which libtorch prepares itself, do not count.
fn pictures_per_second(base: &Base) -> std::result::Result<f64, TchError> {
    let _no_grad = tch::no_grad_guard();
    let side = SIZE as i64;
    let pass = |count: i64| {
        let pixels =
            Tensor::f_empty([count, side, side, 3], (Kind::Uint8, Device::Cpu))?.f_fill_(128)?;
        let start = Instant::now();
        let _output = base.forward_pixels(&pixels)?;
        if let Device::Cuda(index) = base.device() {
            tch::Cuda::synchronize(index as i64);
        }
        Ok::<_, TchError>(start.elapsed())
    };
    let start = Instant::now();
    let first = pass(1)?;
    if first > MEASURED {
        // On a machine as slow as this, or as busy, the preparation is small beside it.
        return Ok(1.0 / first.as_secs_f64());
    }
    // As many at once as fit the time: a slow machine shows how slow it is with one.
    let one = pass(1)?.as_secs_f64().max(1e-6);
    let count = ((PASS.as_secs_f64() / one) as i64).clamp(1, LARGEST_BATCH);
    let mut quickest = match count {
        1 => one,
        _ => pass(count)?.as_secs_f64(),
    };
    // The quickest: other programs slow single passes down.
    while start.elapsed() < MEASURED {
        quickest = quickest.min(pass(count)?.as_secs_f64());
    }
    Ok(count as f64 / quickest.max(1e-6))
}

/// An estimate as one says it: "about 40 s", "about 4 min", "about 2 h 40 min".
fn about(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        _ if seconds < 55.0 => format!("about {} s", ((seconds / 5.0).ceil() * 5.0).max(5.0)),
        0..20 => format!("about {} min", minutes.max(1)),
        20..58 => format!("about {} min", (minutes + 2) / 5 * 5),
        _ => {
            let tens = (minutes + 5) / 10;
            match (tens / 6, tens % 6) {
                (hours, 0) => format!("about {hours} h"),
                (hours, tens) => format!("about {hours} h {tens}0 min"),
            }
        }
    }
}

impl fmt::Display for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Durations({:.1} pictures/s, quick {}, full {})",
            self.pictures_per_second,
            about(self.quick().as_secs_f64()),
            about(self.full().as_secs_f64())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(pictures_per_second: f64) -> Durations {
        Durations {
            pictures_per_second,
            device: Device::Cpu,
            precision: Precision::F32,
        }
    }

    #[test]
    fn times_are_said_roughly() {
        for (seconds, words) in [
            (0.0, "about 5 s"),
            (31.0, "about 35 s"),
            (56.0, "about 1 min"),
            (250.0, "about 4 min"),
            (1_390.0, "about 25 min"),
            (3_500.0, "about 1 h"),
            (9_580.0, "about 2 h 40 min"),
            (43_000.0, "about 12 h"),
        ] {
            assert_eq!(about(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn two_cores_without_avx512_get_a_quick_run_and_a_fast_processor_a_full_one() {
        // 14 pictures/s: part 1 passes 3,000 pictures; part 2 30 x 2,000 + 1,000.
        let slow = durations(14.0);
        let [one, two, three] = FULL.parts(14.0);
        assert!((one - (3000.0 / 14.0 + 9.0)).abs() < 1e-9);
        assert!((two - 61_000.0 / 14.0).abs() < 1e-9);
        assert!((three / two - 1.15).abs() < 1e-9);
        let run = slow.run();
        assert!(!run.value && run.reason.contains("2 h 40 min"), "{run:?}");
        let run = durations(400.0).run();
        assert!(run.value && run.reason.contains("about 6 min"), "{run:?}");
    }
}
