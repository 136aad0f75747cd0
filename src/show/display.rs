//! [`display`]: a result shown at once, between two printed lines; and what every result that shows itself
//! under a cell has in common.
//!
//! ```
//! use evcxr_transfer::{Data, display};
//!
//! let data = Data::open("data/samples")?;
//! display(&data.train.show(4)?);
//! println!("and after it, the validation pictures:");
//! display(&data.validation.show(4)?);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use crate::machine::environment;
use crate::show::display_id::DisplayId;
use crate::show::notebook::{Bundle, Out};

/// What shows itself under a notebook cell: everything that has an `evcxr_display`. Made by [`displayed`].
pub trait Displayable {
    /// What is shown.
    fn bundle(&self) -> Bundle;

    /// The display that it belongs in, if it has one already.
    fn display_id(&self) -> Option<DisplayId> {
        None
    }
}

/// Shows a result at once, where the cell's output has come to; IPython's `display`.
///
/// It takes everything that a cell can end with: figures, tables, histories, photos, data, models. Several in
/// one cell stand one below the other, in their order, in the kernel "Rust (transfer)". A stock evcxr kernel knows only
/// one result a cell: it shows the last one, at the cell's end. A history's curves stand under its own training
/// already: in the same cell they are shown in that place.
#[doc(alias = "show")]
pub fn display(value: &(impl Displayable + ?Sized)) {
    let is_live = environment::is_live();
    let id = value.display_id();
    let id = id.or_else(|| is_live.then(DisplayId::new));
    show(value, id, &Out::Stdout);
}

/// What `evcxr_display` does, which evcxr calls for a cell's last value.
pub(crate) fn show_result(value: &impl Displayable) {
    show(value, value.display_id(), &Out::Stdout);
}

fn show(value: &(impl Displayable + ?Sized), id: Option<DisplayId>, out: &Out) {
    match id {
        Some(id) => out.display(&id, &value.bundle()),
        None => out.result(&value.bundle()),
    }
}

/// Says what a type shows of itself: it becomes [`Displayable`] and gets the method that evcxr looks for. That
/// one may not be the trait's, since cells do not import the trait.
macro_rules! displayed {
    ($type:ty, $doc:literal, |$value:ident| $bundle:expr) => {
        impl crate::show::display::Displayable for $type {
            fn bundle(&self) -> crate::show::notebook::Bundle {
                let $value = self;
                $bundle
            }
        }

        impl $type {
            #[doc = $doc]
            pub fn evcxr_display(&self) {
                crate::show::display::show_result(self);
            }
        }
    };
}

pub(crate) use displayed;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::place::tests::displays;
    use crate::show::progress::Progress;
    use crate::show::table::Table;

    #[test]
    fn a_result_is_a_block_or_stands_in_its_display() {
        let table = Table::new("a", &["b"]);
        let progress = Progress::live().in_memory();
        let id = DisplayId::new();
        for id in [None, Some(id.clone()), Some(id.clone())] {
            show(&table, id, &progress.out);
        }
        assert!(progress.kept()[0].starts_with("EVCXR_BEGIN_CONTENT text/plain"));
        let shown = displays(&progress);
        assert_eq!(shown.len(), 2);
        for shown in shown {
            assert_eq!(shown.id, id.as_str());
            assert_eq!(shown.data["text/html"], table.to_html());
        }
    }
}
