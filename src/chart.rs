//! Line charts: panels side by side, each with named axes, a grid and a legend.
//!
//! `history` fills a [`Panel`] for accuracy and one for loss; [`draw`] lays them out as shapes.

use crate::canvas::{Align, BLACK, COLOURS, Drawing, Font, GREY, Shape, dashes};
use crate::error::Result;

// Pixels of the finished picture, which a page shows at about half the size.
const TICK: f64 = 26.0;
const LABEL: f64 = 29.0;
const TITLE: f64 = 36.0;
const LEGEND_ROW: f64 = 42.0;
const SAMPLE: f64 = 74.0;
const LINE: f64 = 4.5;
const MARGIN: f64 = 24.0;

/// One chart of a figure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panel {
    /// Stands above the chart; may be empty.
    pub(crate) title: String,
    pub(crate) x_label: String,
    pub(crate) y_label: String,
    pub(crate) series: Vec<Series>,
    /// What the y axis shows at least; it grows where values lie outside.
    pub(crate) y_range: Option<(f64, f64)>,
    /// Whether the x axis has as much room for each power of ten.
    pub(crate) is_log: bool,
}

/// One line of a chart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// The name in the legend.
    pub(crate) name: String,
    /// (x, y); where a value is not finite the line has a gap.
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) dashed: bool,
    /// Index into the colours; starts again after the last.
    pub(crate) colour: usize,
}

impl Series {
    /// The stretches without gaps.
    fn runs(&self) -> Vec<Vec<(f64, f64)>> {
        self.points
            .split(|&point| !drawable(point))
            .filter(|run| !run.is_empty())
            .map(<[_]>::to_vec)
            .collect()
    }

    fn legend_name(&self) -> String {
        match self
            .points
            .iter()
            .filter(|&&point| !drawable(point))
            .count()
        {
            0 => self.name.clone(),
            1 => format!("{} (1 value is not finite)", self.name),
            gaps => format!("{} ({gaps} values are not finite)", self.name),
        }
    }
}

/// Values beyond this would overflow while axes are computed.
fn drawable((x, y): (f64, f64)) -> bool {
    x.abs() < 1e300 && y.abs() < 1e300
}

/// Draws the panels side by side below the title, each as wide as the others.
pub(crate) fn draw(title: &str, panels: &[Panel], drawing: &mut Drawing) -> Result<()> {
    let (width, height) = (f64::from(drawing.width), f64::from(drawing.height));
    let mut top = MARGIN;
    if !title.is_empty() {
        let font = Font::new(TITLE).bold();
        for line in font.wrap(title, width - 2.0 * MARGIN, 3)? {
            drawing.text(&line, (width / 2.0, top + TITLE / 2.0), Align::Centre, font);
            top += TITLE + 10.0;
        }
        top += MARGIN - 10.0;
    }
    let share = width / panels.len().max(1) as f64;
    for (index, panel) in panels.iter().enumerate() {
        let left = share * index as f64 + MARGIN;
        Frame {
            left,
            top,
            right: left + share - 2.0 * MARGIN,
            bottom: height - MARGIN,
        }
        .draw(panel, drawing)?;
    }
    Ok(())
}

/// The place on the drawing that is left for a panel, or for its lines.
#[derive(Clone, Copy)]
struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Frame {
    fn draw(mut self, panel: &Panel, drawing: &mut Drawing) -> Result<()> {
        let xs = Axis::over(
            panel.series.iter().flat_map(|s| s.points.iter()),
            |p| p.0,
            None,
        );
        let xs = match panel.is_log {
            true => xs.logarithmic(&panel.series),
            false => xs,
        };
        let ys = Axis::over(
            panel.series.iter().flat_map(|s| s.points.iter()),
            |p| p.1,
            panel.y_range,
        );
        let font = Font::new(TICK);
        // Labels of about 5 characters need some 120 pixels each; lines of text some 60.
        let x_ticks = xs.ticks(((self.right - self.left) / 120.0) as usize);
        let y_ticks = ys.ticks(((self.bottom - self.top - 200.0) / 60.0) as usize);

        let inner_left = {
            let mut widest = 0.0_f64;
            for (_, label) in &y_ticks {
                widest = widest.max(font.width(label)?);
            }
            let name = if panel.y_label.is_empty() {
                0.0
            } else {
                LABEL + 14.0
            };
            self.left + name + widest + 14.0
        };
        if !panel.title.is_empty() {
            let font = Font::new(TITLE).bold();
            let title = font.fit(&panel.title, self.right - inner_left)?;
            drawing.text(
                &title,
                (inner_left, self.top + TITLE / 2.0),
                Align::Left,
                font,
            );
            self.top += TITLE + 14.0;
        }
        self.top = legend(panel, inner_left, self, drawing)? + 16.0;
        let name = if panel.x_label.is_empty() {
            0.0
        } else {
            LABEL + 10.0
        };
        let plot = Frame {
            left: inner_left,
            bottom: (self.bottom - name - TICK - 14.0).max(self.top + 20.0),
            ..self
        };

        for (value, label) in &x_ticks {
            let x = plot.x(&xs, *value);
            drawing.line(vec![(x, plot.top), (x, plot.bottom)], 1.5, GREY);
            drawing.text(
                label,
                (x, plot.bottom + 12.0 + TICK / 2.0),
                Align::Centre,
                font,
            );
        }
        for (value, label) in &y_ticks {
            let y = plot.y(&ys, *value);
            drawing.line(vec![(plot.left, y), (plot.right, y)], 1.5, GREY);
            drawing.text(label, (plot.left - 12.0, y), Align::Right, font);
        }
        let axes = [
            (plot.left, plot.top),
            (plot.left, plot.bottom),
            (plot.right, plot.bottom),
        ];
        drawing.line(axes[..2].to_vec(), 2.0, BLACK);
        drawing.line(axes[1..].to_vec(), 2.0, BLACK);
        let font = Font::new(LABEL);
        let middle = (
            (plot.left + plot.right) / 2.0,
            (plot.top + plot.bottom) / 2.0,
        );
        let x_label = font.fit(&panel.x_label, plot.right - plot.left)?;
        drawing.text(
            &x_label,
            (middle.0, self.bottom - LABEL / 2.0),
            Align::Centre,
            font,
        );
        let y_label = font.fit(&panel.y_label, plot.bottom - plot.top)?;
        let at = (self.left + LABEL / 2.0, middle.1);
        drawing.text(&y_label, at, Align::Centre, font.upwards());

        let mut drawn = 0;
        for series in &panel.series {
            drawn += plot.curve(series, &xs, &ys, drawing);
        }
        if drawn == 0 {
            drawing.text("no values yet", middle, Align::Centre, font);
        }
        Ok(())
    }

    fn x(self, axis: &Axis, value: f64) -> f64 {
        self.left + axis.share(value) * (self.right - self.left)
    }

    fn y(self, axis: &Axis, value: f64) -> f64 {
        self.bottom - axis.share(value) * (self.bottom - self.top)
    }

    /// Draws a series and says how many points it has.
    fn curve(self, series: &Series, xs: &Axis, ys: &Axis, drawing: &mut Drawing) -> usize {
        let colour = COLOURS[series.colour % COLOURS.len()];
        let runs = series.runs();
        let num_points = runs.iter().map(Vec::len).sum();
        for run in runs {
            let points: Vec<_> = run
                .iter()
                .map(|p| (self.x(xs, p.0), self.y(ys, p.1)))
                .collect();
            // One or two points make no line that one could see.
            if points.len() == 1 || num_points < 3 {
                for &at in &points {
                    drawing.shapes.push(Shape::Dot {
                        at,
                        radius: 8.0,
                        colour,
                    });
                }
            }
            stroke(&points, series.dashed, colour, drawing);
        }
        num_points
    }
}

