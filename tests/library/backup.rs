//! A run that takes several sittings by itself: `fit.backup`.

use std::path::Path;
use std::time::Duration;

use evcxr_transfer::{
    Augment, Base, Classifier, Data, Device, Error, Features, Fit, Head, HeadModel, History,
    Optimizer, Precision, Progress, Stop, Weights,
};

/// What an epoch gave, but for its seconds.
type Numbers = Vec<(f64, f64, Option<f64>, Option<f64>)>;

fn numbers(history: &History) -> Numbers {
    let numbers = history.epochs.iter().map(|epoch| {
        (
            epoch.loss,
            epoch.accuracy,
            epoch.val_loss,
            epoch.val_accuracy,
        )
    });
    numbers.collect()
}

fn fit() -> Fit {
    Fit::default()
        .progress(Progress::quiet())
        .optimizer(Optimizer::adam())
        .learning_rate(1e-3)
        .batch_size(4)
}

fn base() -> Base {
    Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap()
}

fn data() -> Data {
    Data::open("data/samples").unwrap().take(8, 4)
}

fn model() -> Classifier {
    Classifier::new(&base(), Head::dense(8), data().train.classes()).unwrap()
}

fn refusal<T>(outcome: evcxr_transfer::Result<T>, words: &str) {
    let Err(error) = outcome else {
        panic!("{words}: not refused");
    };
    let said = error.to_string();
    assert!(matches!(error, Error::Mismatch { .. }), "{said}");
    assert!(said.contains(words), "{said}");
}

/// Both parts of the lesson, each with its file in `folder`: the model and what each part gave.
fn lesson(folder: &Path, epochs: usize) -> (Classifier, [Numbers; 2]) {
    let (mut model, data, augment) = (model(), data(), Augment::lesson());
    let first = fit().epochs(2).backup(folder.join("frozen.safetensors"));
    let first = model.train_frozen(&data, &augment, &first).unwrap();
    let second = fit().epochs(epochs).learning_rate(1e-4);
    let second = second.backup(folder.join("tuned.safetensors"));
    let second = model.fine_tune("block5_conv3", &data, &augment, &second);
    let parts = [numbers(&first), numbers(&second.unwrap())];
    (model, parts)
}

#[test]
fn a_lesson_in_three_sittings_gives_the_numbers_of_one() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (one_go, expected) = lesson(folders[0].path(), 3);
    let file = folders[1].path().join("tuned.safetensors");
    for epochs in [1, 2, 3] {
        let (model, parts) = lesson(folders[1].path(), epochs);
        assert_eq!(parts[0], expected[0]);
        assert_eq!(parts[1], expected[1][..epochs]);
        assert_eq!(numbers(&model.history()), parts.concat());
    }
    // Once more: it is over, and its file is not written again.
    let before = std::fs::read(&file).unwrap();
    let (model, parts) = lesson(folders[1].path(), 3);
    assert!(std::fs::read(&file).unwrap() == before, "it was written");
    assert_eq!(parts, expected);
    let [found, whole] = [&model, &one_go].map(|model| model.state_dict().unwrap());
    assert!(found == whole, "other weights");
    let learning = model.trainable_weights().len();
    assert_eq!(learning, 6, "two layers of the head, one of the base");
}

#[test]
fn another_call_is_refused_by_the_name_of_what_differs_and_the_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (data, none) = (data(), Augment::none());
    let fit = fit().epochs(1).backup(&path);
    model().train_frozen(&data, &none, &fit).unwrap();
    let file = std::fs::read(&path).unwrap();
    let faster = fit.clone().learning_rate(1e-2);
    refusal(
        model().train_frozen(&data, &none, &faster),
        "learning_rate of the run in",
    );
    let turned = model().train_frozen(&data, &Augment::lesson(), &fit);
    refusal(turned, "augmentation of the run in");
    let fewer = Data::open("data/samples").unwrap().take(6, 4);
    refusal(
        model().train_frozen(&fewer, &none, &fit),
        "training pictures",
    );
    let opened = model().fine_tune("block5_conv3", &data, &none, &fit);
    refusal(opened, "first layer that learns");
    let other = Base::vgg16(32, &Weights::seeded(1), Device::Cpu, Precision::F32).unwrap();
    let other = Classifier::new(&other, Head::dense(8), data.train.classes());
    refusal(
        other.unwrap().train_frozen(&data, &none, &fit),
        "base of the run in",
    );
    let other = Classifier::seeded(&base(), Head::dense(8), data.train.classes(), 1);
    let other = other.unwrap().train_frozen(&data, &none, &fit);
    refusal(other, "weights of the head of the run in");
    // A run of two epochs is not one of one.
    let longer = fit.clone().epochs(2);
    model().train_frozen(&data, &none, &longer).unwrap();
    let shorter = model().train_frozen(&data, &none, &fit).unwrap_err();
    assert!(shorter.to_string().contains("has 2 already"), "{shorter}");
    // A model that somebody has saved is no backup.
    std::fs::write(&path, &file).unwrap();
    let saved = folder.path().join("model.safetensors");
    model().save(&saved).unwrap();
    let (before, place) = (std::fs::read(&saved).unwrap(), fit.clone().backup(&saved));
    refusal(
        model().train_frozen(&data, &none, &place),
        "a model without one",
    );
    assert!(std::fs::read(&saved).unwrap() == before && std::fs::read(&path).unwrap() == file);
}

