//! Saving where it goes wrong: no room, a disk that can only be read, two who write one name, a kill at any time.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use evcxr_transfer::{
    Augment, Base, Classifier, Data, Device, Epoch, Error, Features, Fit, Head, HeadModel, History,
    Precision, Progress, Weights, World, histogram,
};
use ndarray::Array4;

/// The folder of a process that is a part of a test.
const FOLDER: &str = "EVCXR_TRANSFER_TEST_FOLDER";

/// `test` of this file, which is ignored elsewhere, in a process of its own that works in `folder`. `limits` are of
/// the shell that starts it.
fn part(test: &str, folder: &Path, limits: &str) -> Child {
    let words = ["--exact", "--ignored", "--nocapture"];
    Command::new("sh")
        .args(["-c", &format!("{limits} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .arg(format!("saving::{test}"))
        .args(words)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn assert_ends_well(part: Child) {
    let output = part.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("1 passed"), "{out}");
}

fn features() -> Features {
    let values = Array4::from_shape_fn((8, 2, 2, 4), |(n, y, x, c)| (n + y + x + c) as f32);
    Features::from_array(&values, &[0, 1, 0, 1, 0, 1, 0, 1], &["cats", "dogs"]).unwrap()
}

fn base() -> Base {
    let base = Base::vgg16(32, &Weights::seeded(1), Device::Cpu, Precision::F32).unwrap();
    base.progress(Progress::quiet())
}

fn model() -> Classifier {
    Classifier::new(&base(), Head::dense(4), &["cats", "dogs"]).unwrap()
}

fn data() -> Data {
    let data = Data::open(crate::common::repository("data/samples")).unwrap();
    data.take(8, 4)
}

fn fit() -> Fit {
    Fit::default()
        .epochs(4)
        .batch_size(4)
        .progress(Progress::quiet())
}

type Way<'a> = (&'a str, Box<dyn Fn(&Path) -> Result<(), Error> + 'a>);

/// Every way in which a user writes a file, by the name of what it writes.
fn every_way<'a>(
    model: &'a Classifier,
    head: &'a HeadModel,
    features: &'a Features,
    history: &'a History,
) -> Vec<Way<'a>> {
    let mut ways: Vec<Way<'a>> = vec![
        (
            "model.safetensors",
            Box::new(|path| model.save(path).map(drop)),
        ),
        ("model.onnx", Box::new(|path| model.save(path).map(drop))),
        (
            "head.safetensors",
            Box::new(|path| head.save(path).map(drop)),
        ),
        ("head.onnx", Box::new(|path| head.save(path).map(drop))),
        (
            "features.safetensors",
            Box::new(|path| features.save(path).map(drop)),
        ),
    ];
    for name in ["history.png", "history.svg", "history.csv", "history.json"] {
        ways.push((name, Box::new(|path| history.save(path).map(drop))));
    }
    for name in ["figure.png", "figure.svg"] {
        ways.push((
            name,
            Box::new(|path| histogram([1.0, 2.0], 3)?.save(path).map(drop)),
        ));
    }
    ways
}

/// A history of which the numbers alone are longer than the smallest limit for files.
fn history(head: &mut HeadModel, features: &Features) -> History {
    head.fit(features, features, &fit().epochs(40)).unwrap()
}

#[test]
#[ignore = "a part of another test"]
fn everything_is_saved_where_there_is_no_room() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let (mut model, features, data) = (model(), features(), data());
    let mut head = Head::dense(4).build(&features, 0).unwrap();
    let history = history(&mut head, &features);
    for (name, save) in every_way(&model, &head, &features, &history) {
        for (name, old) in [(name.to_owned(), "old"), (format!("new_{name}"), "")] {
            let path = folder.join(&name);
            if !old.is_empty() {
                std::fs::write(&path, old).unwrap();
            }
            let error = save(&path).unwrap_err();
            assert!(matches!(error, Error::File { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&name) && text.contains("ulimit -f"), "{text}");
            // What was there is there; what was not is not.
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(found, old, "{name}");
        }
    }
    // Features of many pictures, in files of their own: none of them stays.
    let shards = folder.join("shards");
    let world = World::open().unwrap();
    let error = base().extract_shards(&data.train, &shards, &world);
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("shard-0") && text.contains("ulimit -f"),
        "{text}"
    );
    assert!(std::fs::read_dir(&shards).unwrap().next().is_none());
    // A run of hours does not end because its checkpoint cannot be written; it says so.
    let path = folder.join("run.safetensors");
    let progress = Progress::quiet();
    let fit = fit().epochs(2).progress(progress).checkpoint(&path);
    let history = model.train_frozen(&data, &Augment::none(), &fit).unwrap();
    assert_eq!(history.epochs.len(), 2);
    assert!(!path.exists());
}

