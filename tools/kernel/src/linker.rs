//! The linker of cells: a cell's own few objects, against everything else as one shared library.
//!
//! A cell stands on the crate and a hundred others. Linking their archives, and libtorch with its 200,000 names,
//! took a third of a second of each cell. So the template has one library made of all of them, the [`LIBRARY`], which
//! the first cell of a session loads and all others find loaded. What is not in it, such as a crate that a cell has
//! added, is linked as ever; where it does not serve, everything is.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::UNIX_EPOCH;

use checkout::{say, tree};

/// All crates that cells stand on; it lies beside their archives.
const LIBRARY: &str = "libevcxr_transfer_cells.so";

/// The archives in it, as they were then, one a line.
const CONTENTS: &str = "libevcxr_transfer_cells.list";

/// What evcxr calls the library that a cell becomes.
const CELL: &str = "libctx.so";

/// What a cell was linked from as a whole, one argument a line: what the library is made of.
const RECORD: &str = "libctx.link";

/// To be raised when the library is made in another way: templates are renewed then.
pub const EDITION: u32 = 1;

/// Links what rustc asks for.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let folder = folder_of_cell(arguments);
    if let Some(short) = folder.and_then(|folder| against_library(arguments, folder))
        && cc(&short)
            .output()
            .is_ok_and(|output| output.status.success())
    {
        return ExitCode::SUCCESS;
    }
    let status = match cc(arguments).status() {
        Ok(status) => status,
        Err(error) => {
            say::error(format!("cannot start `cc`: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if let Some(folder) = folder.filter(|_| status.success()) {
        // Without it the template gets no library, and cells are linked as a whole.
        let _ = fs::write(folder.join(RECORD), lines(arguments));
    }
    u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, Into::into)
}

/// Removes the library that was made in the folder `target`, and what it was made of.
pub fn forget(target: &Path) {
    for folder in folders(target) {
        for name in [CONTENTS, LIBRARY, RECORD] {
            let _ = fs::remove_file(folder.join(name));
        }
    }
}

/// Where cargo puts crates, for each kind of machine.
fn folders(target: &Path) -> impl Iterator<Item = PathBuf> {
    let folders = fs::read_dir(target).into_iter().flatten().flatten();
    folders.map(|folder| folder.path().join("debug/deps"))
}

/// Makes the library of what the last cell in the folder `target` was linked from.
///
/// # Errors
///
/// One line: what is missing, or the linker's text.
pub fn gather(target: &Path) -> Result<(), String> {
    let folder = folders(target)
        .find(|folder| folder.join(RECORD).is_file())
        .ok_or_else(|| format!("{}: no cell has been linked there", target.display()))?;
    let unwritten = |error: io::Error| format!("cannot write into {}: {error}", folder.display());
    let record = fs::read_to_string(folder.join(RECORD)).map_err(unwritten)?;
    let arguments: Vec<OsString> = record.lines().map(OsString::from).collect();
    let (archives, others): (Vec<_>, Vec<_>) = arguments
        .into_iter()
        .partition(|argument| is_archive_in(argument, &folder));
    let contents = contents(archives.iter().map(Path::new)).map_err(unwritten)?;
    for name in [LIBRARY, CONTENTS] {
        tree::remove(&folder.join(name)).map_err(unwritten)?;
    }
    let output = cc(&whole(&archives, &others, &folder.join(LIBRARY)))
        .output()
        .map_err(|error| format!("cannot start `cc`: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let list = folder.join(CONTENTS);
    fs::write(&list, contents).map_err(|error| {
        // Half a list would have the other half linked twice.
        let _ = fs::remove_file(&list);
        unwritten(error)
    })
}

fn cc(arguments: &[OsString]) -> Command {
    let mut command = Command::new("cc");
    command.args(arguments);
    command
}

/// Where the cell goes that is to be linked; nothing for anything else.
fn folder_of_cell(arguments: &[OsString]) -> Option<&Path> {
    let place = arguments.iter().position(|argument| argument == "-o")?;
    let output = Path::new(arguments.get(place + 1)?);
    output.ends_with(CELL).then(|| output.parent())?
}

/// An archive of a crate that cargo has built, and none of Rust's own, of which each cell has what it needs.
fn is_archive_in(argument: &OsStr, folder: &Path) -> bool {
    let path = Path::new(argument);
    path.extension() == Some(OsStr::new("rlib")) && path.parent() == Some(folder)
}

/// The archives with what tells one that was built again: cargo gives it the same name.
fn contents<'a>(archives: impl Iterator<Item = &'a Path>) -> io::Result<String> {
    let mut text = String::new();
    for archive in archives {
        let about = archive.metadata()?;
        let age = about.modified()?.duration_since(UNIX_EPOCH);
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(text, "{name} {} {:?}", about.len(), age.unwrap_or_default());
    }
    Ok(text)
}

/// The arguments that make the library: each archive whole, since nobody knows what cells will call.
fn whole(archives: &[OsString], others: &[OsString], library: &Path) -> Vec<OsString> {
    let of_the_cell = |argument: &&OsString| {
        let text = argument.to_string_lossy();
        // Its objects, the list of what it exports, and leaving out what it does not call.
        !text.ends_with(".o")
            && !text.starts_with("-Wl,--version-script")
            && ![
                "-Wl,--no-undefined-version",
                "-Wl,--gc-sections",
                "-Wl,--strip-debug",
            ]
            .contains(&text.as_ref())
    };
    let mut others: Vec<OsString> = others.iter().filter(of_the_cell).cloned().collect();
    if let Some(place) = others.iter().position(|argument| argument == "-o")
        && let Some(output) = others.get_mut(place + 1)
    {
        *output = library.into();
    }
    let mut arguments = vec!["-Wl,--whole-archive".into()];
    arguments.extend_from_slice(archives);
    arguments.extend([
        "-Wl,--no-whole-archive".into(),
        // Names of functions that no cell can call, a fifth of the file.
        "-Wl,--strip-all".into(),
        // Its own functions call its own, whatever the first cell brings under the same names.
        "-Wl,-Bsymbolic-functions".into(),
    ]);
    arguments.append(&mut others);
    arguments
}

/// The arguments with the library in the place of what it holds, or nothing where there is none, or an archive was built
/// again since. Every name has to be found then: what is missing is seen here, and not when the cell is loaded.
fn against_library(arguments: &[OsString], folder: &Path) -> Option<Vec<OsString>> {
    let held = fs::read_to_string(folder.join(CONTENTS)).ok()?;
    let (archives, others): (Vec<_>, Vec<_>) = arguments
        .iter()
        .cloned()
        .partition(|argument| is_archive_in(argument, folder));
    let mut short = others;
    short.retain(|argument| {
        let text = argument.to_string_lossy();
        // libtorch comes with the library.
        !["-ltorch", "-lc10"]
            .iter()
            .any(|start| text.starts_with(start))
    });
    // The list of what is exported has the C functions of crates, too, which the library has. GNU's linker minds only when told to.
    short.retain(|argument| argument != "-Wl,--no-undefined-version");
    if short.iter().any(|argument| argument == "-fuse-ld=lld") {
        short.push("-Wl,--undefined-version".into());
    }
    let mut added = Vec::new();
    for archive in archives {
        let now = contents(std::iter::once(Path::new(&archive))).ok()?;
        if held.contains(&now) {
            continue;
        }
        let name = PathBuf::from(&archive);
        let start = format!("{} ", name.file_name()?.to_string_lossy());
        if held.lines().any(|line| line.starts_with(&start)) {
            return None;
        }
        added.push(archive);
    }
    let place = short
        .iter()
        .position(|argument| argument == "-Wl,-Bdynamic")
        .unwrap_or(short.len());
    added.push("-Wl,-Bdynamic".into());
    added.push(folder.join(LIBRARY).into());
    added.push("-Wl,-z,defs".into());
    short.splice(place..place, added);
    Some(short)
}

fn lines(arguments: &[OsString]) -> String {
    let lines = arguments.iter().map(|argument| argument.to_string_lossy());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// A target folder in which there are two crates, of C: `one`, which calls `libm`, and `two`.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(folder.deps()).unwrap();
            folder.archive(
                "one",
                "double cos(double); int one(int x) { return (int)cos(x) + 1; }",
            );
            folder.archive("two", "int two(void) { return 2; }");
            folder
        }

        fn deps(&self) -> PathBuf {
            self.0.path().join("x86_64/debug/deps")
        }

        fn object(&self, name: &str, text: &str) -> PathBuf {
            let (source, object) = ["c", "o"]
                .map(|end| self.deps().join(name).with_extension(end))
                .into();
            fs::write(&source, text).unwrap();
            let status = Command::new("cc")
                .args(["-fPIC", "-c", "-o"])
                .args([&object, &source])
                .status();
            assert!(status.unwrap().success());
            object
        }

        fn archive(&self, name: &str, text: &str) {
            let object = self.object(name, text);
            let archive = self.deps().join(format!("lib{name}-1a.rlib"));
            let _ = fs::remove_file(&archive);
            let status = Command::new("ar")
                .arg("rcs")
                .args([&archive, &object])
                .status();
            assert!(status.unwrap().success());
        }

        /// Links a cell of that text from these crates, and whether that worked; the second: whether the library serves it.
        fn link(&self, text: &str, crates: &[&str]) -> (bool, bool) {
            let object = self.object("ctx", text);
            let cell = self.deps().join(CELL);
            let _ = fs::remove_file(&cell);
            let mut arguments: Vec<OsString> = vec!["-shared".into(), object.into()];
            arguments.extend(
                crates
                    .iter()
                    .map(|name| self.deps().join(format!("lib{name}-1a.rlib")).into()),
            );
            arguments.extend(
                ["-Wl,-Bdynamic", "-lm", "-lc", "-Wl,--gc-sections", "-o"].map(OsString::from),
            );
            arguments.push(cell.clone().into());
            let is_linked = run(&arguments) == ExitCode::SUCCESS;
            let bytes = fs::read(&cell).unwrap_or_default();
            assert_eq!(is_linked, !bytes.is_empty());
            let names = String::from_utf8_lossy(&bytes);
            (is_linked, names.contains(LIBRARY))
        }
    }

    const CALLS: &str = "int one(int); int run(void) { return one(1); }";

    #[test]
    fn a_cell_is_linked_against_the_library_of_all_crates() {
        let folder = Folder::new();
        assert!(
            gather(folder.0.path())
                .unwrap_err()
                .contains("no cell has been linked")
        );
        // Without the library, and nothing of `two`, which it does not call.
        assert_eq!(folder.link(CALLS, &["one", "two"]), (true, false));
        gather(folder.0.path()).unwrap();
        assert_eq!(folder.link(CALLS, &["one", "two"]), (true, true));
        // What no cell has called before.
        let other = "int two(void); int run(void) { return two(); }";
        assert_eq!(folder.link(other, &["one", "two"]), (true, true));
    }

    #[test]
    fn what_the_library_does_not_hold_is_linked_beside_it() {
        let folder = Folder::new();
        folder.link(CALLS, &["one", "two"]);
        gather(folder.0.path()).unwrap();
        folder.archive("added", "int two(void); int added(void) { return two(); }");
        let text = "int added(void); int run(void) { return added(); }";
        assert_eq!(folder.link(text, &["added", "one", "two"]), (true, true));
        // In none of them: the compiler's own messages, and no cell that fails when it is loaded.
        let text = "int nowhere(void); int run(void) { return nowhere(); }";
        assert!(!folder.link(text, &["one", "two"]).1);
    }

    #[test]
    fn a_crate_that_was_built_again_is_not_taken_from_the_library() {
        let folder = Folder::new();
        folder.link(CALLS, &["one", "two"]);
        gather(folder.0.path()).unwrap();
        folder.archive("two", "int two(void) { return 22; }");
        assert_eq!(folder.link(CALLS, &["one", "two"]), (true, false));
        gather(folder.0.path()).unwrap();
        assert_eq!(folder.link(CALLS, &["one", "two"]), (true, true));
    }

    #[test]
    fn what_is_no_cell_is_left_to_cc() {
        let folder = Folder::new();
        let object = folder.object("other", "int other(void) { return 0; }");
        let output = folder.deps().join("libother.so");
        let arguments = [
            OsString::from("-shared"),
            object.into(),
            "-o".into(),
            output.clone().into(),
        ];
        assert_eq!(run(&arguments), ExitCode::SUCCESS);
        assert!(output.is_file() && !folder.deps().join(RECORD).exists());
    }
}
