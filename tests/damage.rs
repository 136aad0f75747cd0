//! Files that are damaged at random: each reader takes them or refuses them with words. None panics, takes memory that the
//! file has no right to, or never ends.
//!
//! ```text
//! EVCXR_TRANSFER_FUZZ=60 cargo test --test damage -- --nocapture --test-threads 1    # a minute a reader
//! ```
//!
//! A process of its own, so that the memory which it takes can be told. The zip reader and the kernel's messages are
//! damaged in the same way where they can be reached, in src/files/archive/tests.rs and tools/kernel/src/message.rs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking, and prints what it measured"
)]

mod common;
#[path = "common/damage.rs"]
mod damage;

use std::path::Path;

use damage::damaged;
use evcxr_transfer::{
    Augment, Base, Classifier, Data, Dataset, Device, Error, Features, Fit, Head, HeadModel, Photo,
    Precision, Progress, Target, Weights,
};
use tch::{Kind, Tensor};

/// More than this none of the readers may take: 537 MB are the largest picture's pixels, once read and once resized.
const MOST: u64 = 3 << 29;

fn assert_small() {
    let most = common::most_memory();
    assert!(most < MOST, "{most} bytes");
}

/// The files in a folder that are not larger than this, by name.
fn files_in(folder: &Path, most: u64) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.metadata().unwrap().len() <= most {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            files.push((name, std::fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

/// An error's words are made for readers: no debug text of a decoder, and not without an end.
fn assert_words(error: &Error) {
    let text = error.to_string();
    assert!(text.len() < 2000, "{} letters: {:.300}", text.len(), text);
    // What a reader is to write may have such signs.
    let own = text.split('`').step_by(2).collect::<String>();
    let is_debug = ["Error {", "Err(", "Some(", "::", "panicked"];
    assert!(!is_debug.iter().any(|part| own.contains(part)), "{text}");
}

#[test]
fn pictures() {
    let folder = tempfile::tempdir().unwrap();
    for script in ["pixels.py", "kinds.py"] {
        common::python(script, &[folder.path()]);
    }
    // Without the raw pixels that are expected of them.
    let mut files = files_in(folder.path(), 60_000);
    files.retain(|(name, _)| !name.ends_with(".rgb"));
    assert!(files.len() > 80, "{}", files.len());
    let refused = damaged(
        "pictures",
        &files,
        1500,
        |name, bytes| match Photo::from_bytes(name, bytes) {
            Ok(photo) => {
                assert_eq!(photo.bytes().len(), photo.width() * photo.height() * 3);
                true
            }
            Err(error) => {
                assert!(matches!(error, Error::Picture { .. }), "{error:?}");
                assert_words(&error);
                false
            }
        },
    );
    assert!(refused > 300, "the damage is real: {refused}");
    assert_small();
}

/// Writes each damaged file and has it loaded, as far as it goes.
fn load_damaged(
    what: &str,
    files: &[(String, Vec<u8>)],
    few: u64,
    load: impl Fn(&Path) -> Result<(), Error>,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let refused = damaged(what, files, few, |_, bytes| {
        std::fs::write(&path, bytes).unwrap();
        match load(&path) {
            Ok(()) => true,
            Err(error) => {
                assert_words(&error);
                false
            }
        }
    });
    assert!(refused > few / 5, "the damage is real: {refused}");
    assert_small();
}

/// Reads weights, and asks for a network that they are not.
fn weights(path: &Path) -> Result<(), Error> {
    let weights = Weights::load(path)?;
    assert!(weights.to_string().contains("layers"));
    let base = Base::vgg16(32, &weights, Device::Cpu, Precision::F32);
    assert_words(&base.expect_err("two layers are no VGG16"));
    Ok(())
}

#[test]
fn weights_in_hdf5() {
    let folder = tempfile::tempdir().unwrap();
    common::python("small_files.py", &[folder.path()]);
    let files = files_in(folder.path(), u64::MAX);
    for (name, _) in &files {
        weights(&folder.path().join(name)).unwrap();
    }
    load_damaged("HDF5", &files, 1500, weights);
}

/// Two layers with torchvision's names.
fn two_layers() -> [(&'static str, Tensor); 4] {
    let kernel = || Tensor::arange(72, (Kind::Float, Device::Cpu)).view([4, 2, 3, 3]) / 72.0;
    let bias = || Tensor::zeros([4], (Kind::Float, Device::Cpu));
    [
        ("features.0.weight", kernel()),
        ("features.0.bias", bias()),
        ("features.2.weight", kernel()),
        ("features.2.bias", bias()),
    ]
}

#[test]
fn weights_in_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.safetensors");
    let named = two_layers();
    Tensor::write_safetensors(&named.each_ref().map(|(name, x)| (*name, x)), &path).unwrap();
    weights(&path).unwrap();
    let files = files_in(folder.path(), u64::MAX);
    load_damaged("safetensors", &files, 1500, weights);
}

#[test]
fn weights_in_an_ot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.ot");
    let named = two_layers();
    Tensor::save_multi(&named.each_ref().map(|(name, x)| (*name, x)), &path).unwrap();
    weights(&path).unwrap();
    let files = files_in(folder.path(), u64::MAX);
    load_damaged(".ot", &files, 800, weights);
}

fn quiet() -> Fit {
    Fit::default().epochs(1).progress(Progress::quiet())
}

fn samples() -> Data {
    Data::open(common::repository("data/samples"))
        .unwrap()
        .take(2, 2)
}

#[test]
fn saved_classifiers_and_their_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let (data, classes) = (samples(), ["cats", "dogs"]);
    let small = || Classifier::small_conv_net(46, &classes, 1, Device::Cpu, Precision::F32);
    let mut model = small().unwrap();
    let fit = quiet().checkpoint(folder.path().join("run.safetensors"));
    model.fit(&data, &Augment::none(), &fit).unwrap();
    model.save(folder.path().join("model.safetensors")).unwrap();
    let files = files_in(folder.path(), u64::MAX);
    let picture = &data.train.files()[0];
    load_damaged("classifiers", &files, 300, |path| {
        let mut model = Classifier::load(path, Device::Cpu)?;
        assert!(model.summary().to_string().contains("dense"));
        model.predict(picture)?;
        if model.is_unfinished() {
            model.resume(&data, &quiet().epochs(2))?;
        }
        Ok(())
    });
}

#[test]
fn saved_heads_and_features() {
    let folder = tempfile::tempdir().unwrap();
    let values = ndarray::Array4::from_shape_fn((4, 1, 1, 6), |(n, _, _, k)| (n * k) as f32 / 9.0);
    let features = Features::from_array(&values, &[0, 1, 0, 1], &["cats", "dogs"]).unwrap();
    features
        .save(folder.path().join("features.safetensors"))
        .unwrap();
    let mut head = Head::dense(3).build(&features, 0).unwrap();
    let fit = quiet().checkpoint(folder.path().join("run.safetensors"));
    head.fit(&features, &features, &fit).unwrap();
    head.save(folder.path().join("head.safetensors")).unwrap();
    let files = files_in(folder.path(), u64::MAX);
    load_damaged("heads and features", &files, 1500, |path| {
        let load = |path: &Path| -> Result<(), Error> {
            let mut head = HeadModel::load(path, Device::Cpu)?;
            head.predict(&features)?;
            // The head alone has no run to go on with.
            head.resume(&features, &features, &quiet().epochs(2)).ok();
            Ok(())
        };
        load(path).or_else(|error| {
            assert_words(&error);
            let features = Features::load(path, Device::Cpu)?;
            Head::dense(2).build(&features, 0)?;
            features.pca().map(drop)
        })
    });
}

#[test]
fn tables_of_labels() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = common::repository("data/samples/train/cats");
    let table = "file,labels,age\n\"cat.0.jpg\",\"red, old\",1.5\ncat.1.jpg,\"a \"\"b\"\"\",2\r\ncat.2.jpg,,3\n";
    std::fs::write(folder.path().join("labels.csv"), table).unwrap();
    let files = files_in(folder.path(), u64::MAX);
    load_damaged("tables", &files, 1500, |path| {
        let read = |target: Target, columns: &[&str]| {
            Dataset::from_csv(path, &pictures, target, columns).map(|found| found.to_string())
        };
        read(Target::Labels, &["labels"])?;
        read(Target::Numbers, &["age"]).map(drop)
    });
}
