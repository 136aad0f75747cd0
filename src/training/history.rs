//! What a training run tells: loss and measure of every epoch, as curves, table, CSV and JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Result;
use crate::show::display_id::DisplayId;
use crate::show::ending;
use crate::show::saved::Saved;
use crate::show::table::Table;
use crate::training::epoch::Epoch;
use crate::training::evaluation::Evaluation;
use crate::training::step::Step;

/// The course of a training run.
#[derive(Clone, Default, Serialize, Deserialize)]
#[doc(alias = "Recorder")]
pub struct History {
    /// One entry for each epoch.
    pub epochs: Vec<Epoch>,
    notes: Vec<String>,
    ending: Vec<String>,
    /// The epoch whose weights were kept, counted from 1 in `epochs`, if the ending tells it. Below 1 it is one of
    /// those before. Files of older versions have it among the words of the ending.
    #[serde(default)]
    kept: Option<i64>,
    /// The runs that it is made of, if they have names. Files of older versions have none.
    #[serde(default)]
    pub(super) sections: Vec<Section>,
    /// The steps one by one, if they were asked for.
    #[serde(default, rename = "steps", skip_serializing_if = "Vec::is_empty")]
    pub(super) kept_steps: Vec<Step>,
    /// How many steps were taken, those of an epoch that was stopped too.
    #[serde(skip)]
    pub(crate) steps: usize,
    /// Whether it ended otherwise than the options say: stopped, or by an error.
    #[serde(skip)]
    pub(crate) is_cut: bool,
    /// The display under the cell in which its curves have grown. Files do not know it.
    #[serde(skip)]
    pub(crate) display_id: Option<DisplayId>,
    /// The run before it whose curves it goes on with.
    #[serde(skip)]
    before: Option<Box<History>>,
}

/// Epochs of one run, up to the next section.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Section {
    /// How many epochs come before it.
    pub(super) after: usize,
    pub(super) name: String,
}

impl PartialEq for History {
    /// Whether numbers, notes and ending are the same.
    fn eq(&self, other: &Self) -> bool {
        (&self.epochs, &self.notes, self.ending()) == (&other.epochs, &other.notes, other.ending())
    }
}

/// The notes in their order, each once.
pub(super) fn distinct<'a>(notes: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut kept = Vec::new();
    for note in notes {
        if !kept.contains(note) {
            kept.push(note.clone());
        }
    }
    kept
}

