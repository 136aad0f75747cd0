//! The table of the golden tests, the files that it is made from, and the numbers that Python shares.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use evcxr_transfer::Tensor;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

/// How far a quantity may be off, and why just so far.
#[derive(Clone, Copy)]
pub struct Tolerance {
    pub most: f64,
    pub why: &'static str,
}

/// Of 1 less the cosine between features in f32 and in bf16.
pub const COSINE: Tolerance = Tolerance {
    most: 1e-3,
    why: "the bound that was asked for; bf16 rounds each number by up to 0.4 %, either way",
};

/// One line of the table.
pub struct Row {
    pub quantity: String,
    pub reference: String,
    pub worst: f64,
    pub tolerance: Tolerance,
}

impl Row {
    pub fn holds(&self) -> bool {
        // Written so that a NaN does not hold.
        self.worst <= self.tolerance.most
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row {
            quantity,
            reference,
            worst,
            tolerance,
        } = self;
        let (worst, most) = (short(*worst), short(tolerance.most));
        let why = tolerance.why;
        write!(f, "| {quantity} | {reference} | {worst} | {most} | {why} |")
    }
}

fn short(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        _ if number >= 0.01 => format!("{number:.3}"),
        _ => format!("{number:.1e}"),
    }
}

/// All lines, in the order in which they were measured.
#[derive(Default)]
pub struct Report {
    pub rows: Vec<Row>,
}

impl Report {
    pub fn add(
        &mut self,
        quantity: impl Into<String>,
        reference: &str,
        worst: f64,
        tolerance: Tolerance,
    ) {
        self.rows.push(Row {
            quantity: quantity.into(),
            reference: reference.to_owned(),
            worst,
            tolerance,
        });
    }

    /// Prints the table and fails if a line does not hold.
    pub fn close(&self) {
        println!("\n| quantity | reference | worst difference | tolerance | why |");
        println!("| --- | --- | --- | --- | --- |");
        for row in &self.rows {
            println!("{row}");
        }
        let broken = self.rows.iter().filter(|row| !row.holds());
        let broken = broken.map(Row::to_string).collect::<Vec<_>>();
        assert!(
            broken.is_empty(),
            "beyond the tolerance:\n{}",
            broken.join("\n")
        );
    }
}

/// A golden file.
pub struct Golden {
    /// What the JSON file holds, or the description in the metadata of a safetensors file.
    pub json: Value,
    about: Value,
    tensors: HashMap<String, Tensor>,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let path = folder().join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        if name.ends_with(".json") {
            let json: Value = serde_json::from_slice(&bytes).unwrap();
            return Self {
                about: json["about"].clone(),
                json,
                tensors: HashMap::new(),
            };
        }
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let about = &header.metadata().as_ref().unwrap()["about"];
        let about: Value = serde_json::from_str(about).unwrap();
        Self {
            json: about["described"].clone(),
            about,
            tensors: Tensor::read_safetensors(&path)
                .unwrap()
                .into_iter()
                .collect(),
        }
    }

    /// A library with the version that made the file: `Keras 3.15.0`.
    pub fn made_by(&self, library: &str) -> String {
        let key = match library {
            "PyTorch" => "torch".to_owned(),
            other => other.to_lowercase(),
        };
        let version = self.about["versions"][&key].as_str();
        let version = version.unwrap_or_else(|| panic!("the file does not name {library}"));
        // Without the CUDA that a build of PyTorch goes with.
        let version = version.split('+').next().unwrap_or(version);
        format!("{library} {version}")
    }

    pub fn seed(&self, what: &str) -> u64 {
        self.about["seeds"][what].as_u64().unwrap()
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    pub fn tensor(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }
}

pub fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

pub fn count(value: &Value) -> usize {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no count")) as usize
}

pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

pub fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
}

pub fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

/// The values of a tensor of any kind, in order.
pub fn flat(tensor: &Tensor) -> Vec<f64> {
    let double = tensor
        .to_device(tch::Device::Cpu)
        .to_kind(tch::Kind::Double);
    Vec::try_from(double.contiguous().view(-1)).unwrap()
}

/// The largest difference between two rows of numbers.
pub fn worst(found: impl IntoIterator<Item = f64>, expected: impl IntoIterator<Item = f64>) -> f64 {
    let (found, expected): (Vec<_>, Vec<_>) =
        (found.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(&expected);
    pairs.fold(0.0, |worst, (a, b)| larger(worst, (a - b).abs()))
}

/// The larger of two differences; NaN, which `f64::max` would drop, is larger than any.
pub fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    a.max(b)
}

/// The same as a share of the largest expected number.
pub fn worst_share(found: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    worst(found.iter().copied(), expected.iter().copied()) / largest
}

