//! The Jupyter kernel "Rust (transfer)".
//!
//! Jupyter starts it for each notebook. It stands between Jupyter and evcxr_jupyter (`tools/engine`):
//!
//! ```text
//! Jupyter <-> front <-> engine (evcxr_jupyter) <-> the process that holds the cells' variables
//!               |
//!             seed -> session (a private copy of the ready-built crate)
//! ```
//! - [`front`] answers Jupyter at once, hands cells on when the engine is ready, and says in the
//!   notebook what it is waiting for or why there is no engine.
//! - [`backend`] starts an engine in its session and speaks to it.
//! - [`density`] tells Jupyter how wide a fine picture is.
//! - [`stop`] is how an interrupt ends a cell, and where it can keeps the variables.
//! - [`seed`] keeps the folder up to date in which the crate is built as cells need it.
//! - [`session`] copies that folder for one kernel, and removes the copy at the end; [`spare`] makes
//!   the next one's copy in advance.
//! - [`view`] and [`environment`] are what makes the first cell quick and the versions ours.

#[cfg(not(unix))]
compile_error!("the kernel works on Linux and macOS; on Windows use it inside WSL");

mod backend;
mod density;
mod environment;
mod front;
mod message;
mod place;
mod seed;
mod session;
mod spare;
mod stop;
mod view;

use std::path::Path;
use std::process::ExitCode;

use place::Place;

const USAGE: &str = "\
usage: kernel CONNECTION_FILE   started by Jupyter: serves one notebook
       kernel prepare           builds the crate as cells need it (`cargo lab setup` does this)
       kernel check             whether that is done
       kernel ready | janitor   for the kernel's own use";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["janitor", folder] => {
            session::janitor(Path::new(folder));
            Ok(())
        }
        ["ready"] => Place::find().and_then(|place| session::ready(&place)),
        ["check"] => Place::find().and_then(|place| {
            seed::is_fresh(&place)
                .then_some(())
                .ok_or_else(|| "the crate is not built for notebooks yet".to_owned())
        }),
        ["prepare"] => Place::find().and_then(|place| {
            seed::prepare(&place, &session::say)?;
            spare::make(&place);
            Ok(())
        }),
        [file] if !file.starts_with('-') => {
            Place::find().and_then(|place| front::serve(place, Path::new(file)))
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            session::say(&error);
            ExitCode::FAILURE
        }
    }
}
