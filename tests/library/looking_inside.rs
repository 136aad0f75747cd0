//! Filters, feature maps, Grad-CAM and reports: PyTorch's numbers, and what is drawn of them.

use std::path::Path;

use evcxr_transfer::{
    Architecture, Augment, Base, Classifier, Data, Device, Error, Fit, GradCam, GradCamMap, Head,
    LayerId, Photo, Precision, Progress, Tensor, Weights,
};
use serde_json::Value;

const PICTURE: &str = "data/samples/train/dogs/dog.1.jpg";

fn base(size: usize) -> Base {
    let base = Base::vgg16(size, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    base.progress(Progress::quiet())
}

/// Every layer's kernel and output by PyTorch, under Keras' names.
fn by_torch(base: &Base, picture: &Path) -> Vec<(String, Tensor)> {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    let out = folder.path().join("maps.safetensors");
    let classifier = Classifier::new(base, Head::dense(2), &["a", "b"]).unwrap();
    classifier.save(&model).unwrap();
    crate::common::python("torch_maps.py", &[&model, picture, &out]);
    Tensor::read_safetensors(&out).unwrap()
}

#[test]
fn filters_and_maps_are_pytorchs() {
    let (base, picture) = (base(64), crate::common::repository(PICTURE));
    let expected = by_torch(&base, &picture);
    assert_eq!(expected.len(), 13 + 13 + 5);
    for (name, expected) in expected {
        if let Some(layer) = name.strip_suffix(" kernel") {
            let filters = base.filters(layer).unwrap();
            let shape = filters
                .shape()
                .iter()
                .map(|&n| n as i64)
                .collect::<Vec<_>>();
            assert_eq!(shape, expected.size());
            let flat = filters.array().iter().copied().collect::<Vec<_>>();
            assert_eq!(Tensor::from_slice(&flat).view(&*shape), expected, "{name}");
            continue;
        }
        let maps = base.feature_maps(&picture, name.as_str()).unwrap();
        let flat = maps.array().iter().copied().collect::<Vec<_>>();
        let found = Tensor::from_slice(&flat).view(&*expected.size());
        let largest = expected.abs().max().double_value(&[]);
        let difference = (&found - &expected).abs().max().double_value(&[]);
        // f32 sums of up to 4,608 products in another order, as for features (tests/library/features.rs).
        assert!(
            difference < 3e-5 * largest,
            "{name}: {difference} of {largest}"
        );
    }
}

#[test]
fn layers_go_by_name_and_by_the_lessons_index() {
    let base = base(48);
    let table = base.filter_shapes().to_csv();
    assert_eq!(base.filter_shapes().num_rows(), 13);
    assert!(
        table.contains("1,block1_conv1,\"(3, 3, 3, 64)\""),
        "{table}"
    );
    assert!(
        table.contains("17,block5_conv3,\"(3, 3, 512, 512)\""),
        "{table}"
    );
    // The lesson's list of convolutions.
    let indices = [1, 2, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17];
    let convolutions = base.convolutions().to_csv();
    let listed = convolutions
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap());
    assert_eq!(listed.collect::<Vec<_>>(), indices.map(|n| n.to_string()));
    for index in indices {
        let by_index = base.filters(index).unwrap();
        let name = base.layers()[index].name.as_str();
        assert_eq!(by_index.layer(), name);
        assert_eq!(by_index.array(), base.filters(name).unwrap().array());
    }
    let error = base.filters("block1_pool").unwrap_err().to_string();
    assert!(
        error.contains("block1_conv1") && !error.contains("block1_pool,"),
        "{error}"
    );
    let error = base.filters(3).unwrap_err().to_string();
    assert!(error.contains("1 (block1_conv1)"), "{error}");
    assert!(matches!(
        base.feature_maps(crate::common::repository(PICTURE), LayerId::Index(99)),
        Err(Error::UnknownLayer { .. })
    ));
    assert!(matches!(
        base.feature_maps("nowhere.jpg", 1),
        Err(Error::File { .. })
    ));
}

