//! A head as a learner: alone, or with the layers of a base that learn with it.

use std::path::Path;

use serde_json::{Value, json};
use tch::{Device, TchError, Tensor};

use crate::error::{Error, Result};
use crate::model::classifier::{Classifier, logits_of};
use crate::model::head_model::HeadModel;
use crate::network::parameter::Role;
use crate::network::weights::layer_weights::LayerWeights;
use crate::pictures::augment::Augment;
use crate::pictures::target::Target;
use crate::show::saved::Saved;
use crate::training::checkpoint::Run;
use crate::training::dropout::Dropout;
use crate::training::learner::{Learner, Mode};
use crate::training::variable::{ParameterGroup, Variable};

/// What learns: the head, and the layers of the base that are open.
pub(crate) struct ModelLearner<'a> {
    head: &'a HeadModel,
    opened: Option<Opened<'a>>,
    facts: Value,
    begun: Value,
    pictures_at_once: usize,
}

/// A classifier's base, from the first layer that learns on.
struct Opened<'a> {
    model: &'a Classifier,
    trainable_from: usize,
    masters: Vec<Master>,
    augment: &'a Augment,
}

impl<'a> ModelLearner<'a> {
    /// A head alone, which learns from rows of features; it is measured on so many at once.
    pub(crate) fn of_head(head: &'a HeadModel, facts: Value, pictures_at_once: usize) -> Self {
        Self {
            head,
            opened: None,
            facts,
            begun: json!(null),
            pictures_at_once,
        }
    }

    /// The same for a run that this tells from others.
    pub(crate) fn begun(mut self, begun: &Value) -> Self {
        self.begun = begun.clone();
        self
    }

    /// A classifier whose base learns from layer number `trainable_from` on.
    pub(crate) fn of_classifier(
        model: &'a Classifier,
        trainable_from: usize,
        augment: &'a Augment,
        facts: Value,
    ) -> Result<Self> {
        let base = &model.base;
        let masters = base.weights()[trainable_from..]
            .iter()
            .map(|weights| Master::new(weights, base.device()))
            .collect::<std::result::Result<_, _>>()
            .map_err(Error::compute("copying the layers that learn"))?;
        Ok(Self {
            head: &model.head,
            opened: Some(Opened {
                model,
                trainable_from,
                masters,
                augment,
            }),
            facts,
            begun: json!(null),
            pictures_at_once: base.pictures_at_once(),
        })
    }

    /// The layers of the base that learn, as they are now: f32, as convolutions take them.
    pub(crate) fn trained_layers(&self) -> Result<Vec<LayerWeights>> {
        let masters = self.opened.iter().flat_map(|opened| &opened.masters);
        masters
            .map(Master::weights)
            .collect::<std::result::Result<_, _>>()
            .map_err(Error::compute("reading the layers that learn"))
    }
}

