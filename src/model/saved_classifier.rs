//! Classifiers on the disk.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ndarray::ArrayD;
use serde_json::json;
use tch::Device;

use crate::error::Result;
use crate::files::tensors;
use crate::files::tensors::Store;
use crate::machine::device;
use crate::machine::precision::Precision;
use crate::model::classifier::{Classifier, Unfinished};
use crate::model::head_model::HeadModel;
use crate::network::architecture::Architecture;
use crate::network::base::Base;
use crate::network::origin::Origin;
use crate::network::pooling::Pooling;
use crate::network::weights::layer_weights::LayerWeights;
use crate::pictures::resize::Interpolation;
use crate::show::ending;
use crate::show::saved::Saved;
use crate::training::checkpoint::Checkpoint;
use crate::training::history::History;

/// What a file of ours should hold, in messages.
const WHAT: &str = "a classifier";

impl Classifier {
    /// Writes the whole model to one file, as the ending of its name says. An existing file stays whole
    /// until the new one is.
    ///
    /// `.safetensors`, or no ending: what [`Classifier::load`] reads. Python's
    /// `safetensors.torch.load_file` opens it: the base under torchvision's names
    /// (`features.0.weight`), the head as `dense.weight`, `dense.bias`, `dense_1.weight`,
    /// `dense_1.bias`. Class names, input size, scaling, what is trainable and history are its metadata.
    ///
    /// `.onnx`: the model for programs that only run it, such as onnxruntime, a browser or the crate `ort`
    /// (opset 13). `pixels` go in, (N, H, W, 3) RGB bytes of the base's size; they are scaled inside.
    /// `probabilities` (N, classes) and `class_index` (N,) come out. The metadata has the `classes`, the
    /// `size` and the `interpolation` that pictures are resized with. It computes in f32.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a name with another ending, such as Keras' or PyTorch's,
    /// [`Error::File`](crate::Error::File) if the file cannot be written, [`Error::Mismatch`](crate::Error::Mismatch)
    /// for more than the 2 GB that an ONNX file holds.
    #[doc(alias("export", "onnx", "torch.onnx.export", "tf2onnx"))]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Saved> {
        let path = path.as_ref();
        match ending::of_weights(path, WHAT)? {
            ending::ONNX => self.export(path),
            _ => self
                .store(self.base.weights(), &self.history, self.trainable_from)
                .save(path),
        }
    }

    /// All weights by the names that [`Classifier::save`] gives them, torchvision's and PyTorch's: copies, in
    /// PyTorch's order of axes. `base().layer_weights(name)` has those of a layer in Keras' order.
    ///
    /// PyTorch: `model.state_dict()`.
    ///
    /// ```
    /// use evcxr_transfer::{Base, Classifier, Device, Head, Precision, Weights};
    /// # let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
    /// let model = Classifier::new(&base, Head::dense(16), &["cats", "dogs"])?;
    /// let weights = model.state_dict()?;
    /// assert_eq!(weights["features.0.weight"].shape(), [64, 3, 3, 3]);
    /// assert_eq!(weights["dense.bias"].shape(), [16]);
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Compute`](crate::Error::Compute) if the copies do not fit into memory.
    #[doc(alias("get_weights", "named_parameters"))]
    pub fn state_dict(&self) -> Result<BTreeMap<String, ArrayD<f32>>> {
        self.store(self.base.weights(), &self.history, self.trainable_from)
            .arrays()
    }

    /// The model as it is written, with these weights of the base and this history, trainable from this
    /// layer on.
    pub(crate) fn store(
        &self,
        weights: &[LayerWeights],
        history: &History,
        trainable_from: usize,
    ) -> Store {
        let mut store = Store {
            tensors: BTreeMap::new(),
            metadata: HashMap::from([("kind".to_owned(), "classifier".to_owned())]),
        };
        self.head.write(&mut store);
        let layers = self.base.layers();
        for (layer, weights) in layers.iter().zip(weights) {
            weights.write(&mut store, &layer.stored_name);
        }
        for (key, value) in [
            ("architecture", json!(self.base.architecture())),
            ("size", json!(self.base.size())),
            ("origin", json!(self.base.origin())),
            ("pooling", json!(self.base.pooling_used())),
            ("precision", json!(self.base.precision())),
            (
                "trainable_from",
                json!(layers.get(trainable_from).map(|layer| &layer.name)),
            ),
            ("trains_batch_norm", json!(self.trains_batch_norm)),
            ("interpolation", json!(self.interpolation)),
            ("history", json!(history)),
        ] {
            store.metadata.insert(key.to_owned(), value.to_string());
        }
        store
    }

    /// Reads what [`Classifier::save`] or a checkpoint wrote, onto the CPU or a GPU. It computes in the
    /// precision that it was saved with; [`Classifier::set_precision`] changes that.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if the file cannot be read, [`Error::Weights`](crate::Error::Weights) or [`Error::LayerShape`](crate::Error::LayerShape) if it
    /// does not hold a classifier, [`Error::Device`](crate::Error::Device) if the device cannot be used.
    #[doc(alias("load_model", "load_learner", "load_state_dict"))]
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<Self> {
        device::check(device)?;
        let path = path.as_ref();
        let mut store = Store::load(path, WHAT)?;
        let kind = store.metadata.get("kind");
        if kind.is_none_or(|kind| kind != "classifier") {
            return Err(tensors::not_saved_here(path, WHAT));
        }
        let architecture: Architecture = store.read_json("architecture", path, WHAT)?;
        let size: usize = store.read_json("size", path, WHAT)?;
        let origin: Origin = store.read_json("origin", path, WHAT)?;
        let precision: Precision = store.read_json("precision", path, WHAT)?;
        let from: Option<String> = store.read_json("trainable_from", path, WHAT)?;
        let pooling: Option<Pooling> = store.read_optional("pooling", path, WHAT)?.flatten();
        let trains_batch_norm = store.read_optional("trains_batch_norm", path, WHAT)?;
        let trains_batch_norm = trains_batch_norm.unwrap_or(false);
        let history: History = store.read_json("history", path, WHAT)?;
        let interpolation: Interpolation = store.read_json("interpolation", path, WHAT)?;
        if architecture.check_size(size).is_err() {
            return Err(tensors::not_saved_here(path, WHAT));
        }
        let graph = architecture.graph(size, false);
        let mut weights = Vec::new();
        for layer in graph.layers() {
            let (name, parameters) = (&layer.stored_name, &layer.parameters);
            weights.push(LayerWeights::take(
                &mut store, name, parameters, path, WHAT,
            )?);
        }
        let mut base = Base::from_parts(architecture, graph, weights, device, precision, origin)?;
        if let Some(pooling) = pooling {
            base = base.pooled(pooling);
        }
        let trainable_from = match from {
            None => base.layers().len(),
            Some(name) => base
                .graph()
                .number(&name)
                .map_err(|_| tensors::not_saved_here(path, WHAT))?,
        };
        let unfinished = match Checkpoint::take(&mut store, path, WHAT)? {
            None => None,
            Some(run) => Some(Unfinished {
                run,
                trainable_from,
                trains_batch_norm,
                augment: store.read_json("augment", path, WHAT)?,
            }),
        };
        let head = HeadModel::read(&mut store, path, WHAT, device)?;
        if head.input_shape() != base.output_shape() {
            return Err(tensors::not_saved_here(path, WHAT));
        }
        Ok(Self {
            base,
            head,
            trainable_from,
            trains_batch_norm,
            interpolation,
            history,
            unfinished,
        })
    }
}
