//! A matrix of numbers as coloured cells, with a bar that tells the numbers.
//!
//! `quick_looks` fills a [`Matrix`]; [`draw`] lays it out as shapes.

use image::{Rgb, RgbImage, imageops};
use ndarray::Array2;

use crate::error::Result;
use crate::show::draw::axis::Axis;
use crate::show::draw::colour::{BLACK, WHITE, viridis};
use crate::show::draw::drawing::{Align, Drawing, Shape};
use crate::show::draw::font::Font;
use crate::show::draw::heading::{LABEL, MARGIN, TICK, TITLE, heading};

// All sizes are pixels of the finished picture, which a page shows at half the size.

/// The width of the bar.
const BAR: f64 = 30.0;
/// What the bar, its numbers and the margins to their right and left take.
const RIGHT: f64 = 174.0;
/// What a title of one line takes, with the margin above it.
const HEAD: f64 = MARGIN + TITLE + 24.0;
/// The longest names take so much room beside the cells.
const LONGEST_NAME: f64 = 260.0;
/// Up to so many cells each has its number written in it, where there is room.
const MOST_WRITTEN: usize = 400;
/// Neither in viridis nor white: a number that is not finite.
const NO_NUMBER: [u8; 3] = [190, 190, 190];

/// The numbers, (rows, columns), the first row at the top.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) values: Array2<f64>,
    pub(crate) x_label: String,
    pub(crate) y_label: String,
    /// What the rows are called, and what the columns; those without names are counted from 0.
    pub(crate) names: [Vec<String>; 2],
}

impl Matrix {
    /// The height at which the cells of a figure of this width are squares; within bounds.
    pub(crate) fn height(&self, width: u32) -> u32 {
        let (rows, columns) = self.values.dim();
        let names = self.widest_name();
        let across = (f64::from(width) - left_of(names) - RIGHT) / columns.max(1) as f64;
        let below = self.below(names, across);
        ((across * rows as f64).clamp(120.0, 1400.0) + HEAD + below) as u32
    }

    /// The width of the longest label, in pixels, within bounds.
    fn widest_name(&self) -> f64 {
        // Where no text can be measured the drawing fails anyway, and says why.
        let widths = self.names.iter().flatten();
        let widths = widths.map(|name| Font::new(TICK).width(name).unwrap_or_default());
        widths.fold(68.0, f64::max).min(LONGEST_NAME)
    }

    /// The room that the lower axis takes: names that are wider than a column of `across` pixels stand
    /// upright.
    fn below(&self, names: f64, across: f64) -> f64 {
        let label = if self.are_upright(names, across) {
            names
        } else {
            TICK
        };
        10.0 + label + 12.0 + LABEL + MARGIN
    }

    fn are_upright(&self, names: f64, across: f64) -> bool {
        !self.names[1].is_empty() && names + 12.0 > across
    }

    /// The smallest and the largest of the finite numbers; 0 and 1 if there is none.
    fn range(&self) -> (f64, f64) {
        let finite = self.values.iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| {
            (low.min(v), high.max(v))
        });
        if low > high { (0.0, 1.0) } else { (low, high) }
    }

    /// Whether all are counts or the like, which no bar should part.
    fn are_whole(&self) -> bool {
        self.values
            .iter()
            .all(|v| v.fract() == 0.0 && v.abs() < 1e6)
    }

    /// About `most` of the rows (`axis` 0) or columns (1), evenly spaced, with their labels.
    fn places(&self, axis: usize, most: usize) -> Vec<(usize, String)> {
        let count = self.values.shape()[axis];
        let mut step = 1;
        for factor in [2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000] {
            if count.div_ceil(step) > most.max(2) {
                step = factor;
            }
        }
        let name = |number: usize| match self.names[axis].get(number) {
            Some(name) => name.clone(),
            None => number.to_string(),
        };
        (0..count)
            .step_by(step)
            .map(|number| (number, name(number)))
            .collect()
    }

    /// Where a number lies in the range, 0 to 1; nothing if it is not finite.
    fn share(&self, value: f64, (low, high): (f64, f64)) -> Option<f32> {
        // Halves first: the difference of two large numbers may overflow.
        let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        match value.is_finite() {
            true if high > low => Some(share as f32),
            // The bar then reaches from a half below to a half above.
            true => Some(0.5),
            false => None,
        }
    }
}

