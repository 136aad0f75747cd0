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

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Result;
use crate::show::display::displayed;
use crate::show::draw::chart;
use crate::show::draw::chart::Panel;
use crate::show::draw::drawing::Drawing;
use crate::show::draw::grid::Grid;
use crate::show::draw::matrix::{self, Matrix};
use crate::show::draw::series::Mark;
use crate::show::draw::strips::Strips;
use crate::show::draw::tile::Tile;
use crate::show::encoded::Encoded;
use crate::show::ending;
use crate::show::notebook::{Bundle, one_line};
use crate::show::saved::Saved;

/// A title with what a reader should know: "Loss (drawn sample pictures; seeded random weights)".
pub(crate) fn titled(title: &str, notes: &[String]) -> String {
    match notes {
        [] => title.to_owned(),
        notes => format!("{title} ({})", notes.join("; ")),
    }
}

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
    Grid(Grid),
    Strips(Strips),
}

impl Figure {
    fn new(title: &str, content: Content) -> Self {
        Self {
            title: one_line(title),
            content,
            size: None,
        }
    }

    /// Line charts side by side. An empty title takes no room.
    pub(crate) fn lines(title: &str, panels: Vec<Panel>) -> Self {
        Self::new(title, Content::Lines(panels))
    }

    /// Pictures in rows of `columns` (at least 1), each fitted into a cell with its label below.
    pub(crate) fn grid(title: &str, tiles: Vec<Tile>, columns: usize) -> Self {
        Self::new(title, Content::Grid(Grid::new(tiles, columns)))
    }

    /// Photographs with their labels in rows of `columns`; of more than 24 only the first line of the
    /// labels is kept, and there are up to ten a row. The caller shows [`grid::MOST_PHOTOS`](crate::show::draw::grid)
    /// at most.
    pub(crate) fn photos(title: &str, tiles: Vec<Tile>, columns: usize) -> Self {
        Self::new(title, Content::Grid(Grid::photos(tiles, columns)))
    }

    /// A matrix of numbers as colours, with a bar that tells them.
    pub(crate) fn matrix(title: &str, matrix: Matrix) -> Self {
        Self::new(title, Content::Matrix(matrix))
    }