impl Learner for ModelLearner<'_> {
    fn device(&self) -> Device {
        self.head.device()
    }

    fn variables(&self) -> Vec<Variable> {
        let of_base = self.opened.iter().flat_map(Opened::variables);
        of_base.chain(self.head.variables()).collect()
    }

    fn target(&self) -> Target {
        self.head.target()
    }

    fn buffers(&self) -> Vec<Variable> {
        let opened = self.opened.iter();
        let opened = opened.filter(|opened| opened.model.trains_batch_norm);
        opened.flat_map(Opened::moving_averages).collect()
    }

    fn dropout(&self) -> Dropout {
        self.head.dropout()
    }

    fn logits(&self, inputs: &[Tensor], mode: Mode<'_>) -> std::result::Result<Tensor, TchError> {
        let (mask, is_training) = match mode {
            Mode::Training(mask) => (mask, true),
            Mode::Inference => (None, false),
        };
        match (&self.opened, inputs) {
            (None, [rows]) => self.head.logits(rows, mask),
            (Some(opened), inputs) => {
                logits_of(self.head, &opened.forward(inputs, is_training)?, mask)
            }
            _ => Err(TchError::Shape("a head takes one input".into())),
        }
    }

    fn epochs_before(&self) -> usize {
        self.head.epochs()
    }

    fn pictures_at_once(&self) -> usize {
        self.pictures_at_once
    }

    fn facts(&self) -> Value {
        self.facts.clone()
    }

    fn begun(&self) -> &Value {
        &self.begun
    }

    fn checkpoint(&self, path: &Path, run: &Run<'_>) -> Result<Saved> {
        let learned = run.learned();
        let mut store = match &self.opened {
            None => self.head.store(),
            Some(opened) => {
                let Opened {
                    model,
                    trainable_from,
                    ..
                } = opened;
                let mut weights = model.base.weights()[..*trainable_from]
                    .iter()
                    .map(LayerWeights::shared)
                    .collect::<Vec<_>>();
                weights.extend(self.trained_layers()?);
                let mut history = model.history.clone();
                history.extend(&learned);
                let mut store = model.store(&weights, &history, *trainable_from);
                let augment = json!(opened.augment).to_string();
                store.metadata.insert("augment".into(), augment);
                store
            }
        };
        let epochs = json!(self.head.epochs().saturating_add(learned.epochs.len()));
        store.metadata.insert("epochs".into(), epochs.to_string());
        run.write(&mut store);
        store.save(path)
    }
}

impl Opened<'_> {
    fn variables(&self) -> Vec<Variable> {
        self.tensors(Role::learns)
    }

    fn moving_averages(&self) -> Vec<Variable> {
        self.tensors(|role| !role.learns())
    }

    fn tensors(&self, are_meant: impl Fn(Role) -> bool) -> Vec<Variable> {
        let layers = self.model.base.layers().iter().skip(self.trainable_from);
        let mut variables = Vec::new();
        for (layer, Master(weights)) in layers.zip(&self.masters) {
            let meant = weights.iter().filter(|(role, _)| are_meant(*role));
            variables.extend(meant.map(|(role, tensor)| Variable {
                name: format!("{}.{}", layer.stored_name, role.torch()),
                tensor: tensor.shallow_clone(),
                group: ParameterGroup::Base,
            }));
        }
        variables
    }

    /// The layers that learn, on what crosses from the frozen ones.
    fn forward(
        &self,
        crossing: &[Tensor],
        is_training: bool,
    ) -> std::result::Result<Tensor, TchError> {
        let base = &self.model.base;
        let kind = base.precision().kind();
        let by_batch = is_training && self.model.trains_batch_norm;
        let cast = |master: &Master| {
            let weights = master.weights()?.in_kind(kind)?;
            Ok::<_, TchError>(weights.normalising(by_batch))
        };
        let weights = self.masters.iter().map(cast);
        let weights = weights.collect::<std::result::Result<Vec<_>, _>>()?;
        base.outputs_after(crossing, self.trainable_from, Some(&weights))
    }
}

/// The weights of a layer that learns: f32, contiguous, a kernel as [out, 3, 3, in], which seen as
/// [out, in, 3, 3] is libtorch's channels_last.
struct Master(LayerWeights);

impl Master {
    /// A copy on the device.
    fn new(weights: &LayerWeights, device: Device) -> std::result::Result<Self, TchError> {
        let copied = |tensor: &Tensor| {
            let there = match tensor.dim() {
                4 => tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?,
                _ => tensor.shallow_clone(),
            };
            there.f_to_device(device)?.f_detach_copy()
        };
        weights.map(copied).map(Self)
    }

    /// The layer as convolutions take it, in f32: a view.
    fn weights(&self) -> std::result::Result<LayerWeights, TchError> {
        self.0.map(|tensor| match tensor.dim() {
            4 => tensor.f_permute([0, 3, 1, 2]),
            _ => Ok(tensor.shallow_clone()),
        })
    }
}
