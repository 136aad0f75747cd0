//! What `cargo lab doctor` finds in the folder `data`.

use std::path::Path;

use checkout::place::Place;

use crate::finding::Finding;

/// The files of `data` that are kept or put there; all come by download on first use.
pub fn weights(place: &Place) -> Finding {
    const TITLE: &str = "weights";
    let found: Vec<String> = file_names(&place.root.join("data"))
        .into_iter()
        .filter(|name| {
            name == "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
                || name == "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
                || (name.starts_with("vgg16") && name.ends_with(".safetensors"))
        })
        .collect();
    if found.is_empty() {
        return Finding::warning(
            TITLE,
            "none in data/ yet",
            "they are downloaded on first use; without a network put vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 \
             (and ..._kernels.h5) there, or a .pth through `cargo lab convert`",
        );
    }
    Finding::ok(TITLE, found.join(", "))
}

/// Looks for the lesson's pictures.
pub fn pictures(place: &Place) -> Finding {
    const TITLE: &str = "pictures";
    let folder = place.root.join("data/cats_and_dogs_filtered");
    if folder.join("train").is_dir() && folder.join("validation").is_dir() {
        return Finding::ok(TITLE, "data/cats_and_dogs_filtered");
    }
    Finding::warning(
        TITLE,
        "data/cats_and_dogs_filtered has no train and validation yet",
        "they are downloaded on first use; without a network unpack cats_and_dogs_filtered.zip into data/",
    )
}

/// Looks for the drawn pictures, which come with the repository.
pub fn samples(place: &Place) -> Finding {
    const TITLE: &str = "drawn samples";
    if place.root.join("data/samples").is_dir() {
        return Finding::ok(TITLE, "data/samples");
    }
    Finding::warning(
        TITLE,
        "data/samples is not there; it is what runs without a network",
        "`git checkout -- data/samples`",
    )
}

fn file_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = folder
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
