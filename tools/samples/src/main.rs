//! Draws the project's sample pictures: cats and dogs for lessons and tests without a download.
//!
//! ```text
//! cargo run -p samples                                   redraws data/samples
//! cargo run -p samples -- --out /tmp/more --train 200    another folder, other numbers
//! ```
//!
//! The pictures go to `train/cats`, `train/dogs`, `validation/cats` and `validation/dogs`, named
//! `cat.0.jpg`, `dog.0.jpg` and so on; validation goes on counting where training stops. The same
//! arguments always give the same bytes. Pictures with other numbers that are already there stay.

mod canvas;
mod cat;
mod coat;
mod dog;
mod draw;
mod random;
mod room;
mod scene;
mod shapes;

use draw::{Animal, Plan};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use random::Random;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: samples [--out DIR] [--seed N] [--train N] [--validation N]

  --out DIR         where the pictures go       (the project's data/samples)
  --seed N          another set of pictures     (2017)
  --train N         training pictures a class   (30)
  --validation N    validation pictures a class (15)";

/// What the command line asks for.
struct Options {
    out: PathBuf,
    seed: u64,
    train: u64,
    validation: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        return say(std::io::stdout(), USAGE, ExitCode::SUCCESS);
    }
    match options(&arguments).and_then(|options| draw_all(&options)) {
        Ok(report) => say(std::io::stdout(), &report, ExitCode::SUCCESS),
        Err(problem) => say(
            std::io::stderr(),
            &format!("samples: {problem}"),
            ExitCode::FAILURE,
        ),
    }
}

/// A reader that went away (`| head`) is no reason to fail.
fn say(mut to: impl Write, text: &str, code: ExitCode) -> ExitCode {
    let _ = writeln!(to, "{text}");
    code
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = package.ancestors().nth(2).unwrap_or(package);
    let mut options = Options {
        out: project.join("data/samples"),
        seed: 2017,
        train: 30,
        validation: 15,
    };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let mut value = || {
            rest.next()
                .ok_or(format!("{name} needs a value\n\n{USAGE}"))
        };
        match name.as_str() {
            "--out" => options.out = PathBuf::from(value()?),
            "--seed" => options.seed = number(name, value()?)?,
            "--train" => options.train = number(name, value()?)?,
            "--validation" => options.validation = number(name, value()?)?,
            _ => return Err(format!("unknown argument {name}\n\n{USAGE}")),
        }
    }
    Ok(options)
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    value
        .parse()
        .map_err(|_| format!("{name} takes a whole number from 0 on, not {value:?}"))
}

fn draw_all(options: &Options) -> Result<String, String> {
    let Options {
        train, validation, ..
    } = *options;
    let mut bytes = 0;
    for (part, numbers) in [
        ("train", 0..train),
        ("validation", train..train.saturating_add(validation)),
    ] {
        for (folder, name, animal) in [("cats", "cat", Animal::Cat), ("dogs", "dog", Animal::Dog)] {
            let folder = options.out.join(part).join(folder);
            std::fs::create_dir_all(&folder)
                .map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
            for number in numbers.clone() {
                let path = folder.join(format!("{name}.{number}.jpg"));
                let jpeg = draw_one(options.seed, number, animal)?;
                std::fs::write(&path, &jpeg)
                    .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
                bytes += jpeg.len();
            }
        }
    }
    let pictures = train.saturating_add(validation).saturating_mul(2);
    Ok(format!(
        "{pictures} pictures, {} kB in {}",
        bytes / 1000,
        options.out.display()
    ))
}

fn draw_one(seed: u64, number: u64, animal: Animal) -> Result<Vec<u8>, String> {
    // Three streams a number: what both animals share, the cat's own choices, the dog's own.
    let stream = number.wrapping_mul(3);
    let plan = Plan::choose(&mut Random::new(seed, stream));
    let own = stream.wrapping_add(if animal == Animal::Cat { 1 } else { 2 });
    let pixels = plan
        .picture(animal, &mut Random::new(seed, own))
        .ok_or(format!(
            "cannot draw {} x {} pixels",
            plan.width, plan.height
        ))?;
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 74)
        .write_image(&pixels, plan.width, plan.height, ExtendedColorType::Rgb8)
        .map_err(|e| format!("cannot encode picture {number}: {e}"))?;
    Ok(jpeg)
}
