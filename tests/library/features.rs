//! Features against Keras', and how they are stored.

use std::path::Path;

use evcxr_transfer::{
    Architecture, Augment, Base, Classifier, Data, Dataset, Device, Error, Features, Fit, GradCam,
    Head, HeadModel, Interpolation, Pooling, Precision, Progress, Scaling, Tensor, Weights,
    train_head,
};
use ndarray::Array4;

/// f32 sums of up to 4,608 products in another order, thirteen layers deep: measured at 3e-6 of the
/// largest feature between Keras on PyTorch and this crate; ten times that is allowed.
const RELATIVE_TOLERANCE: f64 = 3e-5;

fn samples() -> Data {
    Data::open(crate::common::repository("data/samples")).unwrap()
}

fn base(weights: &Weights, precision: Precision) -> Base {
    let base = Base::vgg16(150, weights, Device::Cpu, precision).unwrap();
    base.progress(Progress::quiet()).batch_size(4)
}

fn tensor(features: &Features) -> Tensor {
    features.tensor()
}

fn relative_difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let difference = (found - expected).abs().max().double_value(&[]);
    difference / expected.abs().max().double_value(&[])
}

#[test]
fn features_are_keras_features_for_both_scalings() {
    let folder = tempfile::tempdir().unwrap();
    let only = ["--only", "official.h5"].map(Path::new);
    crate::common::python("weights.py", &[folder.path(), only[0], only[1]]);
    let weights = folder.path().join("official.h5");
    // An odd number, so that the last batch of four is short.
    let pictures = samples().validation.take(7);
    let out = folder.path().join("features.safetensors");
    let mut arguments = vec![weights.as_path(), out.as_path()];
    arguments.extend(pictures.files().iter().map(|file| file.as_path()));
    let names = crate::common::python("keras_features.py", &arguments);
    let keras = Tensor::read_safetensors(&out).unwrap();
    let expected = |name: &str| {
        keras
            .iter()
            .find(|(found, _)| found == name)
            .unwrap()
            .1
            .shallow_clone()
    };

    let weights = Weights::load(weights).unwrap();
    let unit = base(&weights, Precision::F32)
        .extract_features(&pictures)
        .unwrap();
    assert_eq!(unit.shape(), [7, 4, 4, 512]);
    let difference = relative_difference(&tensor(&unit), &expected("unit"));
    assert!(difference < RELATIVE_TOLERANCE, "1/255: {difference}");

    let caffe = base(&weights, Precision::F32).scaling(Scaling::Caffe);
    let caffe = caffe.extract_features(&pictures).unwrap();
    let difference = relative_difference(&tensor(&caffe), &expected("caffe"));
    assert!(
        difference < RELATIVE_TOLERANCE,
        "preprocess_input: {difference}"
    );

    let mut found = Vec::new();
    for (pooling, name) in [(Pooling::Average, "avg"), (Pooling::Max, "max")] {
        let pooled = base(&weights, Precision::F32).pooling(pooling).unwrap();
        let features = pooled.extract_features(&pictures).unwrap();
        let difference = relative_difference(&tensor(&features), &expected(name));
        assert!(difference < RELATIVE_TOLERANCE, "{name}: {difference}");
        let (network, seeded) = (Architecture::ResNet50, Weights::seeded(0));
        let residual = Base::without_top(network, 32, &seeded, Device::Cpu, Precision::F32);
        let residual = residual.unwrap().pooling(pooling).unwrap();
        found.extend([pooled, residual].map(|base| base.layers().last().unwrap().name.clone()));
    }
    assert_eq!(found, names.split_whitespace().collect::<Vec<_>>());

    // The same bytes as an array, in the lesson's order (N, H, W, C).
    let array = unit.array().unwrap();
    assert_eq!(array.shape(), [7, 4, 4, 512]);
    assert_eq!(
        f64::from(array[[6, 3, 2, 100]]),
        tensor(&unit).double_value(&[6, 3, 2, 100])
    );
    assert_eq!(unit.labels().to_vec(), pictures.labels());
}

