//! The classifier: Keras' steps, what is frozen, saving, going on, stopping, predicting.

use std::path::Path;
use std::time::Duration;

use evcxr_transfer::{
    Augment, Base, Classifier, Data, Device, Error, Fit, Head, History, Optimizer, Photo,
    Precision, Progress, Schedule, Stop, Tensor, Weights,
};
use serde_json::{Value, json};

/// The size of pictures in most tests: 2 x 2 x 512 come out, so that the order of flattening shows.
const SIZE: usize = 64;

fn base(size: usize) -> Base {
    let weights = Weights::seeded(0);
    let base = Base::vgg16(size, &weights, Device::Cpu, Precision::F32).unwrap();
    base.progress(Progress::quiet())
}

/// 12 drawn pictures to learn from and 6 to validate on.
fn data() -> Data {
    let samples = Data::open(crate::common::repository("data/samples")).unwrap();
    samples.take(12, 6)
}

fn fit() -> Fit {
    Fit::default()
        .epochs(2)
        .batch_size(5)
        .learning_rate(1e-4)
        .progress(Progress::quiet())
}

fn model() -> Classifier {
    Classifier::new(&base(SIZE), Head::dense(16), data().train.classes()).unwrap()
}

/// Every tensor of a saved model, by name.
fn tensors(model: &Classifier) -> Vec<(String, Tensor)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    let mut tensors = Tensor::read_safetensors(&path).unwrap();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

/// The names of the tensors that differ in at least one bit.
fn changed(before: &[(String, Tensor)], after: &[(String, Tensor)]) -> Vec<String> {
    assert_eq!(before.len(), after.len());
    let pairs = before.iter().zip(after);
    let differs = pairs.filter(|(before, after)| {
        assert_eq!(before.0, after.0);
        before.1 != after.1
    });
    differs.map(|(before, _)| before.0.clone()).collect()
}

/// Everything of a history that does not depend on the clock.
fn numbers(history: &History) -> Vec<(f64, f64, Option<f64>, Option<f64>)> {
    let epochs = history.epochs.iter();
    epochs
        .map(|e| (e.loss, e.accuracy, e.val_loss, e.val_accuracy))
        .collect()
}

/// Trains the same model in Keras and here, phase by phase, and compares every epoch, the last
/// probabilities and the last weights of the base.
fn assert_training_is_keras_training(mut model: Classifier, phases: &[(Option<&str>, f64)]) {
    const EPOCHS: usize = 3;
    // Losses are means of logarithms near 1, in f32 on both sides, after up to six steps whose rounding
    // adds up; measured at 4e-7 (VGG16) and 6e-8 (small network). As for heads (tests/library/training.rs).
    const TOLERANCE: f64 = 5e-6;
    // In learning rates: RMSprop moves each weight by about one of them in a step. Measured at 8e-4 (the
    // last bit of weights near 0.06, at a rate of 1e-5) and 1e-4.
    const WEIGHT_TOLERANCE: f64 = 0.01;
    let folder = tempfile::tempdir().unwrap();
    let start = folder.path().join("start.safetensors");
    let out = folder.path().join("keras.safetensors");
    model.save(&start).unwrap();
    let data = data();
    let part = |dataset: &evcxr_transfer::Dataset| {
        let pictures = dataset.files().iter().map(|file| file.to_str().unwrap());
        json!({ "pictures": pictures.collect::<Vec<_>>(), "labels": dataset.labels() })
    };
    let phases_json = phases
        .iter()
        .map(|(from, rate)| json!({ "from": from, "epochs": EPOCHS, "rate": rate }))
        .collect::<Vec<_>>();
    let order = json!({
        "model": start.to_str().unwrap(),
        "train": part(&data.train),
        "validation": part(&data.validation),
        "phases": phases_json,
    });
    let order = order.to_string();
    let keras = crate::common::python("keras_classifier.py", &[Path::new(&order), &out]);
    let keras: Value = serde_json::from_str(keras.lines().last().unwrap()).unwrap();

    let mut worst = 0.0_f64;
    let mut compare = |what: &str, found: f64, expected: &Value| {
        let difference = (found - expected.as_f64().unwrap()).abs();
        assert!(difference < TOLERANCE, "{what}: {found} and {expected}");
        worst = worst.max(difference);
    };
    for (&(from, rate), run) in phases.iter().zip(keras["runs"].as_array().unwrap()) {
        let fit = fit().epochs(EPOCHS).batch_size(12).learning_rate(rate);
        let none = Augment::none();
        let history = match from {
            None => model.train_frozen(&data, &none, &fit).unwrap(),
            Some(layer) => model.fine_tune(layer, &data, &none, &fit).unwrap(),
        };
        assert_eq!(model.trainable_weights().len(), run["trainable"]);
        for (number, epoch) in history.epochs.iter().enumerate() {
            compare("loss", epoch.loss, &run["loss"][number]);
            compare("accuracy", epoch.accuracy, &run["accuracy"][number]);
            compare(
                "val_loss",
                epoch.val_loss.unwrap(),
                &run["val_loss"][number],
            );
            let accuracy = &run["val_accuracy"][number];
            compare("val_accuracy", epoch.val_accuracy.unwrap(), accuracy);
        }
    }
    for (number, file) in data.validation.files().iter().enumerate() {
        let probabilities = model.predict(file).unwrap().probabilities();
        // Keras gives one number for two classes: the probability of the second.
        let expected = &keras["predicted"][number][0];
        compare("probability", probabilities[1].1, expected);
    }
    let losses = &keras["runs"][0]["loss"];
    let [first, last] = [0, EPOCHS - 1].map(|epoch| losses[epoch].as_f64().unwrap());
    assert!(
        last < first - 0.005,
        "Keras' own run must learn something: {losses}"
    );
    let last = Tensor::read_safetensors(&out).unwrap();
    let found = tensors(&model);
    for (name, expected) in last {
        let found = &found.iter().find(|(found, _)| *found == name).unwrap().1;
        let difference = (found - expected).abs().max().double_value(&[]);
        assert!(
            difference < WEIGHT_TOLERANCE * phases[phases.len() - 1].1,
            "{name}: {difference}"
        );
    }
    println!("worst difference to Keras: {worst:e}");
}

