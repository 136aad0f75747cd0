//! Charts of lines, points and bars: panels side by side, each with named axes, a grid and a legend.
//!
//! `history`, say, fills a [`Panel`] for accuracy and one for loss; [`draw`] lays them out as shapes.

use crate::error::Result;
use crate::show::draw::axis::{Axis, drawable};
use crate::show::draw::canvas::{
    Align, BLACK, COLOURS, Colour, Drawing, Font, GREY, Shape, WHITE, dashes,
};

// Pixels of the finished picture, which a page shows at about half the size.
pub(crate) const TICK: f64 = 26.0;
pub(crate) const LABEL: f64 = 29.0;
pub(crate) const TITLE: f64 = 36.0;
const LEGEND_ROW: f64 = 42.0;
const MOST_LEGEND_ROWS: f64 = 4.0;
const SAMPLE: f64 = 74.0;
const LINE: f64 = 4.5;
pub(crate) const MARGIN: f64 = 24.0;

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

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Mark {
    /// A line from point to point.
    #[default]
    Line,
    /// The same, dashed.
    Dashed,
    /// A mark at each point, of another shape for each colour.
    Points,
    /// A bar of this width, in units of x, around each x from 0 to y.
    Bars(f64),
}

/// One line, cloud or row of bars of a chart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// The name in the legend; without one it is not in it.
    pub(crate) name: String,
    /// (x, y); where a value is not finite the line has a gap.
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) mark: Mark,
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

    /// The points that the axes must reach to.
    fn corners(&self) -> Vec<(f64, f64)> {
        let Mark::Bars(width) = self.mark else {
            return self.points.clone();
        };
        let drawn = self.points.iter().filter(|&&point| drawable(point));
        drawn
            .flat_map(|&(x, y)| [(x - width / 2.0, 0.0), (x + width / 2.0, y)])
            .collect()
    }

    fn legend_name(&self) -> String {
        if self.name.is_empty() {
            return String::new();
        }
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

/// Draws a figure's title, in three lines at most, and gives its lower edge.
pub(crate) fn heading(title: &str, drawing: &mut Drawing) -> Result<f64> {
    let width = f64::from(drawing.width);
    let mut top = MARGIN;
    if !title.is_empty() {
        let font = Font::new(TITLE).bold();
        for line in font.wrap(title, width - 2.0 * MARGIN, 3)? {
            drawing.text(&line, (width / 2.0, top + TITLE / 2.0), Align::Centre, font);
            top += TITLE + 10.0;
        }
        top += MARGIN - 10.0;
    }
    Ok(top)
}

/// Draws the panels side by side below the title, each as wide as the others.
pub(crate) fn draw(title: &str, panels: &[Panel], drawing: &mut Drawing) -> Result<()> {
    let (width, height) = (f64::from(drawing.width), f64::from(drawing.height));
    let top = heading(title, drawing)?;
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
        let corners = panel.series.iter().flat_map(Series::corners);
        let corners = corners.collect::<Vec<_>>();
        let xs = Axis::over(corners.iter(), |p| p.0, None);
        let xs = match panel.is_log {
            true => xs.logarithmic(corners.iter()),
            false => xs,
        };
        let mut ys = Axis::over(corners.iter(), |p| p.1, panel.y_range);
        let bars = |series: &Series| matches!(series.mark, Mark::Bars(_));
        if panel.series.iter().any(bars) && corners.iter().all(|corner| corner.1 >= 0.0) {
            // Bars stand on the axis.
            ys.low = 0.0;
        }
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
            match series.mark {
                Mark::Bars(width) => {
                    let half = width / 2.0 * (self.right - self.left) / (xs.high - xs.low);
                    // A hair of white between bars that are wide enough for one.
                    let half = if half > 4.0 { half - 0.75 } else { half };
                    for (x, y) in points {
                        drawing.shapes.push(Shape::Box {
                            left: x - half,
                            top: y,
                            right: x + half,
                            bottom: self.y(ys, 0.0_f64.max(ys.low)),
                            colour,
                        });
                    }
                }
                Mark::Points => {
                    let radius = if num_points > 300 { 6.0 } else { 9.0 };
                    for at in points {
                        mark(at, radius, series.colour, drawing);
                    }
                }
                Mark::Line | Mark::Dashed => {
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
                    stroke(&points, series.mark, colour, drawing);
                }
            }
        }
        num_points
    }
}

fn stroke(points: &[(f64, f64)], mark: Mark, colour: Colour, drawing: &mut Drawing) {
    if points.len() < 2 {
        return;
    }
    let pieces = if mark == Mark::Dashed {
        dashes(points, 17.0, 11.0)
    } else {
        vec![points.to_vec()]
    };
    for piece in pieces {
        drawing.line(piece, LINE, colour);
    }
}

/// A disc, square, triangle or diamond with a white edge, so that readers who see no colours can tell the
/// series apart, and each mark from those below it.
fn mark(at: (f64, f64), radius: f64, number: usize, drawing: &mut Drawing) {
    for (radius, colour) in [
        (radius + 1.5, WHITE),
        (radius, COLOURS[number % COLOURS.len()]),
    ] {
        let corners: &[(f64, f64)] = match number % 4 {
            1 => &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
            2 => &[(0.0, -1.15), (1.05, 0.8), (-1.05, 0.8)],
            3 => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            _ => &[],
        };
        drawing.shapes.push(match corners {
            [] => Shape::Dot { at, radius, colour },
            corners => {
                let corner = |&(x, y): &(f64, f64)| (at.0 + x * radius, at.1 + y * radius);
                Shape::Polygon {
                    points: corners.iter().map(corner).collect(),
                    colour,
                }
            }
        });
    }
}

/// Draws the legend in rows above the lines, where it cannot hide any, and gives its lower edge.
fn legend(panel: &Panel, left: f64, frame: Frame, drawing: &mut Drawing) -> Result<f64> {
    let font = Font::new(LABEL - 2.0);
    let (mut x, mut y) = (left, frame.top);
    let mut bottom = y;
    for (number, series) in panel.series.iter().enumerate() {
        let sample = match series.mark {
            Mark::Line | Mark::Dashed => SAMPLE,
            Mark::Points | Mark::Bars(_) => 24.0,
        };
        let name = font.fit(&series.legend_name(), frame.right - left - sample - 14.0)?;
        if name.is_empty() {
            continue;
        }
        let width = sample + 14.0 + font.width(&name)?;
        if x > left && x + width > frame.right {
            (x, y) = (left, y + LEGEND_ROW);
            // The rest of the room is for the lines.
            if y >= frame.top + MOST_LEGEND_ROWS * LEGEND_ROW {
                let more = format!("… and {} more", panel.series.len() - number);
                drawing.text(&more, (left, y + LEGEND_ROW / 2.0), Align::Left, font);
                return Ok(y + LEGEND_ROW);
            }
        }
        let middle = y + LEGEND_ROW / 2.0;
        let colour = COLOURS[series.colour % COLOURS.len()];
        match series.mark {
            Mark::Points => mark((x + sample / 2.0, middle), 9.0, series.colour, drawing),
            Mark::Bars(_) => drawing.shapes.push(Shape::Box {
                left: x,
                top: middle - sample / 2.0,
                right: x + sample,
                bottom: middle + sample / 2.0,
                colour,
            }),
            mark => stroke(&[(x, middle), (x + sample, middle)], mark, colour, drawing),
        }
        drawing.text(&name, (x + sample + 14.0, middle), Align::Left, font);
        x += width + 40.0;
        bottom = y + LEGEND_ROW;
    }
    Ok(bottom)
}
