//! The pictures that a model takes for another class, the surest mistakes first; wrong labels, and numbers by their error.

use std::path::PathBuf;

use crate::error::Result;
use crate::model::features::no_files;
use crate::model::probabilities::{answer, full_answer, most_probable};
use crate::model::report::Report;
use crate::pictures::folder::name_of;
use crate::pictures::photo::Photo;
use crate::pictures::target::Target;
use crate::show::draw::grid;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::table::{Table, counted};

impl Report {
    /// The pictures that are taken for another class, the surest mistakes first: the file, its class, what
    /// it was taken for and the probability of that. Of labels those with a wrong one, and how far its probability is from the
    /// truth; of numbers all, the largest error first, and the mean absolute error.
    pub fn mistakes(&self) -> Vec<(PathBuf, String, String, f64)> {
        let of = |number: usize| {
            let row = &self.probabilities[number];
            (
                self.file(number),
                self.labels.words(&self.classes, number),
                answer(self.target(), &self.classes, row),
                self.sureness(number),
            )
        };
        self.most_wrong_numbers().into_iter().map(of).collect()
    }

    /// The same as a table, all of them: file, true class, predicted class and the probability of that.
    ///
    /// ```
    /// # use evcxr_transfer::{Base, Classifier, Data, Device, Head, Precision, Weights};
    /// # let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
    /// # let data = Data::open("data/samples")?.take(4, 4);
    /// # let model = Classifier::new(&base, Head::dense(8), data.train.classes())?;
    /// let report = model.report(&data.validation)?;
    /// let table = report.misclassified();
    /// # assert_eq!(table.num_rows(), report.mistakes().len());
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    #[doc(alias("top_losses", "errors"))]
    pub fn misclassified(&self) -> Table {
        let measure = match self.target() {
            Target::Class => "probability",
            Target::Labels | Target::Numbers => "error",
        };
        let columns = ["picture", "true", "predicted", measure];
        let title = match self.target() {
            Target::Numbers => format!("Errors on {}", counted(self.len(), "picture")),
            _ => format!(
                "Misclassified: {} of {}",
                self.most_wrong_numbers().len(),
                self.len()
            ),
        };
        let mut table = Table::new(&title, &columns).right_aligned(&[3]);
        for (file, label, guess, probability) in self.mistakes() {
            table.push([
                file.display().to_string(),
                label,
                guess,
                format!("{probability:.4}"),
            ]);
        }
        self.noted(table)
    }

    fn is_wrong(&self, number: usize) -> bool {
        let row = &self.probabilities[number];
        match self.target() {
            Target::Class => self.labels.value(number, most_probable(row)) == 0.0,
            // On the wrong side of one half.
            Target::Labels => self.sureness(number) >= 0.5,
            Target::Numbers => true,
        }
    }

    /// How sure a mistake is: the probability of the wrong class, the largest distance of a label's from the truth; of numbers
    /// the mean absolute error.
    fn sureness(&self, number: usize) -> f64 {
        let row = &self.probabilities[number];
        let truth = |place: usize| f64::from(self.labels.value(number, place));
        let distances = row
            .iter()
            .enumerate()
            .map(|(place, value)| (value - truth(place)).abs());
        match self.target() {
            Target::Class => row[most_probable(row)],
            Target::Labels => distances.fold(0.0, f64::max),
            Target::Numbers => distances.sum::<f64>() / row.len().max(1) as f64,
        }
    }

    pub(super) fn most_wrong_numbers(&self) -> Vec<usize> {
        let mut wrong = (0..self.len())
            .filter(|&number| self.is_wrong(number))
            .collect::<Vec<_>>();
        // Stable: equals stay in the order of the files.
        wrong.sort_by(|&a, &b| self.sureness(b).total_cmp(&self.sureness(a)));
        wrong
    }

    /// A grid of the `n` surest mistakes, 100 at most, each with what it was taken for, the probability of that, what it
    /// is and its file.
    ///
    /// # Errors
    /// [`Error::Picture`](crate::Error::Picture) or [`Error::File`](crate::Error::File) if one of them cannot be read any more, [`Error::Mismatch`](crate::Error::Mismatch) if the report
    /// is of features that no files belong to.
    #[doc(alias = "plot_top_losses")]
    pub fn most_wrong(&self, n: usize) -> Result<Figure> {
        let wrong = self.most_wrong_numbers();
        let what = match self.target() {
            Target::Numbers => "errors",
            _ => "mistakes",
        };
        let (n, count, notes) = grid::count(n, wrong.len(), what);
        let title = format!("{count}, on {}", counted(self.len(), "picture"));
        self.grid(&title, notes, &wrong[..n])
    }

    /// A grid of `n` pictures, 100 at most, spread over the dataset, each with what it was taken for and what it is; the
    /// wrong ones have a frame and a cross.
    ///
    /// # Errors
    /// As [`Report::most_wrong`].
    pub fn show(&self, n: usize) -> Result<Figure> {
        let (n, count, notes) = grid::count(n, self.len(), "predictions");
        let numbers = grid::spread(n, self.len()).collect::<Vec<_>>();
        self.grid(&count, notes, &numbers)
    }

    fn grid(&self, title: &str, mut notes: Vec<String>, numbers: &[usize]) -> Result<Figure> {
        if self.files.is_empty() && !numbers.is_empty() {
            return Err(no_files("the features of a report"));
        }
        let mut tiles = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let row = &self.probabilities[number];
            let label = format!(
                "{}\nis {}\n{}",
                full_answer(self.target(), &self.classes, row),
                self.labels.words(&self.classes, number),
                name_of(&self.file(number))
            );
            let tile = Tile::new(Photo::open(self.file(number))?, label);
            // Numbers are never quite right.
            let is_wrong = self.target() != Target::Numbers && self.is_wrong(number);
            tiles.push(tile.highlighted(is_wrong));
        }
        notes.extend(self.notes.iter().cloned());
        let title = titled(title, &notes);
        Ok(Figure::photos(&title, tiles, grid::columns(numbers.len())))
    }
}
