//! Decoding, resizing, scaling, folders and augmentation.

use std::collections::HashMap;
use std::path::Path;

use evcxr_transfer::{
    Augment, Base, Dataset, Device, Fill, Interpolation, Normalization, Photo, Precision, Scaling,
    Tensor, Transform, Weights,
};
use md5::{Digest, Md5};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use crate::report::{
    Golden, Report, Tolerance, count, distance, flat, kolmogorov, larger, list, noise, number,
    numbers, text, unequal, worst,
};

/// No difference at all.
const PIXELS: Tolerance = Tolerance {
    most: 0.0,
    why: "whole numbers by the same arithmetic",
};

const SCALING: Tolerance = Tolerance {
    most: 0.0,
    why: "the same f32 operation on each byte",
};

const NAMES: Tolerance = Tolerance {
    most: 0.0,
    why: "names and numbers",
};

const MOVED: Tolerance = Tolerance {
    most: 6e-3,
    why: "grey levels of 255; places are f32 here, f64 in scipy: off by 1e-7 of a side of 24, times 5 far \
          outside, times 255 in two directions",
};

const BRIGHTNESS: Tolerance = Tolerance {
    most: 0.0,
    why: "whole grey levels by the same arithmetic",
};

/// `kolmogorov` of the 20,000 draws on each side.
const DRAWS: Tolerance = Tolerance {
    most: 0.0269,
    why: "Kolmogorov-Smirnov distance of 20,000 draws each: a larger one has a chance of 1e-6",
};

const ENDS: Tolerance = Tolerance {
    most: 1e-3,
    why: "share of the range; the outermost of 20,000 draws lies 5e-5 from the end on average",
};

const FLIPS: Tolerance = Tolerance {
    most: 0.025,
    why: "five standard deviations of the difference of two shares of 20,000 draws",
};

fn md5(bytes: &[u8]) -> String {
    let digits = Md5::digest(bytes);
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many of a picture's versions are not those of Pillow.
fn wrong_versions(path: &Path, expected: &Value) -> usize {
    let photo = Photo::open(path).unwrap();
    let mut wrong = 0;
    for (version, expected) in expected.as_object().unwrap() {
        let Some((how, size)) = version.split_once(' ').filter(|_| expected.is_object()) else {
            wrong += usize::from(md5(photo.bytes()) != text(expected));
            continue;
        };
        let how = match how {
            "nearest" => Interpolation::Nearest,
            "bilinear" => Interpolation::Bilinear,
            _ => Interpolation::Bicubic,
        };
        let size = size.parse::<usize>().unwrap();
        let found = photo.resize(size, size, how).unwrap();
        if md5(found.bytes()) != text(&expected["md5"]) {
            // The crop says how far off; tests/library/pixels.rs compares whole pictures.
            let crop = found.to_array();
            let crop = crop.slice(ndarray::s![
                size / 2..size / 2 + 8,
                size / 2..size / 2 + 8,
                ..
            ]);
            let crop = crop.iter().map(|&byte| f64::from(byte));
            let off = worst(crop, numbers(&expected["crop"]));
            println!("{}, {version}: the crop is off by {off}", path.display());
            wrong += 1;
        }
    }
    wrong
}

/// A line for each kind of file, and one for the drawn samples.
pub fn pixels(report: &mut Report) {
    let golden = Golden::open("pixels.json");
    let pillow = golden.made_by("Pillow");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/samples");
    let mut of_samples = 0;
    for (name, expected) in golden.json.as_object().unwrap() {
        if name == "about" {
            continue;
        }
        if name.contains('/') {
            of_samples += wrong_versions(&samples.join(name), expected);
            continue;
        }
        let wrong = wrong_versions(
            &crate::report::folder().join("pictures").join(name),
            expected,
        );
        let quantity = format!("pixels of {name}, of 7 versions those with any other byte");
        report.add(quantity, &pillow, wrong as f64, PIXELS);
    }
    report.add(
        "pixels of the 90 drawn samples, of 2 versions each those with any other byte",
        &pillow,
        of_samples as f64,
        PIXELS,
    );
}

/// A file of weights whose first layer hands on what it gets: channels 0 to 2 the positive parts of
/// red, green and blue (or what the scaling makes of them), 3 to 5 the negative ones.
fn handing_on(path: &Path) {
    let mut tensors = HashMap::new();
    let mut inputs = 3;
    for (block, (convolutions, filters)) in
        (1..).zip([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)])
    {
        for layer in 1..=convolutions {
            let name = format!("block{block}_conv{layer}");
            tensors.insert(format!("{name}.bias"), (vec![filters], vec![0f32; filters]));
            let kernel = vec![0f32; 9 * inputs * filters];
            tensors.insert(
                format!("{name}.kernel"),
                (vec![3, 3, inputs, filters], kernel),
            );
            inputs = filters;
        }
    }
    let (_, kernel) = tensors.get_mut("block1_conv1.kernel").unwrap();
    for channel in 0..3 {
        // The tap in the middle, number 4 of 9.
        let start = (4 * 3 + channel) * 64;
        kernel[start + channel] = 1.0;
        kernel[start + 3 + channel] = -1.0;
    }
    let bytes = tensors.iter().map(|(name, (shape, values))| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        (name, shape, bytes.collect::<Vec<u8>>())
    });
    let bytes = bytes.collect::<Vec<_>>();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize_to_file(views.collect::<Vec<_>>(), None, path).unwrap();
}

