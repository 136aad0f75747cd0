//! [`Progress`]: how long work reports on itself, and how it hears that it should stop.
//!
//! ```
//! use std::time::Duration;
//! use evcxr_transfer::{Features, Fit, Progress, ndarray::Array4, train_head};
//!
//! # fn main() -> evcxr_transfer::Result<()> {
//! let values = Array4::from_shape_fn((8, 1, 1, 4), |(n, _, _, c)| (n * c % 5) as f32);
//! let features = Features::from_array(&values, &[0, 1, 0, 1, 0, 1, 0, 1], &["cats", "dogs"])?;
//! // Finished lines, wherever it runs: one for each epoch; work that takes longer than 10 s says so, and then
//! // every minute.
//! let progress = Progress::lines().pace(Duration::from_secs(10), Duration::from_secs(60));
//! train_head(&features, &features, &Fit::default().epochs(2).progress(progress))?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::io::{IsTerminal, stdout};
#[cfg(test)]
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::error::{Error, Result};
use crate::machine::environment;
use crate::machine::stop::Stop;
use crate::show::display_id::DisplayId;
use crate::show::notebook::{Bundle, Out};
use crate::show::pace::Pace;

/// What ties long work to whoever waits for it: how it shows itself while it goes on, and the wish to stop it.
///
/// Unless something else is said, the place decides ([`Progress::auto`]). Cheap to clone; all clones report to
/// the same place and hear the same [`Stop`].
#[derive(Clone)]
#[doc(alias("tqdm", "verbose", "ProgressBar"))]
pub struct Progress {
    pub(super) way: Way,
    pub(super) out: Out,
    first: Duration,
    every: Duration,
    stop: Stop,
}

/// How work shows itself.
#[derive(Clone)]
pub(crate) enum Way {
    /// Displays in our kernel, whose content changes.
    Live,
    /// Finished lines.
    Lines,
    /// Bars on a terminal.
    Bar(MultiProgress),
    Quiet,
}

impl Progress {
    fn new(way: Way, first: Duration, every: Duration) -> Self {
        Self {
            way,
            out: Out::Stdout,
            first,
            every,
            stop: Stop::new(),
        }
    }

    /// What suits the place: [`Progress::live`] in a notebook with the kernel "Rust (transfer)", [`Progress::bar`] where
    /// stdout is a terminal, [`Progress::lines`] elsewhere, as under `mpirun`, which passes lines on. The default.
    pub fn auto() -> Self {
        if environment::is_live() {
            Self::live()
        } else if stdout().is_terminal() && environment::processes_started() == 1 {
            Self::bar()
        } else {
            Self::lines()
        }
    }

    /// Shows work in a notebook while it goes on: a bar that moves, epochs and curves that grow. What stays is a
    /// line a task, the epochs and the finished curves.
    ///
    /// Work of less than 0.3 s only leaves its line. There are five changes a second at most, and they take less than
    /// 1 % of the time. Only the kernel "Rust (transfer)" understands it.
    pub fn live() -> Self {
        Self::new(Way::Live, Duration::from_millis(300), Duration::ZERO)
    }

    /// Prints finished lines: the first report of a task after 2 seconds, then one every 5.
    pub fn lines() -> Self {
        // Short work needs no report; the page and the saved notebook keep every line for good.
        Self::new(Way::Lines, Duration::from_secs(2), Duration::from_secs(5))
    }

    /// Moves a bar on a terminal while work goes on, from 0.3 s on; finished tasks and epochs leave a line.
    pub fn bar() -> Self {
        Self::bars_on(ProgressDrawTarget::stdout())
    }

