//! Draws the project's sample pictures: cats and dogs for lessons and tests without a download.
//!
//! ```text
//! cargo run -p samples                                   redraws data/samples
//! cargo run -p samples -- --out /tmp/more --train 200    another folder, other numbers
//! cargo lab setup                                        400 + 200 into data/drawn, once
//! ```
//!
//! The pictures go to `train/cats`, `train/dogs`, `validation/cats` and `validation/dogs`, named
//! `cat.0.jpg`, `dog.0.jpg` and so on; validation goes on counting where training stops. The same
//! arguments always give the same bytes, on any number of cores: a picture depends on the seed and its
//! number alone. Pictures with other numbers that are already there stay.

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
use std::sync::atomic::{AtomicUsize, Ordering};

const USAGE: &str = "usage: samples [--out DIR] [--seed N] [--train N] [--validation N]

  --out DIR         where the pictures go       (the project's data/samples)
  --seed N          another set of pictures     (2017)
  --train N         training pictures a class   (30)
  --validation N    validation pictures a class (15)";

/// A line of progress comes after so many pictures: some seconds on a core.
const PROGRESS_EVERY: usize = 150;

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

/// A picture that is to be drawn, and where it goes.
struct Order {
    number: u64,
    animal: Animal,
    path: PathBuf,
}

fn draw_all(options: &Options) -> Result<String, String> {
    let orders = orders(options)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bytes = draw_with(options.seed, &orders, cores)?;
    Ok(format!(
        "{} pictures, {} kB in {}",
        orders.len(),
        bytes / 1000,
        options.out.display()
    ))
}

/// Makes the folders and lists the pictures, folder by folder.
fn orders(options: &Options) -> Result<Vec<Order>, String> {
    let Options {
        train, validation, ..
    } = *options;
    let mut orders = Vec::new();
    for (part, numbers) in [
        ("train", 0..train),
        ("validation", train..train.saturating_add(validation)),
    ] {
        for (folder, name, animal) in [("cats", "cat", Animal::Cat), ("dogs", "dog", Animal::Dog)] {
            let folder = options.out.join(part).join(folder);
            std::fs::create_dir_all(&folder)
                .map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
            orders.extend(numbers.clone().map(|number| Order {
                number,
                animal,
                path: folder.join(format!("{name}.{number}.jpg")),
            }));
        }
    }
    Ok(orders)
}

/// Draws the pictures on so many threads; how many bytes they have together.
fn draw_with(seed: u64, orders: &[Order], threads: usize) -> Result<usize, String> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut bytes = 0;
        while let Some(order) = orders.get(next.fetch_add(1, Ordering::Relaxed)) {
            let drawn = draw_one(seed, order.number, order.animal).and_then(|jpeg| {
                std::fs::write(&order.path, &jpeg)
                    .map_err(|e| format!("cannot write {}: {e}", order.path.display()))?;
                Ok(jpeg.len())
            });
            match drawn {
                Ok(size) => bytes += size,
                Err(problem) => {
                    // The others stop after the picture that they are at.
                    next.store(orders.len(), Ordering::Relaxed);
                    return Err(problem);
                }
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done % PROGRESS_EVERY == 0 && done < orders.len() {
                let text = format!("  {done} of {} pictures", orders.len());
                say(std::io::stdout(), &text, ExitCode::SUCCESS);
            }
        }
        Ok(bytes)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results
            .map(|result| result.unwrap_or_else(|_| Err("a thread has panicked".to_owned())))
            .sum()
    })
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pictures_are_drawn_again_byte_for_byte_on_any_number_of_threads() {
        let committed = options(&[]).unwrap();
        for threads in [1, 3] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().to_string_lossy().into_owned();
            let options = options(&["--out".to_owned(), out]).unwrap();
            let orders = orders(&options).unwrap();
            assert_eq!(orders.len(), 90);
            draw_with(options.seed, &orders, threads).unwrap();
            for order in &orders {
                let name = order.path.strip_prefix(&options.out).unwrap();
                let expected = std::fs::read(committed.out.join(name)).unwrap();
                assert_eq!(std::fs::read(&order.path).unwrap(), expected, "{name:?}");
            }
        }
    }

    #[test]
    fn a_picture_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let order = Order {
            number: 0,
            animal: Animal::Cat,
            path: folder.path().join("absent/cat.0.jpg"),
        };
        let problem = draw_with(2017, &[order], 2).unwrap_err();
        assert!(problem.contains("cat.0.jpg"), "{problem}");
    }
}
