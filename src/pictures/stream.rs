//! Pictures that are not kept: decoded anew, from their files, in the order in which they are asked for.
//!
//! All cores decode ahead of whoever takes the pictures, so far as [`in_order`] lets them: a bounded number of bytes waits,
//! however many pictures there are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::machine::memory::has_room;
use crate::machine::threads;
use crate::pictures::dataset::Dataset;
use crate::pictures::loading::bytes_of;
use crate::pictures::photo::Photo;
use crate::pictures::reader::in_order;
use crate::pictures::resize::Interpolation;
use crate::show::progress::Progress;

const DOING: &str = "reading pictures while training";

/// A dataset's pixels, as a training run takes them.
pub(crate) enum Pixels {
    /// (N, size, size, 3) bytes on the device.
    Kept(Tensor),
    /// Read from the files whenever they are asked for.
    Streamed(Stream),
}

impl Pixels {
    /// Decodes and keeps all pixels on `device` if `keep` says so and they fit there; else they will be streamed.
    ///
    /// # Errors
    /// [`Error::Pictures`] names all pictures that cannot be decoded, where they are kept.
    pub(crate) fn new(
        dataset: &Dataset,
        size: usize,
        device: Device,
        keep: bool,
        progress: &Progress,
    ) -> Result<Self> {
        if keep && has_room(device, dataset.len().saturating_mul(bytes_of(size))) {
            return Ok(Self::Kept(dataset.to_tensor(size, device, progress)?));
        }
        if keep {
            progress.line(&format!(
                "Note: {} decoded pictures do not fit into memory; each epoch reads them from the disk",
                dataset.len()
            ));
        }
        Ok(Self::Streamed(Stream::new(dataset, size, progress)))
    }

    /// Prepares an epoch with these pictures, by their numbers, in this order.
    ///
    /// # Errors
    /// [`Error::Compute`] where the machine gives no thread for it.
    pub(crate) fn begin(&mut self, pictures: &[i64]) -> Result<()> {
        match self {
            Self::Streamed(stream) => stream.begin(pictures),
            Self::Kept(_) => Ok(()),
        }
    }
}

/// A dataset whose pictures are decoded when they are asked for.
pub(crate) struct Stream {
    files: Vec<PathBuf>,
    size: usize,
    interpolation: Interpolation,
    /// Asked for a stop while a picture does not come.
    progress: Progress,
    reading: Option<Reading>,
}

impl Stream {
    /// The pictures of `dataset` at `size` x `size`.
    pub(crate) fn new(dataset: &Dataset, size: usize, progress: &Progress) -> Self {
        Self {
            files: dataset.files().to_vec(),
            size,
            interpolation: dataset.interpolation,
            progress: progress.clone(),
            reading: None,
        }
    }

    /// Begins to read these pictures, by their numbers, in this order; what was begun before is given up.
    ///
    /// # Errors
    /// [`Error::Compute`] where the machine gives no thread for it.
    pub(crate) fn begin(&mut self, pictures: &[i64]) -> Result<()> {
        // The old threads end before new ones begin, or both would have their pictures waiting.
        self.reading = None;
        let chosen = pictures
            .iter()
            .filter_map(|&number| self.files.get(number as usize));
        self.reading = Some(Reading::start(
            chosen.cloned().collect(),
            self.size,
            self.interpolation,
            self.progress.clone(),
        )?);
        Ok(())
    }

    /// The next `count` pictures: (count, size, size, 3) bytes on the CPU.
    ///
    /// # Errors
    /// [`Error::Picture`] or [`Error::File`] names the one that cannot be decoded, [`Error::Compute`] if more are asked for
    /// than were begun.
    pub(crate) fn next(&mut self, count: usize) -> Result<Tensor> {
        let mut batch = Vec::new();
        batch
            .try_reserve_exact(count.saturating_mul(bytes_of(self.size)))
            .map_err(|_| Error::OutOfMemory {
                doing: DOING.into(),
                batch_size: count,
            })?;
        for _ in 0..count {
            let next = self.reading.as_ref().and_then(Reading::next);
            let photo = next.ok_or_else(|| Error::Compute {
                doing: DOING.into(),
                message: "there are no more pictures in this epoch".into(),
            })?;
            batch.extend_from_slice(photo?.bytes());
        }
        let side = self.size as i64;
        Tensor::f_from_data_size(&batch, &[count as i64, side, side, 3], Kind::Uint8)
            .map_err(Error::compute("making a tensor of pictures"))
    }
}

