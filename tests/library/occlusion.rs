//! Occlusion maps: PyTorch's numbers, and what is drawn of them.

use std::path::Path;

use evcxr_transfer::{
    Architecture, Base, Classifier, Device, Error, Head, Occlusion, OcclusionMap, Photo, Precision,
    Progress, Stop, Weights,
};
use serde_json::Value;

const PICTURE: &str = "data/samples/train/dogs/dog.1.jpg";

fn model(classes: &[&str]) -> Classifier {
    let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    // Seven at once, so that some batch is not full.
    let base = base.progress(Progress::quiet()).batch_size(7);
    Classifier::new(&base, Head::dense(16), classes).unwrap()
}

/// Compares the map of every class that PyTorch has made with ours, which `make` gives.
fn assert_same_maps(arguments: &[&Path], make: impl Fn(Occlusion) -> OcclusionMap) -> usize {
    // Probabilities from f32 here, f64 there; measured at 3e-7.
    const TOLERANCE: f64 = 2e-6;
    let torch = crate::common::python("torch_occlusion.py", arguments);
    let results: Vec<Value> = serde_json::from_str(torch.lines().last().unwrap()).unwrap();
    let (mut worst, mut most) = (0.0_f64, 0.0_f64);
    let number = |text: &Path| text.to_str().unwrap().parse::<usize>().unwrap();
    let [.., patch, stride] = arguments else {
        panic!("too few arguments")
    };
    for result in &results {
        let class = result["class"].as_str().unwrap();
        let rule = Occlusion::patch(number(patch)).stride(number(stride));
        let map = make(rule.class(class));
        assert_eq!((map.class(), map.patch()), (class, number(patch)));
        let probability = result["probability"].as_f64().unwrap();
        assert!((map.probability() - probability).abs() < TOLERANCE);
        let expected = &result["map"];
        assert_eq!(map.array().nrows(), expected.as_array().unwrap().len());
        for ((y, x), &value) in map.array().indexed_iter() {
            let expected = expected[y][x].as_f64().unwrap();
            let difference = (f64::from(value) - expected).abs();
            worst = worst.max(difference);
            most = most.max(expected.abs());
            assert!(difference < TOLERANCE, "{y}, {x}: {value}, {expected}");
        }
    }
    println!("worst difference {worst:e} of values up to {most}");
    assert!(most > 50.0 * TOLERANCE, "covering changes nothing");
    results.len()
}

#[test]
fn maps_of_two_and_of_three_classes_are_pytorchs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let picture = crate::common::repository(PICTURE);
    for classes in [&["cats", "dogs"][..], &["cats", "dogs", "owls"][..]] {
        let model = model(classes);
        model.save(&path).unwrap();
        // Squares that meet the edge exactly, some that hang over it, and some side by side.
        for (patch, stride) in [("16", "8"), ("13", "6"), ("16", "16")] {
            let arguments = [&path, &picture, Path::new(patch), Path::new(stride)];
            let compared = assert_same_maps(&arguments, |rule| {
                model.occlusion_map(&picture, rule).unwrap()
            });
            assert_eq!(compared, classes.len());
        }
    }
}

#[test]
fn maps_of_a_network_with_its_top_are_pytorchs() {
    let weights = Weights::seeded(0);
    let whole = Base::with_top(Architecture::Vgg16, &weights, Device::Cpu, Precision::F32).unwrap();
    let whole = whole.progress(Progress::quiet());
    let picture = crate::common::repository(PICTURE);
    let answer = whole.classify(&picture, 1).unwrap();
    let number = answer.class().strip_prefix("class ").unwrap();
    let arguments = ["--top", "0", number].map(Path::new);
    let arguments = [
        &arguments[..],
        &[&picture, Path::new("112"), Path::new("112")],
    ]
    .concat();
    assert_same_maps(&arguments, |rule| {
        whole.occlusion_map(&picture, rule).unwrap()
    });
    let rule = Occlusion::patch(224);
    let map = whole.occlusion_map(&picture, rule).unwrap();
    assert_eq!(map.class(), answer.class());
    assert_eq!(map.num_squares(), 1);
}

#[test]
fn a_map_lies_over_the_picture_at_its_own_size_and_says_what_is_lost() {
    let model = model(&["cats", "dogs"]);
    let photo = Photo::open(crate::common::repository(PICTURE)).unwrap();
    let map = model.occlusion_map(&photo, Occlusion::default()).unwrap();
    // A fifth of 32 is 6, half of it 3: squares at 0, 3, .. 27, the last of which hangs over.
    assert_eq!((map.patch(), map.num_squares()), (6, 10 * 10));
    let answer = model.predict(&photo).unwrap();
    assert_eq!(map.class(), answer.class());
    assert!((map.probability() - answer.probability()).abs() < 1e-6);
    let overlay = map.overlay().unwrap();
    assert_eq!(
        (overlay.width(), overlay.height()),
        (photo.width(), photo.height())
    );
    assert_ne!(overlay, photo);
    let figure = map.plot().unwrap();
    assert!(
        figure.to_string().contains("squares of 6 x 6 pixels"),
        "{figure}"
    );
    let svg = figure.to_svg().unwrap();
    assert!(svg.contains("up to"), "the label says what is lost");
    // Of two classes one gains what the other loses.
    let [cats, dogs] = ["cats", "dogs"].map(|class| {
        let rule = Occlusion::patch(16).class(class);
        model.occlusion_map(&photo, rule).unwrap().array()
    });
    // Sums and differences of f32 numbers up to 1.
    assert!((cats + dogs).iter().all(|sum| sum.abs() < 1e-6));
}

#[test]
fn what_cannot_be_covered_is_refused() {
    let model = model(&["cats", "dogs"]);
    let picture = crate::common::repository(PICTURE);
    for (rule, parts) in [
        (Occlusion::patch(33), ["33", "32 pixels"]),
        (Occlusion::patch(0), ["patch is 0", "1 to 32"]),
        (Occlusion::patch(8).stride(9), ["stride is 9", "1 to 8"]),
        (Occlusion::default().class("owls"), ["owls", "cats, dogs"]),
    ] {
        let error = model.occlusion_map(&picture, rule).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }));
        let error = error.to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let base = model.base();
    assert!(matches!(
        base.occlusion_map(&picture, Occlusion::default()),
        Err(Error::Mismatch { .. })
    ));
    let stop = Stop::new();
    stop.request();
    let model = model.progress(Progress::quiet().stop(&stop));
    assert!(matches!(
        model.occlusion_map(&picture, Occlusion::default()),
        Err(Error::Stopped { .. })
    ));
}
