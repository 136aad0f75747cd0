//! [`Work`]: how far a piece of work has come, in words.

use std::time::Duration;

/// Work that is counted in a unit ("pictures", "steps"), up to a total where that is known.
///
/// The unit "bytes" is shown in megabytes.
#[derive(Debug)]
pub(crate) struct Work {
    name: String,
    unit: String,
    total: Option<usize>,
    begun_at: usize,
    done: usize,
    /// In what its speed is told, and how many of these a unit has.
    speed_in: Option<(&'static str, f64)>,
}

impl Work {
    pub(crate) fn new(name: &str, unit: &str, total: Option<usize>) -> Self {
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            total,
            begun_at: 0,
            done: 0,
            speed_in: None,
        }
    }

    /// Says that `done` units were there already, so that a resumed download is not counted as
    /// quick.
    pub(crate) fn resume_at(&mut self, done: usize) {
        self.begun_at = done;
        self.done = done;
    }

    /// Tells the speed in another unit, of which each of these has `count`.
    pub(crate) fn speed_in(mut self, unit: &'static str, count: f64) -> Self {
        self.speed_in = Some((unit, count));
        self
    }

    /// Says how many units are done in all.
    pub(crate) fn set_done(&mut self, done: usize) {
        self.done = done;
    }

    pub(crate) fn done(&self) -> usize {
        self.done
    }

    pub(crate) fn total(&self) -> Option<usize> {
        self.total
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.total == Some(self.done)
    }

    /// "extracting features: 400/2000 pictures, 13.3 pictures/s, 2 min left".
    pub(crate) fn so_far(&self, elapsed: Duration) -> String {
        let mut line = format!("{}: {}", self.name, self.share());
        line.push_str(&self.speed(elapsed));
        if let Some(rate) = self.rate(elapsed)
            && let Some(left) = self.total.and_then(|total| total.checked_sub(self.done))
        {
            line.push_str(&format!(", {} left", duration(left as f64 / rate)));
        }
        line
    }

    /// "extracting features: 2000 pictures in 2 min 31 s, 13.2 pictures/s".
    pub(crate) fn summary(&self, elapsed: Duration) -> String {
        let amount = amount(&self.unit, self.done as f64);
        let time = duration(elapsed.as_secs_f64());
        format!("{}: {amount} in {time}{}", self.name, self.speed(elapsed))
    }

    /// "extracting features: stopped at 400/2000 pictures".
    pub(crate) fn stopped(&self) -> String {
        format!("{}: stopped at {}", self.name, self.share())
    }

    /// "400/2000 pictures".
    fn share(&self) -> String {
        let done = self.done as f64;
        match self.total {
            None => amount(&self.unit, done),
            Some(total) => {
                let total = amount(&self.unit, total as f64);
                format!("{}/{total}", number(&self.unit, done))
            }
        }
    }

    /// ", 13.2 pictures/s", where there is enough to tell.
    fn speed(&self, elapsed: Duration) -> String {
        let (unit, count) = self.speed_in.unwrap_or((&self.unit, 1.0));
        self.rate(elapsed).map_or_else(String::new, |rate| {
            format!(", {}/s", amount(unit, rate * count))
        })
    }

    /// Units per second, where there is enough to tell.
    fn rate(&self, elapsed: Duration) -> Option<f64> {
        let done = self.done.saturating_sub(self.begun_at);
        // Over less than a tenth of a second the clock says more about the start than the work.
        (done > 0 && elapsed.as_millis() >= 100).then(|| done as f64 / elapsed.as_secs_f64())
    }
}

fn number(unit: &str, value: f64) -> String {
    match unit {
        "bytes" => format!("{:.1}", value / 1e6),
        _ if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

fn amount(unit: &str, value: f64) -> String {
    let number = number(unit, value);
    let unit = if unit == "bytes" { "MB" } else { unit };
    format!("{number} {unit}")
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
mod tests {
    use super::*;

    #[test]
    fn work_is_told_while_it_goes_on_and_when_it_is_over() {
        let mut work = Work::new("extracting features", "pictures", Some(2000));
        work.set_done(40);
        let first = "extracting features: 40/2000 pictures, 20 pictures/s, 98 s left";
        assert_eq!(work.so_far(Duration::from_secs(2)), first);
        // 1600 pictures at 400 / 30 pictures a second take 120 s.
        work.set_done(400);
        let second = "extracting features: 400/2000 pictures, 13.3 pictures/s, 2 min left";
        assert_eq!(work.so_far(Duration::from_secs(30)), second);
        let stopped = "extracting features: stopped at 400/2000 pictures";
        assert_eq!(work.stopped(), stopped);
        work.set_done(2000);
        let summary = "extracting features: 2000 pictures in 2 min 31 s, 13.2 pictures/s";
        assert_eq!(work.summary(Duration::from_secs(151)), summary);
    }

    #[test]
    fn a_resumed_download_is_counted_in_megabytes_from_where_it_went_on() {
        let mut work = Work::new("vgg16.h5", "bytes", Some(60_000_000));
        work.resume_at(30_000_000);
        // 10 MB in 4 s leave 20 MB at 2.5 MB/s.
        work.set_done(40_000_000);
        let line = "vgg16.h5: 40.0/60.0 MB, 2.5 MB/s, 8.0 s left";
        assert_eq!(work.so_far(Duration::from_secs(4)), line);
        let mut unknown = Work::new("page", "bytes", None);
        unknown.set_done(5_000_000);
        let line = "page: 5.0 MB, 2.5 MB/s";
        assert_eq!(unknown.so_far(Duration::from_secs(2)), line);
        assert_eq!(unknown.stopped(), "page: stopped at 5.0 MB");
    }

    #[test]
    fn the_speed_of_steps_can_be_told_in_pictures() {
        let mut work = Work::new("Epoch 1/30", "steps", Some(100)).speed_in("pictures", 20.0);
        work.set_done(40);
        let line = "Epoch 1/30: 40/100 steps, 200 pictures/s, 6.0 s left";
        assert_eq!(work.so_far(Duration::from_secs(4)), line);
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
