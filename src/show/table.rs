//! A [`Table`] that shows itself under a cell: summaries, histories, confusion matrices.
//!
//! It is made from finished strings by the files that know what they mean (base, history,
//! dataset) and turns them into aligned text, HTML or CSV.
//!
//! ```
//! use evcxr_transfer::Table;
//!
//! let table = Table::new("VGG16", &["Layer", "Output shape", "Parameters"])
//!     .right_aligned(&[2])
//!     .row(["block1_conv1", "(N, 150, 150, 64)", "1,792"])
//!     .row(["block1_conv2", "(N, 150, 150, 64)", "36,928"])
//!     .note("Parameters in all: 14,714,688");
//! println!("{table}");
//! ```

use std::fmt;

use crate::show::display::displayed;
use crate::show::notebook::{Bundle, one_line};

/// More rows than these scroll under a cell: a network of 300 layers would push the next cell off the page.
const MOST_ROWS: usize = 40;

/// Rows of text under named columns, with a title above and notes below.
///
/// A cell that ends in a table shows it as HTML; `println!("{table}")` gives aligned text.
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    right_aligned: Vec<usize>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    /// A table without rows. An empty title is left out.
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self {
            title: one_line(title),
            columns: columns.iter().map(|name| one_line(name)).collect(),
            right_aligned: Vec::new(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Aligns these columns to the right, as suits numbers; counted from 0.
    pub fn right_aligned(mut self, columns: &[usize]) -> Self {
        self.right_aligned = columns.to_vec();
        self
    }

    /// Adds a row. Missing cells stay empty; cells beyond the last column get a column without a
    /// name.
    pub fn row(mut self, cells: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.push(cells);
        self
    }

    /// Adds a row in place, for loops; otherwise the same as [`Table::row`].
    pub fn push(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let row: Vec<String> = cells
            .into_iter()
            .map(|cell| one_line(&cell.into()))
            .collect();
        if row.len() > self.columns.len() {
            self.columns.resize(row.len(), String::new());
        }
        self.rows.push(row);
    }

    /// Adds a line below the table.
    pub fn note(mut self, note: &str) -> Self {
        self.notes.push(one_line(note));
        self
    }

    /// How many rows the table has.
    pub fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// The table as HTML, escaped. It takes text and background colour from the page, so it reads
    /// well on white and on dark pages. More than 40 rows scroll in a box of their own, with the notes below it.
    pub fn to_html(&self) -> String {
        // Grey at half strength shows on white and on black; text colours are the page's own.
        let rule = "1px solid rgba(128,128,128,0.6)";
        let is_long = self.rows.len() > MOST_ROWS;
        let mut html = String::new();
        if is_long {
            html.push_str("<div style=\"max-height:36em;overflow-y:auto\">");
        }
        html.push_str(
            "<table style=\"border-collapse:collapse;font-variant-numeric:tabular-nums\">\n",
        );
        if !self.title.is_empty() {
            let style = "caption-side:top;text-align:left;font-weight:bold;padding:4px 8px;\
                         color:inherit";
            html.push_str(&format!(
                "<caption style=\"{style}\">{}</caption>\n",
                escaped(&self.title)
            ));
        }
        html.push_str(&format!("<thead><tr style=\"border-bottom:{rule}\">"));
        for (index, name) in self.columns.iter().enumerate() {
            let style = self.cell_style(index);
            html.push_str(&format!("<th style=\"{style}\">{}</th>", escaped(name)));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for index in 0..self.columns.len() {
                let style = self.cell_style(index);
                let cell = escaped(row.get(index).map_or("", String::as_str));
                html.push_str(&format!("<td style=\"{style}\">{cell}</td>"));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n");
        if is_long {
            html.push_str("</table></div>\n<table style=\"border-collapse:collapse\">\n");
        }
        if !self.notes.is_empty() {
            html.push_str(&format!("<tfoot style=\"border-top:{rule}\">\n"));
            for note in &self.notes {
                let span = self.columns.len().max(1);
                let style = "text-align:left;padding:2px 8px";
                let note = escaped(note);
                html.push_str(&format!(
                    "<tr><td colspan=\"{span}\" style=\"{style}\">{note}</td></tr>\n"
                ));
            }
            html.push_str("</tfoot>\n");
        }
        html.push_str("</table>");
        html
    }

    /// The table as comma-separated values: the column names, then one line a row. Title and
    /// notes are left out.
    pub fn to_csv(&self) -> String {
        let line = |cells: &[String]| {
            let cell = |index: usize| {
                cells
                    .get(index)
                    .map_or_else(String::new, |cell: &String| quoted(cell))
            };
            (0..self.columns.len())
                .map(cell)
                .collect::<Vec<_>>()
                .join(",")
                + "\n"
        };
        let mut csv = line(&self.columns);
        for row in &self.rows {
            csv.push_str(&line(row));
        }
        csv
    }

    fn cell_style(&self, index: usize) -> String {
        let side = if self.right_aligned.contains(&index) {
            "right"
        } else {
            "left"
        };
        format!("text-align:{side};padding:2px 8px")
    }

    fn text_line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, &width) in widths.iter().enumerate() {
            let cell = cells.get(index).map_or("", String::as_str);
            let gap = if index == 0 { "" } else { "  " };
            // By hand: format strings take widths up to 65,535 and panic beyond.
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            line.push_str(gap);
            if self.right_aligned.contains(&index) {
                line.push_str(&pad);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&pad);
            }
        }
        line.trim_end().to_owned()
    }
}

