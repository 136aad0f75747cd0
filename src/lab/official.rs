//! The official files of the lesson: their addresses, sizes and sums, and what the file of names holds.

use std::collections::HashMap;

use crate::files::remote::Remote;
use crate::lab::pretrained::Pretrained;
use crate::network::architecture::Architecture;

/// Where Keras keeps its weight files; their sums are in keras/src/applications/ (vgg16.py, vgg19.py,
/// resnet.py, inception_v3.py).
const WEIGHTS_URL: &str = "https://storage.googleapis.com/tensorflow/keras-applications";
/// The lesson's pictures: 2,000 + 1,000 of the Kaggle competition "Dogs vs. Cats".
const PICTURES_URL: &str =
    "https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip";
/// The names of ImageNet's classes; address and sum are in keras/src/applications/imagenet_utils.py.
const CLASS_NAMES_URL: &str =
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json";
const CLASS_NAMES_MD5: &str = "c2c37ea517e94d9795004a39431a14cb";
const PICTURES_BYTES: u64 = 68_606_236;
/// Google publishes no sum of the pictures. This one stands in the record that Git LFS made of PlaidML's copy of the very
/// file, of that many bytes (github.com/plaidml/depot, datasets/cats_and_dogs_filtered.zip, 2019).
const PICTURES_SHA256: &str = "91af24e0be191e9380dafc8710d0933fa826ec8e51f26f85c1fddba4e8018e3f";

/// The archive of the lesson's pictures.
pub(crate) fn pictures() -> Remote {
    Remote::new(PICTURES_URL)
        .bytes(PICTURES_BYTES)
        .sha256(PICTURES_SHA256)
}

/// The official weight file of a network.
pub(crate) fn weights(network: Pretrained) -> Remote {
    let Pretrained {
        architecture,
        with_top,
    } = network;
    let (folder, whole, without_top) = match architecture {
        Architecture::Vgg16 => (
            "vgg16",
            "64373286793e3c8b2b4e3219cbf3544b",
            "6d6bbae143d832006294945121d1f1fc",
        ),
        Architecture::Vgg19 => (
            "vgg19",
            "cbe5617147190e668d6c5d5026f83318",
            "253f8cb515780f3b799900260a226db6",
        ),
        Architecture::ResNet50 => (
            "resnet",
            "2cb95161c43110f7111970584f804107",
            "4d473c1dd8becc155b73f8504c6f6626",
        ),
        Architecture::ResNet101 => (
            "resnet",
            "f1aeb4b969a6efcfb50fad2f0c20cfc5",
            "88cf7a10940856eca736dc7b7e228a21",
        ),
        Architecture::ResNet152 => (
            "resnet",
            "100835be76be38e30d865e96f2aaae62",
            "ee4c566cf9a93f14d82f913c2dc6dd0c",
        ),
        Architecture::ResNet50V2 => (
            "resnet",
            "3ef43a0b657b3be2300d5770ece849e0",
            "fac2f116257151a9d068a22e544a4917",
        ),
        Architecture::ResNet101V2 => (
            "resnet",
            "6343647c601c52e1368623803854d971",
            "c0ed64b8031c3730f411d2eb4eea35b5",
        ),
        Architecture::ResNet152V2 => (
            "resnet",
            "a49b44d1979771252814e80f8ec446f9",
            "ed17cf2e0169df9d443503ef94b23b33",
        ),
        Architecture::InceptionV3 => (
            "inception_v3",
            "9a0d58056eeedaa3f26cb7ebd46da564",
            "bcbd6486424b2319ff4ef7d526e38f63",
        ),
        // Refused before: nobody has trained it for others.
        Architecture::SmallConvNet => ("", "", ""),
    };
    let (top, md5) = match with_top {
        true => ("", whole),
        false => ("_notop", without_top),
    };
    Remote::new(format!(
        "{WEIGHTS_URL}/{folder}/{architecture}_weights_tf_dim_ordering_tf_kernels{top}.h5"
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
    fn the_pictures_are_known_by_their_sum() {
        assert!(pictures().sum.is_some());
    }

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
