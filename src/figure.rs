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

use crate::canvas::Drawing;
use crate::chart::{self, Panel};
use crate::display::{Bundle, one_line};
use crate::error::{Error, Result};
use crate::grid::{Layout, Tile};
use crate::saved::Saved;
use crate::store;

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
    Grid {
        tiles: Vec<Tile>,
        columns: usize,
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
            content: Content::Grid { tiles, columns },
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

    /// The same figure with another size in pixels, each side within 200 and 8000.
    ///
    /// Grids of several layers keep their own size. Without this call a chart is 900 x 700 pixels a panel, and a grid as large as its pictures
    /// need, 1800 pixels wide at most for up to 28 columns.
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
            Content::Grid { tiles, columns } => {
                let layout = Layout::new(&self.title, tiles, *columns, self.size);
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

    /// Where everything lies in each strip; the figure's own title stands above the first one's.
    fn strip_layouts(&self) -> Vec<Layout> {
        let Content::Strips { strips, columns } = &self.content else {
            return Vec::new();
        };
        let pictures = strips.iter().map(|(_, tiles)| tiles.len()).sum::<usize>();
        let layout = |(number, (title, tiles)): (usize, &(String, Vec<Tile>))| {
            let title = match number {
                0 if !self.title.is_empty() => format!("{}\n{title}", self.title),
                _ => title.clone(),
            };
            Layout::small(&title, tiles, *columns, pictures)
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
            (Content::Grid { tiles, columns }, None) => {
                let layout = Layout::new(&self.title, tiles, *columns, None);
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
            Content::Lines(_) => None,
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
