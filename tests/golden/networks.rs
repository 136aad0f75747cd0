//! Residual networks and InceptionV3: their layers, outputs on the way, classes, training steps, bf16.

use evcxr_transfer::{
    Architecture, Augment, Base, Classifier, Data, Device, Fit, GradCam, Head, Optimizer,
    Precision, Progress, Scaling, Weights,
};
use serde_json::Value;

use crate::network::{HEAT, PICTURE, ranked, repository};
use crate::report::{
    COSINE, Golden, Report, Tolerance, count, flat, larger, list, number, numbers, replace_head,
    seeded_dense, text, unequal, worst,
};

const NETWORKS: [(&str, Architecture, Scaling); 7] = [
    ("resnet50", Architecture::ResNet50, Scaling::Caffe),
    ("resnet101", Architecture::ResNet101, Scaling::Caffe),
    ("resnet152", Architecture::ResNet152, Scaling::Caffe),
    ("resnet50v2", Architecture::ResNet50V2, Scaling::Tf),
    ("resnet101v2", Architecture::ResNet101V2, Scaling::Tf),
    ("resnet152v2", Architecture::ResNet152V2, Scaling::Tf),
    ("inception_v3", Architecture::InceptionV3, Scaling::Tf),
];

const TEXT: Tolerance = Tolerance {
    most: 0.0,
    why: "text and whole numbers",
};

const SUMS: Tolerance = Tolerance {
    most: 1e-5,
    why: "share of the largest; f32 sums in another order and normalisation folded into convolutions, which \
          rounds each weight once more: ten times what was measured",
};

/// On a GPU libtorch rounds what convolutions that learn compute for their gradients to TF32, and tch has no switch.
const TF32_GRADIENTS: Tolerance = Tolerance {
    most: 1e-3,
    why: "share of the largest; TF32 rounds the gradients of convolutions by 5e-4: twice that",
};

const PROBABILITIES: Tolerance = Tolerance {
    most: 2e-6,
    why: "logits up to 5 differ by 3e-5 of the largest, a probability of 0.01 by that share",
};

const ORDER: Tolerance = Tolerance {
    most: 0.0,
    why: "each of the first six is more probable than the next by 0.1 % or more",
};

const STEPS: Tolerance = Tolerance {
    most: 1e-5,
    why: "share of the first loss; f32 sums in another order, forward and back: ten times what was measured",
};

const LEARNING: Tolerance = Tolerance {
    most: 1e-4,
    why: "share of the first loss; each normalisation divides by the deviation of 4 or 16 values, which makes \
          roundings larger: Keras is 1e-5 from its own numbers in f64",
};

const AVERAGES: Tolerance = Tolerance {
    most: 1e-4,
    why: "share of the largest, roundings as beside; the averages move by 1e-2 in three steps; a variance \
          of n - 1 values would put them off by 2e-3",
};

fn base(network: Architecture, size: usize, seed: u64, device: Device, p: Precision) -> Base {
    let weights = Weights::seeded(seed);
    let base = Base::without_top(network, size, &weights, device, p).unwrap();
    base.progress(Progress::quiet())
}

fn lines(golden: &Value) -> Vec<String> {
    let lines = list(&golden["layers"]).iter().map(text);
    lines.map(str::to_owned).collect()
}

/// A network's layers in the golden words, from its own summary.
fn described(base: &Base) -> Vec<String> {
    let rows = crate::summaries::cells(&base.summary());
    let lines = rows.iter().map(|row| {
        let [layer, shape, parameters, connected] = row.as_slice() else {
            panic!("a summary with branches has four columns")
        };
        let (name, class) = layer.trim_end_matches(')').split_once(" (").unwrap();
        let shape = shape.trim_start_matches("(None, ").trim_end_matches(')');
        let (shape, parameters) = (shape.replace(", ", ","), parameters.replace(',', ""));
        let connected = connected.replace(", ", ",").replace('-', "");
        let line = format!("{name} {class} {shape} {parameters} {connected}");
        line.trim_end().to_owned()
    });
    lines.collect()
}