/// Threads that decode pictures ahead.
struct Reading {
    /// None only while it ends.
    photos: Option<Receiver<Result<Photo>>>,
    is_given_up: Arc<AtomicBool>,
    /// Hands on what others decode, in order.
    thread: Option<JoinHandle<()>>,
}

impl Reading {
    fn start(
        files: Vec<PathBuf>,
        size: usize,
        interpolation: Interpolation,
        progress: Progress,
    ) -> Result<Self> {
        // One: the bound is that of `in_order`.
        let (sender, photos) = mpsc::sync_channel(1);
        let is_given_up = Arc::new(AtomicBool::new(false));
        let given_up = is_given_up.clone();
        let thread = threads::start(DOING, move || {
            let read = move |file: &Path| Photo::read(file)?.resize(size, size, interpolation);
            let over = || Error::Stopped {
                doing: DOING.into(),
            };
            let check = || match given_up.load(Ordering::Relaxed) {
                true => Err(over()),
                false => progress.check(DOING),
            };
            // Ends when nobody takes the pictures any more, after the first that fails, and with a stop.
            let mut is_told = false;
            let ended = in_order(&files, bytes_of(size), read, &check, |_, photo| {
                is_told = photo.is_err();
                sender.send(photo).map_err(|_| over())?;
                if is_told { Err(over()) } else { Ok(()) }
            });
            // What no picture said: a stop, or a decoder's own fault. Nobody hears it where the reading was given up.
            if let Err(error) = ended
                && !is_told
            {
                let _ = sender.send(Err(error));
            }
        })?;
        Ok(Self {
            photos: Some(photos),
            is_given_up,
            thread: Some(thread),
        })
    }

    /// Waits for the next picture; none after the last.
    fn next(&self) -> Option<Result<Photo>> {
        self.photos.as_ref()?.recv().ok()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // Without a receiver the thread ends with the picture that it has; it took none of the program's errors along.
        self.is_given_up.store(true, Ordering::Relaxed);
        self.photos = None;
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_stream_gives_the_kept_pictures_in_any_order() {
        let train = Dataset::open("data/samples/train").unwrap().take(12);
        let quiet = Progress::quiet();
        let Pixels::Kept(all) = Pixels::new(&train, 32, Device::Cpu, true, &quiet).unwrap() else {
            panic!("twelve pictures fit into memory");
        };
        let pixels = Pixels::new(&train, 32, Device::Cpu, false, &quiet).unwrap();
        let Pixels::Streamed(mut stream) = pixels else {
            panic!("a stream was asked for");
        };
        for order in [[3, 3, 11, 0, 7], [0, 1, 2, 3, 4]] {
            stream.begin(&order).unwrap();
            for some in [&order[..2], &order[2..]] {
                let rows = Tensor::from_slice(some);
                assert_eq!(stream.next(some.len()).unwrap(), all.index_select(0, &rows));
            }
            assert!(matches!(stream.next(1), Err(Error::Compute { .. })));
        }
        // Given up in the middle.
        stream.begin(&[5; 1000]).unwrap();
        let _first = stream.next(1).unwrap();
        stream.begin(&[1]).unwrap();
        assert_eq!(stream.next(1).unwrap(), all.narrow(0, 1, 1));
    }

    #[test]
    fn a_picture_that_fails_is_named_when_its_turn_comes() {
        let folder = tempfile::tempdir().unwrap();
        let class = folder.path().join("cats");
        std::fs::create_dir(&class).unwrap();
        for name in ["0.jpg", "1.jpg", "2.jpg"] {
            std::fs::copy(
                format!("data/samples/train/cats/cat.{name}"),
                class.join(name),
            )
            .unwrap();
        }
        let dataset = Dataset::open(folder.path()).unwrap();
        std::fs::write(class.join("1.jpg"), "no picture").unwrap();
        let mut stream = Stream::new(&dataset, 32, &Progress::quiet());
        stream.begin(&[0, 2, 1, 0]).unwrap();
        let _first = stream.next(2).unwrap();
        match stream.next(2) {
            Err(Error::Picture { path, .. }) => assert_eq!(path, class.join("1.jpg")),
            other => panic!("{other:?}"),
        }
    }
}
