//! Picture grids: photographs, filters or feature maps in rows, each with its label.
//!
//! `dataset`, say, fills a [`Grid`] with tiles; its [`Layout`] lays them out as shapes.

use crate::error::{Error, Result};
use crate::show::draw::colour::COLOURS;
use crate::show::draw::drawing::{Align, Drawing, Shape};
use crate::show::draw::font::Font;
use crate::show::draw::tile::Tile;

// Pixels of the finished picture, which a page shows at about half the size.
const GAP: f64 = 16.0;
const FRAME: f64 = 8.0;
const LABEL: f64 = 26.0;
const TITLE: f64 = 34.0;

/// A grid of this height and the usual width takes 350 MB while it is drawn.
const LONGEST_SIDE: u32 = 16_000;

/// How many photographs a figure shows at most: more become too small to tell a cat from a dog, or the
/// figure larger than the 1 MB that a cell should hold.
pub(crate) const MOST_PHOTOS: usize = 100;

/// How many of `all` photographs are shown where so many are `asked` for; "12 of 2000 pictures"; and the
/// reason, as a note for the title, where that is fewer than asked for.
pub(crate) fn count(asked: usize, all: usize, what: &str) -> (usize, String, Vec<String>) {
    let wanted = asked.min(all);
    let shown = wanted.min(MOST_PHOTOS);
    let text = match (shown, all) {
        (1, 1) => format!("1 {}", what.trim_end_matches('s')),
        _ if shown == all => format!("{shown} {what}"),
        _ => format!("{shown} of {all} {what}"),
    };
    let reason = (shown < wanted).then(|| "a figure holds no more".to_owned());
    (shown, text, Vec::from_iter(reason))
}

/// `n` of the numbers below `all`, evenly spaced, so that every class has its share: files are ordered by class.
pub(crate) fn spread(n: usize, all: usize) -> impl Iterator<Item = usize> {
    (0..n).map(move |k| k * all / n.max(1))
}

/// How many of some photographs stand side by side.
pub(crate) fn columns(photos: usize) -> usize {
    if photos > 12 { 6 } else { 4 }
}

/// Pictures in rows, each fitted into a cell with its label below.
#[derive(Clone)]
pub(crate) struct Grid {
    tiles: Vec<Tile>,
    columns: usize,
    are_photos: bool,
}

impl Grid {
    /// Rows of `columns` (at least 1) pictures.
    pub(crate) fn new(tiles: Vec<Tile>, columns: usize) -> Self {
        Self {
            tiles,
            columns,
            are_photos: false,
        }
    }

    /// Rows of `columns` photographs; of more than 24 only the first line of the labels is kept, and
    /// there are up to ten a row.
    pub(crate) fn photos(mut tiles: Vec<Tile>, columns: usize) -> Self {
        let are_many = tiles.len() > 24;
        for tile in tiles.iter_mut().filter(|_| are_many) {
            tile.label = tile.label.lines().next().unwrap_or_default().to_owned();
        }
        Self {
            columns: if are_many { 10 } else { columns },
            tiles,
            are_photos: true,
        }
    }

    /// How many pictures there are.
    pub(crate) fn len(&self) -> usize {
        self.tiles.len()
    }

    /// Where everything lies below this title, by itself or within a given size.
    pub(crate) fn layout(&self, title: &str, size: Option<(u32, u32)>) -> Layout {
        if self.are_photos {
            Layout::photos(title, &self.tiles, self.columns, size)
        } else {
            Layout::new(title, &self.tiles, self.columns, size)
        }
    }

    /// Draws the grid below this title.
    pub(crate) fn draw(&self, title: &str, size: Option<(u32, u32)>) -> Result<Drawing> {
        let layout = self.layout(title, size);
        if layout.width.max(layout.height) > LONGEST_SIDE {
            return Err(Error::figure(format!(
                "{} pictures would take {} x {} pixels, and a side may have {LONGEST_SIDE}. Show \
                 fewer pictures at a time",
                self.len(),
                layout.width,
                layout.height
            )));
        }
        let mut drawing = Drawing::new(layout.width, layout.height);
        layout.draw(&self.tiles, &mut drawing)?;
        Ok(drawing)
    }
}

