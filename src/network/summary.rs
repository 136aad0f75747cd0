//! A network's summary table.

use crate::network::base::Base;
use crate::network::layer::{Layer, shape_with_batch};
use crate::show::display::displayed;
use crate::show::table::{Table, grouped};

impl Base {
    /// The summary table, as Keras' `model.summary()` has it: where the network is not a chain with the layers
    /// that each takes from.
    pub fn summary(&self) -> Table {
        let columns = ["Layer (type)", "Output Shape", "Param #", "Connected to"];
        let is_chain = self.graph().is_chain();
        let columns = if is_chain { &columns[..3] } else { &columns };
        let title = format!("Model: \"{}\"", self.architecture());
        let mut table = Table::new(&title, columns).right_aligned(&[2]);
        for layer in self.layers() {
            let mut row = vec![
                format!("{} ({})", layer.name, layer.kind),
                shape_with_batch(&layer.output_shape),
                grouped(layer.num_parameters()),
            ];
            if !is_chain {
                row.push(self.connected_to(layer));
            }
            table.push(row);
        }
        let origin = self.origin();
        table = table.note(&format!("Total params: {}", grouped(self.num_parameters())));
        let fixed = self.layers().iter().map(Layer::num_fixed_parameters).sum();
        if fixed > 0 {
            table = table.note(&format!(
                "Of these {} are the means and variances of batch normalisation, which have no gradient: they stay, \
                 whatever else learns, unless a classifier says `train_batch_norm(true)`",
                grouped(fixed)
            ));
        }
        table = table
            .note(&format!("Weights: {}", origin.weights))
            .note(&origin.to_string())
            .note(&format!(
                "Computes on {}, in {}",
                crate::machine::device::name(self.device()),
                self.precision()
            ));
        let notes = origin.notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// The names of the layers that a layer takes from; `-` for the input.
    fn connected_to(&self, layer: &Layer) -> String {
        let names = layer.inputs.iter();
        let names = names.filter_map(|&input| Some(self.layers().get(input)?.name.as_str()));
        match names.collect::<Vec<_>>().join(", ") {
            names if names.is_empty() => "-".into(),
            names => names,
        }
    }
}

displayed!(Base, "Shows the summary under a notebook cell.", |base| {
    base.summary().bundle()
});