#[test]
fn a_full_disk_costs_no_file_and_no_run() {
    let folder = tempfile::tempdir().unwrap();
    // The system then refuses what is longer than a block of 512 bytes, as a disk does that is full; without the
    // trap it would end the process.
    let limits = "trap '' XFSZ; ulimit -f 1;";
    let test = "everything_is_saved_where_there_is_no_room";
    assert_ends_well(part(test, folder.path(), limits));
    let files = std::fs::read_dir(folder.path()).unwrap();
    let names = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect::<Vec<_>>();
    assert!(names.contains(&"model.onnx".to_owned()), "{names:?}");
    let left = names.iter().find(|name| name.ends_with(".part"));
    assert_eq!(left, None, "half-written files stay");
    // With room again, the same call does what it could not do before.
    let world = World::open().unwrap();
    let shards = folder.path().join("shards");
    let found = base().extract_shards(&data().train, &shards, &world);
    let expected = base().extract_features(&data().train).unwrap();
    assert_eq!(found.unwrap().array().unwrap(), expected.array().unwrap());
}

/// The file without what later versions say of themselves: the version of the format, and who wrote it.
fn without_format(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let mut words = header.metadata().clone().unwrap();
    for key in ["format", "written_by"] {
        assert!(words.remove(key).is_some(), "{key}");
    }
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let older = safetensors::serialize(tensors.tensors(), Some(words)).unwrap();
    std::fs::write(path, older).unwrap();
}

#[test]
fn files_from_before_the_format_had_a_version_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("older.safetensors");
    let features = features();
    features.save(&path).unwrap();
    without_format(&path);
    let found = Features::load(&path, Device::Cpu).unwrap();
    assert_eq!(found.array().unwrap(), features.array().unwrap());
    let head = Head::dense(4).build(&features, 0).unwrap();
    head.save(&path).unwrap();
    without_format(&path);
    let found = HeadModel::load(&path, Device::Cpu).unwrap();
    let answers = |head: &HeadModel| head.predict(&features).unwrap();
    assert_eq!(answers(&found), answers(&head));
    let model = model();
    model.save(&path).unwrap();
    without_format(&path);
    let found = Classifier::load(&path, Device::Cpu).unwrap();
    let pictures = data().validation;
    let answers = |model: &Classifier| model.predict(&pictures.files()[0]).unwrap().probability();
    assert_eq!(answers(&found), answers(&model));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_can_only_be_read_is_told_with_its_file() {
    let (mut model, features) = (model(), features());
    let mut head = Head::dense(4).build(&features, 0).unwrap();
    let history = history(&mut head, &features);
    for (name, save) in every_way(&model, &head, &features, &history) {
        // Nobody makes files there, the system's administrator neither.
        let path = Path::new("/proc/sys").join(name);
        let error = save(&path).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
    // A checkpoint's place is tried before the first epoch.
    let place = Path::new("/proc/sys/run.safetensors");
    let fit = fit().epochs(2).checkpoint(place);
    let before = head.predict(&features).unwrap();
    for error in [
        head.fit(&features, &features, &fit).unwrap_err(),
        model
            .train_frozen(&data(), &Augment::none(), &fit)
            .unwrap_err(),
    ] {
        assert!(matches!(error, Error::File { .. }), "{error:?}");
        assert!(error.to_string().contains("run.safetensors"), "{error}");
    }
    assert_eq!(head.predict(&features).unwrap(), before);
    assert!(model.history().epochs.is_empty());
}

#[test]
#[ignore = "a part of another test"]
fn one_name_is_written_again_and_again() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let features = features();
    for _ in 0..200 {
        let path = Path::new(&folder).join("features.safetensors");
        features.save(path).unwrap();
    }
}

