//! Folders of pictures: Keras' order, counts, trees, and what is wrong with a folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;

use evcxr_transfer::{Data, Dataset, Error};

/// Makes an empty file, and the folders above it.
fn touch(root: &Path, path: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, b"").unwrap();
}

#[test]
fn classes_files_and_labels_are_in_the_order_of_flow_from_directory() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "dogs/10.jpg",
        "dogs/9.jpg",
        "dogs/Ä.png",
        "dogs/b.JPG",
        "dogs/notes.txt",
        "dogs/jpg",
        "dogs/inside/1.jpg",
        "dogs/inside-out/2.bmp",
        "dogs/inside/deeper/3.tiff",
        "Cats/a b.jpeg",
        "Cats/A.ppm",
        "Cats/x.gif",
        "Cats/x.tar.png",
        "école/1.tif",
        "loose.jpg",
    ] {
        touch(folder.path(), path);
    }
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let keras = common::python("keras_folders.py", &[folder.path()]);
    let keras: serde_json::Value = serde_json::from_str(keras.lines().last().unwrap()).unwrap();
    let dataset = Dataset::open(folder.path()).unwrap();
    let files = dataset.files().iter().map(|file| {
        file.strip_prefix(folder.path())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    });
    assert_eq!(serde_json::json!(dataset.classes()), keras["classes"]);
    assert_eq!(serde_json::json!(files.collect::<Vec<_>>()), keras["files"]);
    assert_eq!(serde_json::json!(dataset.labels()), keras["labels"]);
}

#[test]
fn jupyters_hidden_folders_are_no_classes() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "cats/1.jpg",
        "dogs/1.jpg",
        ".ipynb_checkpoints/1.jpg",
        "dogs/.thumbs/2.jpg",
    ] {
        touch(folder.path(), path);
    }
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(dataset.classes(), ["cats", "dogs"]);
    assert_eq!(dataset.len(), 2);
}

#[test]
fn the_samples_are_found_counted_and_shown() {
    let data = Data::open(common::repository("data/samples")).unwrap();
    assert_eq!(
        data.train.to_string(),
        "Found 60 images belonging to 2 classes."
    );
    assert_eq!(
        data.validation.to_string(),
        "Found 30 images belonging to 2 classes."
    );
    let text = data.to_string();
    for part in [
        "samples",
        "├── train",
        "│   ├── cats  30 pictures",
        "    └── dogs  15 pictures",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(data.train.unreadable().is_empty());
    let png = data.train.show(12).unwrap().to_png().unwrap();
    assert!(png.len() < 1_000_000, "{} bytes", png.len());
    assert!(image::load_from_memory(&png).unwrap().width() >= 900);
}

#[test]
fn taking_some_takes_from_every_class() {
    let data = Data::open(common::repository("data/samples")).unwrap();
    let some = data.take(9, 4);
    assert_eq!(
        some.train.counts(),
        [("cats".to_owned(), 5), ("dogs".to_owned(), 4)]
    );
    assert_eq!(
        some.validation.counts(),
        [("cats".to_owned(), 2), ("dogs".to_owned(), 2)]
    );
    let name = |index: usize| some.train.files()[index].file_name().unwrap().to_owned();
    assert_eq!((name(0), name(5)), ("cat.0.jpg".into(), "dog.0.jpg".into()));
    assert_eq!(data.take(1000, 1000).train.len(), 60);
}

#[test]
fn folders_without_classes_or_pictures_are_errors_that_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Dataset::open(folder.path()).unwrap_err();
    assert!(
        open().to_string().contains("no class folders"),
        "{}",
        open()
    );
    touch(folder.path(), "cats/readme.txt");
    assert!(open().to_string().contains("no pictures"), "{}", open());
    let absent = Dataset::open(folder.path().join("absent")).unwrap_err();
    assert!(matches!(absent, Error::File { .. }), "{absent}");
    assert!(absent.to_string().contains("absent"), "{absent}");

    let error = Data::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("\"train\"") && error.contains("validation"),
        "{error}"
    );
    touch(folder.path(), "train/cats/1.jpg");
    touch(folder.path(), "validation/dogs/1.jpg");
    let error = Data::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("cats") && error.contains("dogs"), "{error}");
}
