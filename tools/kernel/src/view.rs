//! The crate as cells see it: one package with two lists of dependencies.
//!
//! To infer the type of `let lab = Lab::open()?;`, evcxr lets rust-analyzer read the source of every
//! crate behind `evcxr_transfer`: more than a hundred, five seconds. None but `tch` and `ndarray` shows
//! in the crate's public types. So cells depend on a package made here, `.lab/cells/evcxr_transfer`,
//! whose source is the repository's `src` and whose dependencies are
//! - for the compiler those of the repository's `Cargo.toml`,
//! - for rust-analyzer (`--cfg cell_analysis`, [`ANALYSIS`]) `ndarray` and the source
//!   of `tch` without what tch itself depends on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use checkout::place::Place;
use checkout::tree;

/// The crates that cells are checked against, for rust-analyzer, are chosen by this `--cfg`.
pub const ANALYSIS: &str = "cell_analysis";

/// The package that cells depend on.
pub fn package(place: &Place) -> PathBuf {
    place.lab().join("cells/evcxr_transfer")
}

/// Makes the package anew.
///
/// # Errors
///
/// One line: which file could not be read or written.
pub fn write(place: &Place) -> Result<(), String> {
    let package = package(place);
    let tch = place.lab().join("cells/tch");
    let manifest = read(&place.root.join("Cargo.toml"))?;
    let _ = fs::remove_dir_all(place.lab().join("cells"));
    make(&package)?;
    make(&tch)?;
    put(&package.join("Cargo.toml"), &manifest_for_cells(&manifest)?)?;
    // With its time: a newer one would make cargo build the crate again.
    let build = place.root.join("build.rs");
    tree::copy_file(&build, &package.join("build.rs"))
        .map_err(|error| format!("cannot copy {}: {error}", build.display()))?;
    for name in ["src", "data"] {
        let link = package.join(name);
        std::os::unix::fs::symlink(place.root.join(name), &link)
            .map_err(|error| format!("cannot make {}: {error}", link.display()))?;
    }
    put(
        &tch.join("Cargo.toml"),
        "[package]\nname = \"tch-view\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n\
         [lib]\nname = \"tch\"\n\n[dependencies]\nndarray = \"*\"\n",
    )?;
    let source = source_of_tch(place)?;
    tree::copy(&source, &tch.join("src"), &|_| true)
        .map_err(|error| format!("cannot copy {}: {error}", source.display()))
}

/// The manifest of the package, made from the repository's.
fn manifest_for_cells(manifest: &str) -> Result<String, String> {
    let value = |key: &str| {
        manifest
            .lines()
            .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))
            .map(str::trim)
            .ok_or_else(|| format!("Cargo.toml has no line `{key} = ...`"))
    };
    let dependencies: Vec<&str> = section(manifest, "[dependencies]")
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .collect();
    let (seen, unseen): (Vec<&str>, Vec<&str>) = dependencies
        .iter()
        .partition(|line| line.starts_with("ndarray "));
    if seen.is_empty() || !unseen.iter().any(|line| line.starts_with("tch ")) {
        return Err("Cargo.toml names no `ndarray` or no `tch` under [dependencies]".to_owned());
    }
    Ok(format!(
        "[package]\nname = \"evcxr_transfer\"\nversion = {}\nedition = {}\nbuild = \"build.rs\"\n\n\
         [dependencies]\n{}\n\n\
         [target.'cfg(not({ANALYSIS}))'.dependencies]\n{}\n\n\
         [target.'cfg({ANALYSIS})'.dependencies]\ntch-view = {{ path = \"../tch\" }}\n",
        value("version")?,
        value("edition")?,
        seen.join("\n"),
        unseen.join("\n"),
    ))
}

/// The lines of one table of a manifest.
fn section<'a>(manifest: &'a str, title: &'a str) -> impl Iterator<Item = &'a str> {
    manifest
        .lines()
        .skip_while(move |line| *line != title)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}

/// The folder in which cargo has unpacked the source of the tch that our lock file names.
fn source_of_tch(place: &Place) -> Result<PathBuf, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(&place.root)
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cannot read what `cargo metadata` prints: {error}"))?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "tch")
        .and_then(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .map(|folder| folder.join("src"))
        .ok_or_else(|| "`cargo metadata` names no package `tch`".to_owned())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dependency_of_the_crate_is_one_of_the_package() {
        let manifest = include_str!("../../../Cargo.toml");
        let text = manifest_for_cells(manifest).unwrap();
        let count = |text: &str, title: &str| {
            section(text, title)
                .filter(|line| line.contains('=') && !line.starts_with('#'))
                .count()
        };
        let all = count(manifest, "[dependencies]");
        assert!(all > 10);
        assert_eq!(count(&text, "[dependencies]"), 1);
        assert_eq!(
            count(&text, "[target.'cfg(not(cell_analysis))'.dependencies]"),
            all - 1
        );
        assert!(text.contains("edition = \"2024\""), "{text}");
        assert!(text.contains("version = \"0.1.0\""), "{text}");
    }

    #[test]
    fn a_manifest_without_what_cells_need_is_refused() {
        let error = manifest_for_cells("version = \"1\"\nedition = \"2024\"\n[dependencies]\n");
        assert!(error.unwrap_err().contains("ndarray"));
    }
}
