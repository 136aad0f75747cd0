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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
mod tests {
    use super::*;
    use crate::machine::precision::Precision;
    use crate::machine::world::tests::in_a_world;
    use crate::network::weights::weights::Weights;
    use crate::show::progress::Progress;

    fn base() -> Base {
        let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
        base.progress(Progress::quiet())
    }

    fn names(folder: &Path) -> Vec<String> {
        let paths = paths_in(folder).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        paths.iter().map(name).collect()
    }

    #[test]
    fn shards_are_one_block_of_features_whoever_wrote_them() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("train");
        let data = Dataset::open("data/samples/train").unwrap().take(11);
        let alone = base().extract_features(&data).unwrap();
        for size in [4, 1, 3] {
            let all = in_a_world(size, |world| {
                base().extract_shards(&data, &folder, world).unwrap()
            });
            for features in all {
                // A convolution may round by how many pictures pass at once.
                assert!(
                    features
                        .tensor()
                        .allclose(&alone.tensor(), 1e-5, 1e-6, false)
                );
                assert_eq!(features.files(), alone.files());
                assert_eq!(features.labels(), alone.labels());
                assert_eq!(features.digest(), alone.digest());
                assert_eq!(features.provenance(), alone.provenance());
            }
        }
        // A whole that is there is kept, with the shards of those who wrote it.
        assert_eq!(names(&folder).len(), 4);
        // Features of other pictures take the place of it.
        let fewer = data.take(6);
        in_a_world(2, |world| {
            base().extract_shards(&fewer, &folder, world).unwrap()
        });
        assert_eq!(
            names(&folder),
            ["shard-000000000.safetensors", "shard-000000003.safetensors"]
        );
    }

    #[test]
    fn a_shard_that_is_lost_is_named_and_the_others_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let data = Dataset::open("data/samples/train").unwrap().take(6);
        let extract = || {
            in_a_world(3, |world| {
                base().extract_shards(&data, folder, world).is_ok()
            })
        };
        assert_eq!(extract(), [true; 3]);
        let paths = paths_in(folder).unwrap();
        let written = |path: &PathBuf| path.metadata().unwrap().modified().unwrap();
        let before = paths.iter().map(written).collect::<Vec<_>>();
        // Half a file, as a full disk leaves it.
        let whole = std::fs::read(&paths[1]).unwrap();
        std::fs::write(&paths[1], &whole[..whole.len() / 2]).unwrap();
        assert!(
            Features::load(folder, Device::Cpu)
                .unwrap_err()
                .to_string()
                .contains("cut short")
        );
        std::fs::remove_file(&paths[1]).unwrap();
        let error = Features::load(folder, Device::Cpu).unwrap_err().to_string();
        assert!(
            error.contains("of 6 pictures those from number 2 on are missing"),
            "{error}"
        );
        assert_eq!(extract(), [true; 3]);
        assert_eq!(Features::load(folder, Device::Cpu).unwrap().len(), 6);
        let after = paths.iter().map(written).collect::<Vec<_>>();
        assert_eq!([before[0], before[2]], [after[0], after[2]]);
    }

    #[test]
    fn processes_with_other_pictures_or_too_few_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let data = Dataset::open("data/samples/train").unwrap();
        let refused = |counts: [usize; 2]| {
            let errors = in_a_world(2, |world| {
                let own = data.take(counts[world.rank()]);
                base()
                    .extract_shards(&own, folder.path(), world)
                    .unwrap_err()
                    .to_string()
            });
            assert_eq!(errors[0], errors[1]);
            errors[0].clone()
        };
        let error = refused([4, 6]);
        assert!(error.starts_with("process 1 of 2 (on node0): "), "{error}");
        let error = refused([1, 1]);
        assert!(
            error.starts_with("pictures for 2 processes: expected 2 or more"),
            "{error}"
        );
    }
}
