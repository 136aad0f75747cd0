//! First weights, averages over batches, and the optimisers' steps.

use evcxr_transfer::{
    Base, Device, Features, Fit, Head, HeadModel, Optimizer, Precision, Progress, Tensor,
};
use ndarray::Array4;

use crate::report::{
    Golden, Report, Tolerance, count, distance, flat, kolmogorov, larger, number, numbers,
    replace_head, seeded, seeded_dense, worst,
};

/// `kolmogorov` of 147,456 draws on each side, the fewer of the two layers'.
const INITIAL: Tolerance = Tolerance {
    most: 0.0099,
    why: "Kolmogorov-Smirnov distance of 147,456 draws each: a larger one has a chance of 1e-6",
};

/// `kolmogorov` of 4,194,304 draws on each side.
const INITIAL_LARGE: Tolerance = Tolerance {
    most: 0.00186,
    why: "Kolmogorov-Smirnov distance of 4,194,304 draws each: a larger one has a chance of 1e-6",
};

const MOMENTS: Tolerance = Tolerance {
    most: 5.0,
    why: "in standard deviations of their differences: five have a chance of 1e-6",
};

const LIMIT: Tolerance = Tolerance {
    most: 1e-4,
    why: "share of the limit; the outermost of 147,456 draws lies 1.4e-5 from it on average",
};

const AVERAGES: Tolerance = Tolerance {
    most: 1e-6,
    why: "f32 means of three batches: a few units in the last place",
};

/// Losses of up to 1.6 in f32 round by 1.2e-7 at each of 20 steps: 2.4e-6; twice that for what the
/// weights' own rounding adds.
const STEPS: Tolerance = Tolerance {
    most: 5e-6,
    why: "f32 losses of up to 1.6 round by 1.2e-7 at each step: twice their sum",
};

/// 0.999 in f32 is 0.99900001, so that 1 - 0.999^t is off by 1.3e-5 of itself and its root by 6.4e-6,
/// at every t: Keras' steps are shorter by that, ours compute it in f64. Losses fall by 0.82.
const ADAM: Tolerance = Tolerance {
    most: 1e-5,
    why: "Keras corrects for the start in f32, which shortens each step by 6.4e-6 of itself: twice that of \
          the 0.82 that the loss falls",
};

const SHARES: Tolerance = Tolerance {
    most: 1e-6,
    why: "shares of 30 or 23 pictures, f32 on Keras' side",
};

pub fn quiet() -> Fit {
    Fit::default().progress(Progress::quiet())
}

/// A head with these weights.
pub fn head(
    features: &Features,
    units: usize,
    dropout: f64,
    weights: &[[Tensor; 2]; 2],
) -> HeadModel {
    head_on(features, units, dropout, weights, Device::Cpu)
}

fn head_on(
    features: &Features,
    units: usize,
    dropout: f64,
    weights: &[[Tensor; 2]; 2],
    device: Device,
) -> HeadModel {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let built = Head::dense(units).dropout(dropout).build(features, 0);
    built.unwrap().save(&path).unwrap();
    replace_head(&path, &weights[0], &weights[1]);
    HeadModel::load(&path, device).unwrap()
}

