//! The programs that `cargo lab bench` measures: built or set up, and started on the same arguments.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use checkout::place::Place;

use crate::bench_options::Options;
use crate::contender::Contender;
use crate::peers;
use crate::programs;
use crate::setup;
use crate::trouble::{Result, Trouble};

/// Our program, an example of the crate.
const OURS: &str = "bench_lesson";

/// The programs, ready to be started.
pub struct Programs {
    ours: PathBuf,
    /// PyTorch's Python.
    python: Option<PathBuf>,
    /// Keras' Python.
    keras: Option<PathBuf>,
}

impl Programs {
    /// Builds ours and sets the peers up, unless both are named. A peer that cannot be had is noted.
    pub fn prepare(place: &Place, options: &Options, notes: &mut BTreeSet<String>) -> Result<Self> {
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
                let built = programs::cargo(place, ["build", "--example", OURS]).status();
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
    pub fn contenders(
        &self,
        place: &Place,
        options: &Options,
        precision: &'static str,
    ) -> Vec<Contender> {
        let arguments = options.arguments();
        let libraries = match options.binary {
            // Built elsewhere: libtorch is where this machine's PyTorch has it.
            Some(_) => self.python.as_ref().and_then(libraries_of_torch),
            None => None,
        };
        let ours = |name, own_precision| {
            let mut command = Command::new(&self.ours);
            command
                .args(&arguments)
                .args(["--precision", own_precision])
                .envs(tunables(place).map(|tunables| ("GLIBC_TUNABLES", tunables)))
                .envs(libraries.iter().map(|path| ("LD_LIBRARY_PATH", path)));
            Contender {
                name,
                precision,
                command,
            }
        };
        let peer = |name, python: &PathBuf, program: &str, more: &[&str]| {
            let mut command = Command::new(python);
            command
                .args(["-W", "ignore"])
                .arg(place.root.join("benches").join(program))
                .args(&arguments)
                .args(["--precision", precision])
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
        let mut all = match precision {
            // As the lab chooses it where it pays, and with Keras' numbers to the last digits.
            "f32" if !options.on_gpu() => {
                vec![ours("ours", "f32-winograd"), ours("ours, plain f32", "f32")]
            }
            _ => vec![ours("ours", precision)],
        };
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
    fn ours_treats_memory_as_cargo_has_it() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let found = tunables(&Place { root }).unwrap();
        assert!(
            found.starts_with("glibc.malloc.") && !found.contains('"'),
            "{found}"
        );
    }
}
