//! Charts of lines, points and bars: panels side by side, each with named axes, a grid and a legend.
//!
//! `history`, say, fills a [`Panel`] for accuracy and one for loss; [`draw`] lays them out as shapes.

use crate::error::Result;
use crate::show::draw::axis::Axis;
use crate::show::draw::colour::{BLACK, COLOURS, GREY};
use crate::show::draw::drawing::{Align, Drawing, Shape};
use crate::show::draw::font::Font;
use crate::show::draw::heading::{LABEL, MARGIN, TICK, TITLE, heading};
use crate::show::draw::series::{Mark, Series, mark, stroke};

// Pixels of the finished picture, which a page shows at about half the size.
const LEGEND_ROW: f64 = 42.0;
const MOST_LEGEND_ROWS: f64 = 4.0;
const SAMPLE: f64 = 74.0;

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
    /// Whether the (x, y) axis has as much room for each power of ten; what is not above 0 is a gap then.
    pub(crate) are_log: (bool, bool),
}

/// Draws the panels side by side below the title, each as wide as the others.
pub(crate) fn draw(title: &str, panels: &[Panel], mut drawing: Drawing) -> Result<Drawing> {
    let (width, height) = (f64::from(drawing.width), f64::from(drawing.height));
    let top = heading(title, &mut drawing)?;
    let share = width / panels.len().max(1) as f64;
    for (index, panel) in panels.iter().enumerate() {
        let left = share * index as f64 + MARGIN;
        Frame {
            left,
            top,
            right: left + share - 2.0 * MARGIN,
            bottom: height - MARGIN,
        }
        .draw(panel, &mut drawing)?;
    }
    Ok(drawing)
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
        let xs = match panel.are_log.0 {
            true => xs.logarithmic(corners.iter(), |p| p.0),
            false => xs,
        };
        let ys = Axis::over(corners.iter(), |p| p.1, panel.y_range);
        let mut ys = match panel.are_log.1 {
            true => ys.logarithmic(corners.iter(), |p| p.1),
            false => ys,
        };
        let bars = |series: &Series| matches!(series.mark, Mark::Bars(_));
        if panel.series.iter().any(bars)
            && !ys.is_logarithmic()
            && corners.iter().all(|corner| corner.1 >= 0.0)
        {
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
        let has_place = |(x, y): (f64, f64)| {
            (x > 0.0 || !xs.is_logarithmic()) && (y > 0.0 || !ys.is_logarithmic())
        };
        let runs = series.runs(has_place);
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
                            bottom: self.y(ys, ys.ground()),
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
                Mark::Line | Mark::Dashed | Mark::Thin | Mark::Seam => {
                    // One or two points make no line that one could see.
                    let is_seam = series.mark == Mark::Seam;
                    if points.len() == 1 || num_points < 3 && !is_seam {
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

/// Draws the legend in rows above the lines, where it cannot hide any, and gives its lower edge.
fn legend(panel: &Panel, left: f64, frame: Frame, drawing: &mut Drawing) -> Result<f64> {
    let font = Font::new(LABEL - 2.0);
    let (mut x, mut y) = (left, frame.top);
    let mut bottom = y;
    for (number, series) in panel.series.iter().enumerate() {
        let sample = match series.mark {
            Mark::Line | Mark::Dashed | Mark::Thin | Mark::Seam => SAMPLE,
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
