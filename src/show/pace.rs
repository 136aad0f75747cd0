//! How often work under way reports on itself.

use std::time::Duration;

/// When the next report is due, on a clock that begins with the work.
#[derive(Debug)]
pub(crate) struct Pace {
    first: Duration,
    every: Duration,
    /// Reports take one of so many parts of the time at most; 0: however much they take.
    parts: u32,
    /// None: never.
    next: Option<Duration>,
}

impl Pace {
    /// The first report after `first`, another one `every` after the last, or later where making it has
    /// taken more than one of so many `parts` of that time.
    pub(crate) fn new(first: Duration, every: Duration, parts: u32) -> Self {
        Self {
            first,
            every,
            parts,
            next: Some(first),
        }
    }

    /// No report at all.
    pub(crate) fn never() -> Self {
        Self {
            next: None,
            ..Self::new(Duration::ZERO, Duration::ZERO, 0)
        }
    }

    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.next.is_some_and(|next| now >= next)
    }

    /// A report was made, which took so long.
    pub(crate) fn reported(&mut self, now: Duration, took: Duration) {
        let wait = self.every.max(took.saturating_mul(self.parts));
        self.next = self.next.map(|_| now.saturating_add(wait));
    }

    /// The first report is due now.
    pub(crate) fn hurry(&mut self) {
        self.next = self.next.map(|_| Duration::ZERO);
    }

    /// Other work begins: it waits for its first report.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.next = self.next.map(|_| now.saturating_add(self.first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn what_takes_long_to_make_is_made_seldom() {
        let mut pace = Pace::new(ms(300), ms(200), 100);
        assert!(!pace.is_due(ms(299)) && pace.is_due(ms(300)));
        pace.reported(ms(300), ms(1));
        assert!(!pace.is_due(ms(499)) && pace.is_due(ms(500)));
        // 30 ms are one part in a hundred of 3 s.
        pace.reported(ms(500), ms(30));
        assert!(!pace.is_due(ms(3499)) && pace.is_due(ms(3500)));
        let mut never = Pace::never();
        never.begin(ms(1));
        assert!(!never.is_due(Duration::MAX));
    }
}