pub fn initial(report: &mut Report) {
    let golden = Golden::open("initial.json");
    let keras = golden.made_by("Keras");
    let levels = numbers(&golden.json["levels"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let zeros = Array4::<f32>::zeros((2, 4, 4, 512));
    let zeros = Features::from_array(&zeros, &[0, 1], &["cats", "dogs"]).unwrap();
    Head::lesson()
        .build(&zeros, 0)
        .unwrap()
        .save(&path)
        .unwrap();
    let stored = Tensor::read_safetensors(&path).unwrap();
    let dense = stored.iter().find(|(name, _)| name == "dense.weight");
    let small = Base::small_conv_net(150, 0, Device::Cpu, Precision::F32).unwrap();
    let convolution = small.layer_weights("conv2d_3").unwrap();
    let convolution = convolution.array("kernel").unwrap();
    let layers = [
        (
            "dense",
            "(8192, 512)",
            flat(&dense.unwrap().1),
            INITIAL_LARGE,
            8704.0,
        ),
        (
            "conv2d_3",
            "(3, 3, 128, 128)",
            convolution.iter().copied().map(f64::from).collect(),
            INITIAL,
            2304.0,
        ),
    ];
    for (name, shape, mut values, tolerance, fans) in layers {
        let expected = &golden.json[name];
        let n = values.len() as f64;
        assert_eq!(values.len(), count(&expected["n"]));
        assert!((kolmogorov(n, n) - tolerance.most).abs() < 5e-5);
        // Even draws within the limit deviate by limit / sqrt(3); their mean by that over sqrt(n),
        // their deviation by 0.447 of that, the root of (9/5 - 1) / 4.
        let limit = (6.0_f64 / fans).sqrt();
        let spread = limit / 3f64.sqrt() * (2.0 / n).sqrt();
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|value| (value - mean) * (value - mean));
        let deviation = (squares.sum::<f64>() / n).sqrt();
        let quantiles = numbers(&expected["quantiles"]);
        let what = format!("Glorot's first weights of {shape}");
        report.add(
            format!("{what}: distribution"),
            &keras,
            distance(&mut values, &quantiles, &levels),
            tolerance,
        );
        let off = ((mean - number(&expected["mean"])) / spread).abs();
        let of_deviation = (deviation - number(&expected["deviation"])) / (0.447 * spread);
        report.add(
            format!("{what}: mean and deviation"),
            &keras,
            larger(off, of_deviation.abs()),
            MOMENTS,
        );
        let ends = [values[0], values[values.len() - 1]];
        let of_keras = [quantiles[0], quantiles[levels.len() - 1]];
        report.add(
            format!("{what}: smallest and largest"),
            &keras,
            worst(ends, of_keras) / limit,
            LIMIT,
        );
        assert!(-limit <= ends[0] && ends[1] <= limit);
    }
}

/// Features in [-1, 1) with a bump of 0.8 in the channels of their class.
fn problem(seed: u64, pictures: usize, classes: usize) -> Features {
    const SHAPE: [usize; 3] = [2, 2, 16];
    let tensor = seeded(seed, 0, &[&[pictures], &SHAPE[..]].concat(), 1.0);
    let values = Vec::<f32>::try_from(tensor.view(-1)).unwrap();
    let [height, width, channels] = SHAPE;
    let mut values = Array4::from_shape_vec((pictures, height, width, channels), values).unwrap();
    let labels = (0..pictures).map(|n| n % classes).collect::<Vec<_>>();
    for ((picture, _, _, channel), value) in values.indexed_iter_mut() {
        if channel % classes == labels[picture] {
            *value += 0.8;
        }
    }
    Features::from_array(&values, &labels, &["cats", "dogs", "owls"][..classes]).unwrap()
}

fn start(seed: u64, classes: usize, features: &Features, device: Device) -> HeadModel {
    const UNITS: usize = 24;
    let outputs = if classes == 2 { 1 } else { classes };
    let dense = seeded_dense(seed, 1, 64, UNITS);
    let dense_1 = seeded_dense(seed, 3, UNITS, outputs);
    head_on(features, UNITS, 0.0, &[dense, dense_1], device)
}

pub fn steps(report: &mut Report, device: Device, suffix: &str) {
    let golden = Golden::open("training.json");
    let keras = golden.made_by("Keras");
    let seed = golden.seed("pictures and head");
    let mut shares = 0.0_f64;
    for (name, run) in golden.json["steps"].as_object().unwrap() {
        let optimizer = match name.split(',').next().unwrap() {
            "RMSprop" => Optimizer::rms_prop(),
            "Adam" => Optimizer::adam(),
            "AdamW" => Optimizer::adam_w(),
            "SGD" => Optimizer::sgd(0.0),
            "SGD with momentum" => Optimizer::sgd(0.9),
            other => panic!("{other} is no optimiser"),
        };
        let classes = count(&run["classes"]);
        let train = problem(seed, 30, classes);
        let mut model = start(seed, classes, &train, device);
        let fit = quiet()
            .optimizer(optimizer)
            .epochs(20)
            .batch_size(30)
            .learning_rate(number(&run["rate"]));
        let history = model.fit(&train, &train, &fit).unwrap();
        let last = model.evaluate(&train).unwrap();
        let losses = history.epochs.iter().map(|epoch| epoch.loss);
        let expected = numbers(&run["loss"]).into_iter();
        let mut off = worst(
            losses.chain([last.loss]),
            expected.chain([number(&run["last loss"])]),
        );
        let predicted = model.predict(&train).unwrap();
        let columns = if classes == 2 { 1..2 } else { 0..classes };
        let predicted = predicted.outer_iter().flat_map(|row| {
            let chosen = columns.clone().map(|column| f64::from(row[column]));
            chosen.collect::<Vec<_>>()
        });
        off = larger(off, worst(predicted, numbers(&run["predicted"])));
        let accuracies = history.epochs.iter().map(|epoch| epoch.accuracy);
        let expected = numbers(&run["accuracy"]).into_iter();
        let share = worst(
            accuracies.chain([last.accuracy]),
            expected.chain([number(&run["last accuracy"])]),
        );
        shares = larger(shares, share);
        report.add(
            format!("20 steps of {name}: every loss, the last probabilities{suffix}"),
            &keras,
            off,
            if name.starts_with("Adam") {
                ADAM
            } else {
                STEPS
            },
        );
    }
    report.add(
        format!("the accuracies of all these steps{suffix}"),
        &keras,
        shares,
        SHARES,
    );
}

pub fn averages(report: &mut Report) {
    let golden = Golden::open("training.json");
    let keras = golden.made_by("Keras");
    let seed = golden.seed("pictures and head");
    let (mut losses, mut accuracies) = (0.0_f64, 0.0_f64);
    for classes in [2, 3] {
        let expected = &golden.json["averages"][classes.to_string()];
        let train = problem(seed, 23, classes);
        let mut model = start(seed, classes, &train, Device::Cpu);
        // A rate at which no weight moves, as for Keras: 10, 10 and 3 pictures in any order.
        let fit = quiet().epochs(1).batch_size(10).learning_rate(1e-30);
        let fit = fit.optimizer(Optimizer::sgd(0.0));
        let epoch = model.fit(&train, &train, &fit).unwrap().last().unwrap();
        let whole = model.evaluate(&train).unwrap();
        let of = |key: &str| number(&expected[key]);
        losses = larger(
            losses,
            worst([epoch.loss, whole.loss], [of("loss"), of("evaluated loss")]),
        );
        accuracies = larger(
            accuracies,
            worst(
                [epoch.accuracy, whole.accuracy],
                [of("accuracy"), of("evaluated accuracy")],
            ),
        );
    }
    report.add(
        "loss of an epoch and of an evaluation over batches of 10, 10 and 3",
        &keras,
        losses,
        AVERAGES,
    );
    report.add(
        "accuracy over batches of 10, 10 and 3",
        &keras,
        accuracies,
        SHARES,
    );
}
