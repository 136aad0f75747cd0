//! `cargo lab convert`: PyTorch's pickled weights as a safetensors file, which the crate reads.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use crate::programs;
use crate::trouble::{Result, Trouble};
use checkout::place::Place;

const PROGRAM: &str = include_str!("../convert.py");

/// `cargo lab convert IN.pth [OUT.safetensors]`; paths are meant from where the user stands.
pub fn command(place: &Place, arguments: &[String]) -> Result<ExitCode> {
    let (input, output) = match arguments {
        [input] => (input, Path::new(input).with_extension("safetensors")),
        [input, output] => (input, PathBuf::from(output)),
        _ => {
            return Err(Trouble::usage(
                "`convert` takes a file and, if you like, a name for the result",
                "`cargo lab convert vgg16.pth vgg16.safetensors`",
            ));
        }
    };
    if Path::new(input) == output {
        return Err(Trouble::usage(
            format!("{input} would be written over itself"),
            "name another file for the result; a .safetensors file needs no conversion",
        ));
    }
    if !Path::new(input).is_file() {
        return Err(Trouble::new(
            format!("there is no file {input}"),
            "check the path; it is meant from the folder that you are in",
        ));
    }
    if !place.python().exists() {
        return Err(Trouble::new(
            "there is no .venv, whose PyTorch reads the file",
            "run `cargo lab setup` first",
        ));
    }
    let answer = programs::python(place)
        // -I: a `torch.py` or `pickle.py` in the user's folder is not PyTorch's.
        .args(["-I", "-W", "ignore", "-c", PROGRAM])
        .arg(input)
        .arg(&output)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|child| child.wait_with_output())
        .map_err(|error| Trouble::program(".venv/bin/python", &error))?;
    if answer.status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    // The program's last line is "what<tab>remedy"; anything else is an accident worth showing.
    let text = String::from_utf8_lossy(&answer.stderr).into_owned();
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it gave no reason");
    Err(match last.split_once('\t') {
        Some((what, remedy)) => Trouble::new(what, remedy),
        None => Trouble::new(
            format!("converting {input} failed: {last}"),
            "check free memory and disk space; `cargo lab doctor` looks at the rest",
        ),
    })
}
