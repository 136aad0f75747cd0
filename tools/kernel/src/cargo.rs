//! cargo and rustc for cells: what cargo would find out again is remembered.
//!
//! Before each cell cargo compares two hundred crates with their files, to start the same rustc as for the cell before; that took a
//! quarter of a cell's time. So rustc's arguments and environment are kept when cargo starts it, in the session's folder, with
//! everything that they followed from. While that is unchanged, rustc is started at once.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use checkout::place::Place;
use checkout::stamp;
use serde_json::{Value, json};

use crate::rust_src;
use crate::stand_ins;
use crate::view;

/// What evcxr asked of cargo, and the state of the crate then: [`run`] writes it for [`rustc`], before cargo runs.
const ASKED: &str = "ctx-asked";

/// How cargo started rustc for a cell: [`rustc`] writes it, and [`run`] does the same again.
const CALL: &str = "ctx-call";

/// What that call followed from, `ASKED` and the package: while it is as it was, the call is.
const INPUTS: &str = "ctx-inputs";

/// The file that evcxr wants to have the path of the cell's library written to.
const PATH_FILE: &str = "EVCXR_EXECUTION_SO_PATH";

/// Variables of cargo's that mean nothing to a later process: the pipes by which it shares the processor's cores out.
const PIPES: [&str; 3] = ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"];

/// Does what evcxr asks of cargo.
pub fn run(place: &Place, arguments: &[OsString]) -> ExitCode {
    let build = std::env::current_dir()
        .ok()
        .zip(std::env::var_os(PATH_FILE))
        .and_then(|(work, file)| Build::of_a_cell(place, arguments, work, file.into()));
    let mut command = Command::new(cargo(place));
    command.args(arguments);
    if let Some(program) = stand_ins::rustc(place) {
        // For the packages in evcxr's own folder, which are the cells: no crate is built again for it.
        command.env("RUSTC_WORKSPACE_WRAPPER", program);
    }
    if let Some(build) = build {
        match build.again() {
            Some(rustc) => command = rustc,
            None => build.ask(),
        }
    }
    stand_ins::become_program(&mut command)
}

fn cargo(place: &Place) -> PathBuf {
    let beside = rust_src::rustc(place).map(|rustc| rustc.with_file_name("cargo"));
    beside
        .filter(|cargo| cargo.is_file())
        .unwrap_or_else(|| "cargo".into())
}

/// Starts rustc for cargo, and remembers how.
pub fn rustc(place: &Place, arguments: &[OsString]) -> ExitCode {
    let Some((program, arguments)) = arguments.split_first() else {
        return ExitCode::FAILURE;
    };
    let mut arguments = arguments.to_vec();
    let after = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)
    };
    let is_cell = after("--crate-name").is_some_and(|name| name == "ctx");
    // Where nothing is linked, nothing is to be remembered: `cargo check`.
    let is_linked = arguments.iter().any(|argument| {
        let text = argument.to_string_lossy();
        text.starts_with("--emit") && text.contains("link")
    });
    let folder = after("--out-dir").map(PathBuf::from);
    let mut command = Command::new(program);
    if let Some(folder) = folder.filter(|_| is_cell && is_linked) {
        // A linker of the reader's own wins.
        let is_chosen = arguments
            .iter()
            .any(|argument| argument.to_string_lossy().contains("linker="));
        if let Some(linker) = stand_ins::linker(place).filter(|_| !is_chosen) {
            let mut option = OsString::from("-Clinker=");
            option.push(linker);
            arguments.push(option);
        }
        // cargo starts it in the package's folder.
        let work = std::env::current_dir().unwrap_or_default();
        remember(&folder, &work, program.into(), &arguments);
    }
    stand_ins::become_program(command.args(&arguments))
}

/// Remembers a call of rustc that cargo makes: all crates behind the cell are built then. Without the files the next cell is cargo's again.
fn remember(folder: &Path, work: &Path, program: PathBuf, arguments: &[OsString]) {
    let _ = fs::remove_file(folder.join(INPUTS));
    if let Some(call) = described(program, arguments)
        && let Ok(asked) = fs::read_to_string(folder.join(ASKED))
        && let Some(inputs) = inputs(&asked, work)
        && fs::write(folder.join(CALL), call).is_ok()
    {
        let _ = fs::write(folder.join(INPUTS), inputs);
    }
}

