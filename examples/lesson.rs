//! The lesson as a plain program; the last line that it prints is one JSON object.
//!
//! ```text
//! cargo run --example lesson -- --data DIR --weights FILE|seed:N --part features|frozen|finetune|scratch
//!     --train N --validation M --epochs E --batch 20 --seed S --device cpu|cuda --precision f32|f32-winograd|bf16|auto
//! ```
//!
//! Part `finetune` first trains the head on a frozen base, as `frozen` does; the line has the numbers of
//! the fine-tuning. `--save FILE` keeps the model of these two; `--checkpoint FILE` saves it after every epoch
//! of the last run, and `--resume FILE` goes on with such a run, given the same arguments. `--backup DIR`
//! keeps every run in a folder, and the same command goes on where they were. `--model FILE` takes a model that was saved and
//! has it learn `--part`, without what comes before. Part `scratch` trains the small
//! network that the lesson compares with, from random weights.
//!
//! Started several times at once it is one program: `mpirun -n 4 target/debug/examples/lesson ...`, built with `--features mpi`. The
//! processes share every batch, and the first prints; the features of part 1 lie in `--shards DIR`, a folder that all of
//! them see (`.lab/features`), and are kept there. One process leaves none unless the folder is named.
//!
//! Without arguments: the machine's best device, the lesson's pictures and weights where they can be
//! had (drawn pictures and seeded weights otherwise), and as much of the lesson as the machine allows.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's results are what it prints"
)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use evcxr_transfer::Epoch;
use evcxr_transfer::prelude::*;
use serde_json::json;

const USAGE: &str = "\
usage: lesson [--data DIR] [--weights FILE|seed:N] [--part features|frozen|finetune|scratch] [--train N]
              [--validation M] [--epochs E] [--batch B] [--seed S] [--device cpu|cuda]
              [--precision f32|f32-winograd|bf16|auto] [--plot FILE.png|FILE.svg]
              [--save FILE] [--checkpoint FILE] [--resume FILE] [--model FILE]
              [--backup DIR] [--shards DIR] [--samples]";

/// The arguments, by name.
struct Arguments(Vec<(String, String)>);

impl Arguments {
    fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        const NAMES: [&str; 17] = [
            "data",
            "weights",
            "part",
            "train",
            "validation",
            "epochs",
            "batch",
            "seed",
            "device",
            "precision",
            "plot",
            "save",
            "checkpoint",
            "resume",
            "model",
            "backup",
            "shards",
        ];
        let mut words = words;
        let mut found = Vec::new();
        while let Some(word) = words.next() {
            let name = match word.strip_prefix("--") {
                // The short form that a quick hand types.
                Some("val") => "validation",
                Some(flag @ "samples") => {
                    found.push((flag.into(), String::new()));
                    continue;
                }
                Some(name) if NAMES.contains(&name) => name,
                _ => return Err(format!("unknown argument {word:?}\n{USAGE}")),
            };
            let value = words
                .next()
                .ok_or_else(|| format!("--{name} needs a value\n{USAGE}"))?;
            found.push((name.to_owned(), value));
        }
        Ok(Self(found))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| format!("--{name} is {text:?}; it must be a whole number"))
        };
        self.get(name).map(parse).transpose()
    }
}

fn main() -> std::process::ExitCode {
    match World::open().map(|world| (lesson(&world), world)) {
        Ok((Ok(()), _)) => return std::process::ExitCode::SUCCESS,
        Ok((Err(error), world)) => {
            eprintln!("error: {error}");
            world.abort();
        }
        Err(error) => eprintln!("error: {error}"),
    }
    std::process::ExitCode::FAILURE
}

/// Prints what the first process has to say, which is what all of them have.
fn say(world: &World, text: impl std::fmt::Display) {
    if world.rank() == 0 {
        println!("{text}");
    }
}

