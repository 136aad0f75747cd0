//! [`Progress`]: how long work reports on itself, and how it hears that it should stop.
//!
//! ```
//! use std::time::Duration;
//! use evcxr_transfer::{Features, Fit, Progress, ndarray::Array4, train_head};
//!
//! # fn main() -> evcxr_transfer::Result<()> {
//! let values = Array4::from_shape_fn((8, 1, 1, 4), |(n, _, _, c)| (n * c % 5) as f32);
//! let features = Features::from_array(&values, &[0, 1, 0, 1, 0, 1, 0, 1], &["cats", "dogs"])?;
//! // A line for each epoch; work that takes longer than 10 s says so, and then every minute.
//! let progress = Progress::lines().pace(Duration::from_secs(10), Duration::from_secs(60));
//! train_head(&features, &features, &Fit::default().epochs(2).progress(progress))?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
#[cfg(test)]
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::machine::stop::Stop;
use crate::show::notebook;

/// What ties long work to whoever waits for it: its reports, as whole lines under the cell or not
/// at all, and the wish to stop it.
///
/// Cheap to clone; all clones report to the same place and hear the same [`Stop`].
#[derive(Clone)]
pub struct Progress {
    sink: Sink,
    first: Duration,
    every: Duration,
    stop: Stop,
}

#[derive(Clone)]
enum Sink {
    Stdout,
    Nowhere,
    #[cfg(test)]
    Memory(Arc<Mutex<Vec<String>>>),
}

impl Progress {
    /// Prints finished lines: the first report of a task after 2 seconds, then one every 5.
    pub fn lines() -> Self {
        // Short work needs no report; the page and the saved notebook keep every line for good.
        Self {
            sink: Sink::Stdout,
            first: Duration::from_secs(2),
            every: Duration::from_secs(5),
            stop: Stop::new(),
        }
    }

    /// Prints nothing.
    pub fn quiet() -> Self {
        Self {
            sink: Sink::Nowhere,
            ..Self::lines()
        }
    }

    /// Keeps the lines instead of printing them; [`Progress::kept`] hands them out.
    #[cfg(test)]
    pub(crate) fn keeping() -> Self {
        Self {
            sink: Sink::Memory(Arc::default()),
            ..Self::lines()
        }
    }

    /// The lines that a [`Progress::keeping`] has received so far; empty for every other.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> Vec<String> {
        match &self.sink {
            Sink::Memory(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            _ => Vec::new(),
        }
    }

    /// The same progress with other waiting times: `first` until a task's first report, `every`
    /// from one report to the next.
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

    /// The same progress at a sixth of the pace, for work of which there is much: an epoch's steps.
    pub(crate) fn slower(&self) -> Self {
        let progress = self.clone();
        let (first, every) = (self.first.saturating_mul(6), self.every.saturating_mul(6));
        progress.pace(first, every)
    }

    /// Reports one event as one finished line, for example an epoch's loss and accuracy.
    ///
    /// Line breaks inside `line` become spaces.
    pub fn line(&self, line: &str) {
        match &self.sink {
            Sink::Stdout => notebook::print_line(line),
            Sink::Nowhere => {}
            #[cfg(test)]
            Sink::Memory(lines) => {
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(notebook::one_line(line));
            }
        }
    }

    /// Begins a piece of work that is counted in `unit` ("pictures", "steps"), up to `total` where
    /// that is known. The clock starts now.
    ///
    /// The unit "bytes" is shown in megabytes.
    pub(crate) fn task(&self, name: &str, unit: &str, total: Option<usize>) -> Task {
        Task {
            progress: self.clone(),
            name: name.to_owned(),
            unit: unit.to_owned(),
            total,
            begun_at: 0,
            done: 0,
            start: Instant::now(),
            next_report: self.first,
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.sink {
            Sink::Stdout => "Progress: lines",
            Sink::Nowhere => "Progress: quiet",
            #[cfg(test)]
            Sink::Memory(_) => "Progress: kept in memory",
        })
    }
}

/// A piece of work under way, begun by [`Progress::task`].
///
/// A task that is dropped without [`Task::finish`] (because the work failed) says nothing more.
#[derive(Debug)]
pub(crate) struct Task {
    progress: Progress,
    name: String,
    unit: String,
    total: Option<usize>,
    begun_at: usize,
    done: usize,
    start: Instant,
    next_report: Duration,
}

impl Task {
    /// Says that `done` units were there already, so that a resumed download is not counted as
    /// quick.
    pub(crate) fn resumed_at(mut self, done: usize) -> Self {
        self.begun_at = done;
        self.done = done;
        self
    }

    /// Says how many units are done in all. Reports now and then; cheap enough for every step.
    pub(crate) fn done(&mut self, done: usize) {
        if let Some(line) = self.report(done, self.start.elapsed()) {
            self.progress.line(&line);
        }
    }

    /// Ends the work with one line: how much was done, in what time, how fast.
    pub(crate) fn finish(self) {
        self.progress.line(&self.summary(self.start.elapsed()));
    }

