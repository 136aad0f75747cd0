//! Exported models give in onnxruntime what they give here. `cargo test --test library onnx:: -- --nocapture` prints the differences.

use std::path::Path;

use evcxr_transfer::prelude::*;
use serde_json::{Value, json};

/// f32 sums in another order, as for features (tests/library/features.rs).
const TOLERANCE: f64 = 3e-5;

fn data() -> Data {
    Data::open("data/samples").unwrap().take(4, 6)
}

fn base(size: usize, scaling: Scaling) -> Base {
    let base = Base::vgg16(size, &Weights::seeded(3), Device::Cpu, Precision::F32).unwrap();
    base.scaling(scaling).progress(Progress::quiet())
}

fn run(model: &Path, inputs: &[&Path]) -> Value {
    let text = crate::common::python("onnx_model.py", &[&[model], inputs].concat());
    serde_json::from_str(&text).unwrap()
}

/// The largest difference between what onnxruntime gives for the pictures and what is expected, a row a picture.
fn worst(found: &Value, expected: &[Vec<f64>], classes: &[String]) -> f64 {
    let mut worst = 0.0_f64;
    for (number, row) in expected.iter().enumerate() {
        let found = &found["outputs"];
        for (class, probability) in row.iter().enumerate() {
            let other = found["probabilities"][number][class].as_f64().unwrap();
            worst = worst.max((probability - other).abs());
        }
        let best = (0..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
        assert_eq!(found["class_index"][number], best);
    }
    assert_eq!(
        found["outputs"]["class_index"].as_array().unwrap().len(),
        expected.len()
    );
    let named: Vec<String> =
        serde_json::from_str(found["metadata"]["classes"].as_str().unwrap()).unwrap();
    assert_eq!(named, classes);
    worst
}

/// Exports a classifier and lets onnxruntime tell the classes of the validation pictures.
fn compare(name: &str, model: &Classifier) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let saved = model.save(&path).unwrap();
    assert!(saved.bytes() as usize > 4 * model.num_parameters());
    let data = data();
    let files = data.validation.files().iter();
    let files = files.map(|file| file.as_path()).collect::<Vec<_>>();
    let found = run(&path, &files);
    let probabilities = |file: &&Path| {
        let all = model.predict(*file).unwrap().probabilities();
        all.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    };
    let expected = files.iter().map(probabilities).collect::<Vec<_>>();
    let worst = worst(&found, &expected, model.classes());
    println!("{name}: {worst:.1e}");
    assert!(worst < TOLERANCE, "{name}: {worst}");
    // Pictures are told apart by much more than that: a constant would agree with anything.
    let spread = (expected[0][0] - expected[5][0]).abs();
    assert!(spread > 100.0 * worst, "{name}: {expected:?}");
    found
}

#[test]
fn a_whole_vgg16_gives_the_same_in_onnxruntime_with_every_scaling() {
    let classes = ["cats", "dogs"];
    let told = Normalization::new([0.48, 0.46, 0.41], [0.27, 0.26, 0.28]).unwrap();
    let known = [Scaling::Unit, Scaling::Tf, Scaling::Torch, Scaling::Caffe];
    for scaling in known.into_iter().chain([told.into(), told.bgr().into()]) {
        let mut model = Classifier::new(&base(48, scaling), Head::dense(64), &classes).unwrap();
        // Seeded weights tell pictures apart by little; some steps make that more.
        let fit = Fit::default()
            .epochs(10)
            .learning_rate(3e-4)
            .progress(Progress::quiet());
        model.train_frozen(&data(), &Augment::none(), &fit).unwrap();
        let found = compare(&format!("vgg16, {scaling}"), &model);
        assert_eq!(
            found["values"],
            json!({
                "pixels": ["tensor(uint8)", ["N", 48, 48, 3]],
                "probabilities": ["tensor(float)", ["N", 2]],
                "class_index": ["tensor(int64)", ["N"]],
            })
        );
        assert_eq!(found["producer"], "evcxr_transfer");
        let description = found["description"].as_str().unwrap();
        assert!(
            description.contains("48 x 48 pixels, RGB bytes"),
            "{description}"
        );
    }
}

