//! [`Figure`]: what every plot and picture grid of the crate is handed out as.
//!
//! `history` and `dataset` say what is to be seen; a figure draws it when a cell
//! shows it or when it is saved.
//!
//! ```
//! use evcxr_transfer::Data;
//! let figure = Data::open("data/samples")?.train.show(4)?;
//! assert!(figure.size(600, 400).to_png()?.starts_with(b"\x89PNG"));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::store;
use crate::show::draw::canvas::Drawing;
use crate::show::draw::chart::{self, Panel};
use crate::show::draw::grid::{Layout, Tile};
use crate::show::draw::matrix::{self, Matrix};
use crate::show::notebook::{Bundle, one_line};
use crate::show::saved::Saved;

/// A title with what a reader should know: "Loss (drawn sample pictures; seeded random weights)".
pub(crate) fn titled(title: &str, notes: &[String]) -> String {
    match notes {
        [] => title.to_owned(),
        notes => format!("{title} ({})", notes.join("; ")),
    }
}

/// A grid of this height and the usual width takes 350 MB while it is drawn.
const LONGEST_SIDE: u32 = 16_000;

/// A plot or a grid of pictures on a white ground.
///
/// A cell that ends in a figure shows it. The picture has about twice as many pixels as a page
/// gives it, so that it stays sharp on fine screens and in print.
#[derive(Clone)]
pub struct Figure {
    title: String,
    content: Content,
    size: Option<(u32, u32)>,
}

#[derive(Clone)]
enum Content {
    Lines(Vec<Panel>),
    Matrix(Matrix),
    Grid {
        tiles: Vec<Tile>,
        columns: usize,
        are_photos: bool,
    },
    /// Grids below each other, each with a title of its own.
    Strips {
        strips: Vec<(String, Vec<Tile>)>,
        columns: usize,
    },
}

impl Figure {
    /// Line charts side by side. An empty title takes no room.
    pub(crate) fn lines(title: &str, panels: Vec<Panel>) -> Self {
        Self {
            title: one_line(title),
            content: Content::Lines(panels),
            size: None,
        }
    }

    /// Pictures in rows of `columns` (at least 1), each fitted into a cell with its label below.
    pub(crate) fn grid(title: &str, tiles: Vec<Tile>, columns: usize) -> Self {
        Self {
            title: one_line(title),
            content: Content::Grid {
                tiles,
                columns,
                are_photos: false,
            },
            size: None,
        }
    }

    /// Photographs with their labels in rows of `columns`; of more than 24 only the first line of the
    /// labels is kept, and there are up to ten a row. The caller shows [`grid::MOST_PHOTOS`](crate::show::draw::grid)
    /// at most.
    pub(crate) fn photos(title: &str, mut tiles: Vec<Tile>, columns: usize) -> Self {
        let are_many = tiles.len() > 24;
        for tile in tiles.iter_mut().filter(|_| are_many) {
            tile.label = tile.label.lines().next().unwrap_or_default().to_owned();
        }
        Self {
            title: one_line(title),
            content: Content::Grid {
                columns: if are_many { 10 } else { columns },
                tiles,
                are_photos: true,
            },
            size: None,
        }
    }

    /// A matrix of numbers as colours, with a bar that tells them.
    pub(crate) fn matrix(title: &str, matrix: Matrix) -> Self {
        Self {
            title: one_line(title),
            content: Content::Matrix(matrix),
            size: None,
        }
    }

    /// Several grids of `columns` (at least 1) below each other, each with a title of its own, with
    /// smaller pictures the more there are.
    pub(crate) fn strips(title: &str, strips: Vec<(String, Vec<Tile>)>, columns: usize) -> Self {
        Self {
            title: one_line(title),
            content: Content::Strips { strips, columns },
            size: None,
        }
    }

    /// The same figure under another title; an empty one takes no room.
    pub fn title(mut self, title: &str) -> Self {
        self.title = one_line(title);
        self
    }

    /// The same figure with other names of its axes, with their units: `"time (s)"`. Pictures have none
    /// and stay as they are.
    pub fn axes(mut self, x: &str, y: &str) -> Self {
        match &mut self.content {
            Content::Lines(panels) => {
                for panel in panels {
                    panel.x_label = one_line(x);
                    panel.y_label = one_line(y);
                }
            }
            Content::Matrix(matrix) => {
                matrix.x_label = one_line(x);
                matrix.y_label = one_line(y);
            }
            Content::Grid { .. } | Content::Strips { .. } => {}
        }
        self
    }