#[test]
fn a_frozen_base_and_then_block_5_learn_as_in_keras() {
    let phases = [(None, 1e-4), (Some("block5_conv1"), 1e-5)];
    assert_training_is_keras_training(model(), &phases);
}

#[test]
fn a_small_network_learns_from_scratch_as_in_keras() {
    let classes = ["cats", "dogs"];
    let model = Classifier::small_conv_net(SIZE, &classes, 0, Device::Cpu, Precision::F32).unwrap();
    assert_training_is_keras_training(
        model.progress(Progress::quiet()),
        &[(Some("input_1"), 1e-4)],
    );
}

#[test]
fn the_lessons_model_has_the_lessons_numbers() {
    let base = base(150);
    let mut model = Classifier::new(&base, Head::dense(256), &["cats", "dogs"]).unwrap();
    assert_eq!(model.num_parameters(), 16_812_353);
    assert_eq!(model.num_trainable_parameters(), 16_812_353);
    assert_eq!(model.trainable_weights().len(), 30);
    model.freeze_base();
    assert_eq!(model.trainable_weights().len(), 4);
    assert_eq!(model.num_trainable_parameters(), 2_097_665);
    let table = model.unfreeze_from("block5_conv1").unwrap();
    assert_eq!(table.num_rows(), 19);
    let csv = table.to_csv();
    assert!(
        csv.contains("block4_pool,false\nblock5_conv1,true"),
        "{csv}"
    );
    assert_eq!(csv.matches(",true").count(), 4);
    // Block 5: three times 3 x 3 x 512 x 512 + 512.
    assert_eq!(model.num_trainable_parameters(), 2_097_665 + 7_079_424);
    let text = model.summary().to_string();
    for part in [
        "vgg16 (Functional)",
        "(None, 8192)",
        "2,097,408",
        "Total params: 16,812,353",
        "Trainable params: 9,177,089",
        "Non-trainable params: 7,635,264",
        "seeded random weights",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let error = model.unfreeze_from("block6_conv1").unwrap_err().to_string();
    assert!(
        error.contains("block6_conv1") && error.contains("input_1, block1_conv1"),
        "{error}"
    );
    // A wrong name leaves the border where it was.
    assert_eq!(model.trainable_weights().len(), 10);
    // Chollet's network at 150 pixels, as Keras counts it.
    let classes = ["cats", "dogs"];
    let small = Classifier::small_conv_net(150, &classes, 0, Device::Cpu, Precision::F32).unwrap();
    assert_eq!(small.num_parameters(), 3_453_121);
    assert_eq!(small.base().output_shape(), [7, 7, 128]);
}

#[test]
fn frozen_layers_keep_every_bit_and_block_5_moves() {
    let base = base(SIZE);
    let own = base
        .layer_weights("block5_conv1")
        .unwrap()
        .array("kernel")
        .unwrap();
    let mut model = Classifier::new(&base, Head::dense(16), &["cats", "dogs"]).unwrap();
    let start = tensors(&model);
    let (data, augment) = (data(), Augment::lesson());
    model.train_frozen(&data, &augment, &fit()).unwrap();
    let frozen = tensors(&model);
    let head = [
        "dense.bias",
        "dense.weight",
        "dense_1.bias",
        "dense_1.weight",
    ];
    assert_eq!(changed(&start, &frozen), head);
    model
        .fine_tune("block5_conv1", &data, &augment, &fit())
        .unwrap();
    let mut expected = head.map(String::from).to_vec();
    for number in [24, 26, 28] {
        expected.push(format!("features.{number}.bias"));
        expected.push(format!("features.{number}.weight"));
    }
    expected.sort();
    assert_eq!(changed(&frozen, &tensors(&model)), expected);
    // The base that the model was made from is another's: nothing of it may move.
    assert_eq!(
        base.layer_weights("block5_conv1")
            .unwrap()
            .array("kernel")
            .unwrap(),
        own
    );
}

#[test]
fn two_epochs_and_three_more_are_five_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (data, augment) = (data(), Augment::lesson());
    for optimizer in [Optimizer::RmsProp, Optimizer::adam_w(), Optimizer::sgd(0.9)] {
        let fit = fit()
            .optimizer(optimizer)
            .head_learning_rate(3e-4)
            .schedule(Schedule::Exponential { per_epoch: 0.8 })
            .early_stopping(4)
            .seed(3);
        let new = || {
            let head = Head::dense(16).dropout(0.3);
            let mut model = Classifier::new(&base(48), head, &["cats", "dogs"]).unwrap();
            model.unfreeze_from("block5_conv2").unwrap();
            model
        };
        let mut whole = new();
        let in_one_go = whole.fit(&data, &augment, &fit.clone().epochs(5)).unwrap();

        let begun = fit.clone().epochs(2).checkpoint(&path);
        let first = new().fit(&data, &augment, &begun).unwrap();
        assert_eq!(numbers(&first), numbers(&in_one_go)[..2]);
        let mut model = Classifier::load(&path, Device::Cpu).unwrap();
        assert_eq!(model.history().epochs.len(), 2);
        // Nothing may be changed without a word; a refused call leaves the run as it was.
        let other = fit.clone().epochs(5).batch_size(6);
        let error = model.resume(&data, &other).unwrap_err().to_string();
        assert!(
            error.contains("batch_size") && error.contains('5'),
            "{error}"
        );
        let error = model.resume(&data, &fit.clone().epochs(2)).unwrap_err();
        assert!(error.to_string().contains("epochs is 2"), "{error}");

        let resumed = model.resume(&data, &fit.clone().epochs(5)).unwrap();
        assert_eq!(numbers(&resumed), numbers(&in_one_go), "{optimizer}");
        assert_eq!(resumed.ending(), in_one_go.ending());
        assert_eq!(numbers(&model.history()), numbers(&in_one_go));
        assert!(changed(&tensors(&whole), &tensors(&model)).is_empty());
        let error = model.resume(&data, &fit.clone().epochs(9)).unwrap_err();
        assert!(error.to_string().contains("checkpoint"), "{error}");
    }
}

