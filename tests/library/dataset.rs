//! Folders of pictures: Keras' order, counts, trees, and what is wrong with a folder.

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
    let keras = crate::common::python("keras_folders.py", &[folder.path()]);
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
    let data = Data::open(crate::common::repository("data/samples")).unwrap();
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
    assert!(data.train.unreadable().unwrap().is_empty());
    let png = data.train.show(12).unwrap().to_png().unwrap();
    assert!(png.len() < 1_000_000, "{} bytes", png.len());
    assert!(image::load_from_memory(&png).unwrap().width() >= 900);
}

#[test]
fn nothing_is_left_out_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for class in ["cats", "dogs"] {
        for n in 0..3 {
            let sample = format!("data/samples/train/{class}/{}.{n}.jpg", &class[..3]);
            let place = root.join(format!("{class}/{n}.jpg"));
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::copy(crate::common::repository(&sample), place).unwrap();
        }
    }
    let photo = image::RgbImage::from_pixel(8, 8, image::Rgb([9, 90, 200]));
    photo.save(root.join("cats/web.webp")).unwrap();
    std::fs::copy(root.join("cats/0.jpg"), root.join("cats/noending")).unwrap();
    std::fs::copy(root.join("cats/0.jpg"), root.join("loose.jpg")).unwrap();
    for path in ["cats/phone.HEIC", "dogs/notes.txt", "dogs/.DS_Store"] {
        touch(root, path);
    }
    let said = [
        "Left out: 4 files: ",
        "cats/noending (a JPEG picture without an ending: add .jpg)",
        "cats/phone.HEIC (HEIC: export it as JPEG)",
        "dogs/notes.txt (no picture)",
        "loose.jpg (in no class folder)",
    ];
    let dataset = Dataset::open(root).unwrap();
    assert_eq!(dataset.counts()[0], ("cats".into(), 4), "WebP is a picture");
    assert_eq!(dataset.left_out().len(), 4);
    let data = Data::split(root, 0.3, 1).unwrap();
    for text in [dataset.to_string(), data.to_string()] {
        for part in said {
            assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
        }
    }
    let checks = data.check().unwrap();
    assert_eq!(checks.left_out().len(), 4);
    assert!(!checks.is_fine());
    let text = checks.table().to_string();
    assert!(
        text.contains("4 files left out:") && text.contains(said[2]),
        "{text}"
    );
    assert!(
        data.without_unreadable()
            .unwrap()
            .to_string()
            .contains(said[0])
    );

    // Of HEIC alone nothing can be taken.
    let phone = tempfile::tempdir().unwrap();
    touch(phone.path(), "cats/1.HEIC");
    touch(phone.path(), "dogs/2.heic");
    let error = Dataset::open(phone.path()).unwrap_err().to_string();
    assert!(
        error.contains("no pictures in its class folders. Left out: 2 files: "),
        "{error}"
    );
    assert!(
        error.contains("cats/1.HEIC (HEIC: export it as JPEG)"),
        "{error}"
    );
}

#[test]
fn a_class_of_one_training_picture_is_said_before_training() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "ants/1.png",
        "ants/2.png",
        "bees/1.png",
        "bees/2.png",
        "bees/3.png",
    ] {
        touch(folder.path(), path);
    }
    let data = Data::split(folder.path(), 0.3, 1).unwrap();
    let text = data.to_string();
    assert!(
        text.contains("Note: ants has 1 picture to learn from"),
        "{text}"
    );
    assert!(
        text.contains("ants  1 picture\n") && text.contains("bees  2 pictures\n"),
        "{text}"
    );
    // A class without any is a class all the same, as in Keras.
    std::fs::create_dir(folder.path().join("wasps")).unwrap();
    let error = Data::split(folder.path(), 0.3, 1).unwrap_err().to_string();
    assert!(error.contains("0 pictures cannot be shared out"), "{error}");
}

