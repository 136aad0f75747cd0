//! Labels and numbers in place of classes: Keras' steps, saving, going on, predicting, exporting.

use std::path::{Path, PathBuf};

use evcxr_transfer::ndarray::{Array2, Array4};
use evcxr_transfer::prelude::*;
use evcxr_transfer::{Epoch, Evaluation};
use serde_json::{Value, json};

const EPOCHS: usize = 3;

fn quiet() -> Fit {
    Fit::default().progress(Progress::quiet())
}

/// A little noise that follows from the indices alone, 0 up to 1.
fn noise(n: usize, place: usize) -> f32 {
    ((n * 7919 + place * 15_485) % 1000) as f32 / 1000.0
}

/// Features of 30 pictures with three labels, or two numbers of different size, that a line tells.
fn features(target: Target) -> Features {
    let values = Array4::from_shape_fn((30, 2, 2, 16), |(n, y, x, c)| {
        noise(n, y * 104 + x * 12 + c) + if n % (c + 2) == 0 { 0.4 } else { 0.0 }
    });
    let names = ["red", "square", "big"];
    match target {
        Target::Numbers => {
            let targets = Array2::from_shape_fn((30, 2), |(n, k)| match k {
                0 => (n % 2) as f32 + noise(n, 7),
                _ => 3.0 - (n % 3) as f32,
            });
            Features::from_arrays(&values, target, &targets, &["age", "weight"])
        }
        _ => {
            let targets = Array2::from_shape_fn((30, 3), |(n, k)| f32::from(n % (k + 2) == 0));
            Features::from_arrays(&values, target, &targets, &names)
        }
    }
    .unwrap()
}

/// What is held against Keras: the measure that it calls accuracy or mae.
fn measure(accuracy: f64, mae: Option<f64>) -> f64 {
    mae.unwrap_or(accuracy)
}

fn name(target: Target) -> &'static str {
    match target {
        Target::Numbers => "mae",
        _ => "accuracy",
    }
}

/// Compares with Keras' numbers and keeps the worst difference.
struct Against {
    tolerance: f64,
    worst: f64,
}

impl Against {
    fn keras(&mut self, what: &str, found: f64, expected: &Value) {
        let expected = expected.as_f64().unwrap();
        let difference = (found - expected).abs();
        assert!(
            difference < self.tolerance,
            "{what}: {found} and {expected}"
        );
        self.worst = self.worst.max(difference);
    }
}

/// Losses and errors are means of values near 1 (of numbers' squares up to 6), in f32 on both sides, whose rounding
/// adds up over the steps: as for classes (training.rs). Measured: labels 1e-7 (head) and 3e-7 (classifier), numbers
/// 1e-6 and 2e-6.
const TOLERANCE: f64 = 5e-6;

fn assert_a_heads_steps_are_keras_steps(target: Target) {
    let folder = tempfile::tempdir().unwrap();
    let train = features(target);
    let mut head = Head::dense(24).build(&train, 5).unwrap();
    let paths = ["features", "head"].map(|name| folder.path().join(format!("{name}.safetensors")));
    train.save(&paths[0]).unwrap();
    head.save(&paths[1]).unwrap();
    let (steps, rate) = (EPOCHS.to_string(), "0.001");
    let arguments = [&*paths[0], &*paths[1], Path::new(&steps), Path::new(rate)];
    let keras = crate::common::python("keras_head.py", &arguments);
    let keras: Value = serde_json::from_str(keras.lines().last().unwrap()).unwrap();

    let mut against = Against {
        tolerance: TOLERANCE,
        worst: 0.0,
    };
    let fit = quiet().epochs(EPOCHS).batch_size(30).learning_rate(1e-3);
    let history = head.fit(&train, &train, &fit).unwrap();
    for (step, epoch) in history.epochs.iter().enumerate() {
        against.keras("loss", epoch.loss, &keras["loss"][step]);
        let found = measure(epoch.accuracy, epoch.mae);
        against.keras("measure", found, &keras[name(target)][step]);
    }
    let last = head.evaluate(&train).unwrap();
    against.keras("loss at the end", last.loss, &keras["final"][0]);
    against.keras(
        "measure at the end",
        measure(last.accuracy, last.mae),
        &keras["final"][1],
    );
    for ((n, k), &value) in head.predict(&train).unwrap().indexed_iter() {
        against.keras("answer", f64::from(value), &keras["predicted"][n][k]);
    }
    // It has learned: a constant would agree with anything.
    assert!(last.loss < 0.99 * history.epochs[0].loss, "{history}");
    println!("head of {target:?}: {:.1e}", against.worst);
}

#[test]
fn a_head_of_labels_takes_keras_steps() {
    assert_a_heads_steps_are_keras_steps(Target::Labels);
}

#[test]
fn a_head_of_numbers_takes_keras_steps() {
    assert_a_heads_steps_are_keras_steps(Target::Numbers);
}

