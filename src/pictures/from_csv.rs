//! Pictures that a table labels: with a class, with labels or with numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::machine::patience::patiently;
use crate::pictures::csv::CsvTable;
use crate::pictures::dataset::Dataset;
use crate::pictures::labels::Labels;
use crate::pictures::target::Target;

/// What the column of file names is called; the first column where none is.
const FILE_COLUMNS: [&str; 2] = ["filename", "file"];

impl Dataset {
    /// Pictures that a CSV table labels. The column `filename` or `file`, the first one if there is neither, names the
    /// pictures in `folder`; `columns` are those of the labels:
    ///
    /// | `target` | `columns` |
    /// | --- | --- |
    /// | [`Target::Class`] | one: the name of the class |
    /// | [`Target::Labels`] | one with labels between blanks, or between semicolons where it has any (an empty cell: no label); or one for each label, 0 or 1 |
    /// | [`Target::Numbers`] | one for each number |
    ///
    /// The order is the table's; class and label names are sorted. The model is made for what the data hold:
    /// `Head::dense(256).target(data.target())`. Share it out with [`Dataset::split`].
    ///
    /// Keras: `flow_from_dataframe(table, folder, x_col="filename", y_col=columns, class_mode="raw")`;
    /// fastai: `ImageDataLoaders.from_csv(..., label_delim=" ")`.
    ///
    /// ```
    /// use evcxr_transfer::{Dataset, Target};
    /// # let folder = tempfile::tempdir()?;
    /// # let csv = folder.path().join("labels.csv");
    /// std::fs::write(&csv, "file,labels,age\ncat.0.jpg,small grey,2.5\ncat.1.jpg,small,4\n")?;
    /// let pictures = "data/samples/train/cats";
    /// let labels = Dataset::from_csv(&csv, pictures, Target::Labels, &["labels"])?;
    /// assert_eq!(labels.classes(), ["grey", "small"]);
    /// assert_eq!(labels.values()[[0, 0]], 1.0);
    /// let ages = Dataset::from_csv(&csv, pictures, Target::Numbers, &["age"])?;
    /// assert_eq!(ages.to_string(), "Found 2 images with 1 number: age.");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`] if the table cannot be read; [`Error::Dataset`] names the column that is missing, or the
    /// line whose picture is not there or was there before, or whose cell is empty or no number;
    /// [`Error::Argument`] for another number of columns.
    #[doc(alias("flow_from_dataframe", "from_df", "label_delim"))]
    pub fn from_csv(
        csv: impl AsRef<Path>,
        folder: impl AsRef<Path>,
        target: Target,
        columns: &[&str],
    ) -> Result<Self> {
        let allowed = match target {
            Target::Class => columns.len() == 1,
            Target::Labels | Target::Numbers => !columns.is_empty(),
        };
        if !allowed {
            return Err(Error::Argument {
                argument: "columns",
                value: format!("{columns:?}"),
                expected: match target {
                    Target::Class => "one column has the class".into(),
                    _ => "there must be one at least".into(),
                },
            });
        }
        let (csv, folder) = (csv.as_ref().to_owned(), folder.as_ref().to_owned());
        let columns: Vec<_> = columns.iter().map(|&name| name.to_owned()).collect();
        let doing = format!("reading {}", csv.display());
        patiently(&doing, move || {
            Self::of_table(&csv, &folder, target, &columns)
        })
    }

    fn of_table(csv: &Path, folder: &Path, target: Target, columns: &[String]) -> Result<Self> {
        let table = CsvTable::read(csv)?;
        let places = columns.iter().map(|name| table.column(name));
        let places = places.collect::<Result<Vec<_>>>()?;
        let files = files(&table, folder)?;
        let (names, labels) = match target {
            Target::Class => classes(&table, places[0])?,
            Target::Labels if is_text(&table, &places) => words(&table, places[0])?,
            _ => numbers(&table, &places, target)?,
        };
        Ok(Self::new(folder, files, names, labels))
    }
}

/// The picture of each record.
fn files(table: &CsvTable, folder: &Path) -> Result<Vec<PathBuf>> {
    let named = |name: &str| table.columns.iter().position(|column| column == name);
    let place = FILE_COLUMNS.into_iter().find_map(named).unwrap_or(0);
    let column = &table.columns[place];
    let mut lines = BTreeMap::new();
    let mut files = Vec::with_capacity(table.rows.len());
    for (line, cells) in &table.rows {
        let name = &cells[place];
        let file = folder.join(name);
        if name.is_empty() || !file.is_file() {
            return Err(table.wrong(
                *line,
                &format!("there is no picture {name:?} in {}", folder.display()),
                &format!(
                    "The column {column:?} must have names of files in that folder, with their endings \
                     (.jpg); another column is taken if it is called \"filename\""
                ),
            ));
        }
        if let Some(first) = lines.insert(name, *line) {
            let what = format!("the picture {name:?} was in line {first} already");
            return Err(table.wrong(*line, &what, "Keep one line for each picture"));
        }
        files.push(file);
    }
    Ok(files)
}