    /// Several grids of `columns` (at least 1) below each other, each with a title of its own, with
    /// smaller pictures the more there are.
    pub(crate) fn strips(title: &str, strips: Vec<(String, Vec<Tile>)>, columns: usize) -> Self {
        Self::new(title, Content::Strips(Strips { strips, columns }))
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
            Content::Grid(_) | Content::Strips(_) => {}
        }
        self
    }

    /// The same figure with a logarithmic x axis, for learning rates; what is not above 0 is a gap. Other figures than
    /// charts stay as they are.
    ///
    /// matplotlib: `plt.xscale("log")`.
    #[doc(alias("xscale", "semilogx", "loglog"))]
    pub fn log_x(mut self) -> Self {
        if let Content::Lines(panels) = &mut self.content {
            panels.iter_mut().for_each(|panel| panel.are_log.0 = true);
        }
        self
    }

    /// The same figure with a logarithmic y axis, for losses that fall by powers of ten: `history.plot().log_y()`.
    /// What is not above 0 is a gap. Other figures than charts stay as they are.
    ///
    /// matplotlib: `plt.yscale("log")`.
    #[doc(alias("yscale", "semilogy"))]
    pub fn log_y(mut self) -> Self {
        if let Content::Lines(panels) = &mut self.content {
            panels.iter_mut().for_each(|panel| panel.are_log.1 = true);
        }
        self
    }

    /// The same figure with a mark at each point in place of lines, of another colour and shape for each name. What has
    /// no lines stays as it is.
    ///
    /// matplotlib: `plt.scatter(x, y)`.
    ///
    /// ```
    /// use evcxr_transfer::plot_xy;
    /// let (weights, heights) = (vec![3.1, 4.5, 3.9], vec![23.0, 27.5, 24.0]);
    /// let figure = plot_xy(&[("cats", &weights, &heights)])?.points().axes("weight (kg)", "height (cm)");
    /// # assert!(figure.to_png()?.len() > 1_000);
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    #[doc(alias("scatter"))]
    pub fn points(mut self) -> Self {
        if let Content::Lines(panels) = &mut self.content {
            for series in panels.iter_mut().flat_map(|panel| &mut panel.series) {
                if matches!(series.mark, Mark::Line | Mark::Dashed | Mark::Thin) {
                    series.mark = Mark::Points;
                }
            }
        }
        self
    }

    /// The same figure with another size in pixels, each side within 200 and 8000.
    ///
    /// Without this call a chart is 900 x 700 pixels a panel, a matrix 900 pixels wide, and a grid as large as
    /// its pictures need, 1800 pixels wide at most for up to 28 columns. Our kernel shows a figure at half its
    /// pixels, so that it is sharp on fine screens. `figure.size(1200, 800).save("curves.png")?` saves one of that
    /// size.
    #[doc(alias("figsize", "dpi"))]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = Some((width.clamp(200, 8000), height.clamp(200, 8000)));
        self
    }

    /// Saves the figure as PNG or SVG, as the file's extension says. An older file of that name
    /// is replaced, once the new one is complete.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) for another extension, [`Error::File`](crate::Error::File) if the file
    /// cannot be written, [`Error::Figure`](crate::Error::Figure) if the figure cannot be drawn.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Saved> {
        let path = path.as_ref();
        let bytes = match ending::one_of(path, &["png", "svg"], "a figure")? {
            "svg" => self.to_svg()?.into_bytes(),
            _ => self.to_png()?,
        };
        Saved::write(path, &bytes)
    }

    /// The figure as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// [`Error::Figure`](crate::Error::Figure) if it cannot be drawn.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        self.drawing()?.to_png()
    }

    /// The figure as the text of an SVG file, with its pictures embedded.
    ///
    /// # Errors
    ///
    /// [`Error::Figure`](crate::Error::Figure) if it cannot be drawn.
    pub fn to_svg(&self) -> Result<String> {
        self.drawing()?.to_svg()
    }

    /// The figure as a page gets it: lines and letters as PNG, sharp to the pixel; pictures as JPEG where that takes less
    /// than half the room.
    fn encoded(&self) -> Result<Encoded> {
        let drawing = self.drawing()?;
        match &self.content {
            Content::Lines(_) | Content::Matrix(_) => drawing.to_png().map(Encoded::png),
            Content::Grid(_) | Content::Strips(_) => drawing.to_encoded(),
        }
    }

    /// The figure while it still grows: quicker to make than a PNG, and as wide on the page.
    pub(crate) fn sketch(&self) -> Bundle {
        let text = self.to_string();
        let width = self.dimensions().0 / 2;
        match self.to_svg() {
            Ok(svg) => Bundle::text(&text).html(&format!(
                "<img src=\"data:image/svg+xml;base64,{}\" width=\"{width}\" style=\"max-width:100%\">",
                STANDARD.encode(svg)
            )),
            Err(error) => Bundle::text(&format!("{text}: {error}")),
        }
    }

    fn drawing(&self) -> Result<Drawing> {
        let title = &self.title;
        let empty = || {
            let (width, height) = self.dimensions();
            Drawing::new(width, height)
        };
        match &self.content {
            Content::Lines(panels) => chart::draw(title, panels, empty()),
            Content::Matrix(matrix) => matrix::draw(title, matrix, empty()),
            Content::Grid(grid) => grid.draw(title, self.size),
            Content::Strips(strips) => strips.draw(title, self.size),
        }
    }

    fn dimensions(&self) -> (u32, u32) {
        match (&self.content, self.size) {
            (Content::Strips(strips), size) => strips.dimensions(&self.title, size),
            (_, Some(size)) => size,
            (Content::Lines(panels), None) => (900 * panels.len().clamp(1, 4) as u32, 700),
            (Content::Matrix(matrix), None) => (900, matrix.height(900)),
            (Content::Grid(grid), None) => {
                let layout = grid.layout(&self.title, None);
                (layout.width, layout.height)
            }
        }
    }
}

displayed!(
    Figure,
    "Shows the figure under a notebook cell, or why it cannot be drawn.",
    |figure| match figure.encoded() {
        Ok(picture) => Bundle::text(&figure.to_string()).picture(&picture),
        Err(error) => Bundle::text(&format!("{figure}: {error}")),
    }
);

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
            Content::Grid(grid) => Some(grid.len()),
            Content::Strips(strips) => Some(strips.len()),
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
