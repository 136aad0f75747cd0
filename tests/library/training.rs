//! Training the head: Keras' numbers, seeds, and what must not happen.

use std::path::Path;

use evcxr_transfer::{
    Device, Error, Evaluation, Features, Fit, Head, HeadModel, Optimizer, Progress, Schedule, Stop,
    train_head,
};
use ndarray::Array4;

/// Features that a line tells apart, but not without learning: `classes` bumps in noise.
fn features(pictures: usize, classes: usize) -> Features {
    let names = &["cats", "dogs", "owls"][..classes];
    let labels = (0..pictures).map(|n| n % classes).collect::<Vec<_>>();
    let values = Array4::from_shape_fn((pictures, 2, 2, 16), |(n, y, x, c)| {
        // A little noise that follows from the indices alone.
        let noise = ((n * 7919 + y * 104_729 + x * 1299 + c * 15_485) % 1000) as f32 / 1000.0;
        noise + if c % classes == labels[n] { 0.4 } else { 0.0 }
    });
    Features::from_array(&values, &labels, names).unwrap()
}

fn quiet() -> Fit {
    Fit::default().progress(Progress::quiet())
}

const STEPS: usize = 20;

/// Trains the same head in Keras and here, all pictures in one batch, and compares every step.
/// `optimizer` says in Keras' words what `fit` says in ours.
fn assert_steps_are_keras_steps(classes: usize, fit: Fit, optimizer: &str) {
    const RATE: f64 = 1e-3;
    // The loss is a mean of logarithms near 1, in f32 on both sides, after up to 20 steps whose
    // rounding adds up; measured at 4e-7. Keras clips probabilities at 1e-7, which is far away here.
    const TOLERANCE: f64 = 5e-6;
    let folder = tempfile::tempdir().unwrap();
    let train = features(30, classes);
    let mut head = Head::dense(24).build(&train, 5).unwrap();
    let (features_path, head_path) = (
        folder.path().join("features.safetensors"),
        folder.path().join("head.safetensors"),
    );
    train.save(&features_path).unwrap();
    head.save(&head_path).unwrap();
    let (steps, rate) = (STEPS.to_string(), RATE.to_string());
    let weights = format!("{:?}", fit.class_weights);
    let arguments = [
        &features_path,
        &head_path,
        Path::new(&steps),
        Path::new(&rate),
        Path::new(optimizer),
        Path::new(&weights),
    ];
    let keras = crate::common::python("keras_head.py", &arguments);
    let keras: serde_json::Value = serde_json::from_str(keras.lines().last().unwrap()).unwrap();

    let fit = fit.epochs(STEPS).batch_size(30).learning_rate(RATE);
    let history = head.fit(&train, &train, &fit).unwrap();
    for (step, epoch) in history.epochs.iter().enumerate() {
        let loss = keras["loss"][step].as_f64().unwrap();
        assert!(
            (epoch.loss - loss).abs() < TOLERANCE,
            "step {step}: {} and {loss}",
            epoch.loss
        );
        // A share of 30 pictures, in f32 on Keras' side.
        let accuracy = keras["accuracy"][step].as_f64().unwrap();
        assert!(
            (epoch.accuracy - accuracy).abs() < 1e-6,
            "step {step}: {}",
            epoch.accuracy
        );
    }
    let Evaluation { loss, accuracy, .. } = head.evaluate(&train).unwrap();
    assert!(
        (loss - keras["final"][0].as_f64().unwrap()).abs() < TOLERANCE,
        "{loss}"
    );
    assert!(
        (accuracy - keras["final"][1].as_f64().unwrap()).abs() < 1e-6,
        "{accuracy}"
    );
    let predicted = head.predict(&train).unwrap();
    for (n, row) in predicted.outer_iter().enumerate() {
        assert!((row.sum() - 1.0).abs() < 1e-5, "picture {n}: {row}");
        // Keras gives one number for two classes: the probability of the second.
        let (column, expected) = match classes {
            2 => (1, &keras["predicted"][n][0]),
            _ => (n % 3, &keras["predicted"][n][n % 3]),
        };
        let difference = f64::from(row[column]) - expected.as_f64().unwrap();
        assert!(difference.abs() < TOLERANCE, "picture {n}: {difference}");
    }
}