fn lesson(world: &World) -> Result<(), Box<dyn Error>> {
    if std::env::args()
        .skip(1)
        .any(|word| word == "--help" || word == "-h")
    {
        say(world, USAGE);
        return Ok(());
    }
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let part = arguments.get("part").unwrap_or("features");
    if !["features", "frozen", "finetune", "scratch"].contains(&part) {
        let expected = "it must be features, frozen, finetune or scratch";
        return Err(format!("--part is {part:?}; {expected}").into());
    }
    let lab = open_lab(&arguments)?.world(world);
    say(world, &lab);

    // Section 1: VGG16 without its top.
    let base = lab.vgg16(150)?;
    say(world, base.summary());

    // Section 2: the pictures.
    let data = match arguments.get("data") {
        Some(folder) => Data::open(folder)?,
        None => lab.cats_and_dogs()?,
    };
    let data = data.take(
        arguments.number("train")?.unwrap_or(usize::MAX),
        arguments.number("validation")?.unwrap_or(usize::MAX),
    );
    say(world, &data);

    let mut fit = lab.fit();
    fit.epochs = arguments.number("epochs")?.unwrap_or(fit.epochs);
    fit.batch_size = arguments.number("batch")?.unwrap_or(fit.batch_size);
    fit.seed = arguments.number("seed")?.unwrap_or(fit.seed);
    // Before the long part, not after it.
    fit.check()?;

    let (history, images_per_s) = match part {
        "features" => features(&base, &data, &fit, arguments.get("shards"))?,
        "scratch" => scratch(&lab, &data, &fit)?,
        part => end_to_end(&lab, &base, &data, &fit, part == "finetune", &arguments)?,
    };
    // Reported at the end: a picture that cannot be written must not cost the numbers.
    let plot = arguments.get("plot").filter(|_| world.rank() == 0);
    let plotted = plot.map(|path| history.save(path));

    let list =
        |value: fn(&Epoch) -> Option<f64>| history.epochs.iter().map(value).collect::<Vec<_>>();
    let report = json!({
        "part": part,
        "device": if base.device().is_cuda() { "cuda" } else { "cpu" },
        "precision": base.precision().to_string(),
        "images_per_s": images_per_s,
        "epoch_s": list(|epoch| Some(epoch.seconds)),
        "train_acc": list(|epoch| Some(epoch.accuracy)),
        "val_acc": list(|epoch| epoch.val_accuracy),
        "loss": list(|epoch| Some(epoch.loss)),
        "val_loss": list(|epoch| epoch.val_loss),
        "peak_rss_mb": peak_rss_mb(),
        "processes": world.size(),
    });
    say(world, report);
    plotted.transpose()?;
    Ok(())
}

/// Section 3: every picture once through the base, then a head on what comes out. Gives the pictures
/// that pass the base in a second, too.
fn features(
    base: &Base,
    data: &Data,
    fit: &Fit,
    shards: Option<&str>,
) -> Result<(History, f64), Box<dyn Error>> {
    let world = &fit.world;
    let several = (world.size() > 1).then_some(".lab/features");
    let extract = |dataset: &Dataset, part: &str| match shards.or(several) {
        None => base.extract_features(dataset),
        Some(folder) => base.extract_shards(dataset, Path::new(folder).join(part), world),
    };
    let start = Instant::now();
    let train = extract(&data.train, "train")?;
    let validation = extract(&data.validation, "validation")?;
    let seconds = start.elapsed().as_secs_f64();
    say(world, format!("{train}\n{validation}"));
    let (head, history) = train_head(&train, &validation, fit)?;
    say(world, head.summary());
    Ok((history, (train.len() + validation.len()) as f64 / seconds))
}

/// The small network from random weights, on pictures as they are: at a larger rate, since nothing there could be
/// spoiled. Gives the training pictures of a second, too.
fn scratch(lab: &Lab, data: &Data, fit: &Fit) -> Result<(History, f64), Box<dyn Error>> {
    let mut model = lab.small_conv_net(150, data.train.classes())?;
    say(&fit.world, model.summary());
    let fit = fit.clone().learning_rate(3e-4);
    let history = model.fit(data, &Augment::none(), &fit)?;
    let rate = pictures_a_second(&history, data);
    Ok((history, rate))
}

