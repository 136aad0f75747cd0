//! Random transforms: Keras' pictures, Keras' distributions, and what must not happen.

use std::path::Path;

use evcxr_transfer::{Augment, Data, Error, Fill, Tensor, Transform};
use serde_json::{Value, json};
use tch::Kind;

/// Noise, in which neighbours differ by up to 255: the steepest that bytes can be.
fn noise(seed: u64, n: usize, height: usize, width: usize) -> Tensor {
    let mut state = seed;
    let bytes = (0..n * height * width * 3)
        .map(|_| {
            // Knuth's linear congruence (MMIX); its high bits are good enough for pixels.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect::<Vec<_>>();
    Tensor::from_slice(&bytes).view([n as i64, height as i64, width as i64, 3])
}

fn values(tensor: &Tensor) -> Vec<f32> {
    assert_eq!(tensor.kind(), Kind::Float);
    Vec::try_from(tensor.contiguous().view(-1)).unwrap()
}

/// A picture, how its empty places are filled, and a transform.
struct Case {
    picture: usize,
    fill: Fill,
    transform: Transform,
}

/// The cases' pictures by Keras, each as (H, W, 3).
fn by_keras(cases: &[Case], pictures: &[Tensor]) -> Vec<Tensor> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let named = pictures
        .iter()
        .enumerate()
        .map(|(k, picture)| (k.to_string(), picture.squeeze_dim(0)))
        .collect::<Vec<_>>();
    Tensor::write_safetensors(&named, path("pictures")).unwrap();
    let as_json = |case: &Case| {
        let Case {
            picture,
            fill,
            transform: t,
        } = case;
        let (mode, value) = match fill {
            Fill::Nearest => ("nearest", 0.0),
            Fill::Reflect => ("reflect", 0.0),
            Fill::Wrap => ("wrap", 0.0),
            Fill::Constant(value) => ("constant", *value),
        };
        json!({
            "picture": picture.to_string(), "fill": mode, "value": value,
            "transform": {
                "theta": t.theta, "tx": t.tx, "ty": t.ty, "shear": t.shear, "zx": t.zx, "zy": t.zy,
                "flip_horizontal": t.flip_horizontal, "flip_vertical": t.flip_vertical,
                "brightness": t.brightness,
            },
        })
    };
    let listed = cases.iter().map(as_json).collect::<Vec<_>>();
    std::fs::write(path("cases"), serde_json::to_vec(&listed).unwrap()).unwrap();
    let arguments = [
        Path::new("apply"),
        &path("cases"),
        &path("pictures"),
        &path("out"),
    ];
    crate::common::python("keras_augment.py", &arguments);
    let results = Tensor::read_safetensors(path("out")).unwrap();
    let result = |number: usize| {
        let name = number.to_string();
        let found = results.iter().find(|(found, _)| *found == name);
        found.unwrap().1.shallow_clone()
    };
    (0..cases.len()).map(result).collect()
}

/// Every parameter by itself, the lesson's mix, and mixes that reach far outside the picture.
fn transforms(height: usize, width: usize) -> Vec<Transform> {
    let still = Transform::identity();
    let mut all = vec![
        still,
        Transform {
            theta: 33.0,
            ..still
        },
        Transform {
            theta: -151.0,
            ..still
        },
        Transform { tx: 7.3, ..still },
        Transform { ty: -4.6, ..still },
        Transform {
            tx: 3.0,
            ty: -5.0,
            ..still
        },
        Transform {
            shear: 25.0,
            ..still
        },
        Transform { zx: 0.7, ..still },
        Transform { zy: 1.9, ..still },
        Transform {
            theta: 20.0,
            zx: 4.0,
            zy: 5.0,
            ..still
        },
    ];
    all.extend(Augment::lesson().transforms(5, (height, width), 1).unwrap());
    let flipped = |flip_horizontal, flip_vertical| {
        move |transform: &Transform| Transform {
            flip_horizontal,
            flip_vertical,
            ..*transform
        }
    };
    let mut flips = Vec::new();
    for (horizontal, vertical) in [(true, false), (false, true), (true, true)] {
        flips.extend(all.iter().step_by(3).map(flipped(horizontal, vertical)));
    }
    all.extend(flips);
    all
}

/// What Keras and this crate make of the cases: for each value both, in the cases' order.
fn both(cases: &[Case], pictures: &[Tensor]) -> Vec<Vec<(f32, f32)>> {
    let expected = by_keras(cases, pictures);
    let pairs = |(case, expected): (&Case, &Tensor)| {
        let found = Augment::none()
            .fill(case.fill)
            .apply(&pictures[case.picture], &[case.transform])
            .unwrap();
        assert_eq!(found.size()[1..], expected.size());
        values(&found).into_iter().zip(values(expected)).collect()
    };
    cases.iter().zip(&expected).map(pairs).collect()
}

#[test]
fn transformed_pictures_are_keras_pictures() {
    // Places are f32 here and f64 in scipy. In `grid_sampler`'s units, where the picture is 2 wide,
    // sums of three numbers near 1 are off by some 1e-7, which is 1e-5 pixels of a picture 150 wide;
    // the zooms to a fifth have places up to 5. From one pixel to the next noise has up to 255, in
    // both directions: 0.005 for most places, 0.025 for those far outside. Measured: 0.017.
    const TOLERANCE: f32 = 0.03;
    // Wrapped and constant fills jump, by up to 255, at the centres of the outermost pixels, and
    // what falls within a thousandth of a pixel outside counts as inside. Four edges of 150 pixels
    // make 0.6 such pixels in a picture of 22,500: 3e-5. Measured: 6 of 2.2 million, 3e-6.
    const BESIDE_THE_EDGE: f64 = 3e-5;
    let sizes = [(40, 30), (30, 41), (150, 150), (1, 9)];
    let pictures = sizes.map(|(height, width)| noise(height as u64, 1, height, width));
    let fills = [
        Fill::Nearest,
        Fill::Reflect,
        Fill::Wrap,
        Fill::Constant(77.5),
    ];
    let mut cases = Vec::new();
    for fill in fills {
        for (picture, (height, width)) in sizes.into_iter().enumerate() {
            cases.extend(transforms(height, width).into_iter().map(|transform| Case {
                picture,
                fill,
                transform,
            }));
        }
    }
    let ordinary = cases.len();
    cases.extend([90.0, 180.0, -90.0].map(|theta| Case {
        picture: 2,
        fill: Fill::Constant(77.5),
        transform: Transform {
            theta,
            ..Transform::identity()
        },
    }));
    let pairs = both(&cases, &pictures);
    let (pairs, turned) = pairs.split_at(ordinary);
    for pairs in turned {
        assert_only_edges_differ(pairs, 150);
    }
    let (mut jumps, mut could_jump) = (0, 0);
    for (case, pairs) in cases.iter().zip(pairs) {
        let far = pairs
            .iter()
            .filter(|(found, expected)| (found - expected).abs() > TOLERANCE)
            .count();
        match case.fill {
            Fill::Nearest | Fill::Reflect => assert_eq!(
                far, 0,
                "{:?}, fill {}, {:?}",
                sizes[case.picture], case.fill, case.transform
            ),
            Fill::Wrap | Fill::Constant(_) => {
                jumps += far;
                could_jump += pairs.len();
            }
        }
    }
    let share = jumps as f64 / could_jump as f64;
    assert!(share < BESIDE_THE_EDGE, "{jumps} of {could_jump} differ");
}

/// Half and quarter turns put whole edges exactly on the outermost pixels. In f64 the cosine of 90
/// degrees is 6e-17, so that scipy takes some of these pixels for outside, by chance; here they are
/// inside.
fn assert_only_edges_differ(pairs: &[(f32, f32)], side: usize) {
    for (index, (found, expected)) in pairs.iter().enumerate() {
        let (row, column) = (index / 3 / side, index / 3 % side);
        let on_edge = [row, column].iter().any(|&k| k == 0 || k == side - 1);
        assert!(
            (found - expected).abs() < 0.01 || (on_edge && *expected == 77.5),
            "row {row}, column {column}: {found} and {expected}"
        );
    }
}

#[test]
fn brightness_is_keras_brightness() {
    let every_byte = (0..=255).flat_map(|byte| [byte; 3]).collect::<Vec<u8>>();
    let flat = Tensor::from_slice(&[201u8; 12 * 12 * 3]).view([1, 12, 12, 3]);
    let pictures = [
        Tensor::from_slice(&every_byte).view([1, 16, 16, 3]),
        noise(3, 1, 60, 60),
        flat,
    ];
    let factors = [0.0, 0.2, 1.0 / 3.0, 0.5, 0.999, 1.0, 1.1, 1.7, 2.5, 300.0];
    let case = |picture, transform| Case {
        picture,
        fill: Fill::Nearest,
        transform,
    };
    let mut cases = Vec::new();
    for factor in factors {
        let still = Transform {
            brightness: Some(factor),
            ..Transform::identity()
        };
        let turned = Transform {
            theta: 27.0,
            tx: 3.3,
            zy: 0.83,
            ..still
        };
        cases.extend([case(0, still), case(1, turned), case(2, turned)]);
    }
    for (case, pairs) in cases.iter().zip(both(&cases, &pictures)) {
        let factor = case.transform.brightness.unwrap();
        let far = pairs.iter().filter(|(found, expected)| found != expected);
        let name = format!("picture {}, brightness {factor}", case.picture);
        if case.picture != 1 {
            // Whole numbers before and after, by the same arithmetic. In a flat picture, too, no
            // 200.9999 may become 200.
            assert_eq!(far.count(), 0, "{name}");
            continue;
        }
        // Interpolated noise is cut off to bytes, and what lies within 1/256 below one counts as
        // that byte: 0.4 % of values, plus those that rounding (0.005 each way) takes across.
        // A byte more or less becomes the factor more or less.
        let shares = far.clone().count() as f64 / pairs.len() as f64;
        assert!(shares < 0.015, "{name}: {shares}");
        for (found, expected) in far {
            assert!(
                f64::from((found - expected).abs()) <= factor + 1.0,
                "{name}: {found} and {expected}"
            );
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let products = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b));
    products.sum::<f64>() / a.len() as f64
}

/// How many transforms both draw; the limits below follow from it.
const DRAWS: usize = 20_000;

/// Compares, parameter by parameter, with the values that Keras drew.
fn assert_draws_are_keras_draws(drawn: &[Transform], keras: &Value) {
    let of_keras = |name: &str| {
        let values = keras[name].as_array().unwrap();
        values
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    let ours = |read: fn(&Transform) -> f64| drawn.iter().map(read).collect::<Vec<_>>();
    type Read = fn(&Transform) -> f64;
    let parameters: [(&str, Read); 9] = [
        ("theta", |t| t.theta),
        ("tx", |t| t.tx),
        ("ty", |t| t.ty),
        ("shear", |t| t.shear),
        ("zx", |t| t.zx),
        ("zy", |t| t.zy),
        ("flip_horizontal", |t| t.flip_horizontal.into()),
        ("flip_vertical", |t| t.flip_vertical.into()),
        ("brightness", |t| t.brightness.unwrap_or(0.0)),
    ];
    for (name, read) in parameters {
        let (found, expected) = (ours(read), of_keras(name));
        let range = |values: &[f64]| {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (low, high)
        };
        let ((low, high), (keras_low, keras_high)) = (range(&found), range(&expected));
        let half = (keras_high - keras_low) / 2.0;
        // The outermost of 20,000 even draws lies a 20,000th of the range from its end, on average;
        // ten times as far away is a chance of e^-10.
        assert!((low - keras_low).abs() <= 1e-3 * half, "{name}: {low}");
        assert!((high - keras_high).abs() <= 1e-3 * half, "{name}: {high}");
        // Even draws from -1 to 1 deviate by 0.577: the mean of 20,000 by 0.0041, the difference of
        // two such by 0.0058. Their deviation is off by 0.0026, and the difference by 0.0037. Flips,
        // -1 or 1, deviate by 1: their means by 0.0071 and 0.01. Five times that.
        let slack = if name.starts_with("flip") { 0.05 } else { 0.03 };
        let difference = (mean(&found) - mean(&expected)).abs();
        assert!(difference <= slack * half, "{name}: mean {difference}");
        let deviation = |values: &[f64]| covariance(values, values).sqrt();
        let difference = (deviation(&found) - deviation(&expected)).abs();
        assert!(difference <= 0.02 * half, "{name}: deviation {difference}");
    }
    // Independent draws: correlations of 20,000 pairs deviate from 0 by 0.007; five times that.
    let pairs: [(Read, Read); 4] = [
        (|t| t.zx, |t| t.zy),
        (|t| t.tx, |t| t.ty),
        (|t| t.theta, |t| t.shear),
        (|t| t.flip_horizontal.into(), |t| t.flip_vertical.into()),
    ];
    for (index, (a, b)) in pairs.into_iter().enumerate() {
        let (a, b) = (ours(a), ours(b));
        let scale = (covariance(&a, &a) * covariance(&b, &b)).sqrt();
        let correlation = covariance(&a, &b) / scale.max(f64::MIN_POSITIVE);
        assert!(correlation.abs() < 0.035, "pair {index}: {correlation}");
    }
}

#[test]
fn transforms_are_drawn_as_keras_draws_them() {
    let (height, width) = (100, 150);
    let all = Augment::lesson()
        .height_shift(0.3)
        .vertical_flip()
        .brightness(0.5, 1.5);
    let pixels_and_pairs = Augment::none()
        .width_shift(7.5)
        .height_shift(1.0)
        .zoom_range(0.5, 0.9);
    let arguments = [
        json!({
            "rotation_range": 40, "width_shift_range": 0.2, "height_shift_range": 0.3,
            "shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": true, "vertical_flip": true,
            "brightness_range": [0.5, 1.5],
        }),
        json!({
            "width_shift_range": 7.5, "height_shift_range": 1.0, "zoom_range": [0.5, 0.9],
        }),
    ]
    .map(|arguments| json!({"n": DRAWS, "height": height, "width": width, "arguments": arguments}));
    let folder = tempfile::tempdir().unwrap();
    let options = folder.path().join("options");
    std::fs::write(&options, serde_json::to_vec(&arguments).unwrap()).unwrap();
    let keras = crate::common::python("keras_augment.py", &[Path::new("draw"), &options]);
    let keras: Value = serde_json::from_str(&keras).unwrap();
    for (index, augment) in [all, pixels_and_pairs].into_iter().enumerate() {
        let drawn = augment.transforms(DRAWS, (height, width), 0).unwrap();
        assert_draws_are_keras_draws(&drawn, &keras[index]);
    }
}

#[test]
fn one_seed_gives_the_same_transforms_and_another_seed_others() {
    let draw = |seed| Augment::lesson().transforms(5, (150, 150), seed).unwrap();
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
    assert_eq!(
        draw(3)[..2],
        Augment::lesson().transforms(2, (150, 150), 3).unwrap()
    );
    let none = Augment::none().transforms(3, (150, 150), 3).unwrap();
    assert_eq!(none, [Transform::identity(); 3]);
}

#[test]
fn a_batch_is_its_pictures_one_by_one() {
    let mut transforms = transforms(20, 30);
    for (k, transform) in transforms.iter_mut().enumerate() {
        transform.brightness = [None, Some(0.4), Some(1.8)][k % 3];
    }
    let n = transforms.len();
    let pixels = noise(8, n, 20, 30);
    for fill in [
        Fill::Nearest,
        Fill::Wrap,
        Fill::Reflect,
        Fill::Constant(9.0),
    ] {
        let augment = Augment::none().fill(fill);
        let batch = augment.apply(&pixels, &transforms).unwrap();
        let floats = pixels.to_kind(Kind::Float);
        assert_eq!(batch, augment.apply(&floats, &transforms).unwrap());
        for (k, transform) in transforms.iter().enumerate() {
            let one = augment
                .apply(&pixels.narrow(0, k as i64, 1), &[*transform])
                .unwrap();
            assert_eq!(batch.narrow(0, k as i64, 1), one, "{k}: {transform:?}");
        }
        // The pixels that were given are still the same.
        assert_eq!(floats, pixels.to_kind(Kind::Float));
    }
}

#[test]
fn what_does_not_move_keeps_every_byte() {
    let pixels = noise(1, 4, 7, 10);
    let still = Transform::identity();
    let mut transforms = [still; 4];
    transforms[1].flip_horizontal = true;
    transforms[2].flip_vertical = true;
    (transforms[3].flip_horizontal, transforms[3].flip_vertical) = (true, true);
    let one = |k: i64| pixels.narrow(0, k, 1);
    let expected = [
        one(0),
        one(1).flip([2]),
        one(2).flip([1]),
        one(3).flip([1, 2]),
    ];
    let expected = Tensor::cat(&expected, 0).to_kind(Kind::Float);
    let found = Augment::none().apply(&pixels, &transforms).unwrap();
    assert_eq!(found, expected);
    // Beside a picture that moves they do not move either.
    transforms[0].theta = 10.0;
    let beside = Augment::none().apply(&pixels, &transforms).unwrap();
    assert_eq!(beside.narrow(0, 1, 3), expected.narrow(0, 1, 3));
    assert_ne!(beside.narrow(0, 0, 1), expected.narrow(0, 0, 1));
    // No pictures, no transforms, no error.
    let nothing = Augment::none().apply(&pixels.narrow(0, 0, 0), &[]).unwrap();
    assert_eq!(nothing.size(), [0, 7, 10, 3]);
}

#[test]
fn refused_options_are_named() {
    let lesson = Augment::lesson;
    for (augment, name) in [
        (lesson().rotation(-1.0), "rotation"),
        (lesson().rotation(f64::NAN), "rotation"),
        (lesson().width_shift(f64::INFINITY), "width_shift"),
        (lesson().height_shift(-0.1), "height_shift"),
        (lesson().shear(-3.0), "shear"),
        (lesson().zoom(1.0), "zoom"),
        (lesson().zoom(-0.2), "zoom"),
        (lesson().zoom_range(0.0, 1.0), "zoom"),
        (lesson().zoom_range(1.2, 0.8), "zoom"),
        (lesson().zoom_range(0.5, f64::NAN), "zoom"),
        (lesson().brightness(1.0, 0.5), "brightness"),
        (lesson().brightness(-0.5, 0.5), "brightness"),
        (lesson().fill(Fill::Constant(256.0)), "fill"),
        (lesson().fill(Fill::Constant(f64::NAN)), "fill"),
    ] {
        let by_check = augment.check().unwrap_err();
        let by_apply = augment.apply(&noise(0, 1, 4, 4), &[Transform::identity()]);
        for error in [by_check, by_apply.unwrap_err()] {
            match &error {
                Error::Argument { argument, .. } => assert_eq!(*argument, name, "{error}"),
                other => panic!("{other}"),
            }
        }
    }
    for augment in [Augment::none(), lesson(), lesson().brightness(0.0, 0.0)] {
        augment.check().unwrap();
    }
}

#[test]
fn pixels_and_transforms_that_do_not_fit_are_errors() {
    let pixels = noise(0, 2, 4, 5);
    let still = Transform::identity();
    let apply = |pixels: &Tensor, transforms: &[Transform]| {
        let error = Augment::lesson().apply(pixels, transforms).unwrap_err();
        error.to_string()
    };
    let text = apply(&pixels, &[still]);
    assert!(
        text.contains("2 transforms") && text.contains("found 1"),
        "{text}"
    );
    for wrong in [
        pixels.get(0),
        pixels.permute([0, 3, 1, 2]),
        pixels.narrow(3, 0, 1),
        pixels.narrow(1, 0, 0),
        pixels.to_kind(Kind::Int64),
        pixels.to_kind(Kind::BFloat16),
    ] {
        let text = apply(&wrong, &[still, still]);
        assert!(text.contains("(N, H, W, 3), Uint8 or Float"), "{text}");
    }
    let endless = Transform {
        tx: f64::INFINITY,
        ..still
    };
    let text = apply(&pixels, &[still, endless]);
    assert!(text.contains("finite"), "{text}");
}

#[test]
fn options_show_and_store_themselves() {
    let lesson = Augment::lesson();
    assert_eq!(
        lesson.to_string(),
        "rotation 40°, shifts 0.2, shear 0.2°, zoom 0.2, horizontal flip"
    );
    let other = Augment::none()
        .width_shift(3.0)
        .vertical_flip()
        .brightness(0.5, 2.0)
        .fill(Fill::Constant(255.0));
    assert_eq!(
        other.to_string(),
        "width shift 3, vertical flip, brightness 0.5 to 2, fill constant 255"
    );
    assert_eq!(Augment::none().to_string(), "no augmentation");
    let table = other.table().to_string();
    for part in [
        "-3 to 3 pixels",
        "0.5 to 2",
        "half of the pictures",
        "constant 255",
    ] {
        assert!(table.contains(part), "{part} is missing in\n{table}");
    }
    assert!(
        lesson
            .table()
            .to_string()
            .contains("-0.2 to 0.2 of the width")
    );
    assert!(Augment::none().fill(Fill::Wrap).is_none() && Augment::default().is_none());
    assert!(!lesson.is_none() && !other.is_none());
    for augment in [lesson, other, Augment::none()] {
        let stored = serde_json::to_string(&augment).unwrap();
        assert_eq!(serde_json::from_str::<Augment>(&stored).unwrap(), augment);
    }
}

#[test]
fn a_dataset_shows_the_original_beside_its_versions() {
    let data = Data::open(crate::common::repository("data/samples")).unwrap();
    let figure = data.train.show_augmented(&Augment::lesson(), 9).unwrap();
    let text = figure.to_string();
    for part in ["cat.0.jpg", "rotation 40°", "10 pictures"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let svg = figure.to_svg().unwrap();
    assert!(svg.contains("original") && svg.contains("version 9"));
    let refused = |augment: Augment, n| data.train.show_augmented(&augment, n).unwrap_err();
    for n in [0, 100, usize::MAX] {
        let error = refused(Augment::lesson(), n);
        assert!(matches!(error, Error::Argument { argument: "n", .. }));
    }
    assert!(matches!(
        refused(Augment::none().zoom(2.0), 1),
        Error::Argument {
            argument: "zoom",
            ..
        }
    ));
    let empty = data.train.take(0).show_augmented(&Augment::lesson(), 1);
    assert!(matches!(empty, Err(Error::Dataset { .. })));
}