fn stroke(points: &[(f64, f64)], dashed: bool, colour: (u8, u8, u8), drawing: &mut Drawing) {
    if points.len() < 2 {
        return;
    }
    let pieces = if dashed {
        dashes(points, 17.0, 11.0)
    } else {
        vec![points.to_vec()]
    };
    for piece in pieces {
        drawing.line(piece, LINE, colour);
    }
}

/// Draws the legend in rows above the lines, where it cannot hide any, and gives its lower edge.
fn legend(panel: &Panel, left: f64, frame: Frame, drawing: &mut Drawing) -> Result<f64> {
    let font = Font::new(LABEL - 2.0);
    let (mut x, mut y) = (left, frame.top);
    let mut bottom = y;
    for series in &panel.series {
        let name = font.fit(&series.legend_name(), frame.right - left - SAMPLE - 14.0)?;
        if name.is_empty() {
            continue;
        }
        let width = SAMPLE + 14.0 + font.width(&name)?;
        if x > left && x + width > frame.right {
            (x, y) = (left, y + LEGEND_ROW);
        }
        let middle = y + LEGEND_ROW / 2.0;
        let colour = COLOURS[series.colour % COLOURS.len()];
        stroke(
            &[(x, middle), (x + SAMPLE, middle)],
            series.dashed,
            colour,
            drawing,
        );
        drawing.text(&name, (x + SAMPLE + 14.0, middle), Align::Left, font);
        x += width + 40.0;
        bottom = y + LEGEND_ROW;
    }
    Ok(bottom)
}

/// A range of values along one side of a chart.
struct Axis {
    low: f64,
    high: f64,
    /// Epochs and other counts get whole numbers only.
    whole: bool,
    /// Low and high are then powers of ten.
    is_log: bool,
}

impl Axis {
    fn over<'a>(
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
        Self {
            low: low - room,
            high: high + room,
            whole,
            is_log: false,
        }
    }

    /// The axis of the powers of ten that the points reach over; all must be above 0.
    fn logarithmic(self, series: &[Series]) -> Self {
        let points = series.iter().flat_map(|series| &series.points);
        let (lowest, highest) = points
            .filter(|&&point| drawable(point))
            .fold((f64::MAX, 0.0_f64), |(low, high), point| {
                (low.min(point.0), high.max(point.0))
            });
        if !(lowest > 0.0 && highest > lowest) {
            return self;
        }
        Self {
            low: lowest.log10() - 0.1,
            high: highest.log10() + 0.1,
            whole: false,
            is_log: true,
        }
    }

    fn share(&self, value: f64) -> f64 {
        let value = if self.is_log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// About `most` round values with their labels, or a few less.
    fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        if self.is_log {
            let powers = self.low.ceil() as i32..=self.high.floor() as i32;
            let step = powers.clone().count().div_ceil(most.max(2)).max(1);
            let powers = powers.step_by(step);
            return powers.map(|n| (10_f64.powi(n), format!("1e{n}"))).collect();
        }
        let most = most.clamp(2, 12);
        let rough = (self.high - self.low) / most as f64;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * magnitude);
        let mut step = steps
            .into_iter()
            .find(|&step| step >= rough)
            .unwrap_or(rough);
        if self.whole {
            step = step.max(1.0);
        }
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
