//! A mean that forgets: what a noisy loss comes to.

/// Exponential smoothing, as fastai's recorder and learning rate finders have it.
pub(crate) struct Smoothing {
    /// How much of the last smoothed value the next one keeps, 0 up to 1.
    keeps: f64,
    sum: f64,
    count: i32,
}

impl Smoothing {
    pub(crate) fn new(keeps: f64) -> Self {
        Self {
            keeps,
            sum: 0.0,
            count: 0,
        }
    }

    /// The mean with one more value.
    pub(crate) fn add(&mut self, value: f64) -> f64 {
        self.sum = self.keeps * self.sum + (1.0 - self.keeps) * value;
        self.count = self.count.saturating_add(1);
        // It starts at zero: divided by the weight that it has gathered so far.
        self.sum / (1.0 - self.keeps.powi(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_whole_and_later_ones_by_their_age() {
        let mut smoothing = Smoothing::new(0.5);
        assert_eq!(smoothing.add(4.0), 4.0);
        // (4 / 4 + 1 / 2) / (1 - 1 / 4)
        assert_eq!(smoothing.add(1.0), 2.0);
        let mut constant = Smoothing::new(0.98);
        for _ in 0..50 {
            assert!((constant.add(0.7) - 0.7).abs() < 1e-12);
        }
    }
}