/// Where everything lies in a grid.
pub(crate) struct Layout {
    title: Vec<String>,
    columns: usize,
    /// The width of a column.
    across: f64,
    /// The width and height that a picture has at most.
    side: f64,
    rows: Vec<Row>,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

struct Row {
    top: f64,
    /// The height of the place for pictures; the labels follow below.
    down: f64,
}

impl Layout {
    /// Finds a layout with `columns` pictures a row, by itself or within a given size.
    pub(crate) fn new(
        title: &str,
        tiles: &[Tile],
        columns: usize,
        size: Option<(u32, u32)>,
    ) -> Self {
        let columns = columns.clamp(1, tiles.len().max(1));
        // 64 maps of 112 pixels keep a saved notebook below 1 MB.
        let largest = match (tiles.len(), columns) {
            (..=4, _) => 460.0,
            (..=24, _) | (_, ..=5) => 230.0,
            _ => 112.0,
        };
        let across = match size {
            Some(size) => across_in(size, columns),
            None => ((1800.0 - GAP) / columns as f64 - GAP).clamp(48.0, largest),
        }
        .floor();
        Self::with_across(title, tiles, columns, size, (across, across))
    }

    /// A layout for photographs: the more there are, the smaller each is, so that all together stay below
    /// 1 MB. Columns are as wide as the labels need, up to 230 pixels.
    pub(crate) fn photos(
        title: &str,
        tiles: &[Tile],
        columns: usize,
        size: Option<(u32, u32)>,
    ) -> Self {
        let columns = columns.clamp(1, tiles.len().max(1));
        if let Some(size) = size {
            let across = across_in(size, columns).floor();
            return Self::with_across(title, tiles, columns, Some(size), (across, across));
        }
        // A photograph takes about 1.7 bytes a pixel as PNG, and three quarters of its square: measured on
        // the lesson's pictures, 806 kB for twelve of 230 pixels.
        let largest = if tiles.len() > 4 { 230.0 } else { 460.0 };
        let side = (6.35e5 / tiles.len().max(1) as f64).sqrt().min(largest);
        let labels = tiles.iter().flat_map(Tile::lines);
        let widths = labels.map(|line| Font::new(LABEL).width(&line).unwrap_or_default());
        let across = widths.fold(side, |widest, width| widest.max(width.min(230.0)));
        let room = ((1800.0 - GAP) / (across.ceil() + GAP)) as usize;
        let columns = columns.min(room.max(1));
        Self::with_across(title, tiles, columns, None, (across.ceil(), side.floor()))
    }

    /// A layout for one of several grids in a figure that holds so many `pictures` in all: small enough
    /// for 320 of them to stay below 1 MB.
    pub(crate) fn small(
        title: &str,
        tiles: &[Tile],
        columns: usize,
        pictures: usize,
        size: Option<(u32, u32)>,
    ) -> Self {
        let columns = columns.clamp(1, tiles.len().max(1));
        let across = match size {
            Some(size) => across_in(size, columns),
            None => (1.1e6 / pictures.max(1) as f64).sqrt().clamp(24.0, 112.0),
        }
        .floor();
        Self::with_across(title, tiles, columns, size, (across, across))
    }

    /// A layout whose columns are `across` pixels wide, with pictures of `side` pixels; each line of the
    /// title begins a new one.
    fn with_across(
        title: &str,
        tiles: &[Tile],
        columns: usize,
        size: Option<(u32, u32)>,
        (across, side): (f64, f64),
    ) -> Self {
        let width = match size {
            Some((width, _)) => f64::from(width),
            // A single small picture still leaves room for its title.
            None => (GAP + columns as f64 * (across + GAP)).max(400.0),
        };
        // Where no text can be measured the drawing fails anyway, and says why.
        let wrap = |line| title_font().wrap(line, width - 2.0 * GAP, 3);
        let title = title
            .lines()
            .flat_map(|line| wrap(line).unwrap_or_default());
        let title = title.collect::<Vec<_>>();
        let mut top = GAP;
        if !title.is_empty() {
            top += title.len() as f64 * (TITLE + 8.0) + 6.0;
        }
        let labels: Vec<f64> = tiles.chunks(columns).map(label_height).collect();
        let given = size.map(|(_, height)| {
            let taken = top + labels.iter().map(|labels| labels + GAP).sum::<f64>();
            let down = (f64::from(height) - taken) / labels.len().max(1) as f64;
            down.max(8.0).floor()
        });
        let mut rows = Vec::with_capacity(labels.len());
        for (tiles, labels) in tiles.chunks(columns).zip(labels) {
            let tallest = tiles.iter().map(Tile::proportion).fold(0.1, f64::max);
            let down = given.unwrap_or_else(|| (side * tallest.min(1.0)).ceil());
            rows.push(Row { top, down });
            top += down + labels + GAP;
        }
        let (width, height) = size.unwrap_or((width as u32, top as u32));
        Self {
            title,
            columns,
            across,
            side,
            rows,
            width,
            height,
        }
    }

