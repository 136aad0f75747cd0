//! Pictures in class folders: [`Dataset`], sorted class names and the list of files.
//!
//! Classes and files are in the order of Keras' `flow_from_directory`, so that labels and features
//! can be held against a Keras notebook line by line. `loading` makes pixels of the files.
//!
//! ```
//! use evcxr_transfer::Dataset;
//! let train = Dataset::open("data/samples/train")?;
//! assert_eq!(train.to_string(), "Found 60 images belonging to 2 classes.");
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::machine::random::hash_of;
use crate::pictures::folder::{
    KNOWN_ENDINGS, holds_pictures, is_picture, looked_through, name_of, pictures_below,
    refuse_split, sorted_entries,
};
use crate::pictures::labels::Labels;
use crate::pictures::left_out::{self, LeftOut};
use crate::pictures::resize::Interpolation;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::notebook::Bundle;
use crate::show::table::counted;

/// A list of picture files with their classes, labels or numbers.
#[derive(Clone)]
#[doc(alias("ImageFolder", "DataLoader"))]
pub struct Dataset {
    classes: Vec<String>,
    folder: PathBuf,
    files: Vec<PathBuf>,
    labels: Labels,
    /// What lies beside them and is no picture that can be taken.
    pub(super) left_out: Vec<LeftOut>,
    /// Which part of its folder it is, if only a part was taken.
    pub(super) part: Option<&'static str>,
    pub(crate) interpolation: Interpolation,
    notes: Vec<String>,
}

