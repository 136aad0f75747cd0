//! Runs pip: its many lines condensed to a few, its failures said in one.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::lock::Lock;
use crate::place::Place;
use crate::say;
use crate::trouble::{Result, Trouble};

/// Goes on with broken-off downloads (from 25.1) and reports their progress in lines (from 24.1).
const PIP: &str = "pip==26.3";
const OLDEST_PIP: (u32, u32) = (25, 1);

/// Between two lines about the same download.
const DOWNLOAD_EVERY: Duration = Duration::from_secs(5);
/// A sign of life while pip says nothing: unpacking torch takes a minute.
const SILENCE: Duration = Duration::from_secs(15);

/// Checks the environment against the lists of files that its packages came with.
const REPAIR: &str = include_str!("../repair.py");

/// Replaces an old pip of `.venv`.
pub fn renew(place: &Place, lock: &Lock) -> Result<()> {
    let output = place
        .venv_python()
        .args(["-m", "pip", "--version"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Trouble::program(".venv/bin/python", &error))?;
    if version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|found| found >= OLDEST_PIP) {
        return Ok(());
    }
    say::line(format!("  renewing pip ({PIP})"));
    pip(place, lock, &["--progress-bar", "off", PIP])
}

/// Installs packages into `.venv`, then mends those that an interrupted run left incomplete.
pub fn install(place: &Place, lock: &Lock, arguments: &[&str]) -> Result<()> {
    pip(
        place,
        lock,
        &[&["--progress-bar", "raw"], arguments].concat(),
    )?;
    let broken = repair(place)?;
    if broken.is_empty() {
        return Ok(());
    }
    say::line(format!(
        "  incomplete, installing again: {}",
        broken.join(", ")
    ));
    let again: Vec<&str> = broken.iter().map(String::as_str).collect();
    // Not --force-reinstall: that first removes the old files, and fails where their list is lost.
    pip(
        place,
        lock,
        &[
            &["--progress-bar", "raw", "--ignore-installed", "--no-deps"],
            again.as_slice(),
        ]
        .concat(),
    )?;
    match repair(place)?.as_slice() {
        [] => Ok(()),
        still => Err(Trouble::new(
            format!(
                "these packages stay incomplete in .venv: {}",
                still.join(", ")
            ),
            "run `cargo lab clean` and `cargo lab setup`",
        )),
    }
}

/// The packages of `.venv` with missing files, as `name==version`.
fn repair(place: &Place) -> Result<Vec<String>> {
    let output = place
        .venv_python()
        .args(["-c", REPAIR])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Trouble::program(".venv/bin/python", &error))?;
    if !output.status.success() {
        return Err(Trouble::new(
            "the packages in .venv cannot be checked: its Python fails",
            "run `cargo lab clean` and `cargo lab setup`",
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().map(str::to_owned).collect())
}

fn pip(place: &Place, lock: &Lock, arguments: &[&str]) -> Result<()> {
    let mut child = place
        .venv_python()
        .args([
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
            "--no-color",
        ])
        .args(arguments)
        // A `user = true` in somebody's pip settings cannot work in an environment.
        .env("PIP_USER", "0")
        .current_dir(&place.root)
        .stdin(lock.as_input())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Trouble::program(".venv/bin/python", &error))?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        forward(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        forward(stderr, sender);
    }
    let mut progress = Progress::new();
    let mut text = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                progress.note(&line);
                if !line.starts_with("Progress ") {
                    text.push(line);
                }
            }
            Err(RecvTimeoutError::Timeout) => progress.sign_of_life(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child
        .wait()
        .map_err(|error| Trouble::program("pip", &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(explain(&text))
    }
}

fn forward(stream: impl Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream)
            .split(b'\n')
            .map_while(|line| line.ok())
        {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });
}

/// What is worth saying about pip's work, at most every few seconds.
struct Progress {
    doing: String,
    since: Instant,
    last_line: Instant,
}