pub fn outputs(report: &mut Report, device: Device, suffix: &str) {
    let golden = Golden::open("networks.safetensors");
    let keras = golden.made_by("Keras");
    let tables = Golden::open("networks.json");
    for (name, network, scaling) in NETWORKS {
        let table = &tables.json[name];
        let size = count(&table["size"]);
        let base = base(
            network,
            size,
            golden.seed("weights"),
            device,
            Precision::F32,
        );
        let base = base.scaling(scaling);
        // What learns of a base, and what does not.
        let mut model = Classifier::new(&base, Head::dense(2), &["cats", "dogs"]).unwrap();
        let open = model.num_trainable_parameters();
        model.freeze_base();
        let learning = open - model.num_trainable_parameters();
        let fixed = base.num_parameters() - learning;
        let counts = ["parameters", "learning", "fixed"].map(|key| count(&table[key]));
        report.add(
            format!(
                "summary of {name}: layers, shapes, parameters, what each takes; parameters that learn and \
                 do not{suffix} (that differ)"
            ),
            &keras,
            unequal(&described(&base), &lines(table))
                + unequal(&[base.num_parameters(), learning, fixed], &counts),
            TEXT,
        );
        let last = base.layers().len() - 1;
        // Named in the file, and the output.
        let is_tap = |layer: &str| golden.has(&format!("{name} {layer} places"));
        let taps = base.layers().iter().enumerate();
        let taps = taps.filter(|(_, layer)| is_tap(&layer.name));
        let taps = taps.map(|(number, _)| number).collect::<Vec<_>>();
        assert!(taps.len() >= 5 && taps.contains(&last), "{name}: {taps:?}");
        let maps = base.feature_maps_of(repository(PICTURE), &taps).unwrap();
        let mut off = 0.0_f64;
        for maps in maps.layers() {
            let layer = maps.layer();
            let expected = |part: &str| flat(golden.tensor(&format!("{name} {layer} {part}")));
            let all = maps.array();
            let all = all.iter().copied().map(f64::from).collect::<Vec<_>>();
            let places = expected("places");
            let chosen = places.iter().map(|&place| all[place as usize]);
            let [mean, largest] = expected("totals")[..] else {
                panic!("totals are two numbers")
            };
            let of_places = worst(chosen, expected("values")) / largest;
            let found_mean = all.iter().sum::<f64>() / all.len() as f64;
            let found_largest = all.iter().fold(0.0_f64, |most, x| larger(most, x.abs()));
            let of_all = larger((found_mean - mean).abs(), (found_largest - largest).abs());
            let here = larger(of_places, of_all / largest);
            println!("{name} {layer}: {here:.1e} of {largest:.3}");
            off = larger(off, here);
        }
        let taps = taps.len();
        report.add(
            format!("{name} at {size}: outputs of {taps} layers, the last among them{suffix}"),
            &keras,
            off,
            SUMS,
        );
    }
}

pub fn tops(report: &mut Report, device: Device, suffix: &str) {
    let golden = Golden::open("network_tops.json");
    let keras = golden.made_by("Keras");
    let weights = Weights::seeded(golden.seed("weights"));
    for (name, network, _) in NETWORKS {
        let expected = &golden.json[name];
        if expected.is_null() {
            continue;
        }
        let whole = Base::with_top(network, &weights, device, Precision::F32).unwrap();
        let whole = whole.scaling(Scaling::Unit).progress(Progress::quiet());
        let answer = whole.classify(repository(PICTURE), 1000).unwrap();
        let (order, probabilities) = ranked(&answer.probabilities());
        let five = list(&expected["five"]).iter().map(count);
        let five = five.collect::<Vec<_>>();
        let expected = numbers(&expected["probabilities"]);
        let mut falling = expected.clone();
        falling.sort_by(|a, b| b.total_cmp(a));
        assert!(falling[..6].is_sorted_by(|a, b| *a > 1.001 * b));
        report.add(
            format!("top 5 of {name} (places in another order){suffix}"),
            &keras,
            unequal(&order[..5], &five),
            ORDER,
        );
        report.add(
            format!("the 1,000 probabilities of {name}{suffix}"),
            &keras,
            worst(probabilities, expected),
            PROBABILITIES,
        );
    }
}

