//! A dataset's pixels: decoded by all cores, in batches or at once.
//!
//! Pixels leave here as bytes, (N, H, W, 3) RGB; scaling belongs to the base.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::machine::memory::{FEWER_PICTURES, check_room};
use crate::pictures::dataset::Dataset;
use crate::pictures::photo::Photo;
use crate::pictures::reader::in_order;
use crate::show::progress::Progress;

impl Dataset {
    /// Hands over all pixels, resized to `size` x `size`, batch by batch and in order: `each(first, pixels)`
    /// with `pixels` (n, size, size, 3) of bytes on the CPU and `first` the index of its first picture.
    ///
    /// Pictures are decoded by threads of their own, ahead of the caller.
    ///
    /// # Errors
    /// [`Error::Pictures`] names all pictures that cannot be decoded, and whatever `each` answers.
    pub(crate) fn for_each_tensor(
        &self,
        size: usize,
        batch_size: usize,
        each: impl FnMut(usize, Tensor) -> Result<()>,
    ) -> Result<()> {
        self.for_each_batch(size, batch_size, &Progress::default(), each)
    }

    /// All pixels, resized to `size` x `size`, as one tensor (N, size, size, 3) of bytes on `device`.
    pub(crate) fn to_tensor(
        &self,
        size: usize,
        device: Device,
        progress: &Progress,
    ) -> Result<Tensor> {
        const AT_ONCE: usize = 64;
        let bytes = self.len().saturating_mul(bytes_of(size));
        let what = format!("the pixels of {} pictures", self.len());
        check_room(device, bytes, &what, FEWER_PICTURES)?;
        let side = size as i64;
        let all = Tensor::f_empty([self.len() as i64, side, side, 3], (Kind::Uint8, device))
            .map_err(Error::compute(format!(
                "making room for {what} ({:.1} GB; `take` fewer if that is too much)",
                bytes as f64 / 1e9
            )))?;
        let mut task = progress.task("reading pictures", "pictures", Some(self.len()));
        self.for_each_batch(size, AT_ONCE, progress, |first, pixels| {
            progress.check("reading pictures")?;
            let count = pixels.size()[0];
            all.f_narrow(0, first as i64, count)
                .and_then(|mut place| place.f_copy_(&pixels))
                .map_err(Error::compute("keeping the pixels of pictures"))?;
            task.done(first + count as usize);
            Ok(())
        })?;
        Ok(all)
    }

    /// [`Dataset::for_each_tensor`] with the progress that is shown, and asked for a stop, while a bad
    /// picture lets all others be looked at.
    fn for_each_batch(
        &self,
        size: usize,
        batch_size: usize,
        progress: &Progress,
        mut each: impl FnMut(usize, Tensor) -> Result<()>,
    ) -> Result<()> {
        let batch_size = batch_size.clamp(1, self.len().max(1));
        let interpolation = self.interpolation;
        let resized = move |file: &Path| Photo::read(file)?.resize(size, size, interpolation);
        let check = || progress.check("reading pictures");
        let no_room = |_| Error::OutOfMemory {
            doing: "reading pictures".into(),
            batch_size,
        };
        let mut batch = Vec::new();
        let mut bad = None;
        let outcome = in_order(
            self.files(),
            bytes_of(size),
            resized,
            &check,
            |index, photo| {
                let photo = photo.inspect_err(|error| {
                    bad = matches!(error, Error::Picture { .. } | Error::File { .. })
                        .then_some(index);
                })?;
                let place = index % batch_size;
                if place == 0 {
                    batch.clear();
                    let bytes = photo.bytes().len().saturating_mul(batch_size);
                    batch.try_reserve_exact(bytes).map_err(no_room)?;
                }
                batch.extend_from_slice(photo.bytes());
                if place + 1 < batch_size && index + 1 < self.len() {
                    return Ok(());
                }
                let shape = [place as i64 + 1, size as i64, size as i64, 3];
                let pixels = Tensor::f_from_data_size(&batch, &shape, Kind::Uint8)
                    .map_err(Error::compute("making a tensor of pictures"))?;
                each(index - place, pixels)
            },
        );
        match (outcome, bad) {
            (Err(error), Some(index)) => Err(self.all_unreadable(index, error, progress)),
            (outcome, _) => outcome,
        }
    }

