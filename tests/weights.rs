//! Weight files of every kind, as Keras, PyTorch and safetensors write them, read back bit for bit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;

use evcxr_transfer::{
    Base, Device, Error, LayerWeights, Precision, Scaling, Tensor, Weights, WeightsKind,
};

/// The seed that tests/references/weights.py takes.
const SEED: u64 = 7;

fn vgg16(weights: &Weights) -> Result<Base, Error> {
    Base::vgg16(32, weights, Device::Cpu, Precision::F32)
}

/// The largest difference of any weight of any layer.
fn largest_difference(one: &Base, other: &Base) -> f64 {
    let difference = |a: &Tensor, b: &Tensor| {
        assert_eq!(a.size(), b.size());
        assert_eq!(a.kind(), tch::Kind::Float);
        (a - b).abs().max().double_value(&[])
    };
    let mut largest = 0f64;
    for layer in one
        .layers()
        .iter()
        .filter(|layer| !layer.kernel_shape.is_empty())
    {
        let LayerWeights { kernel, bias } = one.layer_weights(&layer.name).unwrap();
        let expected = other.layer_weights(&layer.name).unwrap();
        largest = largest.max(difference(&kernel, &expected.kernel));
        largest = largest.max(difference(&bias, &expected.bias));
    }
    largest
}

