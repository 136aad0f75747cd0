//! The lab's pictures: the lesson's cats and dogs, or the drawn ones that stand in for them.

use crate::error::{Error, Result};
use crate::files::archive::unpack;
use crate::lab::lab::Lab;
use crate::lab::{data_folder, official};
use crate::pictures::data::Data;

impl Lab {
    /// Whether the lesson's pictures are in the data folder, ready for use.
    pub(crate) fn has_unpacked_pictures(&self) -> bool {
        !self.samples_only && data_folder::is_unpacked(&self.folder.value)
    }

    /// The lesson's cats and dogs, 2,000 + 1,000 pictures: downloaded once, checked and unpacked
    /// into the data folder. A quick run takes 400 + 200 of them. Where they cannot be had, drawn pictures
    /// stand in, with a note: 60 + 30 samples for a quick run, the 400 + 200 of `data/drawn` for a
    /// full one, if they have been drawn. With [`Lab::samples`] it is always the samples.
    ///
    /// # Errors
    /// [`Error::Download`] if they cannot be fetched, [`Error::Dataset`] or [`Error::File`] if what
    /// is in the data folder cannot be used.
    pub fn cats_and_dogs(&self) -> Result<Data> {
        let folder = &self.folder.value;
        if !(self.can_have(&official::pictures()) || self.has_unpacked_pictures()) {
            return self.drawn_pictures();
        }
        let unpacked = data_folder::unpacked_pictures(folder);
        if !data_folder::is_unpacked(folder) {
            let archive = self.fetch(&official::pictures())?;
            let missing = unpack(&archive, &unpacked, &self.progress)?.len();
            if missing > 0 {
                return Err(Error::Dataset {
                    path: unpacked,
                    problem: format!("it lacks {missing} of the archive's files"),
                    remedy: "Remove that folder and call again".into(),
                });
            }
        }
        let data = Data::open(&unpacked)?;
        if self.full.value {
            return Ok(data);
        }
        let mut data = data.take(400, 200);
        data.train = data.train.with_note("quick run, 400 + 200 pictures");
        Ok(data)
    }

    /// The drawn pictures, with the note that they are not the real ones.
    fn drawn_pictures(&self) -> Result<Data> {
        let folder = &self.folder.value;
        // Augmented pictures pass the base in each epoch: on a CPU the drawn ones take minutes then.
        let few = self.samples_only || !self.full.value;
        let mut data = Data::open(match few {
            true => data_folder::sample_folder(folder),
            false => data_folder::stand_in_folder(folder),
        })?;
        for part in [&mut data.train, &mut data.validation] {
            *part = part.clone().with_note("drawn sample pictures");
        }
        Ok(data)
    }

    /// What the table says of them, such as "drawn samples, 400 + 200".
    pub(crate) fn drawn_in_words(&self) -> String {
        const WORDS: &str = "drawn samples";
        match self.drawn_pictures() {
            Ok(data) => format!("{WORDS}, {} + {}", data.train.len(), data.validation.len()),
            // The cell that asks for them says why.
            Err(_) => WORDS.to_owned(),
        }
    }
}
