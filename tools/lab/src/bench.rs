//! `cargo lab bench`: the lesson's parts in this crate, in Keras on TensorFlow and in PyTorch, on the same pictures.
//!
//! The programs of `benches/` take turns, each alone in a process of its own, as often as `--runs` says; what they
//! print becomes one table a precision, and JSON. On a machine without Rust the built programs serve: `lab bench
//! --binary FILE --python PYTHON`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Instant;

use checkout::place::Place;
use checkout::say;

use crate::bench_options::Options;
use crate::comparison::{Comparison, object, text};
use crate::contender::Output;
use crate::contenders::Programs;
use crate::hardware::{Hardware, date};
use crate::trouble::{Result, Trouble};

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
    let date = date();
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

#[cfg(test)]
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
}
