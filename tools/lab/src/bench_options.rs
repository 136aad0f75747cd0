//! What `cargo lab bench` is asked for.

use std::collections::BTreeSet;
use std::path::PathBuf;

use checkout::place::Place;

use crate::hardware::Hardware;
use crate::trouble::{Result, Trouble};

const HOW: &str = "`cargo lab bench [--train N] [--validation M] [--runs N] [--batch N] [--epochs N] [--gpu] \
    [--device cpu|cuda] [--network vgg16|resnet50|inception_v3] [--precision f32|bf16|both] [--only PART,PART] [--without-keras] [--data DIR] \
    [--weights FILE] [--binary FILE] [--python PYTHON] [--out FILE]`";

/// The parts that programs measure.
const PARTS: [&str; 6] = ["decode", "forward", "extraction", "head", "frozen", "tuned"];

/// The networks that programs know; the lesson's is the first, and has all parts.
const NETWORKS: [&str; 3] = ["vgg16", "resnet50", "inception_v3"];

/// Those of the others: what differs from the lesson is how long a picture takes to pass them.
const PARTS_OF_OTHERS: [&str; 2] = ["forward", "extraction"];

/// Where pictures are looked for: the lesson's photographs, then what stands in for them.
const PICTURES: [&str; 3] = ["data/cats_and_dogs_filtered", "data/drawn", "data/samples"];

/// Keras' official file.
const WEIGHTS: &str = "data/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5";

/// What is measured, on what and how often.
#[derive(Debug, PartialEq)]
pub struct Options {
    train: usize,
    validation: usize,
    batch: usize,
    epochs: usize,
    /// How often each program runs.
    pub runs: usize,
    device: String,
    network: String,
    precision: Option<String>,
    parts: Vec<String>,
    /// Whether Keras takes part.
    pub with_keras: bool,
    data: PathBuf,
    weights: String,
    /// Our program, if it is not to be built here.
    pub binary: Option<PathBuf>,
    /// A Python with PyTorch, if `.venv` is not to be set up.
    pub python: Option<PathBuf>,
    out: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; paths are meant from where the user stands.
    pub fn new(place: &Place, arguments: &[String]) -> Result<Self> {
        let data = PICTURES.map(|folder| place.root.join(folder));
        let weights = place.root.join(WEIGHTS);
        let mut options = Self {
            train: 400,
            validation: 200,
            batch: 20,
            epochs: 3,
            runs: 3,
            device: "cpu".to_owned(),
            network: NETWORKS[0].to_owned(),
            precision: None,
            parts: PARTS.map(str::to_owned).to_vec(),
            with_keras: true,
            data: data
                .iter()
                .find(|folder| folder.is_dir())
                .unwrap_or(&data[2])
                .clone(),
            weights: match weights.is_file() {
                true => weights.to_string_lossy().into_owned(),
                false => "seed:0".to_owned(),
            },
            binary: None,
            python: None,
            out: None,
        };
        // Whatever the order of the words: what these mean depends on the network.
        let mut only: Option<Vec<String>> = None;
        let mut named_weights: Option<String> = None;
        let mut words = arguments
            .iter()
            .flat_map(|word| match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => vec![name, value],
                _ => vec![word.as_str()],
            });
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().filter(|value| !value.is_empty());
                value.ok_or_else(|| Trouble::usage(format!("`{word}` needs a value"), HOW))
            };
            match word {
                "--train" => options.train = number(word, value()?)?,
                "--validation" => options.validation = number(word, value()?)?,
                "--batch" => options.batch = number(word, value()?)?,
                "--epochs" => options.epochs = number(word, value()?)?,
                "--runs" => options.runs = number(word, value()?)?,
                "--gpu" => options.device = "cuda".to_owned(),
                "--device" => options.device = one_of(word, value()?, &["cpu", "cuda"])?,
                "--network" => options.network = one_of(word, value()?, &NETWORKS)?,
                "--precision" => {
                    options.precision = Some(one_of(word, value()?, &["f32", "bf16", "both"])?);
                }
                "--only" => {
                    let parts = value()?.split(',').map(|part| one_of(word, part, &PARTS));
                    only = Some(parts.collect::<Result<_>>()?);
                }
                "--without-keras" => options.with_keras = false,
                "--data" => options.data = absolute(value()?),
                "--weights" => {
                    let value = value()?;
                    let is_seed = value.starts_with("seed:");
                    named_weights = Some(match is_seed {
                        true => value.to_owned(),
                        false => absolute(value).to_string_lossy().into_owned(),
                    });
                }
                "--binary" => options.binary = Some(absolute(value()?)),
                "--python" => options.python = Some(absolute(value()?)),
                "--out" => options.out = Some(absolute(value()?)),
                _ => return Err(Trouble::usage(format!("`{word}` is not understood"), HOW)),
            }
        }
        if options.network != NETWORKS[0] {
            options.parts = PARTS_OF_OTHERS.map(str::to_owned).to_vec();
            options.weights = "seed:0".to_owned();
        }
        let parts_there = options.parts.clone();
        options.parts = only.unwrap_or(options.parts);
        options.weights = named_weights.unwrap_or(options.weights);
        let network = &options.network;
        if !options.parts.iter().all(|part| parts_there.contains(part)) {
            let problem = format!(
                "of {network} these are measured: {}",
                parts_there.join(", ")
            );
            return Err(Trouble::usage(problem, HOW));
        }
        if network != NETWORKS[0] && !options.weights.starts_with("seed:") {
            let problem = format!("the weights of {network} are drawn: `--weights` takes seed:N");
            return Err(Trouble::usage(problem, HOW));
        }
        if !options.data.join("train").is_dir() || !options.data.join("validation").is_dir() {
            return Err(Trouble::new(
                format!(
                    "{} has no folders train and validation",
                    options.data.display()
                ),
                "name a folder of pictures with `--data DIR`",
            ));
        }
        Ok(options)
    }

    /// What is measured: bf16 only where the hardware has it, unless it is asked for.
    pub fn precisions(
        &self,
        hardware: &Hardware,
        notes: &mut BTreeSet<String>,
    ) -> Vec<&'static str> {
        match self.precision.as_deref() {
            Some("f32") => vec!["f32"],
            Some("bf16") => vec!["bf16"],
            Some(_) => vec!["f32", "bf16"],
            None if self.on_gpu() || hardware.has_bf16() => vec!["f32", "bf16"],
            None => {
                notes.insert(
                    "bf16 was not measured: this processor has no instructions for it".into(),
                );
                vec!["f32"]
            }
        }
    }

    /// Whether all of them compute on a GPU.
    pub fn on_gpu(&self) -> bool {
        self.device == "cuda"
    }

    /// The arguments of each program, but for its precision.
    pub fn arguments(&self) -> Vec<String> {
        let numbers = [
            ("--train", self.train),
            ("--validation", self.validation),
            ("--batch", self.batch),
            ("--epochs", self.epochs),
        ];
        let numbers = numbers.map(|(name, value)| [name.to_owned(), value.to_string()]);
        let texts = [
            ("--data", self.data.to_string_lossy().into_owned()),
            ("--weights", self.weights.clone()),
            ("--network", self.network.clone()),
            ("--device", self.device.clone()),
            ("--parts", self.parts.join(",")),
        ];
        let texts = texts.map(|(name, value)| [name.to_owned(), value]);
        numbers.into_iter().chain(texts).flatten().collect()
    }

    /// The options that results depend on, in words.
    pub fn line(&self) -> String {
        let pictures = self.data.file_name().unwrap_or_default().to_string_lossy();
        let weights = match self.weights.starts_with("seed:") {
            true => "drawn weights",
            false => "weights of a file",
        };
        format!(
            "{}, {} + {} pictures of {pictures}, {weights}, batch {}, {} epochs a part, {} runs, {}",
            self.network,
            self.train,
            self.validation,
            self.batch,
            self.epochs,
            self.runs,
            self.device
        )
    }

    /// Where the results go: `.lab/bench/2026-03-07_14-05.json`.
    pub fn results(&self, place: &Place, date: &str) -> PathBuf {
        let name = date.replace(' ', "_").replace(':', "-");
        let usual = || place.lab().join("bench").join(format!("{name}.json"));
        self.out.clone().unwrap_or_else(usual)
    }
}