pub fn steps(report: &mut Report, device: Device, suffix: &str) {
    let golden = Golden::open("network_steps.json");
    let data = Data::open(repository("data/samples")).unwrap().take(4, 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (units, epochs) = (count(&golden.json["units"]), count(&golden.json["steps"]));
    let trained = NETWORKS.iter().flat_map(|(name, network, _)| {
        let learning = format!("{name}, normalisation learning");
        [
            (name.to_string(), network, false),
            (learning, network, true),
        ]
    });
    for (name, &network, learns) in trained {
        let expected = &golden.json[&name];
        if expected.is_null() {
            continue;
        }
        let (size, seed) = (count(&expected["size"]), golden.seed("weights"));
        let base = base(network, size, seed, Device::Cpu, Precision::F32).scaling(Scaling::Unit);
        let width = base.output_shape().iter().product();
        let head = golden.seed("head");
        let model = Classifier::new(&base, Head::dense(units), data.train.classes()).unwrap();
        model.save(&path).unwrap();
        replace_head(
            &path,
            &seeded_dense(head, 0, width, units),
            &seeded_dense(head, 2, units, 1),
        );
        let mut model = Classifier::load(&path, device).unwrap();
        model.train_batch_norm(learns);
        let first = text(&expected["from"]);
        let fit = Fit::default()
            .optimizer(Optimizer::sgd(0.0))
            .learning_rate(number(&expected["rate"]))
            .batch_size(4)
            .epochs(epochs)
            .progress(Progress::quiet());
        let history = model
            .fine_tune(first, &data, &Augment::none(), &fit)
            .unwrap();
        let losses = history.epochs.iter().map(|epoch| epoch.loss);
        let last = model.evaluate(&data.train).unwrap().loss;
        let expected_losses = numbers(&expected["losses"]);
        let scale = expected_losses[0];
        let losses = losses.chain([last]).collect::<Vec<_>>();
        println!("{name}: {losses:?}\n{expected_losses:?}");
        let (keras, off) = (
            golden.made_by("Keras"),
            worst(losses, expected_losses) / scale,
        );
        let tolerance = if device.is_cuda() {
            TF32_GRADIENTS
        } else {
            STEPS
        };
        if learns {
            report.add(
                format!("{epochs} steps of {name}, from {first} on{suffix}"),
                &keras,
                off,
                if device.is_cuda() {
                    TF32_GRADIENTS
                } else {
                    LEARNING
                },
            );
            report.add(
                format!("moving means and variances of {name}, after these{suffix}"),
                &keras,
                averages(model.base(), &expected["averages"]),
                if device.is_cuda() {
                    TF32_GRADIENTS
                } else {
                    AVERAGES
                },
            );
            continue;
        }
        // The head's four tensors learn too.
        let tensors = model.trainable_weights().len() - 4;
        report.add(
            format!(
                "{epochs} steps of {name} from {first} on, normalisation in inference mode{suffix}"
            ),
            &keras,
            off + unequal(&[tensors], &[count(&expected["learning"])]),
            tolerance,
        );
    }
}

pub fn heat_maps(report: &mut Report, device: Device, suffix: &str) {
    let golden = Golden::open("network_heat_maps.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let names = list(&golden.json["classes"]).iter().map(text);
    let names = names.collect::<Vec<_>>();
    let units = count(&golden.json["units"]);
    for (name, network, _) in NETWORKS {
        let expected = &golden.json[name];
        if expected.is_null() {
            continue;
        }
        let (size, seed) = (count(&expected["size"]), golden.seed("weights"));
        let base = base(network, size, seed, Device::Cpu, Precision::F32).scaling(Scaling::Unit);
        let width = base.output_shape().iter().product();
        let model = Classifier::new(&base, Head::dense(units), &names).unwrap();
        model.save(&path).unwrap();
        let head = golden.seed("head");
        replace_head(
            &path,
            &seeded_dense(head, 0, width, units),
            &seeded_dense(head, 2, units, 1),
        );
        let model = Classifier::load(&path, device).unwrap();
        let (mut places, mut probabilities) = (0.0_f64, 0.0_f64);
        for map in list(&expected["maps"]) {
            // Sums of the layers behind InceptionV3's mixed5 lie so near zero that the last bits of its output open or close
            // their ReLU: noise of 3e-6 of each number, on a CPU, moves this map by up to 3 % in a third of all trials. Where
            // the layers before it add up in another order, as on a GPU, it says nothing.
            if device.is_cuda() && map["layer"] == "mixed5" {
                continue;
            }
            let rule = || GradCam::at(text(&map["layer"])).class(text(&map["class"]));
            for (rule, kind) in [(rule(), "plain"), (rule().plus_plus(), "plus_plus")] {
                let found = model.grad_cam(repository(PICTURE), rule).unwrap();
                let off = (found.probability() - number(&map["probability"])).abs();
                probabilities = larger(probabilities, off);
                let values = found.array();
                let values = values.iter().copied().map(f64::from);
                let off = worst(values, numbers(&map[kind]));
                println!("{name} {} {} {kind}: {off:.1e}", map["layer"], map["class"]);
                places = larger(places, off);
            }
        }
        let layers = list(&expected["maps"]).len() / names.len();
        let autograd = golden.made_by("PyTorch");
        report.add(
            format!("Grad-CAM and Grad-CAM++ of {name} at {layers} layers, by autograd{suffix}"),
            &autograd,
            places,
            HEAT,
        );
        report.add(
            format!("the probabilities of {name} beside these{suffix}"),
            &autograd,
            probabilities,
            PROBABILITIES,
        );
    }
}

/// How far moving averages are off, as a share of the largest of each.
fn averages(base: &Base, expected: &Value) -> f64 {
    let expected = expected.as_object().unwrap();
    assert!(expected.len() >= 18, "two for each of nine layers at least");
    let off = expected.iter().map(|(name, expected)| {
        let (layer, average) = name.split_once(' ').unwrap();
        let found = base.layer_weights(layer).unwrap().array(average).unwrap();
        let found = found.iter().copied().map(f64::from).collect::<Vec<_>>();
        let expected = numbers(expected);
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let largest = found.iter().fold(0.0_f64, |most, x| larger(most, x.abs()));
        let first = found.into_iter().take(expected.len() - 2);
        let scale = expected[1];
        worst([mean, largest].into_iter().chain(first), expected) / scale
    });
    off.fold(0.0, larger)
}

pub fn bf16(report: &mut Report, device: Device, suffix: &str) {
    let data = Data::open(repository("data/samples")).unwrap().take(2, 2);
    for (name, network, _) in NETWORKS {
        if !["resnet50", "resnet50v2", "inception_v3"].contains(&name) {
            continue;
        }
        let features = |precision| {
            let base = base(network, 75, 0, device, precision);
            flat(&base.extract_features(&data.train).unwrap().tensor())
        };
        let (a, b) = (features(Precision::F32), features(Precision::BFloat16));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        report.add(
            format!("bf16: features of {name} at 75, 1 less the cosine{suffix}"),
            "f32 here",
            1.0 - dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt(),
            COSINE,
        );
    }
}
