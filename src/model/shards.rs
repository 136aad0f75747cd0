//! Features in shards: a folder of files, each with the features of pictures that lie side by side in their dataset.
//!
//! The processes of a [`World`] write them side by side, and [`Features::load`] reads the folder as one.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::{Device, Kind};

use crate::error::{Error, Result};
use crate::files::tensor_file::TensorFile;
use crate::files::tensors;
use crate::machine::scratch;
use crate::machine::world::World;
use crate::model::features::Features;
use crate::model::provenance::Provenance;
use crate::network::base::Base;
use crate::pictures::dataset::Dataset;
use crate::training::beginning::VERSION;

/// A shard has so many bytes at most, so that what a killed process loses, and takes of the memory, is little.
const MOST_BYTES: usize = 256 << 20;

/// What names of shards begin and end with; the number of its first picture stands between.
const NAME: [&str; 2] = ["shard-", ".safetensors"];

const REMEDY: &str = "Extract them again with `base.extract_shards(..)?`: finished shards are kept";

/// Which part of a dataset's features a file has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shard {
    /// The number of its first picture among all.
    first: usize,
    count: usize,
    /// How many pictures there are in all.
    total: usize,
    /// What tells these pictures from others.
    digest: String,
    provenance: Provenance,
}

impl Shard {
    /// The part with these pictures.
    fn part(&self, pictures: Range<usize>) -> Self {
        Self {
            first: pictures.start,
            count: pictures.len(),
            ..self.clone()
        }
    }

    /// The dataset that it is a part of.
    fn whole(&self) -> Self {
        self.part(0..self.total)
    }

    fn path(&self, folder: &Path) -> PathBuf {
        let [begin, end] = NAME;
        folder.join(format!("{begin}{:09}{end}", self.first))
    }

    /// What a whole file says of itself.
    fn of_file(path: &Path) -> Result<Self> {
        let file = TensorFile::open(path, REMEDY)?;
        file.check_whole()?;
        let text = file.metadata().get("shard").cloned().unwrap_or_default();
        serde_json::from_str(&text)
            .map_err(|_| tensors::not_saved_here(path, "a shard of features"))
    }
}