#[test]
fn taking_some_takes_from_every_class() {
    let data = Data::open(crate::common::repository("data/samples")).unwrap();
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

#[test]
fn a_folder_of_classes_is_split_alike_for_the_same_seed() {
    let folder = tempfile::tempdir().unwrap();
    for (class, count) in [("ants", 10), ("bees", 3), ("wasps", 2)] {
        for n in 0..count {
            touch(folder.path(), &format!("{class}/{n}.png"));
        }
    }
    let data = Data::split(folder.path(), 0.2, 42).unwrap();
    let counts = |dataset: &Dataset| {
        dataset
            .counts()
            .into_iter()
            .map(|(_, n)| n)
            .collect::<Vec<_>>()
    };
    // A fifth of ten; and one at least of each class on either side.
    assert_eq!(counts(&data.train), [8, 2, 1]);
    assert_eq!(counts(&data.validation), [2, 1, 1]);
    let mut all = [data.train.files(), data.validation.files()].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 15, "every picture is on one side");
    assert!(
        data.train.files().is_sorted(),
        "in the order of the folders"
    );
    let again = Data::split(folder.path(), 0.2, 42).unwrap();
    assert_eq!(data.train.files(), again.train.files());
    let other = Data::split(folder.path(), 0.2, 43).unwrap();
    assert_ne!(data.train.files(), other.train.files());
    let most = Data::split(folder.path(), 0.99, 0).unwrap();
    assert_eq!(counts(&most.train), [1, 1, 1]);
    let tree = data.tree();
    for line in [
        "├── train",
        "└── validation",
        "ants  8 pictures",
        "ants  2 pictures",
    ] {
        assert!(tree.contains(line), "{tree}");
    }

    for share in [0.0, 1.0, -0.1, f64::NAN] {
        let error = Data::split(folder.path(), share, 0).unwrap_err();
        assert!(error.to_string().contains("between 0 and 1"), "{error}");
    }
    touch(folder.path(), "lonely/0.png");
    let error = Data::split(folder.path(), 0.2, 0).unwrap_err().to_string();
    assert!(
        error.contains("lonely") && error.contains("two pictures"),
        "{error}"
    );
    let error = Data::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("Data::split"), "{error}");
}

#[test]
fn checks_find_broken_files_copies_and_uneven_classes() {
    let folder = tempfile::tempdir().unwrap();
    let samples = crate::common::repository("data/samples/train");
    let copy = |from: &str, to: &str| {
        let to = folder.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(samples.join(from), to).unwrap();
    };
    for n in 0..8 {
        copy(&format!("cats/cat.{n}.jpg"), &format!("train/cats/{n}.jpg"));
    }
    copy("dogs/dog.0.jpg", "train/dogs/0.jpg");
    copy("dogs/dog.1.jpg", "train/dogs/1.jpg");
    copy("cats/cat.3.jpg", "validation/cats/known.jpg");
    copy("dogs/dog.2.jpg", "validation/dogs/2.jpg");
    std::fs::write(folder.path().join("train/dogs/notes.jpg"), "no picture").unwrap();
    let data = Data::open(folder.path()).unwrap();
    let checks = data.check().unwrap();
    assert!(!checks.is_fine());
    assert_eq!(checks.unreadable().len(), 1);
    assert_eq!(checks.copies().len(), 1);
    let text = checks.table().to_string();
    for part in [
        "train/dogs/notes.jpg (",
        "without_unreadable()",
        "train/cats/3.jpg = validation/cats/known.jpg",
        "One validation picture is 50.00 % of the accuracy",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(
        !text.contains("class_weights"),
        "8 to 3 is not worth a word:\n{text}"
    );
    assert_eq!(data.without_unreadable().unwrap().train.len(), 10);
    std::fs::remove_file(folder.path().join("train/dogs/1.jpg")).unwrap();
    let text = Data::open(folder.path())
        .unwrap()
        .check()
        .unwrap()
        .table()
        .to_string();
    assert!(
        text.contains("dogs has 2 training pictures, cats has 8"),
        "{text}"
    );

    let samples = crate::common::repository("data/samples");
    let error = Data::split(&samples, 0.2, 0).unwrap_err().to_string();
    assert!(error.contains("Data::open"), "{error}");
    let samples = Data::open(samples).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    touch(elsewhere.path(), "owls/1.jpg");
    let other = Data {
        train: samples.train.clone(),
        validation: Dataset::open(&elsewhere).unwrap(),
    };
    assert!(matches!(other.check(), Err(Error::Dataset { .. })));
    let checks = samples.check().unwrap();
    assert!(checks.is_fine(), "{checks}");
    assert!(checks.table().to_string().contains("Nothing to mend"));
}

// `.DS_Store` as a class: github.com/pytorch/vision/pull/79.
#[test]
fn what_systems_leave_beside_pictures_is_no_class_and_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "__MACOSX/cats/._0.jpg",
        "@eaDir/cats/0.jpg/thumb.jpg",
        "$RECYCLE.BIN/x.jpg",
        "lost+found/x.jpg",
        ".ipynb_checkpoints/x.jpg",
        "cats/._0.jpg",
        "cats/__MACOSX/1.jpg",
        "cats/@eaDir/0.jpg",
        "cats/0.jpg",
        "dogs/1.jpg",
        "dogs/inside/2.jpg",
    ] {
        touch(folder.path(), path);
    }
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(dataset.classes(), ["cats", "dogs"]);
    assert_eq!(dataset.counts(), [("cats".into(), 1), ("dogs".into(), 2)]);
}