#[test]
fn a_run_can_be_cut_again_and_again_and_its_history_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (data, augment) = (data(), Augment::lesson());
    // The precision whose numbers depend most on how a layer is computed: it must be the same after a cut.
    let precision = Precision::F32Winograd;
    let fit = fit().checkpoint(&path).seed(5).precision(precision);
    let mut whole = model();
    // A run before the one that is cut: it counts, and is not trained again.
    let first = fit.clone().epochs(1);
    whole.train_frozen(&data, &Augment::none(), &first).unwrap();
    let mut cut = model();
    cut.train_frozen(&data, &Augment::none(), &first).unwrap();
    let border = "block5_conv3";
    let uncut = Fit {
        checkpoint: None,
        ..fit.clone().epochs(4)
    };
    whole.fine_tune(border, &data, &augment, &uncut).unwrap();
    cut.fine_tune(border, &data, &augment, &fit.clone().epochs(1))
        .unwrap();
    for epochs in [2, 4] {
        let mut model = Classifier::load(&path, Device::Cpu).unwrap();
        let history = model.resume(&data, &fit.clone().epochs(epochs)).unwrap();
        assert_eq!(history.epochs.len(), epochs);
    }
    let last = Classifier::load(&path, Device::Cpu).unwrap();
    assert_eq!(numbers(&last.history()), numbers(&whole.history()));
    assert_eq!(last.history().notes(), ["seeded random weights"]);
    assert!(changed(&tensors(&whole), &tensors(&last)).is_empty());
    assert_eq!(last.base().precision(), precision);
    // Other pictures are another run; and once the model has learned something else there is none left.
    let mut last = last;
    let fewer = data.take(6, 6);
    let error = last.resume(&fewer, &fit.clone().epochs(9)).unwrap_err();
    assert!(error.to_string().contains("training pictures"), "{error}");
    assert!(last.is_unfinished());
    last.fit(&data, &augment, &first).unwrap();
    assert!(!last.is_unfinished());
    assert!(last.resume(&data, &fit.epochs(9)).is_err());
}