/// A call of rustc as text; nothing where a word is no text.
fn described(program: PathBuf, arguments: &[OsString]) -> Option<String> {
    let arguments: Option<Vec<_>> = arguments.iter().map(|word| word.to_str()).collect();
    let environment: Option<Vec<_>> = environment()
        .map(|(name, value)| Some([name.to_str()?.to_owned(), value.to_str()?.to_owned()]))
        .collect();
    let call = json!({
        "program": program.to_str()?,
        "arguments": arguments?,
        "environment": environment?,
        "folder": std::env::current_dir().ok()?.to_str()?,
    });
    Some(call.to_string())
}

fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| !PIPES.iter().any(|pipe| name == pipe))
}

/// A call of rustc from its text.
fn call(text: &str) -> Option<Command> {
    let call: Value = serde_json::from_str(text).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut command = Command::new(text(&call["program"])?);
    command.env_clear().current_dir(text(&call["folder"])?);
    for word in call["arguments"].as_array()? {
        command.arg(text(word)?);
    }
    for variable in call["environment"].as_array()? {
        command.env(text(&variable[0])?, text(&variable[1])?);
    }
    Some(command)
}

/// Everything that decides how rustc is called, but for the cell's own text: what was asked, and the package as it is now.
fn inputs(asked: &str, work: &Path) -> Option<String> {
    let mut text = asked.to_owned();
    for name in ["Cargo.toml", "Cargo.lock"] {
        text += &fs::read_to_string(work.join(name)).ok()?;
    }
    Some(text + &fs::read_to_string(work.join(".cargo/config.toml")).unwrap_or_default())
}

/// The user's own settings of cargo.
fn settings() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("config.toml"))
}

/// A build of a cell, as evcxr asks for it in the session's folder.
struct Build {
    /// The session's folder.
    work: PathBuf,
    /// Where the cell's library goes.
    folder: PathBuf,
    /// Where evcxr looks for the library's path.
    path_file: PathBuf,
    /// What was asked, and the state of the crate.
    asked: String,
}

impl Build {
    /// The build that these arguments ask for in the folder `work`, if they do. A cell may have added a crate from a folder of the
    /// reader's own, where an edit is cargo's to see: that is none of them.
    fn of_a_cell(
        place: &Place,
        arguments: &[OsString],
        work: PathBuf,
        path_file: PathBuf,
    ) -> Option<Self> {
        let words: Option<Vec<_>> = arguments.iter().map(|word| word.to_str()).collect();
        let words = words?;
        let [.., "build", "--target", target, "--message-format=json"] = words.as_slice() else {
            return None;
        };
        let package = fs::read_to_string(work.join("Cargo.toml")).ok()?;
        let package: String = package.split_whitespace().collect();
        let ours = Value::from(view::package(place).to_string_lossy()).to_string();
        let ours: String = ours.split_whitespace().collect();
        // Of the crate, of the cell's own text, and a setting of rustc's, in all of evcxr's packages.
        let known = [
            format!("path={ours}"),
            "path=\"src/lib.rs\"".to_owned(),
            "rpath=true".to_owned(),
        ];
        let known = known.iter().map(|path| package.matches(path).count());
        if package.matches("path=").count() > known.sum() {
            return None;
        }
        let mut asked = format!("{}\n", words.join(" "));
        for name in ["Cargo.toml", "build.rs", "src", ".cargo/config.toml"] {
            stamp::list(&place.root.join(name), &mut asked);
        }
        if let Some(rustc) = rust_src::rustc(place) {
            stamp::list(&rustc, &mut asked);
        }
        if let Some(settings) = settings() {
            stamp::list(&settings, &mut asked);
        }
        let mut variables: Vec<_> = environment().collect();
        variables.sort();
        let _ = writeln!(asked, "{variables:?}");
        Some(Self {
            folder: work.join("target").join(target).join("debug/deps"),
            work,
            path_file,
            asked,
        })
    }

    /// The same call of rustc as before, where everything is as it was. Its messages reach evcxr without cargo's frame around
    /// them, which evcxr also reads.
    fn again(&self) -> Option<Command> {
        let kept = fs::read_to_string(self.folder.join(INPUTS)).ok()?;
        if kept != inputs(&self.asked, &self.work)? {
            return None;
        }
        let rustc = call(&fs::read_to_string(self.folder.join(CALL)).ok()?)?;
        let [before, after] = [std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX];
        let library = self.folder.join(format!("{before}ctx{after}"));
        if fs::write(&self.path_file, library.to_str()?).is_err() {
            // evcxr would read half a path after cargo's build.
            let _ = fs::remove_file(&self.path_file);
            return None;
        }
        // Of an earlier cell, which is loaded from the same file under another name: mold would write into it.
        let _ = fs::remove_file(library);
        Some(rustc)
    }

