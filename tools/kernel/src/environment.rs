//! What the engine finds in its environment: the same while the template is made and in a session,
//! or cargo would build everything again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use checkout::environment::forget_package;
use checkout::place::Place;

use crate::rust_src;
use crate::stand_ins;
use crate::stop;
use crate::view::{self, ANALYSIS};

/// Where a session looks for the sign that its copy is complete.
pub const SESSION: &str = "EVCXR_TRANSFER_SESSION";

/// Where the engine finds the temporary folder of its cells; empty where nobody has set one.
const CELLS_TMPDIR: &str = "EVCXR_TRANSFER_TMPDIR";

/// Where the engine finds the search path of its cells.
const CELLS_PATH: &str = "EVCXR_TRANSFER_PATH";

/// The temporary folder of the engine that builds in `work`, which goes with it.
pub fn temporary(work: &Path) -> PathBuf {
    work.join("tmp")
}

/// The engine, ready to be started on the folder `work` with the configuration in `config`.
pub fn engine(place: &Place, work: &Path, config: &Path) -> Command {
    let mut command = Command::new(place.program("engine"));
    surround(place, &mut command);
    command
        .env("EVCXR_TMPDIR", work)
        .env("EVCXR_CONFIG_DIR", config)
        .env("EVCXR_TRANSFER_KERNEL", program())
        .env("RUST_SRC_PATH", place.rust_src())
        // Seen by the queries of rust-analyzer alone: evcxr sets flags of its own for each build.
        .env("RUSTFLAGS", format!("--cfg {ANALYSIS}"))
        // Of another session, where a cell of that one has started this program.
        .env_remove(SESSION)
        .env_remove(stop::VARIABLE)
        // The crate's public names, for completion.
        .env("EVCXR_TRANSFER_SOURCE", place.root.join("src"))
        // How work shows itself: the front moves results in place.
        .env("EVCXR_TRANSFER_DISPLAY", "live")
        // Where rust-analyzer leaves its own folders when it is killed; cells get back what was there before.
        .env("TMPDIR", temporary(work))
        .env(CELLS_TMPDIR, std::env::var_os("TMPDIR").unwrap_or_default())
        // rust-analyzer allocates a gigabyte in small pieces: fewer, larger pages save 0.3 s.
        .env("MIMALLOC_ALLOW_LARGE_OS_PAGES", "1");
    if let Some(path) = stand_ins::path(place) {
        command
            .env("PATH", path)
            .env(CELLS_PATH, std::env::var_os("PATH").unwrap_or_default());
    }
    command
}

/// `cargo build` in the folder `work`, which has nothing to do where evcxr had nothing to do.
pub fn build(place: &Place, work: &Path, target: &str) -> Command {
    let mut command = Command::new("cargo");
    surround(place, &mut command);
    command
        .args(["build", "--quiet", "--color", "never", "--target", target])
        .current_dir(work)
        // As evcxr sets them.
        .env("CARGO_TARGET_DIR", "target")
        .env("RUSTFLAGS", "-Cprefer-dynamic");
    command
}

/// What every build of the crate finds around itself.
fn surround(place: &Place, command: &mut Command) {
    let libraries = place.libtorch().join("lib");
    let mut search = OsString::from(&libraries);
    if let Some(before) = std::env::var_os("LD_LIBRARY_PATH").filter(|path| !path.is_empty())
        && !std::env::split_paths(&before).any(|path| path == libraries)
    {
        search.push(":");
        search.push(before);
    }
    command
        .env("LIBTORCH", place.libtorch())
        .env("LD_LIBRARY_PATH", search);
    if let Some(rustc) = rust_src::rustc(place) {
        // Past rustup's stand-in, which rust-analyzer's queries start a dozen times.
        command.env("RUSTC", rustc);
    }
    // Each would make torch-sys or the crate build itself again, against another libtorch or in another way.
    for name in [
        "LIBTORCH_USE_PYTORCH",
        "LIBTORCH_INCLUDE",
        "LIBTORCH_LIB",
        "LIBTORCH_CXX11_ABI",
        "LIBTORCH_STATIC",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_INCREMENTAL",
        "RUSTC_WRAPPER",
    ] {
        command.env_remove(name);
    }
    // As `cargo lab` says them, which is run by cargo.
    forget_package(command);
}

/// Writes both for an engine that gets `folder` as its configuration.
///
/// # Errors
///
/// The system's, when a file cannot be written.
pub fn write_configuration(place: &Place, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("init.evcxr"), FIRST_CELL)?;
    std::fs::write(folder.join("evcxr.toml"), configuration(place))
}

/// The path of this program.
pub fn program() -> OsString {
    std::env::current_exe().map_or_else(|_| OsString::from("kernel"), OsString::from)
}

/// What evcxr runs first: a `?`, and the engine's guard.
///
/// The first `?` of a session costs evcxr an extra attempt, in which a value at a cell's end would lose its
/// picture; here, with no crate loaded, it costs least. The guard is run again before and behind each cell (see
/// `guard.rs` in `tools/engine`): from its second run on it exchanges stdin, over which evcxr's commands come, with
/// descriptor 100, where a cell finds the end of a file. 2 and 1 are `F_SETFD` and `FD_CLOEXEC`: no program that a
/// cell starts has the commands.
pub const FIRST_CELL: &str = r#"let _ = Ok::<(), std::fmt::Error>(())?;
{
    unsafe extern "C" {
        fn dup(from: i32) -> i32;
        fn dup2(from: i32, to: i32) -> i32;
        fn close(descriptor: i32) -> i32;
        fn fcntl(descriptor: i32, command: i32, ...) -> i32;
    }
    static IS_KNOWN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    if IS_KNOWN.swap(true, std::sync::atomic::Ordering::Relaxed) {
        // Numbers alone: no memory is touched.
        unsafe {
            let kept = dup(0);
            dup2(100, 0);
            dup2(kept, 100);
            fcntl(100, 2, 1);
            close(kept);
        }
    }
    println!("EVCXR_TRANSFER_GUARD");
};
"#;

/// evcxr's configuration: what runs next, before the reader's first cell.
///
/// The kernel's own command waits until the session's copy is complete and lays our `Cargo.lock` into
/// the folder. It has to happen here: evcxr has built an empty crate before, and cargo has dropped
/// every version from the lock file that the empty crate does not need.
pub fn configuration(place: &Place) -> String {
    let view = view::package(place);
    // A path inside TOML inside the command; JSON's escapes are also TOML's.
    let path = serde_json::Value::from(view.to_string_lossy());
    let prelude = format!(
        "!\"$EVCXR_TRANSFER_KERNEL\" ready\n\
         :dep evcxr_transfer = {{ path = {path} }}\n"
    );
    format!("[evcxr]\nprelude = {}\n", serde_json::Value::from(prelude))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_without_a_session_listens_to_the_stop_of_no_other() {
        let place = Place {
            root: "/repository".into(),
        };
        let command = engine(&place, Path::new("/work"), Path::new("/config"));
        for name in [SESSION, stop::VARIABLE] {
            assert!(
                command
                    .get_envs()
                    .any(|change| change == (name.as_ref(), None)),
                "{name}"
            );
        }
    }
}
