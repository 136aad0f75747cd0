//! The link `.lab/libtorch` to the chosen libtorch, which every build finds through `.cargo/config.toml`.

use checkout::lock::Lock;
use checkout::place::Place;
use checkout::say;

use crate::choice::Choice;
use crate::disk;
use crate::programs;
use crate::trouble::{Result, Trouble};

/// Whether the link is there and points where it should.
pub fn is_made(place: &Place, choice: &Choice) -> bool {
    match (place.libtorch().read_link(), choice.target(place)) {
        (Ok(present), Ok(wanted)) => present == wanted && place.libtorch().join("lib").is_dir(),
        _ => false,
    }
}

/// Makes the link `.lab/libtorch`.
pub fn make(place: &Place, lock: &Lock, choice: &Choice) -> Result<()> {
    let target = choice.target(place)?;
    let link = place.libtorch();
    let before = link.read_link().ok();
    // Made to the side and renamed: whoever builds meanwhile finds the old link or the new one.
    let fresh = place.lab().join("libtorch.new");
    disk::remove(&fresh)?;
    std::os::unix::fs::symlink(&target, &fresh)
        .map_err(|error| Trouble::file("make", &fresh, &error))?;
    std::fs::rename(&fresh, &link).map_err(|error| Trouble::file("replace", &link, &error))?;
    say::line(format!("  .lab/libtorch -> {}", target.display()));
    if before.is_some_and(|before| before != target) && place.root.join("target").is_dir() {
        say::line("  it was another one before: torch-sys will be built again");
        // Cargo sees the same path in LIBTORCH and would keep what it linked, also the names of
        // CUDA libraries that the new libtorch may not have.
        for profile in ["dev", "release"] {
            let words = ["clean", "--package", "torch-sys", "--profile", profile];
            let _ = programs::cargo(place, words)
                .stdin(lock.as_input())
                .status();
        }
    }
    Ok(())
}
