//! The official files of the lesson: their addresses, sizes and sums, and what the file of names holds.

use std::collections::HashMap;

use crate::files::remote::Remote;
use crate::lab::pretrained::Pretrained;
use crate::network::architecture::Architecture;

/// Where Keras keeps its weight files; their sums are in keras/src/applications/vgg16.py, vgg19.py.
const WEIGHTS_URL: &str = "https://storage.googleapis.com/tensorflow/keras-applications";
/// The lesson's pictures: 2,000 + 1,000 of the Kaggle competition "Dogs vs. Cats".
const PICTURES_URL: &str =
    "https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip";
/// The names of ImageNet's classes; address and sum are in keras/src/applications/imagenet_utils.py.
const CLASS_NAMES_URL: &str =
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json";
const CLASS_NAMES_MD5: &str = "c2c37ea517e94d9795004a39431a14cb";
const PICTURES_BYTES: u64 = 68_606_236;

/// The archive of the lesson's pictures.
pub(crate) fn pictures() -> Remote {
    Remote::new(PICTURES_URL).bytes(PICTURES_BYTES)
}

/// The official weight file of a network.
pub(crate) fn weights(network: Pretrained) -> Remote {
    let Pretrained {
        architecture,
        with_top,
    } = network;
    let md5 = match (architecture, with_top) {
        (Architecture::Vgg16, false) => "6d6bbae143d832006294945121d1f1fc",
        (Architecture::Vgg16, true) => "64373286793e3c8b2b4e3219cbf3544b",
        (Architecture::Vgg19, false) => "253f8cb515780f3b799900260a226db6",
        (Architecture::Vgg19, true) => "cbe5617147190e668d6c5d5026f83318",
        // Refused before: nobody has trained it for others.
        (Architecture::SmallConvNet, _) => "",
    };
    let top = if with_top { "" } else { "_notop" };
    Remote::new(format!(
        "{WEIGHTS_URL}/{architecture}/{architecture}_weights_tf_dim_ordering_tf_kernels{top}.h5"
    ))
    .md5(md5)
}

/// The names of ImageNet's classes.
pub(crate) fn class_names() -> Remote {
    Remote::new(CLASS_NAMES_URL).md5(CLASS_NAMES_MD5)
}

/// The names in Keras' file, `{"0": ["n01440764", "tench"], ...}`, in the order of their numbers.
pub(crate) fn names_in(text: &[u8]) -> serde_json::Result<Vec<String>> {
    let all: HashMap<usize, (String, String)> = serde_json::from_slice(text)?;
    let names = (0..all.len()).map_while(|number| all.get(&number));
    Ok(names.map(|(_, name)| name.replace('_', " ")).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn class_names_come_in_the_order_of_their_numbers() {
        // As Keras' file has them: in the order of its keys as text.
        let text = br#"{"0": ["n01440764", "tench"], "10": ["n01530575", "brambling"],
            "1": ["n01443537", "goldfish"], "2": ["n01484850", "great_white_shark"]}"#;
        // What comes after a gap has no place.
        assert_eq!(
            names_in(text).unwrap(),
            ["tench", "goldfish", "great white shark"]
        );
        assert!(names_in(b"<html>").is_err());
    }
}
