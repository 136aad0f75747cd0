//! Runs the reference programs (Keras, PyTorch, Pillow) that tests compare with, and Jupyter's clients.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// Runs `tests/references/SCRIPT` with the project's Python and returns what it prints.
///
/// A missing reference fails the test: none passes by not running.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn python(script: &str, arguments: &[&Path]) -> String {
    let mut connection =
        UnixStream::connect(references()).expect("the references' Python has ended");
    let arguments = arguments
        .iter()
        .map(|path| path.to_str().expect("UTF-8"))
        .collect::<Vec<_>>();
    let order = json!({ "script": script, "arguments": arguments });
    writeln!(connection, "{order}").expect("the references' Python reads its order");
    let mut answer = String::new();
    BufReader::new(connection)
        .read_line(&mut answer)
        .expect("an answer");
    let answer: Value = serde_json::from_str(&answer)
        .unwrap_or_else(|error| panic!("{script} has ended without an answer ({error})"));
    assert!(
        answer["status"] == 0,
        "{script} failed; `cargo lab test` installs what it needs\n{}",
        answer["stderr"].as_str().unwrap_or_default()
    );
    answer["stdout"].as_str().expect("text").to_owned()
}

/// Where the references' Python listens, which is started when it is first needed and ends with this program: its stdin
/// ends then. Each reference runs in a copy of it, so that Keras and PyTorch are loaded once.
#[allow(dead_code, reason = "not every test file needs it")]
fn references() -> &'static Path {
    static PYTHON: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (socket, _) = PYTHON.get_or_init(|| {
        let socket = tempfile::tempdir()
            .expect("a temporary folder")
            // Removed by the program that listens there.
            .keep()
            .join("socket");
        let interpreter = repository(".venv/bin/python");
        let mut child = Command::new(&interpreter)
            .arg(repository("tests/references/forked.py"))
            .arg(&socket)
            // One thread: deterministic, and the copies of a process have none of its others. No compiled files in the tree,
            // PyTorch below Keras.
            .envs([
                ("KERAS_BACKEND", "torch"),
                ("OMP_NUM_THREADS", "1"),
                ("PYTHONDONTWRITEBYTECODE", "1"),
                // No engine for a next notebook outlives a test.
                ("EVCXR_TRANSFER_SPARE", "0"),
            ])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{} does not start ({error}); `cargo lab test` installs the references",
                    interpreter.display()
                )
            });
        while !socket.exists() {
            let ended = child.try_wait().expect("it has been started");
            assert!(
                ended.is_none(),
                "the references do not load; `cargo lab test` installs what they need"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        (socket, child)
    });
    socket
}

/// How many tests of a program have kernels at the same time: each kernel has a libtorch in it, which needs 2 GB, and
/// keeps one core busy compiling.
const AT_ONCE: usize = 2;

/// How many have them now, and who waits for a change of that.
static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// The right to have kernels, until it is dropped.
pub struct Turn(usize);

impl Turn {
    fn take(wanted: usize) -> Self {
        let (taken, changed) = (&TURNS.0, &TURNS.1);
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = changed
            .wait_while(taken, |taken| *taken + wanted > AT_ONCE)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += wanted;
        Self(wanted)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.0.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        TURNS.1.notify_all();
    }
}

/// Waits until few enough tests of this program have kernels.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn turn() -> Turn {
    Turn::take(1)
}

/// Waits until no other test of this program has kernels, and keeps them waiting.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn alone() -> Turn {
    Turn::take(AT_ONCE)
}

/// Gives `order` to `tests/references/SCRIPT`, which talks to kernels, and returns what it answers, both JSON.
///
/// `cargo lab setup` (or `cargo lab test`) has installed the kernel "Rust (transfer)"; `jupyter_path` in the order
/// has others. Cells have the lesson's samples and seeded weights, and nobody asks the network.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn on_kernels(script: &str, order: &Value) -> Value {
    let _turn = turn();
    talk(script, order)
}

/// The same for a test that has its [`turn`] or is [`alone`] already.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn talk(script: &str, order: &Value) -> Value {
    let mut child = Command::new(repository(".venv/bin/python"))
        .arg(repository("tests/references").join(script))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("EVCXR_TRANSFER_OFFLINE", "1")
        // No engine for a next notebook: each kernel's processes are its children, and end with it.
        .env("EVCXR_TRANSFER_SPARE", "0")
        // Weights that this machine has elsewhere would give other results.
        .env("KERAS_HOME", env!("CARGO_TARGET_TMPDIR"))
        .env_remove("EVCXR_TRANSFER_WEIGHTS")
        .env_remove("EVCXR_TRANSFER_MIRROR")
        .env(
            "JUPYTER_PATH",
            order["jupyter_path"]
                .as_str()
                .map_or_else(|| repository(".venv/share/jupyter"), PathBuf::from),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`cargo lab test` installs the notebook's Python");
    // Closed at once: the program reads to the end.
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin
        .write_all(order.to_string().as_bytes())
        .expect("the program reads its order");
    drop(stdin);
    let output = child.wait_with_output().expect("it has been started");
    assert!(output.status.success(), "{script} failed");
    serde_json::from_slice(&output.stdout).expect("the program answers with JSON")
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

/// The same with the first of each class only, 26 + 14 pictures: for whole notebooks, of which it is asked whether
/// they run and what they show, not how well they learn.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn few_samples() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (part, count) in [("train", 13), ("validation", 7)] {
        for class in ["cats", "dogs"] {
            let inside = Path::new("samples").join(part).join(class);
            let copy = folder.path().join(&inside);
            std::fs::create_dir_all(&copy).expect("a folder for the samples");
            let files = std::fs::read_dir(repository("data").join(&inside)).expect("the samples");
            let mut files = files
                .map(|file| file.expect("a sample").path())
                .collect::<Vec<_>>();
            files.sort();
            for file in files.iter().take(count) {
                let name = file.file_name().expect("a file");
                std::os::unix::fs::symlink(file, copy.join(name)).expect("a link to a sample");
            }
        }
    }
    folder
}

/// The most memory that this process has had so far, in bytes.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    let kilobytes: u64 = kilobytes
        .and_then(|number| number.parse().ok())
        .expect("a number");
    kilobytes * 1024
}
