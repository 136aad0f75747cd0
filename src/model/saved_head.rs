//! Heads on the disk, alone or as the part of a classifier that they are.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ndarray::ArrayD;
use serde_json::json;
use tch::{Device, Tensor};

use crate::error::{Error, Result};
use crate::files::tensors;
use crate::files::tensors::Store;
use crate::model::head::Head;
use crate::model::head_model::{HeadModel, LAYER_NAMES};
use crate::network::parameter::Parameter;
use crate::network::weights::layer_weights::LayerWeights;
use crate::pictures::target::Target;
use crate::show::ending;
use crate::show::saved::Saved;
use crate::training::checkpoint::Checkpoint;

impl HeadModel {
    /// Writes the head to a file, as the ending of its name says. An existing file stays whole until the
    /// new one is.
    ///
    /// `.safetensors`, or no ending: weights and class names, which [`HeadModel::load`] reads, and Python's
    /// `safetensors.torch.load_file` as `dense.weight`, `dense.bias`, `dense_1.weight`, `dense_1.bias`.
    /// `.onnx`: the head for programs that only run it (onnxruntime, a browser): `features` (N, H, W, C)
    /// go in, `probabilities` (N, classes) and `class_index` (N,) come out, for labels the probabilities alone and for
    /// numbers `numbers` (N, names); the metadata has the `classes`, their names.
    ///
    /// # Errors
    /// [`Error::Argument`] for a name with another ending, [`Error::File`] if the file cannot be written.
    #[doc(alias("export", "onnx"))]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Saved> {
        let path = path.as_ref();
        match ending::of_weights(path, "a head")? {
            ending::ONNX => self.export(path),
            _ => self.store().save(path),
        }
    }

    /// The weights by the names that [`HeadModel::save`] gives them, `dense.weight` [out, in] and so on: copies.
    ///
    /// PyTorch: `model.state_dict()`.
    ///
    /// # Errors
    /// [`Error::Compute`] if the copies do not fit into memory.
    #[doc(alias("get_weights", "named_parameters"))]
    pub fn state_dict(&self) -> Result<BTreeMap<String, ArrayD<f32>>> {
        self.store().arrays()
    }

    /// The head as it is written.
    pub(crate) fn store(&self) -> Store {
        let mut store = Store {
            tensors: BTreeMap::new(),
            metadata: HashMap::from([("kind".to_owned(), "head".to_owned())]),
        };
        self.write(&mut store);
        store
    }

    /// Adds weights and description to what is about to be saved.
    pub(crate) fn write(&self, store: &mut Store) {
        for (name, layer) in LAYER_NAMES.iter().zip(&self.layers) {
            layer.write(store, name);
        }
        for (key, value) in [
            ("input_shape", json!(self.input_shape)),
            ("notes", json!(self.notes)),
            ("provenance", json!(self.provenance)),
            ("dropout", json!(self.head.dropout)),
            ("target", json!(self.head.target)),
            ("classes", json!(self.classes)),
            ("epochs", json!(self.epochs)),
        ] {
            store.metadata.insert(key.to_owned(), value.to_string());
        }
    }

    /// Reads what [`HeadModel::save`] or a checkpoint wrote, onto the CPU or a GPU.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Weights`] or [`Error::LayerShape`] if
    /// it does not hold a head, [`Error::Device`] if the device cannot be used.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<Self> {
        const WHAT: &str = "a head";
        crate::machine::device::check(device)?;
        let path = path.as_ref();
        let mut store = Store::load(path, WHAT)?;
        if store.metadata.get("kind").is_none_or(|kind| kind != "head") {
            return Err(tensors::not_saved_here(path, WHAT));
        }
        let unfinished = Checkpoint::take(&mut store, path, WHAT)?;
        let mut model = Self::read(&mut store, path, WHAT, device)?;
        model.unfinished = unfinished;
        Ok(model)
    }

    /// Takes a head out of a file that was read; `what` names what the whole file should hold.
    pub(crate) fn read(store: &mut Store, path: &Path, what: &str, device: Device) -> Result<Self> {
        let input_shape: Vec<usize> = store.read_json("input_shape", path, what)?;
        let classes: Vec<String> = store.read_json("classes", path, what)?;
        let dropout: f64 = store.read_json("dropout", path, what)?;
        let notes: Vec<String> = store.read_json("notes", path, what)?;
        // Files of earlier versions have classes.
        let target: Target = store
            .read_optional("target", path, what)?
            .unwrap_or_default();
        let epochs: usize = store.read_json("epochs", path, what)?;
        let units = store
            .tensors
            .get(&format!("{}.bias", LAYER_NAMES[0]))
            .map_or(0, Tensor::numel);
        let width = input_shape
            .iter()
            .try_fold(1usize, |width, &n| width.checked_mul(n))
            .filter(|_| {
                classes.len() >= target.fewest_names() && units > 0 && (0.0..1.0).contains(&dropout)
            })
            .ok_or_else(|| tensors::not_saved_here(path, what))?;
        let widths = [width, units, target.outputs(classes.len())];
        let mut layers = Vec::new();
        for (name, widths) in LAYER_NAMES.iter().zip(widths.windows(2)) {
            let parameters = Parameter::kernel_and_bias(widths);
            let layer = LayerWeights::take(store, name, &parameters, path, what)?;
            layers.push(layer.on(device).map_err(Error::compute(format!(
                "putting the head on {}",
                crate::machine::device::name(device)
            )))?);
        }
        Ok(Self {
            head: Head {
                units,
                dropout,
                target,
            },
            input_shape,
            classes,
            layers,
            device,
            provenance: store.read_optional("provenance", path, what)?.flatten(),
            notes,
            epochs,
            is_trained: epochs > 0,
            begun: json!(null),
            unfinished: None,
        })
    }
}