#[test]
fn twenty_steps_for_two_classes_are_keras_steps() {
    assert_steps_are_keras_steps(2, quiet(), r#"{"class": "RMSprop"}"#);
}

#[test]
fn twenty_steps_for_three_classes_are_keras_steps() {
    assert_steps_are_keras_steps(3, quiet(), r#"{"class": "RMSprop"}"#);
}

#[test]
fn every_optimizer_takes_keras_steps() {
    for (optimizer, keras) in [
        (Optimizer::adam(), r#"{"class": "Adam"}"#),
        (Optimizer::adam_w(), r#"{"class": "AdamW"}"#),
        (Optimizer::sgd(0.0), r#"{"class": "SGD"}"#),
        (Optimizer::sgd(0.9), r#"{"class": "SGD", "momentum": 0.9}"#),
    ] {
        assert_steps_are_keras_steps(2, quiet().optimizer(optimizer), keras);
    }
}

#[test]
fn class_weights_and_schedules_are_keras_own() {
    // An epoch is one step here, so that Keras' decay steps are epochs.
    let cosine = quiet().schedule(Schedule::Cosine);
    let cosine = cosine.class_weights(&[0.5, 2.0]);
    let keras = r#"{"class": "RMSprop", "schedule": {"class": "CosineDecay", "decay_steps": 20}}"#;
    assert_steps_are_keras_steps(2, cosine, keras);
    let staircase = quiet().schedule(Schedule::StepDecay {
        every: 5,
        factor: 0.5,
    });
    let staircase = staircase.class_weights(&[1.0, 0.25, 3.0]);
    let keras = r#"{"class": "RMSprop", "schedule": {"class": "ExponentialDecay",
        "decay_steps": 5, "decay_rate": 0.5, "staircase": true}}"#;
    assert_steps_are_keras_steps(3, staircase, keras);
}

#[test]
fn a_head_goes_on_from_a_checkpoint_with_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (train, validation) = (features(50, 3), features(20, 3));
    let fit = quiet()
        .optimizer(Optimizer::adam())
        .schedule(Schedule::OneCycle)
        .learning_rate(1e-3)
        .checkpoint_every(2);
    let new = || Head::lesson().build(&train, 1).unwrap();
    let numbers = |epoch: &evcxr_transfer::Epoch| (epoch.loss, epoch.accuracy, epoch.val_loss);
    // Written after epochs 2, 4 and 5: complete.
    let whole = fit.clone().epochs(5).checkpoint(&path);
    let mut one_go = new();
    let history = one_go.fit(&train, &validation, &whole).unwrap();
    let mut done = HeadModel::load(&path, Device::Cpu).unwrap();
    let error = done.resume(&train, &validation, &whole).unwrap_err();
    assert!(error.to_string().contains("has 5 already"), "{error}");
    // Constant rates know no length, so that a short run can be made longer.
    let constant = fit.schedule(Schedule::Constant);
    let mut long = new();
    let expected = long
        .fit(&train, &validation, &constant.clone().epochs(5))
        .unwrap();
    new()
        .fit(
            &train,
            &validation,
            &constant.clone().epochs(2).checkpoint(&path),
        )
        .unwrap();
    let mut short = HeadModel::load(&path, Device::Cpu).unwrap();
    let found = short
        .resume(&train, &validation, &constant.epochs(5))
        .unwrap();
    let of =
        |history: &evcxr_transfer::History| history.epochs.iter().map(numbers).collect::<Vec<_>>();
    assert_eq!(of(&found), of(&expected));
    assert_eq!(
        short.predict(&train).unwrap(),
        long.predict(&train).unwrap()
    );
    assert_ne!(of(&history), of(&expected), "one cycle is not constant");
}

#[test]
fn steps_are_kept_on_demand_and_go_on_with_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (train, validation) = (features(50, 3), features(20, 3));
    let fit = quiet().learning_rate(1e-3);
    let new = || Head::dense(8).build(&train, 1).unwrap();
    let without = new().fit(&train, &validation, &fit.clone().epochs(1));
    assert!(without.unwrap().steps().is_empty());
    let fit = fit.keep_steps();
    let whole = new()
        .fit(&train, &validation, &fit.clone().epochs(3))
        .unwrap();
    // Batches of 20, 20 and 10: an epoch's numbers are their means, each picture with the same weight.
    assert_eq!(whole.steps().len(), 9);
    for (number, epoch) in (1..).zip(&whole.epochs) {
        let steps = whole.steps().iter().filter(|step| step.epoch == number);
        let sizes = [20.0, 20.0, 10.0];
        let mean = |value: fn(&evcxr_transfer::Step) -> f64| {
            let weighed = steps.clone().zip(sizes);
            weighed.map(|(step, size)| value(step) * size).sum::<f64>() / 50.0
        };
        // The same sums in another order.
        assert!((mean(|step| step.loss) - epoch.loss).abs() < 1e-12);
        assert!((mean(|step| step.accuracy) - epoch.accuracy).abs() < 1e-12);
    }
    let begun = fit.clone().epochs(1).checkpoint(&path);
    new().fit(&train, &validation, &begun).unwrap();
    let mut loaded = HeadModel::load(&path, Device::Cpu).unwrap();
    let history = loaded.resume(&train, &validation, &fit.epochs(3)).unwrap();
    assert_eq!(history.steps(), whole.steps());
}

#[test]
fn the_lessons_head_has_the_lessons_parameters_and_starts_as_glorot_says() {
    let values = Array4::<f32>::zeros((2, 4, 4, 512));
    let train = Features::from_array(&values, &[0, 1], &["cats", "dogs"]).unwrap();
    let head = Head::lesson().build(&train, 0).unwrap();
    assert_eq!(head.num_parameters(), 4_195_329);
    assert_eq!(
        Head::dense(256).build(&train, 0).unwrap().num_parameters(),
        2_097_665
    );
    let text = head.summary().to_string();
    for part in [
        "4,194,816",
        "dropout (Dropout)",
        "513",
        "Total params: 4,195,329",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    head.save(&path).unwrap();
    let tensors = tch::Tensor::read_safetensors(&path).unwrap();
    let find = |name: &str| &tensors.iter().find(|(found, _)| found == name).unwrap().1;
    // Uniform within limit = sqrt(6 / (8192 + 512)): variance limit^2 / 3, mean 0. With 4,194,304
    // draws the relative error of the variance is about 0.0004 and of the mean 0.0003 limits.
    let limit = (6.0f64 / 8704.0).sqrt();
    let kernel = find("dense.weight");
    assert!(kernel.abs().max().double_value(&[]) <= limit * 1.000_001);
    let variance = kernel.var(true).double_value(&[]) / (limit * limit / 3.0);
    assert!((variance - 1.0).abs() < 0.003, "{variance}");
    assert!(kernel.mean(tch::Kind::Double).double_value(&[]).abs() < 0.002 * limit);
    assert_eq!(find("dense.bias").abs().max().double_value(&[]), 0.0);
}

#[test]
fn one_seed_gives_one_history_and_another_seed_another() {
    let (train, validation) = (features(50, 2), features(20, 2));
    let run = |seed| {
        let (_, history) = train_head(&train, &validation, &quiet().epochs(20).seed(seed)).unwrap();
        let numbers = |epoch: &evcxr_transfer::Epoch| (epoch.loss, epoch.accuracy, epoch.val_loss);
        history.epochs.iter().map(numbers).collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_separable_problem_is_learned_and_more_calls_go_on() {
    let (train, validation) = (features(60, 3), features(30, 3));
    let mut head = Head::lesson().build(&train, 0).unwrap();
    let fit = quiet().epochs(15).learning_rate(1e-3);
    let first = head.fit(&train, &validation, &fit).unwrap();
    let second = head.fit(&train, &validation, &fit).unwrap();
    assert!(second.epochs[0].loss < first.epochs[0].loss / 2.0);
    let last = second.last().unwrap();
    assert!(
        last.loss < 0.05 && last.val_accuracy == Some(1.0),
        "{second}"
    );
    // Evaluation draws nothing at random: twice the same.
    assert_eq!(
        head.evaluate(&validation).unwrap(),
        head.evaluate(&validation).unwrap()
    );
}

#[test]
fn a_short_last_batch_counts_by_its_size() {
    let train = features(23, 2);
    // Weights that do not move: the mean over any order of batches (10, 10, 3) is the mean over all.
    let fit = quiet().epochs(1).batch_size(10).learning_rate(1e-30);
    let mut head = Head::dense(8).build(&train, 0).unwrap();
    let epoch = head.fit(&train, &train, &fit).unwrap().last().unwrap();
    let all = head.evaluate(&train).unwrap();
    // f32 losses of three batches against one: a few units in the last place.
    assert!(
        (epoch.loss - all.loss).abs() < 1e-6,
        "{} and {}",
        epoch.loss,
        all.loss
    );
    assert!((epoch.accuracy - all.accuracy).abs() < 1e-12);
}

#[test]
fn dropout_drops_while_training_and_keeps_the_scale() {
    let train = features(200, 2);
    let fit = quiet().epochs(1).batch_size(200).learning_rate(1e-30);
    let mut head = Head::dense(400).dropout(0.5).build(&train, 0).unwrap();
    let still = head.evaluate(&train).unwrap().loss;
    let dropped = head.fit(&train, &train, &fit).unwrap().last().unwrap().loss;
    assert_ne!(still, dropped);
    // Inverted dropout keeps the mean of each logit; with 400 units its spread here is small enough
    // for the loss to stay within a tenth. Without the factor 2 logits would halve.
    assert!((dropped - still).abs() < 0.1, "{still} and {dropped}");
}

#[test]
fn a_run_that_diverges_ends_with_an_error_and_the_last_good_weights() {
    let train = features(40, 2);
    let mut head = Head::dense(16).build(&train, 0).unwrap();
    head.fit(&train, &train, &quiet().epochs(2).learning_rate(1e-3))
        .unwrap();
    let before = head.evaluate(&train).unwrap();
    let error = head
        .fit(&train, &train, &quiet().learning_rate(1e30))
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                epoch: 1,
                step: 2,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("smaller learning rate"),
        "{error}"
    );
    assert_eq!(head.evaluate(&train).unwrap(), before);
}

#[test]
fn a_run_that_diverges_later_keeps_its_history() {
    let train = features(40, 2);
    let mut head = Head::dense(16).build(&train, 0).unwrap();
    // The second epoch's rate is beyond all bounds.
    let fit = quiet().learning_rate(1e-3).schedule(Schedule::StepDecay {
        every: 1,
        factor: 1e33,
    });
    let history = head.fit(&train, &train, &fit).unwrap();
    assert_eq!(history.epochs.len(), 1);
    let ending = history.ending().unwrap();
    assert!(
        ending.contains("epoch 2 failed") && ending.contains("training has diverged"),
        "{ending}"
    );
    assert!(
        ending.contains("the weights are those of epoch 1"),
        "{ending}"
    );
    let found = head.evaluate(&train).unwrap();
    assert_eq!(Some(found.loss), history.epochs[0].val_loss);
}

#[test]
fn a_stop_before_a_resumed_heads_first_step_keeps_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (train, stop) = (features(30, 2), Stop::new());
    let fit = quiet().learning_rate(1e-3).checkpoint(&path).stop(&stop);
    let mut head = Head::dense(8).build(&train, 0).unwrap();
    head.fit(&train, &train, &fit.clone().epochs(2)).unwrap();
    let mut head = HeadModel::load(&path, Device::Cpu).unwrap();
    stop.request();
    let fit = fit.epochs(4);
    let history = head.resume(&train, &train, &fit).unwrap();
    assert_eq!(history.epochs.len(), 2);
    assert_eq!(history.ending().unwrap(), "stopped before epoch 3");
    stop.reset();
    let history = head.resume(&train, &train, &fit).unwrap();
    assert_eq!((history.epochs.len(), history.ending()), (4, None));
}

#[test]
fn a_saved_head_predicts_the_same_and_a_foreign_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let train = features(30, 3);
    let fit = quiet().epochs(3).learning_rate(1e-3);
    let (head, _) = train_head(&train, &train, &fit).unwrap();
    head.save(&path).unwrap();
    let loaded = HeadModel::load(&path, Device::Cpu).unwrap();
    assert_eq!(
        loaded.predict(&train).unwrap(),
        head.predict(&train).unwrap()
    );
    assert_eq!(loaded.classes(), head.classes());
    assert_eq!(loaded.summary().to_string(), head.summary().to_string());

    train.save(&path).unwrap();
    let text = HeadModel::load(&path, Device::Cpu).unwrap_err().to_string();
    assert!(
        text.contains("head.safetensors") && text.contains("a head"),
        "{text}"
    );
}

#[test]
fn what_does_not_fit_together_is_refused_before_anything_is_computed() {
    let train = features(30, 2);
    let mut head = Head::dense(8).build(&train, 0).unwrap();
    let wide = Array4::<f32>::zeros((2, 2, 2, 17));
    let wide = Features::from_array(&wide, &[0, 1], &["cats", "dogs"]).unwrap();
    let error = head.fit(&train, &wide, &quiet()).unwrap_err();
    assert!(error.to_string().contains("[2, 2, 16]"), "{error}");
    let others = features(30, 3);
    let error = head.fit(&others, &train, &quiet()).unwrap_err();
    assert!(error.to_string().contains("owls"), "{error}");
    for (fit, argument) in [
        (quiet().epochs(0), "epochs"),
        (quiet().batch_size(0), "batch_size"),
        (quiet().learning_rate(0.0), "learning_rate"),
        (quiet().learning_rate(f64::NAN), "learning_rate"),
    ] {
        let error = head.fit(&train, &train, &fit).unwrap_err();
        assert!(error.to_string().starts_with(argument), "{error}");
    }
    for head in [
        Head::dense(0),
        Head::dense(usize::MAX),
        Head::dense(8).dropout(1.0),
        Head::dense(8).dropout(-0.1),
    ] {
        assert!(
            matches!(head.build(&train, 0), Err(Error::Argument { .. })),
            "{head:?}"
        );
    }
}

#[test]
fn a_caught_panic_with_gradients_off_does_not_stop_later_training() {
    let train = features(20, 2);
    let outcome = std::panic::catch_unwind(|| {
        tch::no_grad(|| {
            let refused = tch::Tensor::zeros([2], (tch::Kind::Float, Device::Cpu));
            refused.reshape([3])
        })
    });
    assert!(outcome.is_err(), "the panic is what this test is about");
    // tch leaves gradients off now. Training must switch them on for itself.
    let (_, history) = train_head(&train, &train, &quiet().epochs(2).learning_rate(1e-3)).unwrap();
    assert!(history.epochs[1].loss < history.epochs[0].loss, "{history}");
}

#[test]
fn a_heads_run_goes_on_with_the_features_that_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (train, validation) = (features(12, 2), features(6, 2));
    let mut head = Head::dense(4).build(&train, 0).unwrap();
    let begun = quiet().epochs(1).checkpoint(&path);
    head.fit(&train, &validation, &begun).unwrap();
    let loaded = || HeadModel::load(&path, Device::Cpu).unwrap();
    // As many, but others: the same in another order.
    let array = train.array().unwrap();
    let turned = Array4::from_shape_fn(array.dim(), |(n, y, x, c)| array[[11 - n, y, x, c]]);
    let labels = train.labels().iter().rev().copied().collect::<Vec<_>>();
    let other = Features::from_array(&turned, &labels, &["cats", "dogs"]).unwrap();
    let error = loaded().resume(&other, &validation, &quiet().epochs(2));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("files of the training pictures"), "{error}");
    // The same, stored and read again.
    let stored = folder.path().join("train.safetensors");
    train.save(&stored).unwrap();
    let train = Features::load(&stored, Device::Cpu).unwrap();
    let history = loaded()
        .resume(&train, &validation, &quiet().epochs(2))
        .unwrap();
    assert_eq!(history.epochs.len(), 2);
}

#[test]
fn features_that_are_no_finite_numbers_are_refused() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut values = Array4::zeros((2, 1, 1, 2));
        values[[1, 0, 0, 1]] = value;
        let error = Features::from_array(&values, &[0, 1], &["cats", "dogs"]).unwrap_err();
        assert!(
            error.to_string().contains("1 values that are no finite"),
            "{error}"
        );
    }
}

#[test]
fn options_out_of_bounds_are_named_as_what_they_are() {
    for (fit, words) in [
        (
            quiet().batch_size(usize::MAX),
            "batch_size is 18446744073709551615",
        ),
        (quiet().batch_size(10_000_001), "batch_size is 10000001"),
        (
            quiet().batch_size(20_000_000).steps_per_epoch(2),
            "batch_size is 20000000",
        ),
        (
            quiet().batch_size(1000).steps_per_epoch(1_000_000),
            "steps_per_epoch is 1000000",
        ),
        (
            quiet().class_weights(&[1.0, f64::INFINITY]),
            "each must be a finite number",
        ),
        (quiet().class_weights(&[1.0, -1.0]), "none below 0"),
    ] {
        let error = fit.check().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