/// Draws the cells below the title, with rows and columns counted from 0.
pub(crate) fn draw(title: &str, matrix: &Matrix, mut drawing: Drawing) -> Result<Drawing> {
    let (width, height) = (f64::from(drawing.width), f64::from(drawing.height));
    let top = heading(title, &mut drawing)?;
    let (rows, columns) = matrix.values.dim();
    let names = matrix.widest_name();
    let left = left_of(names);
    let right = (width - RIGHT).max(left + 40.0);
    let below = matrix.below(names, (right - left) / columns as f64);
    let bottom = (height - below).max(top + 40.0);
    // Square cells, unless a long and narrow matrix would become too narrow to see.
    let cell = ((right - left) / columns as f64).min((bottom - top) / rows as f64);
    let (right, bottom) = if (cell * columns as f64).min(cell * rows as f64) >= 120.0 {
        (left + cell * columns as f64, top + cell * rows as f64)
    } else {
        (right, bottom)
    };
    let (left, top, right, bottom) = (left.floor(), top.floor(), right.floor(), bottom.floor());
    let range = matrix.range();
    if rows * columns <= MOST_WRITTEN {
        written_cells(matrix, range, [left, top, right, bottom], &mut drawing)?;
    } else {
        drawing.shapes.push(Shape::Picture {
            left: left as u32,
            top: top as u32,
            picture: cells(matrix, range, (right - left) as u32, (bottom - top) as u32),
        });
    }

    let tick = Font::new(TICK);
    let label = Font::new(LABEL);
    let (middle, centre) = ((left + right) / 2.0, (top + bottom) / 2.0);
    let across = (right - left) / columns as f64;
    let are_upright = matrix.are_upright(names, across);
    let x_room = if are_upright { 30.0 } else { 90.0 };
    for (number, text) in matrix.places(1, ((right - left) / x_room) as usize) {
        let text = tick.fit(&text, names)?;
        let x = left + (number as f64 + 0.5) / columns as f64 * (right - left);
        if are_upright {
            let y = bottom + 10.0 + tick.width(&text)? / 2.0;
            drawing.text(&text, (x, y), Align::Centre, tick.upwards());
        } else {
            drawing.text(&text, (x, bottom + 10.0 + TICK / 2.0), Align::Centre, tick);
        }
    }
    let y_room = if matrix.names[0].is_empty() {
        40.0
    } else {
        30.0
    };
    for (number, text) in matrix.places(0, ((bottom - top) / y_room) as usize) {
        let text = tick.fit(&text, names)?;
        let y = top + (number as f64 + 0.5) / rows as f64 * (bottom - top);
        drawing.text(&text, (left - 12.0, y), Align::Right, tick);
    }
    let x_label = label.fit(&matrix.x_label, width - 2.0 * MARGIN)?;
    let at = bottom + matrix.below(names, across) - MARGIN - LABEL / 2.0;
    drawing.text(&x_label, (middle, at), Align::Centre, label);
    let y_label = label.fit(&matrix.y_label, (bottom - top).max(120.0))?;
    let at = (MARGIN + LABEL / 2.0, centre);
    drawing.text(&y_label, at, Align::Centre, label.upwards());

    let axis = Axis::exactly(range.0, range.1).in_whole_numbers(matrix.are_whole());
    bar(&axis, (right + 34.0, top, bottom), &mut drawing);
    Ok(drawing)
}

/// Where the cells begin, beside labels of this width.
fn left_of(names: f64) -> f64 {
    MARGIN + LABEL + 14.0 + names + 12.0
}

