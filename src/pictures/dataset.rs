//! Pictures in class folders: sorted class names, the list of files, and their pixels in batches.
//!
//! ```text
//! cats_and_dogs_filtered/          a Data
//!   train/                         a Dataset
//!     cats/  cat.0.jpg, ...        class 0
//!     dogs/  dog.0.jpg, ...        class 1
//!   validation/
//! ```
//!
//! Classes and files are in the order of Keras' `flow_from_directory`, so that labels and features
//! can be held against a Keras notebook line by line. Pixels leave here as bytes, (N, H, W, 3) RGB;
//! scaling belongs to the base.
//!
//! ```
//! use evcxr_transfer::Data;
//! let data = Data::open("data/samples")?;
//! assert_eq!(data.train.to_string(), "Found 60 images belonging to 2 classes.");
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::machine::random::Random;
use crate::pictures::augment::Augment;
use crate::pictures::photo::{Interpolation, Photo};
use crate::show::draw::grid;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::notebook;

/// What a name may end with for Keras' directory iterator, in lower case; the dot is not asked for.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff"];

/// Training and validation pictures with the same classes.
#[derive(Clone)]
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
        let folder = folder.as_ref();
        for part in ["train", "validation"] {
            if !folder.join(part).is_dir() {
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
        let train = Dataset::open(folder.join("train"))?;
        let validation = Dataset::open(folder.join("validation"))?;
        let data = Self { train, validation };
        data.check_classes(folder)?;
        Ok(data)
    }

    /// Refuses training and validation pictures of different classes.
    pub(crate) fn check_classes(&self, folder: &Path) -> Result<()> {
        if self.train.classes == self.validation.classes {
            return Ok(());
        }
        Err(Error::Dataset {
            path: folder.to_owned(),
            problem: format!(
                "train has the classes {:?}, validation has {:?}",
                self.train.classes, self.validation.classes
            ),
            remedy: "Give both the same class folders".into(),
        })
    }

    /// Opens a folder with one folder of pictures for each class, and sets a share of each class aside for
    /// validation, drawn at random: the same for the same `seed`. At least one picture of a class goes to
    /// either side. A fifth, 0.2, is usual.
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
    /// two pictures, or if the folder is split into `train` and `validation` already; and as [`Dataset::open`].
    pub fn split(folder: impl AsRef<Path>, validation: f64, seed: u64) -> Result<Self> {
        if !(validation > 0.0 && validation < 1.0) {
            return Err(Error::Argument {
                argument: "validation",
                value: validation.to_string(),
                expected: "it must be a share between 0 and 1, such as 0.2".into(),
            });
        }
        let folder = folder.as_ref();
        if ["train", "validation"]
            .iter()
            .all(|part| folder.join(part).is_dir())
        {
            return Err(Error::Dataset {
                path: folder.to_owned(),
                problem: "it is split into train and validation already".into(),
                remedy: "Open it with `Data::open`".into(),
            });
        }
        let all = Dataset::open(folder)?;
        let mut random = Random::new(seed, "split");
        let (mut train, mut set_aside) = (Vec::new(), Vec::new());
        for (class, (name, count)) in all.counts().into_iter().enumerate() {
            if count < 2 {
                return Err(Error::Dataset {
                    path: all.folder.join(&name),
                    problem: format!("{count} pictures cannot be shared out"),
                    remedy: "Put two pictures there at least, or take the folder away".into(),
                });
            }
            let of_class = (0..all.len()).filter(|&index| all.labels[index] == class);
            let mut of_class = of_class.collect::<Vec<_>>();
            random.shuffle(&mut of_class);
            let aside = (count as f64 * validation).round() as usize;
            let aside = of_class.split_off(count - aside.clamp(1, count - 1));
            train.extend(of_class);
            set_aside.extend(aside);
        }
        let part = |mut chosen: Vec<usize>, part: &'static str| {
            // In the order of the folders again, as Keras lists files.
            chosen.sort_unstable();
            Dataset {
                part: Some(part),
                ..all.select(&chosen)
            }
        };
        Ok(Self {
            train: part(train, "train"),
            validation: part(set_aside, "validation"),
        })
    }

    /// The same data less the pictures that cannot be decoded.
    ///
    /// # Errors
    /// As [`Dataset::without_unreadable`].
    pub fn without_unreadable(&self) -> Result<Self> {
        Ok(Self {
            train: self.train.without_unreadable()?,
            validation: self.validation.without_unreadable()?,
        })
    }

    /// The same data with only the first `train` and `validation` pictures, spread over the classes.
    pub fn take(&self, train: usize, validation: usize) -> Self {
        Self {
            train: self.train.take(train),
            validation: self.validation.take(validation),
        }
    }

    /// The folders as an indented tree with the number of pictures in each.
    pub fn tree(&self) -> String {
        let root = match self.train.part {
            Some(_) => Some(self.train.folder.as_path()),
            None => self.train.folder.parent(),
        };
        let root = root.unwrap_or(&self.train.folder);
        let mut text = format!("{}\n", name_of(root));
        for (dataset, is_last) in [(&self.train, false), (&self.validation, true)] {
            let (branch, bar) = if is_last {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            text += &format!("{branch}{}\n", dataset.name());
            for (index, (class, count)) in dataset.counts().into_iter().enumerate() {
                let branch = if index + 1 == dataset.classes.len() {
                    "└── "
                } else {
                    "├── "
                };
                text += &format!("{bar}{branch}{class}  {count} pictures\n");
            }
        }
        text
    }

    /// Shows the tree and the counts under a notebook cell.
    pub fn evcxr_display(&self) {
        notebook::Bundle::text(&self.to_string()).show();
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}\n{}", self.tree(), self.train, self.validation)?;
        for note in &self.train.notes {
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

/// A list of picture files with their classes.
#[derive(Clone)]
pub struct Dataset {
    classes: Vec<String>,
    folder: PathBuf,
    files: Vec<PathBuf>,
    labels: Vec<usize>,
    /// Which part of its folder it is, if only a part was taken.
    part: Option<&'static str>,
    pub(crate) interpolation: Interpolation,
    notes: Vec<String>,
}

impl Dataset {
    /// Opens a folder with one folder of pictures for each class.
    ///
    /// Class names are sorted; files are sorted within their folder, and folders inside a class
    /// folder count as part of it, as in Keras' `flow_from_directory`. Unlike there, folders whose
    /// name starts with a dot are passed over: Jupyter's `.ipynb_checkpoints` is no class.
    ///
    /// # Errors
    /// [`Error::Dataset`] if there are no class folders or no pictures in them, [`Error::File`] if
    /// a folder cannot be read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut classes = Vec::new();
        let (mut files, mut labels) = (Vec::new(), Vec::new());
        for class in sorted_entries(folder)? {
            let name = name_of(&class);
            if !class.is_dir() || name.starts_with('.') {
                continue;
            }
            let found = pictures_below(&class)?;
            labels.extend(std::iter::repeat_n(classes.len(), found.len()));
            files.extend(found);
            classes.push(name);
        }
        let remedy = "Give each class a folder of its own in it, with pictures inside \
                      (.jpg, .png, .bmp, .ppm or .tif)";
        let problem = match (classes.len(), files.len()) {
            (0, _) => "there are no class folders in it",
            (_, 0) => "there are no pictures in its class folders",
            _ => {
                return Ok(Self {
                    classes,
                    folder: folder.to_owned(),
                    files,
                    labels,
                    part: None,
                    interpolation: Interpolation::default(),
                    notes: Vec::new(),
                });
            }
        };
        Err(Error::Dataset {
            path: folder.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        })
    }

    /// All pictures in a folder and in the folders inside it, without classes.
    pub(crate) fn unlabelled(folder: &Path) -> Result<Self> {
        let files = pictures_below(folder)?;
        Ok(Self {
            classes: Vec::new(),
            folder: folder.to_owned(),
            labels: vec![0; files.len()],
            files,
            part: None,
            interpolation: Interpolation::default(),
            notes: Vec::new(),
        })
    }

    /// How pictures are resized; nearest pixel by default, as Keras' `load_img`.
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = interpolation;
        self
    }

    /// What it is called in titles: its folder, or the part of it.
    fn name(&self) -> String {
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

    /// The class names, sorted; a label is an index into them.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The picture files, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The class of each file, as an index into `classes`.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// What a reader of results should know about these pictures, such as that they are drawn.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(crate) fn with_note(mut self, note: &str) -> Self {
        self.notes.push(note.to_owned());
        self
    }

    /// Each class with its number of pictures, in order.
    pub fn counts(&self) -> Vec<(String, usize)> {
        let count = |class| self.labels.iter().filter(|&&label| label == class).count();
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
        let mut rank_in_class = vec![0usize; self.classes.len()];
        let mut order = Vec::with_capacity(self.len());
        for (index, &label) in self.labels.iter().enumerate() {
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
            labels: chosen.iter().map(|&i| self.labels[i]).collect(),
            ..self.clone()
        }
    }

    /// A grid of `n` pictures, spread over the dataset, each with its class and file name.
    ///
    /// # Errors
    /// [`Error::Picture`] if one of them cannot be decoded.
    pub fn show(&self, n: usize) -> Result<Figure> {
        let (n, count, mut notes) = grid::count(n, self.len(), "pictures");
        let mut tiles = Vec::with_capacity(n);
        for k in 0..n {
            // Evenly spaced, so that every class has its share: files are ordered by class.
            let index = k * self.len() / n;
            let class = &self.classes[self.labels[index]];
            let label = format!("{class}\n{}", name_of(&self.files[index]));
            tiles.push(Tile::new(Photo::open(&self.files[index])?, label));
        }
        let title = format!("{count} from {}", self.name());
        notes.extend(self.notes.iter().cloned());
        Ok(Figure::photos(
            &titled(&title, &notes),
            tiles,
            grid::columns(n),
        ))
    }

    /// The first picture, as a base of 150 pixels takes it, beside `n` versions of it that `augment`
    /// makes with seed 0: what training sees in place of the picture.
    ///
    /// # Errors
    /// [`Error::Argument`] if `n` is not 1 to 99 or [`Augment::check`] refuses the options, [`Error::Dataset`]
    /// if there is no picture, [`Error::Picture`] if the first one cannot be decoded.
    pub fn show_augmented(&self, augment: &Augment, n: usize) -> Result<Figure> {
        const SIDE: usize = 150;
        const COLUMNS: usize = 5;
        // More make a picture of several megabytes.
        if !(1..20 * COLUMNS).contains(&n) {
            return Err(Error::Argument {
                argument: "n",
                value: n.to_string(),
                expected: "it must be 1 to 99".into(),
            });
        }
        let file = self.files.first().ok_or_else(|| Error::Dataset {
            path: self.folder.clone(),
            problem: "no picture was taken from it".into(),
            remedy: "Take at least one".into(),
        })?;
        let photo = Photo::open(file)?.resize(SIDE, SIDE, self.interpolation)?;
        let shape = [n as i64, SIDE as i64, SIDE as i64, 3];
        let pixels = Tensor::f_from_slice(photo.bytes())
            .and_then(|bytes| {
                bytes
                    .f_view([1, shape[1], shape[2], 3])?
                    .f_expand(shape, false)
            })
            .map_err(Error::compute("copying a picture"))?;
        let augmented = augment.apply(&pixels, &augment.transforms(n, (SIDE, SIDE), 0))?;
        let bytes = augmented
            .f_round()
            .and_then(|rounded| rounded.f_to_kind(Kind::Uint8)?.f_view(-1))
            .and_then(Vec::<u8>::try_from)
            .map_err(Error::compute("reading the augmented pictures"))?;
        let name = name_of(file);
        let mut tiles = vec![Tile::new(photo, "original")];
        for (k, version) in bytes.chunks_exact(SIDE * SIDE * 3).enumerate() {
            let photo = Photo::from_pixels(&name, SIDE, SIDE, version.to_vec())?;
            tiles.push(Tile::new(photo, format!("version {}", k + 1)));
        }
        let title = titled(&name, &self.notes) + &format!(": {augment}");
        Ok(Figure::photos(&title, tiles, COLUMNS))
    }

    /// Shows the line under a notebook cell.
    pub fn evcxr_display(&self) {
        notebook::Bundle::text(&self.to_string()).show();
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The sentence that Keras' flow_from_directory prints.
        write!(
            f,
            "Found {} images belonging to {} classes.",
            self.len(),
            self.classes.len()
        )
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Dataset({}: {} images, classes {:?})",
            self.folder.display(),
            self.len(),
            self.classes
        )
    }
}

/// The last part of a path, for people to read.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// The entries of a folder, sorted as Python sorts their names: by code point.
fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()
    });
    let mut entries = entries.map_err(Error::file(folder, "read the folder"))?;
    entries.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(entries)
}

/// The pictures in a class folder and in the folders inside it: folders in the order of their whole
/// path, files sorted within each, which is what Keras makes of `os.walk`.
fn pictures_below(class: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = vec![class.to_owned()];
    let mut visited = 0;
    while visited < folders.len() {
        for entry in sorted_entries(&folders[visited])? {
            // Links to folders are not followed (Keras' follow_links=False): they may lead in circles.
            if entry.is_dir() && !entry.is_symlink() && !name_of(&entry).starts_with('.') {
                folders.push(entry);
            }
        }
        visited += 1;
    }
    folders.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut pictures = Vec::new();
    for folder in folders {
        let is_picture = |path: &PathBuf| {
            let name = name_of(path).to_lowercase();
            path.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending))
        };
        pictures.extend(sorted_entries(&folder)?.into_iter().filter(is_picture));
    }
    Ok(pictures)
}