#[test]
fn two_processes_that_save_to_one_name_leave_a_whole_file_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.safetensors");
    let expected = features();
    expected.save(&path).unwrap();
    let test = "one_name_is_written_again_and_again";
    let mut writers = [(); 2].map(|()| part(test, folder.path(), ""));
    let mut read = 0;
    while writers
        .iter_mut()
        .any(|writer| writer.try_wait().unwrap().is_none())
    {
        let found = Features::load(&path, Device::Cpu).unwrap();
        assert_eq!(found.array().unwrap(), expected.array().unwrap());
        read += 1;
    }
    assert!(read > 10, "only {read} times read");
    for writer in writers {
        assert_ends_well(writer);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A lesson that is killed: three parts, each with what it leaves in files, gone on with where one is left.
#[test]
#[ignore = "a part of another test"]
fn the_lesson_runs_on_from_its_last_checkpoint() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    lesson(Path::new(&folder));
}

/// Parts 1 to 3, from whatever earlier calls with this folder have left there.
fn lesson(folder: &Path) -> Vec<(f64, f64)> {
    let (data, augment) = (data(), Augment::lesson());
    let [train, validation] =
        [("train", &data.train), ("validation", &data.validation)].map(|(name, pictures)| {
            let path = folder.join(name).with_extension("safetensors");
            if !path.exists() {
                let features = base().extract_features(pictures).unwrap();
                features.save(&path).unwrap();
            }
            Features::load(path, Device::Cpu).unwrap()
        });
    let mut head = Head::dense(4).build(&train, 0).unwrap();
    let backed_up = fit().backup(folder.join("head.safetensors"));
    let part_1 = head.fit(&train, &validation, &backed_up).unwrap();
    let [frozen, tuned] =
        ["frozen", "tuned"].map(|name| folder.join(name).with_extension("safetensors"));
    let load = |path: &Path| {
        path.exists()
            .then(|| Classifier::load(path, Device::Cpu).unwrap())
    };
    let fit = fit().seed(7);
    let first = fit.clone().checkpoint(&frozen);
    let second = fit.checkpoint(&tuned);
    let trained = |mut model: Classifier, fit: &Fit, length: usize| {
        if model.history().epochs.len() < length {
            model.resume(&data, fit).unwrap();
        }
        model
    };
    let model = match load(&tuned) {
        Some(model) => trained(model, &second, 8),
        None => {
            let mut model = load(&frozen).map_or_else(model, |model| trained(model, &first, 4));
            if model.history().epochs.is_empty() {
                model.train_frozen(&data, &augment, &first).unwrap();
            }
            model
                .fine_tune("block5_conv3", &data, &augment, &second)
                .unwrap();
            model
        }
    };
    let numbers = |epoch: &Epoch| (epoch.loss, epoch.val_loss.unwrap());
    let all = [&part_1.epochs, &model.history().epochs];
    all.into_iter().flatten().map(numbers).collect()
}

#[test]
fn a_lesson_that_is_killed_at_any_time_ends_with_the_same_numbers() {
    // More of them: EVCXR_TRANSFER_KILLS=100 cargo test --test library saving::a_lesson
    let kills = std::env::var("EVCXR_TRANSFER_KILLS").map_or(3, |kills| kills.parse().unwrap());
    let whole = tempfile::tempdir().unwrap();
    let began = std::time::Instant::now();
    let expected = lesson(whole.path());
    let long = began.elapsed();
    assert_eq!(expected.len(), 12);
    let test = "the_lesson_runs_on_from_its_last_checkpoint";
    let (mut killed, mut round) = (0, 0_u32);
    while killed < kills {
        let folder = tempfile::tempdir().unwrap();
        // Each round some kills, spread over a run's length by the golden ratio.
        for _ in 0..4 {
            let share = (f64::from(round) * 0.618_034).fract();
            round += 1;
            let mut part = part(test, folder.path(), "");
            std::thread::sleep(long.mul_f64(share) + Duration::from_millis(50));
            if part.try_wait().unwrap().is_none() {
                part.kill().unwrap();
                part.wait().unwrap();
                killed += 1;
            } else {
                assert_ends_well(part);
            }
        }
        assert_eq!(lesson(folder.path()), expected, "after {killed} kills");
    }
    println!("{killed} kills in {round} starts");
}
