//! The environment of child processes.

use std::process::Command;

/// Takes out of a child's environment what `cargo run` says there about the package that it runs.
///
/// Build scripts of other packages would take it for theirs, and be run again at each change between a
/// build from a shell and one from a tool.
pub fn forget_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_a_package = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ]
        .iter()
        .any(|start| text.starts_with(start));
        if of_a_package || text == "CARGO_PRIMARY_PACKAGE" || text == "OUT_DIR" {
            command.env_remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_does_not_learn_which_package_runs() {
        // `cargo test` says as much about a package as `cargo run`.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let mut command = Command::new("cargo");
        forget_package(&mut command);
        let removed = |name: &str| {
            command
                .get_envs()
                .any(|change| change == (name.as_ref(), None))
        };
        assert!(removed("CARGO_MANIFEST_DIR") && removed("CARGO_PKG_NAME"));
        assert!(!removed("PATH") && !removed("CARGO"));
    }
}
