//! Weight files of every kind: the same seeded VGG weights, written by Keras, PyTorch, safetensors
//! and (the official layout) h5py, come back bit for bit; and what is said about all other files.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use evcxr_transfer::tch::Kind;
use evcxr_transfer::{
    Architecture, Base, Classifier, Device, Error, Features, Fit, Head, HeadModel, LayerWeights,
    Normalization, Photo, Precision, Progress, Scaling, Tensor, Weights, ndarray,
};
use safetensors::tensor::{Dtype, TensorView};

const SEED: u64 = 7; // of tests/references/weights.py

/// Has the reference program write the files `names` for `architecture` into a new folder.
fn written(names: &[&str], options: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let names = names.join(",");
    let mut arguments = vec![folder.path(), Path::new("--only"), Path::new(&names)];
    arguments.extend(options.iter().map(Path::new));
    crate::common::python("weights.py", &arguments);
    folder
}

/// The base without its top. Kernels do not depend on the size of the pictures; 32 is the least.
fn base(weights: &Weights) -> Result<Base, Error> {
    Base::vgg16(32, weights, Device::Cpu, Precision::F32)
}

fn assert_equal(found: &LayerWeights, expected: &LayerWeights, stored_as: Kind, what: &str) {
    for part in ["kernel", "bias"] {
        let [found, expected] = [found, expected].map(|weights| weights.array(part).unwrap());
        assert_eq!(found.shape(), expected.shape(), "{what} {part}");
        let [found, expected] = [found, expected].map(|array| Tensor::try_from(array).unwrap());
        // Rounding to a shorter format is PyTorch's and NumPy's; the way back to f32 is exact.
        let expected = expected.to_kind(stored_as).to_kind(Kind::Float);
        let [found, expected] = [found, expected].map(|values| values.view_dtype(Kind::Int));
        assert!(found.equal(&expected), "{what} {part} differs");
    }
}

/// That of [`SEED`], which files are compared with.
fn seeded() -> Base {
    base(&Weights::seeded(SEED)).unwrap()
}

fn assert_base_is(seeded: &Base, base: &Base, stored_as: Kind, what: &str) {
    let mut compared = 0;
    for layer in seeded.layers() {
        if !layer.has_weights() {
            continue;
        }
        let found = base.layer_weights(&layer.name).unwrap();
        let expected = seeded.layer_weights(&layer.name).unwrap();
        assert_equal(
            &found,
            &expected,
            stored_as,
            &format!("{what}: {}", layer.name),
        );
        compared += 1;
    }
    assert_eq!(compared, 13);
}

#[test]
fn every_kind_of_file_gives_the_same_weights_bit_for_bit() {
    let files = [
        ("official.h5", "Keras .h5", Kind::Float),
        ("official_variable_length.h5", "Keras .h5", Kind::Float),
        ("official_compressed.h5", "Keras .h5", Kind::Float),
        ("official_big_endian.h5", "Keras .h5", Kind::Float),
        ("official_f16.h5", "Keras .h5", Kind::Half),
        ("official_f64.h5", "Keras .h5", Kind::Double),
        ("legacy.h5", "Keras .h5", Kind::Float),
        ("legacy_renamed.h5", "Keras .h5", Kind::Float),
        ("legacy_whole.h5", "Keras .h5", Kind::Float),
        ("nested.h5", "Keras .h5", Kind::Float),
        ("keras3.weights.h5", "Keras 3 .weights.h5", Kind::Float),
        (
            "keras3_renamed.weights.h5",
            "Keras 3 .weights.h5",
            Kind::Float,
        ),
        ("nested.weights.h5", "Keras 3 .weights.h5", Kind::Float),
        (
            "keras_slash.safetensors",
            "safetensors with Keras' names",
            Kind::Float,
        ),
        (
            "keras_dot.safetensors",
            "safetensors with Keras' names",
            Kind::Float,
        ),
        (
            "torchvision.safetensors",
            "safetensors with torchvision's names",
            Kind::Float,
        ),
        (
            "torchvision_bf16.safetensors",
            "safetensors with torchvision's names",
            Kind::BFloat16,
        ),
        (
            "torchvision.ot",
            "tch .ot with torchvision's names",
            Kind::Float,
        ),
        (
            "timm.safetensors",
            "safetensors with torchvision's names",
            Kind::Float,
        ),
        (
            "prefixed.safetensors",
            "safetensors with torchvision's names",
            Kind::Float,
        ),
        (
            "features_alone.safetensors",
            "safetensors with torchvision's names",
            Kind::Float,
        ),
        (
            "batch_normalised_head.safetensors",
            "safetensors with torchvision's names",
            Kind::Float,
        ),
    ];
    let folder = written(&files.map(|(name, ..)| name), &[]);
    let seeded = seeded();
    for (number, (name, kind, stored_as)) in files.into_iter().enumerate() {
        // Under a name that says nothing: the content decides.
        let plain = folder.path().join(format!("file{number}"));
        std::fs::rename(folder.path().join(name), &plain).unwrap();
        let weights = Weights::load(&plain).unwrap_or_else(|error| panic!("{name}: {error}"));
        let words = format!("({kind}, ");
        assert!(weights.to_string().contains(&words), "{name}: {weights}");
        let scaling = match kind.contains("torchvision") {
            true => Scaling::Torch,
            false => Scaling::Caffe,
        };
        assert_eq!(weights.own_scaling(Architecture::Vgg16), scaling, "{name}");
        let base = base(&weights).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_base_is(&seeded, &base, stored_as, name);
    }
}