#[test]
fn a_short_last_batch_counts_by_its_size_in_validation_too() {
    for target in [Target::Labels, Target::Numbers] {
        let train = features(target);
        let mut head = Head::dense(24).build(&train, 5).unwrap();
        // Batches of 20 and 10; the weights hardly move.
        let fit = quiet().epochs(1).learning_rate(1e-12);
        let history = head.fit(&train, &train, &fit).unwrap();
        let epoch = history.epochs[0];
        // f32 sums in batches of other sizes.
        assert!(
            (epoch.loss - epoch.val_loss.unwrap()).abs() < 1e-5,
            "{history}"
        );
        let validated = measure(epoch.val_accuracy.unwrap_or(f64::NAN), epoch.val_mae);
        let trained = measure(epoch.accuracy, epoch.mae);
        assert!((trained - validated).abs() < 1e-5, "{history}");
        // NumPy-like: the mean over pictures and names.
        let (values, answers) = (train.values(), head.predict(&train).unwrap());
        let each = values
            .iter()
            .zip(&answers)
            .map(|(value, answer)| match target {
                Target::Numbers => f64::from((value - answer).abs()),
                _ => f64::from((*value > 0.5) == (*answer > 0.5)),
            });
        let mean = each.sum::<f64>() / values.len() as f64;
        assert!((mean - validated).abs() < 1e-5, "{mean} {validated}");
    }
}

/// The samples with labels or numbers of their own, as tables.
fn data(target: Target) -> Data {
    let samples = Data::open(crate::common::repository("data/samples"))
        .unwrap()
        .take(12, 6);
    let folder = tempfile::tempdir().unwrap();
    let part = |dataset: &Dataset, name: &str| {
        let mut text = "file,labels,age,weight\n".to_owned();
        for (n, file) in dataset.files().iter().enumerate() {
            let file = file.strip_prefix(dataset.folder()).unwrap().display();
            let labels = ["", "red", "red square", "square"][n % 4];
            text += &format!("{file},{labels},{}.5,{}\n", n % 3, 2 - (n % 2));
        }
        let csv = folder.path().join(name);
        std::fs::write(&csv, text).unwrap();
        let columns: &[&str] = match target {
            Target::Numbers => &["age", "weight"],
            _ => &["labels"],
        };
        Dataset::from_csv(&csv, dataset.folder(), target, columns).unwrap()
    };
    Data {
        train: part(&samples.train, "train.csv"),
        validation: part(&samples.validation, "validation.csv"),
    }
}

