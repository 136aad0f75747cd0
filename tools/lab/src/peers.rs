//! The Python environment `.lab/bench-venv`, in which Keras runs on TensorFlow for `cargo lab bench` alone.

use std::path::PathBuf;

use checkout::place::Place;
use checkout::say;
use checkout::stamp::Stamp;

use crate::lock;
use crate::pip;
use crate::python::{self, Interpreter};
use crate::trouble::{Result, Trouble};
use crate::venv;

const LIST: &str = "benches/requirements.txt";

/// The environment's folder.
pub fn environment(place: &Place) -> PathBuf {
    place.lab().join("bench-venv")
}

/// Makes the environment where it is not there as `benches/requirements.txt` wants it.
pub fn set_up(place: &Place) -> Result<()> {
    let folder = environment(place);
    let list = place.root.join(LIST);
    let text =
        std::fs::read_to_string(&list).map_err(|error| Trouble::file("read", &list, &error))?;
    let stamp = Stamp::new(place.lab().join("bench.stamp"));
    let failed =
        |action| move |error| Trouble::file(action, &place.lab().join("bench.stamp"), &error);
    let present = Interpreter::ask(&folder.join("bin/python"));
    let wanted = |python: &Interpreter| format!("Python {}\n{text}", python.version);
    if present
        .as_ref()
        .is_some_and(|python| stamp.is(&wanted(python)))
    {
        return Ok(());
    }
    say::line("packages of the peers (benches/requirements.txt) ...");
    let lock = lock::take(place)?;
    stamp.remove().map_err(failed("remove"))?;
    let python = match present {
        Some(python) => python,
        None => {
            let base = python::find()?;
            venv::create(&folder, &base, &lock, &[])?;
            base
        }
    };
    pip::renew(place, &folder, &lock)?;
    pip::install(place, &folder, &lock, &["-r", LIST])?;
    stamp.write(&wanted(&python)).map_err(failed("write"))
}