#[test]
fn a_file_of_several_parts_is_read_with_all_others() {
    let [first, second] = [1, 2].map(|number| format!("model-0000{number}-of-00002.safetensors"));
    let folder = written(&[&first], &[]);
    for part in [&first, &second] {
        let base = base(&Weights::load(folder.path().join(part)).unwrap()).unwrap();
        assert_base_is(&seeded(), &base, Kind::Float, part);
    }
    std::fs::remove_file(folder.path().join(&first)).unwrap();
    let error = Weights::load(folder.path().join(&second)).unwrap_err();
    assert!(error.to_string().contains(&first), "{error}");
}

#[test]
fn an_archive_saved_by_tch_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg16.ot");
    let seeded = seeded();
    // Where torchvision's VGG16 has its convolutions; ReLU and pooling take the other numbers.
    let numbers = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
    let mut named = Vec::new();
    let with_weights = seeded.layers().iter().filter(|layer| layer.has_weights());
    for (layer, number) in with_weights.zip(numbers) {
        let weights = seeded.layer_weights(&layer.name).unwrap();
        let tensor = |name| Tensor::try_from(weights.array(name).unwrap()).unwrap();
        let kernel = tensor("kernel").permute([3, 2, 0, 1]).contiguous();
        named.push((format!("features.{number}.weight"), kernel));
        named.push((format!("features.{number}.bias"), tensor("bias")));
    }
    Tensor::save_multi(&named, &path).unwrap();
    let weights = Weights::load(&path).unwrap();
    assert!(weights.to_string().contains("(tch .ot"), "{weights}");
    let found = base(&weights).unwrap();
    assert_base_is(&seeded, &found, Kind::Float, "saved by tch");
}

#[test]
fn the_top_is_read_from_keras_and_torchvision_alike() {
    let names = ["official.h5", "torchvision.safetensors", "timm.safetensors"];
    let folder = written(&names, &["--with-top"]);
    let load = |weights: &Weights| {
        Base::with_top(Architecture::Vgg16, weights, Device::Cpu, Precision::F32).unwrap()
    };
    let seeded = load(&Weights::seeded(SEED));
    for name in names {
        let found = load(&Weights::load(folder.path().join(name)).unwrap());
        // torchvision flattens (C, H, W) in front of fc1, Keras (H, W, C): fc1 is the one that tells.
        for layer in ["block1_conv1", "fc1", "fc2", "predictions"] {
            let expected = seeded.layer_weights(layer).unwrap();
            let found = found.layer_weights(layer).unwrap();
            assert_equal(&found, &expected, Kind::Float, &format!("{name}: {layer}"));
        }
    }
}

/// The text of the error that the file gives, at loading or when a VGG16 is made of it.
fn refusal(path: &Path) -> String {
    match Weights::load(path).and_then(|weights| base(&weights)) {
        Ok(_) => panic!("{} is accepted", path.display()),
        Err(error) => error.to_string(),
    }
}

