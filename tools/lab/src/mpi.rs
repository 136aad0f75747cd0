//! MPI, by which programs of the crate's feature `mpi` work on several machines; nothing else needs it.

use std::path::Path;
use std::process::Command;

use crate::compiler::on_path;
use crate::finding::Finding;
use crate::programs;

/// What brings all of it.
pub const INSTALL: &str =
    "Debian, Ubuntu: `sudo apt install libopenmpi-dev openmpi-bin libclang-dev`";

/// What is missing of all that builds programs with it and starts them.
pub fn missing() -> Option<&'static str> {
    let is_missing = |program: &&str| on_path(program).is_none();
    let program = ["mpirun", "mpicc"].into_iter().find(is_missing);
    program.or((!has_libclang()).then_some("libclang"))
}

/// Looks for it and says which it is.
pub fn finding() -> Finding {
    const TITLE: &str = "MPI";
    let version = programs::answer(Command::new("mpirun").arg("--version"));
    let version = version.as_deref().and_then(|text| text.lines().next());
    match (version, missing()) {
        (None, _) => Finding::ok(
            TITLE,
            "none: only training on more than one machine or GPU needs it",
        ),
        (Some(version), None) => Finding::ok(TITLE, version),
        (Some(version), Some(missing)) => Finding::warning(
            TITLE,
            format!("{version}, and no {missing}, without which no program is built with it"),
            INSTALL,
        ),
    }
}

/// Whether there is the library that reads MPI's headers, where it usually lies.
fn has_libclang() -> bool {
    let holds = |folder: &Path| {
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
        names.map(|entry| entry.file_name()).any(|name| {
            name.to_string_lossy().starts_with("libclang") && name.to_string_lossy().contains(".so")
        })
    };
    // Debian has a folder for each version of LLVM.
    let versions = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut versions = versions.map(|entry| entry.path().join("lib"));
    std::env::var_os("LIBCLANG_PATH").is_some()
        || holds(Path::new("/usr/lib64"))
        || versions.any(|folder| folder.to_string_lossy().contains("llvm") && holds(&folder))
}
