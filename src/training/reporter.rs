//! [`Reporter`]: how a training run shows itself while it goes on.
//!
//! In a notebook with our kernel it has two displays: the epochs so far over a bar for the running one, and from
//! the second epoch on the curves, which grow. Elsewhere an epoch is a line, and its steps are a task's.

use std::time::{Duration, Instant};

use crate::show::display::Displayable;
use crate::show::display_id::DisplayId;
use crate::show::pace::Pace;
use crate::show::place::{Frame, Place};
use crate::show::progress::Progress;
use crate::show::work::Work;
use crate::training::epoch::Epoch;
use crate::training::evaluation::Evaluation;
use crate::training::fit::Fit;
use crate::training::history::History;

/// Four changes of the text and one of the curves a second at most, each with half a hundredth of the time.
const TEXT: Duration = Duration::from_millis(250);
const CURVES: Duration = Duration::from_secs(1);
const PARTS: u32 = 200;

/// So many epochs or notes stand one below the other at most.
const MOST_LINES: usize = 10;

/// Curves have two points at least.
const FEWEST_EPOCHS: usize = 2;

/// What shows a run, from before its first epoch to its end.
pub(crate) struct Reporter {
    progress: Progress,
    /// How many epochs the run is to have.
    epochs: usize,
    /// The time since the run has begun.
    clock: Box<dyn Fn() -> Duration>,
    place: Place,
    pace: Pace,
    /// The display of the curves; none where nothing changes in its place.
    curves: Option<DisplayId>,
    pace_of_curves: Pace,
    /// Whether the curves have grown since they were shown.
    has_grown: bool,
    /// The run so far.
    history: History,
    /// How many epochs it had before.
    earlier: usize,
    notes: Vec<String>,
    steps: usize,
    work: Work,
    /// When that has begun.
    since: Duration,
    /// Loss and accuracy of the running epoch so far, where they are known.
    so_far: Option<Evaluation>,
}

impl Reporter {
    /// `history` has the epochs of an earlier run that this one goes on with; it gets a display for its curves.
    pub(crate) fn new(fit: &Fit, history: &mut History) -> Self {
        let start = Instant::now();
        Self::on_clock(fit, history, Box::new(move || start.elapsed()))
    }

    fn on_clock(fit: &Fit, history: &mut History, clock: Box<dyn Fn() -> Duration>) -> Self {
        let progress = fit.progress.slower();
        if progress.is_live() && history.display_id.is_none() {
            history.display_id = Some(DisplayId::new());
        }
        let curves = history.display_id.clone();
        Self {
            epochs: fit.epochs,
            clock,
            place: Place::new(&progress),
            pace: progress.pace_of_reports(TEXT, PARTS),
            curves: curves.filter(|_| progress.is_live()),
            pace_of_curves: progress.pace_of_reports(CURVES, PARTS),
            has_grown: false,
            earlier: history.epochs.len(),
            history: history.clone(),
            notes: Vec::new(),
            steps: 0,
            work: Work::new("training", "steps", None),
            since: Duration::ZERO,
            so_far: None,
            progress,
        }
    }

    /// An epoch of so many steps with so many pictures begins.
    pub(crate) fn begin_epoch(&mut self, number: usize, steps: usize, pictures: usize) {
        self.steps = steps;
        self.so_far = None;
        let mut work = Work::new(&self.name(number), "steps", Some(steps));
        if !self.progress.is_lines() {
            work = work.speed_in("pictures", pictures as f64 / steps.max(1) as f64);
        }
        let now = (self.clock)();
        if self.curves.is_none() {
            // Each epoch is a task of its own.
            self.pace.begin(now);
        }
        self.begin(work, now);
    }

    /// So many steps of it are done. Cheap enough for every step.
    pub(crate) fn step(&mut self, done: usize, so_far: Option<Evaluation>) {
        self.so_far = so_far;
        self.done(done, (self.clock)());
    }

    /// The weights have moved; now they are measured on so many pictures.
    pub(crate) fn begin_validation(&mut self, trained: Evaluation, pictures: usize) {
        self.so_far = Some(trained);
        let name = format!("{}, validation", self.name(self.history.epochs.len() + 1));
        let work = Work::new(&name, "pictures", Some(pictures));
        self.begin(work, (self.clock)());
    }

    /// So many pictures have been measured.
    pub(crate) fn validated(&mut self, done: usize) {
        if !self.progress.is_lines() {
            self.done(done, (self.clock)());
        }
    }

