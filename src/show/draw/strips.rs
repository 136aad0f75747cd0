//! Several picture grids below each other, each with a title of its own: the maps of several layers.

use crate::error::Result;
use crate::show::draw::drawing::Drawing;
use crate::show::draw::grid::Layout;
use crate::show::draw::tile::Tile;

/// Titles and tiles from the top down, in rows of `columns` (at least 1).
#[derive(Clone)]
pub(crate) struct Strips {
    pub(crate) strips: Vec<(String, Vec<Tile>)>,
    pub(crate) columns: usize,
}

impl Strips {
    /// How many pictures all strips have together.
    pub(crate) fn len(&self) -> usize {
        self.strips.iter().map(|(_, tiles)| tiles.len()).sum()
    }

    /// Where everything lies in each strip; the figure's own title stands above the first one's. The
    /// more pictures there are, the smaller they get.
    fn layouts(&self, title: &str, size: Option<(u32, u32)>) -> Vec<Layout> {
        // Of a given height each strip gets as much as it has rows.
        let rows = |tiles: &[Tile]| tiles.len().div_ceil(self.columns).max(1);
        let all_rows = self.strips.iter().map(|(_, tiles)| rows(tiles));
        let all_rows = all_rows.sum::<usize>();
        let layout = |(number, (own, tiles)): (usize, &(String, Vec<Tile>))| {
            let size = size
                .map(|(width, height)| (width, (height as usize * rows(tiles) / all_rows) as u32));
            let title = match number {
                0 if !title.is_empty() => format!("{title}\n{own}"),
                _ => own.clone(),
            };
            Layout::small(&title, tiles, self.columns, self.len(), size)
        };
        self.strips.iter().enumerate().map(layout).collect()
    }

    /// Width and height in pixels below this title.
    pub(crate) fn dimensions(&self, title: &str, size: Option<(u32, u32)>) -> (u32, u32) {
        around(&self.layouts(title, size))
    }

    /// Draws the strips below this title.
    pub(crate) fn draw(&self, title: &str, size: Option<(u32, u32)>) -> Result<Drawing> {
        let layouts = self.layouts(title, size);
        let (width, height) = around(&layouts);
        let mut drawing = Drawing::new(width, height);
        let mut top = 0;
        for (layout, (_, tiles)) in layouts.iter().zip(&self.strips) {
            let mut strip = Drawing::new(width, layout.height);
            layout.draw(tiles, &mut strip)?;
            drawing.append(strip, top);
            top += layout.height;
        }
        Ok(drawing)
    }
}

/// Width and height of all strips together.
fn around(layouts: &[Layout]) -> (u32, u32) {
    let width = layouts.iter().map(|layout| layout.width).max();
    let height = layouts.iter().map(|layout| layout.height).sum::<u32>();
    (width.unwrap_or(400), height.max(100))
}
