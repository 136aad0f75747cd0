//! The machine's choices, and what happens offline.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and a process tells its test by printing"
)]

mod common;

use evcxr_transfer::{Device, Error, Lab, Precision, Progress};

/// A lab with a data folder of its own, which never looks for the network.
fn lab(folder: &std::path::Path) -> Lab {
    let lab = Lab::open()
        .unwrap()
        .folder(folder)
        .offline()
        .device(Device::Cpu);
    lab.progress(Progress::quiet())
}

#[test]
fn each_choice_is_shown_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let text = lab(folder.path())
        .precision(Precision::F32)
        .full()
        .to_string();
    for part in [
        "device",
        "cpu",
        "precision",
        "f32",
        "network",
        "offline",
        "asked for in this cell",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    for part in [
        "drawn samples",
        "seeded random",
        "30 epochs",
        "not how well VGG16 does",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn the_data_folder_is_named_as_seen_from_here() {
    let here = std::env::current_dir().unwrap();
    for (folder, shown) in [
        (here.join("data"), "./data"),
        (here.with_file_name("pictures"), "../pictures"),
    ] {
        // Nothing is made in it: the table only names it.
        let text = Lab::open().unwrap().folder(folder).offline().to_string();
        let row = text.lines().find(|line| line.starts_with("data folder"));
        let row = row.unwrap_or_default().split_whitespace();
        assert_eq!(row.clone().nth(2), Some(shown), "{text}");
    }
}

#[test]
fn offline_the_drawn_pictures_and_seeded_weights_stand_in_and_say_so() {
    let folder = common::samples_alone();
    let lab = lab(folder.path());
    let data = lab.cats_and_dogs().unwrap();
    assert_eq!((data.train.len(), data.validation.len()), (60, 30));
    assert!(data.to_string().contains("drawn sample pictures"), "{data}");
    let base = lab.vgg16(32).unwrap();
    assert!(base.summary().to_string().contains("seeded random weights"));
    let features = base.extract_features(&data.train.take(4)).unwrap();
    assert_eq!(features.notes().len(), 2, "{:?}", features.notes());
    // The head that is trained on them, saved and loaded, goes on saying so.
    let head = evcxr_transfer::Head::dense(4).build(&features, 0).unwrap();
    let path = folder.path().join("head.safetensors");
    head.save(&path).unwrap();
    let head = evcxr_transfer::HeadModel::load(&path, Device::Cpu).unwrap();
    let text = head.summary().to_string();
    for note in ["drawn sample pictures", "seeded random weights"] {
        assert!(text.contains(note), "{text}");
    }
}

#[test]
fn offline_the_drawn_pictures_come_before_the_few_samples() {
    let folder = common::samples_alone();
    let counts = |lab: &Lab| {
        let data = lab.cats_and_dogs().unwrap();
        (data.train.len(), data.validation.len())
    };
    let lab = lab(folder.path());
    assert_eq!(counts(&lab), (60, 30));
    assert!(lab.to_string().contains("drawn samples, 60 + 30"), "{lab}");
    for (part, count) in [("train", 5), ("validation", 2)] {
        for class in ["cats", "dogs"] {
            let class = folder.path().join("drawn").join(part).join(class);
            std::fs::create_dir_all(&class).unwrap();
            for number in 0..count {
                std::fs::write(class.join(format!("{number}.jpg")), b"").unwrap();
            }
        }
    }
    assert_eq!(counts(&lab), (10, 4));
    assert!(lab.to_string().contains("drawn samples, 10 + 4"), "{lab}");
    let data = lab.cats_and_dogs().unwrap();
    assert!(data.tree().starts_with("drawn\n"), "{data}");
    assert!(data.to_string().contains("drawn sample pictures"), "{data}");
    // Whoever asks for the samples gets those.
    let samples = lab.samples();
    assert_eq!(counts(&samples), (60, 30));
    assert!(
        samples.to_string().contains("drawn samples, 60 + 30"),
        "{samples}"
    );
}

#[test]
fn what_is_in_the_data_folder_is_taken_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["train", "validation"] {
        for class in ["cats", "dogs", "owls"] {
            let class = folder
                .path()
                .join("cats_and_dogs_filtered")
                .join(part)
                .join(class);
            std::fs::create_dir_all(&class).unwrap();
            std::fs::write(class.join("1.jpg"), b"").unwrap();
        }
    }
    let lab = lab(folder.path());
    assert_eq!(lab.cats_and_dogs().unwrap().train.classes().len(), 3);
    assert_eq!(
        lab.samples().cats_and_dogs().unwrap().train.classes().len(),
        2
    );
}

#[test]
fn a_quick_run_has_fewer_epochs_than_a_full_one() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(lab(folder.path()).quick().fit().epochs, 10);
    assert_eq!(lab(folder.path()).full().fit().epochs, 30);
}

#[test]
fn a_weight_file_that_is_asked_for_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let error = lab(folder.path())
        .weights("absent.h5")
        .vgg16(32)
        .unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    assert!(error.to_string().contains("absent.h5"), "{error}");
}

#[test]
fn offline_a_cut_weight_file_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5";
    let path = folder.path().join(name);
    std::fs::write(&path, b"half of a file").unwrap();
    let text = lab(folder.path()).vgg16(32).unwrap_err().to_string();
    assert!(
        text.contains(name) && text.contains("copy it again"),
        "{text}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"half of a file");
}

#[test]
fn what_is_asked_for_stays_when_the_device_is_chosen_later() {
    let folder = tempfile::tempdir().unwrap();
    let lab = lab(folder.path()).full().precision(Precision::F32);
    let text = lab.device(Device::Cpu).to_string();
    assert!(text.contains("30 epochs") && text.contains("f32"), "{text}");
}

/// What a session was started with is read in another process, so that other tests keep their own.
#[test]
fn what_the_environment_says_is_shown() {
    if std::env::var_os("SHOW_LAB").is_some() {
        println!("{}", Lab::open().unwrap());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let shown = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "what_the_environment_says_is_shown",
            "--nocapture",
        ])
        .env("SHOW_LAB", "1")
        .env("EVCXR_TRANSFER_DATA", folder.path())
        .env("EVCXR_TRANSFER_OFFLINE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    for variable in ["DATA says so", "OFFLINE is set"] {
        let variable = format!("EVCXR_TRANSFER_{variable}");
        assert!(text.contains(&variable), "{variable} is missing in\n{text}");
    }
}
