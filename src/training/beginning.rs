//! What all processes of a run must begin with alike, told to each other before the first picture is read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::training::fit::Fit;

/// Of this crate.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The options and facts of a run by their names, and whatever else (`more`) its numbers follow from.
pub(crate) fn beginning(
    fit: &Fit,
    facts: &Value,
    more: &[(&str, Value)],
) -> BTreeMap<String, Value> {
    let own = json!({
        "version of evcxr_transfer": VERSION,
        "epochs": fit.epochs,
    });
    let shaping = fit.shaping();
    let named = [&shaping, facts, &own]
        .into_iter()
        .filter_map(Value::as_object);
    let named = named
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()));
    let more = more
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    // Later ones stand: the length of the run matters to every schedule here.
    named.chain(more).collect()
}