impl Progress {
    fn new() -> Self {
        Self {
            doing: "looking packages up".to_owned(),
            since: Instant::now(),
            last_line: Instant::now(),
        }
    }

    fn note(&mut self, line: &str) {
        match condense(line) {
            Event::Doing { what, shown } => {
                if shown {
                    self.say(&what);
                }
                self.doing = what;
                self.since = Instant::now();
            }
            Event::Bytes { got, all } => {
                if got < all && self.last_line.elapsed() >= DOWNLOAD_EVERY {
                    let text = format!("{}: {} of {}", self.doing, say::size(got), say::size(all));
                    self.say(&text);
                }
            }
            Event::Retry => self.say("no answer from the package index, trying again"),
            Event::Nothing => {}
        }
    }

    fn sign_of_life(&mut self) {
        if self.last_line.elapsed() >= SILENCE {
            let text = format!("still {}, {} s", self.doing, self.since.elapsed().as_secs());
            self.say(&text);
        }
    }

    fn say(&mut self, text: &str) {
        say::line(format!("  {text}"));
        self.last_line = Instant::now();
    }
}

/// What a line of pip's means.
#[derive(Debug, PartialEq)]
enum Event {
    /// Something new has begun; `shown` if it is big enough for a line of its own.
    Doing { what: String, shown: bool },
    /// A download goes on.
    Bytes { got: u64, all: u64 },
    /// The index did not answer.
    Retry,
    /// Of no interest.
    Nothing,
}

fn condense(line: &str) -> Event {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("Progress ") {
        let mut numbers = rest.split(" of ").map(|number| number.parse().ok());
        return match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(got), Some(all)) => Event::Bytes { got, all },
            _ => Event::Nothing,
        };
    }
    for (start, doing) in [
        ("Downloading ", "downloading"),
        ("Using cached ", "taking from pip's cache"),
    ] {
        if let Some(rest) = line.strip_prefix(start) {
            let (file, size) = rest.split_once(' ').unwrap_or((rest, ""));
            // "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl" -> "torch-2.11.0"
            let file = file.rsplit('/').next().unwrap_or(file);
            let name = file.splitn(3, '-').take(2).collect::<Vec<_>>().join("-");
            return Event::Doing {
                what: format!("{doing} {name} {size}").trim_end().to_owned(),
                shown: is_big(size),
            };
        }
    }
    if let Some(names) = line.strip_prefix("Installing collected packages: ") {
        let count = names.split(", ").count();
        let plural = if count == 1 { "" } else { "s" };
        return Event::Doing {
            what: format!("unpacking {count} package{plural}"),
            shown: true,
        };
    }
    if line.starts_with("WARNING: Retrying ") {
        return Event::Retry;
    }
    Event::Nothing
}

/// Whether a size as pip writes it, "(530.6 MB)", is 20 MB or more.
fn is_big(size: &str) -> bool {
    let mut parts = size.trim_matches(['(', ')']).split(' ');
    let number: f64 = parts
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0);
    match parts.next() {
        Some("GB") => true,
        Some("MB") => number >= 20.0,
        _ => false,
    }
}

/// (25, 1) from "pip 25.1.2 from /... (python 3.11)".
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    Some((major, minor))
}

