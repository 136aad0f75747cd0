//! The range of values: the smallest is drawn darkest, the largest lightest.

use num_traits::float::FloatCore;

/// The smallest and the largest of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range<F> {
    pub(crate) low: F,
    pub(crate) high: F,
}

impl<F: FloatCore> Range<F> {
    /// That of the finite ones among some values; 0 to 0 if there is none.
    pub(crate) fn of(values: impl Iterator<Item = F>) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let (low, high) = finite.fold((F::infinity(), F::neg_infinity()), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return Self {
                low: F::zero(),
                high: F::zero(),
            };
        }
        Self { low, high }
    }

    /// Where a value lies in it, 0 to 1; 0 if it is not finite, or all values are the same.
    pub(crate) fn share(self, value: F) -> F {
        let share = (value - self.low) / (self.high - self.low);
        if share.is_finite() {
            share.max(F::zero()).min(F::one())
        } else {
            F::zero()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_that_of_the_finite_values() {
        let range = |values: &[f32]| Range::of(values.iter().copied());
        let whole = Range {
            low: -1.0,
            high: 2.0,
        };
        assert_eq!(range(&[2.0, -1.0]), whole);
        assert_eq!(range(&[2.0, f32::INFINITY, -1.0, f32::NAN]), whole);
        let none = Range {
            low: 0.0,
            high: 0.0,
        };
        assert_eq!(range(&[f32::NAN]), none);
    }

    #[test]
    fn shares_lie_between_0_and_1_whatever_the_range() {
        let share = |value: f32, low, high| Range { low, high }.share(value);
        assert_eq!(share(2.0, 1.0, 3.0), 0.5);
        assert_eq!(share(4.0, 1.0, 3.0), 1.0);
        assert_eq!(share(1.0, 1.0, 1.0), 0.0);
        assert_eq!(share(f32::NAN, 0.0, 1.0), 0.0);
    }
}
