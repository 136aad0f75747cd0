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
use crate::pictures::data::Data;
use crate::pictures::dataset::Dataset;
use crate::pictures::photo::Photo;
use crate::pictures::reader::in_order;
use crate::pictures::target::Target;
use crate::pictures::unreadable::{CHECKING, reason_of};
use crate::show::display::displayed;
use crate::show::progress::Progress;
use crate::show::table::{Table, counted};

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
    left_out: Vec<(PathBuf, String)>,
    copies: Vec<(PathBuf, PathBuf)>,
    train: usize,
    validation: usize,
    target: Target,
    /// Which classes have too few pictures to learn from, in words.
    too_few: Option<String>,
}

#[derive(Clone, Default)]
struct ClassOfPictures {
    name: String,
    train: usize,
    validation: usize,
    /// How many of each can be read.
    readable: [usize; 2],
    /// (width, height) of the pictures with the fewest and the most pixels.
    smallest: Option<(usize, usize)>,
    largest: Option<(usize, usize)>,
}

impl Checks {
    /// The pictures that cannot be decoded, each with the reason.
    pub fn unreadable(&self) -> &[(PathBuf, String)] {
        &self.unreadable
    }

    /// The files that lie among the pictures and are passed over, each with the reason: see
    /// [`Dataset::left_out`].
    pub fn left_out(&self) -> &[(PathBuf, String)] {
        &self.left_out
    }

    /// Pictures with the same pixels, in pairs. One in the training and one in the validation pictures makes
    /// the validation look better than it is.
    pub fn copies(&self) -> &[(PathBuf, PathBuf)] {
        &self.copies
    }

    /// Whether every picture can be read, none is there twice, nothing was left out, each class has pictures on both
    /// sides, and the classes have enough pictures and similar numbers of them.
    pub fn is_fine(&self) -> bool {
        self.remarks().is_empty()
    }

    /// Each class with its pictures, and below what should be mended.
    pub fn table(&self) -> Table {
        let columns = [
            self.target.noun(),
            "train",
            "validation",
            "smallest",
            "largest",
        ];
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
        if self.validation > 0 && self.target == Target::Class {
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
        let with_reasons = |all: &[(PathBuf, String)]| {
            let all = all.iter();
            all.map(|(path, reason)| format!("{} ({reason})", named(path)))
                .collect::<Vec<_>>()
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
            with_reasons(&self.unreadable),
        );
        list(
            format!("{} left out:", counted(self.left_out.len(), "file")),
            with_reasons(&self.left_out),
        );
        list(
            format!("{} there twice; remove one of each:", self.copies.len()),
            self.copies
                .iter()
                .map(|(one, other)| format!("{} = {}", named(one), named(other)))
                .collect(),
        );
        for class in &self.classes {
            for (readable, work) in class.readable.iter().zip(["train", "validate"]) {
                if *readable == 0 {
                    lines.push(format!(
                        "{} has no picture to {work} on that can be read: add some, or share the \
                         pictures out anew with another seed of `Data::split`",
                        class.name
                    ));
                }
            }
        }
        let mut by_size = self.classes.iter().collect::<Vec<_>>();
        by_size.sort_by_key(|class| class.train);
        if let [least, .., most] = by_size.as_slice()
            && most.train > UNEVEN * least.train
        {
            let or = match self.target {
                Target::Class => ", or train with class_weights",
                Target::Labels | Target::Numbers => "",
            };
            lines.push(format!(
                "{} has {}, {} has {}: collect more{or}",
                least.name,
                counted(least.train, "training picture"),
                most.name,
                most.train
            ));
        }
        lines.extend(self.too_few.clone());
        lines
    }
}

displayed!(Checks, "Shows the table under a notebook cell.", |checks| {
    checks.table().bundle()
});

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = match self.target {
            Target::Class => "in",
            Target::Labels | Target::Numbers => "with",
        };
        write!(
            f,
            "{} {joined} {} {}, {} cannot be read, {} there twice",
            counted(self.train + self.validation, "picture"),
            self.classes.len(),
            self.target.nouns(),
            self.unreadable.len(),
            self.copies.len()
        )?;
        match self.left_out.len() {
            0 => Ok(()),
            count => write!(f, ", {count} left out"),
        }
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
    /// [`Error::Dataset`](crate::Error::Dataset) if both sides have not the same classes,
    /// [`Error::Stopped`](crate::Error::Stopped) if the work was asked to stop.
    pub fn check(&self) -> Result<Checks> {
        self.check_shown(&Progress::default())
    }

