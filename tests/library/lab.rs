//! The machine's choices, and what happens offline.

use std::path::Path;
use std::process::Command;

use evcxr_transfer::{Base, Device, Error, Lab, Precision, Progress, Tensor, Weights};

/// Whether this is a process of its own for the test of this name, with `variables`, an empty home folder, and
/// nothing else that could name weights. Elsewhere the answer is no, after such a process has run the test.
///
/// A process has one environment, and what is in the caches of a developer's machine is no test's business.
fn is_alone(test: &str, variables: &[(&str, &Path)]) -> bool {
    const ALONE: &str = "EVCXR_TRANSFER_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("lab::{test}"), "--nocapture"]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EVCXR_TRANSFER_") {
            command.env_remove(name);
        }
    }
    for name in ["KERAS_HOME", "TORCH_HOME", "XDG_CACHE_HOME"] {
        command.env_remove(name);
    }
    let output = command
        .env("HOME", home.path())
        .env("EVCXR_TRANSFER_DATA", home.path().join("data"))
        .env("EVCXR_TRANSFER_OFFLINE", "1")
        .env(ALONE, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    false
}

/// Writes VGG16's convolutions, random ones, as a file that says nothing by its name.
fn write_vgg16(path: &Path) {
    let base = Base::vgg16(32, &Weights::seeded(7), Device::Cpu, Precision::F32).unwrap();
    let mut named = Vec::new();
    for layer in base.layers().iter().filter(|layer| layer.has_weights()) {
        let weights = base.layer_weights(&layer.name).unwrap();
        for part in ["kernel", "bias"] {
            let tensor = Tensor::try_from(weights.array(part).unwrap()).unwrap();
            named.push((format!("{}.{part}", layer.name), tensor));
        }
    }
    Tensor::write_safetensors(&named, path).unwrap();
}

/// The reader's row of a table.
fn row<'a>(table: &'a str, name: &str) -> &'a str {
    let row = table.lines().find(|line| line.starts_with(name));
    row.unwrap_or_else(|| panic!("there is no row {name:?} in\n{table}"))
}

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
    if !is_alone("each_choice_is_shown_with_its_reason", &[]) {
        return;
    }
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
    let test = "offline_the_drawn_pictures_and_seeded_weights_stand_in_and_say_so";
    if !is_alone(test, &[]) {
        return;
    }
    let folder = crate::common::samples_alone();
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
fn offline_a_full_run_takes_the_drawn_pictures_before_the_few_samples() {
    let folder = crate::common::samples_alone();
    let counts = |lab: &Lab| {
        let data = lab.cats_and_dogs().unwrap();
        (data.train.len(), data.validation.len())
    };
    let quick = lab(folder.path()).quick();
    let lab = quick.clone().full();
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
    assert_eq!(counts(&quick), (60, 30));
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

#[test]
fn what_the_environment_says_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("EVCXR_TRANSFER_MIRROR", folder.path().to_owned()),
        ("EVCXR_TRANSFER_WEIGHTS", folder.path().join("x.h5")),
    ];
    let variables = variables.each_ref().map(|(name, value)| (*name, &**value));
    if !is_alone("what_the_environment_says_is_shown", &variables) {
        return;
    }
    let text = Lab::open().unwrap().to_string();
    for variable in [
        "DATA says so",
        "OFFLINE is set",
        "MIRROR says so",
        "WEIGHTS says so",
    ] {
        let variable = format!("EVCXR_TRANSFER_{variable}");
        assert!(text.contains(&variable), "{variable} is missing in\n{text}");
    }
    // Why the file cannot be taken is seen at once.
    let weights = row(&text, "weights");
    assert!(
        weights.contains("x.h5") && weights.contains("cannot read"),
        "{text}"
    );
}

#[test]
fn a_file_for_one_network_does_not_stand_in_the_way_of_another() {
    let test = "a_file_for_one_network_does_not_stand_in_the_way_of_another";
    if !is_alone(test, &[]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my_file");
    write_vgg16(&path);
    let lab = lab(folder.path()).precision(Precision::F32).weights(&path);
    let text = lab.to_string();
    let weights = row(&text, "weights");
    assert!(
        weights.contains("my_file") && weights.contains("asked for"),
        "{text}"
    );
    let summary = |base: Base| base.summary().to_string();
    assert!(summary(lab.vgg16(32).unwrap()).contains("my_file"));
    let other = summary(lab.vgg19(32).unwrap());
    assert!(other.contains("seeded random weights"), "{other}");
}

#[test]
fn a_folder_that_the_environment_names_gives_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("EVCXR_TRANSFER_WEIGHTS", folder.path())];
    if !is_alone(
        "a_folder_that_the_environment_names_gives_what_is_in_it",
        &variables,
    ) {
        return;
    }
    let folder = std::env::var_os("EVCXR_TRANSFER_WEIGHTS").unwrap();
    write_vgg16(&Path::new(&folder).join("my_file"));
    std::fs::write(Path::new(&folder).join("a_note"), "no weights").unwrap();
    let lab = Lab::open().unwrap().device(Device::Cpu);
    let lab = lab.progress(Progress::quiet());
    let text = lab.to_string();
    let weights = row(&text, "weights");
    assert!(weights.contains("my_file"), "{text}");
    assert!(weights.contains("EVCXR_TRANSFER_WEIGHTS says so"), "{text}");
    assert!(
        lab.vgg16(32)
            .unwrap()
            .summary()
            .to_string()
            .contains("my_file")
    );
}

#[test]
fn how_long_the_lesson_takes_is_measured_and_quick_or_full_chosen_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let unmeasured = lab(folder.path()).precision(Precision::F32);
    let text = unmeasured.to_string();
    let run = row(&text, "run");
    assert!(run.contains("quick") && !run.contains("hours"), "{text}");
    let lab = unmeasured.measured();
    let durations = lab.durations().unwrap();
    assert!(durations.pictures_per_second() > 0.0);
    assert!(durations.full() > durations.quick());
    let table = durations.to_string();
    for part in [
        "part 1",
        "part 2",
        "part 3",
        "all three",
        "about",
        "cpu in f32",
    ] {
        assert!(table.contains(part), "{part} is missing in\n{table}");
    }
    let is_full = durations.full().as_secs() <= 15 * 60;
    assert_eq!(lab.fit().epochs == 30, is_full);
    let text = lab.to_string();
    assert!(row(&text, "run").contains("measured"), "{text}");
    // What was measured in one precision says nothing of another.
    let text = lab.clone().precision(Precision::BFloat16).to_string();
    assert!(!row(&text, "run").contains("measured: "), "{text}");
    assert_eq!(lab.quick().fit().epochs, 10);
}
