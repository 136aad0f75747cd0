//! The process that compiles and runs cells, with evcxr.
//!
//! Started in these ways:
//! ```text
//! engine                       a session: requests on stdin, events on stdout (the program `kernel` starts it)
//! engine prepare CELL...       runs cells once, so that everything they need is built in EVCXR_TMPDIR
//! engine                       the cells' output on its way to evcxr (marked by a variable)
//! engine                       behind it, the process that holds the cells' variables (marked by two)
//! engine RUSTC ...             evcxr's wrapper around rustc (marked by a variable)
//! ```
//! - [`serve`] takes requests; [`runner`] runs a cell, [`help`] completes and explains.
//! - [`outputs`] hands on what cells print. Between the variables' process and evcxr stands [`pump`], which
//!   brings stdout, stderr and rich results into one order, from [`lines`]; [`wire`] is how it marks what is no plain line,
//!   and [`guard`] how it knows where a cell ends, and gives cells a stdin of their own.
//! - [`failure`] is what Jupyter is told of an error, [`gone`] knows which variables are no more, and [`aliases`] what
//!   the names of other libraries are called in the crate, whose [`source`] is read for that.
//! - [`prepare`] makes the folder that each session copies.

mod aliases;
mod failure;
mod gone;
mod guard;
mod help;
mod lines;
mod outputs;
mod prepare;
mod pump;
mod runner;
mod serve;
mod source;
mod wire;

use std::process::ExitCode;

/// Set by evcxr for its child, which is to hold the variables.
const IS_RUNTIME: &str = "EVCXR_IS_RUNTIME";

fn main() -> ExitCode {
    if std::env::var_os(IS_RUNTIME).is_some() && std::env::var_os(pump::INNER).is_none() {
        return pump::run();
    }
    if std::env::var_os(pump::INNER).is_some()
        && let Err(error) = guard::open_stdin()
    {
        eprintln!("the cells' stdin cannot be opened: {error}");
        return ExitCode::FAILURE;
    }
    // Returns only where this process is neither the one with the variables nor a rustc.
    evcxr::runtime_hook();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, cells)) if command == "prepare" => prepare::run(cells),
        None => serve::run(),
        _ => Err("usage: engine [prepare CELL...]".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