    /// The same with a progress that is asked for a stop at each picture.
    fn check_shown(&self, progress: &Progress) -> Result<Checks> {
        let folder = common_folder(&self.train, &self.validation);
        self.check_classes(&folder)?;
        let names = self.train.classes().iter();
        let mut checks = Checks {
            folder,
            classes: names
                .map(|name| ClassOfPictures {
                    name: name.clone(),
                    ..ClassOfPictures::default()
                })
                .collect(),
            unreadable: Vec::new(),
            left_out: [self.train.left_out(), self.validation.left_out()].concat(),
            too_few: self.train.too_few(),
            copies: Vec::new(),
            train: self.train.len(),
            target: self.train.target(),
            validation: self.validation.len(),
        };
        // The first file with these pixels, in the order of the files, training first.
        let mut known: BTreeMap<u64, PathBuf> = BTreeMap::new();
        let total = self.train.len() + self.validation.len();
        let mut task = progress.task(CHECKING, "pictures", Some(total));
        for (dataset, is_validation) in [(&self.train, false), (&self.validation, true)] {
            let before = if is_validation { self.train.len() } else { 0 };
            let check = || progress.check(CHECKING);
            in_order(
                dataset.files(),
                size_of::<Seen>(),
                see,
                &check,
                |index, seen| {
                    progress.check(CHECKING)?;
                    task.done(before + index + 1);
                    let file = &dataset.files()[index];
                    let names = 0..checks.classes.len();
                    let labels = dataset.all_labels();
                    let of_picture = names.filter(|&name| labels.counts(index, name));
                    let of_picture = of_picture.collect::<Vec<_>>();
                    for &class in &of_picture {
                        let class = &mut checks.classes[class];
                        if is_validation {
                            class.validation += 1;
                        } else {
                            class.train += 1;
                        }
                    }
                    match seen {
                        Err(reason) => checks.unreadable.push((file.clone(), reason)),
                        Ok(((width, height), hash)) => {
                            for &class in &of_picture {
                                let class = &mut checks.classes[class];
                                class.readable[usize::from(is_validation)] += 1;
                                class.smallest =
                                    chosen(class.smallest, (width, height), |a, b| a < b);
                                class.largest =
                                    chosen(class.largest, (width, height), |a, b| a > b);
                            }
                            match known.get(&hash) {
                                Some(first) => checks.copies.push((first.clone(), file.clone())),
                                None => {
                                    known.insert(hash, file.clone());
                                }
                            }
                        }
                    }
                    Ok(())
                },
            )?;
        }
        Ok(checks)
    }
}

/// What is kept of a picture: (width, height) and a hash of both and the pixels, or why there are none.
type Seen = std::result::Result<((usize, usize), u64), String>;

fn see(file: &Path) -> Seen {
    let photo = Photo::read(file).map_err(reason_of)?;
    let sides = (photo.width(), photo.height());
    let mut hasher = DefaultHasher::new();
    (sides.0, sides.1, photo.bytes()).hash(&mut hasher);
    Ok((sides, hasher.finish()))
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::Error;
    use crate::machine::stop::Stop;

    #[test]
    fn a_check_shows_itself_and_can_be_stopped() {
        let data = Data::open("data/samples").unwrap();
        let progress = Progress::keeping().pace(Duration::ZERO, Duration::ZERO);
        assert!(data.check_shown(&progress).unwrap().is_fine());
        let lines = progress.kept();
        assert!(
            lines[0].starts_with("checking pictures: 1/90 pictures"),
            "{lines:?}"
        );
        assert!(
            lines[88].starts_with("checking pictures: 89/90 pictures"),
            "{lines:?}"
        );
        let stop = Stop::new();
        stop.request();
        let stopped = data.check_shown(&progress.stop(&stop));
        assert!(matches!(stopped, Err(Error::Stopped { .. })));
    }
}