#[test]
fn several_layers_in_one_pass_are_each_alone_in_the_order_asked_for() {
    let base = base(48);
    let photo = Photo::open(crate::common::repository(PICTURE)).unwrap();
    let order = [17, 2, 9, 2];
    let all = base.feature_maps_of(&photo, &order).unwrap();
    assert_eq!(all.len(), order.len());
    for (maps, index) in all.layers().iter().zip(order) {
        let alone = base.feature_maps(&photo, index).unwrap();
        assert_eq!(maps.layer(), base.layers()[index].name);
        assert_eq!(maps.array(), alone.array());
    }
    let figure = all.grid(2, 8);
    assert!(figure.to_string().contains("64 pictures"), "{figure}");
    assert!(figure.to_png().unwrap().starts_with(b"\x89PNG"));
    let svg = figure.to_svg().unwrap();
    for name in ["block5_conv3", "block1_conv2", "block3_conv3"] {
        assert!(svg.contains(name), "{name} has no title");
    }
    // The whole network with its top has the same layers below it.
    let weights = Weights::seeded(0);
    let whole = Base::with_top(Architecture::Vgg16, &weights, Device::Cpu, Precision::F32).unwrap();
    let maps = whole.feature_maps(&photo, "block1_conv1").unwrap();
    assert_eq!(maps.shape(), [1, 224, 224, 64]);
    assert!(
        whole.feature_maps(&photo, "fc1").is_err(),
        "rows are no maps"
    );
}

#[test]
fn what_is_drawn_is_scaled_as_the_lesson_does() {
    let base = base(48);
    let filters = base.filters("block1_conv1").unwrap();
    assert!(filters.first(6).to_string().contains("18 pictures"));
    assert!(filters.first(1000).to_string().contains("192 pictures"));
    assert!(filters.choose(&[5, 64]).to_string().contains("3 pictures"));
    let deep = base.filters("block5_conv1").unwrap();
    assert!(deep.first(2).to_string().contains("3 of 512 channels"));
    let maps = base
        .feature_maps(crate::common::repository(PICTURE), 1)
        .unwrap();
    assert!(maps.grid(8, 8).to_string().contains("64 pictures"));
    assert!(maps.grid(100, 100).to_string().contains("64 pictures"));
    assert!(maps.choose(&[0, 63, 64]).to_string().contains("2 pictures"));
    assert!(maps.grid(0, 0).to_png().is_ok());
    let text = filters.first(6).to_string();
    assert!(text.contains("seeded random weights"), "{text}");
}

/// Compares Grad-CAM and Grad-CAM++ at some layers, for every class, with PyTorch's autograd.
fn assert_grad_cam_is_pytorchs(model: &Classifier) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    let picture = crate::common::repository(PICTURE);
    let layers = [
        "block1_conv1",
        "block3_pool",
        "block5_conv1",
        "block5_conv3",
        "block5_pool",
    ];
    let mut arguments = vec![path.as_path(), picture.as_path()];
    arguments.extend(layers.map(Path::new));
    let results = by_torch_cam(&arguments);
    assert_eq!(results.len(), layers.len() * model.classes().len());
    // Shares of the largest value. Gradients are f32 sums in another order, through up to thirteen
    // layers; measured at 1.3e-5 (Grad-CAM) and 6e-7 (Grad-CAM++).
    assert_same_maps(&results, 1e-4, |rule| {
        model.grad_cam(&picture, rule).unwrap()
    });
}

fn by_torch_cam(arguments: &[&Path]) -> Vec<Value> {
    let torch = crate::common::python("torch_cam.py", arguments);
    serde_json::from_str(torch.lines().last().unwrap()).unwrap()
}

/// Compares every map that PyTorch made with ours, which `make` gives.
fn assert_same_maps(results: &[Value], tolerance: f64, make: impl Fn(GradCam) -> GradCamMap) {
    let mut seen = 0;
    let mut worst = [0.0_f64; 2];
    for result in results {
        let [layer, class] = ["layer", "class"].map(|key| result[key].as_str().unwrap());
        let plain = GradCam::at(layer).class(class);
        for (plus, rule, expected) in [
            (false, plain.clone(), &result["plain"]),
            (true, plain.plus_plus(), &result["plus_plus"]),
        ] {
            let map = make(rule.clone());
            let probability = result["probability"].as_f64().unwrap();
            assert!((map.probability() - probability).abs() < 1e-5);
            assert_eq!((map.layer(), map.class()), (layer, class));
            assert_eq!(map.array().nrows(), expected.as_array().unwrap().len());
            for ((y, x), &value) in map.array().indexed_iter() {
                let expected = expected[y][x].as_f64().unwrap();
                let difference = (f64::from(value) - expected).abs();
                // `f64::max` would drop it.
                assert!(difference.is_finite(), "{layer}: {value} {expected}");
                worst[usize::from(plus)] = worst[usize::from(plus)].max(difference);
                seen += usize::from(value > 0.0);
            }
        }
    }
    println!("worst differences of Grad-CAM and Grad-CAM++: {worst:?}");
    assert!(worst.iter().all(|&worst| worst < tolerance), "{worst:?}");
    assert!(seen > 100, "nearly nothing speaks for any class: {seen}");
}

