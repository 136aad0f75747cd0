//! Figures of a dataset: some of its pictures, and one beside what augmentation makes of it.
//!
//! ```
//! use evcxr_transfer::{Augment, Data};
//! let train = Data::open("data/samples")?.train;
//! let figure = train.show_augmented(&Augment::lesson(), 4)?;
//! assert!(figure.to_string().contains("5 pictures"));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::pictures::augment::Augment;
use crate::pictures::dataset::Dataset;
use crate::pictures::folder::name_of;
use crate::pictures::photo::Photo;
use crate::show::draw::grid;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};

impl Dataset {
    /// A grid of `n` pictures, spread over the dataset, each with its class (its labels, its numbers) and file name.
    ///
    /// # Errors
    /// [`Error::Picture`] if one of them cannot be decoded.
    #[doc(alias = "show_batch")]
    pub fn show(&self, n: usize) -> Result<Figure> {
        let (n, count, mut notes) = grid::count(n, self.len(), "pictures");
        let mut tiles = Vec::with_capacity(n);
        for index in grid::spread(n, self.len()) {
            let label = format!(
                "{}\n{}",
                self.label_of(index),
                name_of(&self.files()[index])
            );
            tiles.push(Tile::new(Photo::open(&self.files()[index])?, label));
        }
        let title = format!("{count} from {}", self.name());
        notes.extend(self.notes().iter().cloned());
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
        let file = self.files().first().ok_or_else(|| Error::Dataset {
            path: self.folder().to_owned(),
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
        let augmented = augment.apply(&pixels, &augment.transforms(n, (SIDE, SIDE), 0)?)?;
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
        let title = titled(&name, self.notes()) + &format!(": {augment}");
        Ok(Figure::photos(&title, tiles, COLUMNS))
    }
}
