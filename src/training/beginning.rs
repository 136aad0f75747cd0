//! What tells a run from others: what all its processes must begin with alike, and what a call must that goes on with
//! the run of an earlier one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::training::fit::Fit;

/// Of this crate.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

const VERSION_NAME: &str = "version of evcxr_transfer";

const LENGTH: &str = "epochs";

/// The weights of the head, which learn in every run.
pub(crate) const HEAD: &str = "weights of the head";

/// The base with its weights.
pub(crate) const BASE: &str = "base";

/// The count of epochs that were learned before.
pub(crate) const EPOCHS: &str = "epochs that the model has learned";

/// What changes while the run goes on.
pub(crate) const OF_MODEL: [&str; 3] = [HEAD, BASE, EPOCHS];

/// What of it stays in a checkpoint: the length of a run may grow, and a later version may go on with it.
pub(crate) fn lasting(told: &BTreeMap<String, Value>) -> Value {
    let lasting = told
        .iter()
        .filter(|(name, _)| ![VERSION_NAME, LENGTH].contains(&name.as_str()));
    Value::Object(
        lasting
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// The options and facts of a run by their names, and whatever else (`more`) its numbers follow from.
pub(crate) fn beginning(
    fit: &Fit,
    facts: &Value,
    more: &[(&str, Value)],
) -> BTreeMap<String, Value> {
    let own = json!({
        VERSION_NAME: VERSION,
        LENGTH: fit.epochs,
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
