//! Where things lie in the repository, and how this tool starts programs there.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use crate::trouble::{Result, Trouble};

/// The repository and the folders in it that the tool works on.
#[derive(Debug)]
pub struct Place {
    /// The repository's root, without symbolic links.
    pub root: PathBuf,
}

impl Place {
    /// The repository that this program belongs to.
    pub fn find() -> Result<Self> {
        // Cargo sets the variable when it runs the program, which is right even after the
        // repository was moved; the compiled-in path serves when the program is started by hand.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = PathBuf::from(package).join("../..");
        let root = root.canonicalize().map_err(|_| {
            Trouble::new(
                format!("the repository is not at {}", root.display()),
                "start the tool as `cargo lab` inside the repository",
            )
        })?;
        Ok(Self { root })
    }

    /// The Python environment.
    pub fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// The interpreter of the Python environment.
    pub fn python(&self) -> PathBuf {
        self.root.join(".venv/bin/python")
    }

    /// The tool's own folder: lock, stamps, and the link to libtorch.
    pub fn lab(&self) -> PathBuf {
        self.root.join(".lab")
    }

    /// The link that `.cargo/config.toml` hands to tch.
    pub fn libtorch(&self) -> PathBuf {
        self.root.join(".lab/libtorch")
    }

    /// The user's own `LIBTORCH`, as an absolute path.
    ///
    /// `.cargo/config.toml` sets the variable to our own link for `cargo run`, and so for this
    /// program, where the user has not set it: that value does not count.
    pub fn own_libtorch(&self) -> Option<PathBuf> {
        let folder = PathBuf::from(std::env::var_os("LIBTORCH").filter(|value| !value.is_empty())?);
        let ours = folder.ends_with(".lab/libtorch")
            && folder
                .ancestors()
                .nth(2)
                .and_then(|root| root.canonicalize().ok())
                .is_some_and(|root| root == self.root);
        (!ours).then(|| std::path::absolute(&folder).unwrap_or(folder))
    }

    /// A cargo command in the repository, with the environment of the user's own shell.
    pub fn cargo<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.root);
        // `cargo run` describes this package in the environment. Build scripts of other packages
        // would take it for theirs and be run again at each change between the two ways of building.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let of_this_package = [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_",
            ]
            .iter()
            .any(|start| text.starts_with(start));
            if of_this_package || text == "CARGO_PRIMARY_PACKAGE" || text == "OUT_DIR" {
                command.env_remove(&name);
            }
        }
        if self.own_libtorch().is_none() {
            command.env_remove("LIBTORCH");
        }
        command
    }

    /// The environment's Python, undisturbed by Python settings of the user's shell.
    pub fn venv_python(&self) -> Command {
        let mut command = Command::new(self.python());
        command
            .env_remove("PYTHONHOME")
            .env_remove("PYTHONPATH")
            .env("PYTHONUNBUFFERED", "1");
        command
    }
}