#[test]
fn grad_cam_of_a_network_with_its_top_is_pytorchs() {
    let weights = Weights::seeded(0);
    let whole = Base::with_top(Architecture::Vgg16, &weights, Device::Cpu, Precision::F32).unwrap();
    let picture = crate::common::repository(PICTURE);
    let layers = ["block3_conv2", "block5_conv3", "block5_pool"];
    let mut arguments = vec![Path::new("--top"), Path::new("0"), Path::new("281")];
    arguments.push(&picture);
    arguments.extend(layers.map(Path::new));
    let results = by_torch_cam(&arguments);
    assert_eq!(results.len(), 2 * layers.len());
    let (deep, below): (Vec<_>, Vec<_>) = results
        .iter()
        .cloned()
        .partition(|result| result["layer"].as_str().unwrap().starts_with("block5"));
    // As for classifiers; measured at 6e-6 and 8e-7.
    assert_same_maps(&deep, 1e-4, |rule| whole.grad_cam(&picture, rule).unwrap());
    // At 56 x 56 places and through three more poolings: where two values of a window are nearly the same
    // rounding decides which of them the gradient goes to. Measured at 7e-4.
    assert_same_maps(&below, 5e-3, |rule| whole.grad_cam(&picture, rule).unwrap());
    // Unless a class is asked for it is the most probable one.
    let map = whole.grad_cam(&picture, "block5_conv3").unwrap();
    assert_eq!(map.class(), results[0]["class"]);
    let answer = whole.classify(&picture, 1).unwrap();
    assert_eq!(map.class(), answer.class());
    assert!((map.probability() - answer.probability()).abs() < 1e-6);
    let figure = map.plot().unwrap();
    let expected = "Grad-CAM at block5_conv3 (seeded random weights)";
    assert!(figure.to_string().contains(expected), "{figure}");
    for unknown in ["owls", "class 1000", "class x"] {
        let rule = GradCam::at(17).class(unknown);
        let error = whole.grad_cam(&picture, rule).unwrap_err().to_string();
        assert!(
            error.contains(unknown) && error.contains("class 999"),
            "{error}"
        );
    }
    assert!(
        whole.grad_cam(&picture, "fc1").is_err(),
        "rows have no places"
    );
    let error = base(48).grad_cam(&picture, "block5_conv3").unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }));
    let error = error.to_string();
    assert!(
        error.contains("with_top") && error.contains("Classifier::new"),
        "{error}"
    );
}

#[test]
fn grad_cam_of_two_classes_is_pytorchs_on_a_frozen_base_too() {
    let data = Data::open(crate::common::repository("data/samples"))
        .unwrap()
        .take(8, 4);
    let classes = data.train.classes();
    let mut model = Classifier::new(&base(64), Head::dense(16), classes).unwrap();
    let fit = Fit::default().epochs(1).progress(Progress::quiet());
    model.train_frozen(&data, &Augment::none(), &fit).unwrap();
    assert_grad_cam_is_pytorchs(&model);
    // Looking changes nothing and needs no gradient of the model's own.
    let picture = crate::common::repository(PICTURE);
    let before = model.predict(&picture).unwrap().probabilities();
    let map = tch::no_grad(|| model.grad_cam(&picture, "block5_conv3")).unwrap();
    assert_eq!(map.array().dim(), (4, 4));
    assert_eq!(model.predict(&picture).unwrap().probabilities(), before);
    let answer = model.predict(&picture).unwrap();
    assert_eq!(map.class(), answer.class());
}

#[test]
fn grad_cam_of_three_classes_is_pytorchs() {
    let model = Classifier::new(&base(64), Head::dense(16), &["cats", "dogs", "owls"]).unwrap();
    assert_grad_cam_is_pytorchs(&model);
}

#[test]
fn a_grad_cam_map_lies_over_the_picture_at_its_own_size() {
    let model = Classifier::new(&base(64), Head::dense(16), &["cats", "dogs"]).unwrap();
    let photo = Photo::open(crate::common::repository(PICTURE)).unwrap();
    let map = model.grad_cam(&photo, 17).unwrap();
    let overlay = map.overlay().unwrap();
    assert_eq!(
        (overlay.width(), overlay.height()),
        (photo.width(), photo.height())
    );
    assert_ne!(overlay, photo);
    let figure = map.plot().unwrap();
    assert!(
        figure.to_string().contains("Grad-CAM at block5_conv3"),
        "{figure}"
    );
    let error = model
        .grad_cam(&photo, GradCam::at(17).class("owls"))
        .unwrap_err();
    assert!(error.to_string().contains("cats, dogs"), "{error}");
    assert!(model.grad_cam(&photo, "dense").is_err());
}