#[test]
fn winograds_features_are_those_of_libtorchs_convolutions() {
    let pictures = samples().validation.take(2);
    let features = |precision| {
        // 50, 25, 12, 6 and 3 pixels: squares that are whole and squares that hang over the edge.
        let base = Base::vgg16(50, &Weights::seeded(7), Device::Cpu, precision).unwrap();
        let base = base.progress(Progress::quiet());
        tensor(&base.extract_features(&pictures).unwrap())
    };
    // Measured at 4e-6 over 13 convolutions, each of which rounds some ten times as much as a sum of products (Lavin
    // and Gray 2015, table 3). On processors where it does not pay nothing differs.
    let difference =
        relative_difference(&features(Precision::F32Winograd), &features(Precision::F32));
    assert!(difference < 2e-5, "{difference:e}");
}

#[test]
fn bf16_features_point_where_f32_features_point() {
    let pictures = samples().validation.take(4);
    let weights = Weights::seeded(7);
    let exact = tensor(
        &base(&weights, Precision::F32)
            .extract_features(&pictures)
            .unwrap(),
    );
    let rough = tensor(
        &base(&weights, Precision::BFloat16)
            .extract_features(&pictures)
            .unwrap(),
    );
    let cosine = |a: &Tensor, b: &Tensor| {
        let dot = |a: &Tensor, b: &Tensor| (a * b).sum(tch::Kind::Double).double_value(&[]);
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    for picture in 0..4 {
        // The bound that the project asks of bf16 (8 bits of mantissa, errors that average out).
        let cosine = cosine(&exact.get(picture), &rough.get(picture));
        assert!(cosine > 0.999, "picture {picture}: {cosine}");
    }
}

#[test]
fn the_size_of_a_batch_changes_no_feature_and_loses_no_picture() {
    let pictures = samples().train.take(5);
    let weights = Weights::seeded(1);
    let one = Base::vgg16(32, &weights, Device::Cpu, Precision::F32).unwrap();
    let one = one.progress(Progress::quiet());
    let all = one.extract_features(&pictures).unwrap();
    let one = one.batch_size(2);
    let pairs = one.extract_features(&pictures).unwrap();
    assert_eq!(pairs.shape(), [5, 1, 1, 512]);
    let difference = relative_difference(&tensor(&pairs), &tensor(&all));
    assert!(difference < RELATIVE_TOLERANCE, "{difference}");
    // 0 would be none at all: it counts as 1.
    let singly = one.batch_size(0).extract_features(&pictures).unwrap();
    assert_eq!(singly.len(), 5);
}

#[test]
fn stored_features_come_back_whole_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.safetensors");
    let pictures = samples().train.take(4);
    let base = Base::vgg16(32, &Weights::seeded(1), Device::Cpu, Precision::F32).unwrap();
    let features = base
        .progress(Progress::quiet())
        .extract_features(&pictures)
        .unwrap();
    features.save(&path).unwrap();
    let loaded = Features::load(&path, Device::Cpu).unwrap();
    assert_eq!(tensor(&loaded), tensor(&features));
    assert_eq!(loaded.labels(), features.labels());
    assert_eq!(loaded.classes(), ["cats", "dogs"]);
    assert!(
        loaded.to_string().contains("seeded random weights"),
        "{loaded}"
    );

    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let text = Features::load(&path, Device::Cpu).unwrap_err().to_string();
    assert!(text.contains("train.safetensors"), "{text}");
    let text = features
        .save(folder.path().join("no/such/folder.safetensors"))
        .unwrap_err();
    assert!(text.to_string().contains("cannot write"), "{text}");
    let names = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 1, "a failed save leaves nothing behind");
}

#[test]
fn unreadable_pictures_stop_the_run_and_are_all_named() {
    let folder = tempfile::tempdir().unwrap();
    let cats = folder.path().join("cats");
    let dogs = folder.path().join("dogs");
    for class in [&cats, &dogs] {
        std::fs::create_dir(class).unwrap();
        let picture = crate::common::repository("data/samples/train/cats/cat.0.jpg");
        std::fs::copy(picture, class.join("good.jpg")).unwrap();
    }
    std::fs::write(cats.join("bad.jpg"), b"not a picture").unwrap();
    std::fs::write(dogs.join("worse.jpg"), b"").unwrap();
    let dataset = Dataset::open(folder.path()).unwrap();
    let base = Base::vgg16(32, &Weights::seeded(1), Device::Cpu, Precision::F32).unwrap();
    let base = base.progress(Progress::quiet());
    match base.extract_features(&dataset).unwrap_err() {
        Error::Pictures { unreadable, total } => {
            let names = unreadable
                .iter()
                .map(|(path, _)| path.file_name().unwrap().to_owned());
            assert_eq!(names.collect::<Vec<_>>(), ["bad.jpg", "worse.jpg"]);
            assert_eq!(total, 4);
        }
        other => panic!("{other}"),
    }
    let rest = dataset.without_unreadable().unwrap();
    assert_eq!(base.extract_features(&rest).unwrap().len(), 2);
}

