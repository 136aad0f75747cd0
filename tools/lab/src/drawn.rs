//! The drawn cats and dogs that stand in for the lesson's photographs where there is no network.
//!
//! `tools/samples` draws them with the seed of the few in `data/samples`, which come with the repository and
//! are too few to learn from. They are made beside their place and renamed: `data/drawn` is whole or not there.

use std::fs;
use std::path::Path;

use checkout::place::Place;
use checkout::say;

use crate::disk;
use crate::programs;
use crate::trouble::{Result, Trouble};

/// Pictures of each class, by the part of the data: as many as a quick run takes of the photographs.
const PARTS: [(&str, usize); 2] = [("train", 200), ("validation", 100)];
const CLASSES: [&str; 2] = ["cats", "dogs"];

/// Whether all of them are there.
pub fn are_complete(place: &Place) -> bool {
    hold(&place.root.join("data/drawn"), &PARTS)
}

/// Whether the class folders hold so many files each. More do no harm: a desktop leaves its own.
fn hold(folder: &Path, parts: &[(&str, usize)]) -> bool {
    parts.iter().all(|(part, count)| {
        CLASSES.iter().all(|class| {
            let files = fs::read_dir(folder.join(part).join(class));
            files.is_ok_and(|files| files.count() >= *count)
        })
    })
}

/// Draws them.
pub fn draw(place: &Place) -> Result<()> {
    let [(_, train), (_, validation)] = PARTS;
    say::line(format!(
        "  drawing {} + {} cats and dogs for lessons without a network: about a minute",
        train * CLASSES.len(),
        validation * CLASSES.len()
    ));
    let folder = place.root.join("data/drawn");
    let fresh = place.root.join("data/drawn.new");
    // What an interrupted run has left.
    disk::remove(&fresh)?;
    let (train, validation) = (train.to_string(), validation.to_string());
    let run = ["run", "--locked", "--package", "samples", "--"];
    let status = programs::cargo(place, run)
        .args(["--train", &train, "--validation", &validation, "--out"])
        .arg(&fresh)
        .status()
        .map_err(|error| Trouble::program("cargo", &error))?;
    if !status.success() || !hold(&fresh, &PARTS) {
        return Err(Trouble::new(
            "the pictures could not be drawn",
            "the reason stands above; mend it and run the command again",
        ));
    }
    // An older one that lacks some.
    disk::remove(&folder)?;
    fs::rename(&fresh, &folder).map_err(|error| Trouble::file("write", &folder, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_lacks_pictures_is_not_complete() {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/samples");
        assert!(hold(&committed, &[("train", 30), ("validation", 15)]));
        assert!(!hold(&committed, &[("train", 30), ("validation", 16)]));
        assert!(!hold(&committed.join("absent"), &PARTS));
    }
}