fn assert_says(path: &Path, words: &[&str]) {
    let text = refusal(path);
    assert!(text.contains(&path.display().to_string()), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
}

#[test]
fn files_of_other_kinds_are_refused_with_the_way_out() {
    let names = [
        "torchvision.pth",
        "torchvision_old.pth",
        "whole_model.keras",
    ];
    let folder = written(&names, &[]);
    assert_says(&folder.path().join(names[0]), &["cargo lab convert"]);
    assert_says(&folder.path().join(names[1]), &["cargo lab convert"]);
    assert_says(&folder.path().join(names[2]), &[".keras", "save_weights"]);

    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 58889256\n";
    assert_says(&write("pointer.h5", pointer), &["Git LFS", "git lfs pull"]);
    let page = b"\n<!DOCTYPE html><html><body>Not found</body></html>";
    assert_says(&write("page.h5", page), &["web page", "again"]);
    assert_says(&write("empty.h5", b""), &["empty"]);
    assert_says(
        &write("notes.h5", b"these are my notes"),
        &["not a weight file"],
    );
    assert!(matches!(
        Weights::load(folder.path().join("missing.h5")),
        Err(Error::File { .. })
    ));
    assert!(Weights::load(folder.path()).is_err(), "a folder is no file");
}

#[test]
fn files_cut_short_anywhere_are_refused() {
    let names = [
        "official.h5",
        "keras3.weights.h5",
        "torchvision.safetensors",
        "torchvision.ot",
    ];
    let folder = written(&names, &[]);
    for name in names {
        let path = folder.path().join(name);
        let length = std::fs::metadata(&path).unwrap().len();
        // From the end on, so that the same file can be cut again and again.
        for kept in [length - 1, length / 2, length / 20, 4000, 100, 10] {
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(kept).unwrap();
            let text = refusal(&path);
            assert!(text.contains(name), "{name} cut to {kept}: {text}");
        }
    }
}

#[test]
fn a_bias_of_one_value_is_not_spread_over_the_layer() {
    let (kernel, bias) = (vec![0u8; 64 * 3 * 3 * 3 * 4], vec![0u8; 4]);
    let view = |shape: &[usize], bytes| TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
    let tensors = HashMap::from([
        ("features.0.weight", view(&[64, 3, 3, 3], &kernel)),
        ("features.0.bias", view(&[1], &bias)),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narrow.safetensors");
    safetensors::serialize_to_file(tensors, None, &path).unwrap();
    match base(&Weights::load(&path).unwrap()) {
        Err(Error::LayerShape {
            layer,
            expected,
            found,
            ..
        }) => {
            assert_eq!(layer, "block1_conv1 bias");
            assert_eq!((expected, found), (vec![64], vec![1]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn weights_of_another_architecture_are_refused() {
    let names = [
        "official.h5",
        "torchvision.safetensors",
        "keras3_renamed.weights.h5",
    ];
    let folder = written(&names, &["--arch", "vgg19"]);
    for name in names {
        let path = folder.path().join(name);
        assert_says(&path, &["another architecture"]);
        let weights = Weights::load(&path).unwrap();
        Base::vgg19(32, &weights, Device::Cpu, Precision::F32)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_file_without_its_top_is_named_when_the_top_is_asked_for() {
    let folder = written(&["official.h5"], &[]);
    let weights = Weights::load(folder.path().join("official.h5")).unwrap();
    let result = Base::with_top(Architecture::Vgg16, &weights, Device::Cpu, Precision::F32);
    let text = result.unwrap_err().to_string();
    assert!(text.contains("fc1") && text.contains("top"), "{text}");
}

#[test]
fn groups_that_lead_back_to_themselves_are_refused() {
    let folder = written(&["cyclic.weights.h5"], &[]);
    assert_says(&folder.path().join("cyclic.weights.h5"), &["damaged"]);
}

/// A saved classifier, with a base that has other pixels than torchvision's.
fn saved_classifier(folder: &Path) -> (Classifier, std::path::PathBuf) {
    let base = base(&Weights::seeded(SEED)).unwrap();
    let base = base.scaling(Scaling::Caffe);
    let classifier = Classifier::new(&base, Head::dense(4), &["cats", "dogs"]).unwrap();
    let path = folder.join("model.safetensors");
    classifier.save(&path).unwrap();
    (classifier, path)
}

#[test]
fn a_saved_classifier_keeps_the_scaling_that_it_learned_with() {
    let folder = tempfile::tempdir().unwrap();
    let (classifier, path) = saved_classifier(folder.path());
    let weights = Weights::load(&path).unwrap();
    assert_eq!(weights.own_scaling(Architecture::Vgg16), Scaling::Unit);
    let text = weights.to_string();
    assert!(
        text.contains("the base of a saved classifier, 13 layers"),
        "{text}"
    );
    let found = base(&weights).unwrap();
    assert_base_is(&seeded(), &found, Kind::Float, "a saved classifier");
    // The line about pixels, and that the weights are not real.
    let summary = found.summary().to_string();
    let own = classifier.base().summary().to_string();
    for start in ["Pixels: ", "Note: "] {
        let line = |text: &str| {
            text.lines()
                .find(|line| line.starts_with(start))
                .map(String::from)
        };
        assert!(line(&own).is_some(), "{own}");
        assert_eq!(line(&summary), line(&own));
    }
    let vgg19 = Base::vgg19(32, &weights, Device::Cpu, Precision::F32);
    assert!(matches!(vgg19, Err(Error::LayerShape { .. })), "{vgg19:?}");
}

#[test]
fn a_scaling_that_is_told_in_full_goes_with_the_weights_and_their_models() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let told = Normalization::new([0.48, 0.46, 0.41], [0.27, 0.26, 0.28]).unwrap();
    let told = told.bgr();
    let weights = Weights::seeded(SEED).trained_on(told);
    let base = base(&weights).unwrap();
    let words =
        "Pixels: as BGR less the mean 0.48, 0.46, 0.41, over the deviation 0.27, 0.26, 0.28";
    let has_words = |text: &str| text.lines().any(|line| line == words);
    assert!(has_words(&base.summary().to_string()), "{}", base.summary());
    let classifier = Classifier::new(&base, Head::dense(4), &["cats", "dogs"]).unwrap();
    classifier.save(&path).unwrap();
    let loaded = Classifier::load(&path, Device::Cpu).unwrap();
    assert!(has_words(&loaded.base().summary().to_string()));
    let picture = crate::common::repository("data/samples/train/cats/cat.0.jpg");
    let shares = |model: &Classifier| model.predict(&picture).unwrap().probabilities();
    assert_eq!(shares(&loaded), shares(&classifier));
    // Weights from that file say so too, and the pixels do matter.
    let again = Weights::load(&path).unwrap();
    assert_eq!(again.own_scaling(Architecture::Vgg16), told.into());
    let plain = self::base(&Weights::seeded(SEED)).unwrap();
    let pixels = Photo::open(&picture).unwrap();
    let maps = |base: &Base| base.feature_maps(&pixels, "block1_conv1").unwrap().array();
    assert_eq!(maps(&self::base(&again).unwrap()), maps(&base));
    assert_ne!(maps(&plain), maps(&base));
}

#[test]
fn what_has_no_network_in_it_says_what_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let values = ndarray::Array4::<f32>::zeros((2, 1, 1, 3));
    let features = Features::from_array(&values, &[0, 1], &["cats", "dogs"]).unwrap();
    let path = folder.path().join("features.safetensors");
    features.save(&path).unwrap();
    assert_says(&path, &["features", "`Features::load"]);
    let path = folder.path().join("head.safetensors");
    Head::dense(4)
        .build(&features, 0)
        .unwrap()
        .save(&path)
        .unwrap();
    assert_says(&path, &["a head", "`HeadModel::load"]);
    let (_, whole) = saved_classifier(folder.path());
    // One that does not say how its base wants its pixels.
    let bytes = std::fs::read(whole).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let metadata = HashMap::from([("kind".to_owned(), "classifier".to_owned())]);
    let path = folder.path().join("bare.safetensors");
    safetensors::serialize_to_file(stored.iter(), Some(metadata), &path).unwrap();
    assert_says(&path, &["pixels", "`Classifier::load"]);
}

#[test]
fn a_tensor_claims_no_more_than_its_file_can_hold() {
    let names = ["claims.h5", "claims_in_chunks.h5", "claims_often.h5"];
    let folder = written(&names, &[]);
    for name in names {
        assert_says(&folder.path().join(name), &["damaged", "claims"]);
    }
}

#[test]
fn a_file_of_terabytes_is_refused_for_want_of_memory() {
    let name = "claims_much.h5";
    let folder = written(&[name], &[]);
    let path = folder.path().join(name);
    // Nothing of it is on the disk, but the file is as long as it claims.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(1 << 43).unwrap();
    assert_says(&path, &["memory for block1_conv1", "GB", "Close other"]);
}

#[test]
fn a_pytorch_file_is_not_converted_with_a_changed_byte_or_without_room() {
    let folder = written(&["torchvision.pth"], &[]);
    let [source, target] =
        ["torchvision.pth", "converted.safetensors"].map(|name| folder.path().join(name));
    let convert = |limits: &str| {
        Command::new("sh")
            .args(["-c", &format!("{limits} exec \"$0\" \"$@\"")])
            .arg(crate::common::repository(".venv/bin/python"))
            .arg(crate::common::repository("tools/lab/convert.py"))
            .args([&source, &target])
            .output()
            .unwrap()
    };
    assert!(convert("").status.success());
    let converted = base(&Weights::load(&target).unwrap()).unwrap();
    assert_base_is(&seeded(), &converted, Kind::Float, "converted");
    // A disk that is full: no file may be longer than a block, and the shell's signal for it says nothing.
    let output = convert("trap '' XFSZ; ulimit -f 1;");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && text.contains("has room"),
        "{text}"
    );
    let names = std::fs::read_dir(folder.path()).unwrap();
    let names = names.map(|file| file.unwrap().file_name());
    assert!(
        !names
            .into_iter()
            .any(|name| name.to_string_lossy().ends_with(".part"))
    );
    assert!(target.exists(), "what was there is still there");
    std::fs::remove_file(&target).unwrap();
    // Numbers lie in the middle. `torch.load` reads them as they are, whatever the archive's checksums say.
    let mut bytes = std::fs::read(&source).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&source, bytes).unwrap();
    let output = convert("");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && text.contains("checksum"),
        "{text}"
    );
    assert!(!target.exists());
}

/// Found by damaging archives for three minutes: libtorch read behind the end of such a part.
#[test]
fn an_archive_with_a_part_that_is_shorter_than_its_tensor_is_refused() {
    let folder = written(&["torchvision.ot"], &[]);
    let path = folder.path().join("torchvision.ot");
    let mut bytes = std::fs::read(&path).unwrap();
    // An entry of the central directory: mark, 12 bytes, then checksum and both lengths; its name begins at byte 46
    // (PKWARE's APPNOTE, 4.3.12). A part of no bytes has the checksum 0.
    let places = 0..bytes.len() - 46;
    let is_entry = |&place: &usize| {
        let name = &bytes[place + 46..bytes.len().min(place + 90)];
        bytes[place..].starts_with(b"PK\x01\x02") && name.windows(7).any(|some| some == b"/data/3")
    };
    let entry = places.clone().find(is_entry).unwrap();
    bytes[entry + 16..entry + 28].fill(0);
    std::fs::write(&path, bytes).unwrap();
    assert_says(&path, &["damaged", "shorter than the tensors"]);
}

// Hours of a reader who was not told: github.com/tensorflow/tfjs/issues/5373.
#[test]
fn weights_that_are_no_finite_numbers_are_named_by_layer_and_count() {
    let folder = written(
        &["not_finite.safetensors", "not_finite.ot", "not_finite.h5"],
        &[],
    );
    for (name, words) in [
        (
            "not_finite.safetensors",
            &["features.5 kernel has 2 values (of 73728)"][..],
        ),
        (
            "not_finite.ot",
            &["features.5 kernel has 2 values (of 73728)"],
        ),
        (
            "not_finite.h5",
            &["block3_conv1 kernel has 294912 values (of 294912)"],
        ),
    ] {
        assert_says(&folder.path().join(name), words);
    }
    // What this crate has saved: the base of a classifier, its head, a head alone, features.
    let (_, path) = saved_classifier(folder.path());
    let spoiled = |path: &Path, name: &str, value: f32| {
        let mut bytes = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let begin = file.tensor(name).unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize;
        bytes[begin..begin + 4].copy_from_slice(&value.to_le_bytes());
        let path = folder.path().join("spoilt.safetensors");
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let spoilt = |name: &str, value: f32| {
        let loaded = Classifier::load(spoiled(&path, name, value), Device::Cpu);
        loaded.unwrap_err().to_string()
    };
    for (name, words) in [
        (
            "features.0.weight",
            "features.0 weight has 1 value (of 1728) that is no finite",
        ),
        ("dense.bias", "dense bias has 1 value (of 4)"),
    ] {
        for value in [f32::NAN, f32::NEG_INFINITY] {
            let error = spoilt(name, value);
            assert!(error.contains(words), "{error}");
        }
    }
    let values = ndarray::Array4::<f32>::zeros((2, 1, 1, 8));
    let features = Features::from_array(&values, &[0, 1], &["cats", "dogs"]).unwrap();
    let head = Head::dense(4).build(&features, 0).unwrap();
    let [of_head, of_features] =
        ["head.safetensors", "features.safetensors"].map(|name| folder.path().join(name));
    head.save(&of_head).unwrap();
    features.save(&of_features).unwrap();
    let error = HeadModel::load(spoiled(&of_head, "dense.bias", f32::NAN), Device::Cpu);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("dense bias has 1 value (of 4)"), "{error}");
    let error = Features::load(spoiled(&of_features, "features", f32::NAN), Device::Cpu);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("1 value (of 16)"), "{error}");
    // What a run with early stopping would go back to.
    let run = folder.path().join("run.safetensors");
    let fit = Fit::default().epochs(2).early_stopping(1).checkpoint(&run);
    let mut head = head;
    head.fit(&features, &features, &fit.progress(Progress::quiet()))
        .unwrap();
    let error = HeadModel::load(spoiled(&run, "best.dense.bias", f32::NAN), Device::Cpu);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("best.dense.bias has 1 value (of 4)"),
        "{error}"
    );
}