/// One measure of a history, by its Keras name.
pub(super) type Measure = (&'static str, fn(&Epoch) -> Option<f64>);

/// Those of classes and labels.
const MEASURES: [Measure; 4] = [
    ("loss", |epoch| Some(epoch.loss)),
    ("accuracy", |epoch| Some(epoch.accuracy)),
    ("val_loss", |epoch| epoch.val_loss),
    ("val_accuracy", |epoch| epoch.val_accuracy),
];

/// Those of numbers.
const OF_NUMBERS: [Measure; 4] = [
    ("loss", |epoch| Some(epoch.loss)),
    ("mae", |epoch| epoch.mae),
    ("val_loss", |epoch| epoch.val_loss),
    ("val_mae", |epoch| epoch.val_mae),
];

impl History {
    /// Whether numbers were learned, not classes or labels.
    pub(super) fn is_of_numbers(&self) -> bool {
        self.epochs.iter().any(|epoch| epoch.mae.is_some())
    }

    /// Loss and measure, in training and in validation.
    pub(super) fn measures(&self) -> [Measure; 4] {
        match self.is_of_numbers() {
            true => OF_NUMBERS,
            false => MEASURES,
        }
    }

    /// A history without epochs; notes that are said twice are kept once.
    pub(crate) fn new<'a>(notes: impl IntoIterator<Item = &'a String>) -> Self {
        Self {
            notes: distinct(notes),
            ..Self::default()
        }
    }

    /// The same, as that of a run with a name; where another follows, the plot shows the seam.
    pub(crate) fn named(mut self, name: String) -> Self {
        self.sections = vec![Section { after: 0, name }];
        self
    }

    /// The same, as that of a run whose curves go on with those of an earlier one, in their display.
    pub(crate) fn following(mut self, before: Option<&Self>) -> Self {
        self.display_id = before.and_then(|before| before.display_id.clone());
        self.before = before.cloned().map(Box::new);
        self
    }

    /// The run with the one before it.
    pub(crate) fn whole(&self) -> Self {
        let Some(before) = &self.before else {
            return self.clone();
        };
        let mut whole = Self::clone(before);
        whole.extend(self);
        whole
    }

    /// Why the run ended before its last epoch (a stop, an error, no better epoch for long), or which
    /// epoch's weights were kept; nothing for a run that went to its end.
    pub fn ending(&self) -> Option<String> {
        let kept = self.kept.filter(|&epoch| epoch > 0);
        let kept = kept.map(|epoch| format!("the weights are those of epoch {epoch}"));
        let words = self.ending.iter().cloned().chain(kept);
        let words = words.collect::<Vec<_>>();
        (!words.is_empty()).then(|| words.join("; "))
    }

    pub(crate) fn end(&mut self, how: String) {
        self.ending.push(how);
    }

    /// Says that the weights are those of an epoch, counted from 1.
    pub(crate) fn keep(&mut self, epoch: usize) {
        self.kept = Some(epoch as i64);
    }

    /// The same for an ending that the options do not ask for.
    pub(crate) fn cut(&mut self, how: String) {
        self.is_cut = true;
        self.end(how);
    }

    /// The same without its first epochs, which were counted elsewhere.
    pub(crate) fn after(&self, epochs: usize) -> Self {
        Self {
            epochs: self.epochs.iter().skip(epochs).copied().collect(),
            kept_steps: (self.kept_steps.iter().filter(|step| step.epoch > epochs))
                .map(|step| Step {
                    epoch: step.epoch - epochs,
                    ..*step
                })
                .collect(),
            kept: self.kept.map(|kept| kept - epochs as i64),
            // One run as a rule: its later part has the same name.
            sections: (self.sections.iter())
                .map(|section| Section {
                    after: section.after.saturating_sub(epochs),
                    ..section.clone()
                })
                .collect(),
            ..self.clone()
        }
    }

    /// Adds the epochs of a later run.
    pub(crate) fn extend(&mut self, later: &Self) {
        for section in later.sections.iter().filter(|_| !later.epochs.is_empty()) {
            let last = self.sections.last();
            // The same run gone on with has no seam.
            if last.is_none_or(|last| last.name != section.name) {
                self.sections.push(Section {
                    after: self.epochs.len() + section.after,
                    ..section.clone()
                });
            }
        }
        self.kept = later.kept.map(|kept| kept + self.epochs.len() as i64);
        let before = self.epochs.len();
        self.kept_steps
            .extend(later.kept_steps.iter().map(|step| Step {
                epoch: step.epoch + before,
                ..*step
            }));
        self.epochs.extend(&later.epochs);
        self.steps += later.steps;
        self.notes = distinct(self.notes.iter().chain(&later.notes));
        self.ending.clone_from(&later.ending);
        self.is_cut = later.is_cut;
    }

    /// What a reader of these numbers should know: drawn pictures, seeded weights.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The numbers of the last epoch, if there was one.
    pub fn last(&self) -> Option<Epoch> {
        self.epochs.last().copied()
    }

    /// The epoch with the best validation accuracy (of numbers the lowest `val_mae`), counted from 1, with its
    /// numbers; the earliest of equals. Nothing without validation.
    pub fn best(&self) -> Option<(usize, Epoch)> {
        let score = |epoch: &Epoch| epoch.val_mae.map(|mae| -mae).or(epoch.val_accuracy);
        let scored = (1..)
            .zip(&self.epochs)
            .filter_map(|(n, e)| Some((n, e, score(e)?)));
        scored
            .reduce(|best, next| if next.2 > best.2 { next } else { best })
            .map(|(number, epoch, _)| (number, *epoch))
    }

    /// The epoch with the lowest validation loss, counted from 1, with that; the earliest of equals.
    pub(crate) fn lowest_val_loss(&self) -> Option<(usize, f64)> {
        let measured = (1..)
            .zip(&self.epochs)
            .filter_map(|(number, epoch)| Some((number, epoch.val_loss?)));
        measured.reduce(|best, next| if next.1 < best.1 { next } else { best })
    }

    /// The numbers as a table, an epoch a row.
    pub fn table(&self) -> Table {
        let measures = self.measures();
        let [loss, measure, val_loss, val_measure] = measures.map(|(name, _)| name);
        let columns = ["epoch", loss, measure, val_loss, val_measure, "seconds"];
        let mut table = Table::new("History", &columns).right_aligned(&[0, 1, 2, 3, 4, 5]);
        for (number, epoch) in (1..).zip(&self.epochs) {
            let mut row = vec![number.to_string()];
            for (_, value) in measures {
                row.push(value(epoch).map_or_else(|| "-".into(), |value| format!("{value:.4}")));
            }
            row.push(format!("{:.2}", epoch.seconds));
            table.push(row);
        }
        let ending = self.ending();
        self.notes
            .iter()
            .chain(&ending)
            .fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// The numbers as comma-separated values with a header of Keras' names, epochs counted from 1;
    /// all digits are kept, a missing number is empty.
    pub fn to_csv(&self) -> String {
        let measures = self.measures();
        let names = measures.map(|(name, _)| name).join(",");
        let mut text = format!("epoch,{names},seconds\n");
        for (number, epoch) in (1..).zip(&self.epochs) {
            text += &number.to_string();
            for (_, value) in measures {
                text.push(',');
                text += &value(epoch).map_or_else(String::new, |value| value.to_string());
            }
            text += &format!(",{}\n", epoch.seconds);
        }
        text
    }

    /// The numbers as JSON: a list for each measure, as Keras' `history.history` has them, and in `steps` those of the
    /// steps if they were kept.
    pub fn to_json(&self) -> String {
        let mut object = serde_json::Map::new();
        for (name, value) in self.measures() {
            object.insert(
                name.into(),
                json!(self.epochs.iter().map(value).collect::<Vec<_>>()),
            );
        }
        let seconds = self
            .epochs
            .iter()
            .map(|epoch| epoch.seconds)
            .collect::<Vec<_>>();
        object.insert("seconds".into(), json!(seconds));
        if let Some(steps) = self.steps_as_lists() {
            object.insert("steps".into(), steps);
        }
        object.insert("notes".into(), json!(self.notes));
        object.insert("ending".into(), json!(self.ending()));
        serde_json::Value::Object(object).to_string()
    }

    /// Writes the curves (`.png`, `.svg`) or the numbers (`.csv`, `.json`), by the path's ending.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if the file cannot be written, [`Error::Argument`](crate::Error::Argument)
    /// for another ending.
    pub fn save(&self, path: impl AsRef<std::path::Path>) -> Result<Saved> {
        let path = path.as_ref();
        match ending::one_of(path, &["png", "svg", "csv", "json"], "a history")? {
            "csv" => Saved::write(path, self.to_csv().as_bytes()),
            "json" => Saved::write(path, self.to_json().as_bytes()),
            _ => self.plot().save(path),
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last() {
            None => write!(f, "no epochs"),
            Some(last) => {
                let words = |evaluation: Evaluation, prefix: &str| {
                    evaluation
                        .line(prefix)
                        .replace(" - ", ", ")
                        .replace(':', "")
                };
                let trained = words(last.trained(), "");
                write!(f, "{} epochs, the last: {trained}", self.epochs.len())?;
                if let Some(validation) = last.validation() {
                    write!(f, ", {}", words(validation, "val_"))?;
                }
                match self.ending() {
                    Some(ending) => write!(f, " ({ending})"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({self})")
    }
}