    /// One picture, `first`, is enough to stop; the reader wants to know of all of them.
    fn all_unreadable(&self, first: usize, error: Error, progress: &Progress) -> Error {
        match self.find_unreadable(first, progress) {
            Ok(unreadable) if !unreadable.is_empty() => Error::Pictures {
                unreadable,
                total: self.len(),
            },
            // It can be read by now, or nobody waits for the others.
            _ => error,
        }
    }
}

/// What a resized picture takes; a size that makes no sense takes more than there is.
pub(super) fn bytes_of(size: usize) -> usize {
    size.saturating_mul(size).saturating_mul(3)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a failing test may stop")]
mod tests {
    use super::*;
    use crate::machine::stop::Stop;

    #[test]
    fn batches_are_in_order_and_the_last_one_is_short() {
        let train = Dataset::open("data/samples/train").unwrap().take(7);
        let mut firsts = Vec::new();
        let mut batches = Vec::new();
        let each = |first, pixels: Tensor| {
            firsts.push((first, pixels.size()));
            batches.push(pixels);
            Ok(())
        };
        train.for_each_tensor(32, 3, each).unwrap();
        let shape = |n| vec![n, 32, 32, 3];
        assert_eq!(firsts, [(0, shape(3)), (3, shape(3)), (6, shape(1))]);
        let all = train.to_tensor(32, Device::Cpu, &Progress::quiet());
        let all = all.unwrap();
        assert_eq!(all, Tensor::cat(&batches, 0));
        for (index, file) in train.files().iter().enumerate() {
            let alone = Photo::open(file).unwrap();
            let alone = alone.to_tensor(32, train.interpolation).unwrap();
            assert_eq!(all.narrow(0, index as i64, 1), alone);
        }
    }

    #[test]
    fn a_bad_picture_names_all_others_unless_one_stops_the_search() {
        let folder = tempfile::tempdir().unwrap();
        let class = folder.path().join("cats");
        std::fs::create_dir(&class).unwrap();
        for name in ["0.jpg", "1.jpg", "2.jpg", "3.jpg"] {
            let sample = format!("data/samples/train/cats/cat.{name}");
            std::fs::copy(sample, class.join(name)).unwrap();
        }
        for name in ["1.jpg", "3.jpg"] {
            std::fs::write(class.join(name), "no picture").unwrap();
        }
        let dataset = Dataset::open(folder.path()).unwrap();
        let read = |progress: &Progress| {
            let mut seen = Vec::new();
            let each = |first, _| {
                seen.push(first);
                Ok(())
            };
            let error = dataset.for_each_batch(32, 1, progress, each).unwrap_err();
            assert_eq!(seen, [0], "what lies before the bad one is handed over");
            error
        };
        match read(&Progress::quiet()) {
            Error::Pictures { unreadable, total } => {
                let names = unreadable.iter().map(|(path, _)| path.clone());
                assert_eq!(
                    names.collect::<Vec<_>>(),
                    [class.join("1.jpg"), class.join("3.jpg")]
                );
                assert_eq!(total, 4);
            }
            other => panic!("{other}"),
        }
        let stop = Stop::new();
        stop.request();
        match read(&Progress::quiet().stop(&stop)) {
            Error::Picture { path, .. } => assert_eq!(path, class.join("1.jpg")),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn sizes_beyond_any_memory_are_refused() {
        let train = Dataset::open("data/samples/train").unwrap();
        for size in [0, 70_000, 1 << 31, usize::MAX / 2, usize::MAX] {
            let all = train.to_tensor(size, Device::Cpu, &Progress::quiet());
            assert!(all.is_err(), "{size}");
            let batches = train.for_each_tensor(size, usize::MAX, |_, _| Ok(()));
            assert!(matches!(batches, Err(Error::Argument { .. })), "{size}");
        }
    }
}