#[test]
fn arrays_of_ones_own_are_checked() {
    let values = Array4::<f32>::zeros((3, 1, 1, 2));
    assert!(Features::from_array(&values, &[0, 1, 1], &["a", "b"]).is_ok());
    assert!(matches!(
        Features::from_array(&values, &[0, 1], &["a", "b"]),
        Err(Error::Mismatch { .. })
    ));
    assert!(matches!(
        Features::from_array(&values, &[0, 1, 2], &["a", "b"]),
        Err(Error::Argument {
            argument: "labels",
            ..
        })
    ));
    // One class can be stored and looked at; there is nothing to train.
    let one_class = Features::from_array(&values, &[0, 0, 0], &["a"]).unwrap();
    assert!(matches!(
        Head::dense(4).build(&one_class, 0),
        Err(Error::Argument {
            argument: "classes",
            ..
        })
    ));
}

#[test]
fn a_head_takes_features_only_of_the_make_that_it_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let data = samples().take(8, 4);
    let size = 48;
    let quiet = |base: evcxr_transfer::Result<Base>| base.unwrap().progress(Progress::quiet());
    let seeded = |seed| {
        let weights = Weights::seeded(seed);
        quiet(Base::vgg16(size, &weights, Device::Cpu, Precision::F32))
    };
    let train = seeded(1).extract_features(&data.train).unwrap();
    let fit = Fit::default().epochs(1).progress(Progress::quiet());
    let (head, _) = train_head(&train, &train, &fit).unwrap();
    // On the disk nothing of it is lost.
    let path = folder.path().join("head.safetensors");
    head.save(&path).unwrap();
    let head = HeadModel::load(&path, Device::Cpu).unwrap();
    let path = folder.path().join("features.safetensors");
    train.save(&path).unwrap();
    assert!(
        head.evaluate(&Features::load(&path, Device::Cpu).unwrap())
            .is_ok()
    );

    let vgg19 = Base::vgg19(size, &Weights::seeded(1), Device::Cpu, Precision::F32);
    let smooth = data.train.clone().interpolation(Interpolation::Bilinear);
    let others = [
        (quiet(vgg19), &data.train, "vgg19"),
        (seeded(2), &data.train, "hash"),
        (seeded(1).scaling(Scaling::Caffe), &data.train, "BGR"),
        (seeded(1), &smooth, "bilinear"),
    ];
    for (base, pictures, word) in others {
        let other = base.extract_features(pictures).unwrap();
        assert_eq!(other.shape(), train.shape());
        let error = head.evaluate(&other).unwrap_err();
        assert!(
            matches!(error, Error::Mismatch { .. }) && error.to_string().contains(word),
            "{word}: {error}"
        );
        assert!(head.predict(&other).is_err(), "{word}");
    }
    // Numbers of one's own do not tell what they were made with.
    let values = train.array().unwrap();
    let labels = train.labels().to_vec();
    let own = Features::from_array(&values, &labels, &["cats", "dogs"]).unwrap();
    assert!(head.evaluate(&own).is_ok());
}