#[test]
fn a_stop_before_a_resumed_runs_first_step_keeps_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (data, none, stop) = (data(), Augment::none(), Stop::new());
    let fit = fit().checkpoint(&path).stop(&stop);
    let mut whole = model();
    whole
        .train_frozen(&data, &none, &fit.clone().epochs(3))
        .unwrap();
    model()
        .train_frozen(&data, &none, &fit.clone().epochs(1))
        .unwrap();
    let mut cut = Classifier::load(&path, Device::Cpu).unwrap();
    stop.request();
    let fit = fit.epochs(3);
    let history = cut.resume(&data, &fit).unwrap();
    assert_eq!(history.epochs.len(), 1);
    assert_eq!(history.ending().unwrap(), "stopped before epoch 2");
    assert!(cut.is_unfinished());
    stop.reset();
    let history = cut.resume(&data, &fit).unwrap();
    assert_eq!(numbers(&history), numbers(&whole.history()));
    assert!(changed(&tensors(&whole), &tensors(&cut)).is_empty());
}

#[test]
fn a_stop_while_pictures_are_read_changes_nothing() {
    let stop = Stop::new();
    stop.request();
    let mut model = model();
    let fit = fit().precision(Precision::BFloat16).stop(&stop);
    let history = model
        .fine_tune("block5_conv1", &data(), &Augment::lesson(), &fit)
        .unwrap();
    assert_eq!(history.ending().unwrap(), "stopped before epoch 1");
    assert_eq!(model.base().precision(), Precision::F32);
    assert_eq!(model.trainable_weights().len(), 30);
}

#[test]
fn checkpoints_of_other_versions_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let fit = fit().epochs(1).checkpoint(&path);
    let data = data();
    model().train_frozen(&data, &Augment::none(), &fit).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let rewritten = |change: &dyn Fn(&mut Value)| {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        change(&mut header["__metadata__"]);
        let header = header.to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(&bytes[8 + length..]);
        std::fs::write(&path, file).unwrap();
        Classifier::load(&path, Device::Cpu)
    };
    // An older version knew neither an option that has its default nor what a fact says, and wrote no
    // version; a later one writes more.
    let mut older = rewritten(&|metadata| {
        metadata.as_object_mut().unwrap().remove("format");
        let mut run: Value = serde_json::from_str(metadata["run"].as_str().unwrap()).unwrap();
        let options = run["options"].as_object_mut().unwrap();
        assert!(options.remove("class_weights").is_some());
        options.insert("of_tomorrow".into(), json!(1));
        assert!(
            run["facts"]
                .as_object_mut()
                .unwrap()
                .remove("interpolation")
                .is_some()
        );
        // Nor did it know the pictures by their files.
        let facts = run["facts"].as_object_mut().unwrap();
        for part in ["training", "validation"] {
            let name = format!("files of the {part} pictures");
            assert!(facts.remove(&name).is_some());
        }
        metadata["run"] = run.to_string().into();
        metadata["of_tomorrow"] = "1".into();
    })
    .unwrap();
    let history = older.resume(&data, &fit.clone().epochs(2)).unwrap();
    assert_eq!(history.epochs.len(), 2);
    let note = history.notes().last().unwrap();
    assert!(note.contains("does not tell which pictures"), "{note}");
    // What is written otherwise cannot be understood, and says so.
    let error = rewritten(&|metadata| {
        metadata["format"] = "99".into();
        metadata["written_by"] = "\"evcxr_transfer 7.1.0\"".into();
    });
    let text = error.unwrap_err().to_string();
    for part in ["format 99", "newer version", "evcxr_transfer 7.1.0"] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
}

#[test]
fn an_early_stopped_run_is_over_when_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let data = data();
    let fit = fit().epochs(40).learning_rate(3e-2).early_stopping(2);
    let fit = fit.checkpoint(&path).checkpoint_every(50);
    let mut model = model();
    let history = model.train_frozen(&data, &Augment::none(), &fit).unwrap();
    assert!(history.epochs.len() < 40);
    let mut loaded = Classifier::load(&path, Device::Cpu).unwrap();
    let again = loaded.resume(&data, &fit).unwrap();
    assert_eq!(again, history);
    assert!(changed(&tensors(&model), &tensors(&loaded)).is_empty());
}

#[test]
fn calling_fit_again_shows_other_versions_of_the_pictures() {
    let (data, augment) = (data(), Augment::lesson());
    // Rates at which no weight moves: the loss follows from the pictures alone.
    let fit = fit().epochs(1).learning_rate(1e-30);
    let mut model = model();
    let mut loss = || {
        let history = model.train_frozen(&data, &augment, &fit).unwrap();
        history.epochs[0].loss
    };
    assert_ne!(loss(), loss());
}

