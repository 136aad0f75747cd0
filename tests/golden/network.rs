//! Features, maps, classes, heat maps and bf16.

use std::path::{Path, PathBuf};

use evcxr_transfer::{
    Architecture, Base, Classifier, Data, Dataset, Device, Features, Fit, GradCam, Head, Precision,
    Progress, Scaling, Weights, train_head,
};

use crate::report::{
    COSINE, Golden, Report, Tolerance, count, flat, larger, list, number, numbers, replace_head,
    seeded_dense, text, unequal, worst, worst_share,
};

/// f32 sums of up to 4,608 products (25,088 in the top), up to sixteen layers deep. Kernels for AVX2
/// and AVX-512 differ by 2.7e-6 of the largest value among themselves (`golden.py --check`).
const SUMS: Tolerance = Tolerance {
    most: 3e-5,
    why: "share of the largest; f32 sums in another order: ten times what the kernels for AVX2 and AVX-512 \
          differ by",
};

const PROBABILITIES: Tolerance = Tolerance {
    most: 3e-5,
    why: "logits up to 10 differ by 3e-5 of the largest, a probability p by p (1 - p), 0.1 here, of that",
};

const LOGARITHMS: Tolerance = Tolerance {
    most: 0.021,
    why: "logits up to 342 differ by 3e-5 of the largest, the difference of two by twice that",
};

const ORDER: Tolerance = Tolerance {
    most: 0.0,
    why: "each of the first six is more probable than the next by 1 % or more",
};

pub const HEAT: Tolerance = Tolerance {
    most: 1e-4,
    why: "share of the hottest place; channels cancel, so three times the tolerance of features",
};

const TOP_1: Tolerance = Tolerance {
    most: 0.0,
    why: "the first class is more probable than the next by half",
};

/// From how far from one half on an answer has to stay what it is: ten times what bf16 was measured to
/// move these probabilities by, 1.0e-3.
const DECIDED: f64 = 0.01;

const TOP_1_OF_HEAD: Tolerance = Tolerance {
    most: 0.0,
    why: "bf16 moves these probabilities by 1.0e-3; one within 0.01 of one half would not count, and none is",
};

pub const PICTURE: &str = "data/samples/train/dogs/dog.1.jpg";

pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn vgg16(size: usize, seed: u64, device: Device, precision: Precision) -> Base {
    let base = Base::vgg16(size, &Weights::seeded(seed), device, precision).unwrap();
    base.progress(Progress::quiet())
}

/// The features of the two golden pictures, in the golden order.
fn two_features(base: &Base) -> Vec<f64> {
    let samples = Dataset::open(repository("data/samples/train")).unwrap();
    let some = samples.take(4);
    let values = base.extract_features(&some).unwrap().tensor();
    ["cat.0.jpg", "dog.1.jpg"]
        .iter()
        .flat_map(|name| {
            let place = some.files().iter().position(|file| file.ends_with(name));
            flat(&values.get(place.unwrap() as i64))
        })
        .collect()
}

pub fn features(report: &mut Report, device: Device, suffix: &str) {
    let golden = Golden::open("features.safetensors");
    for (key, scaling, name) in [
        ("unit", Scaling::Unit, "1/255"),
        ("caffe", Scaling::Caffe, "preprocess_input"),
    ] {
        let base = vgg16(150, golden.seed("weights"), device, Precision::F32).scaling(scaling);
        let off = worst_share(&two_features(&base), &flat(golden.tensor(key)));
        let quantity = format!("features (2, 4, 4, 512) at 150, {name}{suffix}");
        report.add(quantity, &golden.made_by("Keras"), off, SUMS);
    }
}

