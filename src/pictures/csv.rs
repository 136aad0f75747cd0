//! Tables as CSV files hold them: a header, then a record a line.
//!
//! Not by the `csv` crate (1.4), which takes a quote that is never closed for a cell with all that follows, so that
//! pictures would go missing without a word, and counts lines otherwise behind `\r\n` and blank ones (tried: 1 and 3
//! for the lines 2 and 5 of the test below): messages here name the line.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::machine::disk;
use crate::pictures::folder::check_is_local;

/// What spreadsheets put between cells; the first of these that the header has.
const DELIMITERS: [char; 3] = [',', ';', '\t'];

/// A table with named columns.
pub(super) struct CsvTable {
    path: PathBuf,
    pub(super) columns: Vec<String>,
    /// Each record with the line that it begins in, counted from 1.
    pub(super) rows: Vec<(usize, Vec<String>)>,
}

impl CsvTable {
    /// Reads a file in UTF-8: cells between commas, semicolons or tabs, in quotes where one has these in it.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, [`Error::Dataset`] names the line that is no record.
    pub(super) fn read(path: &Path) -> Result<Self> {
        check_is_local(path)?;
        let bytes = disk::read(path)?;
        let text = String::from_utf8(bytes);
        let text =
            text.map_err(|_| problem(path, "it is not UTF-8 text", "Save it as \"CSV UTF-8\""))?;
        let text = text.trim_start_matches('\u{feff}');
        let header = text.lines().next().unwrap_or_default();
        let delimiter = DELIMITERS.into_iter().find(|&sign| header.contains(sign));
        let mut records = records(text, delimiter.unwrap_or(',')).map_err(|line| {
            let what = format!("line {line}: a quote is opened and not closed");
            problem(
                path,
                &what,
                "Close it; a quote within quotes is written twice",
            )
        })?;
        if records.len() < 2 {
            return Err(problem(
                path,
                "it has no records",
                "Write the names of the columns first, then a line for each picture",
            ));
        }
        let (_, columns) = records.remove(0);
        if let Some((line, cells)) = records
            .iter()
            .find(|(_, cells)| cells.len() != columns.len())
        {
            return Err(problem(
                path,
                &format!(
                    "line {line}: it has {} cells, the header {}",
                    cells.len(),
                    columns.len()
                ),
                "Give each line a cell for each column; a cell with a comma in it stands in quotes",
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            columns,
            rows: records,
        })
    }

    /// The place of a column.
    ///
    /// # Errors
    /// [`Error::Dataset`] lists the columns.
    pub(super) fn column(&self, name: &str) -> Result<usize> {
        let found = self.columns.iter().position(|column| column == name);
        found.ok_or_else(|| {
            let what = format!("there is no column {name:?}");
            let columns = self.columns.join(", ");
            problem(&self.path, &what, &format!("The columns are: {columns}"))
        })
    }

    /// What is wrong with a record, and what to do about it.
    pub(super) fn wrong(&self, line: usize, what: &str, remedy: &str) -> Error {
        problem(&self.path, &format!("line {line}: {what}"), remedy)
    }
}

fn problem(path: &Path, what: &str, remedy: &str) -> Error {
    Error::Dataset {
        path: path.to_owned(),
        problem: what.into(),
        remedy: remedy.into(),
    }
}

/// The records of a text (RFC 4180), blank lines left out, cells without blanks around them; or the line of a quote
/// that is never closed.
fn records(text: &str, delimiter: char) -> std::result::Result<Vec<(usize, Vec<String>)>, usize> {
    let mut records = Vec::new();
    let mut cells = Vec::new();
    let mut cell = String::new();
    let (mut line, mut first_line) = (1, 1);
    let mut opened = None;
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match (sign, opened) {
            ('"', Some(_)) if signs.peek() == Some(&'"') => {
                signs.next();
                cell.push('"');
            }
            ('"', Some(_)) => opened = None,
            ('"', None) if cell.trim().is_empty() => opened = Some(line),
            ('\n', None) => {
                end(&mut records, &mut cells, &mut cell, first_line);
                first_line = line + 1;
            }
            (sign, None) if sign == delimiter => cells.push(std::mem::take(&mut cell)),
            (sign, _) => cell.push(sign),
        }
        line += usize::from(sign == '\n');
    }
    end(&mut records, &mut cells, &mut cell, first_line);
    opened.map_or(Ok(records), Err)
}

/// A record is whole.
fn end(
    records: &mut Vec<(usize, Vec<String>)>,
    cells: &mut Vec<String>,
    cell: &mut String,
    line: usize,
) {
    cells.push(std::mem::take(cell));
    let record = std::mem::take(cells);
    let record = record.iter().map(|cell| cell.trim().to_owned());
    let record = record.collect::<Vec<_>>();
    if record != [""] {
        records.push((line, record));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_line_that_they_begin_in() {
        let text = "file,words\r\na.jpg,\"two, \"\"three\"\"\nlines\"\r\n\n b.jpg , x";
        let expected = [
            (1, vec!["file", "words"]),
            (2, vec!["a.jpg", "two, \"three\"\nlines"]),
            (5, vec!["b.jpg", "x"]),
        ];
        let found = records(text, ',').unwrap();
        for ((line, cells), (expected_line, expected)) in found.iter().zip(&expected) {
            assert_eq!(
                (line, cells.as_slice()),
                (
                    expected_line,
                    &expected[..]
                        .iter()
                        .map(|c| c.to_string())
                        .collect::<Vec<_>>()[..]
                )
            );
        }
        assert_eq!(found.len(), 3);
        assert_eq!(records("a,b\n\"c,d\n", ','), Err(2));
    }

    #[test]
    fn a_table_that_is_none_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        for (bytes, part) in [
            (b"".as_slice(), "no records"),
            (b"file,age\n", "no records"),
            (
                b"file,age\na.jpg,1\nb.jpg\n",
                "line 3: it has 1 cells, the header 2",
            ),
            (b"file,age\n\"a.jpg,1\n", "line 2: a quote is opened"),
            (b"file,\xe4ge\na.jpg,1\n", "not UTF-8"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = CsvTable::read(&path).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("t.csv"), "{error}");
        }
        std::fs::write(&path, "\u{feff}file;age\na.jpg;1\n").unwrap();
        let table = CsvTable::read(&path).unwrap();
        assert_eq!(table.columns, ["file", "age"]);
        let error = table.column("size").unwrap_err().to_string();
        assert!(
            error.contains("\"size\"") && error.contains("file, age"),
            "{error}"
        );
    }
}