#[test]
fn pictures_are_predicted_with_the_interpolation_that_was_learned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let Data { train, validation } = data();
    let smooth = Data {
        train: train.interpolation(evcxr_transfer::Interpolation::Bilinear),
        validation,
    };
    let mut model = model();
    let none = Augment::none();
    let error = model.train_frozen(&smooth, &none, &fit()).unwrap_err();
    assert!(error.to_string().contains("interpolation"), "{error}");
    let smooth = Data {
        validation: smooth
            .validation
            .interpolation(evcxr_transfer::Interpolation::Bilinear),
        ..smooth
    };
    let fit = fit().learning_rate(1e-2);
    model.train_frozen(&smooth, &none, &fit).unwrap();
    model.save(&path).unwrap();
    let loaded = Classifier::load(&path, Device::Cpu).unwrap();
    let told = loaded.evaluate(&smooth.validation).unwrap().loss;
    let files = smooth.validation.files().iter();
    let losses = files
        .zip(smooth.validation.labels())
        .map(|(file, &label)| -loaded.predict(file).unwrap().probabilities()[label].1.ln());
    let mean = losses.sum::<f64>() / 6.0;
    // Probabilities went through f32.
    assert!((mean - told).abs() < 1e-4, "{mean} and {told}");
    // Whatever the pictures that it is asked about say of themselves.
    let sharp = smooth
        .validation
        .clone()
        .interpolation(evcxr_transfer::Interpolation::Nearest);
    assert_eq!(loaded.evaluate(&sharp).unwrap().loss, told);
    let of = |dataset| loaded.report(dataset).unwrap().table().to_string();
    assert_eq!(of(&sharp), of(&smooth.validation));
}

#[test]
fn damaged_descriptions_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let fit = fit().epochs(1).checkpoint(&path).early_stopping(3);
    model()
        .train_frozen(&data(), &Augment::none(), &fit)
        .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    for (key, value) in [
        ("size", "18446744073709551615"),
        ("size", "3"),
        ("size", "96"),
        ("classes", "[]"),
        ("classes", "[\"cats\"]"),
        ("input_shape", "[4294967296, 4294967296, 512]"),
        ("dropout", "1.5"),
        ("trainable_from", "\"block9_conv1\""),
        ("architecture", "\"vgg17\""),
        ("precision", "\"f8\""),
        ("interpolation", "3"),
        ("epochs", "-1"),
        ("history", "{}"),
        ("augment", "null"),
        ("run", "{}"),
    ] {
        let mut header = header.clone();
        header["__metadata__"][key] = value.into();
        let header = header.to_string();
        let mut damaged = (header.len() as u64).to_le_bytes().to_vec();
        damaged.extend(header.as_bytes());
        damaged.extend(&bytes[8 + length..]);
        std::fs::write(&path, damaged).unwrap();
        let error = Classifier::load(&path, Device::Cpu);
        let text = error.expect_err(&format!("{key} {value}")).to_string();
        assert!(text.contains("model.safetensors"), "{key} {value}: {text}");
    }
}

#[test]
fn python_opens_a_saved_model_and_tells_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cats.safetensors");
    let data = data();
    let mut model = model();
    let fit = fit().epochs(1);
    model
        .fine_tune("block5_conv3", &data, &Augment::none(), &fit)
        .unwrap();
    let saved = model.save(&path).unwrap();
    let mut arguments = vec![saved.path()];
    arguments.extend(data.validation.files().iter().map(|file| file.as_path()));
    let python = crate::common::python("torch_classifier.py", &arguments);
    let python: Value = serde_json::from_str(python.lines().last().unwrap()).unwrap();
    assert_eq!(python["classes"], json!(["cats", "dogs"]));
    assert_eq!(python["trainable_from"], "block5_conv3");
    assert_eq!(python["epochs"], 1);

    let loaded = Classifier::load(&path, Device::Cpu).unwrap();
    assert!(changed(&tensors(&model), &tensors(&loaded)).is_empty());
    assert_eq!(loaded.history(), model.history());
    assert_eq!(loaded.summary().to_string(), model.summary().to_string());
    for (number, file) in data.validation.files().iter().enumerate() {
        let probabilities = loaded.predict(file).unwrap().probabilities();
        assert_eq!(probabilities, model.predict(file).unwrap().probabilities());
        for (class, (_, probability)) in probabilities.iter().enumerate() {
            let expected = python["probabilities"][number][class].as_f64().unwrap();
            // f32 sums in another order, as for features (tests/library/features.rs).
            assert!(
                (probability - expected).abs() < 3e-5,
                "{probability}, {expected}"
            );
        }
    }
    // A head is no classifier, and says so.
    let features = base(SIZE).extract_features(&data.train).unwrap();
    Head::dense(4)
        .build(&features, 0)
        .unwrap()
        .save(&path)
        .unwrap();
    let error = Classifier::load(&path, Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cats.safetensors") && error.contains("a classifier"),
        "{error}"
    );
}

