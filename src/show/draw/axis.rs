//! A range of values along one side of a chart, and the round numbers that are written beside it.

/// Values beyond this would overflow while axes are computed.
pub(crate) fn drawable((x, y): (f64, f64)) -> bool {
    x.abs() < 1e300 && y.abs() < 1e300
}

/// A range of values along one side of a chart.
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Epochs and other counts get whole numbers only.
    whole: bool,
    /// Low and high are then powers of ten.
    is_log: bool,
}

impl Axis {
    /// The range of a coordinate of some points, with a little room, and no smaller than `at_least`.
    pub(crate) fn over<'a>(
        points: impl Iterator<Item = &'a (f64, f64)>,
        value: impl Fn(&(f64, f64)) -> f64,
        at_least: Option<(f64, f64)>,
    ) -> Self {
        let values: Vec<f64> = points.filter(|&&p| drawable(p)).map(value).collect();
        let given = at_least.into_iter().filter(|&range| drawable(range));
        let all = values
            .iter()
            .copied()
            .chain(given.flat_map(|(low, high)| [low, high]));
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
        if low > high {
            return Self {
                low: 0.0,
                high: 1.0,
                whole: false,
                is_log: false,
            };
        }
        // One epoch, or a metric that never moves, still needs room to either side.
        let room = if high > low {
            (high - low) * 0.03
        } else {
            low.abs().max(1.0) * 0.5
        };
        let whole = values.iter().all(|v| v.fract() == 0.0) && !values.is_empty();
        // Less than a whole step: there is no epoch 0, and none after the last.
        let room = if whole { room.min(0.9) } else { room };
        // Of large numbers less than this would be lost.
        let room = room.max(low.abs().max(high.abs()) * 1e-12);
        Self {
            low: low - room,
            high: high + room,
            whole,
            is_log: false,
        }
    }

    /// From one value to another, without any room.
    pub(crate) fn exactly(low: f64, high: f64) -> Self {
        let (low, high) = if high > low {
            (low, high)
        } else {
            (low - 0.5, low + 0.5)
        };
        Self {
            low,
            high,
            whole: false,
            is_log: false,
        }
    }

    /// The same with whole numbers beside it only, if `whole`.
    pub(crate) fn in_whole_numbers(self, whole: bool) -> Self {
        Self { whole, ..self }
    }

    /// The axis of the powers of ten that a coordinate of some points reaches over, as far as it is above 0.
    pub(crate) fn logarithmic<'a>(
        self,
        points: impl Iterator<Item = &'a (f64, f64)>,
        value: impl Fn(&(f64, f64)) -> f64,
    ) -> Self {
        let values = points.filter(|&&point| drawable(point)).map(value);
        let (lowest, highest) = values
            .filter(|&value| value > 0.0)
            .fold((f64::MAX, 0.0_f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if highest <= lowest {
            return self;
        }
        let (low, high) = (lowest.log10(), highest.log10());
        let room = ((high - low) * 0.03).clamp(0.002, 0.1);
        Self {
            low: low - room,
            high: high + room,
            whole: false,
            is_log: true,
        }
    }

    /// Where a value lies, 0 at the axis' low end and 1 at its high end.
    pub(crate) fn share(&self, value: f64) -> f64 {
        let value = if self.is_log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Where nothing that can be drawn lies lower: 0, or the low end if that is above it.
    pub(crate) fn ground(&self) -> f64 {
        match self.is_log {
            true => 10_f64.powf(self.low),
            false => self.low.max(0.0),
        }
    }

    /// Whether it has as much room for each power of ten.
    pub(crate) fn is_logarithmic(&self) -> bool {
        self.is_log
    }

    /// Once, twice and five times the powers of ten that lie on it; where these are too few, round values.
    fn parts_of_powers(&self, most: usize) -> Vec<(f64, String)> {
        let powers = self.low.floor() as i32..=self.high.floor() as i32;
        let all = powers.flat_map(|n| [1.0, 2.0, 5.0].map(|factor| factor * 10_f64.powi(n)));
        let lie_on_it = all.filter(|value| (self.low..=self.high).contains(&value.log10()));
        let written = |value: f64| match value {
            1e-3..1e6 => format!("{}", (value * 1e6).round() / 1e6),
            _ => format!("{value:.0e}"),
        };
        let parts = lie_on_it
            .map(|value| (value, written(value)))
            .collect::<Vec<_>>();
        match parts.len() {
            3.. => parts,
            _ => Self::exactly(10_f64.powf(self.low), 10_f64.powf(self.high)).ticks(most),
        }
    }

    /// About `most` round values with their labels, or a few less.
    pub(crate) fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        if self.is_log {
            let powers = self.low.ceil() as i32..=self.high.floor() as i32;
            if powers.clone().count() < 3 {
                return self.parts_of_powers(most);
            }
            let step = powers.clone().count().div_ceil(most.max(2)).max(1);
            let powers = powers.step_by(step);
            return powers.map(|n| (10_f64.powi(n), format!("1e{n}"))).collect();
        }
        let most = most.clamp(2, 12);
        let rough = (self.high - self.low) / most as f64;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let steps = [0.5, 1.0, 2.0, 5.0, 10.0].map(|factor| factor * magnitude);
        let fit = steps.iter().position(|&step| step >= rough).unwrap_or(1);
        let ticks = self.ticks_at(steps[fit], most);
        // One value alone does not say how far it is to the next.
        match ticks.len() {
            0 | 1 => self.ticks_at(steps[fit.saturating_sub(1)], most.max(4)),
            _ => ticks,
        }
    }

    /// The multiples of a step that lie on it, with their labels; `most` and one.
    fn ticks_at(&self, step: f64, most: usize) -> Vec<(f64, String)> {
        let step = if self.whole { step.max(1.0) } else { step };
        let first = (self.low / step).ceil();
        let values = (0..=most).map(|index| (first + index as f64) * step);
        values
            .filter(|&value| value <= self.high)
            .map(|v| (v, number(v, step)))
            .collect()
    }
}

/// A tick's label with as many decimals as the step to the next needs.
fn number(value: f64, step: f64) -> String {
    let decimals = -step.log10().floor();
    if value != 0.0 && (value.abs() >= 1e6 || step < 1e-6) {
        return format!("{value:.1e}");
    }
    // A value such as -1e-17, left by rounding, would read "-0.0".
    let value = if value.abs() < step / 2.0 { 0.0 } else { value };
    format!("{value:.0$}", decimals.max(0.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, whole: bool) -> Vec<String> {
        Axis {
            low,
            high,
            whole,
            is_log: false,
        }
        .ticks(6)
        .into_iter()
        .map(|(_, label)| label)
        .collect()
    }

    #[test]
    fn an_axis_with_little_room_has_two_ticks() {
        let axis = Axis::exactly(0.28, 0.92);
        let labels = axis.ticks(1).into_iter().map(|(_, label)| label);
        assert_eq!(labels.collect::<Vec<_>>(), ["0.4", "0.6", "0.8"]);
    }

    #[test]
    fn ticks_are_round_and_epochs_whole() {
        assert_eq!(labels(0.13, 30.87, true), ["10", "20", "30"]);
        assert_eq!(labels(0.5, 1.5, true), ["1"]);
        assert_eq!(labels(0.94, 3.06, true), ["1", "2", "3"]);
        assert_eq!(
            labels(0.69, 0.91, false),
            ["0.70", "0.75", "0.80", "0.85", "0.90"]
        );
        assert_eq!(
            labels(-0.06, 0.23, false),
            ["-0.05", "0.00", "0.05", "0.10", "0.15", "0.20"]
        );
        assert_eq!(
            labels(0.0, 9e8, false),
            ["0", "2.0e8", "4.0e8", "6.0e8", "8.0e8"]
        );
    }

    #[test]
    fn a_logarithmic_axis_has_ticks_however_short_it_is() {
        let ticks = |values: &[f64]| {
            let points: Vec<_> = values.iter().map(|&y| (0.0, y)).collect();
            let axis = Axis::over(points.iter(), |p| p.1, None);
            let axis = axis.logarithmic(points.iter(), |p| p.1);
            let labels = axis.ticks(6).into_iter().map(|(_, label)| label);
            (axis.is_logarithmic(), labels.collect::<Vec<_>>())
        };
        let long = ["1e-5", "1e-4", "1e-3", "1e-2"].map(str::to_owned).to_vec();
        assert_eq!(ticks(&[1e-5, 1e-2]), (true, long));
        let short = ["0.2", "0.5", "1"].map(str::to_owned).to_vec();
        // What is not above 0 has no place on it.
        assert_eq!(ticks(&[0.2, 1.0, 0.0, -3.0]), (true, short));
        let narrow = ["0.68", "0.70", "0.72", "0.74"].map(str::to_owned).to_vec();
        assert_eq!(ticks(&[0.67, 0.75]), (true, narrow));
        assert!(!ticks(&[-1.0, 0.0]).0);
    }

    #[test]
    fn there_is_no_epoch_before_the_first_or_after_the_last() {
        for last in [1_u32, 2, 40, 300] {
            let points: Vec<_> = (1..=last).map(|epoch| (f64::from(epoch), 0.5)).collect();
            let ticks = Axis::over(points.iter(), |p| p.0, None).ticks(6);
            let inside = |tick: &f64| (1.0..=f64::from(last)).contains(tick);
            assert!(
                !ticks.is_empty() && ticks.iter().all(|(tick, _)| inside(tick)),
                "{ticks:?}"
            );
        }
    }

    #[test]
    fn any_values_give_a_range_with_room() {
        let cases: [&[f64]; 6] = [
            &[],
            &[3.0],
            &[f64::NAN, 1.0],
            &[0.0, 0.0],
            &[-1e299, 1e299],
            &[f64::INFINITY],
        ];
        for case in cases {
            let points: Vec<_> = case.iter().map(|&y| (1.0, y)).collect();
            let axis = Axis::over(points.iter(), |p| p.1, None);
            assert!(axis.low < axis.high && axis.low.is_finite(), "{case:?}");
            assert!(axis.ticks(6).len() <= 7, "{case:?}");
        }
    }
}