fn number(name: &str, text: &str) -> Result<usize> {
    let parsed = text.parse().ok().filter(|&number| number > 0);
    parsed.ok_or_else(|| {
        Trouble::usage(
            format!("`{name}` must be a whole number above 0, not `{text}`"),
            HOW,
        )
    })
}

fn one_of(name: &str, word: &str, words: &[&str]) -> Result<String> {
    if words.contains(&word) {
        return Ok(word.to_owned());
    }
    let words = words.join(", ");
    Err(Trouble::usage(
        format!("`{name}` must be one of {words}, not `{word}`"),
        HOW,
    ))
}

fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Result<Options> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Options::new(&Place { root }, &words)
    }

    #[test]
    fn words_become_options_of_all_programs() {
        let options = options(&[
            "--train=20",
            "--validation",
            "10",
            "--gpu",
            "--only",
            "decode,tuned",
        ]);
        let arguments = options.unwrap().arguments().join(" ");
        for expected in [
            "--train 20",
            "--validation 10",
            "--batch 20",
            "--device cuda",
            "--parts decode,tuned",
        ] {
            assert!(arguments.contains(expected), "{arguments}");
        }
    }

    #[test]
    fn another_network_has_drawn_weights_whatever_the_order_of_the_words() {
        for words in [
            &["--network", "resnet50", "--only", "forward"][..],
            &["--only", "forward", "--network", "resnet50"],
        ] {
            let arguments = options(words).unwrap().arguments().join(" ");
            for expected in ["--network resnet50", "--parts forward", "--weights seed:0"] {
                assert!(arguments.contains(expected), "{arguments}");
            }
        }
    }

    #[test]
    fn bf16_is_measured_where_the_hardware_has_it() {
        let precisions = |words: &[&str], instructions: &[&str]| {
            let hardware = Hardware {
                instructions: instructions.iter().map(|&name| name.to_owned()).collect(),
                ..Hardware::default()
            };
            options(words)
                .unwrap()
                .precisions(&hardware, &mut BTreeSet::new())
        };
        assert_eq!(precisions(&[], &["avx2"]), ["f32"]);
        assert_eq!(precisions(&[], &["avx2", "amx_bf16"]), ["f32", "bf16"]);
        assert_eq!(precisions(&["--gpu"], &["avx2"]), ["f32", "bf16"]);
        assert_eq!(precisions(&["--precision", "bf16"], &["avx2"]), ["bf16"]);
    }

    #[test]
    fn words_without_sense_are_refused() {
        for words in [
            &["--train"][..],
            &["--train", "0"],
            &["--runs", "x"],
            &["--only", "all"],
            &["--device", "tpu"],
            &["--data", "no/such/folder"],
            &["20"],
            &["--network", "resnet50", "--only", "tuned"],
            &["--weights", "file.h5", "--network", "resnet50"],
        ] {
            assert!(options(words).is_err(), "{words:?}");
        }
    }
}