#[test]
fn a_stop_in_the_middle_of_an_epoch_keeps_what_was_learned() {
    let (data, stop) = (data(), Stop::new());
    let mut model = model();
    let before = tensors(&model);
    // Hours of work, if nobody stopped it.
    let fit = fit().epochs(1000).steps_per_epoch(1000).stop(&stop);
    let asker = std::thread::spawn({
        let stop = stop.clone();
        move || {
            std::thread::sleep(Duration::from_secs(2));
            stop.request();
        }
    });
    let history = model.train_frozen(&data, &Augment::none(), &fit).unwrap();
    asker.join().unwrap();
    let ending = history.ending().unwrap();
    assert!(ending.starts_with("stopped in epoch"), "{ending}");
    assert!(!changed(&before, &tensors(&model)).is_empty());
    // Still set: the next run ends before its first batch, and changes nothing.
    let kept = tensors(&model);
    let history = model.train_frozen(&data, &Augment::none(), &fit).unwrap();
    assert_eq!(history.ending().unwrap(), "stopped before epoch 1");
    assert!(changed(&kept, &tensors(&model)).is_empty());
    let stopped = Progress::quiet().stop(&stop);
    let error = base(SIZE).progress(stopped).extract_features(&data.train);
    assert!(matches!(error, Err(Error::Stopped { .. })));
    stop.reset();
    let fit = fit.epochs(1).steps_per_epoch(1);
    assert!(
        model
            .fit(&data, &Augment::none(), &fit)
            .unwrap()
            .ending()
            .is_none()
    );
}

#[test]
fn a_run_that_diverges_leaves_the_last_good_epoch() {
    let data = data();
    let mut model = model();
    model.train_frozen(&data, &Augment::none(), &fit()).unwrap();
    let before = tensors(&model);
    let fit = fit().optimizer(Optimizer::sgd(0.0)).learning_rate(1e30);
    let error = model
        .fine_tune("block5_conv1", &data, &Augment::none(), &fit)
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                epoch: 1,
                step: 2..,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("step"), "{error}");
    assert!(changed(&before, &tensors(&model)).is_empty());
    assert_eq!(model.history().epochs.len(), 2);
    // In one step an epoch, which only the validation sees.
    let fit = fit.batch_size(12);
    let error = model
        .train_frozen(&data, &Augment::none(), &fit)
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFinite {
                epoch: 1,
                step: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(changed(&before, &tensors(&model)).is_empty());
    // What was refused has not moved the border either.
    assert_eq!(model.trainable_weights().len(), 4);
}

// Weights of the epoch after the best one: github.com/keras-team/keras/issues/20323.
#[test]
fn early_stopping_keeps_the_best_weights() {
    let data = data();
    let mut model = model();
    // Far too large a rate: the loss rises again soon.
    let fit = fit().epochs(40).learning_rate(3e-2).early_stopping(2);
    let history = model.train_frozen(&data, &Augment::none(), &fit).unwrap();
    assert!(history.epochs.len() < 40, "{history}");
    let losses = history.epochs.iter().map(|epoch| epoch.val_loss.unwrap());
    let best = losses.fold(f64::INFINITY, f64::min);
    let found = model.evaluate(&data.validation).unwrap().loss;
    // The same six pictures in one batch, through the same layers.
    assert!((found - best).abs() < 1e-5, "{found} and {best}: {history}");
    let ending = history.ending().unwrap();
    assert!(ending.contains("not better for 2 epochs"), "{ending}");
    assert!(
        ending.contains("the weights are those of epoch"),
        "{ending}"
    );
}

#[test]
fn the_learning_rate_finder_leaves_the_model_as_it_was() {
    let data = data();
    let mut model = model();
    model.unfreeze_from("block5_conv3").unwrap();
    let before = tensors(&model);
    // All pictures in each batch: no noise between batches hides the fall.
    let fit = fit().batch_size(12).steps_per_epoch(60);
    let found = model.lr_find(&data, &Augment::none(), &fit).unwrap();
    assert!(changed(&before, &tensors(&model)).is_empty());
    assert!(model.history().epochs.is_empty());
    let rate = found.suggestion().unwrap();
    assert!((1e-7..1.0).contains(&rate), "{found}");
    assert!(found.rates().is_sorted() && found.rates().len() == found.losses().len());
    let picture = found.plot().to_png().unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
}