    /// The same figure with another size in pixels, each side within 200 and 8000.
    ///
    /// Without this call a chart is 900 x 700 pixels a panel, a matrix 900 pixels wide, and a grid as large as
    /// its pictures need, 1800 pixels wide at most for up to 28 columns. Our kernel shows a figure at half its
    /// pixels, so that it is sharp on fine screens.
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = Some((width.clamp(200, 8000), height.clamp(200, 8000)));
        self
    }

    /// Saves the figure as PNG or SVG, as the file's extension says. An older file of that name
    /// is replaced, once the new one is complete.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for another extension, [`Error::File`] if the file cannot be written,
    /// [`Error::Figure`] if the figure cannot be drawn.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Saved> {
        let path = path.as_ref();
        let extension = path
            .extension()
            .map(|e| e.to_string_lossy().to_ascii_lowercase());
        let bytes = match extension.as_deref() {
            Some("png") => self.to_png()?,
            Some("svg") => self.to_svg()?.into_bytes(),
            _ => {
                return Err(Error::Argument {
                    argument: "path",
                    value: format!("{:?}", path.display().to_string()),
                    expected: "a figure's file name must end in .png or .svg".to_owned(),
                });
            }
        };
        store::write_whole(path, &bytes)
    }

    /// The figure as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// [`Error::Figure`] if it cannot be drawn.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        self.drawing()?.to_png()
    }

    /// The figure as the text of an SVG file, with its pictures embedded.
    ///
    /// # Errors
    ///
    /// [`Error::Figure`] if it cannot be drawn.
    pub fn to_svg(&self) -> Result<String> {
        self.drawing()?.to_svg()
    }

    /// Shows the figure under the cell. evcxr calls this for a cell that ends in a figure.
    ///
    /// A figure that cannot be drawn shows the reason instead.
    pub fn evcxr_display(&self) {
        match self.to_png() {
            Ok(png) => Bundle::text(&self.to_string()).png(&png).show(),
            Err(error) => Bundle::text(&format!("{self}: {error}")).show(),
        }
    }

    fn drawing(&self) -> Result<Drawing> {
        match &self.content {
            Content::Lines(panels) => {
                let (width, height) = self.dimensions();
                let mut drawing = Drawing::new(width, height);
                chart::draw(&self.title, panels, &mut drawing)?;
                Ok(drawing)
            }
            Content::Matrix(matrix) => {
                let (width, height) = self.dimensions();
                let mut drawing = Drawing::new(width, height);
                matrix::draw(&self.title, matrix, &mut drawing)?;
                Ok(drawing)
            }
            Content::Grid { tiles, .. } => {
                let layout = self.grid_layout(tiles);
                if layout.width.max(layout.height) > LONGEST_SIDE {
                    return Err(Error::Figure {
                        problem: format!(
                            "{} pictures would take {} x {} pixels, and a side may have \
                             {LONGEST_SIDE}. Show fewer pictures at a time",
                            tiles.len(),
                            layout.width,
                            layout.height
                        ),
                    });
                }
                let mut drawing = Drawing::new(layout.width, layout.height);
                layout.draw(tiles, &mut drawing)?;
                Ok(drawing)
            }
            Content::Strips { strips, .. } => {
                let (width, height) = self.dimensions();
                let mut drawing = Drawing::new(width, height);
                let mut top = 0;
                for (layout, (_, tiles)) in self.strip_layouts().iter().zip(strips) {
                    let mut strip = Drawing::new(width, layout.height);
                    layout.draw(tiles, &mut strip)?;
                    drawing.append(strip, top);
                    top += layout.height;
                }
                Ok(drawing)
            }
        }
    }

    /// Where everything lies in a single grid.
    fn grid_layout(&self, tiles: &[Tile]) -> Layout {
        match &self.content {
            Content::Grid {
                columns,
                are_photos: true,
                ..
            } => Layout::photos(&self.title, tiles, *columns, self.size),
            Content::Grid { columns, .. } => Layout::new(&self.title, tiles, *columns, self.size),
            _ => Layout::new(&self.title, tiles, 1, self.size),
        }
    }

    /// Where everything lies in each strip; the figure's own title stands above the first one's.
    fn strip_layouts(&self) -> Vec<Layout> {
        let Content::Strips { strips, columns } = &self.content else {
            return Vec::new();
        };
        let pictures = strips.iter().map(|(_, tiles)| tiles.len()).sum::<usize>();
        // Of a given height each strip gets as much as it has rows.
        let rows = |tiles: &[Tile]| tiles.len().div_ceil(*columns).max(1);
        let all_rows = strips.iter().map(|(_, tiles)| rows(tiles)).sum::<usize>();
        let layout = |(number, (title, tiles)): (usize, &(String, Vec<Tile>))| {
            let size = self
                .size
                .map(|(width, height)| (width, (height as usize * rows(tiles) / all_rows) as u32));
            let title = match number {
                0 if !self.title.is_empty() => format!("{}\n{title}", self.title),
                _ => title.clone(),
            };
            Layout::small(&title, tiles, *columns, pictures, size)
        };
        strips.iter().enumerate().map(layout).collect()
    }

    fn dimensions(&self) -> (u32, u32) {
        match (&self.content, self.size) {
            (Content::Strips { .. }, _) => {
                let layouts = self.strip_layouts();
                let width = layouts.iter().map(|layout| layout.width).max();
                let height = layouts.iter().map(|layout| layout.height).sum::<u32>();
                (width.unwrap_or(400), height.max(100))
            }
            (_, Some(size)) => size,
            (Content::Lines(panels), None) => (900 * panels.len().clamp(1, 4) as u32, 700),
            (Content::Matrix(matrix), None) => (900, matrix.height(900)),
            (Content::Grid { tiles, .. }, None) => {
                let layout = self.grid_layout(tiles);
                (layout.width, layout.height)
            }
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = match &self.content {
            Content::Lines(panels) if self.title.is_empty() => {
                panels.iter().map(|panel| panel.title.as_str()).collect()
            }
            _ => vec![self.title.as_str()],
        };
        let (width, height) = self.dimensions();
        write!(f, "Figure: {}, ", names.join(" and "))?;
        let pictures = match &self.content {
            Content::Lines(_) | Content::Matrix(_) => None,
            Content::Grid { tiles, .. } => Some(tiles.len()),
            Content::Strips { strips, .. } => {
                Some(strips.iter().map(|(_, tiles)| tiles.len()).sum())
            }
        };
        match pictures {
            None => {}
            Some(1) => write!(f, "1 picture, ")?,
            Some(pictures) => write!(f, "{pictures} pictures, ")?,
        }
        write!(f, "{width} x {height} px")
    }
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