#[test]
fn a_report_tells_what_evaluate_and_predict_tell() {
    let data = Data::open(crate::common::repository("data/samples"))
        .unwrap()
        .take(2, 9);
    let base = base(48).batch_size(4);
    let model = Classifier::new(&base, Head::dense(16), data.train.classes()).unwrap();
    let report = model.report(&data.validation).unwrap();
    let evaluation = model.evaluate(&data.validation).unwrap();
    assert_eq!(report.accuracy(), evaluation.accuracy);
    assert_eq!(report.confusion().sum(), 9);
    let counts = data.validation.counts();
    for (scores, (class, pictures)) in report.scores().iter().zip(counts) {
        assert_eq!((&scores.class, scores.pictures), (&class, pictures));
    }
    let wrong = report.mistakes();
    for (file, class, taken_for, probability) in &wrong {
        assert!(file.parent().unwrap().ends_with(class) && class != taken_for);
        let prediction = model.predict(file).unwrap();
        assert_eq!(prediction.class(), taken_for);
        // Four at once and one alone: f32 sums in another order.
        assert!((prediction.probability() - probability).abs() < 1e-5);
    }
    assert!(wrong.is_sorted_by(|a, b| a.3 >= b.3));
    let most = report.most_wrong(2).unwrap().to_svg().unwrap();
    assert_eq!(
        most.matches('\u{2717}').count(),
        2.min(wrong.len()),
        "wrong ones are crossed"
    );
    assert!(report.show(6).unwrap().to_string().contains("6 pictures"));
    assert!(
        report
            .confusion_matrix()
            .to_string()
            .contains("seeded random weights")
    );
    // Nine pictures: cells and the bar beside them count them one by one.
    let counts = report.plot_confusion_matrix().to_svg().unwrap();
    let numbers = counts.split(['<', '>']).map(str::trim);
    let numbers = numbers.filter(|text| text.parse::<f64>().is_ok());
    let numbers = numbers.collect::<Vec<_>>();
    assert!(numbers.len() > 5, "{numbers:?}");
    assert!(
        numbers.iter().all(|n| n.parse::<u32>().is_ok()),
        "{numbers:?}"
    );
    let area = report.area_under_curve().unwrap();
    assert!((0.0..=1.0).contains(&area));
    let curve = report.roc_curve().unwrap().to_svg().unwrap();
    assert!(curve.contains("share of dogs found"), "the axes have names");
    let three = Classifier::new(&base, Head::dense(4), &["a", "b", "c"]).unwrap();
    assert!(three.report(&data.validation).is_err());
}

#[test]
fn the_top_names_the_most_probable_classes() {
    let folder = tempfile::tempdir().unwrap();
    let lab = evcxr_transfer::Lab::open().unwrap();
    let lab = lab.samples().device(Device::Cpu).precision(Precision::F32);
    let lab = lab.folder(folder.path()).progress(Progress::quiet());
    let vgg = lab.with_top(Architecture::Vgg16).unwrap();
    let top = vgg.classify(crate::common::repository(PICTURE), 5).unwrap();
    let listed = top.probabilities();
    assert_eq!(listed.len(), 5);
    assert!(listed.is_sorted_by(|a, b| a.1 >= b.1));
    // The same numbers as the whole row of outputs, by the place of each.
    let data = Data::open(crate::common::repository("data/samples")).unwrap();
    let number = data
        .train
        .files()
        .iter()
        .position(|file| file.ends_with("dog.1.jpg"));
    let rows = vgg.extract_features(&data.train).unwrap().tensor();
    let row = rows.get(number.unwrap() as i64);
    for (name, probability) in &listed {
        let place = name.strip_prefix("class ").unwrap().parse::<i64>().unwrap();
        // A picture alone and four at once: f32 sums in another order.
        assert!(
            (row.double_value(&[place]) - probability).abs() < 1e-5,
            "{name}"
        );
    }
    assert_eq!(
        row.argmax(0, false).int64_value(&[]).to_string(),
        listed[0].0[6..]
    );
    assert!(top.plot().to_png().is_ok());
    assert!(matches!(
        base(48).classify(crate::common::repository(PICTURE), 5),
        Err(Error::Mismatch { .. })
    ));
    assert!(matches!(
        vgg.classify(crate::common::repository(PICTURE), 0),
        Err(Error::Argument { .. })
    ));
}
