//! Training and validation pictures together: [`Data`].
//!
//! ```text
//! cats_and_dogs_filtered/          a Data
//!   train/                         a Dataset
//!     cats/  cat.0.jpg, ...        class 0
//!     dogs/  dog.0.jpg, ...        class 1
//!   validation/
//! ```
//!
//! ```
//! use evcxr_transfer::Data;
//! let data = Data::open("data/samples")?;
//! assert_eq!((data.train.len(), data.validation.len()), (60, 30));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::machine::random::Random;
use crate::pictures::dataset::Dataset;
use crate::pictures::folder::{check_is_local, looked_through, name_of, refuse_split};
use crate::pictures::left_out;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::notebook::Bundle;
use crate::show::table::counted;

/// Training and validation pictures with the same classes.
#[derive(Clone)]
#[doc(alias("DataLoaders", "ImageDataLoaders"))]
pub struct Data {
    /// What the model learns from.
    pub train: Dataset,
    /// What it is measured on; never augmented, never trained on.
    pub validation: Dataset,
}

impl Data {
    /// Opens a folder that holds `train` and `validation`, each with one folder for each class.
    ///
    /// # Errors
    /// [`Error::Dataset`] if one of the two is missing, has no pictures in class folders, or if
    /// their classes differ; [`Error::File`] if a folder cannot be read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        looked_through(folder.as_ref(), Self::of_parts)
    }

    fn of_parts(folder: &Path) -> Result<Self> {
        check_is_local(folder)?;
        for part in ["train", "validation"] {
            if !folder.join(part).is_dir() {
                // It may be there under another name.
                refuse_split(folder)?;
                return Err(Error::Dataset {
                    path: folder.to_owned(),
                    problem: format!("there is no folder {part:?} in it"),
                    remedy: "Make folders train and validation, each with one folder of pictures \
                             for each class; or, if it has the class folders themselves, open it \
                             with `Data::split`"
                        .into(),
                });
            }
        }
        let train = Dataset::of_class_folders(&folder.join("train"))?;
        let validation = Dataset::of_class_folders(&folder.join("validation"))?;
        let data = Self { train, validation };
        data.check_classes(folder)?;
        Ok(data)
    }

    /// Refuses training and validation pictures of different classes.
    pub(crate) fn check_classes(&self, folder: &Path) -> Result<()> {
        let of = |dataset: &Dataset| (dataset.target(), dataset.classes().to_vec());
        if of(&self.train) == of(&self.validation) {
            return Ok(());
        }
        Err(Error::Dataset {
            path: folder.to_owned(),
            problem: format!(
                "train has the classes {:?}, validation has {:?}",
                self.train.classes(),
                self.validation.classes()
            ),
            remedy: "Give both the same class folders".into(),
        })
    }

    /// Opens a folder with one folder of pictures for each class, and sets a share of each class aside for
    /// validation, drawn at random: the same for the same `seed`. At least one picture of a class goes to
    /// either side; where one alone is left to learn from, the data and each training say so. A fifth, 0.2, is usual.
    ///
    /// Keras: `image_dataset_from_directory(folder, validation_split=0.2, subset="both", seed=42)`, which
    /// draws from all pictures at once, so that a small class may be missing on one side.
    ///
    /// ```
    /// use evcxr_transfer::Data;
    /// let data = Data::split("data/samples/train", 0.2, 42)?;
    /// assert_eq!((data.train.len(), data.validation.len()), (48, 12));
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if the share is not between 0 and 1, [`Error::Dataset`] if a class has fewer than
    /// two pictures; and as [`Dataset::open`], which refuses a folder that is split already.
    #[doc(alias(
        "validation_split",
        "RandomSplitter",
        "random_split",
        "train_test_split"
    ))]
    pub fn split(folder: impl AsRef<Path>, validation: f64, seed: u64) -> Result<Self> {
        check_share(validation)?;
        Dataset::open(folder)?.split(validation, seed)
    }

    /// The same data with only the first `train` and `validation` pictures, spread over the classes.
    pub fn take(&self, train: usize, validation: usize) -> Self {
        Self {
            train: self.train.take(train),
            validation: self.validation.take(validation),
        }
    }

    /// The class names, sorted: the same on both sides.
    pub fn classes(&self) -> &[String] {
        self.train.classes()
    }

    /// The number of each class: see [`Dataset::class_indices`].
    pub fn class_indices(&self) -> BTreeMap<String, usize> {
        self.train.class_indices()
    }

    /// The folders as an indented tree with the number of pictures in each.
    pub fn tree(&self) -> String {
        let root = match self.train.part {
            Some(_) => Some(self.train.folder()),
            None => self.train.folder().parent(),
        };
        let root = root.unwrap_or(self.train.folder());
        let mut text = format!("{}\n", name_of(root));
        for (dataset, is_last) in [(&self.train, false), (&self.validation, true)] {
            let (branch, bar) = if is_last {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            text += &format!("{branch}{}\n", dataset.name());
            for (index, (class, count)) in dataset.counts().into_iter().enumerate() {
                let branch = if index + 1 == dataset.classes().len() {
                    "└── "
                } else {
                    "├── "
                };
                text += &format!("{bar}{branch}{class}  {}\n", counted(count, "picture"));
            }
        }
        text
    }
}

