//! The Jupyter kernel "Rust (transfer)": built, installed into `.lab/bin`, and given the crate as cells
//! need it.
//!
//! ```text
//! rust-src -> .lab/bin/{kernel,engine} -> .lab/template -> .venv/share/jupyter/kernels/rust_transfer
//! ```

use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use checkout::place::Place;
use checkout::say;
use checkout::stamp::{self, Stamp};

use crate::programs;
use crate::trouble::{Result, Trouble};

/// The programs that make up the kernel: packages in `tools`.
const PROGRAMS: [&str; 2] = ["engine", "kernel"];

/// Whether the installed programs are what the sources would give.
pub fn is_installed(place: &Place) -> bool {
    PROGRAMS.iter().all(|name| place.program(name).is_file()) && stamp(place).is(&sources(place))
}

/// The programs' build, begun before its turn: compilers run while packages are downloaded and unpacked.
pub struct Ahead(RefCell<Option<Child>>);

impl Ahead {
    /// No build.
    pub fn none() -> Self {
        Self(RefCell::new(None))
    }

    /// Begins to build what [`install`] builds, in silence: what fails here fails there once more, and is told there.
    pub fn begin(place: &Place) -> Self {
        if is_installed(place) {
            return Self::none();
        }
        say::line("kernel: is compiled meanwhile, which takes longest");
        let mut cargo = build(place);
        let child = cargo
            .arg("--quiet")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(RefCell::new(child.ok()))
    }

    /// Waits for its end, and says now and then that it goes on.
    fn finish(&self) {
        let Some(mut child) = self.0.take() else {
            return;
        };
        let (begin, mut told) = (Instant::now(), 0);
        while matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(100));
            let seconds = begin.elapsed().as_secs();
            if seconds >= told + 30 {
                told = seconds;
                say::line(format!("  still building, {seconds} s"));
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

/// Builds the programs, unless `ahead` has done it, and puts them into `.lab/bin`.
pub fn install(place: &Place, ahead: &Ahead) -> Result<()> {
    let stamp = stamp(place);
    stamp
        .remove()
        .map_err(|error| Trouble::file("remove", stamp.path(), &error))?;
    let sources = sources(place);
    say::line(
        "  building the kernel, which contains rust-analyzer: about eight minutes the first time",
    );
    ahead.finish();
    let status = build(place)
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
        let target = place.program(name);
        // Beside it and renamed: running kernels keep the program that they were started with.
        let fresh = folder.join(format!("{name}.new"));
        fs::copy(&built, &fresh)
            .and_then(|_| fs::rename(&fresh, &target))
            .map_err(|error| Trouble::file("write", &target, &error))?;
    }
    stamp
        .write(&sources)
        .map_err(|error| Trouble::file("write", stamp.path(), &error))
}

/// The command that builds the programs.
fn build(place: &Place) -> Command {
    let words = ["build", "--locked", "--profile", "kernel"];
    let packages = PROGRAMS.iter().flat_map(|name| ["--package", name]);
    programs::cargo(place, words.into_iter().chain(packages))
}

/// Whether the crate is built as cells need it.
pub fn has_template(place: &Place) -> bool {
    kernel(place, "check")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Builds the crate as cells need it.
pub fn make_template(place: &Place) -> Result<()> {
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

/// Has an engine started for the first notebook, while JupyterLab starts. Without it that one takes seconds
/// more.
pub fn warm(place: &Place) {
    if let Err(error) = kernel(place, "warm").status() {
        say::error(format!("the kernel could not be warmed: {error}"));
    }
}

/// The notebooks whose kernels run.
pub fn running(place: &Place) -> Result<Vec<String>> {
    let output = match kernel(place, "running").output() {
        Ok(output) => output,
        // Where no kernel is installed none runs.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Trouble::program("the kernel", &error)),
    };
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(Trouble::new(
            format!(
                "the kernel cannot tell which notebooks run: {}",
                reason.trim()
            ),
            "shut all kernels down, remove .lab/sessions and .lab/bin, then run the command again",
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(str::to_owned).collect())
}

/// A command of the installed kernel.
fn kernel(place: &Place, word: &str) -> Command {
    let mut command = Command::new(place.program("kernel"));
    command.arg(word).current_dir(&place.root);
    command
}

/// The stamp of `.lab/bin`.
fn stamp(place: &Place) -> Stamp {
    Stamp::new(place.lab().join("kernel.stamp"))
}

/// What the programs are built from: the compiler, and each file with its size and time.
fn sources(place: &Place) -> String {
    let rustc = Command::new("rustc")
        .arg("-vV")
        .current_dir(&place.root)
        .output();
    let mut text = rustc.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "tools/checkout",
        "tools/engine",
        "tools/kernel",
    ] {
        stamp::list(&place.root.join(name), &mut text);
    }
    text
}
