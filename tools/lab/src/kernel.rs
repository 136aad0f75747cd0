//! The Jupyter kernel "Rust (transfer)": built, installed into `.lab/bin`, given its ready-built crate,
//! and registered in `.venv` alone.
//!
//! ```text
//! rust-src -> .lab/bin/{kernel,engine} -> .lab/seed -> .venv/share/jupyter/kernels/rust_transfer
//! ```

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use crate::place::Place;
use crate::python;
use crate::say;
use crate::trouble::{Result, Trouble};

/// The programs that make up the kernel: packages in `tools`.
const PROGRAMS: [&str; 2] = ["engine", "kernel"];

/// The stamp that says what `.lab/bin` was built from.
const STAMP: &str = "kernel.stamp";

/// The name by which notebooks ask for the kernel.
const NAME: &str = "rust_transfer";

/// The picture in JupyterLab's launcher.
const LOGO: &str = include_str!("../logo.svg");

/// Whether the sources of Rust's standard library are installed, which evcxr infers types from.
pub fn has_standard_sources(place: &Place) -> bool {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(&place.root)
        .output();
    sysroot.is_ok_and(|output| {
        Path::new(String::from_utf8_lossy(&output.stdout).trim())
            .join("lib/rustlib/src/rust/library/std/src/lib.rs")
            .is_file()
    })
}

/// Installs them with rustup.
pub fn add_standard_sources(place: &Place) -> Result<()> {
    const REMEDY: &str = "install the sources of Rust's standard library the way Rust itself was \
                          installed (with rustup: `rustup component add rust-src`)";
    let status = Command::new("rustup")
        .args(["component", "add", "rust-src"])
        .current_dir(&place.root)
        .status()
        .map_err(|error| Trouble::new(format!("cannot start rustup: {error}"), REMEDY))?;
    if status.success() && has_standard_sources(place) {
        return Ok(());
    }
    Err(Trouble::new("rustup did not add rust-src", REMEDY))
}

/// Whether the installed programs are what the sources would give.
pub fn is_installed(place: &Place) -> bool {
    PROGRAMS.iter().all(|name| installed(place, name).is_file())
        && fs::read_to_string(place.lab().join(STAMP)).is_ok_and(|text| text == stamp(place))
}

/// Builds the programs and puts them into `.lab/bin`.
pub fn install(place: &Place) -> Result<()> {
    python::remove(&place.lab().join(STAMP))?;
    let stamp = stamp(place);
    let words = ["build", "--locked", "--profile", "kernel"];
    let packages = PROGRAMS.iter().flat_map(|name| ["--package", name]);
    say::line(
        "  building the kernel, which contains rust-analyzer: about eight minutes the first time",
    );
    let status = place
        .cargo(words.into_iter().chain(packages))
        .status()
        .map_err(|error| Trouble::program("cargo", &error))?;
    if !status.success() {
        return Err(Trouble::new(
            "the kernel could not be built",
            "the compiler's message stands above; on a failed download run the command again",
        ));
    }
    let folder = place.lab().join("bin");
    fs::create_dir_all(&folder).map_err(|error| Trouble::file("make", &folder, &error))?;
    for name in PROGRAMS {
        let built = place.root.join("target/kernel").join(name);
        let target = installed(place, name);
        // Beside it and renamed: running kernels keep the program that they were started with.
        let fresh = folder.join(format!("{name}.new"));
        fs::copy(&built, &fresh)
            .and_then(|_| fs::rename(&fresh, &target))
            .map_err(|error| Trouble::file("write", &target, &error))?;
    }
    let path = place.lab().join(STAMP);
    fs::write(&path, stamp).map_err(|error| Trouble::file("write", &path, &error))
}

