//! [`Checks`]: what to know about pictures before training on them.
//!
//! ```
//! use evcxr_transfer::Data;
//! let checks = Data::open("data/samples")?.check()?;
//! assert!(checks.is_fine());
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::pictures::dataset::{Data, Dataset};
use crate::pictures::loading::{for_each_picture, reason_of};
use crate::show::table::Table;

/// A class with more than so many times the pictures of another is worth a word.
const UNEVEN: usize = 3;

/// How many files of a kind a table names.
const MOST_NAMED: usize = 10;

/// What was found in training and validation pictures.
#[derive(Clone)]
pub struct Checks {
    folder: PathBuf,
    classes: Vec<ClassOfPictures>,
    unreadable: Vec<(PathBuf, String)>,
    copies: Vec<(PathBuf, PathBuf)>,
    validation: usize,
}

#[derive(Clone, Default)]
struct ClassOfPictures {
    name: String,
    train: usize,
    validation: usize,
    /// (width, height) of the pictures with the fewest and the most pixels.
    smallest: Option<(usize, usize)>,
    largest: Option<(usize, usize)>,
}

impl Checks {
    /// The pictures that cannot be decoded, each with the reason.
    pub fn unreadable(&self) -> &[(PathBuf, String)] {
        &self.unreadable
    }

    /// Pictures with the same pixels, in pairs. One in the training and one in the validation pictures makes
    /// the validation look better than it is.
    pub fn copies(&self) -> &[(PathBuf, PathBuf)] {
        &self.copies
    }

    /// Whether every picture can be read, none is there twice, and the classes have similar numbers of
    /// pictures.
    pub fn is_fine(&self) -> bool {
        self.remarks().is_empty()
    }

    /// Each class with its pictures, and below what should be mended.
    pub fn table(&self) -> Table {
        let columns = ["class", "train", "validation", "smallest", "largest"];
        let mut table = Table::new("Pictures, in pixels (width x height)", &columns)
            .right_aligned(&[1, 2, 3, 4]);
        let sides = |size: Option<(usize, usize)>| {
            size.map_or("-".into(), |(width, height)| format!("{width} x {height}"))
        };
        for class in &self.classes {
            table.push([
                class.name.clone(),
                class.train.to_string(),
                class.validation.to_string(),
                sides(class.smallest),
                sides(class.largest),
            ]);
        }
        if self.validation > 0 {
            let share = 100.0 / self.validation as f64;
            table = table.note(&format!(
                "One validation picture is {share:.2} % of the accuracy."
            ));
        }
        if self.is_fine() {
            return table.note("Nothing to mend: all can be read, and none is there twice.");
        }
        let remarks = self.remarks().into_iter();
        remarks.fold(table, |table, remark| table.note(&remark))
    }

    /// What is to be said, a line each.
    fn remarks(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let named = |path: &Path| {
            path.strip_prefix(&self.folder)
                .unwrap_or(path)
                .display()
                .to_string()
        };
        let mut list = |heading: String, all: Vec<String>| {
            if all.is_empty() {
                return;
            }
            lines.push(heading);
            let more = all.len().saturating_sub(MOST_NAMED);
            lines.extend(all.into_iter().take(MOST_NAMED));
            if more > 0 {
                lines.push(format!("... and {more} more"));
            }
        };
        list(
            format!(
                "{} cannot be read; go on without: data.without_unreadable()?",
                self.unreadable.len()
            ),
            self.unreadable
                .iter()
                .map(|(path, reason)| format!("{} ({reason})", named(path)))
                .collect(),
        );
        list(
            format!("{} there twice; remove one of each:", self.copies.len()),
            self.copies
                .iter()
                .map(|(one, other)| format!("{} = {}", named(one), named(other)))
                .collect(),
        );
        let mut by_size = self.classes.iter().collect::<Vec<_>>();
        by_size.sort_by_key(|class| class.train);
        if let [least, .., most] = by_size.as_slice()
            && most.train > UNEVEN * least.train
        {
            lines.push(format!(
                "{} has {} training pictures, {} has {}: collect more, or train with class_weights",
                least.name, least.train, most.name, most.train
            ));
        }
        lines
    }

    /// Shows the table under a notebook cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pictures = self
            .classes
            .iter()
            .map(|class| class.train + class.validation);
        write!(
            f,
            "{} pictures in {} classes, {} cannot be read, {} there twice",
            pictures.sum::<usize>(),
            self.classes.len(),
            self.unreadable.len(),
            self.copies.len()
        )
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checks({self})")
    }
}

impl Data {
    /// Looks at every picture before a training run does: how many there are of each class and of which
    /// sizes, which cannot be read, which are there twice. Decodes each picture once, on all cores: the lesson's
    /// 3,000 take 1.7 s on two.
    ///
    /// # Errors
    /// [`Error::Dataset`](crate::Error::Dataset) if both sides have not the same classes.
    pub fn check(&self) -> Result<Checks> {
        self.check_classes(&common_folder(&self.train, &self.validation))?;
        let names = self.train.classes().iter();
        let mut checks = Checks {
            folder: common_folder(&self.train, &self.validation),
            classes: names
                .map(|name| ClassOfPictures {
                    name: name.clone(),
                    ..ClassOfPictures::default()
                })
                .collect(),
            unreadable: Vec::new(),
            copies: Vec::new(),
            validation: self.validation.len(),
        };
        // The first file with these pixels, in the order of the files, training first.
        let mut known: BTreeMap<u64, PathBuf> = BTreeMap::new();
        for (dataset, is_validation) in [(&self.train, false), (&self.validation, true)] {
            let mut looked_at = vec![None; dataset.len()];
            for_each_picture(dataset.files(), None, |index, decoded| {
                looked_at[index] = Some(decoded.map_err(reason_of).map(|photo| {
                    let mut hasher = DefaultHasher::new();
                    (photo.width(), photo.height(), photo.bytes()).hash(&mut hasher);
                    (photo.width(), photo.height(), hasher.finish())
                }));
                true
            });
            let rows = dataset.files().iter().zip(dataset.labels()).zip(looked_at);
            for ((file, &label), found) in rows {
                let Some(class) = checks.classes.get_mut(label) else {
                    continue;
                };
                if is_validation {
                    class.validation += 1;
                } else {
                    class.train += 1;
                }
                match found {
                    None => {}
                    Some(Err(reason)) => checks.unreadable.push((file.clone(), reason)),
                    Some(Ok((width, height, hash))) => {
                        class.smallest = chosen(class.smallest, (width, height), |a, b| a < b);
                        class.largest = chosen(class.largest, (width, height), |a, b| a > b);
                        match known.get(&hash) {
                            Some(first) => checks.copies.push((first.clone(), file.clone())),
                            None => {
                                known.insert(hash, file.clone());
                            }
                        }
                    }
                }
            }
        }
        Ok(checks)
    }
}

/// The one of two sizes whose number of pixels is `better`.
fn chosen(
    known: Option<(usize, usize)>,
    new: (usize, usize),
    better: impl Fn(usize, usize) -> bool,
) -> Option<(usize, usize)> {
    match known {
        Some(known) if !better(new.0 * new.1, known.0 * known.1) => Some(known),
        _ => Some(new),
    }
}

/// What the paths of both have in common, so that a table need not repeat it.
fn common_folder(train: &Dataset, validation: &Dataset) -> PathBuf {
    if train.folder() == validation.folder() {
        return train.folder().to_owned();
    }
    let parent = train.folder().parent();
    match parent {
        Some(parent) if validation.folder().starts_with(parent) => parent.to_owned(),
        _ => PathBuf::new(),
    }
}