impl Dataset {
    /// Opens a folder with one folder of pictures for each class.
    ///
    /// Class names are sorted; files are sorted within their folder, and folders inside a class
    /// folder count as part of it, as in Keras' `flow_from_directory`. Unlike there, WebP counts, folders whose
    /// name starts with a dot are passed over (Jupyter's `.ipynb_checkpoints` is no class), and so is what
    /// systems leave beside pictures: `__MACOSX`, `._cat.jpg`, `@eaDir` and the like.
    /// [`Dataset::left_out`] has what is passed over beside them.
    ///
    /// # Errors
    /// [`Error::Dataset`] if there are no class folders or no pictures in them, or if its folders are those of
    /// a split (`train`, `val`, `test`), not of classes; [`Error::File`] if a folder cannot be read, [`Error::Stopped`] if
    /// the cell is stopped while the disk does not answer.
    #[doc(alias("flow_from_directory", "image_dataset_from_directory", "from_folder"))]
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        looked_through(folder.as_ref(), Self::of_class_folders)
    }

    pub(super) fn of_class_folders(folder: &Path) -> Result<Self> {
        let mut classes = Vec::new();
        let (mut files, mut labels, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for class in sorted_entries(folder)? {
            let name = name_of(&class);
            if is_picture(&class) {
                left_out.push((class, "in no class folder".into()));
                continue;
            }
            if !class.is_dir() || !holds_pictures(&name) {
                continue;
            }
            let (found, others) = pictures_below(&class)?;
            left_out.extend(others);
            labels.extend(std::iter::repeat_n(classes.len(), found.len()));
            files.extend(found);
            classes.push(name);
        }
        refuse_split(folder)?;
        let remedy = format!(
            "Give each class a folder of its own in it, with pictures inside ({KNOWN_ENDINGS})"
        );
        let problem = match (classes.len(), files.len()) {
            (0, _) => "there are no class folders in it",
            (_, 0) => "there are no pictures in its class folders",
            _ => {
                let labels = Labels::of_classes(labels);
                return Ok(Self {
                    left_out,
                    ..Self::new(folder, files, classes, labels)
                });
            }
        };
        Err(Error::Dataset {
            path: folder.to_owned(),
            problem: left_out::explained(problem, &left_out, folder),
            remedy,
        })
    }

    /// All pictures in a folder and in the folders inside it, without classes.
    pub(crate) fn unlabelled(folder: &Path) -> Result<Self> {
        looked_through(folder, |folder| {
            let (files, left_out) = pictures_below(folder)?;
            let labels = Labels::of_classes(vec![0; files.len()]);
            Ok(Self {
                left_out,
                ..Self::new(folder, files, Vec::new(), labels)
            })
        })
    }

    /// Files in a folder with their labels.
    pub(super) fn new(
        folder: &Path,
        files: Vec<PathBuf>,
        classes: Vec<String>,
        labels: Labels,
    ) -> Self {
        Self {
            classes,
            folder: folder.to_owned(),
            files,
            labels,
            left_out: Vec::new(),
            part: None,
            interpolation: Interpolation::default(),
            notes: Vec::new(),
        }
    }

    /// How pictures are resized; nearest pixel by default, as Keras' `load_img`.
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = interpolation;
        self
    }

    /// What it is called in titles: its folder, or the part of it.
    pub(super) fn name(&self) -> String {
        self.part
            .map_or_else(|| name_of(&self.folder), str::to_owned)
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The folder that was opened.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of each class: its place among `classes()`, its label.
    ///
    /// Keras: `generator.class_indices`.
    ///
    /// ```
    /// use evcxr_transfer::Dataset;
    /// assert_eq!(Dataset::open("data/samples/train")?.class_indices()["dogs"], 1);
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    #[doc(alias = "class_to_idx")]
    pub fn class_indices(&self) -> BTreeMap<String, usize> {
        self.classes.iter().cloned().zip(0..).collect()
    }

    /// The class names, sorted; a label is an index into them. Of a table with labels or numbers
    /// ([`Dataset::from_csv`]) their names.
    #[doc(alias("class_names", "vocab"))]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The picture files, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The class of each file, as an index into `classes`; none where they have labels or numbers, which
    /// [`Dataset::values`] has.
    pub fn labels(&self) -> &[usize] {
        self.labels.classes()
    }

    /// What the pictures are labelled with.
    pub fn target(&self) -> Target {
        self.labels.target()
    }

    /// The numbers of each picture, (N, names); for labels and classes 1 where one holds and 0 where not. A copy.
    #[doc(alias("one_hot", "to_categorical"))]
    pub fn values(&self) -> Array2<f32> {
        let shape = (self.len(), self.classes.len());
        Array2::from_shape_fn(shape, |(picture, name)| self.labels.value(picture, name))
    }

    pub(crate) fn all_labels(&self) -> &Labels {
        &self.labels
    }

    /// What a picture is labelled with, in words.
    pub(super) fn label_of(&self, picture: usize) -> String {
        self.labels.words(&self.classes, picture)
    }

    /// The files that lie among the pictures and are passed over, each with the reason: a HEIC picture, which
    /// has to be exported as JPEG, a text, a picture without an ending or in no class folder. What systems put
    /// there by themselves, such as `.DS_Store`, is not among them.
    ///
    /// ```
    /// use evcxr_transfer::Dataset;
    /// assert!(Dataset::open("data/samples/train")?.left_out().is_empty());
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    pub fn left_out(&self) -> &[(PathBuf, String)] {
        &self.left_out
    }

    /// The classes that no model can learn from these pictures, in words; nothing if each has two at least.
    pub(crate) fn too_few(&self) -> Option<String> {
        let few = self.counts().into_iter().filter(|(_, count)| *count < 2);
        let few = few.map(|(class, count)| format!("{class} has {}", counted(count, "picture")));
        let few = few.collect::<Vec<_>>();
        (!few.is_empty()).then(|| {
            format!(
                "{} to learn from, which is too few to tell a {} by: add some",
                few.join(", "),
                self.target().noun()
            )
        })
    }

    /// What a reader of results should know about these pictures, such as that they are drawn.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(crate) fn with_note(mut self, note: &str) -> Self {
        self.notes.push(note.to_owned());
        self
    }

    /// What tells these pictures from others: a digest of their labels, their places in the folder and their
    /// sizes in bytes, in their order. The same pictures elsewhere have the same.
    pub(crate) fn digest(&self) -> String {
        let described = self.files.iter().enumerate().map(|(picture, file)| {
            let class = self.labels.described(&self.classes, picture);
            let place = file.strip_prefix(&self.folder).unwrap_or(file).display();
            let bytes = std::fs::metadata(file).map_or(0, |found| found.len());
            format!("{class}\n{place}\n{bytes}\n")
        });
        let bytes = described.flat_map(String::into_bytes);
        format!("{:016x}", hash_of(bytes))
    }

    /// Each class or label with its number of pictures, in order; each number has all.
    pub fn counts(&self) -> Vec<(String, usize)> {
        let counts = |name| move |&picture: &usize| self.labels.counts(picture, name);
        let count = |name| (0..self.len()).filter(counts(name)).count();
        self.classes
            .iter()
            .cloned()
            .enumerate()
            .map(|(i, name)| (name, count(i)))
            .collect()
    }

    /// The first `n` pictures, taken from the classes in turn so that each is there as often as its
    /// size allows. All of them if there are fewer.
    pub fn take(&self, n: usize) -> Self {
        let labels = self.labels();
        if self.target() != Target::Class {
            return self.select(&(0..n.min(self.len())).collect::<Vec<_>>());
        }
        let mut rank_in_class = vec![0usize; self.classes.len()];
        let mut order = Vec::with_capacity(self.len());
        for (index, &label) in labels.iter().enumerate() {
            order.push((rank_in_class[label], label, index));
            rank_in_class[label] += 1;
        }
        order.sort_unstable();
        let mut chosen = order
            .into_iter()
            .take(n)
            .map(|(.., index)| index)
            .collect::<Vec<_>>();
        chosen.sort_unstable();
        self.select(&chosen)
    }

    pub(crate) fn select(&self, chosen: &[usize]) -> Self {
        Self {
            files: chosen.iter().map(|&i| self.files[i].clone()).collect(),
            labels: self.labels.select(chosen),
            ..self.clone()
        }
    }
}

displayed!(
    Dataset,
    "Shows the line under a notebook cell.",
    |dataset| Bundle::text(&dataset.to_string())
);

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = counted(self.len(), "image");
        match self.target() {
            // The sentence that Keras' flow_from_directory prints.
            Target::Class => write!(
                f,
                "Found {images} belonging to {} classes.",
                self.classes.len()
            ),
            other => write!(
                f,
                "Found {images} with {}: {}.",
                counted(self.classes.len(), other.noun()),
                self.classes.join(", ")
            ),
        }?;
        match left_out::line(&self.left_out, &self.folder) {
            Some(line) => write!(f, "\n{line}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Dataset({}: {} images, {} {:?})",
            self.folder.display(),
            self.len(),
            self.target().nouns(),
            self.classes
        )
    }
}