#[test]
fn a_stopped_run_goes_on_with_the_same_call_on_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let (data, none) = (data(), Augment::none());
    let run = |name: &str| fit().epochs(20).backup(folder.path().join(name));
    let mut one_go = model();
    let whole = one_go
        .train_frozen(&data, &none, &run("whole.safetensors"))
        .unwrap();
    let (mut model, stop) = (model(), Stop::new());
    let path = folder.path().join("cut.safetensors");
    let asker = std::thread::spawn({
        let (stop, path) = (stop.clone(), path.clone());
        move || {
            while !path.exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
            stop.request();
        }
    });
    let cut = run("cut.safetensors").stop(&stop);
    let part = model.train_frozen(&data, &none, &cut).unwrap();
    asker.join().unwrap();
    assert!(part.epochs.len() < 20, "not stopped");
    // On to the end, then once more, when it is over.
    for _ in 0..2 {
        let found = model
            .train_frozen(&data, &none, &run("cut.safetensors"))
            .unwrap();
        assert_eq!(numbers(&found), numbers(&whole));
        assert!(model.state_dict().unwrap() == one_go.state_dict().unwrap());
    }
}

#[test]
fn a_run_that_early_stopping_has_ended_is_over_with_its_best_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let features: Features = base().extract_features(&data().train).unwrap();
    let validation = base().extract_features(&data().validation).unwrap();
    let fit = fit()
        .learning_rate(0.05)
        .epochs(60)
        .early_stopping(2)
        .backup(&path);
    let train = || -> (HeadModel, History) {
        let mut head = Head::dense(8).build(&features, 0).unwrap();
        let history = head.fit(&features, &validation, &fit).unwrap();
        (head, history)
    };
    let ((first, history), (again, found)) = (train(), train());
    assert!(history.epochs.len() < 60, "it has not ended early");
    assert_eq!(numbers(&found), numbers(&history));
    assert_eq!(found.ending(), history.ending());
    assert!(first.state_dict().unwrap() == again.state_dict().unwrap());
    // Features of other pictures.
    let mut head = Head::dense(8).build(&features, 0).unwrap();
    refusal(head.fit(&validation, &features, &fit), "training pictures");
}

#[test]
fn a_folder_keeps_each_run_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (data, none) = (data(), Augment::none());
    let lab = evcxr_transfer::Lab::open().unwrap().samples();
    let lab = lab.backup(folder.path().join("runs"));
    assert!(lab.to_string().contains("runs"), "{lab}");
    let fit = Fit {
        progress: Progress::quiet(),
        ..lab.fit().epochs(1)
    };
    let files = || {
        std::fs::read_dir(folder.path().join("runs"))
            .unwrap()
            .count()
    };
    let train = |model: &mut Classifier, fit: &Fit| {
        let history = model.train_frozen(&data, &none, fit).unwrap();
        (numbers(&history), files())
    };
    let mut first = model();
    let (expected, count) = train(&mut first, &fit);
    assert_eq!(count, 1);
    // Other options are another run, the same call is the same one: on a new model, and on the one that has learned.
    assert_eq!(train(&mut model(), &fit.clone().learning_rate(1e-2)).1, 2);
    assert_eq!(train(&mut model(), &fit), (expected.clone(), 2));
    assert_eq!(train(&mut first, &fit), (expected.clone(), 2));
    let longer = train(&mut first, &fit.clone().epochs(2));
    assert_eq!(
        (&longer.0[..1], longer.0.len(), longer.1),
        (&expected[..], 2, 2)
    );
    // Another part on the same model.
    first.fine_tune("block5_conv3", &data, &none, &fit).unwrap();
    assert_eq!(files(), 3);
    let mut names = std::fs::read_dir(folder.path().join("runs")).unwrap();
    let is_tuned = |name: &str| name.starts_with("fine-tuning_from_block5_conv3_on_");
    assert!(names.any(|file| is_tuned(&file.unwrap().file_name().to_string_lossy())));
}
