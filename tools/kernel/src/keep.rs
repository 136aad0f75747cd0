//! Keeps one engine in a session of its own: for the front that has asked for it, or for the next one that
//! will.
//!
//! ```text
//! front <-> socket in the session's folder <-> keeper <-> engine's stdin, stdout, stderr
//! ```
//! A process of its own, so that the engine is stopped and its folder removed whichever way the front ends,
//! and so that an engine can be there before its front: a *spare* one has run a cell, and waits. Starting an
//! engine and having rust-analyzer read the crates takes seconds; a front that takes a spare one answers its
//! first cell as quickly as any other.
//!
//! The first line from the front says where it runs: a spare engine was started elsewhere, and is brought there.
//! What goes to the front beside the engine's own lines: `{"log": line}` for each line on its stderr, and at
//! last `{"ended": why}`.

use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use checkout::place::Place;

use crate::engine::Engine;
use crate::environment;
use crate::session::Session;
use crate::sessions;
use crate::template;

/// How long a front that has asked for an engine may take to come for it.
const SOON: Duration = Duration::from_secs(30);

/// How long a spare engine waits: a lesson's pause, not a night.
const LONG: Duration = Duration::from_secs(30 * 60);

/// The memory in bytes that has to be free for a spare engine: it takes a quarter of a gigabyte, and what the
/// reader trains needs more.
const ROOM: u64 = 4 << 30;

/// Says whether spare engines are made: 0 never, 1 always; otherwise where there is [`ROOM`].
const VARIABLE: &str = "EVCXR_TRANSFER_SPARE";

/// The socket of the session in `folder`.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

/// The file that says that the session in a folder waits for a front, and with which template.
fn waiting(folder: &Path) -> PathBuf {
    folder.join("waiting")
}

/// Whether spare engines are made and taken.
fn is_on() -> bool {
    std::env::var_os(VARIABLE).is_none_or(|value| value != "0")
}

/// Takes a spare engine of the present template, if one waits: its session's folder.
pub fn claim(place: &Place) -> Option<PathBuf> {
    if !is_on() {
        return None;
    }
    let present = template::stamp(place).text()?;
    let folders = fs::read_dir(sessions::folder(place).ok()?).ok()?;
    folders.flatten().map(|entry| entry.path()).find(|folder| {
        fs::read_to_string(waiting(folder)).is_ok_and(|known| known == present)
            // Whoever renames it first has it.
            && fs::rename(waiting(folder), folder.join("taken")).is_ok()
    })
}

/// Starts a keeper for the front that asks: its session's folder and its process, whose stderr says why it
/// has ended if it ends before its socket is there.
///
/// # Errors
///
/// One line: the system's.
pub fn start(place: &Place) -> Result<(PathBuf, Child), String> {
    let folder = sessions::folder(place)?.join(uuid::Uuid::new_v4().simple().to_string());
    let child = command(&folder)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start the kernel's helper: {error}"))?;
    Ok((folder, child))
}

/// Has a spare engine made, if none waits and there is room for it.
pub fn start_spare(place: &Place) {
    let Ok(sessions) = sessions::folder(place) else {
        return;
    };
    let folders = || fs::read_dir(&sessions).into_iter().flatten().flatten();
    let is_there = folders().any(|entry| {
        let folder = entry.path();
        folder.join("spare").exists() && !folder.join("taken").exists()
    });
    if !is_on() || is_there || !has_room() || !template::is_fresh(place) {
        return;
    }
    let folder = sessions.join(uuid::Uuid::new_v4().simple().to_string());
    // Without one the next notebook starts its own.
    if let Ok(mut child) = command(&folder).arg("spare").stderr(Stdio::null()).spawn() {
        std::thread::spawn(move || child.wait());
    }
}

fn command(folder: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(environment::program());
    command
        .arg("keep")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Jupyter kills the kernel's whole process group.
        .process_group(0);
    command
}