#[test]
fn every_kind_of_file_gives_the_weights_that_were_written() {
    let folder = tempfile::tempdir().unwrap();
    common::python("weights.py", &[folder.path()]);
    let expected = vgg16(&Weights::seeded(SEED)).unwrap();
    use WeightsKind::*;
    // Kernels stay within 0.48 (fan-in 27). From 0.25 to 0.5 half precision (11 significant bits)
    // has steps of 2^-12 and bfloat16 (8 bits) of 2^-9; rounding moves a value by half a step.
    let (exact, half, brain) = (0.0, 0.5f64.powi(13), 0.5f64.powi(10));
    let kinds = [
        ("official.h5", KerasH5, exact),
        ("official_variable_length.h5", KerasH5, exact),
        ("official_compressed.h5", KerasH5, exact),
        ("official_big_endian.h5", KerasH5, exact),
        ("official_f64.h5", KerasH5, exact),
        ("official_f16.h5", KerasH5, half),
        ("legacy.h5", KerasH5, exact),
        ("legacy_renamed.h5", KerasH5, exact),
        ("legacy_whole.h5", KerasH5, exact),
        ("nested.h5", KerasH5, exact),
        ("keras3.weights.h5", Keras3H5, exact),
        ("keras3_renamed.weights.h5", Keras3H5, exact),
        ("nested.weights.h5", Keras3H5, exact),
        ("torchvision.safetensors", TorchSafetensors, exact),
        ("torchvision_bf16.safetensors", TorchSafetensors, brain),
        ("torchvision.ot", TorchOt, exact),
        ("keras_slash.safetensors", KerasSafetensors, exact),
        ("keras_dot.safetensors", KerasSafetensors, exact),
    ];
    for (name, kind, tolerance) in kinds {
        let path = folder.path().join(name);
        let weights = Weights::load(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(weights.kind(), kind, "{name}");
        let own = if matches!(kind, TorchSafetensors | TorchOt) {
            Scaling::Torch
        } else {
            Scaling::Caffe
        };
        assert_eq!(weights.own_scaling(), own, "{name}");
        let base = vgg16(&weights).unwrap_or_else(|error| panic!("{name}: {error}"));
        let difference = largest_difference(&base, &expected);
        assert!(difference <= tolerance, "{name}: differs by {difference}");
    }

    for (name, word) in [
        ("torchvision.pth", "cargo lab convert"),
        ("torchvision_old.pth", "cargo lab convert"),
        ("whole_model.keras", "save_weights"),
    ] {
        let text = Weights::load(folder.path().join(name))
            .unwrap_err()
            .to_string();
        assert!(text.contains(word) && text.contains(name), "{text}");
    }

    // The name of a file says nothing: content decides.
    let renamed = folder.path().join("weights.safetensors");
    std::fs::copy(folder.path().join("official.h5"), &renamed).unwrap();
    assert_eq!(Weights::load(&renamed).unwrap().kind(), KerasH5);

    damaged_copies_are_errors(folder.path());

    let weights = Weights::load(folder.path().join("official.h5")).unwrap();
    let top = Base::with_top(
        evcxr_transfer::Architecture::Vgg16,
        &weights,
        Device::Cpu,
        Precision::F32,
    );
    let text = top.unwrap_err().to_string();
    assert!(
        text.contains("fc1") && text.contains("without its top"),
        "{text}"
    );
    let text = Base::vgg19(32, &weights, Device::Cpu, Precision::F32)
        .unwrap_err()
        .to_string();
    assert!(text.contains("block3_conv4"), "{text}");
}

/// Cut at many places and with bytes changed, every kind is an error or sound weights, never a panic.
fn damaged_copies_are_errors(folder: &Path) {
    for name in [
        "official.h5",
        "keras3.weights.h5",
        "torchvision.safetensors",
        "torchvision.ot",
    ] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        let path = folder.join(format!("damaged_{name}"));
        for length in [0, 7, 8, 100, 600, 3000, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let result = Weights::load(&path).and_then(|weights| vgg16(&weights).map(|_| ()));
            let error = result.expect_err(&format!("{name} cut to {length} bytes"));
            assert!(error.to_string().contains("damaged_"), "{error}");
        }
        for start in (8..2000).step_by(67) {
            let mut changed = whole[..200_000.min(whole.len())].to_vec();
            changed[start..start + 4].fill(0xff);
            std::fs::write(&path, &changed).unwrap();
            // Most are errors; what matters is that the answer comes.
            let _ = Weights::load(&path);
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn the_whole_network_has_the_same_weights_from_keras_and_from_torchvision() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--with-top",
        "--only",
        "official.h5,torchvision.safetensors",
    ]
    .map(Path::new);
    let mut all = vec![folder.path()];
    all.extend(arguments);
    common::python("weights.py", &all);
    let load = |name: &str| {
        let weights = Weights::load(folder.path().join(name)).unwrap();
        let architecture = evcxr_transfer::Architecture::Vgg16;
        Base::with_top(architecture, &weights, Device::Cpu, Precision::F32).unwrap()
    };
    // fc1 reads (H, W, C) in one file and (C, H, W) in the other: equal only if that is mended.
    assert_eq!(
        largest_difference(&load("official.h5"), &load("torchvision.safetensors")),
        0.0
    );
}

#[test]
fn vgg19_is_read_and_refused_for_vgg16() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--arch",
        "vgg19",
        "--only",
        "official.h5,torchvision.safetensors",
    ]
    .map(Path::new);
    let mut all = vec![folder.path()];
    all.extend(arguments);
    common::python("weights.py", &all);
    let expected = Base::vgg19(32, &Weights::seeded(SEED), Device::Cpu, Precision::F32).unwrap();
    for name in ["official.h5", "torchvision.safetensors"] {
        let weights = Weights::load(folder.path().join(name)).unwrap();
        let base = Base::vgg19(32, &weights, Device::Cpu, Precision::F32).unwrap();
        assert_eq!(largest_difference(&base, &expected), 0.0, "{name}");
        let error = vgg16(&weights).unwrap_err();
        assert!(
            matches!(error, Error::Weights { .. } | Error::LayerShape { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_layer_of_the_wrong_shape_is_named_with_both_shapes() {
    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let (kernel, bias) = (vec![0u8; 3 * 3 * 3 * 8 * 4], vec![0u8; 4]);
    let tensors = [
        (
            "block1_conv1.kernel",
            TensorView::new(Dtype::F32, vec![3, 3, 3, 8], &kernel).unwrap(),
        ),
        (
            "block1_conv1.bias",
            TensorView::new(Dtype::F32, vec![1], &bias).unwrap(),
        ),
    ];
    serialize_to_file(tensors, None, &path).unwrap();
    let text = vgg16(&Weights::load(&path).unwrap())
        .unwrap_err()
        .to_string();
    for part in [
        "block1_conv1 kernel",
        "[3, 3, 3, 64]",
        "[3, 3, 3, 8]",
        "small.safetensors",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn files_that_are_no_weights_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, word) in [
        ("empty.h5", &b""[..], "empty"),
        (
            "pointer.h5",
            b"version https://git-lfs.github.com/spec/v1\n",
            "Git LFS",
        ),
        ("page.h5", b"\n<!DOCTYPE html><html>", "web page"),
        ("noise.h5", b"what is this", "not a weight file"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = Weights::load(&path).unwrap_err();
        assert!(matches!(error, Error::Weights { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(matches!(
        Weights::load(folder.path().join("absent.h5")),
        Err(Error::File { .. })
    ));
}