fn base(size: usize) -> Base {
    let base = Base::vgg16(size, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    base.progress(Progress::quiet())
}

fn model(target: Target) -> Classifier {
    let head = Head::dense(16).target(target);
    Classifier::new(&base(64), head, data(target).classes()).unwrap()
}

fn assert_training_is_keras_training(target: Target) {
    let folder = tempfile::tempdir().unwrap();
    let (start, out) = (
        folder.path().join("start.safetensors"),
        folder.path().join("out.safetensors"),
    );
    let mut model = model(target);
    model.save(&start).unwrap();
    let data = data(target);
    let part = |dataset: &Dataset| {
        let rows = dataset
            .values()
            .outer_iter()
            .map(|row| row.to_vec())
            .collect::<Vec<_>>();
        json!({ "pictures": dataset.files(), "labels": rows })
    };
    let phases = [(None, 1e-4), (Some("block5_conv1"), 1e-5)];
    let order = json!({
        "model": start.to_str().unwrap(),
        "train": part(&data.train),
        "validation": part(&data.validation),
        "phases": phases.map(|(from, rate)| json!({ "from": from, "epochs": EPOCHS, "rate": rate })),
    });
    let order = order.to_string();
    let keras = crate::common::python("keras_classifier.py", &[Path::new(&order), &out]);
    let keras: Value = serde_json::from_str(keras.lines().last().unwrap()).unwrap();

    let mut against = Against {
        tolerance: TOLERANCE,
        worst: 0.0,
    };
    let none = Augment::none();
    for ((from, rate), run) in phases.into_iter().zip(keras["runs"].as_array().unwrap()) {
        let fit = quiet().epochs(EPOCHS).batch_size(12).learning_rate(rate);
        let history = match from {
            None => model.train_frozen(&data, &none, &fit),
            Some(layer) => model.fine_tune(layer, &data, &none, &fit),
        };
        let of = |prefix: &str| format!("{prefix}{}", name(target));
        for (n, epoch) in history.unwrap().epochs.iter().enumerate() {
            against.keras("loss", epoch.loss, &run["loss"][n]);
            against.keras(
                "measure",
                measure(epoch.accuracy, epoch.mae),
                &run[of("")][n],
            );
            against.keras("val_loss", epoch.val_loss.unwrap(), &run["val_loss"][n]);
            let validated = measure(epoch.val_accuracy.unwrap_or(f64::NAN), epoch.val_mae);
            against.keras("validated", validated, &run[of("val_")][n]);
        }
    }
    let report = model.report(&data.validation).unwrap();
    for ((n, k), &value) in report.probabilities().indexed_iter() {
        against.keras("answer", value, &keras["predicted"][n][k]);
    }
    println!("classifier of {target:?}: {:.1e}", against.worst);
}

#[test]
fn a_classifier_of_labels_is_trained_as_in_keras() {
    assert_training_is_keras_training(Target::Labels);
}

#[test]
fn a_classifier_of_numbers_is_trained_as_in_keras() {
    assert_training_is_keras_training(Target::Numbers);
}

/// All numbers but the time.
fn untimed(history: &History) -> Vec<Epoch> {
    let epochs = history.epochs.iter().copied();
    epochs
        .map(|epoch| Epoch {
            seconds: 0.0,
            ..epoch
        })
        .collect()
}

#[test]
fn what_is_saved_keeps_what_it_answers_and_goes_on() {
    let none = Augment::none();
    for target in [Target::Labels, Target::Numbers] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.safetensors");
        let data = data(target);
        let fit = quiet().batch_size(5).learning_rate(1e-4);
        let mut whole = model(target);
        let expected = whole
            .train_frozen(&data, &none, &fit.clone().epochs(3))
            .unwrap();
        let begun = fit.clone().epochs(1).checkpoint(&path);
        model(target).train_frozen(&data, &none, &begun).unwrap();
        let mut loaded = Classifier::load(&path, Device::Cpu).unwrap();
        assert_eq!(loaded.target(), target);
        let history = loaded.resume(&data, &fit.clone().epochs(3)).unwrap();
        assert_eq!(untimed(&history), untimed(&expected));
        let report = |model: &Classifier| model.report(&data.validation).unwrap();
        assert_eq!(
            report(&loaded).probabilities(),
            report(&whole).probabilities()
        );
        // A head and its features.
        let train = loaded.base().extract_features(&data.train).unwrap();
        let stored = folder.path().join("train.safetensors");
        train.save(&stored).unwrap();
        let train = Features::load(&stored, Device::Cpu).unwrap();
        assert_eq!(
            (train.target(), train.values()),
            (target, data.train.values())
        );
        let (head, _) =
            train_head(&train, &train, &fit.clone().epochs(1).checkpoint(&path)).unwrap();
        let mut again = HeadModel::load(&path, Device::Cpu).unwrap();
        assert_eq!(
            again.predict(&train).unwrap(),
            head.predict(&train).unwrap()
        );
        again
            .resume(&train, &train, &fit.clone().epochs(2))
            .unwrap();
        let scored = again.report(&train).unwrap();
        let Evaluation { accuracy, mae, .. } = again.evaluate(&train).unwrap();
        match mae {
            // f32 in training, f64 in the report.
            None => assert!((scored.accuracy() - accuracy).abs() < 1e-6),
            Some(mae) => {
                let scores = scored.number_scores();
                let mean = scores.iter().map(|scores| scores.mae).sum::<f64>() / 2.0;
                assert!((mean - mae).abs() < 1e-5, "{mean} {mae}");
            }
        }
        // The same pictures with other labels are other data.
        let mut other = data.clone();
        std::mem::swap(&mut other.train, &mut other.validation);
        let mut loaded = Classifier::load(&path, Device::Cpu);
        assert!(loaded.is_err(), "a head is no classifier");
        loaded = {
            model(target).train_frozen(&data, &none, &begun).unwrap();
            Classifier::load(&path, Device::Cpu)
        };
        assert!(
            loaded
                .unwrap()
                .resume(&other, &fit.clone().epochs(3))
                .is_err()
        );
    }
}

#[test]
fn answers_are_told_in_their_own_words() {
    let picture = crate::common::repository("data/samples/train/cats/cat.0.jpg");
    let folder = crate::common::repository("data/samples/validation/cats");
    let labels = model(Target::Labels);
    let prediction = labels.predict(&picture).unwrap();
    let held = prediction
        .probabilities()
        .into_iter()
        .filter(|(_, share)| *share > 0.5);
    assert_eq!(
        prediction.labels(),
        held.map(|(name, _)| name).collect::<Vec<_>>()
    );
    let table = labels.predict_folder(&folder).unwrap().table().to_csv();
    assert!(table.starts_with("picture,labels,red,square\n"), "{table}");
    let numbers = model(Target::Numbers);
    let prediction = numbers.predict(&picture).unwrap();
    let text = prediction.to_string();
    assert!(
        text.starts_with("cat.0.jpg: age ") && text.contains(", weight "),
        "{text}"
    );
    assert!(prediction.labels().is_empty() && prediction.plot().to_svg().is_ok());
    let predictions = numbers.predict_folder(&folder).unwrap();
    let table = predictions.table().to_csv();
    assert!(table.starts_with("picture,age,weight\n"), "{table}");
    assert_eq!(predictions.probabilities().dim(), (15, 2));
    assert!(predictions.show(2).is_ok());
    // Grad-CAM asks for a label; for a number there is nothing to ask.
    assert!(labels.grad_cam(&picture, "block5_conv3").is_ok());
    let error = numbers
        .grad_cam(&picture, "block5_conv3")
        .unwrap_err()
        .to_string();
    assert!(error.contains("answers numbers"), "{error}");
    assert!(
        numbers
            .summary()
            .to_string()
            .contains("Numbers: age, weight")
    );
}

