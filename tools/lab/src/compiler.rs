//! The C++ compiler that torch-sys needs.

use std::path::{Path, PathBuf};

use crate::trouble::{Result, Trouble};

/// The C++ compiler that building will use.
///
/// # Errors
/// None is found, or only one under a name that would not be tried.
pub fn find() -> Result<PathBuf> {
    if let Some(wanted) = std::env::var_os("CXX").filter(|value| !value.is_empty()) {
        let wanted = wanted.to_string_lossy().into_owned();
        // CXX may hold a wrapper and flags ("ccache g++ -m64"): its first word is the program.
        let program = wanted.split_whitespace().next().unwrap_or_default();
        return on_path(program).ok_or_else(|| {
            Trouble::new(
                format!("CXX is `{wanted}`, and there is no program `{program}`"),
                "correct CXX or unset it",
            )
        });
    }
    if let Some(path) = on_path("c++") {
        return Ok(path);
    }
    // The build looks for `c++` and nothing else.
    if let Some(other) = ["g++", "clang++"]
        .into_iter()
        .find(|name| on_path(name).is_some())
    {
        return Err(Trouble::new(
            format!(
                "there is a C++ compiler `{other}`, but none named `c++`, which the build calls"
            ),
            format!("set CXX={other} in your environment"),
        ));
    }
    Err(Trouble::new(
        "no C++ compiler (c++, g++ or clang++) was found; building tch needs one",
        "Debian, Ubuntu: `sudo apt install g++`; Fedora: `sudo dnf install gcc-c++`; macOS: `xcode-select --install`",
    ))
}

/// Where a program lies, if it can be found.
pub fn on_path(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_program(path));
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
