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
    let version = programs::answer(Command::new("mpirun").arg("--version"));
    judged(version.as_deref(), missing())
}

/// What is to be said of what `mpirun --version` answers, and of what is missing.
fn judged(version: Option<&str>, missing: Option<&str>) -> Finding {
    const TITLE: &str = "MPI";
    match (version.and_then(name), missing) {
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

/// The answer's first lines down to the one with the number: MPICH writes it below.
fn name(version: &str) -> Option<String> {
    let has_number = |line: &str| line.contains(|c: char| c.is_ascii_digit());
    let last = version.lines().position(has_number)?;
    let words = version
        .lines()
        .take(last + 1)
        .flat_map(str::split_whitespace);
    Some(words.collect::<Vec<_>>().join(" "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_names_the_mpi_that_is_there_and_what_it_lacks() {
        // What Debian's Open MPI answers, and MPICH, as in github.com/horovod/horovod/pull/3984.
        let open =
            "mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n";
        let mpich = "HYDRA build details:\n    Version:                                 4.0.2\n";
        let text = |version, missing| {
            let finding = judged(version, missing);
            finding.text + &finding.remedy.unwrap_or_default()
        };
        assert_eq!(text(Some(open), None), "mpirun (Open MPI) 4.1.4");
        assert_eq!(
            text(Some(mpich), None),
            "HYDRA build details: Version: 4.0.2"
        );
        let lacking = text(Some(open), Some("libclang"));
        assert!(lacking.contains("no libclang") && lacking.contains("libclang-dev"));
        assert!(text(None, Some("mpirun")).contains("none"));
    }
}
