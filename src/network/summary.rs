//! A network's summary table.

use crate::network::base::Base;
use crate::network::layer::shape_with_batch;
use crate::show::display::displayed;
use crate::show::table::{Table, grouped};

impl Base {
    /// The summary table, as Keras' `model.summary()` has it.
    pub fn summary(&self) -> Table {
        let columns = ["Layer (type)", "Output Shape", "Param #"];
        let title = format!("Model: \"{}\"", self.architecture());
        let mut table = Table::new(&title, &columns).right_aligned(&[2]);
        for layer in self.layers() {
            table.push([
                format!("{} ({})", layer.name, layer.kind),
                shape_with_batch(&layer.output_shape),
                grouped(layer.num_parameters()),
            ]);
        }
        let origin = self.origin();
        table = table
            .note(&format!("Total params: {}", grouped(self.num_parameters())))
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
}

displayed!(Base, "Shows the summary under a notebook cell.", |base| {
    base.summary().bundle()
});
