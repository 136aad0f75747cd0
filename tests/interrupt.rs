//! An interrupted cell ends the work in it, however that was made.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::process::Command;

use evcxr_transfer::{
    Base, Classifier, Device, Error, Features, Fit, Head, Precision, Progress, Stop, Weights,
    ndarray::Array4, train_head,
};

/// Set in the child only, so that the kernel's own variable does not make the test skip its parent.
const CHILD: &str = "EVCXR_TRANSFER_TEST_CHILD";
/// The file by which the kernel interrupts a cell.
const STOP: &str = "EVCXR_TRANSFER_STOP";

/// Runs one test of this file again in a process of its own, in which the stop file is known from the
/// start: variables are read when a flag is made, and other tests of this process must not hear it.
fn in_a_child(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs([
            (CHILD, "yes".as_ref()),
            (STOP, folder.path().join("stop").as_os_str()),
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

fn features() -> Features {
    let values = Array4::from_shape_fn((8, 1, 1, 512), |(n, _, _, c)| ((n + c) % 7) as f32);
    Features::from_array(&values, &[0, 1, 0, 1, 0, 1, 0, 1], &["cats", "dogs"]).unwrap()
}

#[test]
fn an_interrupt_reaches_work_that_no_lab_made() {
    let Some(file) = std::env::var_os(STOP).filter(|_| std::env::var_os(CHILD).is_some()) else {
        return in_a_child("an_interrupt_reaches_work_that_no_lab_made");
    };
    // Everything is made before the reader interrupts.
    let folder = tempfile::tempdir().unwrap();
    let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    let data = evcxr_transfer::Data::open("data/samples").unwrap();
    let features = features();
    let path = folder.path().join("model.safetensors");
    let model = Classifier::new(&base, Head::dense(2), data.train.classes()).unwrap();
    model.save(&path).unwrap();
    let loaded = Classifier::load(&path, Device::Cpu).unwrap();
    let (fit, own) = (Fit::default().epochs(3), Stop::new());

    std::fs::write(&file, b"").unwrap();
    let (_, history) = train_head(&features, &features, &fit).unwrap();
    assert_eq!(history.epochs.len(), 0, "Fit::default() is deaf");
    let error = base.extract_features(&data.train).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    let error = loaded.evaluate(&data.validation).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    let quiet = fit.progress(Progress::quiet());
    let (_, history) = train_head(&features, &features, &quiet).unwrap();
    assert_eq!(history.epochs.len(), 0, "Progress::quiet() is deaf");
    assert!(own.is_requested() && Stop::default().is_requested());

    // Whoever names another file is not meant.
    assert!(!Stop::file(folder.path().join("other")).is_requested());
    std::fs::remove_file(&file).unwrap();
    assert!(!own.is_requested());
}