    pub(crate) fn bars_on(target: ProgressDrawTarget) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        Self::new(Way::Bar(bars), Duration::from_millis(300), Duration::ZERO)
    }

    /// Shows nothing.
    pub fn quiet() -> Self {
        Self::new(Way::Quiet, Duration::ZERO, Duration::ZERO)
    }

    /// Lines that are kept instead of printed; [`Progress::kept`] hands them out.
    #[cfg(test)]
    pub(crate) fn keeping() -> Self {
        Self::lines().in_memory()
    }

    /// The same progress, whose output is kept instead of printed.
    #[cfg(test)]
    pub(crate) fn in_memory(mut self) -> Self {
        self.out = Out::Memory(Arc::default());
        self
    }

    /// What a progress in memory has received so far; nothing for every other.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> Vec<String> {
        match &self.out {
            Out::Memory(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Out::Stdout => Vec::new(),
        }
    }

    /// The same progress with other waiting times: `first` until a task's first report, `every`
    /// from one report to the next. What moves in its place changes five times a second at most all the same.
    pub fn pace(mut self, first: Duration, every: Duration) -> Self {
        self.first = first;
        self.every = every;
        self
    }

    /// The same progress, listening to `stop`: long work that has this progress asks it at each batch.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// The same progress, showing nothing: it hears the same wish to stop.
    pub(crate) fn silent(&self) -> Self {
        Self::quiet().stop(&self.stop)
    }

    /// Whether the work should end at the next batch.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_requested()
    }

    /// Ends work that has nothing to give back before it is complete, if it should stop.
    pub(crate) fn check(&self, doing: &str) -> Result<()> {
        if self.is_stopped() {
            let doing = doing.to_owned();
            return Err(Error::Stopped { doing });
        }
        Ok(())
    }

    /// The same progress with lines at a sixth of the pace, for work of which there is much: an epoch's steps.
    pub(crate) fn slower(&self) -> Self {
        let mut progress = self.clone();
        if self.is_lines() {
            progress.first = self.first.saturating_mul(6);
            progress.every = self.every.saturating_mul(6);
        }
        progress
    }

    /// When reports are due. Those that change in their place come `every` so often at most and take one of so
    /// many `parts` of the time; lines stay, and come as seldom as the progress says.
    pub(crate) fn pace_of_reports(&self, every: Duration, parts: u32) -> Pace {
        match self.way {
            Way::Quiet => Pace::never(),
            Way::Lines => Pace::new(self.first, self.every, 0),
            Way::Live | Way::Bar(_) => Pace::new(self.first, self.every.max(every), parts),
        }
    }

    /// Whether it shows itself as finished lines only.
    pub(crate) fn is_lines(&self) -> bool {
        matches!(self.way, Way::Lines)
    }

    /// Whether our kernel shows it.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.way, Way::Live)
    }

    /// Shows something in a display of our kernel.
    pub(crate) fn display(&self, id: &DisplayId, bundle: &Bundle) {
        self.out.display(id, bundle);
    }

    /// Reports one event as one finished line, for example an epoch's loss and accuracy.
    ///
    /// Line breaks inside `line` become spaces.
    pub fn line(&self, line: &str) {
        match &self.way {
            Way::Quiet => {}
            // Above the bars, which would be written over otherwise.
            Way::Bar(bars) => bars.suspend(|| self.out.line(line)),
            Way::Live | Way::Lines => self.out.line(line),
        }
    }
}

impl Default for Progress {
    /// The same as [`Progress::auto`].
    fn default() -> Self {
        Self::auto()
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.way {
            Way::Live => "Progress: live",
            Way::Lines => "Progress: lines",
            Way::Bar(_) => "Progress: bar",
            Way::Quiet => "Progress: quiet",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_lines_are_whole_lines() {
        let progress = Progress::keeping();
        progress.clone().line("epoch 1/30\nloss 0.69");
        assert_eq!(progress.kept(), ["epoch 1/30 loss 0.69"]);
        Progress::quiet().line("nothing");
    }

    #[test]
    fn each_way_has_its_own_pace() {
        let second = Duration::from_secs(1);
        let least = Duration::from_millis(200);
        let next = |progress: Progress, now: Duration| {
            let mut pace = progress.pace_of_reports(least, 100);
            pace.reported(now, Duration::from_millis(10));
            (0..100_000)
                .map(|ms| now + Duration::from_millis(ms))
                .find(|time| pace.is_due(*time))
                .map(|time| time - now)
        };
        assert_eq!(next(Progress::lines(), second), Some(5 * second));
        assert_eq!(next(Progress::lines().slower(), second), Some(30 * second));
        // A hundred times the 10 ms.
        assert_eq!(next(Progress::live(), second), Some(second));
        assert_eq!(next(Progress::live().slower(), second), Some(second));
        assert_eq!(next(Progress::bar(), second), Some(second));
        assert_eq!(next(Progress::quiet(), second), None);
        let fast = Progress::live().pace(Duration::ZERO, Duration::ZERO);
        assert_eq!(next(fast, second), Some(second));
    }
}