    /// Draws the tiles row by row below the title.
    pub(crate) fn draw(&self, tiles: &[Tile], drawing: &mut Drawing) -> Result<()> {
        let width = f64::from(drawing.width);
        for (number, line) in self.title.iter().enumerate() {
            let middle = GAP + number as f64 * (TITLE + 8.0) + TITLE / 2.0;
            drawing.text(line, (width / 2.0, middle), Align::Centre, title_font());
        }
        let across = self.columns as f64 * (self.across + GAP) + GAP;
        let margin = ((width - across) / 2.0).max(0.0).floor() + GAP;
        for (row, tiles) in self.rows.iter().zip(tiles.chunks(self.columns)) {
            for (column, tile) in tiles.iter().enumerate() {
                let left = margin + column as f64 * (self.across + GAP);
                self.tile(tile, left, row, drawing)?;
            }
        }
        Ok(())
    }

    fn tile(&self, tile: &Tile, left: f64, row: &Row, drawing: &mut Drawing) -> Result<()> {
        let inset = if tile.highlighted { FRAME } else { 0.0 };
        let room = (self.side - 2.0 * inset, row.down - 2.0 * inset);
        let picture = tile.fitted(room)?;
        let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
        // The lower edges line up, so that each label is next to its picture.
        let x = (left + (self.across - width) / 2.0).floor();
        let y = row.top + row.down - inset - height;
        if tile.highlighted {
            drawing.shapes.push(Shape::Box {
                left: x - FRAME,
                top: y - FRAME,
                right: x + width + FRAME,
                bottom: y + height + FRAME,
                colour: COLOURS[1],
            });
        }
        drawing.shapes.push(Shape::Picture {
            left: x as u32,
            top: y as u32,
            picture,
        });
        let font = Font::new(LABEL);
        let font = if tile.highlighted { font.bold() } else { font };
        for (index, line) in tile.lines().iter().enumerate() {
            let at = row.top + row.down + 6.0 + (index as f64 + 0.5) * (LABEL + 4.0);
            let line = caption(font, line, self.across)?;
            drawing.text(&line, (left + self.across / 2.0, at), Align::Centre, font);
        }
        Ok(())
    }
}

/// The width of a column in a figure of a given size.
fn across_in((width, _): (u32, u32), columns: usize) -> f64 {
    ((f64::from(width) - GAP) / columns as f64 - GAP).max(8.0)
}

/// A line below a picture; where it is too long a name is shortened, and the share behind it stays whole:
/// "golden retri…: 97.3 %".
fn caption(font: Font, line: &str, width: f64) -> Result<String> {
    match line.rsplit_once(": ") {
        Some((name, share)) if share.ends_with('%') && font.width(line)? > width => {
            let share = format!(": {share}");
            let name = font.fit(name, (width - font.width(&share)?).max(0.0))?;
            Ok(name + &share)
        }
        _ => font.fit(line, width),
    }
}

fn title_font() -> Font {
    Font::new(TITLE).bold()
}

/// The room that the labels of a row need.
fn label_height(tiles: &[Tile]) -> f64 {
    match tiles.iter().map(|tile| tile.lines().len()).max() {
        None | Some(0) => 0.0,
        Some(most) => most as f64 * (LABEL + 4.0) + 6.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_long_caption_keeps_its_share_whole() {
        let font = Font::new(LABEL);
        let line = "flat-coated golden retriever: 97.3 %";
        let short = caption(font, line, 230.0).unwrap();
        assert!(
            short.starts_with("flat") && short.ends_with("…: 97.3 %"),
            "{short}"
        );
        assert!(font.width(&short).unwrap() <= 230.0);
        assert_eq!(caption(font, line, 2000.0).unwrap(), line);
        let lines = font
            .wrap("a title of cats, and dogs 97.3 % sure", 330.0, 3)
            .unwrap();
        assert!(lines.iter().all(|line| !line.starts_with('%')), "{lines:?}");
        assert!(lines.len() > 1, "{lines:?}");
    }
}