/// How many entries of two lists differ; a missing one differs.
pub fn unequal<T: PartialEq>(found: &[T], expected: &[T]) -> f64 {
    let pairs = found.iter().zip(expected);
    let differing = pairs.filter(|(found, expected)| found != expected).count();
    (differing + found.len().abs_diff(expected.len())) as f64
}

/// Output number `position` of SplitMix64(seed).
fn own_seed(seed: u64, position: usize) -> u64 {
    let mut generator = SplitMix64::seed_from_u64(seed);
    (0..position).for_each(|_| {
        generator.next_u64();
    });
    generator.next_u64()
}

/// `seeded.uniform` of the references: tensor number `position`, f32 in [-limit, limit).
pub fn seeded(seed: u64, position: usize, shape: &[usize], limit: f64) -> Tensor {
    let mut generator = SplitMix64::seed_from_u64(own_seed(seed, position));
    let values = (0..shape.iter().product()).map(|_| {
        let bits = (generator.next_u64() >> 40) as i64 - (1 << 23);
        bits as f32 * (1.0 / (1u32 << 23) as f32) * limit as f32
    });
    let shape = shape.iter().map(|&n| n as i64).collect::<Vec<_>>();
    Tensor::from_slice(&values.collect::<Vec<_>>()).view(&*shape)
}

/// The noise of the references: bytes.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut generator = SplitMix64::seed_from_u64(own_seed(seed, 0));
    (0..count)
        .map(|_| (generator.next_u64() >> 56) as u8)
        .collect()
}

/// A dense layer with He's limit for its kernel, as the references' heads have them: kernel
/// [out, in] and bias.
pub fn seeded_dense(seed: u64, position: usize, inputs: usize, outputs: usize) -> [Tensor; 2] {
    let limit = (6.0 / inputs as f64).sqrt();
    let kernel = seeded(seed, position, &[inputs, outputs], limit);
    // seeded.py's BIAS_LIMIT.
    [
        kernel.tr().contiguous(),
        seeded(seed, position + 1, &[outputs], 0.05),
    ]
}

/// Puts the two dense layers into a head or classifier that was saved at `path`.
pub fn replace_head(path: &Path, dense: &[Tensor; 2], dense_1: &[Tensor; 2]) {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut replaced = HashMap::new();
    for (layer, tensors) in [("dense", dense), ("dense_1", dense_1)] {
        for (part, tensor) in ["weight", "bias"].iter().zip(tensors) {
            let values = Vec::<f32>::try_from(tensor.contiguous().view(-1)).unwrap();
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            replaced.insert(format!("{layer}.{part}"), bytes.collect::<Vec<u8>>());
        }
    }
    let views = stored.iter().map(|(name, view)| {
        let data = replaced.get(name).map_or(view.data(), Vec::as_slice);
        let view = TensorView::new(view.dtype(), view.shape().to_vec(), data);
        (name, view.unwrap_or_else(|error| panic!("{name}: {error}")))
    });
    let encoded = safetensors::serialize(views.collect::<Vec<_>>(), metadata).unwrap();
    std::fs::write(path, encoded).unwrap();
}

/// How far two distributions of evenly likely draws may be apart, as Kolmogorov and Smirnov measure
/// it: a larger distance than this has a chance of 1e-6 (2 exp(-2 x^2) = 1e-6 for x = 2.69).
pub fn kolmogorov(n: f64, m: f64) -> f64 {
    2.69 * (1.0 / n + 1.0 / m).sqrt()
}

/// The largest distance between the share of `values` below each quantile and the quantile's level.
pub fn distance(values: &mut [f64], quantiles: &[f64], levels: &[f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let below = quantiles
        .iter()
        .map(|quantile| values.partition_point(|value| value <= quantile) as f64);
    let inside = |index: &usize| (1..levels.len() - 1).contains(index);
    let shares = below.map(|count| count / values.len() as f64);
    let pairs = shares.zip(levels).enumerate();
    // The ends are compared by themselves: there a share is 0 or 1 or nearly so.
    pairs
        .filter(|(index, _)| inside(index))
        .map(|(_, (share, level))| (share - level).abs())
        .fold(0.0, larger)
}

#[test]
fn a_number_that_is_none_is_never_lost() {
    assert!(worst([f64::NAN, 1.0], [1.0, 1.0]).is_nan());
    assert!(worst([5.0, f64::NAN, 1.0], [1.0, 1.0, 1.0]).is_nan());
    assert_eq!(worst([5.0, 2.0], [1.0, 1.0]), 4.0);
    assert!(larger(f64::NAN, 1.0).is_nan() && larger(1.0, f64::NAN).is_nan());
}
