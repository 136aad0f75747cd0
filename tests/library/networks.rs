//! Residual networks and InceptionV3: Keras' own files of them, what is refused, and the whole lesson on them.

use std::path::Path;

use evcxr_transfer::{
    Architecture, Augment, Base, Classifier, Data, Device, Error, Fit, GradCam, Head, History,
    LayerKind, Occlusion, Precision, Progress, Scaling, Tensor, Weights,
};

const SEED: u64 = 5;
const PICTURE: &str = "data/samples/train/dogs/dog.1.jpg";

/// The bytes that `network::fused_convolution` has in it, anew from their source.
#[test]
fn the_fused_convolutions_program_is_what_its_source_gives() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("fused_convolution.pt");
    let difference = crate::common::python("fused_convolution.py", &[&written]);
    assert_eq!(difference.trim(), "0.0", "from convolution, bias and ReLU");
    let committed = crate::common::repository("src/network/fused_convolution.pt");
    let read = |path: &Path| std::fs::read(path).unwrap();
    assert_eq!(read(&written), read(&committed));
}

fn base(network: Architecture, weights: &Weights) -> Result<Base, Error> {
    let size = if network == Architecture::InceptionV3 {
        75
    } else {
        32
    };
    let base = Base::without_top(network, size, weights, Device::Cpu, Precision::F32)?;
    Ok(base.progress(Progress::quiet()))
}

/// Files that Keras wrote with the seeded weights.
fn written(network: Architecture, files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (name, seed, files) = (network.to_string(), SEED.to_string(), files.join(","));
    let words = [&name, &seed, &files].map(Path::new);
    crate::common::python(
        "network_files.py",
        &[folder.path(), words[0], words[1], words[2]],
    );
    folder
}

/// Every weight, bit for bit.
fn assert_alike(found: &Base, expected: &Base, what: &str) {
    for layer in expected.layers().iter().filter(|layer| layer.has_weights()) {
        let [a, b] = [found, expected].map(|base| base.layer_weights(&layer.name).unwrap());
        let parts = match layer.kind {
            LayerKind::Conv2D => ["kernel", "bias"].as_slice(),
            _ => &["gamma", "beta", "moving_mean", "moving_variance"],
        };
        for part in parts {
            let [a, b] = [&a, &b].map(|weights| weights.array(part).ok());
            assert!(a == b, "{what}: {part} of {}", layer.name);
        }
    }
}

fn assert_read(network: Architecture, folder: &Path, files: &[&str]) {
    let expected = base(network, &Weights::seeded(SEED)).unwrap();
    // Under a name that says nothing: the content decides.
    let plain = folder.join("weights");
    for file in files {
        std::fs::copy(folder.join(file), &plain).unwrap();
        let weights = Weights::load(&plain).unwrap();
        let found = base(network, &weights).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_alike(&found, &expected, file);
    }
}

#[test]
fn keras_files_of_resnet50_are_read_and_fit_no_other_network() {
    let network = Architecture::ResNet50;
    let files = ["old.h5", "keras3.weights.h5", "nested.h5"];
    let folder = written(network, &files);
    assert_read(network, folder.path(), &files);
    let weights = Weights::load(folder.path().join("old.h5")).unwrap();
    assert_eq!(weights.own_scaling(network), Scaling::Caffe);
    let own = base(network, &weights).unwrap();
    let summary = own.summary().to_string();
    assert!(summary.contains("Pixels: as BGR less"), "{summary}");
    // ResNet101 lacks blocks in it; the others' layers are called or made otherwise.
    for other in [
        Architecture::ResNet101,
        Architecture::ResNet50V2,
        Architecture::InceptionV3,
        Architecture::Vgg16,
    ] {
        let error = base(other, &weights).unwrap_err();
        assert!(matches!(error, Error::Weights { .. }), "{other}: {error}");
    }
}

#[test]
fn keras_files_of_inception_v3_are_read_whatever_its_layers_are_called() {
    let network = Architecture::InceptionV3;
    let files = ["late.h5", "late.weights.h5"];
    assert_read(network, written(network, &files).path(), &files);
}