/// Turns pip's many lines about a failure into one with a remedy.
fn explain(lines: &[String]) -> Trouble {
    let has = |words: &[&str]| {
        lines
            .iter()
            .any(|line| words.iter().any(|word| line.contains(word)))
    };
    if has(&["No space left on device"]) {
        return Trouble::new(
            "the disk filled up while packages were installed",
            "make room (set-up needs 8 GB, also in the folder for temporary files, TMPDIR) and run the command again",
        );
    }
    if has(&[
        "CERTIFICATE_VERIFY_FAILED",
        "SSLError",
        "SSLCertVerificationError",
    ]) {
        return Trouble::new(
            "the package index cannot be trusted: its certificate was refused",
            "check the clock of this machine; behind a company proxy set PIP_CERT to its certificate file",
        );
    }
    // Before "No matching distribution", which pip also says when it could not ask at all.
    if has(&[
        "NewConnectionError",
        "Failed to establish a new connection",
        "Connection refused",
        "Name or service not known",
        "Temporary failure in name resolution",
        "nodename nor servname",
        "ConnectTimeout",
        "ProxyError",
        "Max retries exceeded",
        "Read timed out",
        "Connection broken",
        "Network is unreachable",
        "IncompleteRead",
        "incomplete-download",
    ]) {
        return Trouble::new(
            "the package index cannot be reached, or the connection broke off",
            "check the network (and HTTPS_PROXY, PIP_INDEX_URL if you set them) and run the command again: \
             it goes on with what it has",
        );
    }
    if has(&[
        "No matching distribution found for torch==",
        "from versions: none",
    ]) {
        return Trouble::new(
            format!(
                "there is no package of PyTorch 2.11.0 for this machine ({} {}) and its Python",
                std::env::consts::OS,
                std::env::consts::ARCH
            ),
            "it exists for Linux with glibc (x86_64, aarch64) and for macOS on Apple silicon; \
             elsewhere set LIBTORCH to a libtorch 2.11 of your own",
        );
    }
    if has(&["DO NOT MATCH THE HASHES"]) {
        return Trouble::new(
            "a downloaded package was damaged",
            "run `.venv/bin/python -m pip cache purge`, then the command again",
        );
    }
    let said = lines
        .iter()
        .rev()
        .find_map(|line| line.trim().strip_prefix("ERROR: "))
        .or_else(|| {
            lines
                .iter()
                .rev()
                .map(|line| line.trim())
                .find(|line| !line.is_empty())
        })
        .unwrap_or("it gave no reason");
    Trouble::new(
        format!("pip failed: {said}"),
        "run the command again; if it fails in the same way, `cargo lab clean` and start anew",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doing(what: &str, shown: bool) -> Event {
        Event::Doing {
            what: what.to_owned(),
            shown,
        }
    }

    #[test]
    fn lines_of_pip_are_condensed() {
        for (line, expected) in [
            (
                "  Downloading torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl (530.6 MB)",
                doing("downloading torch-2.11.0 (530.6 MB)", true),
            ),
            (
                "Using cached jupyterlab-4.6.6-py3-none-any.whl (12.4 MB)",
                doing("taking from pip's cache jupyterlab-4.6.6 (12.4 MB)", false),
            ),
            (
                "Downloading torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (29 kB)",
                doing("downloading torch-2.11.0 (29 kB)", false),
            ),
            (
                "Progress 1048576 of 530600000",
                Event::Bytes {
                    got: 1_048_576,
                    all: 530_600_000,
                },
            ),
            (
                "Installing collected packages: a, b, c",
                doing("unpacking 3 packages", true),
            ),
            (
                "Requirement already satisfied: numpy in ./x",
                Event::Nothing,
            ),
            (
                "WARNING: Retrying (Retry(total=4, connect=None)) after",
                Event::Retry,
            ),
            ("", Event::Nothing),
        ] {
            assert_eq!(condense(line), expected, "{line}");
        }
    }

    #[test]
    fn a_missing_network_is_not_taken_for_a_missing_package() {
        let lines = [
            "WARNING: Retrying (...) after connection broken by 'NewConnectionError(...)': /torch/",
            "ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: none)",
            "ERROR: No matching distribution found for torch==2.11.0",
        ]
        .map(str::to_owned);
        assert!(explain(&lines).what.contains("cannot be reached"));
        assert!(explain(&lines[1..]).what.contains("no package of PyTorch"));
        let other = ["ERROR: something odd".to_owned(), String::new()];
        assert_eq!(explain(&other).what, "pip failed: something odd");
    }

    #[test]
    fn the_version_of_pip_is_read() {
        assert_eq!(
            version("pip 23.2.1 from /x/pip (python 3.11)"),
            Some((23, 2))
        );
        assert_eq!(version("pip 26 from /x"), Some((26, 0)));
        assert_eq!(version("no pip here"), None);
    }
}
