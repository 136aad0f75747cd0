//! What carries numbers and words between processes.

/// A way from each process to all others. All of them make the same calls in the same order.
pub(crate) trait Exchange: Send + Sync {
    /// Adds up the values of all processes, place by place: each gets the sums.
    fn sum(&self, values: &mut [f32]);

    /// What each process says, by rank.
    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>>;

    /// Ends all processes.
    fn abort(&self);
}