/// Whether a spare engine leaves enough memory; `true` where the system does not tell.
fn has_room() -> bool {
    if std::env::var_os(VARIABLE).is_some_and(|value| value == "1") {
        return true;
    }
    let Ok(text) = fs::read_to_string("/proc/meminfo") else {
        return true;
    };
    let free = text.lines().find_map(|line| {
        let kilobytes = line.strip_prefix("MemAvailable:")?.trim();
        kilobytes.trim_end_matches("kB").trim().parse::<u64>().ok()
    });
    free.is_none_or(|free| free << 10 >= ROOM)
}

/// The keeper's work, until the front or the engine ends.
///
/// # Errors
///
/// What the reader has to know: why there is no engine.
pub fn run(place: &Place, folder: &Path, is_spare: bool) -> Result<(), String> {
    let session = Session::open(place, folder)?;
    let outcome = keep(place, &session, is_spare);
    session.end();
    outcome
}

fn keep(place: &Place, session: &Session, is_spare: bool) -> Result<(), String> {
    let folder = session.folder();
    let failed = |error: io::Error| format!("cannot write into {}: {error}", folder.display());
    if is_spare {
        fs::write(folder.join("spare"), "").map_err(failed)?;
    }
    session.fill(place);
    let listener = listener(folder).map_err(failed)?;
    let mut engine = Engine::start(place, session)?;
    let front = if is_spare {
        if !engine.warm_up() {
            return Ok(());
        }
        let stamp = template::stamp(place).text().unwrap_or_default();
        // Whole before it is seen.
        fs::write(folder.join("waiting.new"), stamp)
            .and_then(|()| fs::rename(folder.join("waiting.new"), waiting(folder)))
            .map_err(failed)?;
        let is_wanted = || session.is_there() && template::is_fresh(place);
        wait(&listener, LONG, &is_wanted)
    } else {
        wait(&listener, SOON, &|| session.is_there())
    };
    match front {
        Some(front) => engine
            .serve(front, is_spare, place, session)
            .map_err(failed),
        None => Ok(()),
    }
}

/// Listens at a session's socket, which is there once it is listened to, and not before: whoever came between the two
/// would be refused.
fn listener(folder: &Path) -> io::Result<UnixListener> {
    let new = folder.join("socket.new");
    let listener = UnixListener::bind(&new)?;
    fs::rename(&new, socket(folder))?;
    Ok(listener)
}

/// Waits for the front; `None` when it does not come, or would not want this engine any more.
fn wait(
    listener: &UnixListener,
    patience: Duration,
    is_wanted: &dyn Fn() -> bool,
) -> Option<UnixStream> {
    listener.set_nonblocking(true).ok()?;
    let start = Instant::now();
    let mut checked = start;
    while start.elapsed() < patience {
        if let Ok((front, _)) = listener.accept() {
            front.set_nonblocking(false).ok()?;
            return Some(front);
        }
        if checked.elapsed() > Duration::from_secs(2) {
            if !is_wanted() {
                return None;
            }
            checked = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_sees_a_socket_is_let_in() {
        for _ in 0..300 {
            let folder = tempfile::tempdir().unwrap();
            let path = socket(folder.path());
            let front = std::thread::spawn(move || {
                while !path.exists() {
                    std::hint::spin_loop();
                }
                UnixStream::connect(path).map(drop)
            });
            let _listener = listener(folder.path()).unwrap();
            front.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_spare_engine_of_the_present_template_is_taken_once() {
        let root = tempfile::tempdir().unwrap();
        let place = Place {
            root: root.path().to_owned(),
        };
        let session = |name: &str, stamp: &str| {
            let folder = place.lab().join("sessions").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(waiting(&folder), stamp).unwrap();
            folder
        };
        session("old", "an older template");
        assert_eq!(claim(&place), None, "there is no template");
        template::stamp(&place).write("present").unwrap();
        assert_eq!(claim(&place), None);
        let stamp = template::stamp(&place).text().unwrap();
        let present = session("present", &stamp);
        assert_eq!(claim(&place), Some(present));
        assert_eq!(claim(&place), None);
    }
}