/// Normalisation, sums and joined branches come with them; their least sizes.
#[test]
fn resnet50_and_inception_v3_give_the_same_in_onnxruntime() {
    let weights = Weights::seeded(3);
    let (device, precision) = (Device::Cpu, Precision::F32);
    let bases = [
        ("resnet50", Base::resnet50(32, &weights, device, precision)),
        (
            "inception_v3",
            Base::inception_v3(75, &weights, device, precision),
        ),
    ];
    for (name, base) in bases {
        let base = base.unwrap().progress(Progress::quiet());
        let mut model = Classifier::new(&base, Head::dense(64), &["cats", "dogs"]).unwrap();
        let fit = Fit::default().epochs(3).learning_rate(3e-4);
        let fit = fit.progress(Progress::quiet());
        model.train_frozen(&data(), &Augment::none(), &fit).unwrap();
        compare(name, &model);
    }
}

#[test]
fn the_small_network_gives_the_same_in_onnxruntime() {
    let classes = ["cats", "dogs"];
    let device = Device::Cpu;
    let mut model = Classifier::small_conv_net(64, &classes, 1, device, Precision::F32).unwrap();
    // Bilinear: the metadata says how a picture is to be resized.
    let Data { train, validation } = data();
    let smooth = Data {
        train: train.interpolation(Interpolation::Bilinear),
        validation: validation.interpolation(Interpolation::Bilinear),
    };
    let fit = Fit::default()
        .epochs(2)
        .learning_rate(1e-3)
        .progress(Progress::quiet());
    model.fit(&smooth, &Augment::none(), &fit).unwrap();
    let found = compare("small network", &model);
    assert_eq!(found["metadata"]["interpolation"], "\"bilinear\"");
}

#[test]
fn a_head_gives_the_same_in_onnxruntime_for_three_classes() {
    let folder = tempfile::tempdir().unwrap();
    let data = data();
    let features = base(48, Scaling::Unit)
        .extract_features(&data.validation)
        .unwrap();
    let labels = [0, 1, 2, 0, 1, 2];
    let classes = ["a", "b", "ü"];
    let features = Features::from_array(&features.array().unwrap(), &labels, &classes).unwrap();
    let fit = Fit::default()
        .epochs(3)
        .learning_rate(1e-3)
        .progress(Progress::quiet());
    let (head, _) = train_head(&features, &features, &fit).unwrap();
    let (stored, exported) = (
        folder.path().join("f.safetensors"),
        folder.path().join("h.onnx"),
    );
    features.save(&stored).unwrap();
    head.save(&exported).unwrap();
    let found = run(&exported, &[&stored]);
    let expected = head.predict(&features).unwrap();
    let expected = expected.outer_iter();
    let expected = expected.map(|row| row.iter().map(|&value| f64::from(value)).collect());
    let worst = worst(&found, &expected.collect::<Vec<_>>(), head.classes());
    println!("head: {worst:.1e}");
    assert!(worst < TOLERANCE, "{worst}");
    assert_eq!(
        found["values"]["features"],
        json!(["tensor(float)", ["N", 1, 1, 512]])
    );
}

#[test]
fn other_endings_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(32, Scaling::Unit);
    let model = Classifier::new(&base, Head::dense(4), &["cats", "dogs"]).unwrap();
    for name in ["m.h5", "m.keras", "m.pt"] {
        let error = model.save(folder.path().join(name)).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }));
        let error = error.to_string();
        assert!(
            error.contains(name) && error.contains("load_file(\"m.safetensors\")"),
            "{error}"
        );
    }
    let fit = Fit::default()
        .epochs(1)
        .checkpoint(folder.path().join("run.keras"));
    let mut other = Classifier::new(&base, Head::dense(4), &["cats", "dogs"]).unwrap();
    let error = other.fit(&data(), &Augment::none(), &fit).unwrap_err();
    assert!(error.to_string().contains("run.safetensors"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Without an ending it is ours.
    let path = folder.path().join("m");
    model.save(&path).unwrap();
    assert_eq!(
        Classifier::load(&path, Device::Cpu).unwrap().classes(),
        model.classes()
    );
}
