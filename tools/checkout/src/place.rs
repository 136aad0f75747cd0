//! Where things lie in the repository.

use std::path::PathBuf;

/// The repository and the folders in it that the tools work on.
#[derive(Clone, Debug)]
pub struct Place {
    /// The repository's root, without symbolic links.
    pub root: PathBuf,
}

impl Place {
    /// The Python environment.
    pub fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// The interpreter of the Python environment.
    pub fn python(&self) -> PathBuf {
        self.root.join(".venv/bin/python")
    }

    /// The set-up's own folder: locks, stamps, and what the kernel needs.
    pub fn lab(&self) -> PathBuf {
        self.root.join(".lab")
    }

    /// The link to the libtorch that the set-up has chosen, which `.cargo/config.toml` hands to tch.
    pub fn libtorch(&self) -> PathBuf {
        self.root.join(".lab/libtorch")
    }

    /// An installed program of the kernel: `kernel`, or `engine`, which runs cells.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join(".lab/bin").join(name)
    }

    /// The folder with the crate built as cells need it, which each session copies.
    pub fn template(&self) -> PathBuf {
        self.root.join(".lab/template")
    }

    /// The part of Rust's standard library that rust-analyzer reads.
    pub fn rust_src(&self) -> PathBuf {
        self.root.join(".lab/rust-src")
    }
}