/// What the first layer of a base gets for every byte. Nothing public shows it but the first layer.
pub fn scaling(report: &mut Report) {
    let golden = Golden::open("scaling.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    handing_on(&path);
    let weights = Weights::load(&path).unwrap();
    // Every byte four times, in all channels.
    let bytes = (0..32 * 32).flat_map(|place| [(place % 256) as u8; 3]);
    let photo = Photo::from_pixels("every byte", 32, 32, bytes.collect()).unwrap();
    let (mean, deviation) = (
        [0.48145466, 0.4578275, 0.40821073],
        [0.26862954, 0.2613026, 0.2757771],
    );
    let told = Normalization::new(mean, deviation).unwrap();
    for (key, scaling, reference, tolerance) in [
        ("unit", Scaling::Unit, "Keras", SCALING),
        ("caffe", Scaling::Caffe, "Keras", SCALING),
        ("tf", Scaling::Tf, "Keras", SCALING),
        ("torch", Scaling::Torch, "torchvision", SCALING),
        ("told", told.into(), "torchvision", SCALING),
    ] {
        let base = Base::vgg16(32, &weights, Device::Cpu, Precision::F32).unwrap();
        let maps = base
            .scaling(scaling)
            .feature_maps(&photo, "block1_conv1")
            .unwrap();
        let maps = maps.array();
        let expected = numbers(&golden.json[key]);
        let mut off = 0.0_f64;
        for place in 0..32 * 32 {
            let (row, column) = (place / 32, place % 32);
            let found = (0..3).map(|channel| {
                let at = |channel| f64::from(maps[[row, column, channel]]);
                at(channel) - at(3 + channel)
            });
            let byte = place % 256;
            off = larger(
                off,
                worst(found, expected[3 * byte..3 * byte + 3].iter().copied()),
            );
        }
        let name = match scaling {
            Scaling::Unit => "pixels scaled by 1/255, every byte",
            Scaling::Caffe => "preprocess_input, every byte",
            Scaling::Tf => "preprocess_input of InceptionV3, every byte",
            Scaling::Torch => "torchvision's normalisation, every byte",
            Scaling::Normalization(_) => {
                "torchvision's Normalize with CLIP's mean and deviation, every byte"
            }
        };
        report.add(name, &golden.made_by(reference), off, tolerance);
    }
}

pub fn folders(report: &mut Report) {
    let golden = Golden::open("folders.json");
    let folder = tempfile::tempdir().unwrap();
    for name in list(&golden.json["made"]) {
        let path = folder.path().join(text(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }
    let dataset = Dataset::open(folder.path()).unwrap();
    let files = dataset.files().iter().map(|file| {
        let inside = file.strip_prefix(folder.path()).unwrap();
        inside.to_str().unwrap().to_owned()
    });
    let texts = |value: &Value| {
        let texts = list(value).iter().map(|value| text(value).to_owned());
        texts.collect::<Vec<_>>()
    };
    let labels = list(&golden.json["labels"]).iter().map(count);
    let wrong = unequal(dataset.classes(), &texts(&golden.json["classes"]))
        + unequal(&files.collect::<Vec<_>>(), &texts(&golden.json["files"]))
        + unequal(dataset.labels(), &labels.collect::<Vec<_>>());
    report.add(
        "flow_from_directory: classes, files and labels of odd names, in order (entries that differ)",
        &golden.made_by("Keras"),
        wrong,
        NAMES,
    );
}

fn transform(case: &Value) -> (Fill, Transform) {
    let fill = match text(&case["fill"]) {
        "nearest" => Fill::Nearest,
        "reflect" => Fill::Reflect,
        "wrap" => Fill::Wrap,
        _ => Fill::Constant(number(&case["value"])),
    };
    let transform = Transform {
        theta: number(&case["theta"]),
        tx: number(&case["tx"]),
        ty: number(&case["ty"]),
        shear: number(&case["shear"]),
        zx: number(&case["zx"]),
        zy: number(&case["zy"]),
        flip_horizontal: case["flip_horizontal"] == true,
        flip_vertical: case["flip_vertical"] == true,
        brightness: case["brightness"].as_f64(),
    };
    (fill, transform)
}

pub fn transforms(report: &mut Report, device: Device, suffix: &str) {
    let golden = Golden::open("transforms.safetensors");
    let [height, width] = ["height", "width"].map(|key| count(&golden.json[key]));
    let pixels = Tensor::from_slice(&noise(golden.seed("noise"), height * width * 3));
    let pixels = pixels.view([1, height as i64, width as i64, 3]);
    let (mut moved, mut brightened) = (0.0_f64, 0.0_f64);
    for (index, case) in list(&golden.json["cases"]).iter().enumerate() {
        let (fill, transform) = transform(case);
        let augment = Augment::none().fill(fill);
        let found = augment
            .apply(&pixels.to_device(device), &[transform])
            .unwrap();
        let expected = golden.tensor(&index.to_string());
        let off = worst(flat(&found), flat(expected));
        match transform.brightness {
            None => moved = larger(moved, off),
            Some(_) => brightened = larger(brightened, off),
        }
    }
    let keras = golden.made_by("Keras");
    report.add(
        format!("affine augmentation of noise, four fills, grey levels{suffix}"),
        &keras,
        moved,
        MOVED,
    );
    report.add(
        format!("brightness of noise, grey levels{suffix}"),
        &keras,
        brightened,
        BRIGHTNESS,
    );
}

pub fn draws(report: &mut Report) {
    let golden = Golden::open("draws.json");
    let keras = golden.made_by("Keras");
    let n = count(&golden.json["n"]);
    assert!((DRAWS.most - kolmogorov(n as f64, n as f64)).abs() < 1e-4);
    let levels = numbers(&golden.json["levels"]);
    let size = numbers(&golden.json["size"]);
    let size = (size[0] as usize, size[1] as usize);
    let others = Augment::none()
        .width_shift(7.5)
        .height_shift(0.3)
        .zoom_range(0.5, 0.9)
        .vertical_flip()
        .brightness(0.5, 1.5);
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
    let (mut ends, mut fixed) = (0.0_f64, 0.0_f64);
    for (options, augment) in [("lesson", Augment::lesson()), ("others", others)] {
        let drawn = augment.transforms(n, size, 0).unwrap();
        for (parameter, read) in parameters {
            let expected = &golden.json[format!("{options} {parameter}")];
            let mut found = drawn.iter().map(read).collect::<Vec<_>>();
            let what = format!("draws of {parameter}, {options}");
            if let Some(share) = expected["share"].as_f64() {
                let ours = found.iter().sum::<f64>() / n as f64;
                let off = (ours - share).abs();
                if share == 0.0 {
                    fixed = larger(fixed, off);
                } else {
                    report.add(format!("{what} (share)"), &keras, off, FLIPS);
                }
            } else if let Some(always) = expected["always"].as_f64() {
                fixed = larger(fixed, worst(found, vec![always; n]));
            } else {
                let quantiles = numbers(&expected["quantiles"]);
                report.add(
                    what,
                    &keras,
                    distance(&mut found, &quantiles, &levels),
                    DRAWS,
                );
                let (low, high) = (quantiles[0], quantiles[levels.len() - 1]);
                let off = worst([found[0], found[n - 1]], [low, high]) / (high - low);
                ends = larger(ends, off);
            }
        }
    }
    report.add("draws: smallest and largest of each", &keras, ends, ENDS);
    report.add(
        "draws: parameters that were not asked for",
        &keras,
        fixed,
        NAMES,
    );
}
