//! Decoding and resizing, pixel for pixel as Pillow (and so Keras' `load_img`) does it.

use std::path::Path;

use evcxr_transfer::{Error, Interpolation, Photo};
use md5::{Digest, Md5};

#[test]
fn every_format_and_size_has_pillows_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let cases = crate::common::python("pixels.py", &[folder.path()]);
    let cases: serde_json::Value = serde_json::from_str(&cases).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 300, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let text = |key: &str| case[key].as_str().unwrap();
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let interpolation = match text("interpolation") {
            "nearest" => Interpolation::Nearest,
            "bilinear" => Interpolation::Bilinear,
            _ => Interpolation::Bicubic,
        };
        let photo = Photo::open(folder.path().join(text("file"))).unwrap();
        let resized = photo
            .resize(number("width"), number("height"), interpolation)
            .unwrap();
        let expected = std::fs::read(folder.path().join(text("expected"))).unwrap();
        // No tolerance: both are whole numbers, made by the same arithmetic.
        if resized.bytes() != expected {
            let pairs = resized.bytes().iter().zip(&expected);
            let apart = pairs.map(|(a, b)| a.abs_diff(*b));
            let (most, differing) = (apart.clone().max(), apart.filter(|&n| n > 0).count());
            let share = differing as f64 / expected.len() as f64;
            wrong.push(format!(
                "{}: a share of {share} differs, by up to {most:?}",
                text("expected")
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ: {wrong:#?}",
        wrong.len(),
        cases.len()
    );
}

#[test]
#[ignore = "needs the lesson's pictures in data/cats_and_dogs_filtered: cargo test --test library pixels:: -- --ignored"]
fn the_lessons_own_pictures_have_pillows_pixels() {
    let folder = crate::common::repository("data/cats_and_dogs_filtered");
    let pillow = crate::common::python("pixels.py", &[Path::new("--md5"), &folder]);
    let pillow: serde_json::Value = serde_json::from_str(&pillow).unwrap();
    let pillow = pillow.as_object().unwrap();
    assert_eq!(pillow.len(), 3000);
    let mut wrong = Vec::new();
    for (name, versions) in pillow {
        let photo = Photo::open(folder.join(name)).unwrap();
        for (version, expected) in versions.as_object().unwrap() {
            let (how, size) = version.split_once(' ').unwrap();
            let how = match how {
                "nearest" => Interpolation::Nearest,
                "bilinear" => Interpolation::Bilinear,
                _ => Interpolation::Bicubic,
            };
            let size = size.parse().unwrap();
            let digits = Md5::digest(photo.resize(size, size, how).unwrap().bytes());
            let found = digits.iter().map(|byte| format!("{byte:02x}"));
            // No tolerance here either.
            if found.collect::<String>() != expected.as_str().unwrap() {
                wrong.push(format!("{name}, {version}"));
            }
        }
    }
    println!("{} of 18,000 resized pictures differ", wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn damaged_and_foreign_files_are_errors_that_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(crate::common::repository(
        "data/samples/train/cats/cat.0.jpg",
    ))
    .unwrap();
    let html = b"<html>404</html>".to_vec();
    let cases = [
        ("empty.jpg", Vec::new(), "empty"),
        ("cut.jpg", whole[..whole.len() / 2].to_vec(), "truncated"),
        ("no_end.jpg", whole[..whole.len() - 2].to_vec(), "truncated"),
        ("header.jpg", whole[..30].to_vec(), ""),
        ("page.jpg", html, "not a picture"),
        ("noise.png", vec![7; 500], "not a picture"),
    ];
    for (name, bytes, reason) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Photo::open(&path).unwrap_err();
        assert!(matches!(error, Error::Picture { .. }), "{name}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(reason), "{text}");
    }
    let text = Photo::open(folder.path().join("absent.jpg"))
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("cannot read") && text.contains("absent.jpg"),
        "{text}"
    );
}

#[test]
fn a_picture_that_claims_to_be_huge_is_refused_without_taking_the_memory() {
    // A PNG header of 100,000 x 100,000 pixels: 30 GB as RGB.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend(100_000u32.to_be_bytes());
    png.extend(100_000u32.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    png.extend([0; 4]);
    assert!(matches!(
        Photo::from_bytes("bomb.png", &png),
        Err(Error::Picture { .. })
    ));
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let photo = Photo::from_pixels("dot", 1, 1, vec![1, 2, 3]).unwrap();
    for (width, height) in [
        (0, 10),
        (10, 0),
        (usize::MAX, 2),
        (70_000, 1),
        (60_000, 60_000),
    ] {
        let error = photo
            .resize(width, height, Interpolation::Nearest)
            .unwrap_err();
        assert!(
            matches!(error, Error::Argument { .. }),
            "{width} x {height}: {error:?}"
        );
    }
    assert!(Photo::from_pixels("short", 2, 2, vec![0; 11]).is_err());
    assert_eq!(photo.to_array().shape(), [1, 1, 3]);
}

/// Kinds that Pillow reads and this crate does not, each with the reason.
const NOT_READ: [(&str, &str); 7] = [
    (
        "cmyk_subsampled.jpg",
        "the JPEG library leaves the fourth component at its smaller size",
    ),
    (
        "group3.tif",
        "the `tiff` crate has no decoder of fax group 3",
    ),
    (
        "lzma.tif",
        "nor one of LZMA, which other programs than Pillow hardly write",
    ),
    ("zstd.tif", "its decoder of Zstandard would be a C library"),
    (
        "lab.tif",
        "Lab becomes RGB by a colour management that is not here",
    ),
    (
        "ycbcr.tif",
        "YCbCr without JPEG, for which libtiff has arithmetic of its own",
    ),
    (
        "float.pfm",
        "a portable map of floating point: no file of pictures for a network",
    ),
];

#[test]
fn every_kind_of_file_has_pillows_pixels_or_a_reason_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let cases = crate::common::python("kinds.py", &[folder.path()]);
    let cases: serde_json::Value = serde_json::from_str(&cases).unwrap();
    let (mut equal, mut wrong) = (0, Vec::new());
    for case in cases.as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        let found = Photo::open(folder.path().join(name));
        if let Err(error) = &found {
            // No words of a decoder's own: `UnexpectedEof`, `ChunkType { .. }`.
            let text = error.to_string();
            assert!(
                !text.contains('{') && !text.contains("Unsupported("),
                "{text}"
            );
        }
        let is_listed = NOT_READ.iter().any(|(file, _)| *file == name);
        let expected = case["expected"].as_str();
        match (found, expected) {
            (Ok(photo), Some(expected)) => {
                let expected = std::fs::read(folder.path().join(expected)).unwrap();
                let sides = [photo.width() as u64, photo.height() as u64];
                let is_so = sides == ["width", "height"].map(|side| case[side].as_u64().unwrap())
                    && photo.bytes() == expected;
                if !is_so || is_listed {
                    let pairs = photo.bytes().iter().zip(&expected);
                    let most = pairs.map(|(a, b)| a.abs_diff(*b)).max();
                    wrong.push(format!("{name}: {sides:?}, by up to {most:?}"));
                }
                equal += 1;
            }
            (Err(error), Some(_)) if !is_listed => wrong.push(format!("{name}: {error}")),
            // What Pillow refuses may be read here.
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(equal > 90, "{equal} files");
}

#[test]
fn damage_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    crate::common::python("pixels.py", &[folder.path()]);
    for name in [
        "rgb.png",
        "palette.gif",
        "rgb.bmp",
        "lzw.tif",
        "rgb.ppm",
        "lossless.webp",
    ] {
        let whole = std::fs::read(folder.path().join(name)).unwrap();
        for place in (8..whole.len()).step_by(whole.len() / 60 + 1) {
            let mut changed = whole.clone();
            changed[place] ^= 0xff;
            for bytes in [&changed[..], &whole[..place]] {
                if let Err(error) = Photo::from_bytes(name, bytes) {
                    let text = error.to_string();
                    let is_debug = ["{", "(\"", "::", "Error(", "ChunkType", "InvalidSignature"];
                    assert!(!is_debug.iter().any(|part| text.contains(part)), "{text}");
                }
            }
        }
    }
}

/// Found by damaging files for two minutes: case 3,739,567 on a grey one came out as a picture of 123 x 0. Pillow cannot
/// identify such a file.
#[test]
fn a_jpeg_without_rows_or_columns_is_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    crate::common::python("pixels.py", &[folder.path()]);
    let grey = folder.path().join("gray.jpg");
    let colours = crate::common::repository("data/samples/train/cats/cat.0.jpg");
    for path in [grey, colours] {
        let whole = std::fs::read(&path).unwrap();
        // The frame's header: its mark, length and precision, then height and width (ITU T.81, B.2.2).
        let frame = whole.windows(2).position(|pair| pair == [0xff, 0xc0]);
        let height = frame.unwrap() + 5;
        for place in [height, height + 2] {
            let mut none = whole.clone();
            none[place..place + 2].fill(0);
            let error = Photo::from_bytes("none.jpg", &none).unwrap_err();
            assert!(matches!(error, Error::Picture { .. }), "{error:?}");
        }
    }
}

/// How damaged JPEGs end that Pillow reads otherwise, at most so many of 1,000, each with the reason.
const OTHERWISE: [(&str, usize, &str); 4] = [
    (
        "invalid Huffman code",
        60,
        "in a progressive picture, a code that no table has: libjpeg takes it for a zero and goes on, the decoder here \
         gives up",
    ),
    (
        "the file is truncated",
        5,
        "a damaged length leads past the end marker; libjpeg, which looks for no segments there, comes upon it",
    ),
    (
        "read here alone",
        15,
        "damage in what no pixel comes from, such as application segments, which Pillow reads too",
    ),
    (
        "other pixels",
        5,
        "both go on behind the damage, from another bit",
    ),
];

#[test]
fn damaged_jpegs_have_pillows_pixels_or_a_reason_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [folder.path(), Path::new("1000")];
    let cases = crate::common::python("damaged_jpegs.py", &arguments);
    let cases: serde_json::Value = serde_json::from_str(&cases).unwrap();
    let (mut equal, mut refused) = (0, 0);
    let mut otherwise = std::collections::BTreeMap::<&str, Vec<String>>::new();
    for case in cases.as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        let found = Photo::open(folder.path().join(name));
        let end = match (found, case["expected"].as_str()) {
            (Err(_), None) => {
                refused += 1;
                continue;
            }
            (Ok(photo), Some(expected)) => {
                let expected = std::fs::read(folder.path().join(expected)).unwrap();
                let sides = [photo.width() as u64, photo.height() as u64];
                if sides == ["width", "height"].map(|side| case[side].as_u64().unwrap())
                    && photo.bytes() == expected
                {
                    equal += 1;
                    continue;
                }
                "other pixels".to_owned()
            }
            (Ok(_), None) => "read here alone".to_owned(),
            (Err(error), Some(_)) => error.to_string(),
        };
        let known = OTHERWISE.iter().find(|(words, ..)| end.contains(words));
        let words = known.map_or("unknown", |(words, ..)| words);
        otherwise
            .entry(words)
            .or_default()
            .push(format!("{name}: {end}"));
    }
    let counts = otherwise.iter().map(|(words, files)| (*words, files.len()));
    println!(
        "{equal} equal, {refused} refused by both, otherwise: {:?}",
        counts.collect::<Vec<_>>()
    );
    for (words, files) in otherwise {
        let known = OTHERWISE.iter().find(|(known, ..)| *known == words);
        let most = known.map_or(0, |(_, most, _)| *most);
        assert!(files.len() <= most, "{words}: {files:#?}");
    }
}