impl Dataset {
    /// Sets a share of the pictures aside for validation, drawn at random: the same for the same `seed`. Of each class
    /// the share, one picture at least; of pictures with labels or numbers the share of all.
    ///
    /// ```
    /// use evcxr_transfer::Dataset;
    /// let data = Dataset::open("data/samples/train")?.split(0.2, 42)?;
    /// assert_eq!((data.train.len(), data.validation.len()), (48, 12));
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if the share is not between 0 and 1, [`Error::Dataset`] if there are fewer than two
    /// pictures, of a class too.
    #[doc(alias("validation_split", "RandomSplitter", "train_test_split"))]
    pub fn split(&self, validation: f64, seed: u64) -> Result<Data> {
        check_share(validation)?;
        let all = self;
        let mut random = Random::new(seed, "split");
        let (mut train, mut set_aside) = (Vec::new(), Vec::new());
        let groups = match all.target() {
            Target::Class => all.counts(),
            // One group, which no folder is named for.
            _ => vec![(String::new(), all.len())],
        };
        for (class, (name, count)) in groups.into_iter().enumerate() {
            if count < 2 {
                return Err(Error::Dataset {
                    path: all.folder().join(&name),
                    problem: left_out::explained(
                        &format!("{} cannot be shared out", counted(count, "picture")),
                        &all.left_out,
                        all.folder(),
                    ),
                    remedy: "Put two pictures there at least, or take the folder away".into(),
                });
            }
            let is_of_class =
                |&index: &usize| all.labels().get(index).is_none_or(|&of| of == class);
            let of_class = (0..all.len()).filter(is_of_class);
            let mut of_class = of_class.collect::<Vec<_>>();
            random.shuffle(&mut of_class);
            let aside = (count as f64 * validation).round() as usize;
            let aside = of_class.split_off(count - aside.clamp(1, count - 1));
            train.extend(of_class);
            set_aside.extend(aside);
        }
        let part = |mut chosen: Vec<usize>, name: &'static str| {
            // In the order of the folders again, as Keras lists files.
            chosen.sort_unstable();
            let mut part = all.select(&chosen);
            part.part = Some(name);
            part
        };
        let mut validation = part(set_aside, "validation");
        // It is one folder: what was left out of it is said once, with the training pictures.
        validation.left_out = Vec::new();
        Ok(Data {
            train: part(train, "train"),
            validation,
        })
    }
}

fn check_share(validation: f64) -> Result<()> {
    if validation > 0.0 && validation < 1.0 {
        return Ok(());
    }
    Err(Error::Argument {
        argument: "validation",
        value: validation.to_string(),
        expected: "it must be a share between 0 and 1, such as 0.2".into(),
    })
}

displayed!(
    Data,
    "Shows the tree and the counts under a notebook cell.",
    |data| Bundle::text(&data.to_string())
);

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}\n{}", self.tree(), self.train, self.validation)?;
        if let Some(few) = self.train.too_few() {
            write!(f, "\nNote: {few}")?;
        }
        for note in self.train.notes() {
            write!(f, "\nNote: {note}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Data {{ train: {:?}, validation: {:?} }}",
            self.train, self.validation
        )
    }
}
