//! [`Task`]: a piece of work that reports on itself.

use std::slice;
use std::time::{Duration, Instant};

use crate::show::pace::Pace;
use crate::show::place::{Frame, Place};
use crate::show::progress::Progress;
use crate::show::work::Work;

/// Five reports a second at most, which take a hundredth of the time at most.
const EVERY: Duration = Duration::from_millis(200);
const PARTS: u32 = 100;

impl Progress {
    /// Begins a piece of work that is counted in `unit` ("pictures", "steps"), up to `total` where
    /// that is known. The clock starts now.
    ///
    /// The unit "bytes" is shown in megabytes.
    pub(crate) fn task(&self, name: &str, unit: &str, total: Option<usize>) -> Task {
        Task {
            work: Work::new(name, unit, total),
            place: Place::new(self),
            pace: self.pace_of_reports(EVERY, PARTS),
            start: Instant::now(),
        }
    }
}

/// A piece of work under way, begun by [`Progress::task`].
///
/// One that is dropped without [`Task::finish`] says nothing more, unless a bar moves: that gives way to what
/// was done.
#[derive(Debug)]
pub(crate) struct Task {
    work: Work,
    place: Place,
    pace: Pace,
    start: Instant,
}

impl Task {
    /// Says that `done` units were there already, so that a resumed download is not counted as
    /// quick.
    pub(crate) fn resumed_at(mut self, done: usize) -> Self {
        self.work.resume_at(done);
        self
    }

    /// Shows a bar from the beginning on, where one can move: the first units are known to take their time.
    pub(crate) fn shown_at_once(mut self) -> Self {
        if !self.place.has_lines() {
            self.pace.hurry();
            self.report(self.work.done(), Duration::ZERO);
        }
        self
    }

    /// Says how many units are done in all. Reports now and then; cheap enough for every step.
    pub(crate) fn done(&mut self, done: usize) {
        self.report(done, self.start.elapsed());
    }

    /// Ends the work with one line: how much was done, in what time, how fast.
    pub(crate) fn finish(mut self) {
        let line = self.work.summary(self.start.elapsed());
        self.place.end(&[line]);
    }

    /// Ends work that may be over before its total: a bar that moves gives way to the line; else nothing is said.
    pub(crate) fn over(self) {
        if self.place.is_moving() {
            self.finish();
        }
    }

