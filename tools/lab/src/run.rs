//! `cargo lab run`: notebooks from their first cell to their last, without a browser.
//!
//! `execute.py` does it with Jupyter's own libraries; its lines and its exit code are the user's.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use crate::programs;
use crate::setup;
use crate::trouble::{Result, Trouble};
use checkout::place::Place;

const PROGRAM: &str = include_str!("../execute.py");

const HOW: &str = "`cargo lab run [NOTEBOOK...] [--out DIR]`";

/// Sets up what is missing, then runs the notebooks; paths are meant from where the user stands.
pub fn command(place: &Place, arguments: &[String]) -> Result<ExitCode> {
    let order = Order::new(place, arguments)?;
    for notebook in &order.notebooks {
        check(notebook)?;
    }
    std::fs::create_dir_all(&order.results)
        .map_err(|error| Trouble::file("make", &order.results, &error))?;
    check_results(&order)?;
    setup::for_notebooks(place)?;
    // In place of this program: Ctrl-C then waits for the end of the kernel, and the exit code is
    // the user's. It comes back only if there is nothing to start.
    let error = programs::python(place)
        // -I: a `queue.py` in the user's folder is not Python's. Kernels are started without it.
        .args(["-I", "-W", "ignore", "-c", PROGRAM])
        .arg(&order.results)
        .args(&order.notebooks)
        // No engine that waits for a next notebook: nobody may come.
        .env("EVCXR_TRANSFER_SPARE", "0")
        .stdin(Stdio::null())
        .exec();
    Err(Trouble::program(".venv/bin/python", &error))
}

/// What the command line asks for, as absolute paths.
#[derive(Debug, PartialEq)]
struct Order {
    notebooks: Vec<PathBuf>,
    results: PathBuf,
}

impl Order {
    fn new(place: &Place, arguments: &[String]) -> Result<Self> {
        let mut words = arguments.iter().map(String::as_str).peekable();
        // `cargo lab run -- NOTEBOOK` means the same as without the dashes.
        words.next_if_eq(&"--");
        let mut notebooks = Vec::new();
        let mut results = None;
        while let Some(word) = words.next() {
            if let Some(folder) = word.strip_prefix("--out=") {
                results = Some(folder);
            } else if word == "--out" {
                results = Some(words.next().unwrap_or_default());
            } else if word.starts_with('-') {
                return Err(Trouble::usage(format!("`{word}` is not understood"), HOW));
            } else {
                notebooks.push(absolute(word));
            }
        }
        if results.is_some_and(|folder| folder.is_empty() || folder.starts_with('-')) {
            return Err(Trouble::usage("`--out` needs a folder", HOW));
        }
        if notebooks.is_empty() {
            notebooks.push(place.root.join("notebooks/01_transfer_learning.ipynb"));
        }
        Ok(Self {
            notebooks,
            results: results.map_or_else(|| place.lab().join("run"), absolute),
        })
    }

    /// Where the result of a notebook goes.
    fn result(&self, notebook: &Path) -> PathBuf {
        self.results.join(notebook.file_name().unwrap_or_default())
    }
}

fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Refuses what is no notebook.
fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Trouble::new(
            format!("{shown} is a folder"),
            "name the notebooks in it, one by one",
        ));
    }
    if !path.is_file() {
        return Err(Trouble::new(
            format!("there is no file {shown}"),
            "check the path; it is meant from the folder that you are in",
        ));
    }
    if path.extension().is_none_or(|end| end != "ipynb") {
        return Err(Trouble::new(
            format!("{shown} is no notebook: its name does not end in .ipynb"),
            "name a Jupyter notebook",
        ));
    }
    Ok(())
}

/// Refuses results that would replace a notebook, or the results of another one.
fn check_results(order: &Order) -> Result<()> {
    for (number, notebook) in order.notebooks.iter().enumerate() {
        let result = order.result(notebook);
        if order.notebooks[..number]
            .iter()
            .any(|earlier| order.result(earlier) == result)
        {
            return Err(Trouble::new(
                format!("two notebooks would give {}", result.display()),
                "run them one after the other, each with an `--out DIR` of its own",
            ));
        }
        let present = result.canonicalize().ok();
        if present.is_some()
            && order
                .notebooks
                .iter()
                .any(|source| source.canonicalize().ok() == present)
        {
            return Err(Trouble::new(
                format!("{} would be written over", result.display()),
                "choose another folder with `--out DIR`",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(words: &[&str]) -> Result<Order> {
        let place = Place {
            root: PathBuf::from("/repository"),
        };
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Order::new(&place, &words)
    }

    fn asked(words: &[&str]) -> Option<(Vec<PathBuf>, PathBuf)> {
        let order = order(words).ok()?;
        Some((order.notebooks, order.results))
    }

    #[test]
    fn without_words_the_lesson_is_run() {
        let lesson = PathBuf::from("/repository/notebooks/01_transfer_learning.ipynb");
        let results = PathBuf::from("/repository/.lab/run");
        let expected = Some((vec![lesson], results));
        assert_eq!(asked(&[]), expected);
        assert_eq!(asked(&["--"]), expected);
    }

    #[test]
    fn notebooks_and_the_folder_for_results_come_in_any_order() {
        let expected = Some((
            vec![PathBuf::from("/a.ipynb"), PathBuf::from("/b.ipynb")],
            PathBuf::from("/out"),
        ));
        assert_eq!(asked(&["/a.ipynb", "--out", "/out", "/b.ipynb"]), expected);
        assert_eq!(
            asked(&["--", "--out=/out", "/a.ipynb", "/b.ipynb"]),
            expected
        );
    }

    #[test]
    fn words_without_sense_are_refused() {
        for words in [
            &["--part"][..],
            &["-x"],
            &["--out"],
            &["--out="],
            &["--out", "--part"],
            &["a.ipynb", "--"],
        ] {
            assert_eq!(order(words).err().map(|trouble| trouble.exit_code), Some(2));
        }
    }

    #[test]
    fn two_notebooks_of_one_name_are_refused() {
        let order = Order {
            notebooks: vec!["/a/x.ipynb".into(), "/b/x.ipynb".into()],
            results: "/out".into(),
        };
        assert!(check_results(&order).is_err());
    }
}
