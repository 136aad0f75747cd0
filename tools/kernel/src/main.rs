//! The Jupyter kernel "Rust (transfer)".
//!
//! Jupyter starts it for each notebook. It stands between Jupyter and the engine (`tools/engine`), which
//! compiles and runs cells with evcxr:
//!
//! ```text
//! Jupyter <-> jupyter <-> front <-> backend <-> keep <-> engine (evcxr) <-> the process with the variables
//!                           |
//!                         start -> template -> keep -> session (a private copy of the ready-built crate)
//! ```
//! - [`front`] answers Jupyter at once, gives the engine one cell after the other, and says in the
//!   notebook what it is waiting for or why there is no engine. What happens around it are [`event`]s, and
//!   [`cells`] those that wait or run; [`history`] is what was run, [`completeness`] whether typed code is
//!   whole.
//! - [`jupyter`] has Jupyter's sockets, which the [`connection`] file names, [`publisher`] those who read
//!   iopub (over [`zmtp`]), [`outbox`] what is to go out over any other; [`message`] is what travels there.
//! - [`start`] finds an engine, which its keeper ([`keep`]) has started as an [`engine`] in a session, perhaps in
//!   advance;
//!   [`backend`] speaks to it. [`surroundings`] is where cells run.
//! - [`density`] tells Jupyter how wide a fine picture is.
//! - [`stop`] is how an interrupt ends a cell, and where it can keeps the variables.
//! - [`template`] keeps the folder up to date in which the crate is built as cells need it, by running the
//!   [`first_cells`] there; [`compiler`] is what the reader learns of the compiler's text.
//! - [`session`] copies that folder for one kernel, into the folder of all [`sessions`]; [`spare`] makes
//!   the next one's copy in advance, and the [`janitor`] removes what is left at the end.
//! - [`view`], [`rust_src`] and [`environment`] are what makes the first cell quick and the versions ours. What makes all
//!   of them quick are the [`stand_ins`] for [`cargo`] and the [`linker`], by which evcxr builds a cell.

#[cfg(not(unix))]
compile_error!("the kernel works on Linux and macOS; on Windows use it inside WSL");

mod backend;
mod cargo;
mod cells;
mod compiler;
mod completeness;
mod connection;
mod density;
mod engine;
mod environment;
mod event;
mod first_cells;
mod front;
mod history;
mod janitor;
mod jupyter;
mod keep;
mod linker;
mod message;
mod outbox;
mod publisher;
mod rust_src;
mod session;
mod sessions;
mod spare;
mod stand_ins;
mod start;
mod stop;
mod surroundings;
mod template;
mod view;
mod zmtp;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use checkout::place::Place;
use checkout::say;

use crate::stand_ins::StandIn;

const USAGE: &str = "\
usage: kernel CONNECTION_FILE   started by Jupyter: serves one notebook
       kernel prepare           builds the crate as cells need it (`cargo lab setup` does this)
       kernel check             whether that is done
       kernel running           names the notebooks whose kernels run
       kernel warm              has an engine started that waits for the next notebook
       kernel ready | keep      for the kernel's own use";

fn main() -> ExitCode {
    if let Some((stand_in, arguments)) = stand_ins::called() {
        return stand_in_for(stand_in, &arguments);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["keep", folder] => place().and_then(|place| keep::run(&place, Path::new(folder), false)),
        ["keep", folder, "spare"] => {
            place().and_then(|place| keep::run(&place, Path::new(folder), true))
        }
        ["warm"] => place().map(|place| keep::start_spare(&place)),
        ["running"] => place()
            .and_then(|place| sessions::running(&place))
            .map(|notebooks| notebooks.iter().for_each(say::line)),
        ["ready"] => place().and_then(|place| session::ready(&place)),
        ["check"] => place().and_then(|place| {
            template::is_fresh(&place)
                .then_some(())
                .ok_or_else(|| "the crate is not built for notebooks yet".to_owned())
        }),
        ["prepare"] => place().and_then(|place| {
            template::prepare(&place, &|line| say::error(line))?;
            spare::make(&place);
            Ok(())
        }),
        [file] if !file.starts_with('-') => {
            place().and_then(|place| front::serve(place, Path::new(file)))
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Does what evcxr, cargo or rustc asks of the program that this one stands in for.
fn stand_in_for(stand_in: StandIn, arguments: &[OsString]) -> ExitCode {
    let outcome = match stand_in {
        StandIn::Linker => Ok(linker::run(arguments)),
        StandIn::Cargo => place().map(|place| cargo::run(&place, arguments)),
        StandIn::Rustc => place().map(|place| cargo::rustc(&place, arguments)),
        StandIn::Rustup => place().map(|place| stand_ins::rustup(&place, arguments)),
    };
    outcome.unwrap_or_else(|error| {
        say::error(&error);
        ExitCode::FAILURE
    })
}

/// The repository that this program was installed into, as `.lab/bin/kernel`.
fn place() -> Result<Place, String> {
    let program = std::env::current_exe()
        .and_then(|program| program.canonicalize())
        .map_err(|error| format!("cannot find the kernel's own program: {error}"))?;
    let root = program.ancestors().nth(3).filter(|root| {
        program.starts_with(root.join(".lab/bin")) && root.join("Cargo.toml").is_file()
    });
    root.map(|root| Place {
        root: root.to_owned(),
    })
    .ok_or_else(|| {
        format!(
            "{} is not inside a repository's .lab/bin; run `cargo lab setup`",
            program.display()
        )
    })
}