    fn report(&mut self, done: usize, now: Duration) {
        self.work.set_done(done);
        // The last step is left to `finish`, which says more.
        if !self.pace.is_due(now) || self.work.is_complete() {
            return;
        }
        let begun = Instant::now();
        self.place.show(&Frame {
            above: &[],
            text: &self.work.so_far(now),
            done,
            total: self.work.total(),
        });
        self.pace.reported(now, begun.elapsed());
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.place.is_moving() {
            let line = match self.work.is_complete() {
                true => self.work.summary(self.start.elapsed()),
                false => self.work.stopped(),
            };
            self.place.end(slice::from_ref(&line));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::show::place::tests::{Screen, displays};

    const NAME: &str = "extracting features";

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn reports_come_after_two_seconds_and_then_every_five() {
        let progress = Progress::keeping();
        let mut task = progress.task(NAME, "pictures", Some(2000));
        let mut at = |done, time| {
            let before = progress.kept().len();
            task.report(done, seconds(time));
            progress.kept().get(before).cloned()
        };
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
        // As with lines of text ever since: who drops a task has nothing to say.
        drop(task);
        assert_eq!(progress.kept().len(), 2);
    }

    #[test]
    fn finished_tasks_leave_a_line() {
        for progress in [Progress::keeping(), Progress::live().in_memory()] {
            progress.task("nothing", "steps", Some(0)).finish();
            drop(progress.task("dropped", "steps", Some(3)));
            assert_eq!(progress.kept(), ["nothing: 0 steps in 0.0 s"]);
        }
        let progress = Progress::quiet();
        progress.task("nothing", "steps", Some(0)).finish();
    }

    #[test]
    fn a_live_task_has_one_display_which_moves_five_times_a_second_and_ends_as_text() {
        let progress = Progress::live().in_memory();
        let mut task = progress.task(NAME, "pictures", Some(2000));
        // How long a busy machine takes for a frame is not the question here.
        task.pace = Pace::new(seconds(0.3), EVERY, 0);
        // A picture every 5 ms, ten seconds long.
        for done in 0..2000 {
            task.report(done, seconds(done as f64 * 0.005));
        }
        let shown = displays(&progress);
        // One at 0.3 s, and one more in each fifth of a second up to 9.9 s; a sum of such times may be rounded up.
        assert!((48..=49).contains(&shown.len()), "{}", shown.len());
        assert!(shown.iter().all(|display| display.id == shown[0].id));
        let first = &shown[0];
        let text = "extracting features: 60/2000 pictures, 200 pictures/s, 9.7 s left";
        assert_eq!(first.data["text/plain"], text);
        let html = first.data["text/html"].as_str().unwrap();
        assert!(
            html.contains("<progress value=\"60\" max=\"2000\"") && html.contains(text),
            "{html}"
        );
        task.report(2000, seconds(10.0));
        task.finish();
        let last = displays(&progress).pop().unwrap();
        assert_eq!(last.id, first.id);
        let text = last.data["text/plain"].as_str().unwrap();
        assert!(
            text.starts_with("extracting features: 2000 pictures in"),
            "{text}"
        );
        assert_eq!(last.data.len(), 1, "no bar stays: {:?}", last.data);
    }

    #[test]
    fn a_task_that_breaks_off_says_how_far_it_came() {
        let progress = Progress::live().in_memory();
        let mut task = progress.task(NAME, "pictures", Some(2000));
        task.report(400, seconds(1.0));
        drop(task);
        let last = displays(&progress).pop().unwrap();
        let text = "extracting features: stopped at 400/2000 pictures";
        assert_eq!(last.data["text/plain"], text);
        assert_eq!(last.data.len(), 1);
        // Whoever drops a task that is complete has finished it.
        let mut task = progress.task(NAME, "pictures", Some(2000));
        task.report(400, seconds(1.0));
        task.report(2000, seconds(2.0));
        drop(task);
        let last = displays(&progress).pop().unwrap();
        let text = last.data["text/plain"].as_str().unwrap();
        assert!(text.contains("2000 pictures in"), "{text}");
        // What was over early has not been broken off.
        let mut task = progress.task(NAME, "pictures", Some(2000));
        task.report(400, seconds(1.0));
        task.over();
        let last = displays(&progress).pop().unwrap();
        let text = last.data["text/plain"].as_str().unwrap();
        assert!(text.contains("400 pictures in"), "{text}");
        let count = progress.kept().len();
        progress.task(NAME, "pictures", Some(2000)).over();
        assert_eq!(progress.kept().len(), count);
    }

    #[test]
    fn a_bar_can_be_there_from_the_beginning() {
        let progress = Progress::live().in_memory();
        let task = progress.task(NAME, "pictures", Some(2000));
        drop(task.shown_at_once());
        let shown = displays(&progress);
        let text = "extracting features: 0/2000 pictures";
        assert_eq!(shown[0].data["text/plain"], text);
        let text = "extracting features: stopped at 0/2000 pictures";
        assert_eq!(shown[1].data["text/plain"], text);
        for progress in [Progress::keeping(), Progress::quiet().in_memory()] {
            let task = progress.task(NAME, "pictures", Some(2000));
            drop(task.shown_at_once());
            assert!(progress.kept().is_empty());
        }
    }

    #[test]
    fn a_terminal_has_a_bar_that_gives_way_to_the_line() {
        let screen = Screen::default();
        let progress = screen.progress();
        let mut task = progress.task(NAME, "pictures", Some(2000));
        task.report(400, seconds(30.0));
        let text = screen.written();
        assert!(
            text.contains("░") && text.contains("400/2000 pictures, 13.3 pictures/s"),
            "{text:?}"
        );
        task.report(2000, seconds(151.0));
        task.finish();
        let lines = progress.kept();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("2000 pictures in"), "{lines:?}");
    }
}