#[test]
fn histories_reports_and_nearest_pictures_fit_what_is_answered() {
    for target in [Target::Labels, Target::Numbers] {
        let (data, mut model) = (data(target), model(target));
        let kept = quiet()
            .keep_steps()
            .epochs(2)
            .learning_rate(1e-3)
            .batch_size(6);
        let history = model.train_frozen(&data, &Augment::none(), &kept).unwrap();
        let header = history.to_csv().lines().next().unwrap().to_owned();
        let json: Value = serde_json::from_str(&history.to_json()).unwrap();
        let measure = name(target);
        assert_eq!(
            header,
            format!("epoch,loss,{measure},val_loss,val_{measure},seconds")
        );
        assert_eq!(json[format!("val_{measure}")].as_array().unwrap().len(), 2);
        assert!(
            history.to_string().contains(&format!("val_{measure} ")),
            "{history}"
        );
        assert!(history.best().is_some());
        assert_eq!(history.steps().len(), 4);
        let svg = history.plot().to_svg().unwrap();
        let title = match target {
            Target::Numbers => "Mean absolute error",
            _ => "Accuracy",
        };
        assert!(svg.contains(title));
        let report = model.report(&data.validation).unwrap();
        assert_eq!(report.values(), data.validation.values());
        assert!(report.show(4).is_ok() && report.most_wrong(2).is_ok());
        let train = model.base().extract_features(&data.train).unwrap();
        assert!(train.pca().unwrap().plot().to_svg().is_ok());
        let near = train
            .nearest(model.base(), &*data.validation.files()[0], 2)
            .unwrap();
        assert!(near.plot().is_ok());
        assert!(data.train.show(4).is_ok() && data.check().unwrap().is_fine());
        let rates = model.lr_find(&data, &Augment::none(), &kept).unwrap();
        assert!(!rates.losses().is_empty());
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let (labels, numbers) = (data(Target::Labels), data(Target::Numbers));
    let mut model = model(Target::Labels);
    let none = Augment::none();
    let error = model
        .fit(&numbers, &none, &quiet())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Target::Numbers") && error.contains("labels"),
        "{error}"
    );
    let weighed = quiet().class_weights(&[1.0, 2.0]);
    let error = model
        .train_frozen(&labels, &none, &weighed)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("class_weights") && error.contains("labels"),
        "{error}"
    );
    let head = Head::dense(4).build(&features(Target::Labels), 0).unwrap();
    let error = head
        .predict(&features(Target::Numbers))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected labels") && error.contains("found numbers"),
        "{error}"
    );
    let names: [&str; 0] = [];
    let head = Head::dense(4).target(Target::Numbers);
    assert!(Classifier::new(&base(32), head, &names).is_err());
    let values = Array4::<f32>::zeros((2, 1, 1, 2));
    let halves = Array2::from_elem((2, 1), 0.5);
    for target in [Target::Class, Target::Labels] {
        assert!(Features::from_arrays(&values, target, &halves, &["red"]).is_err());
    }
}

#[test]
fn onnxruntime_gives_the_same_labels_and_numbers() {
    for (target, output) in [
        (Target::Labels, "probabilities"),
        (Target::Numbers, "numbers"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let model = model(target);
        model.save(&path).unwrap();
        let validation = data(target).validation;
        let files = validation.files().iter().map(PathBuf::as_path);
        let arguments = std::iter::once(&*path).chain(files).collect::<Vec<_>>();
        let found = crate::common::python("onnx_model.py", &arguments);
        let found: Value = serde_json::from_str(&found).unwrap();
        let mut against = Against {
            // f32 sums in another order, as for classes (onnx.rs).
            tolerance: 3e-5,
            worst: 0.0,
        };
        let expected = model.report(&validation).unwrap().probabilities();
        for ((n, k), &value) in expected.indexed_iter() {
            against.keras(output, value, &found["outputs"][output][n][k]);
        }
        assert_eq!(found["outputs"].as_object().unwrap().len(), 1);
        println!("ONNX of {target:?}: {:.1e}", against.worst);
    }
}
