//! Our side of `cargo lab bench`: the lesson's parts, timed; the peers' are `keras_lesson.py` and `torch_lesson.py`.
//!
//! Prints a line for each result, `measure NAME VALUE`, as the peers do. benches/README.md says what each measures.
//!
//! ```text
//! bench_lesson --data DIR --weights FILE|seed:N --network vgg16|resnet50|inception_v3 --train N --validation M --batch B --epochs E
//!     --device cpu|cuda --precision f32|f32-winograd|bf16 --parts extraction,forward,head,frozen,tuned,decode [--size 150]
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's results are what it prints"
)]

use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;

use evcxr_transfer::History;
use evcxr_transfer::prelude::*;

/// The side of the pictures, in pixels, unless `--size` says otherwise: the lesson's, and the peers'.
const SIZE: &str = "150";

fn main() -> std::process::ExitCode {
    match measure_all() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// The arguments, by name. The peers take the same.
struct Arguments(HashMap<String, String>);

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut words = std::env::args().skip(1);
        let mut found = HashMap::from([("size".to_owned(), SIZE.to_owned())]);
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").unwrap_or_default().to_owned();
            let value = words
                .next()
                .ok_or_else(|| format!("{word} needs a value"))?;
            found.insert(name, value);
        }
        Ok(Self(found))
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        let found = self.0.get(name).map(String::as_str);
        found.ok_or_else(|| format!("--{name} is missing"))
    }

    fn number(&self, name: &str) -> Result<usize, String> {
        let text = self.text(name)?;
        let parsed = text.parse();
        parsed.map_err(|_| format!("--{name} is {text:?}; it must be a whole number"))
    }
}

fn measure_all() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    let parts: Vec<&str> = arguments.text("parts")?.split(',').collect();
    let wants = |part: &str| parts.contains(&part);
    let device = match arguments.text("device")? {
        "cuda" => Device::Cuda(0),
        _ => Device::Cpu,
    };
    let precision: Precision = arguments.text("precision")?.parse()?;
    let data = Data::open(arguments.text("data")?)?;
    let data = data.take(arguments.number("train")?, arguments.number("validation")?);
    let count = data.train.len() + data.validation.len();
    let weights = arguments.text("weights")?;
    let weights = match weights.strip_prefix("seed:") {
        Some(seed) => Weights::seeded(seed.parse()?),
        None => Weights::load(weights)?,
    };
    let size = arguments.number("size")?;
    let base = match arguments.text("network")? {
        "resnet50" => {
            Base::resnet50(size, &weights, device, precision)?.pooling(Pooling::Average)?
        }
        "inception_v3" => {
            Base::inception_v3(size, &weights, device, precision)?.pooling(Pooling::Average)?
        }
        "vgg16" => Base::vgg16(size, &weights, device, precision)?,
        other => return Err(format!("--network is {other:?}; it is not known here").into()),
    };
    let base = base.progress(Progress::quiet());
    let batch = arguments.number("batch")?;
    let fit = Fit::default()
        .epochs(arguments.number("epochs")?)
        .batch_size(batch)
        .progress(Progress::quiet());
    println!("version evcxr_transfer {}", env!("CARGO_PKG_VERSION"));

    if wants("decode") {
        measure("decode", decoded_a_second(&data.train, size)?);
    }
    if wants("forward") {
        let pixels = pixels_of(&data.train, size)?;
        // The first batch pays for memory and, on a GPU, for the choice of kernels.
        let _features = base.predict(&pixels)?;
        synchronize(device);
        let start = Instant::now();
        let _features = base.predict(&pixels)?;
        synchronize(device);
        measure("forward", data.train.len() as f64 / seconds(start));
    }
    if wants("extraction") || wants("head") {
        base.extract_features(&data.train.take(batch))?;
        let start = Instant::now();
        let train = base.extract_features(&data.train)?;
        let validation = base.extract_features(&data.validation)?;
        synchronize(device);
        measure("extraction", count as f64 / seconds(start));
        if wants("head") {
            let (_, history) = train_head(&train, &validation, &fit)?;
            measure("head_epoch", epoch_seconds(&history));
        }
    }
    if wants("frozen") || wants("tuned") {
        let augment = Augment::lesson();
        let mut model = Classifier::new(&base, Head::dense(256), data.train.classes())?;
        if wants("frozen") {
            let start = Instant::now();
            let history = model.train_frozen(&data, &augment, &fit)?;
            measure("frozen_run", seconds(start));
            measure("frozen_epoch", epoch_seconds(&history));
        }
        if wants("tuned") {
            let start = Instant::now();
            let fit = fit.learning_rate(1e-5);
            let history = model.fine_tune("block5_conv1", &data, &augment, &fit)?;
            measure("tuned_run", seconds(start));
            measure("tuned_epoch", epoch_seconds(&history));
        }
    }
    if let Some(megabytes) = peak_memory() {
        measure("memory", megabytes);
    }
    Ok(())
}

fn measure(name: &str, value: f64) {
    println!("measure {name} {value}");
}

fn seconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}

/// Waits for what a GPU has still to do: its kernels run behind the program's back.
fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

/// The median of the epochs, with their validation; the first, which warms up, counts only where it is alone.
fn epoch_seconds(history: &History) -> f64 {
    let mut all: Vec<f64> = history.epochs.iter().map(|epoch| epoch.seconds).collect();
    if all.len() > 1 {
        all.remove(0);
    }
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many pictures one core decodes and resizes in a second, with their files in Linux' cache.
fn decoded_a_second(dataset: &Dataset, size: usize) -> Result<f64, Box<dyn Error>> {
    let pass = || {
        for file in dataset.files() {
            Photo::open(file)?.resize(size, size, Interpolation::Nearest)?;
        }
        Ok::<_, evcxr_transfer::Error>(())
    };
    pass()?;
    let start = Instant::now();
    pass()?;
    Ok(dataset.len() as f64 / seconds(start))
}

/// All pictures as bytes, (N, size, size, 3).
fn pixels_of(dataset: &Dataset, size: usize) -> Result<Tensor, Box<dyn Error>> {
    let mut bytes = Vec::new();
    for file in dataset.files() {
        let photo = Photo::open(file)?.resize(size, size, Interpolation::Nearest)?;
        bytes.extend_from_slice(photo.bytes());
    }
    let side = size as i64;
    Ok(Tensor::f_from_slice(&bytes)?.f_view([-1, side, side, 3])?)
}

/// The most memory that this process has had, in MB, as Linux counts it.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some((kilobytes * 1024.0 / 1e6).round())
}
