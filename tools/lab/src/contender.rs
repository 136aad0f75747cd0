//! A program that `cargo lab bench` measures: how it is started, and what it printed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::trouble::{Result, Trouble};

/// How often a program is looked at, whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Every how manyth look counts memory: counting takes Linux some 30 ms a gigabyte, in which the program waits where
/// it asks for more.
const COUNT_EVERY: usize = 10;

/// A program to be measured.
pub struct Contender {
    /// As the table shows it: "ours", "Keras".
    pub name: &'static str,
    /// "f32" or "bf16".
    pub precision: &'static str,
    /// Starts it with everything that it needs.
    pub command: Command,
}

/// What one run printed.
#[derive(Debug, Default, PartialEq)]
pub struct Output {
    /// The results by their names.
    pub measures: BTreeMap<String, f64>,
    /// Libraries with their versions.
    pub versions: BTreeMap<String, String>,
    /// What a reader of the results should know.
    pub notes: Vec<String>,
}

impl Output {
    /// Reads the lines `measure NAME VALUE`, `version NAME VALUE` and `note TEXT`; others are passed over.
    fn read(text: &str) -> Self {
        let mut output = Self::default();
        for line in text.lines() {
            let (kind, rest) = line.split_once(' ').unwrap_or_default();
            let (name, value) = rest.split_once(' ').unwrap_or_default();
            match kind {
                "measure" => {
                    if let Ok(value) = value.trim().parse() {
                        output.measures.insert(name.to_owned(), value);
                    }
                }
                "version" => {
                    output.versions.insert(name.to_owned(), value.to_owned());
                }
                "note" => output.notes.push(rest.to_owned()),
                _ => {}
            }
        }
        output
    }
}

impl Contender {
    /// Runs it once, alone.
    ///
    /// The peak memory is the program's own, or, where that is more, that of it and those that it has started together.
    pub fn run(&mut self) -> Result<Output> {
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Trouble::program(self.name, &error))?;
        let output = child.stdout.take().map(whole);
        let errors = child.stderr.take().map(whole);
        let (status, together) =
            watched(&mut child).map_err(|error| Trouble::program(self.name, &error))?;
        let text = |reader: Option<thread::JoinHandle<String>>| {
            reader
                .and_then(|reader| reader.join().ok())
                .unwrap_or_default()
        };
        let (output, errors) = (text(output), text(errors));
        if !status.success() {
            let last = errors.lines().rev().find(|line| !line.trim().is_empty());
            return Err(Trouble::new(
                format!(
                    "{} in {} ended with {status}: {}",
                    self.name,
                    self.precision,
                    last.unwrap_or("it gave no reason").trim()
                ),
                "run the program of benches/ by itself; benches/README.md says how",
            ));
        }
        let mut output = Output::read(&output);
        let own = output.measures.get("memory").copied().unwrap_or(0.0);
        let together = (together as f64 / 1e6).round();
        if own.max(together) > 0.0 {
            output
                .measures
                .insert("memory".to_owned(), own.max(together));
        }
        Ok(output)
    }
}

/// Reads a stream to its end beside the others.
fn whole(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before a broken pipe counts.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for the end; the most bytes, too, that the program and those that it has started had at one time.
fn watched(child: &mut Child) -> std::io::Result<(std::process::ExitStatus, u64)> {
    let mut most = 0;
    let mut looks = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, most));
        }
        if looks % COUNT_EVERY == 0 {
            most = most.max(memory_with_children(child.id()));
        }
        looks += 1;
        thread::sleep(LOOK_EVERY);
    }
}

/// The bytes of a process and its descendants, shared pages counted once; 0 where the system is not Linux.
fn memory_with_children(process: u32) -> u64 {
    let own = fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
    let own = own.ok().and_then(|text| proportional(&text)).unwrap_or(0);
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let children = tasks.into_iter().flatten().flatten().flat_map(|task| {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
        numbers.collect::<Vec<u32>>()
    });
    own + children.map(memory_with_children).sum::<u64>()
}

/// The bytes of the line `Pss:`, where a page that three processes share counts a third for each.
fn proportional(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    fn shell(script: &str) -> Contender {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Contender {
            name: "ours",
            precision: "f32",
            command,
        }
    }

    #[test]
    fn what_a_program_prints_is_read() {
        let text = "measure decode 607.5\nversion torch 2.11.0+cu130\nnote no h5py here\nsomething else\nmeasure x y\n";
        let output = Output::read(text);
        assert_eq!(output.measures, BTreeMap::from([("decode".into(), 607.5)]));
        assert_eq!(output.versions["torch"], "2.11.0+cu130");
        assert_eq!(output.notes, ["no h5py here"]);
    }

    #[test]
    fn a_program_is_run_and_its_failure_is_told_with_its_last_line() {
        let output = shell("echo measure forward 2; echo measure memory 100000")
            .run()
            .unwrap();
        assert_eq!(output.measures["forward"], 2.0);
        assert_eq!(output.measures["memory"], 100_000.0);
        let trouble = shell("echo first >&2; echo no room >&2; exit 3")
            .run()
            .unwrap_err();
        assert!(trouble.what.contains("no room"), "{trouble}");
    }

    #[test]
    fn memory_is_that_of_the_whole_family() {
        assert_eq!(
            proportional("Rss: 10 kB\nPss:                  12 kB\n"),
            Some(12_288)
        );
        assert_eq!(proportional(""), None);
        if cfg!(target_os = "linux") {
            assert!(memory_with_children(std::process::id()) > 100_000);
        }
    }
}
