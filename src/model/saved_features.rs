//! Features on the disk.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tch::Device;

use crate::error::{Error, Result};
use crate::files::tensors;
use crate::files::tensors::Store;
use crate::model::features::Features;
use crate::model::shards;
use crate::pictures::labels::Labels;
use crate::pictures::target::Target;
use crate::show::ending;
use crate::show::saved::Saved;

impl Features {
    /// Writes features, labels and class names to one safetensors file, whose name ends in
    /// `.safetensors` or has no ending. An existing file stays whole until the new one is.
    ///
    /// Python: `safetensors.numpy.load_file(path)["features"]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a name with another ending, [`Error::File`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Saved> {
        ending::check_tensors(path.as_ref(), "a block of features")?;
        self.store().save(path.as_ref())
    }

    /// The features as they are written.
    pub(super) fn store(&self) -> Store {
        let files = self.files.iter().map(|file| file.to_string_lossy());
        let files = files.collect::<Vec<_>>();
        let labels = match self.target() {
            Target::Class => serde_json::json!(self.labels.classes()),
            Target::Labels | Target::Numbers => serde_json::json!(self.labels.rows()),
        };
        let metadata = HashMap::from([
            ("kind".to_owned(), "features".to_owned()),
            ("labels".to_owned(), labels.to_string()),
            (
                "target".to_owned(),
                serde_json::json!(self.target()).to_string(),
            ),
            (
                "classes".to_owned(),
                serde_json::json!(self.classes).to_string(),
            ),
            ("files".to_owned(), serde_json::json!(files).to_string()),
            ("base".to_owned(), self.base.clone()),
            (
                "provenance".to_owned(),
                serde_json::json!(self.provenance).to_string(),
            ),
            (
                "notes".to_owned(),
                serde_json::json!(self.notes).to_string(),
            ),
            (
                "digest".to_owned(),
                serde_json::json!(self.digest).to_string(),
            ),
        ]);
        let tensors = BTreeMap::from([("features".to_owned(), self.tensor())]);
        Store { tensors, metadata }
    }

    /// Reads what [`Features::save`] wrote, or the folder of shards that [`Base::extract_shards`](crate::Base::extract_shards) wrote, onto the CPU or a
    /// GPU.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Weights`] if it holds something else, if a shard is missing
    /// or values that are no finite numbers,
    /// [`Error::Device`] if the device cannot be used.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<Self> {
        crate::machine::device::check(device)?;
        let path = path.as_ref();
        if path.is_dir() {
            return shards::load(path, device);
        }
        let mut store = Store::load(path, "features")?;
        let tensor = store
            .tensors
            .remove("features")
            .filter(|tensor| tensor.dim() >= 2)
            .ok_or_else(|| tensors::not_saved_here(path, "features"))?;
        tensors::check_finite(&tensor, path, "features")?;
        let tensor = tensor.f_to_device(device).map_err(Error::compute(format!(
            "putting features on {}",
            crate::machine::device::name(device)
        )))?;
        // Files of earlier versions have classes.
        let target = store.read_optional("target", path, "features")?;
        let labels = match target.unwrap_or_default() {
            Target::Class => Labels::of_classes(store.read_json("labels", path, "features")?),
            other => Labels::of_rows(other, store.read_json("labels", path, "features")?),
        };
        let features = Self {
            tensor,
            labels,
            files: store
                .read_optional("files", path, "features")?
                .unwrap_or_default(),
            classes: store.read_json("classes", path, "features")?,
            base: store.metadata.get("base").cloned().unwrap_or_default(),
            provenance: store
                .read_optional("provenance", path, "features")?
                .flatten(),
            notes: store.read_json("notes", path, "features")?,
            digest: store.read_optional("digest", path, "features")?.flatten(),
        };
        features.check()?;
        if !features.files.is_empty() && features.files.len() != features.len() {
            return Err(tensors::not_saved_here(path, "features"));
        }
        Ok(features)
    }
}
