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
/// one result a cell: of several figures it shows the last one, at the cell's end. A history's curves stand under its own training
/// already: in the same cell they are shown in that place.
#[doc(alias = "show")]
pub fn display(value: &(impl Displayable + ?Sized)) {
    let is_live = environment::is_live();
    let id = value.display_id();
    let id = id.or_else(|| is_live.then(DisplayId::new));
    show(value, id);
}

/// What `evcxr_display` does, which evcxr calls for a cell's last value.
pub(crate) fn show_result(value: &impl Displayable) {
    show(value, value.display_id());
}

fn show(value: &(impl Displayable + ?Sized), id: Option<DisplayId>) {
    match id {
        Some(id) => Out::Stdout.display(&id, &value.bundle()),
        None => Out::Stdout.result(&value.bundle()),
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