/// By the quickest epoch, with its validation: other programs slow single epochs down.
fn pictures_a_second(history: &History, data: &Data) -> f64 {
    let seconds = history.epochs.iter().map(|epoch| epoch.seconds);
    data.train.len() as f64 / seconds.fold(f64::INFINITY, f64::min)
}

/// Sections 4 and 5: base and head as one model, on augmented pictures; first with the base frozen,
/// then, if `tunes`, from block 5 on. Gives the training pictures of a second, too.
fn end_to_end(
    lab: &Lab,
    base: &Base,
    data: &Data,
    fit: &Fit,
    tunes: bool,
    arguments: &Arguments,
) -> Result<(History, f64), Box<dyn Error>> {
    let augment = Augment::lesson();
    let mut last = fit.clone();
    if tunes {
        last = last.learning_rate(1e-5);
    }
    if let Some(path) = arguments.get("checkpoint") {
        last = last.checkpoint(path);
    }
    let (model, history) = match arguments.get("resume") {
        Some(path) => {
            let mut model = lab.load(path)?;
            let history = model.resume(data, &last)?;
            (model, history)
        }
        None => match arguments.get("model") {
            Some(path) => {
                let mut model = lab.load(path)?;
                let history = match tunes {
                    true => model.fine_tune("block5_conv1", data, &augment, &last)?,
                    false => model.train_frozen(data, &augment, &last)?,
                };
                (model, history)
            }
            None => from_the_start(base, data, &augment, fit, &last, tunes)?,
        },
    };
    say(&fit.world, model.summary());
    if let Some(path) = arguments.get("save").filter(|_| fit.world.rank() == 0) {
        println!("{}", model.save(path)?);
    }
    let rate = pictures_a_second(&history, data);
    Ok((history, rate))
}

fn from_the_start(
    base: &Base,
    data: &Data,
    augment: &Augment,
    fit: &Fit,
    last: &Fit,
    tunes: bool,
) -> Result<(Classifier, History), Box<dyn Error>> {
    let mut model = Classifier::new(base, Head::dense(256), data.train.classes())?;
    let trainable = model.trainable_weights().len();
    model.freeze_base();
    let frozen = model.trainable_weights().len();
    let summary = model.summary();
    say(
        &fit.world,
        format!(
            "{summary}\ntrainable weight tensors before freezing: {trainable}, after: {frozen}"
        ),
    );
    if !tunes {
        let history = model.train_frozen(data, augment, last)?;
        return Ok((model, history));
    }
    model.train_frozen(data, augment, fit)?;
    say(&fit.world, model.unfreeze_from("block5_conv1")?);
    let history = model.fine_tune("block5_conv1", data, augment, last)?;
    Ok((model, history))
}

fn open_lab(arguments: &Arguments) -> Result<Lab, Box<dyn Error>> {
    let mut lab = Lab::open()?;
    // Whoever says which pictures means those, not the quick choice of them.
    if ["data", "train", "validation"]
        .iter()
        .any(|name| arguments.get(name).is_some())
    {
        lab = lab.full();
    }
    if arguments.get("samples").is_some() {
        lab = lab.samples();
    }
    match arguments.get("device") {
        None => {}
        Some("cpu") => lab = lab.device(Device::Cpu),
        Some("cuda") => lab = lab.device(Device::Cuda(0)),
        Some(other) => return Err(format!("--device is {other:?}; it must be cpu or cuda").into()),
    }
    match arguments.get("precision") {
        None | Some("auto") => {}
        Some(word) => lab = lab.precision(word.parse()?),
    }
    if let Some(folder) = arguments.get("backup") {
        lab = lab.backup(folder);
    }
    if let Some(weights) = arguments.get("weights") {
        lab = match weights.strip_prefix("seed:") {
            None => lab.weights(weights),
            Some(seed) => lab.seeded_weights(
                seed.parse()
                    .map_err(|_| format!("--weights seed:{seed}: it must be a number"))?,
            ),
        };
    }
    Ok(lab)
}

/// The most memory that this process has had, in MB, as Linux counts it.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some((kilobytes / 1024.0).round())
}