    fn report(&mut self, done: usize, elapsed: Duration) -> Option<String> {
        self.done = done;
        // The last step is left to `finish`, which says more.
        if elapsed < self.next_report || self.total == Some(done) {
            return None;
        }
        self.next_report = elapsed.saturating_add(self.progress.every);
        let mut line = format!("{}: {}", self.name, self.amount(done as f64));
        if let Some(total) = self.total {
            let so_far = self.number(done as f64);
            line = format!("{}: {so_far}/{}", self.name, self.amount(total as f64));
        }
        if let Some(rate) = self.rate(elapsed) {
            line.push_str(&format!(", {}/s", self.amount(rate)));
            if let Some(left) = self.total.and_then(|total| total.checked_sub(done)) {
                line.push_str(&format!(", {} left", duration(left as f64 / rate)));
            }
        }
        Some(line)
    }

    fn summary(&self, elapsed: Duration) -> String {
        let (name, amount) = (&self.name, self.amount(self.done as f64));
        let mut line = format!("{name}: {amount} in {}", duration(elapsed.as_secs_f64()));
        if let Some(rate) = self.rate(elapsed) {
            line.push_str(&format!(", {}/s", self.amount(rate)));
        }
        line
    }

    /// Units per second, where there is enough to tell.
    fn rate(&self, elapsed: Duration) -> Option<f64> {
        let done = self.done.saturating_sub(self.begun_at);
        // Over less than a tenth of a second the clock says more about the start than the work.
        (done > 0 && elapsed.as_millis() >= 100).then(|| done as f64 / elapsed.as_secs_f64())
    }

    fn number(&self, value: f64) -> String {
        match self.unit.as_str() {
            "bytes" => format!("{:.1}", value / 1e6),
            _ if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0}"),
            _ => format!("{value:.1}"),
        }
    }

    fn amount(&self, value: f64) -> String {
        let unit = if self.unit == "bytes" {
            "MB"
        } else {
            &self.unit
        };
        format!("{} {unit}", self.number(value))
    }
}

/// A time as one reads it: `0.4 s`, `12 s`, `2 min 31 s`, `1 h 5 min`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    match whole {
        0..120 => format!("{whole} s"),
        120..3600 if whole.is_multiple_of(60) => format!("{} min", whole / 60),
        120..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn reports_come_after_two_seconds_and_then_every_five() {
        let mut task = Progress::quiet().task("extracting features", "pictures", Some(2000));
        let mut at = |done, seconds| task.report(done, Duration::from_secs_f64(seconds));
        assert_eq!(at(20, 1.9), None);
        let first = "extracting features: 40/2000 pictures, 20 pictures/s, 98 s left";
        assert_eq!(at(40, 2.0).as_deref(), Some(first));
        assert_eq!(at(80, 6.9), None);
        // 1600 pictures at 400 / 30 pictures a second take 120 s.
        let second = "extracting features: 400/2000 pictures, 13.3 pictures/s, 2 min left";
        assert_eq!(at(400, 30.0).as_deref(), Some(second));
        assert_eq!(
            at(2000, 151.0),
            None,
            "the last step belongs to the summary"
        );
        let summary = "extracting features: 2000 pictures in 2 min 31 s, 13.2 pictures/s";
        assert_eq!(task.summary(Duration::from_secs(151)), summary);
    }

    #[test]
    fn a_resumed_download_is_counted_in_megabytes_from_where_it_went_on() {
        let task = Progress::quiet().task("vgg16.h5", "bytes", Some(60_000_000));
        let mut task = task.resumed_at(30_000_000);
        // 10 MB in 4 s leave 20 MB at 2.5 MB/s.
        let line = task.report(40_000_000, Duration::from_secs(4)).unwrap();
        assert_eq!(line, "vgg16.h5: 40.0/60.0 MB, 2.5 MB/s, 8.0 s left");
        let mut unknown = Progress::quiet().task("page", "bytes", None);
        let line = unknown.report(5_000_000, Duration::from_secs(2)).unwrap();
        assert_eq!(line, "page: 5.0 MB, 2.5 MB/s");
    }

    #[test]
    fn kept_lines_are_whole_lines() {
        let progress = Progress::keeping();
        progress.clone().line("epoch 1/30\nloss 0.69");
        progress.task("nothing", "steps", Some(0)).finish();
        assert_eq!(
            progress.kept(),
            ["epoch 1/30 loss 0.69", "nothing: 0 steps in 0.0 s"]
        );
    }

    #[test]
    fn times_read_like_speech() {
        let times = [0.0, 0.44, 9.96, 119.4, 119.6, 151.0, 3900.0].map(duration);
        assert_eq!(
            times,
            [
                "0.0 s",
                "0.4 s",
                "10 s",
                "119 s",
                "2 min",
                "2 min 31 s",
                "1 h 5 min"
            ]
        );
    }
}