#[test]
fn after_part_1_the_head_shows_its_mistakes_and_features_their_likes() {
    let folder = tempfile::tempdir().unwrap();
    let data = samples().take(8, 6);
    let seeded = |seed| {
        let weights = Weights::seeded(seed);
        let base = Base::vgg16(48, &weights, Device::Cpu, Precision::F32).unwrap();
        base.progress(Progress::quiet())
    };
    let base = seeded(1);
    let train = base.extract_features(&data.train).unwrap();
    let validation = base.extract_features(&data.validation).unwrap();
    let fit = Fit::default().epochs(1).progress(Progress::quiet());
    let (head, _) = train_head(&train, &train, &fit).unwrap();
    let report = head.report(&validation).unwrap();
    // What the head evaluates is what it reports.
    let accuracy = head.evaluate(&validation).unwrap().accuracy;
    assert!((report.accuracy() - accuracy).abs() < 1e-12);
    assert_eq!(report.misclassified().num_rows(), report.mistakes().len());
    let shown = report.show(6).unwrap();
    assert!(shown.to_string().contains("6 predictions"), "{shown}");
    let name = data.validation.files()[0].file_name().unwrap();
    let svg = shown.to_svg().unwrap();
    assert!(
        svg.contains(name.to_str().unwrap()),
        "the pictures have names"
    );

    // Features that were saved know their pictures; numbers of one's own have none.
    let path = folder.path().join("validation.safetensors");
    validation.save(&path).unwrap();
    let loaded = Features::load(&path, Device::Cpu).unwrap();
    assert_eq!(loaded.files(), data.validation.files());
    assert_eq!(head.report(&loaded).unwrap().mistakes(), report.mistakes());
    let values = validation.array().unwrap();
    let labels = validation.labels().to_vec();
    let own = Features::from_array(&values, &labels, &["cats", "dogs"]).unwrap();
    let blind = head.report(&own).unwrap();
    assert_eq!(blind.accuracy(), report.accuracy());
    let error = blind.show(1).unwrap_err().to_string();
    assert!(error.contains("extract_features"), "{error}");

    let file = &data.validation.files()[4];
    let nearest = loaded.nearest(&base, file, 3).unwrap();
    assert_eq!(nearest.files().len(), 3);
    assert_eq!(&nearest.files()[0], file, "a picture is most like itself");
    assert!((nearest.similarities()[0] - 1.0).abs() < 1e-5);
    assert!(nearest.similarities().is_sorted_by(|a, b| a >= b));
    assert_eq!(nearest.classes()[0], "dogs");
    assert!(nearest.plot().unwrap().to_string().contains("4 pictures"));
    assert_eq!(loaded.nearest(&base, file, 1000).unwrap().files().len(), 6);
    for error in [
        loaded.nearest(&seeded(2), file, 3).unwrap_err(),
        own.nearest(&base, file, 3).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    }
    assert!(matches!(
        loaded.nearest(&base, file, 0),
        Err(Error::Argument { .. })
    ));
    let address = loaded.nearest(&base, "https://example.org/cat.jpg", 1);
    let error = address.unwrap_err().to_string();
    assert!(
        error.starts_with("https://example.org/cat.jpg: ") && error.contains("Download it"),
        "{error}"
    );
}

#[test]
fn a_classifier_on_a_base_that_pools_is_trained_saved_and_exported_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    let base = base.progress(Progress::quiet());
    let pooled = base.pooling(Pooling::Average).unwrap();
    let data = samples().take(8, 4);
    let mut model = Classifier::new(&pooled, Head::dense(8), &["cats", "dogs"]).unwrap();
    // No layer flattens what is a row already; 512 x 8 + 8 and 8 + 1 weights.
    let summary = model.summary().to_string();
    assert!(!summary.contains("flatten"), "{summary}");
    assert_eq!(
        model.num_parameters() - pooled.num_parameters(),
        512 * 8 + 8 + 9
    );
    let fit = Fit::default().epochs(1).batch_size(4);
    let fit = fit.progress(Progress::quiet());
    model
        .fine_tune("block5_conv3", &data, &Augment::none(), &fit)
        .unwrap();
    let path = folder.path().join("pooled.safetensors");
    model.save(&path).unwrap();
    let loaded = Classifier::load(&path, Device::Cpu).unwrap();
    assert_eq!(loaded.base().output_shape(), [512]);
    let photo = &data.validation.files()[0];
    let [mine, again] = [&model, &loaded].map(|model| model.predict(photo).unwrap());
    assert_eq!(mine.probabilities(), again.probabilities());
    model.grad_cam(photo, GradCam::default()).unwrap();
    model.save(folder.path().join("pooled.onnx")).unwrap();
    // It has no top, and pools once.
    let error = loaded.base().classify(photo, 1).unwrap_err();
    assert!(error.to_string().contains("with its top"), "{error}");
    let error = pooled.pooling(Pooling::Max).unwrap_err();
    assert!(error.to_string().contains("[512]"), "{error}");
}