/// Maps at 224, classes by Keras and torchvision, and the same in bf16: what needs the whole network.
pub fn whole_network(report: &mut Report, device: Device, suffix: &str) {
    let golden = Golden::open("maps.safetensors");
    let keras = golden.made_by("Keras");
    let seeded = Weights::seeded(golden.seed("weights"));
    let load = |precision| {
        let base = Base::with_top(Architecture::Vgg16, &seeded, device, precision).unwrap();
        base.progress(Progress::quiet())
    };
    let mut vgg = load(Precision::F32).scaling(Scaling::Caffe);
    let indices = [1, 2, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17];
    let names = indices.map(|index| vgg.layers()[index].name.clone());
    let maps = vgg.feature_maps_of(repository(PICTURE), &indices).unwrap();
    for (maps, name) in maps.layers().iter().zip(&names) {
        let expected = |part: &str| flat(golden.tensor(&format!("{name} {part}")));
        let all = maps.array();
        let all = all.iter().copied().map(f64::from).collect::<Vec<_>>();
        let places = expected("places");
        let chosen = places.iter().map(|&place| all[place as usize]);
        let [mean, largest] = expected("totals")[..] else {
            panic!("totals are two numbers")
        };
        let off = worst(chosen, expected("values")) / largest;
        // All values together, by their mean and the largest.
        let found_mean = all.iter().sum::<f64>() / all.len() as f64;
        let found_largest = all.iter().copied().fold(0.0, larger);
        let off = larger(off, (found_mean - mean).abs() / mean);
        let off = larger(off, (found_largest - largest).abs() / largest);
        let quantity =
            format!("maps of {name} at 224: 256 values, the mean and the largest of all{suffix}");
        report.add(quantity, &keras, off, SUMS);
    }

    let golden = Golden::open("top.json");
    for (library, scaling, key, name) in [
        ("Keras", Scaling::Unit, "unit", "pixels by 1/255"),
        ("Keras", Scaling::Caffe, "caffe", "preprocess_input"),
        (
            "torchvision",
            Scaling::Torch,
            "torch",
            "torchvision's normalisation",
        ),
    ] {
        vgg = vgg.scaling(scaling);
        let answer = vgg.classify(repository(PICTURE), 1000).unwrap();
        let expected = &golden.json[library.to_lowercase()][key];
        let (order, probabilities) = ranked(&answer.probabilities());
        let five = list(&expected["five"])
            .iter()
            .map(count)
            .collect::<Vec<_>>();
        // What the tolerance of the order says.
        let expected = numbers(&expected["probabilities"]);
        let mut falling = expected.clone();
        falling.sort_by(|a, b| b.total_cmp(a));
        assert!(falling[..6].is_sorted_by(|a, b| *a > 1.01 * b));
        let reference = golden.made_by(library);
        report.add(
            format!("top 5 of the whole network, {name} (places in another order){suffix}"),
            &reference,
            unequal(&order[..5], &five),
            ORDER,
        );
        // There all but the first are below 1e-15, and say nothing in absolute terms.
        let is_decided = key == "caffe";
        if is_decided {
            let logarithms = |all: &[f64]| five.iter().map(|&k| all[k].ln()).collect::<Vec<_>>();
            report.add(
                format!("logarithms of these five probabilities, {name}{suffix}"),
                &reference,
                worst(logarithms(&probabilities), logarithms(&expected)),
                LOGARITHMS,
            );
        }
        if !is_decided {
            report.add(
                format!("its 1,000 probabilities, {name}{suffix}"),
                &reference,
                worst(probabilities, expected),
                PROBABILITIES,
            );
        }
    }
    let exact = vgg
        .scaling(Scaling::Unit)
        .classify(repository(PICTURE), 1)
        .unwrap();
    let rounded = load(Precision::BFloat16).scaling(Scaling::Unit);
    let rounded = rounded.classify(repository(PICTURE), 1).unwrap();
    report.add(
        format!("bf16: top 1 of the whole network (places in another order){suffix}"),
        "f32 here",
        f64::from(u8::from(exact.class() != rounded.class())),
        TOP_1,
    );
}

/// The numbers of the classes, most probable first, and the probabilities in the classes' order.
pub fn ranked(answer: &[(String, f64)]) -> (Vec<usize>, Vec<f64>) {
    // Without ImageNet's names they are called `class 0` and so on.
    let number = |name: &str| name["class ".len()..].parse::<usize>().unwrap();
    let order = answer.iter().map(|(name, _)| number(name));
    let order = order.collect::<Vec<_>>();
    let mut probabilities = vec![0.0; answer.len()];
    for (&place, (_, probability)) in order.iter().zip(answer) {
        probabilities[place] = *probability;
    }
    (order, probabilities)
}