/// Whether the crate is built as cells need it.
pub fn is_seeded(place: &Place) -> bool {
    kernel(place, "check")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Builds the crate as cells need it.
pub fn seed(place: &Place) -> Result<()> {
    say::line("  building evcxr_transfer for notebooks: about four minutes the first time");
    let status = kernel(place, "prepare")
        .status()
        .map_err(|error| Trouble::program("the kernel", &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Trouble::new(
        "the crate could not be built for notebooks",
        "the reason stands above; mend it and run the command again",
    ))
}

/// A command of the installed kernel.
fn kernel(place: &Place, word: &str) -> Command {
    let mut command = Command::new(installed(place, "kernel"));
    command.arg(word).current_dir(&place.root);
    command
}

/// Whether Jupyter knows the kernel as it is now.
pub fn is_registered(place: &Place) -> bool {
    let folder = spec_folder(place);
    fs::read_to_string(folder.join("kernel.json")).is_ok_and(|text| text == spec(place))
        && folder.join("logo-svg.svg").is_file()
}

/// Tells the Jupyter in `.venv`, and no other, about the kernel.
pub fn register(place: &Place) -> Result<()> {
    let folder = spec_folder(place);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Trouble::file("write", &path, &error))
    };
    fs::create_dir_all(&folder).map_err(|error| Trouble::file("make", &folder, &error))?;
    write("logo-svg.svg", LOGO)?;
    write("kernel.json", &spec(place))
}

fn spec_folder(place: &Place) -> PathBuf {
    place.venv().join("share/jupyter/kernels").join(NAME)
}

/// The kernel's specification
/// (<https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs>).
fn spec(place: &Place) -> String {
    let program = quote(&installed(place, "kernel"));
    // JupyterLab may be started from a desktop whose PATH has no cargo.
    let cargo = std::env::var_os("CARGO")
        .map(PathBuf::from)
        .and_then(|cargo| Some(cargo.parent()?.to_owned()))
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo/bin")));
    let path = match cargo_on_path().or(cargo) {
        Some(folder) => format!("{}:${{PATH}}", folder.display()),
        None => "${PATH}".to_owned(),
    };
    format!(
        "{{\n \"argv\": [{program}, \"{{connection_file}}\"],\n \"display_name\": \"Rust (transfer)\",\n \
         \"language\": \"rust\",\n \"interrupt_mode\": \"message\",\n \"env\": {{\"PATH\": {}}},\n \
         \"metadata\": {{\"debugger\": false}}\n}}\n",
        quote(Path::new(&path))
    )
}

/// The folder of the cargo that a shell finds: rustup's, which knows about toolchains.
fn cargo_on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // `cargo run` puts the toolchain's own folder first; rustup lies beside its proxies.
    std::env::split_paths(&path)
        .find(|folder| folder.join("cargo").is_file() && folder.join("rustup").is_file())
}

/// A path as a JSON string.
fn quote(path: &Path) -> String {
    let mut text = String::from("\"");
    for letter in path.to_string_lossy().chars() {
        match letter {
            '"' | '\\' => {
                text.push('\\');
                text.push(letter);
            }
            letter if letter < ' ' => {
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

fn installed(place: &Place, name: &str) -> PathBuf {
    place.lab().join("bin").join(name)
}

/// What the programs are built from: the compiler, and each file with its size and time.
fn stamp(place: &Place) -> String {
    let rustc = Command::new("rustc")
        .arg("-vV")
        .current_dir(&place.root)
        .output();
    let mut text = rustc.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    for name in ["Cargo.toml", "Cargo.lock", "tools/engine", "tools/kernel"] {
        list(&place.root.join(name), &mut text);
    }
    text
}

fn list(path: &Path, text: &mut String) {
    let Ok(about) = fs::metadata(path) else {
        return;
    };
    if about.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        entries.sort();
        for entry in &entries {
            list(entry, text);
        }
        return;
    }
    let time = about
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "{} {} {}",
        path.display(),
        about.len(),
        time.as_nanos()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_json() {
        assert_eq!(quote(Path::new("/a b/c")), "\"/a b/c\"");
        assert_eq!(quote(Path::new("/a\"b\\c\n")), "\"/a\\\"b\\\\c\\u000a\"");
    }

    #[test]
    fn the_specification_names_program_and_connection() {
        let place = Place {
            root: PathBuf::from("/some/where"),
        };
        let text = spec(&place);
        assert!(
            text.contains("[\"/some/where/.lab/bin/kernel\", \"{connection_file}\"]"),
            "{text}"
        );
        assert!(text.contains(":${PATH}\""), "{text}");
    }
}