#[test]
fn keras_files_of_resnet50_v2_are_read() {
    let network = Architecture::ResNet50V2;
    assert_read(network, written(network, &["old.h5"]).path(), &["old.h5"]);
}

#[test]
fn torchvisions_weights_of_these_networks_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for (name, reason) in [
        ("layer1.0.conv1.weight", "second convolution"),
        ("Conv2d_1a_3x3.conv.weight", "zeros beyond the edge"),
    ] {
        Tensor::write_safetensors(
            &[(
                name,
                Tensor::zeros([4, 3, 3, 3], (tch::Kind::Float, Device::Cpu)),
            )],
            &path,
        )
        .unwrap();
        let error = Weights::load(&path).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn the_lesson_goes_on_every_family() {
    let data = Data::open(crate::common::repository("data/samples"))
        .unwrap()
        .take(4, 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let fit = Fit::default()
        .epochs(1)
        .batch_size(2)
        .progress(Progress::quiet());
    for (network, convolution, last) in [
        (Architecture::ResNet50, "conv1_conv", "conv5_block3_out"),
        (Architecture::ResNet50V2, "conv1_conv", "post_relu"),
        (Architecture::InceptionV3, "conv2d", "mixed10"),
    ] {
        let base = base(network, &Weights::seeded(1)).unwrap();
        let before = base.layers().iter().filter(|layer| layer.has_weights());
        let (model, history) = Classifier::transfer(&base, &data, &fit).unwrap();
        assert_eq!(history.epochs.len(), 2, "{network}: {history}");
        // What learned, and what must not have.
        let frozen = before.clone().next().unwrap();
        for layer in before {
            let [old, new] = [&base, model.base()].map(|b| b.layer_weights(&layer.name).unwrap());
            for part in ["moving_mean", "moving_variance"] {
                let [old, new] = [&old, &new].map(|weights| weights.array(part).ok());
                assert!(old == new, "{network}: {part} of {} moved", layer.name);
            }
        }
        let kept = |name: &str| base.layer_weights(name).unwrap().array("kernel").unwrap();
        let now = |name: &str| {
            let weights = model.base().layer_weights(name).unwrap();
            weights.array("kernel").unwrap()
        };
        assert!(kept(&frozen.name) == now(&frozen.name));
        let convolutions = base.layers().iter();
        let mut convolutions = convolutions.filter(|layer| layer.kind == LayerKind::Conv2D);
        let opened = convolutions.next_back().unwrap();
        assert!(kept(&opened.name) != now(&opened.name), "{network}");
        // What was trained is what is saved, and what computes.
        let answer = model.predict(PICTURE).unwrap().probabilities();
        model.save(&path).unwrap();
        let loaded = Classifier::load(&path, Device::Cpu).unwrap();
        assert_alike(loaded.base(), model.base(), "saved");
        let again = loaded.predict(PICTURE).unwrap().probabilities();
        assert_eq!(answer, again, "{network}");
        // The saved classifier's base as weights of a base.
        let taken = Weights::load(&path).unwrap();
        let taken = self::base(network, &taken).unwrap();
        assert_alike(&taken, model.base(), "as weights");
        // Looking inside.
        let map = model.grad_cam(PICTURE, GradCam::default()).unwrap();
        assert_eq!(map.layer(), last);
        let occlusion = Occlusion::default();
        model.occlusion_map(PICTURE, occlusion).unwrap();
        assert_eq!(base.filters(convolution).unwrap().layer(), convolution);
        let maps = base.feature_maps(PICTURE, last).unwrap();
        assert_eq!(maps.layer(), last);
        let patterns = base.filter_patterns(convolution, &[0]).unwrap();
        assert_eq!(patterns.filters(), [0]);
        let features = base.extract_features(&data.train).unwrap();
        assert_eq!(features.len(), 4);
    }
}

/// A normalisation that is folded into a convolution gives what it gives by itself: asked for together with
/// the convolution, nothing is folded.
#[test]
fn folded_normalisation_is_normalisation() {
    for (network, pair) in [
        (
            Architecture::ResNet50,
            ["conv3_block1_2_conv", "conv3_block1_2_bn"],
        ),
        (
            Architecture::InceptionV3,
            ["conv2d_20", "batch_normalization_20"],
        ),
    ] {
        let base = base(network, &Weights::seeded(2)).unwrap();
        let number = |name: &str| base.layers().iter().position(|l| l.name == name).unwrap();
        let numbers = pair.map(number);
        let apart = base.feature_maps_of(PICTURE, &numbers).unwrap();
        let apart = apart.layers()[1].array();
        let folded = base.feature_maps(PICTURE, pair[1]).unwrap().array();
        let largest = apart.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let off = (&apart - &folded)
            .iter()
            .fold(0.0f32, |most, x| most.max(x.abs()));
        // One rounding of each weight and sum: a few times 6e-8.
        assert!(off <= 2e-6 * largest, "{network}: {off} of {largest}");
        assert!(largest > 0.0);
    }
}

#[test]
fn batch_normalisation_learns_where_it_is_asked_to() {
    let data = Data::open(crate::common::repository("data/samples"))
        .unwrap()
        .take(4, 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let fit = Fit::default()
        .epochs(2)
        .batch_size(2)
        .learning_rate(1e-4)
        .early_stopping(5)
        .progress(Progress::quiet());
    let base = base(Architecture::ResNet50, &Weights::seeded(1)).unwrap();
    let opened = || {
        let mut model = Classifier::new(&base, Head::dense(4), data.train.classes()).unwrap();
        model.unfreeze_from("conv5_block3_1_conv").unwrap();
        assert!(model.trainable().to_string().contains("inference mode"));
        model.train_batch_norm(true);
        model
    };
    let averages = |base: &Base, layer: &str| {
        let weights = base.layer_weights(layer).unwrap();
        ["moving_mean", "moving_variance"].map(|name| weights.array(name).unwrap())
    };
    let (frozen, open) = ("conv5_block2_3_bn", "conv5_block3_3_bn");
    let none = Augment::none();
    let mut model = opened();
    // What tries, and what fails, leaves the averages as they were.
    let few = fit.clone().steps_per_epoch(3);
    model.lr_find(&data, &none, &few).unwrap();
    let error = model.fit(&data, &none, &fit.clone().learning_rate(1e30));
    assert!(matches!(error, Err(Error::NotFinite { .. })), "{error:?}");
    assert_eq!(averages(model.base(), open), averages(&base, open));
    let in_one_go = model.fit(&data, &none, &fit).unwrap();
    for (then, now) in averages(&base, open)
        .iter()
        .zip(averages(model.base(), open))
    {
        // Four steps of 1 %, of averages within 1.05 and means of batches that are not far.
        let moved = (then - now).mapv(f32::abs);
        assert!(moved.iter().all(|&by| by > 0.0 && by < 0.5), "{moved}");
    }
    assert_eq!(averages(model.base(), frozen), averages(&base, frozen));
    // A run that goes on from its checkpoint has the same numbers: it keeps the choice, and the best averages.
    let mut first = opened();
    let half = fit.clone().epochs(1).checkpoint(&path);
    first.fit(&data, &none, &half).unwrap();
    let mut second = Classifier::load(&path, Device::Cpu).unwrap();
    let resumed = second.resume(&data, &fit).unwrap();
    let losses = |history: &History| {
        let epochs = history.epochs.iter();
        let both = epochs.map(|epoch| (epoch.loss, epoch.val_loss));
        both.collect::<Vec<_>>()
    };
    assert_eq!(losses(&resumed), losses(&in_one_go));
    assert_alike(second.base(), model.base(), "resumed");
    second.save(&path).unwrap();
    let saved = Classifier::load(&path, Device::Cpu).unwrap();
    let table = saved.trainable().to_string();
    assert!(table.contains("training mode"), "{table}");
}

#[test]
fn too_small_pictures_are_refused_before_anything_is_computed() {
    let weights = Weights::seeded(0);
    for (network, least) in [
        (Architecture::InceptionV3, 75),
        (Architecture::ResNet50, 32),
    ] {
        let small = Base::without_top(network, least - 1, &weights, Device::Cpu, Precision::F32);
        let error = small.unwrap_err().to_string();
        assert!(error.contains(&format!("{least} or more")), "{error}");
    }
}
