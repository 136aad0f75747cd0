//! The layers of a network as a list that shows itself under a cell.
//!
//! ```
//! use evcxr_transfer::{Base, Device, Precision, Weights};
//! let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let layers = base.layers();
//! assert_eq!((layers.len(), layers[1].name.as_str()), (19, "block1_conv1"));
//! assert!(layers.table().to_string().contains("block1_conv1"));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::ops::Deref;

use crate::network::layer::{Layer, shape_with_batch};
use crate::show::display::displayed;
use crate::show::table::{Table, grouped};

/// All layers of a network, in Keras' order: a slice of [`Layer`] that a cell shows as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers(pub(super) Vec<Layer>);

impl Layers {
    /// Index, name, type, output shape and number of parameters, a layer a row.
    pub fn table(&self) -> Table {
        self.table_with(&[], |_| [])
            .note("Which of them learn is a classifier's choice: `model.layers()`")
    }

    /// The same with more columns, whose cells `more` gives for the layer of a number.
    pub(crate) fn table_with<const N: usize>(
        &self,
        columns: &[&str; N],
        more: impl Fn(usize) -> [&'static str; N],
    ) -> Table {
        let own = ["Index", "Layer", "Type", "Output Shape", "Param #"];
        let columns = [&own[..], columns].concat();
        let mut table = Table::new("Layers", &columns).right_aligned(&[0, 4]);
        for (number, layer) in self.iter().enumerate() {
            let cells = [
                number.to_string(),
                layer.name.clone(),
                layer.kind.to_string(),
                shape_with_batch(&layer.output_shape),
                grouped(layer.num_parameters()),
            ];
            table.push(cells.into_iter().chain(more(number).map(str::to_owned)));
        }
        table
    }
}

impl Deref for Layers {
    type Target = [Layer];

    fn deref(&self) -> &[Layer] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Layers {
    type Item = &'a Layer;
    type IntoIter = std::slice::Iter<'a, Layer>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

displayed!(Layers, "Shows the table under a notebook cell.", |layers| {
    layers.table().bundle()
});
