//! Pictures read from the disk in each epoch: the same numbers, errors that name the file, a stop that is heard.

use std::path::Path;
use std::time::Duration;

use evcxr_transfer::{
    Augment, Base, Classifier, Data, Device, Error, Fit, Head, History, Precision, Progress, Stop,
    Weights,
};

const SIZE: usize = 32;

fn model(data: &Data) -> Classifier {
    let base = Base::vgg16(SIZE, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    let base = base.progress(Progress::quiet());
    Classifier::new(&base, Head::dense(8), data.train.classes()).unwrap()
}

fn fit() -> Fit {
    Fit::default()
        .epochs(3)
        .batch_size(5)
        .learning_rate(1e-4)
        .progress(Progress::quiet())
}

/// Everything of a history that does not depend on the clock, to the bit.
fn numbers(history: &History) -> Vec<[Option<u64>; 4]> {
    let epochs = history.epochs.iter();
    let numbers = epochs.map(|e| [Some(e.loss), Some(e.accuracy), e.val_loss, e.val_accuracy]);
    numbers
        .map(|epoch| epoch.map(|value| value.map(f64::to_bits)))
        .collect()
}

/// A folder of its own with drawn pictures: 6 to learn from, 4 to validate on.
fn pictures(folder: &Path) -> Data {
    for part in ["train", "validation"] {
        for class in ["cats", "dogs"] {
            let from = crate::common::repository("data/samples")
                .join(part)
                .join(class);
            let to = folder.join(part).join(class);
            std::fs::create_dir_all(&to).unwrap();
            let mut files: Vec<_> = from
                .read_dir()
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            files.sort();
            for file in &files[..if part == "train" { 3 } else { 2 }] {
                std::fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    Data::open(folder).unwrap()
}

#[test]
fn a_stream_learns_the_same_numbers_to_the_bit() {
    let data = Data::open(crate::common::repository("data/samples"))
        .unwrap()
        .take(12, 6);
    let augment = Augment::lesson().brightness(0.8, 1.2);
    let run = |cache: bool| {
        let fit = fit().cache(cache);
        let mut model = model(&data);
        let frozen = model.train_frozen(&data, &augment, &fit).unwrap();
        // A pass that ends in the middle of an epoch, too.
        let odd = fit.clone().steps_per_epoch(2);
        let tuned = model
            .fine_tune("block5_conv1", &data, &augment, &odd)
            .unwrap();
        let whole = model
            .fine_tune("block1_conv1", &data, &Augment::none(), &fit)
            .unwrap();
        [frozen, tuned, whole].map(|history| numbers(&history))
    };
    let kept = run(true);
    assert_eq!(kept, run(false));
    assert_eq!(kept.map(|epochs| epochs.len()), [3, 3, 3]);
    assert!(fit().cache(false).table().to_string().contains("cache"));
}

#[test]
fn a_picture_that_fails_in_the_middle_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path());
    let damaged = data.train.files()[4].clone();
    let augment = Augment::lesson();
    let fit = fit().cache(false).batch_size(1);
    let whole = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, "no picture").unwrap();
    match model(&data).train_frozen(&data, &augment, &fit) {
        Err(Error::Picture { path, .. }) => assert_eq!(path, damaged),
        other => panic!("{other:?}"),
    }
    // In a later epoch than the first it is the run's ending, and the epochs before stay.
    std::fs::write(&damaged, &whole).unwrap();
    let mut learned = model(&data);
    let first = fit.clone().epochs(1);
    learned.train_frozen(&data, &augment, &first).unwrap();
    let watched = folder.path().join("run.safetensors");
    let fit = fit.epochs(1_000).checkpoint(&watched);
    let spoiler = std::thread::spawn({
        let (watched, damaged) = (watched.clone(), damaged.clone());
        move || {
            // Written after the first epoch.
            while !watched.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::fs::write(damaged, "no picture").unwrap();
        }
    });
    let history = learned.train_frozen(&data, &augment, &fit).unwrap();
    spoiler.join().unwrap();
    let ending = history.ending().unwrap();
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(
        ending.contains(name) && !history.epochs.is_empty(),
        "{ending}"
    );
}

#[test]
fn a_stop_is_heard_while_pictures_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path());
    let stop = Stop::new();
    let fit = fit().cache(false).epochs(1_000_000).stop(&stop);
    let asker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        stop.request();
    });
    let history = model(&data)
        .train_frozen(&data, &Augment::lesson(), &fit)
        .unwrap();
    asker.join().unwrap();
    assert!(
        history.ending().unwrap().starts_with("stopped"),
        "{history}"
    );
}
