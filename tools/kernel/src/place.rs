//! Where the kernel's files lie in the repository.

use std::path::{Path, PathBuf};

/// The repository, and what the set-up has put into its folder `.lab`.
#[derive(Clone, Debug)]
pub struct Place {
    /// The repository's root.
    pub root: PathBuf,
}

impl Place {
    /// The repository that this program was installed into, as `.lab/bin/kernel`.
    ///
    /// # Errors
    ///
    /// When the program lies elsewhere: one line for the user.
    pub fn find() -> Result<Self, String> {
        let program = std::env::current_exe()
            .and_then(|program| program.canonicalize())
            .map_err(|error| format!("cannot find the kernel's own program: {error}"))?;
        let root = program.ancestors().nth(3).filter(|root| {
            program.starts_with(root.join(".lab/bin")) && root.join("Cargo.toml").is_file()
        });
        root.map(|root| Self {
            root: root.to_owned(),
        })
        .ok_or_else(|| {
            format!(
                "{} is not inside a repository's .lab/bin; run `cargo lab setup`",
                program.display()
            )
        })
    }

    /// The set-up's folder.
    pub fn lab(&self) -> PathBuf {
        self.root.join(".lab")
    }

    /// The process that runs cells.
    pub fn engine(&self) -> PathBuf {
        self.root.join(".lab/bin/engine")
    }

    /// The ready-built folder that each session copies.
    pub fn seed(&self) -> PathBuf {
        self.root.join(".lab/seed")
    }

    /// The part of Rust's standard library that rust-analyzer reads.
    pub fn rust_src(&self) -> PathBuf {
        self.root.join(".lab/rust-src")
    }

    /// The link to the libtorch that the set-up has chosen.
    pub fn libtorch(&self) -> PathBuf {
        self.root.join(".lab/libtorch")
    }

    /// The folder of the sessions' private copies.
    ///
    /// evcxr splits the paths that it is given at blanks, and knows only UTF-8: a repository in such a
    /// place has its sessions in the temporary folder.
    pub fn sessions(&self) -> PathBuf {
        let here = self.root.join(".lab/sessions");
        if is_plain(&here) {
            here
        } else {
            std::env::temp_dir().join("evcxr_transfer-sessions")
        }
    }
}

/// Whether evcxr can build in `path`.
pub fn is_plain(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|text| !text.contains(char::is_whitespace))
}
