//! The title above a chart or a matrix, and the sizes that both are set in.

use crate::error::Result;
use crate::show::draw::drawing::{Align, Drawing};
use crate::show::draw::font::Font;

// Pixels of the finished picture, which a page shows at about half the size.
pub(crate) const TICK: f64 = 26.0;
pub(crate) const LABEL: f64 = 29.0;
pub(crate) const TITLE: f64 = 36.0;
pub(crate) const MARGIN: f64 = 24.0;

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
