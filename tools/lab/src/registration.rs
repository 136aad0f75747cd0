//! What the Jupyter in `.venv`, and no other, is told: about the kernel, and not to ask about news.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use checkout::place::Place;

use crate::trouble::{Result, Trouble};

/// The name by which notebooks ask for the kernel.
const NAME: &str = "rust_transfer";

/// The name of the file with JupyterLab's settings.
const OVERRIDES: &str = "overrides.json";

/// The picture in JupyterLab's launcher.
const LOGO: &str = include_str!("../logo.svg");

/// What JupyterLab's settings are where the reader has none: no question about Jupyter's news covers the first page, and
/// nothing asks the network for them or for a newer JupyterLab. (`LabApp.news_url=None` fetches none and asks all the same.)
const SETTINGS: &str = r#"{
 "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}
}
"#;

/// Whether Jupyter knows the kernel as it is now.
pub fn is_made(place: &Place) -> bool {
    let folder = spec_folder(place);
    let is = |path: PathBuf, text: &str| fs::read_to_string(path).is_ok_and(|found| found == text);
    is(folder.join("kernel.json"), &spec(place))
        && folder.join("logo-svg.svg").is_file()
        && is(settings_folder(place).join(OVERRIDES), SETTINGS)
}

/// Tells it.
pub fn make(place: &Place) -> Result<()> {
    let write = |folder: &Path, name: &str, text: &str| {
        fs::create_dir_all(folder).map_err(|error| Trouble::file("make", folder, &error))?;
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Trouble::file("write", &path, &error))
    };
    write(&settings_folder(place), OVERRIDES, SETTINGS)?;
    let folder = spec_folder(place);
    write(&folder, "logo-svg.svg", LOGO)?;
    write(&folder, "kernel.json", &spec(place))
}

/// Where JupyterLab looks for other defaults of its settings
/// (<https://jupyterlab.readthedocs.io/en/stable/user/directories.html#overrides-json>).
fn settings_folder(place: &Place) -> PathBuf {
    place.venv().join("share/jupyter/lab/settings")
}

fn spec_folder(place: &Place) -> PathBuf {
    place.venv().join("share/jupyter/kernels").join(NAME)
}

/// The kernel's specification
/// (<https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs>).
fn spec(place: &Place) -> String {
    let program = quote(&place.program("kernel"));
    // JupyterLab may be started from a desktop whose PATH has no cargo.
    let cargo = std::env::var_os("CARGO")
        .map(PathBuf::from)
        .and_then(|cargo| Some(cargo.parent()?.to_owned()))
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo/bin")));
    let path = match cargo_on_path().or(cargo) {
        Some(folder) => format!("{}:${{PATH}}", folder.display()),
        None => "${PATH}".to_owned(),
    };
    format!(
        "{{\n \"argv\": [{program}, \"{{connection_file}}\"],\n \"display_name\": \"Rust (transfer)\",\n \
         \"language\": \"rust\",\n \"interrupt_mode\": \"message\",\n \"env\": {{\"PATH\": {}}},\n \
         \"metadata\": {{\"debugger\": false}}\n}}\n",
        quote(Path::new(&path))
    )
}

/// The folder of the cargo that a shell finds: rustup's, which knows about toolchains.
fn cargo_on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // `cargo run` puts the toolchain's own folder first; rustup lies beside its proxies.
    std::env::split_paths(&path)
        .find(|folder| folder.join("cargo").is_file() && folder.join("rustup").is_file())
}

/// A path as a JSON string.
fn quote(path: &Path) -> String {
    let mut text = String::from("\"");
    for letter in path.to_string_lossy().chars() {
        match letter {
            '"' | '\\' => {
                text.push('\\');
                text.push(letter);
            }
            letter if letter < ' ' => {
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_json() {
        assert_eq!(quote(Path::new("/a b/c")), "\"/a b/c\"");
        assert_eq!(quote(Path::new("/a\"b\\c\n")), "\"/a\\\"b\\\\c\\u000a\"");
    }

    #[test]
    fn the_specification_names_program_and_connection() {
        let place = Place {
            root: PathBuf::from("/some/where"),
        };
        let text = spec(&place);
        assert!(
            text.contains("[\"/some/where/.lab/bin/kernel\", \"{connection_file}\"]"),
            "{text}"
        );
        assert!(text.contains(":${PATH}\""), "{text}");
    }
}