pub fn heat_maps(report: &mut Report, device: Device, suffix: &str) {
    let golden = Golden::open("heat_maps.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let names = list(&golden.json["classes"]).iter().map(text);
    let names = names.collect::<Vec<_>>();
    let (size, units) = (count(&golden.json["size"]), count(&golden.json["units"]));
    let base = vgg16(size, golden.seed("weights"), Device::Cpu, Precision::F32);
    let (mut places, mut probabilities) = (0.0_f64, 0.0_f64);
    for classes in [2, 3] {
        let outputs = if classes == 2 { 1 } else { classes };
        let head_seed = golden.seed("head");
        let dense = seeded_dense(head_seed, 0, 2048, units);
        let dense_1 = seeded_dense(head_seed, 2, units, outputs);
        let model = Classifier::new(&base, Head::dense(units), &names[..classes]).unwrap();
        model.save(&path).unwrap();
        replace_head(&path, &dense, &dense_1);
        let model = Classifier::load(&path, device).unwrap();
        for map in list(&golden.json["maps"]) {
            if count(&map["classes"]) != classes {
                continue;
            }
            let rule = GradCam::at(text(&map["layer"])).class(text(&map["class"]));
            let found = model.grad_cam(repository(PICTURE), rule).unwrap();
            let off = (found.probability() - number(&map["probability"])).abs();
            probabilities = larger(probabilities, off);
            let values = found.array();
            let values = values.iter().copied().map(f64::from);
            places = larger(places, worst(values, numbers(&map["map"])));
        }
    }
    let reference = golden.made_by("Keras");
    report.add(
        format!("Grad-CAM at three layers, for two and three classes{suffix}"),
        &reference,
        places,
        HEAT,
    );
    report.add(
        format!("the probabilities of these classes{suffix}"),
        &reference,
        probabilities,
        PROBABILITIES,
    );
}

/// Features in bf16 beside f32, and what a head that learned on the one makes of the other.
pub fn bf16(report: &mut Report, device: Device, suffix: &str) {
    let data = Data::open(repository("data/samples")).unwrap();
    // Smaller than the lesson's: 90 pictures twice, on any machine.
    let extract = |precision, data: &Dataset| {
        vgg16(96, 0, device, precision)
            .extract_features(data)
            .unwrap()
    };
    let [exact, rounded] =
        [Precision::F32, Precision::BFloat16].map(|precision| extract(precision, &data.validation));
    let (a, b) = (exact.tensor(), rounded.tensor());
    let apart = (0..exact.len() as i64).map(|picture| {
        let (a, b) = (flat(&a.get(picture)), flat(&b.get(picture)));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        1.0 - dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
    });
    report.add(
        format!("bf16: features of 30 pictures at 96, 1 less the cosine{suffix}"),
        "f32 here",
        apart.fold(0.0, larger),
        COSINE,
    );
    let train = extract(Precision::F32, &data.train);
    let fit = Fit::default()
        .epochs(60)
        .learning_rate(3e-4)
        .progress(Progress::quiet());
    let (head, _) = train_head(&train, &exact, &fit).unwrap();
    let dogs = |features: &Features| {
        let rows = head.predict(features).unwrap();
        let rows = rows.outer_iter().map(|row| f64::from(row[1]));
        rows.collect::<Vec<_>>()
    };
    let (by_f32, by_bf16) = (dogs(&exact), dogs(&rounded));
    let moved = worst(by_f32.clone(), by_bf16.clone());
    println!("bf16 moves the head's probabilities by up to {moved:.1e}{suffix}");
    let pairs = by_f32.iter().zip(&by_bf16);
    let changed = |(a, b): &(&f64, &f64)| (**a > 0.5) != (**b > 0.5) && (**a - 0.5).abs() > DECIDED;
    let changed = pairs.filter(changed).count() as f64;
    let undecided = by_f32
        .iter()
        .filter(|&&p| (p - 0.5).abs() <= DECIDED)
        .count();
    println!("{undecided} of 30 pictures are within {DECIDED} of one half{suffix}");
    report.add(
        format!("bf16: top 1 of a trained head on 30 pictures (those of another class){suffix}"),
        "f32 here",
        changed,
        TOP_1_OF_HEAD,
    );
}
