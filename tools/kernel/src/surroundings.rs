//! Where cells run: the current folder, and the variables of the environment.
//!
//! A spare engine was started by another kernel, or by `cargo lab`. Its cells have to find what they would find
//! if their own kernel had started it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

/// The variables that tell of the process that set them, and of nothing else; the last is read when a process starts.
const NOISE: [&str; 5] = ["_", "SHLVL", "PWD", "OLDPWD", "GLIBC_TUNABLES"];

/// A current folder, and variables by their name.
#[derive(Debug, PartialEq)]
pub struct Surroundings {
    folder: String,
    variables: BTreeMap<String, String>,
}

impl Surroundings {
    /// Those of this process. What is not UTF-8 is passed over.
    pub fn own() -> Self {
        let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            folder: folder.to_string_lossy().into_owned(),
            variables: variables.collect(),
        }
    }

    /// As one line.
    pub fn line(&self) -> String {
        json!({"folder": self.folder, "variables": self.variables}).to_string()
    }

    /// The notebook, as Jupyter names it to its kernel, or where it runs.
    pub fn notebook(&self) -> &str {
        self.variables
            .get("JPY_SESSION_NAME")
            .unwrap_or(&self.folder)
    }

    /// From one line; empty where it says something else.
    pub fn read(line: &str) -> Self {
        let told: Value = serde_json::from_str(line).unwrap_or_default();
        let variables = told["variables"].as_object().into_iter().flatten();
        let variables =
            variables.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Self {
            folder: told["folder"].as_str().unwrap_or_default().to_owned(),
            variables: variables.collect(),
        }
    }

    /// The cell that makes these `wanted`, but for variables that are `fixed`; empty where they are it already.
    pub fn change_to(&self, wanted: &Self, fixed: &dyn Fn(&str) -> bool) -> String {
        let mut code = String::new();
        let text = |text: &str| format!("{text:?}");
        if self.folder != wanted.folder {
            let _ = writeln!(
                code,
                "std::env::set_current_dir({})?;",
                text(&wanted.folder)
            );
        }
        let is_free = |name: &str| !fixed(name) && !NOISE.contains(&name);
        for (name, value) in &wanted.variables {
            if is_free(name) && self.variables.get(name) != Some(value) {
                let (name, value) = (text(name), text(value));
                // Nothing else runs in that process yet.
                let _ = writeln!(code, "unsafe {{ std::env::set_var({name}, {value}) }};");
            }
        }
        for name in self.variables.keys() {
            if is_free(name) && !wanted.variables.contains_key(name) {
                let _ = writeln!(code, "unsafe {{ std::env::remove_var({}) }};", text(name));
            }
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(folder: &str, variables: &[(&str, &str)]) -> Surroundings {
        let variables = variables.iter();
        Surroundings {
            folder: folder.to_owned(),
            variables: variables
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn what_differs_becomes_a_cell() {
        let own = surroundings(
            "/a",
            &[("KEPT", "1"), ("GONE", "2"), ("FIXED", "3"), ("PWD", "/a")],
        );
        let wanted = surroundings(
            "/b \"c\"",
            &[("KEPT", "1"), ("NEW", "x\\"), ("FIXED", "4"), ("PWD", "/b")],
        );
        let code = own.change_to(&wanted, &|name| name == "FIXED");
        assert_eq!(
            code.lines().collect::<Vec<_>>(),
            [
                r#"std::env::set_current_dir("/b \"c\"")?;"#,
                r#"unsafe { std::env::set_var("NEW", "x\\") };"#,
                r#"unsafe { std::env::remove_var("GONE") };"#,
            ]
        );
        assert_eq!(own.change_to(&own, &|_| false), "");
        assert_eq!(own.notebook(), "/a");
        let lesson = surroundings("/a", &[("JPY_SESSION_NAME", "/a/lesson.ipynb")]);
        assert_eq!(lesson.notebook(), "/a/lesson.ipynb");
        assert_eq!(Surroundings::read(&wanted.line()), wanted);
        assert!(!Surroundings::own().folder.is_empty());
    }
}