    /// Leaves for [`rustc`] what cargo is asked.
    fn ask(&self) {
        let _ = fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(self.folder.join(ASKED), &self.asked));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository, and the folder of a session in it.
    struct Session {
        root: tempfile::TempDir,
        place: Place,
        work: PathBuf,
    }

    impl Session {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let place = Place {
                root: root.path().to_owned(),
            };
            let work = root.path().join("work");
            fs::create_dir_all(root.path().join("src")).unwrap();
            fs::write(root.path().join("src/lib.rs"), "//! One.").unwrap();
            fs::create_dir_all(work.join("target/x86_64/debug/deps")).unwrap();
            let session = Self { root, place, work };
            session.write("Cargo.lock", "version = 4");
            session.package("");
            session
        }

        fn asked(&self) -> Option<Build> {
            let words = ["build", "--target", "x86_64", "--message-format=json"];
            let words = words.map(OsString::from);
            Build::of_a_cell(
                &self.place,
                &words,
                self.work.clone(),
                self.work.join("path"),
            )
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.work.join(name), text).unwrap();
        }

        /// The package as evcxr writes it, with more crates.
        fn package(&self, more: &str) {
            let ours = view::package(&self.place);
            let ours = Value::from(ours.to_string_lossy());
            let text = format!(
                "[lib]\npath = \"src/lib.rs\"\n[profile.dev]\nrpath = true\n[dependencies]\nevcxr_transfer = {{ path = {ours} }}\n{more}"
            );
            self.write("Cargo.toml", &text);
        }

        /// A build in which cargo starts rustc.
        fn build(&self) {
            let build = self.asked().unwrap();
            build.ask();
            let words = ["--crate-name", "ctx", "a word"].map(OsString::from);
            remember(&build.folder, &self.work, "/bin/rustc".into(), &words);
        }

        fn again(&self) -> Option<Command> {
            self.asked()?.again()
        }
    }

    #[test]
    fn a_build_in_which_nothing_has_changed_is_rustcs_alone() {
        let session = Session::new();
        assert!(session.again().is_none(), "there was none");
        session.build();
        let again = session.again().unwrap();
        assert_eq!(again.get_program(), "/bin/rustc");
        assert!(again.get_args().eq(["--crate-name", "ctx", "a word"]));
        let path = std::env::var_os("PATH").unwrap();
        assert!(
            again
                .get_envs()
                .any(|set| set == ("PATH".as_ref(), Some(path.as_os_str())))
        );
        let library = fs::read_to_string(session.work.join("path")).unwrap();
        assert!(
            library.contains("target/x86_64/debug/deps/libctx."),
            "{library}"
        );
    }

    #[test]
    fn what_has_changed_is_left_to_cargo() {
        let session = Session::new();
        let change: [(&str, &dyn Fn()); 3] = [
            ("a crate", &|| session.package("rand = \"1\"\n")),
            ("a version", &|| {
                session.write("Cargo.lock", "version = 4\n# other")
            }),
            ("an edit of ours", &|| {
                fs::write(session.root.path().join("src/lib.rs"), "//! Another.").unwrap();
            }),
        ];
        for (what, change) in change {
            session.build();
            assert!(session.again().is_some(), "before {what}");
            change();
            assert!(session.again().is_none(), "{what}");
        }
    }

    #[test]
    fn a_crate_of_the_readers_own_folder_is_always_cargos() {
        let session = Session::new();
        for crates in [
            "mine = { path = \"/home/mine\" }\n",
            "mine = {path=\"/home/mine\"}\n",
        ] {
            session.package(crates);
            assert!(session.asked().is_none(), "{crates}");
        }
    }

    #[test]
    fn other_orders_are_cargos() {
        let session = Session::new();
        for words in [
            vec!["check", "--target", "x", "--message-format=json"],
            vec!["metadata"],
            vec!["build"],
        ] {
            let words: Vec<_> = words.into_iter().map(OsString::from).collect();
            let file = session.work.join("path");
            assert!(Build::of_a_cell(&session.place, &words, session.work.clone(), file).is_none());
        }
    }
}