/// Whether a single column has labels in words: not 0 and 1 alone.
fn is_text(table: &CsvTable, places: &[usize]) -> bool {
    let is_flag =
        |(_, cells): &(usize, Vec<String>)| ["0", "1"].contains(&cells[places[0]].as_str());
    places.len() == 1 && !table.rows.iter().all(is_flag)
}

/// Names that occur, sorted.
fn sorted<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names = words.map(str::to_owned).collect::<Vec<_>>();
    names.sort_unstable();
    names.dedup();
    names
}

fn classes(table: &CsvTable, place: usize) -> Result<(Vec<String>, Labels)> {
    let empty = table.rows.iter().find(|(_, cells)| cells[place].is_empty());
    if let Some((line, _)) = empty {
        let what = format!("the cell of {:?} is empty", table.columns[place]);
        return Err(table.wrong(*line, &what, "Write the class there, or take the line away"));
    }
    let words = || table.rows.iter().map(|(_, cells)| cells[place].as_str());
    let names = sorted(words());
    let number = |word: &str| names.iter().position(|name| name == word);
    let labels = words().filter_map(number).collect();
    Ok((names, Labels::of_classes(labels)))
}

fn words(table: &CsvTable, place: usize) -> Result<(Vec<String>, Labels)> {
    let cells = || table.rows.iter().map(|(_, cells)| cells[place].as_str());
    let has_semicolons = cells().any(|cell| cell.contains(';'));
    let words = |cell: &str| -> Vec<String> {
        let words = match has_semicolons {
            true => cell.split(';').map(str::trim).collect::<Vec<_>>(),
            false => cell.split_whitespace().collect(),
        };
        let words = words.into_iter().filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let of_pictures = cells().map(words).collect::<Vec<_>>();
    let names = sorted(of_pictures.iter().flatten().map(String::as_str));
    if names.is_empty() {
        let what = format!("no cell of {:?} has a label", table.columns[place]);
        return Err(table.wrong(table.rows[0].0, &what, "Name the column that has them"));
    }
    let row = |words: &Vec<String>| {
        let holds = |name: &String| f32::from(words.contains(name));
        names.iter().map(holds).collect()
    };
    let rows = of_pictures.iter().map(row).collect();
    let labels = Labels::of_rows(Target::Labels, rows);
    Ok((names, labels))
}

/// Numbers, or labels as 0 and 1.
fn numbers(table: &CsvTable, places: &[usize], target: Target) -> Result<(Vec<String>, Labels)> {
    let number = |line: usize, cells: &[String], place: usize| {
        let (cell, column) = (&cells[place], &table.columns[place]);
        let value = cell.parse::<f32>().ok();
        let value = value.filter(|value| match target {
            Target::Labels => [0.0, 1.0].contains(value),
            _ => value.is_finite(),
        });
        value.ok_or_else(|| {
            let (is_no, remedy) = match target {
                Target::Labels => (
                    "neither 0 nor 1",
                    "Write 1 where the label holds and 0 where not",
                ),
                _ => (
                    "no finite number",
                    "Write it as 3.5, with a point and without a unit, or take the line away",
                ),
            };
            table.wrong(line, &format!("{column:?} is {cell:?}, {is_no}"), remedy)
        })
    };
    let row = |(line, cells): &(usize, Vec<String>)| {
        let row = places.iter().map(|&place| number(*line, cells, place));
        row.collect::<Result<Vec<_>>>()
    };
    let rows = table.rows.iter().map(row).collect::<Result<Vec<_>>>()?;
    let names = places.iter().map(|&place| table.columns[place].clone());
    Ok((names.collect(), Labels::of_rows(target, rows)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    const PICTURES: &str = "data/samples/train/cats";

    fn open(text: &str, target: Target, columns: &[&str]) -> Result<Dataset> {
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("labels.csv");
        std::fs::write(&csv, text).unwrap();
        Dataset::from_csv(&csv, PICTURES, target, columns)
    }

    #[test]
    fn labels_come_as_words_or_as_columns() {
        let words = "file,labels\ncat.0.jpg,red square\ncat.1.jpg,\ncat.2.jpg,red\n";
        let semicolons = words.replace("red square", "red; square").replace(' ', "");
        let flags = "red,file,square\n1,cat.0.jpg,1\n0,cat.1.jpg,0\n1,cat.2.jpg,0\n";
        for (text, columns) in [
            (words, ["labels"].as_slice()),
            (&semicolons, &["labels"]),
            (flags, &["red", "square"]),
        ] {
            let dataset = open(text, Target::Labels, columns).unwrap();
            assert_eq!(dataset.classes(), ["red", "square"]);
            let expected = ndarray::arr2(&[[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]);
            assert_eq!(dataset.values(), expected);
            let counts = dataset.counts().into_iter().map(|(_, count)| count);
            assert_eq!(counts.collect::<Vec<_>>(), [2, 1]);
            assert!(dataset.labels().is_empty());
        }
        // One label by itself.
        let alone = open(flags, Target::Labels, &["square"]).unwrap();
        assert_eq!(alone.classes(), ["square"]);
        assert_eq!(alone.to_string(), "Found 3 images with 1 label: square.");
    }

    #[test]
    fn a_class_column_is_what_class_folders_are() {
        let text = "id,file,class\n7,cat.1.jpg,dogs\n8,cat.0.jpg,cats\n";
        let dataset = open(text, Target::Class, &["class"]).unwrap();
        assert_eq!(dataset.labels(), [1, 0]);
        assert_eq!(dataset.values(), ndarray::arr2(&[[0.0, 1.0], [1.0, 0.0]]));
        assert_eq!(
            dataset.to_string(),
            "Found 2 images belonging to 2 classes."
        );
        assert!(dataset.files()[0].ends_with("cats/cat.1.jpg"));
    }

    #[test]
    fn a_bad_table_is_refused_with_line_and_remedy() {
        let (numbers, labels) = (Target::Numbers, Target::Labels);
        for (text, target, column, parts) in [
            (
                "file,age\nno.jpg,1\n",
                numbers,
                "age",
                ["line 2", "no picture \"no.jpg\""],
            ),
            (
                "file,age\n,1\n",
                numbers,
                "age",
                ["line 2", "names of files"],
            ),
            (
                "file,age\ncat.0.jpg,1\n",
                numbers,
                "size",
                ["no column \"size\"", "file, age"],
            ),
            (
                "file,age\ncat.0.jpg,1\ncat.1.jpg,old\n",
                numbers,
                "age",
                ["line 3", "\"old\", no finite"],
            ),
            (
                "file,age\ncat.0.jpg,\"1,5\"\n",
                numbers,
                "age",
                ["line 2", "with a point"],
            ),
            ("file,age\ncat.0.jpg,\n", numbers, "age", ["line 2", "\"\""]),
            (
                "file,age\ncat.0.jpg,NaN\n",
                numbers,
                "age",
                ["line 2", "finite"],
            ),
            (
                "file,age\ncat.0.jpg,1\ncat.0.jpg,2\n",
                numbers,
                "age",
                ["line 3", "was in line 2"],
            ),
            (
                "file,class\ncat.0.jpg,\n",
                Target::Class,
                "class",
                ["line 2", "is empty"],
            ),
            (
                "file,labels\ncat.0.jpg,\n",
                labels,
                "labels",
                ["line 2", "has a label"],
            ),
        ] {
            let error = open(text, target, &[column]).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
            assert!(error.contains("labels.csv"), "{error}");
        }
        let flags = "file,red,big\ncat.0.jpg,1,2\n";
        let error = open(flags, labels, &["red", "big"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("\"big\" is \"2\", neither 0 nor 1"),
            "{error}"
        );
        let error = open(flags, Target::Class, &["red", "big"]).unwrap_err();
        assert!(matches!(
            error,
            Error::Argument {
                argument: "columns",
                ..
            }
        ));
        let error = Dataset::from_csv("no.csv", PICTURES, labels, &["red"]);
        assert!(matches!(error, Err(Error::File { .. })));
    }

    #[test]
    fn a_table_is_shared_out_and_taken_from() {
        let lines = (0..10).map(|n| format!("cat.{n}.jpg,{n}.5\n"));
        let text = format!("file,age\n{}", lines.collect::<String>());
        let all = open(&text, Target::Numbers, &["age"]).unwrap();
        let data = all.split(0.2, 1).unwrap();
        assert_eq!((data.train.len(), data.validation.len()), (8, 2));
        assert!(
            data.tree().contains("validation\n    └── age  2 pictures"),
            "{}",
            data.tree()
        );
        assert_eq!(all.split(0.2, 1).unwrap().train.files(), data.train.files());
        assert_eq!(data.take(3, 1).train.values().dim(), (3, 1));
        let other = open(&text.replace(".5\n", ".75\n"), Target::Numbers, &["age"]).unwrap();
        assert_ne!(other.digest(), all.digest(), "other numbers are other data");
        assert!(all.show(2).is_ok() && data.check().is_ok());
    }
}