impl Base {
    /// [`Base::extract_features`] by all processes of `world`: each sends its share of the pictures through the base and writes it to
    /// files in `folder`, which all of them see, and gets the features of all. Run again, after a process has died or with another number
    /// of them, it keeps the shards that are finished and still asked for; other ones are replaced.
    ///
    /// Later [`Features::load`] reads the folder as one.
    ///
    /// ```
    /// use evcxr_transfer::{Base, Dataset, Device, Features, Precision, Weights, World};
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path().join("validation");
    /// let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
    /// let pictures = Dataset::open("data/samples/validation")?;
    /// let features = base.extract_shards(&pictures, &folder, &World::open()?)?;
    /// assert_eq!(features.shape(), [30, 1, 1, 512]);
    /// assert_eq!(Features::load(&folder, Device::Cpu)?.len(), 30);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Base::extract_features`]; [`Error::File`] if the folder cannot be made or written to, [`Error::Mismatch`] for fewer
    /// pictures than processes; what one process fails with all do ([`Error::Process`]).
    #[doc(alias("save_shards", "TFRecord", "webdataset"))]
    pub fn extract_shards(
        &self,
        dataset: &Dataset,
        folder: impl AsRef<Path>,
        world: &World,
    ) -> Result<Features> {
        let folder = folder.as_ref();
        let whole = world.agree(self.begin_shards(dataset, folder, world))?;
        world.check_same(
            &[
                ("version of evcxr_transfer", json!(VERSION)),
                ("pictures", json!(whole.total)),
                ("files of the pictures", json!(whole.digest)),
                ("base", json!(whole.provenance)),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        )?;
        let is_there = all_in(folder).is_ok_and(|shards| shards[0].1.whole() == whole);
        // Everybody has looked before anybody writes.
        let [found] = world.sum_few([f64::from(u8::from(is_there))]);
        if (found as usize) < world.size() {
            world.agree(self.write_share(&whole, dataset, folder, world))?;
            let swept = match world.rank() {
                0 => self.sweep(&whole, folder, world.size()),
                _ => Ok(()),
            };
            world.agree(swept)?;
        }
        world.agree(Features::load(folder, self.device()))
    }

    /// Makes the folder, and says what will be in it.
    fn begin_shards(&self, dataset: &Dataset, folder: &Path, world: &World) -> Result<Shard> {
        world.check_enough("pictures", dataset.len())?;
        std::fs::create_dir_all(folder).map_err(Error::file(folder, "create the folder"))?;
        Ok(Shard {
            first: 0,
            count: dataset.len(),
            total: dataset.len(),
            digest: dataset.digest(),
            provenance: Provenance::new(self, dataset.interpolation)?,
        })
    }

    /// The shards of one share.
    fn shards_of(&self, share: Range<usize>) -> Vec<Range<usize>> {
        let bytes = 4 * self.output_shape().iter().product::<usize>().max(1);
        let at_once = (MOST_BYTES / bytes).max(1);
        let firsts = share.clone().step_by(at_once);
        firsts
            .map(|first| first..share.end.min(first + at_once))
            .collect()
    }

    fn write_share(
        &self,
        whole: &Shard,
        dataset: &Dataset,
        folder: &Path,
        world: &World,
    ) -> Result<()> {
        let base = match world.rank() {
            0 => self.shared(),
            _ => self.shared().progress(self.shown().silent()),
        };
        for pictures in self.shards_of(world.share(whole.total)) {
            let shard = whole.part(pictures.clone());
            let path = shard.path(folder);
            if Shard::of_file(&path).is_ok_and(|found| found == shard) {
                continue;
            }
            let part = dataset.select(&pictures.collect::<Vec<_>>());
            let mut store = base.extract_features(&part)?.store();
            store
                .metadata
                .insert("shard".into(), json!(shard).to_string());
            let _saved = store.save(&path)?;
        }
        Ok(())
    }

    /// Removes shards that an earlier run of other processes, or of other pictures, has left.
    fn sweep(&self, whole: &Shard, folder: &Path, processes: usize) -> Result<()> {
        let shares = (0..processes)
            .flat_map(|rank| self.shards_of(World::share_of(whole.total, rank, processes)));
        let kept = shares.map(|pictures| whole.part(pictures).path(folder));
        let kept = kept.collect::<Vec<_>>();
        for path in paths_in(folder)? {
            if !kept.contains(&path) {
                std::fs::remove_file(&path).map_err(Error::file(&path, "remove"))?;
            }
        }
        Ok(())
    }
}

/// The files of a folder that are named as shards are, in the order of their pictures.
fn paths_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || Error::file(folder, "read");
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(NAME[0]) && name.ends_with(NAME[1])) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// All shards of a folder, which are the whole of something.
fn all_in(folder: &Path) -> Result<Vec<(PathBuf, Shard)>> {
    let mut shards: Vec<(PathBuf, Shard)> = Vec::new();
    let refused = |problem: String| {
        Err(Error::Weights {
            path: folder.to_owned(),
            problem,
            remedy: REMEDY.into(),
        })
    };
    let mut end = 0;
    for path in paths_in(folder)? {
        let shard = Shard::of_file(&path)?;
        if let Some((_, first)) = shards.first()
            && first.whole() != shard.whole()
        {
            let name = path.file_name().unwrap_or_default().display();
            return refused(format!(
                "{name} has features of other pictures, or of another base, than the rest"
            ));
        }
        if shard.first != end {
            break;
        }
        end += shard.count;
        shards.push((path, shard));
    }
    match shards.first() {
        None => refused("there are no shards of features in it".into()),
        Some((_, first)) if first.total != end => refused(format!(
            "of {} pictures those from number {end} on are missing",
            first.total
        )),
        Some(_) => Ok(shards),
    }
}

/// Reads all shards of a folder as one, a shard at a time: what does not fit into memory lies in a temporary file.
pub(super) fn load(folder: &Path, device: Device) -> Result<Features> {
    let shards = all_in(folder)?;
    let mut whole: Option<Features> = None;
    for (path, shard) in &shards {
        let part = Features::load(path, Device::Cpu)?;
        let all = match &mut whole {
            None => {
                let mut size = part.tensor.size();
                size[0] = shard.total as i64;
                let what = format!("the features of {} pictures", shard.total);
                let room = scratch::room_for(&size, (Kind::Float, device), &what)?;
                whole.insert(Features {
                    tensor: room,
                    labels: part.labels.select(&[]),
                    files: Vec::new(),
                    digest: Some(shard.digest.clone()),
                    classes: part.classes.clone(),
                    base: part.base.clone(),
                    provenance: part.provenance.clone(),
                    notes: part.notes.clone(),
                })
            }
            Some(all) => all,
        };
        let fits = part.len() == shard.count
            && part.shape()[1..] == all.shape()[1..]
            && part.classes == all.classes
            && part.target() == all.target();
        if !fits {
            return Err(tensors::not_saved_here(path, "a shard of features"));
        }
        all.tensor
            .f_narrow(0, shard.first as i64, shard.count as i64)
            .and_then(|mut rows| rows.f_copy_(&part.tensor))
            .map_err(Error::compute("putting shards together"))?;
        all.labels.extend(&part.labels);
        all.files.extend(part.files);
    }
    whole.ok_or_else(|| tensors::not_saved_here(folder, "features"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests;
