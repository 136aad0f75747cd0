//! Single numbers of training: cross-entropies, dropout, learning rates.

use evcxr_transfer::{Device, Features, Optimizer, Schedule, Tensor};
use ndarray::Array4;
use serde_json::Value;

use crate::report::{Golden, Report, Tolerance, count, larger, list, number, numbers, worst};
use crate::training::{head, quiet};

const LOSS: Tolerance = Tolerance {
    most: 1e-6,
    why: "share of the loss where that is above 1; f32 exponentials and logarithms, a few times 1.2e-7",
};

const LOSS_BY_PROBABILITY: Tolerance = Tolerance {
    most: 5e-5,
    why: "1 - p is off by 6e-8, 4e-5 of itself at a logit of 6.5; far beyond, Keras cuts p off at 1e-7, \
          and we do not",
};

const KEPT: Tolerance = Tolerance {
    most: 0.05,
    why: "with Keras' scale the loss tells how many of 2,000 units were kept, a whole number, to some 1e-3 \
          (f32); another scale tells any fraction",
};

const KEPT_SHARE: Tolerance = Tolerance {
    most: 0.025,
    why: "five standard deviations of the difference of two shares of 20,000 draws",
};

const RATES: Tolerance = Tolerance {
    most: 1e-6,
    why: "share of the first rate; Keras computes schedules in f32",
};

fn floats(values: &[f32], shape: &[i64]) -> Tensor {
    Tensor::from_slice(values).view(shape)
}

/// A head that hands on its logits: it gets the positive and the negative part of each.
fn handing_on(classes: usize) -> [[Tensor; 2]; 2] {
    let outputs = if classes == 2 { 1 } else { classes };
    let width = 2 * outputs as i64;
    let eye = Tensor::eye(width, (tch::Kind::Float, Device::Cpu));
    let mut signs = vec![0f32; outputs * 2 * outputs];
    for output in 0..outputs {
        signs[output * 2 * outputs + 2 * output] = 1.0;
        signs[output * 2 * outputs + 2 * output + 1] = -1.0;
    }
    [
        [eye, floats(&vec![0.0; 2 * outputs], &[width])],
        [
            floats(&signs, &[outputs as i64, width]),
            floats(&vec![0.0; outputs], &[outputs as i64]),
        ],
    ]
}

/// The loss of one picture with these logits.
fn loss(logits: &[f64], label: usize) -> f64 {
    let classes = logits.len().max(2);
    let parts = logits
        .iter()
        .flat_map(|&x| [x.max(0.0) as f32, (-x).max(0.0) as f32]);
    let parts = parts.collect::<Vec<_>>();
    let width = parts.len();
    let values = Array4::from_shape_vec((1, 1, 1, width), parts).unwrap();
    let names = &["a", "b", "c"][..classes];
    let features = Features::from_array(&values, &[label], names).unwrap();
    let model = head(&features, width, 0.0, &handing_on(classes));
    model.evaluate(&features).unwrap().loss
}

pub fn losses(report: &mut Report) {
    let golden = Golden::open("losses.json");
    let keras = golden.made_by("Keras");
    for (name, key) in [("binary", "logit"), ("categorical", "logits")] {
        let (mut off, mut by_probability) = (0.0_f64, 0.0_f64);
        for case in list(&golden.json[name]) {
            let logits = match &case[key] {
                Value::Array(_) => numbers(&case[key]),
                one => vec![number(one)],
            };
            let found = loss(&logits, count(&case["label"]));
            let expected = number(&case["loss"]);
            off = larger(off, (found - expected).abs() / expected.max(1.0));
            let least = logits.iter().copied().fold(0.0, f64::min);
            let most = logits.iter().copied().fold(0.0, larger);
            if most - least <= 6.5 {
                let expected = number(&case["by probability"]);
                by_probability = larger(by_probability, (found - expected).abs());
            }
        }
        report.add(
            format!("{name} cross-entropy from logits"),
            &keras,
            off,
            LOSS,
        );
        report.add(
            format!("{name} cross-entropy from probabilities, logits up to 6.5"),
            &keras,
            by_probability,
            LOSS_BY_PROBABILITY,
        );
    }
}

/// One hidden unit that is 1 for every picture: the loss of a batch tells how many were kept, if what
/// is kept grows as in Keras.
pub fn dropout(report: &mut Report) {
    const PICTURES: usize = 2_000;
    const EPOCHS: usize = 10;
    let golden = Golden::open("dropout.json");
    let keras = golden.made_by("Keras");
    let ones = Array4::<f32>::ones((PICTURES, 1, 1, 1));
    let ones = Features::from_array(&ones, &[0; PICTURES], &["a", "b"]).unwrap();
    let softplus = |x: f64| x.exp().ln_1p();
    const BIAS: f32 = 0.125;
    let (mut fractions, mut shares) = (0.0_f64, 0.0_f64);
    for (rate, expected) in golden.json.as_object().unwrap() {
        let Ok(rate) = rate.parse::<f64>() else {
            continue;
        };
        let scale = number(&expected["smallest kept"]);
        assert_eq!(scale, number(&expected["largest kept"]));
        // Kept units of each epoch, as a head with this weight tells.
        let kept = |weight: f32| {
            let dense = [floats(&[1.0], &[1, 1]), floats(&[0.0], &[1])];
            let dense_1 = [floats(&[weight], &[1, 1]), floats(&[BIAS], &[1])];
            let mut model = head(&ones, 1, rate, &[dense, dense_1]);
            let fit = quiet().optimizer(Optimizer::sgd(0.0)).learning_rate(1e-30);
            let fit = fit.epochs(EPOCHS).batch_size(PICTURES);
            let history = model.fit(&ones, &ones, &fit).unwrap();
            let dropped = softplus(f64::from(BIAS));
            let grown = softplus(f64::from(BIAS) + f64::from(weight) * scale);
            let epochs = history.epochs.iter();
            epochs
                .map(|epoch| (epoch.loss - dropped) / (grown - dropped) * PICTURES as f64)
                .collect::<Vec<_>>()
        };
        let (first, second) = (kept(1.0), kept(-0.5));
        let whole = first.iter().chain(&second).map(|kept| kept.round());
        let all = first.iter().chain(&second).copied();
        fractions = larger(fractions, worst(all, whole));
        let share = first.iter().sum::<f64>() / (PICTURES * EPOCHS) as f64;
        fractions = larger(fractions, worst(first, second));
        shares = larger(shares, (share - number(&expected["share"])).abs());
    }
    report.add(
        "dropout's scale at rates of 0.1, 0.3, 0.5 and 0.8 (fractions of a unit)",
        &keras,
        fractions,
        KEPT,
    );
    report.add("dropout's share of kept units", &keras, shares, KEPT_SHARE);
}

pub fn schedules(report: &mut Report) {
    let golden = Golden::open("schedules.json");
    for (name, key, library, schedule) in [
        ("CosineDecay", "cosine", "Keras", Schedule::Cosine),
        (
            "ExponentialDecay",
            "exponential",
            "Keras",
            Schedule::Exponential { per_epoch: 0.9 },
        ),
        (
            "ExponentialDecay in steps",
            "steps",
            "Keras",
            Schedule::StepDecay {
                every: 2,
                factor: 0.1,
            },
        ),
        ("OneCycleLR", "one cycle", "PyTorch", Schedule::OneCycle),
    ] {
        let expected = numbers(&golden.json[key]);
        let found = (0..expected.len()).map(|step| schedule.factor(step, 4, 5));
        report.add(
            format!("{name}, 20 steps"),
            &golden.made_by(library),
            worst(found, expected),
            RATES,
        );
    }
}