/// The cells as boxes, with their numbers if all of them fit.
fn written_cells(
    matrix: &Matrix,
    range: (f64, f64),
    [left, top, right, bottom]: [f64; 4],
    drawing: &mut Drawing,
) -> Result<()> {
    let (rows, columns) = matrix.values.dim();
    let cell = (
        (right - left) / columns as f64,
        (bottom - top) / rows as f64,
    );
    let text = |value: f64| match matrix.are_whole() {
        true => format!("{value}"),
        false if value.abs() >= 1e4 || (value != 0.0 && value.abs() < 1e-3) => {
            format!("{value:.1e}")
        }
        false => format!("{value:.3}"),
    };
    let font = Font::new(TICK - 2.0);
    let mut widest = 0.0_f64;
    for &value in &matrix.values {
        widest = widest.max(font.width(&text(value))?);
    }
    let have_room = widest + 10.0 < cell.0 && TICK + 6.0 < cell.1;
    for ((row, column), &value) in matrix.values.indexed_iter() {
        let share = matrix.share(value, range);
        let [x, y] = [left + column as f64 * cell.0, top + row as f64 * cell.1];
        drawing.shapes.push(Shape::Box {
            left: x,
            top: y,
            right: x + cell.0,
            bottom: y + cell.1,
            colour: share.map_or(NO_NUMBER.into(), viridis),
        });
        if have_room {
            let mut font = font;
            // The upper half of viridis is lighter than a mid grey.
            font.colour = if share.is_some_and(|s| s < 0.6) {
                WHITE
            } else {
                BLACK
            };
            let middle = (x + cell.0 / 2.0, y + cell.1 / 2.0);
            drawing.text(&text(value), middle, Align::Centre, font);
        }
    }
    Ok(())
}

/// The cells as a picture of `width` x `height` pixels.
fn cells(matrix: &Matrix, range: (f64, f64), width: u32, height: u32) -> RgbImage {
    let (rows, columns) = matrix.values.dim();
    let colour = |x: u32, y: u32| {
        let value = matrix.values[[y as usize, x as usize]];
        match matrix.share(value, range).map(viridis) {
            Some((red, green, blue)) => Rgb([red, green, blue]),
            None => Rgb(NO_NUMBER),
        }
    };
    let small = RgbImage::from_fn(columns as u32, rows as u32, colour);
    // Cells keep hard edges; of more cells than pixels each pixel gets a mean colour. Each side by itself.
    let filter = |cells: usize, pixels: u32| {
        if cells <= pixels as usize {
            imageops::FilterType::Nearest
        } else {
            imageops::FilterType::Triangle
        }
    };
    let (width, height) = (width.max(1), height.max(1));
    let wide = imageops::resize(&small, width, rows as u32, filter(columns, width));
    imageops::resize(&wide, width, height, filter(rows, height))
}

/// The bar at `left`, from the largest number at the `top` to the smallest at the `bottom`.
fn bar(axis: &Axis, (left, top, bottom): (f64, f64, f64), drawing: &mut Drawing) {
    const STEPS: usize = 128;
    let y = |share: f64| bottom - share * (bottom - top);
    for step in 0..STEPS {
        let share = |step: usize| step as f64 / STEPS as f64;
        drawing.shapes.push(Shape::Box {
            left,
            top: y(share(step + 1)),
            right: left + BAR,
            bottom: y(share(step)),
            colour: viridis(share(step) as f32),
        });
    }
    for (value, text) in axis.ticks(((bottom - top) / 60.0) as usize) {
        let y = y(axis.share(value));
        drawing.line(vec![(left + BAR, y), (left + BAR + 8.0, y)], 2.0, BLACK);
        let font = Font::new(TICK);
        drawing.text(&text, (left + BAR + 16.0, y), Align::Left, font);
    }
    let corners = [
        (left, top),
        (left + BAR, top),
        (left + BAR, bottom),
        (left, bottom),
        (left, top),
    ];
    drawing.line(corners.to_vec(), 1.5, BLACK);
}
