//! Sizes that come from outside, in arguments and in files, are checked before memory is taken for them.
//!
//! A process of its own, so that the memory which it takes can be told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use evcxr_transfer::{
    ActivationMaximization, Augment, Base, Classifier, Data, Dataset, Device, Error, Features, Fit,
    Head, Interpolation, Occlusion, Photo, Precision, Progress, Schedule, Target, Weights,
    histogram,
};
use ndarray::Array4;
use tch::{Kind, Tensor};

/// More than this no test here may take: a small base has 120 MB.
const MOST: u64 = 2 << 30;

/// Numbers that a slip of the finger, or of a program, comes to.
const SLIPS: [usize; 4] = [
    1_000_000_000,
    u32::MAX as usize + 1,
    usize::MAX / 2,
    usize::MAX,
];

#[test]
fn files_that_do_not_fit_into_memory_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let [picture, table] = ["x.jpg", "x.csv"].map(|name| {
        let path = folder.path().join(name);
        // A terabyte of zeros that takes no room on the disk.
        std::fs::File::create(&path)
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        path
    });
    let read = [
        Photo::open(&picture).unwrap_err(),
        Dataset::from_csv(&table, folder.path(), Target::Numbers, &["age"]).unwrap_err(),
    ];
    for (error, path) in read.iter().zip([&picture, &table]) {
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    }
    assert!(common::most_memory() < MOST);
}

#[test]
fn an_archive_with_a_changed_byte_is_refused_before_it_takes_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.ot");
    let tensor = Tensor::arange(64, (Kind::Float, Device::Cpu)).view([4, 4, 2, 2]);
    let bias = Tensor::zeros([4], (Kind::Float, Device::Cpu));
    let named = [("features.0.weight", &tensor), ("features.0.bias", &bias)];
    Tensor::save_multi(&named, &path).unwrap();
    assert!(Weights::load(&path).is_ok());
    let whole = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for place in (0..whole.len()).step_by(29) {
        let mut changed = whole.clone();
        changed[place] ^= 0x55;
        std::fs::write(&path, &changed).unwrap();
        refused += usize::from(Weights::load(&path).is_err());
    }
    // Some bytes are padding, dates and the like, which nobody reads.
    assert!(
        refused > whole.len() / 29 / 3,
        "{refused} of {}",
        whole.len() / 29
    );
    // Without the checksums some of these bytes were sizes of 4 GB.
    assert!(common::most_memory() < MOST);
}

#[test]
fn arguments_beyond_any_memory_are_refused_or_cut_to_what_there_is() {
    let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    let base = base.progress(Progress::quiet());
    let data = Data::open(common::repository("data/samples")).unwrap();
    let picture = &data.train.files()[0];
    let filters = base.filters("block1_conv1").unwrap();
    let all = filters.first(64).to_string();
    let maps = base.feature_maps(picture, "block1_conv1").unwrap();
    let classes = (0..100_000).map(|n| n.to_string()).collect::<Vec<_>>();
    let many = classes.iter().map(String::as_str).collect::<Vec<_>>();
    let few = Features::from_array(&Array4::zeros((2, 1, 1, 2)), &[0, 1], &["cats", "dogs"]);
    let few = few.unwrap();
    let model = Classifier::new(&base, Head::dense(4), &["cats", "dogs"]).unwrap();
    let report = model.report(&data.validation).unwrap();
    let prediction = model.predict(picture).unwrap();
    let features = base.extract_features(&data.validation).unwrap();
    let patient = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    let patient = patient.batch_size(usize::MAX).progress(Progress::quiet());
    assert_eq!(
        patient
            .extract_features(&data.validation)
            .unwrap()
            .array()
            .unwrap(),
        features.array().unwrap()
    );
    for slip in SLIPS {
        assert!(Augment::lesson().transforms(slip, (150, 150), 0).is_err());
        assert!(Augment::lesson().transforms(1, (slip, slip), 0).is_ok());
        let photo = prediction.photo();
        assert!(photo.resize(slip, 1, Interpolation::Bicubic).is_err());
        assert!(Photo::from_pixels("", slip, slip, vec![0; 3]).is_err());
        assert_eq!(prediction.top(slip).len(), 2);
        assert!(report.show(slip).is_ok() && report.most_wrong(slip).is_ok());
        assert!(report.most_confused(slip).num_rows() <= 2);
        let nearest = features.nearest(&base, picture, slip).unwrap();
        assert_eq!(nearest.similarities().len(), features.len());
        assert_eq!(data.clone().take(slip, slip).train.len(), data.train.len());
        assert!(Schedule::Cosine.factor(slip, slip, slip).is_finite());
        let often = Fit::default().epochs(slip).early_stopping(slip);
        assert!(often.checkpoint_every(slip).check().is_ok());
        assert_eq!(filters.first(slip).to_string(), all);
        assert!(maps.grid(slip, slip).to_string().contains("64"));
        assert_eq!(data.train.take(slip).len(), data.train.len());
        assert!(data.train.show(slip).is_ok());
        assert!(data.train.show_augmented(&Augment::lesson(), slip).is_err());
        assert!(histogram([1.0, 2.0], slip).is_err());
        assert!(Base::vgg16(slip, &Weights::seeded(0), Device::Cpu, Precision::F32).is_err());
        assert!(Head::dense(slip).build(&few, 0).is_err());
        assert!(Fit::default().batch_size(slip).check().is_err());
        assert!(Fit::default().steps_per_epoch(slip).check().is_err());
        let wide = ActivationMaximization::at("block1_conv1").size(slip);
        assert!(base.filter_patterns(wide, &[0]).is_err());
        assert!(base.filter_patterns("block1_conv1", &[slip]).is_err());
        assert!(
            model
                .occlusion_map(picture, Occlusion::patch(slip))
                .is_err()
        );
    }
    // 10^10 weights of the second layer, however few the first has.
    let values = Array4::zeros((1, 1, 1, 2));
    let wide = Features::from_array(&values, &[0], &many).unwrap();
    let error = Head::dense(200_000).build(&wide, 0).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    assert!(error.to_string().contains("100000 classes"), "{error}");
    // 134 GB of start values.
    let patterns = ActivationMaximization::at("block1_conv1").size(4096);
    let error = base.filter_patterns(patterns, &[0; 2000]).unwrap_err();
    assert!(
        error.to_string().contains("memory for 2000 patterns"),
        "{error}"
    );
    assert!(common::most_memory() < MOST);
}