displayed!(Table, "Shows the table under a notebook cell.", |table| {
    Bundle::text(&table.to_string()).html(&table.to_html())
});

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |cell: &String| cell.chars().count();
        let width = |index: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            cells
                .chain(self.columns.get(index))
                .map(length)
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let gaps = 2 * widths.len().saturating_sub(1);
        let notes = self
            .notes
            .iter()
            .chain([&self.title])
            .map(length)
            .max()
            .unwrap_or(0);
        // Long notes widen the rules only up to a terminal's usual width.
        let total = (widths.iter().sum::<usize>() + gaps).max(notes.min(80));
        let rule = "─".repeat(total);
        if !self.title.is_empty() {
            writeln!(f, "{}", self.title)?;
        }
        writeln!(
            f,
            "{rule}\n{}\n{rule}",
            self.text_line(&self.columns, &widths)
        )?;
        for row in &self.rows {
            writeln!(f, "{}", self.text_line(row, &widths))?;
        }
        write!(f, "{rule}")?;
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, columns) = (self.rows.len(), self.columns.len());
        write!(f, "Table: {}, {rows} rows x {columns} columns", self.title)
    }
}

pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // Pages that typeset formulas would take what stands between two dollar signs.
            '$' => safe.push_str("<span>$</span>"),
            other => safe.push(other),
        }
    }
    safe
}

/// A CSV cell, in quotes where RFC 4180 asks for them.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// "1 picture", "30 pictures".
pub(crate) fn counted(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// "every epoch", "every 5 epochs".
pub(crate) fn every(number: usize, one: &str) -> String {
    match number {
        1 => format!("every {one}"),
        _ => format!("every {number} {one}s"),
    }
}

/// `14,714,688`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with three digits that count, `0.0123` or `12.3`; from 100 on without a fraction, below a
/// thousandth as `1.2e-5`.
pub(crate) fn significant(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || size >= 100.0 || !size.is_finite() {
        return format!("{value:.0}");
    }
    if size < 1e-3 {
        return format!("{value:.1e}");
    }
    let places = (2.0 - size.log10().floor()) as usize;
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_scrolls_and_its_notes_stay_below() {
        let of = |rows: usize| {
            let mut table = Table::new("", &["layer"]).note("all of them");
            (0..rows).for_each(|row| table.push([row.to_string()]));
            table.to_html()
        };
        assert!(!of(MOST_ROWS).contains("overflow"));
        let long = of(MOST_ROWS + 1);
        let (rows, notes) = long.split_once("</div>").unwrap_or_default();
        assert!(rows.starts_with("<div style=\"max-height") && rows.contains(">40</td>"));
        assert!(
            notes.contains("all of them") && notes.ends_with("</table>"),
            "{notes}"
        );
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let texts = [0, 999, 1000, 14_714_688].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "14,714,688"]);
    }

    #[test]
    fn three_digits_count() {
        for (value, expected) in [
            (0.0, "0"),
            (1234.6, "1235"),
            (99.94, "99.9"),
            (12.34, "12.3"),
            (0.5, "0.500"),
            (-0.0123456, "-0.0123"),
            (0.00012, "1.2e-4"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(significant(value), expected);
        }
    }
}
