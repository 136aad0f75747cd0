//! `cargo lab bench`: the lesson's parts in this crate, in Keras on TensorFlow and in PyTorch, on the same pictures.
//!
//! The programs of `benches/` take turns, each alone in a process of its own, as often as `--runs` says; what they
//! print becomes one table a precision, and JSON. On a machine without Rust the built programs serve: `lab bench
//! --binary FILE --python PYTHON`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use checkout::place::Place;
use checkout::say;

use crate::bench_options::Options;
use crate::comparison::{Comparison, object, text};
use crate::contender::{Contender, Output};
use crate::hardware::{Hardware, date};
use crate::peers;
use crate::programs;
use crate::setup;
use crate::trouble::{Result, Trouble};

/// Our program, an example of the crate.
const OURS: &str = "bench_lesson";

/// Measures, prints the tables and writes the results.
pub fn command(place: &Place, arguments: &[String]) -> Result<ExitCode> {
    let options = Options::new(place, arguments)?;
    let hardware = Hardware::look();
    let mut notes = BTreeSet::new();
    let mut contenders = Vec::new();
    let precisions = options.precisions(&hardware, &mut notes);
    let programs = Programs::prepare(place, &options, &mut notes)?;
    for precision in precisions {
        contenders.extend(programs.contenders(place, &options, precision));
    }
    let mut versions = BTreeMap::new();
    let mut comparisons: Vec<Comparison> = Vec::new();
    for run in 1..=options.runs {
        for contender in &mut contenders {
            let (name, precision) = (contender.name, contender.precision);
            let start = Instant::now();
            let output = match contender.run() {
                Ok(output) => output,
                // Others go on: a table without one column is worth more than none.
                Err(trouble) => {
                    say::line(&trouble);
                    notes.insert(trouble.what);
                    continue;
                }
            };
            let time = say::duration(start.elapsed());
            say::line(format!(
                "run {run} of {}: {name}, {precision}: {time}",
                options.runs
            ));
            versions.extend(output.versions.clone());
            notes.extend(output.notes.clone());
            add(&mut comparisons, name, precision, output);
        }
    }
    if comparisons.is_empty() {
        return Err(Trouble::new(
            "no program could be measured",
            "the lines above say why",
        ));
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH);
    let date = date(seconds.map_or(0, |time| time.as_secs()));
    let facts = [
        ("date", format!("{date} UTC")),
        ("machine", hardware.line()),
        ("versions", list(&versions)),
        ("options", options.line()),
    ];
    for (name, value) in &facts {
        say::line(format!("{name}: {value}"));
    }
    for note in &notes {
        say::line(format!("Note: {note}"));
    }
    for comparison in &comparisons {
        say::line(format!("\n{}", comparison.table()));
    }
    let tables: Vec<String> = comparisons.iter().map(Comparison::json).collect();
    let notes: Vec<String> = notes.iter().map(|note| text(note)).collect();
    let mut all: Vec<(&str, String)> = facts
        .iter()
        .map(|(name, value)| (*name, text(value)))
        .collect();
    all.push(("notes", format!("[{}]", notes.join(", "))));
    all.push(("comparisons", format!("[{}]", tables.join(", "))));
    let path = options.results(place, &date);
    let folder = path.parent().unwrap_or(&place.root);
    std::fs::create_dir_all(folder).map_err(|error| Trouble::file("make", folder, &error))?;
    std::fs::write(&path, object(all) + "\n")
        .map_err(|error| Trouble::file("write", &path, &error))?;
    say::line(format!("\nresults: {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// "keras 3.15.0, torch 2.11.0"
fn list(versions: &BTreeMap<String, String>) -> String {
    let versions = versions.iter();
    let words: Vec<String> = versions
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    words.join(", ")
}

/// Adds a run's values to those of its program and precision.
fn add(comparisons: &mut Vec<Comparison>, name: &str, precision: &str, output: Output) {
    let place = comparisons
        .iter()
        .position(|comparison| comparison.precision == precision);
    let place = place.unwrap_or_else(|| {
        comparisons.push(Comparison {
            precision: precision.to_owned(),
            programs: Vec::new(),
        });
        comparisons.len() - 1
    });
    let programs = &mut comparisons[place].programs;
    let number = programs.iter().position(|(known, _)| known == name);
    let number = number.unwrap_or_else(|| {
        programs.push((name.to_owned(), BTreeMap::new()));
        programs.len() - 1
    });
    for (measure, value) in output.measures {
        programs[number].1.entry(measure).or_default().push(value);
    }
}

/// The programs, ready to be started.
struct Programs {
    ours: PathBuf,
    /// PyTorch's Python.
    python: Option<PathBuf>,
    /// Keras' Python.
    keras: Option<PathBuf>,
}

impl Programs {
    /// Builds ours and sets the peers up, unless both are named. A peer that cannot be had is noted.
    fn prepare(place: &Place, options: &Options, notes: &mut BTreeSet<String>) -> Result<Self> {
        let python = match &options.python {
            Some(python) => python.clone(),
            None => {
                setup::for_references(place)?;
                place.python()
            }
        };
        let ours = match &options.binary {
            Some(binary) => binary.clone(),
            None => {
                let built =
                    programs::cargo(place, ["build", "--quiet", "--example", OURS]).status();
                let built = built.map_err(|error| Trouble::program("cargo", &error))?;
                if !built.success() {
                    return Err(Trouble::new(
                        format!("{OURS} cannot be built"),
                        "the compiler's lines above say why",
                    ));
                }
                place.root.join("target/debug/examples").join(OURS)
            }
        };
        let has_torch =
            programs::answer(Command::new(&python).args(["-c", "import torch"])).is_some();
        if !has_torch {
            notes.insert(format!("{} has no PyTorch", python.display()));
        }
        let mut keras = None;
        if options.with_keras {
            match peers::set_up(place) {
                Ok(()) => keras = Some(peers::environment(place).join("bin/python")),
                Err(trouble) => {
                    notes.insert(format!("without Keras: {}", trouble.what));
                }
            }
        }
        Ok(Self {
            ours,
            python: has_torch.then_some(python),
            keras,
        })
    }

    /// Ours first, then the peers that are there.
    fn contenders(
        &self,
        place: &Place,
        options: &Options,
        precision: &'static str,
    ) -> Vec<Contender> {
        let mut arguments = options.arguments();
        arguments.extend(["--precision".to_owned(), precision.to_owned()]);
        let mut ours = Command::new(&self.ours);
        ours.args(&arguments);
        if let Some(tunables) = tunables(place) {
            ours.env("GLIBC_TUNABLES", tunables);
        }
        if options.binary.is_some()
            && let Some(libraries) = self.python.as_ref().and_then(libraries_of_torch)
        {
            // Built elsewhere: libtorch is where this machine's PyTorch has it.
            ours.env("LD_LIBRARY_PATH", libraries);
        }
        let peer = |name, python: &PathBuf, program: &str, more: &[&str]| {
            let mut command = Command::new(python);
            command
                .args(["-W", "ignore"])
                .arg(place.root.join("benches").join(program))
                .args(&arguments)
                .args(more)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                // What cargo says of this program's libraries, and how ours treats memory, is not for them.
                .env_remove("LD_LIBRARY_PATH")
                .env_remove("GLIBC_TUNABLES")
                .env_remove("PYTHONPATH")
                .env_remove("PYTHONHOME");
            Contender {
                name,
                precision,
                command,
            }
        };
        let mut all = vec![Contender {
            name: "ours",
            precision,
            command: ours,
        }];
        all.extend(
            self.keras
                .as_ref()
                .map(|python| peer("Keras", python, "keras_lesson.py", &[])),
        );
        if let Some(python) = &self.python {
            all.push(peer("PyTorch", python, "torch_lesson.py", &[]));
            all.push(peer(
                "PyTorch, compiled",
                python,
                "torch_lesson.py",
                &["--compile"],
            ));
        }
        all
    }
}

/// How `.cargo/config.toml` has glibc treat memory, for whoever starts ours without cargo.
fn tunables(place: &Place) -> Option<String> {
    if let Ok(own) = std::env::var("GLIBC_TUNABLES") {
        return Some(own);
    }
    let text = std::fs::read_to_string(place.root.join(".cargo/config.toml")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("GLIBC_TUNABLES = \""))?;
    Some(line.trim_end().trim_end_matches('"').to_owned())
}

fn libraries_of_torch(python: &PathBuf) -> Option<String> {
    let script = "import os, torch; print(os.path.join(os.path.dirname(torch.__file__), 'lib'))";
    programs::answer(Command::new(python).args(["-c", script]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_program_come_together() {
        let mut comparisons = Vec::new();
        for (name, precision, value) in [
            ("ours", "f32", 1.0),
            ("Keras", "f32", 4.0),
            ("ours", "bf16", 3.0),
            ("ours", "f32", 2.0),
        ] {
            let output = Output {
                measures: BTreeMap::from([("forward".to_owned(), value)]),
                ..Output::default()
            };
            add(&mut comparisons, name, precision, output);
        }
        let found = comparisons.iter().map(|comparison| {
            let programs = comparison.programs.iter();
            let programs =
                programs.map(|(name, values)| (name.as_str(), values["forward"].clone()));
            (comparison.precision.as_str(), programs.collect::<Vec<_>>())
        });
        let expected = [
            ("f32", vec![("ours", vec![1.0, 2.0]), ("Keras", vec![4.0])]),
            ("bf16", vec![("ours", vec![3.0])]),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn ours_treats_memory_as_cargo_has_it() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let found = tunables(&Place { root }).unwrap();
        assert!(
            found.starts_with("glibc.malloc.") && !found.contains('"'),
            "{found}"
        );
    }
}
