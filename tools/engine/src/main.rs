//! The process that compiles and runs cells: evcxr_jupyter, unchanged, in a small program of ours.
//!
//! Started in four ways:
//! ```text
//! engine --control_file FILE   a session: evcxr_jupyter's kernel (the program `kernel` starts it)
//! engine prepare CELL...       runs cells once, so that everything they need is built in EVCXR_TMPDIR
//! engine                       evcxr's child that holds the cells' variables (marked by a variable)
//! engine RUSTC ...             evcxr's wrapper around rustc (marked by a variable)
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    // Returns only where this process is neither evcxr's child nor its rustc.
    evcxr::runtime_hook();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, cells)) if command == "prepare" => prepare(cells),
        _ => evcxr_jupyter::main().map_err(|error| format!("{error:#}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Loads the configuration as a session does, then runs `cells` in order.
///
/// A cell that starts with `// fails` may fail: evcxr checks such a cell with `cargo check`, whose
/// results are wanted too.
fn prepare(cells: &[String]) -> Result<(), String> {
    let (mut context, outputs) = evcxr::CommandContext::new().map_err(|error| error.to_string())?;
    // A cell ends only when somebody has read what it printed.
    let stdout = std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
    let stderr =
        std::thread::spawn(move || outputs.stderr.iter().for_each(|line| eprintln!("{line}")));
    let outcome = std::iter::once(":load_config --quiet")
        .chain(cells.iter().map(String::as_str))
        .try_for_each(|cell| match context.execute(cell) {
            Err(_) if cell.starts_with("// fails") => Ok(()),
            Err(error) => Err(describe(&error)),
            Ok(_) => Ok(()),
        });
    drop(context);
    let _ = (stdout.join(), stderr.join());
    outcome
}

/// The compiler's own text, where there is one.
fn describe(error: &evcxr::Error) -> String {
    match error {
        evcxr::Error::CompilationErrors(errors) => errors
            .iter()
            .map(|error| error.rendered())
            .collect::<Vec<_>>()
            .join("\n"),
        other => other.to_string(),
    }
}
