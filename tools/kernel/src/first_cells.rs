//! The cells that the template is made with: run once, so that everything they need is built.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use checkout::place::Place;

use crate::compiler;
use crate::environment;
use crate::view;

/// A first cell as lessons have it, a plain one, and one whose type
/// cannot be inferred, for which evcxr runs `cargo check` over all crates (47 s in a session).
pub const CELLS: [&str; 3] = [
    "use evcxr_transfer::prelude::*;\nlet lab = Lab::open()?;\nlab",
    "let options = lab.fit();",
    "// fails\nlet unknown = Default::default();",
];

/// Runs them in the template with the configuration in `config`; `say` gets the compiler's lines as they
/// come.
///
/// # Errors
///
/// The compiler's messages.
pub fn run(place: &Place, config: &Path, say: &dyn Fn(&str)) -> Result<(), String> {
    let mut child = environment::engine(place, &place.template(), config)
        .arg("prepare")
        .args(CELLS)
        // The cells are run to be compiled: no download, no search for a GPU's driver in vain.
        .env("EVCXR_TRANSFER_OFFLINE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            format!(
                "cannot start {}: {error}",
                place.program("engine").display()
            )
        })?;
    let mut text = String::new();
    for line in child
        .stderr
        .take()
        .into_iter()
        .flat_map(|stderr| BufReader::new(stderr).lines())
        .map_while(Result::ok)
    {
        if compiler::is_progress(&line) {
            say(&line);
        } else {
            let _ = writeln!(text, "{line}");
        }
    }
    let status = child
        .wait()
        .map_err(|error| format!("the build did not end: {error}"))?;
    if status.success() {
        return Ok(());
    }
    // evcxr passes on messages about the cell, not about a crate behind it: cargo tells those again.
    let compiler = compiler_says(place).unwrap_or_default();
    // The reader knows the repository's files, not the package of links that cells see.
    let links = format!("{}/", view::package(place).display());
    let text = format!("{compiler}\n{text}").replace(&links, "");
    Err(compiler::explain(text.trim()))
}

/// What cargo says about the crates behind the cells, with file and line, or nothing.
fn compiler_says(place: &Place) -> Option<String> {
    let template = place.template();
    // evcxr builds for a named target, whose folder is the one with a hyphen.
    let target = fs::read_dir(template.join("target"))
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| name.contains('-'))?;
    let output = environment::build(place, &template, &target)
        .output()
        .ok()?;
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}