#[test]
fn bfloat16_learns_with_f32_weights() {
    let data = data();
    let run = |precision| {
        let mut model = model();
        let fit = fit().epochs(3).precision(precision);
        let history = model.fine_tune("block5_conv1", &data, &Augment::none(), &fit);
        (numbers(&history.unwrap()), model)
    };
    let (exact, _) = run(Precision::F32);
    let (rounded, model) = run(Precision::BFloat16);
    for (exact, rounded) in exact.iter().zip(&rounded) {
        // 8 bits of mantissa in thirteen layers: features within about 2 %, the loss near 1.
        assert!(
            (exact.0 - rounded.0).abs() < 0.05,
            "{exact:?} and {rounded:?}"
        );
    }
    assert_eq!(model.base().precision(), Precision::BFloat16);
    for (name, tensor) in tensors(&model) {
        assert_eq!(tensor.kind(), tch::Kind::Float, "{name}");
    }
}

#[test]
fn transfer_trains_the_head_and_then_the_last_block() {
    let data = data();
    let (model, history) = Classifier::transfer(&base(SIZE), &data, &fit().epochs(1)).unwrap();
    assert_eq!(history.epochs.len(), 2);
    assert_eq!(model.history().epochs.len(), 2);
    // The seam between the two, in each curve.
    for history in [history, model.history()] {
        let drawn = history.plot().to_svg().unwrap();
        let seams = drawn.matches("fine-tuning from block5_conv1 on").count();
        assert_eq!(seams, 2);
        // The table and the numbers are those of one run.
        assert_eq!(history.to_csv().lines().count(), 3);
    }
    assert_eq!(model.trainable_weights()[0], "block5_conv1 kernel");
}

#[test]
fn pictures_are_predicted_one_by_one_and_by_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let files = data().train.files().to_vec();
    std::fs::create_dir(folder.path().join("inside")).unwrap();
    for (number, file) in files.iter().take(3).enumerate() {
        let place = if number == 0 {
            "inside/a.jpg".into()
        } else {
            format!("{number}.jpg")
        };
        std::fs::copy(file, folder.path().join(place)).unwrap();
    }
    std::fs::write(folder.path().join("broken.jpg"), b"no picture").unwrap();
    std::fs::write(folder.path().join("notes.txt"), b"no picture either").unwrap();
    let model = model();
    let all = model.predict_folder(folder.path()).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all.unreadable().len(), 1);
    let left_out = [(folder.path().join("notes.txt"), "no picture".to_owned())];
    assert_eq!(all.left_out(), left_out);
    let text = all.table().to_string();
    assert!(
        [
            "inside/a.jpg",
            "broken.jpg",
            "Left out: 1 file: notes.txt (no picture)"
        ]
        .iter()
        .all(|part| text.contains(part)),
        "{text}"
    );
    for (file, (class, probability)) in all.files().iter().zip(all.classes()) {
        let one = model.predict(file).unwrap();
        assert_eq!(one.class(), class);
        // One picture alone and three at once: f32 sums in another order.
        assert!((one.probability() - probability).abs() < 1e-5);
        let sum = one.probabilities().iter().map(|(_, p)| p).sum::<f64>();
        assert!((sum - 1.0).abs() < 1e-6);
        let photo = Photo::open(file).unwrap();
        assert_eq!(
            model.predict(&photo).unwrap().probabilities(),
            one.probabilities()
        );
        assert!(one.to_string().contains(" %"), "{one}");
    }
    assert!(all.show(2).unwrap().to_png().is_ok());
    assert!(matches!(
        model.predict("nowhere.jpg"),
        Err(Error::File { .. })
    ));
    // Where a folder's pictures lie class by class, a few of them are of all classes.
    let classes = tempfile::tempdir().unwrap();
    for class in ["cats", "dogs"] {
        std::fs::create_dir(classes.path().join(class)).unwrap();
        for (number, file) in files.iter().take(3).enumerate() {
            let place = classes
                .path()
                .join(class)
                .join(format!("{class}{number}.jpg"));
            std::fs::copy(file, place).unwrap();
        }
    }
    let few = model
        .predict_folder(classes.path())
        .unwrap()
        .show(2)
        .unwrap();
    let svg = few.to_svg().unwrap();
    assert!(svg.contains("cats0.jpg") && svg.contains("dogs0.jpg"));
    // A path is meant from somewhere.
    let error = model.predict("nowhere.jpg").unwrap_err().to_string();
    let here = std::env::current_dir().unwrap();
    assert!(error.contains(&here.display().to_string()), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = model.predict_folder(empty.path()).unwrap_err();
    assert!(matches!(error, Error::Dataset { .. }), "{error}");
}