    /// An epoch is over. What moves tells it with the beginning of the next one.
    pub(crate) fn end_epoch(&mut self, epoch: Epoch) {
        self.history.epochs.push(epoch);
        self.has_grown = true;
        if self.curves.is_none() {
            let line = self.line(self.history.epochs.len(), &epoch);
            self.place.end(&[line]);
        }
    }

    /// Says something beside the numbers.
    pub(crate) fn note(&mut self, note: &str) {
        let note = format!("Note: {note}");
        if self.curves.is_none() {
            self.place.end(&[note]);
            return;
        }
        if self.notes.len() == MOST_LINES {
            // The same trouble after every epoch: the first and the latest tell it.
            self.notes.remove(MOST_LINES / 2);
        }
        self.notes.push(note);
    }

    /// The run is over: its epochs and curves stay.
    pub(crate) fn finish(mut self) {
        self.end(None);
    }

    fn name(&self, number: usize) -> String {
        format!("Epoch {number}/{}", self.epochs)
    }

    fn line(&self, number: usize, epoch: &Epoch) -> String {
        epoch.line(number, self.epochs, self.steps.max(1))
    }

    fn begin(&mut self, work: Work, now: Duration) {
        self.work = work;
        self.since = now;
        if !self.progress.is_lines() {
            self.report(now);
        }
    }

    fn done(&mut self, done: usize, now: Duration) {
        self.work.set_done(done);
        // What comes next says more.
        if !self.work.is_complete() {
            self.report(now);
        }
    }

    /// Shows how far the run has come, where that is due.
    fn report(&mut self, now: Duration) {
        if self.pace.is_due(now) {
            let begun = Instant::now();
            self.show(now);
            self.pace.reported(now, begun.elapsed());
        }
        // Below the text, so not before it.
        if self.has_grown && self.place.is_moving() && self.pace_of_curves.is_due(now) {
            let begun = Instant::now();
            self.show_curves(false);
            self.pace_of_curves.reported(now, begun.elapsed());
        }
    }

    fn show(&mut self, now: Duration) {
        let mut text = self.work.so_far(now.saturating_sub(self.since));
        if let Some(so_far) = self.so_far.filter(|_| !self.progress.is_lines()) {
            text += &format!(" - {so_far}");
        }
        let above = match self.curves {
            Some(_) => self.lines(false),
            None => Vec::new(),
        };
        self.place.show(&Frame {
            above: &above,
            text: &text,
            done: self.work.done(),
            total: self.work.total(),
        });
    }

    /// The lines of the run's own epochs: of many the latest, or when it is over the first, the best and the last.
    fn lines(&self, is_over: bool) -> Vec<String> {
        let own = self.history.after(self.earlier);
        let count = own.epochs.len();
        let best = own.best().map_or(count, |(best, _)| best);
        let mut shown = match is_over {
            _ if count <= MOST_LINES => (1..=count).collect(),
            false => (count - MOST_LINES + 1..=count).collect(),
            true => vec![1, best, count],
        };
        shown.dedup();
        let line = |&number: &usize| {
            let epoch = own.epochs.get(number - 1)?;
            Some(self.line(self.earlier + number, epoch))
        };
        let mut lines = shown.iter().filter_map(line).collect::<Vec<_>>();
        match is_over {
            _ if count <= MOST_LINES => {}
            false => lines.insert(0, format!("{} epochs before", count - MOST_LINES)),
            true => lines.push(format!(
                "The first, the best ({}) and the last of {count} epochs; `history.table()` shows all",
                self.earlier + best
            )),
        }
        lines
    }

    fn show_curves(&mut self, is_over: bool) {
        let whole = self.history.whole();
        if let Some(id) = &self.curves
            && whole.epochs.len() >= FEWEST_EPOCHS
        {
            let bundle = match is_over {
                true => whole.bundle(),
                false => whole.plot().sketch(),
            };
            self.progress.display(id, &bundle);
        }
        self.has_grown = false;
    }

    /// What stays: epochs, notes and curves; `stopped` says where an error broke the run off.
    fn end(&mut self, stopped: Option<String>) {
        let mut lines = match self.curves {
            Some(_) => self.lines(true),
            None => Vec::new(),
        };
        lines.append(&mut self.notes);
        lines.extend(stopped);
        self.place.end(&lines);
        if self.history.epochs.len() > self.earlier {
            self.show_curves(true);
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if self.place.is_moving() {
            self.end(Some(self.work.stopped()));
        }
    }
}

#[cfg(test)]
mod tests;
