//! A dataset's pixels: decoded by all cores, in batches or at once, and which pictures have none.
//!
//! Pixels leave here as bytes, (N, H, W, 3) RGB; scaling belongs to the base.
//!
//! ```
//! use evcxr_transfer::Data;
//! let train = Data::open("data/samples")?.train;
//! assert!(train.unreadable().is_empty());
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::pictures::dataset::Dataset;
use crate::pictures::photo::{Interpolation, Photo};
use crate::show::progress::Progress;

impl Dataset {
    /// The pictures that cannot be decoded, each with the reason. Decodes every picture once.
    pub fn unreadable(&self) -> Vec<(PathBuf, String)> {
        self.find_unreadable(&Progress::quiet()).unwrap_or_default()
    }

    /// The same, with an ear for a stop.
    pub(crate) fn find_unreadable(&self, progress: &Progress) -> Result<Vec<(PathBuf, String)>> {
        let mut found = Vec::new();
        for_each_picture(self.files(), None, |index, decoded| {
            if let Err(error) = decoded {
                found.push((index, reason_of(error)));
            }
            !progress.is_stopped()
        });
        progress.check("looking for unreadable pictures")?;
        found.sort_unstable();
        let named = |(index, reason): (usize, String)| (self.files()[index].clone(), reason);
        Ok(found.into_iter().map(named).collect())
    }

    /// The same dataset less the pictures that cannot be decoded.
    ///
    /// # Errors
    /// [`Error::Dataset`] if no picture is left.
    pub fn without_unreadable(&self) -> Result<Self> {
        self.without(&self.unreadable())
    }

    /// The same dataset less these pictures, which cannot be decoded.
    pub(crate) fn without(&self, unreadable: &[(PathBuf, String)]) -> Result<Self> {
        let is_readable = |index: &usize| {
            let file = &self.files()[*index];
            !unreadable.iter().any(|(path, _)| path == file)
        };
        let chosen = (0..self.len()).filter(is_readable).collect::<Vec<_>>();
        if chosen.is_empty() {
            return Err(Error::Dataset {
                path: self.folder().to_owned(),
                problem: "there is no picture in it that can be read".into(),
                remedy: "Put readable pictures there (.jpg, .png, .bmp, .ppm or .tif)".into(),
            });
        }
        Ok(self.select(&chosen))
    }

    /// Hands over all pixels, resized to `size` x `size`, batch by batch and in order:
    /// `each(first, bytes)` with `bytes` (n, size, size, 3) and `first` the index of its first picture.
    ///
    /// Pictures are decoded by threads of their own, a few batches ahead of the caller.
    pub(crate) fn for_each_batch(
        &self,
        size: usize,
        batch_size: usize,
        mut each: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let picture_bytes = size * size * 3;
        let batches = self.len().div_ceil(batch_size);
        let length_of = |batch: usize| batch_size.min(self.len() - batch * batch_size);
        let mut waiting: BTreeMap<usize, (Vec<u8>, usize)> = BTreeMap::new();
        let mut next = 0;
        let mut outcome = Ok(());
        for_each_picture(
            self.files(),
            Some((size, self.interpolation)),
            |index, decoded| {
                let photo = match decoded {
                    Ok(photo) => photo,
                    Err(error) => {
                        outcome = Err(error);
                        return false;
                    }
                };
                let batch = index / batch_size;
                let (bytes, filled) = waiting
                    .entry(batch)
                    .or_insert_with(|| (vec![0; length_of(batch) * picture_bytes], 0));
                let start = (index % batch_size) * picture_bytes;
                bytes[start..start + picture_bytes].copy_from_slice(photo.bytes());
                *filled += 1;
                while next < batches
                    && waiting
                        .get(&next)
                        .is_some_and(|(_, filled)| *filled == length_of(next))
                {
                    if let Some((bytes, _)) = waiting.remove(&next) {
                        outcome = each(next * batch_size, &bytes);
                    }
                    if outcome.is_err() {
                        return false;
                    }
                    next += 1;
                }
                true
            },
        );
        match outcome {
            // One is enough to stop; the reader wants to know of all of them.
            Err(first @ (Error::Picture { .. } | Error::File { .. })) => {
                match self.unreadable() {
                    // It can be read by now.
                    none if none.is_empty() => Err(first),
                    unreadable => Err(Error::Pictures {
                        unreadable,
                        total: self.len(),
                    }),
                }
            }
            other => other,
        }
    }

    /// [`Dataset::for_each_batch`] with the pixels as tensors (n, size, size, 3) of bytes on the CPU.
    pub(crate) fn for_each_tensor(
        &self,
        size: usize,
        batch_size: usize,
        mut each: impl FnMut(usize, Tensor) -> Result<()>,
    ) -> Result<()> {
        let side = size as i64;
        self.for_each_batch(size, batch_size, |first, bytes| {
            let count = bytes.len() as i64 / (side * side * 3);
            let pixels = Tensor::f_from_data_size(bytes, &[count, side, side, 3], Kind::Uint8)
                .map_err(Error::compute("making a tensor of pictures"))?;
            each(first, pixels)
        })
    }

    /// All pixels, resized to `size` x `size`, as one tensor (N, size, size, 3) of bytes on `device`.
    pub(crate) fn to_tensor(
        &self,
        size: usize,
        device: Device,
        progress: &Progress,
    ) -> Result<Tensor> {
        const AT_ONCE: usize = 64;
        let bytes = self.len() * size * size * 3;
        crate::machine::memory::check_room(
            device,
            bytes,
            &format!("the pixels of {} pictures", self.len()),
        )?;
        let side = size as i64;
        let all = Tensor::f_empty([self.len() as i64, side, side, 3], (Kind::Uint8, device))
            .map_err(Error::compute(format!(
                "making room for the pixels of {} pictures ({:.1} GB; `take` fewer if that is too much)",
                self.len(),
                bytes as f64 / 1e9
            )))?;
        let mut task = progress.task("reading pictures", "pictures", Some(self.len()));
        self.for_each_tensor(size, AT_ONCE, |first, pixels| {
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
}

/// Decodes `files` with one thread for each core and hands each picture over as it is ready, in no
/// fixed order. Stops early when `each` answers `false`.
///
/// Threads are scoped, not pooled: a notebook cell links its own copy of the crate, so a pool kept
/// in a static would be born anew in every cell. They stay outside libtorch, whose own threads slow
/// small operations down tenfold when the cores are busy.
pub(crate) fn for_each_picture(
    files: &[PathBuf],
    resize_to: Option<(usize, Interpolation)>,
    mut each: impl FnMut(usize, Result<Photo>) -> bool,
) {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(files.len());
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    // Bounded, so that decoding runs a little ahead of the base and memory stays flat.
    let (sender, receiver) = mpsc::sync_channel(64);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, stop) = (&next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(index) else { break };
                    let photo = Photo::open(file).and_then(|photo| match resize_to {
                        Some((size, interpolation)) => photo.resize(size, size, interpolation),
                        None => Ok(photo),
                    });
                    if sender.send((index, photo)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        // Dropping the receiver (at the end of this block) wakes threads that wait to send.
        for (index, photo) in receiver {
            if !each(index, photo) {
                stop.store(true, Ordering::Relaxed);
                break;
            }
        }
    });
}

/// The reason without the path, which the caller names beside it.
pub(crate) fn reason_of(error: Error) -> String {
    match error {
        Error::Picture { problem, .. } => problem,
        Error::File { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