#[test]
fn what_one_holds_may_go_to_another_thread() {
    fn movable<T: Send>() {}
    movable::<Base>();
    movable::<Classifier>();
    movable::<evcxr_transfer::HeadModel>();
    movable::<evcxr_transfer::Features>();
    movable::<evcxr_transfer::Lab>();
    movable::<Weights>();
    movable::<Data>();
    movable::<Fit>();
    movable::<History>();
    let (model, data) = (model(), data());
    let here = model.predict(&data.train.files()[0]).unwrap();
    let there = std::thread::spawn(move || model.predict(&data.train.files()[0]).unwrap());
    let there = there.join().unwrap();
    assert_eq!(there.probabilities(), here.probabilities());
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_computed() {
    let data = data();
    let mut model = Classifier::new(&base(SIZE), Head::dense(16), &["a", "b", "c"]).unwrap();
    let error = model
        .train_frozen(&data, &Augment::none(), &fit())
        .unwrap_err();
    assert!(error.to_string().contains("cats"), "{error}");
    assert!(matches!(
        model.evaluate(&data.train),
        Err(Error::Mismatch { .. })
    ));
    let one = Classifier::new(&base(SIZE), Head::dense(16), &["cats"]);
    assert!(matches!(
        one,
        Err(Error::Argument {
            argument: "classes",
            ..
        })
    ));
    let mut model = self::model();
    for (fit, argument) in [
        (fit().steps_per_epoch(0), "steps_per_epoch"),
        (fit().steps_per_epoch(usize::MAX), "steps_per_epoch"),
        (fit().early_stopping(0), "early_stopping"),
        (fit().checkpoint_every(0), "checkpoint_every"),
        (fit().head_learning_rate(-1.0), "head_learning_rate"),
        (fit().class_weights(&[1.0]), "class_weights"),
        (fit().class_weights(&[1.0, -1.0]), "class_weights"),
        (fit().optimizer(Optimizer::sgd(1.0)), "momentum"),
        (
            fit().schedule(Schedule::StepDecay {
                every: 0,
                factor: 0.1,
            }),
            "every",
        ),
    ] {
        let error = model
            .train_frozen(&data, &Augment::none(), &fit)
            .unwrap_err();
        assert!(error.to_string().starts_with(argument), "{error}");
    }
    assert_eq!(
        model.trainable_weights().len(),
        30,
        "the border has not moved"
    );
    let endless = fit()
        .epochs(usize::MAX)
        .early_stopping(1)
        .learning_rate(0.5);
    let schedule = endless.clone().schedule(Schedule::Cosine);
    for fit in [endless, schedule] {
        let history = model.train_frozen(&data, &Augment::none(), &fit);
        assert!(history.is_ok_and(|history| history.ending().is_some()));
    }
    let mut model = self::model();
    let wild = Augment::none().rotation(f64::NAN);
    assert!(model.train_frozen(&data, &wild, &fit()).is_err());
    assert!(model.history().epochs.is_empty());
}

/// Twelve pictures in two classes, in a folder of their own.
fn own_pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in ["cats", "dogs"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for n in 0..6 {
            let name = format!("{class}/{}.{n}.jpg", class.trim_end_matches('s'));
            let sample = crate::common::repository("data/samples/train").join(&name);
            std::fs::copy(sample, folder.path().join(&name)).unwrap();
        }
    }
    folder
}

#[test]
fn a_run_goes_on_with_the_files_that_it_began_with() {
    let folder = own_pictures();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run.safetensors");
    let split = |folder: &Path, seed: u64| Data::split(folder, 0.34, seed).unwrap();
    let data = split(folder.path(), 1);
    let none = Augment::none();
    let begun = fit().epochs(1).checkpoint(&path);
    model().train_frozen(&data, &none, &begun).unwrap();
    let loaded = || Classifier::load(&path, Device::Cpu).unwrap();
    let refused = |data: &Data| {
        let error = loaded().resume(data, &fit().epochs(2)).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("files of the") && error.contains("same seed"),
            "{error}"
        );
    };
    // As many pictures of each class, but others.
    let other = split(folder.path(), 2);
    assert_eq!(data.validation.counts(), other.validation.counts());
    refused(&other);
    // The same names, another picture.
    let dog = data.train.files().last().unwrap().clone();
    let old = std::fs::read(&dog).unwrap();
    std::fs::write(&dog, [&old[..], b"more"].concat()).unwrap();
    refused(&data);
    std::fs::write(&dog, &old).unwrap();
    // The same pictures in another place are the same.
    let moved = own_pictures();
    let mut model = loaded();
    let history = model
        .resume(&split(moved.path(), 1), &fit().epochs(2))
        .unwrap();
    assert_eq!(history.epochs.len(), 2);
    assert_eq!(history.notes(), ["seeded random weights"]);
}