#[test]
fn the_parts_of_a_split_are_no_classes_whatever_they_are_called() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, parts: &[&str]| {
        let place = folder.path().join(name);
        for part in parts {
            touch(&place, &format!("{part}/normal/1.jpg"));
            touch(&place, &format!("{part}/pneumonia/2.jpg"));
        }
        place
    };
    for (name, parts, words) in [
        (
            "chest",
            &["train", "val", "test"][..],
            &["test, val", "val to validation", "Data::split(", "train\""][..],
        ),
        ("two", &["train", "test"], &["test to validation"]),
        (
            "capital",
            &["Training", "Validation"],
            &["Training to train and Validation to validation"],
        ),
        ("whole", &["train", "validation", "test"], &["`Data::open`"]),
    ] {
        let place = put(name, parts);
        let mut opened = vec![
            Data::split(&place, 0.2, 0).map(|_| ()),
            Dataset::open(&place).map(|_| ()),
        ];
        if name != "whole" {
            opened.push(Data::open(&place).map(|_| ()));
        }
        for outcome in opened {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("split already"), "{error}");
            for word in words {
                assert!(error.contains(word), "{word} in {error}");
            }
        }
    }
    // Classes of such names have pictures in them, not folders.
    let place = folder.path().join("railway");
    for path in ["train/1.jpg", "test/2.jpg"] {
        touch(&place, path);
    }
    assert_eq!(Dataset::open(&place).unwrap().classes(), ["test", "train"]);
}

#[test]
fn a_class_whose_pictures_on_one_side_cannot_be_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let samples = crate::common::repository("data/samples/train");
    for (class, count) in [("cats", 4), ("dogs", 4)] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for n in 0..count {
            let name = format!("{class}/{}.{n}.jpg", class.trim_end_matches('s'));
            std::fs::copy(samples.join(&name), folder.path().join(&name)).unwrap();
        }
    }
    // The one dog that is set aside.
    let data = Data::split(folder.path(), 0.25, 1).unwrap();
    let dog = data.validation.files().last().unwrap().clone();
    std::fs::write(&dog, "no picture").unwrap();
    let error = data.without_unreadable().unwrap_err().to_string();
    assert!(
        error.contains("the validation pictures of dogs") && error.contains("another seed"),
        "{error}"
    );
    let checks = data.check().unwrap();
    assert!(!checks.is_fine());
    let text = checks.table().to_string();
    assert!(
        text.contains("dogs has no picture to validate on"),
        "{text}"
    );
    // Elsewhere it is one of several.
    let seeds = (0..40).map(|seed| Data::split(folder.path(), 0.25, seed).unwrap());
    let mut others = seeds.filter(|data| data.train.files().contains(&dog));
    let other = others.next().unwrap().without_unreadable().unwrap();
    assert_eq!((other.train.len(), other.validation.len()), (5, 2));
}
