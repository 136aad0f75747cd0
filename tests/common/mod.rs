//! Runs the reference programs (Keras, PyTorch, Pillow) that tests compare with.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `tests/references/SCRIPT` with the project's Python and returns what it prints.
///
/// A missing reference fails the test: none passes by not running.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn python(script: &str, arguments: &[&Path]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let interpreter = root.join(".venv/bin/python");
    let output = Command::new(&interpreter)
        .arg(root.join("tests/references").join(script))
        .args(arguments)
        // Deterministic and quiet: one thread, no compiled files in the tree, PyTorch below Keras.
        .envs([("KERAS_BACKEND", "torch"), ("PYTHONDONTWRITEBYTECODE", "1")])
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "{} does not start ({error}); `cargo lab test` installs the references",
                interpreter.display()
            )
        });
    assert!(
        output.status.success(),
        "{script} failed; `cargo lab test` installs what it needs\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("the references print UTF-8")
}

/// A file of the repository.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A data folder for runs without a network: it has the committed samples, 60 + 30 pictures. Without it the
/// lab would take the 400 + 200 that `cargo lab setup` draws, which take long and are not on every machine.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn samples_alone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink(repository("data/samples"), folder.path().join("samples"))
        .expect("a link to the samples");
    folder
}
