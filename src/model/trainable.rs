//! What of a classifier learns: its head always, its base from some layer on.

use crate::error::Result;
use crate::model::classifier::Classifier;
use crate::network::layer::Layer;
use crate::network::operation::LayerKind;
use crate::show::table::Table;

impl Classifier {
    /// How many of them learn: 2,097,665 with the base frozen, 9,177,089 with block 5 open. The means and
    /// variances of batch normalisation are none of them, as in Keras: they never have a gradient (see
    /// [`Classifier::train_batch_norm`]).
    pub fn num_trainable_parameters(&self) -> usize {
        let open = self.base.layers().iter().skip(self.trainable_from);
        open.map(|layer| layer.num_trainable_parameters())
            .sum::<usize>()
            + self.head.num_parameters()
    }

    /// The names of the weight tensors that learn, `block5_conv1 kernel` and so on; Keras' `trainable_weights`.
    pub fn trainable_weights(&self) -> Vec<String> {
        let open = self.base.layers().iter().skip(self.trainable_from);
        let of_base = open.flat_map(|layer| {
            let learning = layer.parameters.iter().filter(|own| own.role.learns());
            learning.map(|own| format!("{} {}", layer.name, own.role))
        });
        let of_head = ["dense", "dense_1"].into_iter();
        let of_head = of_head.flat_map(|name| [format!("{name} kernel"), format!("{name} bias")]);
        of_base.chain(of_head).collect()
    }

    /// Freezes the whole base: only the head learns. Shows what is trainable now.
    #[doc(alias = "freeze")]
    pub fn freeze_base(&mut self) -> Table {
        self.trainable_from = self.base.layers().len();
        self.trainable()
    }

    /// Opens the base from a layer on: everything before it is frozen, the rest learns, and the head
    /// with it. Shows what is trainable now.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`](crate::Error::UnknownLayer) lists the layers.
    #[doc(alias("trainable", "requires_grad", "unfreeze"))]
    pub fn unfreeze_from(&mut self, layer: &str) -> Result<Table> {
        self.trainable_from = self.base.graph().number(layer)?;
        Ok(self.trainable())
    }

    /// Whether batch normalisation runs in training mode while open layers learn. By default it does not, as in
    /// Keras' guide to transfer learning: it keeps the means and variances that it was pretrained with, and only its
    /// gamma and beta learn.
    ///
    /// In training mode each open normalisation takes the mean and variance of the batch at hand, and its moving
    /// averages follow them: 0.99 of the old and 0.01 of the new at each step (Keras' `momentum`). Frozen layers,
    /// evaluations and predictions use the averages always. What to know before you choose it:
    ///
    /// - It pays where your pictures are unlike ImageNet's, there are thousands of them, and batches are large, 32
    ///   or more: a mean over few pictures is noise. (Of a 1 x 1 output it is the mean over the batch alone.)
    /// - The averages need some hundred steps to arrive: after `n` they have gone 1 - 0.99^n of the way, a fifth
    ///   after 20. Until then validation, which uses them, looks worse than training.
    /// - Take a small learning rate, and train the head first, with the base frozen.
    ///
    /// The choice is saved with the model, and a checkpoint goes on with that of its run. Networks without batch
    /// normalisation, such as VGG16, learn the same either way. Shows what is trainable now.
    ///
    /// Keras: `base.trainable = True` and `base(x, training=True)`; without it `base(x, training=False)`.
    ///
    /// ```
    /// use evcxr_transfer::{Architecture, Base, Classifier, Device, Head, Precision, Weights};
    /// let weights = Weights::seeded(0);
    /// let base = Base::resnet50(32, &weights, Device::Cpu, Precision::F32)?;
    /// let mut model = Classifier::new(&base, Head::dense(8), &["cats", "dogs"])?;
    /// model.unfreeze_from("conv5_block3_1_conv")?;
    /// model.train_batch_norm(true); // model.fit(..) moves the averages of conv5_block3 from now on
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    #[doc(alias("train_bn", "training", "BatchNormalization", "momentum"))]
    pub fn train_batch_norm(&mut self, trains: bool) -> Table {
        self.trains_batch_norm = trains;
        self.trainable()
    }

    /// All layers, of base and head, in Keras' order and with Keras' names: index in the base, type, output shape,
    /// number of parameters, and whether it learns.
    ///
    /// Keras: `[layer.trainable for layer in model.layers]`, with those of the base in the place of it.
    ///
    /// ```
    /// use evcxr_transfer::{Base, Classifier, Device, Head, Precision, Weights};
    /// let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
    /// let mut model = Classifier::new(&base, Head::dense(16), &["cats", "dogs"])?;
    /// model.unfreeze_from("block5_conv1")?;
    /// let layers = model.layers();
    /// assert_eq!(layers.num_rows(), 22);
    /// assert!(layers.to_csv().contains("15,block5_conv1,Conv2D,\"(None, 2, 2, 512)\",\"2,359,808\",true"));
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    pub fn layers(&self) -> Table {
        let learns = |number| [self.answer(number)];
        let mut table = self.base.layers().table_with(&["Trainable"], learns);
        for (name, kind, shape, parameters) in self.layers_after_the_base() {
            table.push([String::new(), name, kind, shape, parameters, "true".into()]);
        }
        table
    }

    /// Name, type, output shape and parameters of what comes after the base.
    fn layers_after_the_base(&self) -> Vec<(String, String, String, String)> {
        let rows = self.rows_after_the_base().into_iter();
        let parted = rows.map(|[layer, shape, parameters]| {
            let (name, kind) = layer.split_once(" (").unwrap_or((&layer, ""));
            let kind = kind.trim_end_matches(')').to_owned();
            (name.to_owned(), kind, shape, parameters)
        });
        parted.collect()
    }

    /// Whether a layer of the base learns.
    fn answer(&self, number: usize) -> &'static str {
        match number >= self.trainable_from {
            true => "true",
            false => "false",
        }
    }

    /// Each layer of the base, and whether it learns: 19 rows for VGG16. [`Classifier::layers`] tells more.
    pub fn trainable(&self) -> Table {
        let mut table = Table::new("Trainable layers", &["layer", "trainable"]);
        for (number, layer) in self.base.layers().iter().enumerate() {
            table.push([layer.name.as_str(), self.answer(number)]);
        }
        let normalises = |layer: &Layer| layer.kind == LayerKind::BatchNormalization;
        let mode = match (
            self.base.layers().iter().any(normalises),
            self.trains_batch_norm,
        ) {
            (false, _) => None,
            (true, false) => Some("inference mode: it keeps its means and variances"),
            (true, true) => Some("training mode: its means and variances follow the batches"),
        };
        if let Some(mode) = mode {
            table = table.note(&format!(
                "Batch normalisation in layers that learn runs in {mode}"
            ));
        }
        table.note("The head learns always")
    }
}
