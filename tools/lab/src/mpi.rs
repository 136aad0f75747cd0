//! MPI, by which programs of the crate's feature `mpi` work on several machines; nothing else needs it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use checkout::place::Place;

use crate::compiler::{self, on_path};
use crate::finding::Finding;
use crate::programs;
use crate::python::Interpreter;

/// What brings all of it.
pub const INSTALL: &str =
    "Debian, Ubuntu: `sudo apt install libopenmpi-dev openmpi-bin libclang-dev`";

/// What is missing of all that builds programs with it and starts them.
pub fn missing() -> Option<&'static str> {
    let is_missing = |program: &&str| on_path(program).is_none();
    let program = ["mpirun", "mpicc"].into_iter().find(is_missing);
    program.or((!has_libclang()).then_some("libclang"))
}

/// The variables by which tests find an MPI: none where the machine has one, else those of the one that the tests' packages
/// bring into `.venv`; or what is missing.
pub fn for_tests(place: &Place) -> Result<Vec<(&'static str, OsString)>, &'static str> {
    let Some(missing) = missing() else {
        return Ok(Vec::new());
    };
    brought(place).ok_or(missing)
}

/// The MPI in `.venv`, and libclang, which comes without the compiler's own headers: the C++ compiler has them, too.
fn brought(place: &Place) -> Option<Vec<(&'static str, OsString)>> {
    let programs = place.venv().join("bin");
    let libclang = Interpreter::ask(&place.python())?
        .packages
        .join("clang/native");
    let is_complete = programs.join("mpicc").is_file()
        && programs.join("mpirun").is_file()
        && holds_libclang(&libclang);
    if !is_complete {
        return None;
    }
    let headers =
        programs::answer(Command::new(compiler::find().ok()?).arg("-print-file-name=include"))?;
    // Programs that are built with it find it nowhere else.
    let libraries = place.venv().join("lib");
    let before = |name| std::env::var_os(name).unwrap_or_default();
    let joined = |folder: PathBuf, name| {
        let others = std::env::split_paths(&before(name))
            .filter(|folder| !folder.as_os_str().is_empty())
            .collect::<Vec<_>>();
        std::env::join_paths(std::iter::once(folder).chain(others)).ok()
    };
    Some(vec![
        ("PATH", joined(programs, "PATH")?),
        ("LD_LIBRARY_PATH", joined(libraries, "LD_LIBRARY_PATH")?),
        ("LIBCLANG_PATH", libclang.into()),
        (
            "BINDGEN_EXTRA_CLANG_ARGS",
            format!("-I{}", headers.trim()).into(),
        ),
    ])
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
    // Debian has a folder for each version of LLVM.
    let versions = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut versions = versions.map(|entry| entry.path().join("lib"));
    std::env::var_os("LIBCLANG_PATH").is_some()
        || holds_libclang(Path::new("/usr/lib64"))
        || versions
            .any(|folder| folder.to_string_lossy().contains("llvm") && holds_libclang(&folder))
}

fn holds_libclang(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names.map(|entry| entry.file_name()).any(|name| {
        name.to_string_lossy().starts_with("libclang") && name.to_string_lossy().contains(".so")
    })
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
