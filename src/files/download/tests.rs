//! Downloads against a small server that misbehaves.
//!
//! Nothing here leaves this machine: the server listens on 127.0.0.1 in a thread of the test.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that fails"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

use crate::error::{Error, Result};
use crate::files::remote::Remote;
use crate::machine::stop::Stop;
use crate::show::progress::Progress;

/// Of `body()`, computed by Python's hashlib.
const MD5: &str = "71224031a0dc8ad93fc9d7784f1c8352";
const SHA256: &str = "5a5d1daeeaa10c665f1e6f1f7b205487131b6e3fe98b20f64881a6280770d322";
const BYTES: usize = 300_000;

fn body() -> Vec<u8> {
    (0..BYTES)
        .map(|i| ((i * 31 + i / 251) % 251) as u8)
        .collect()
}

/// One request as the server saw it.
#[derive(Clone, Debug)]
struct Request {
    line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first byte that a Range header asks for.
    fn from(&self) -> Option<usize> {
        self.header("Range")?
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers the n-th request (from 0) by `answer(n, request, connection)`.
    fn start(answer: impl Fn(usize, &Request, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let request = read_request(&connection);
                let count = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                answer(count, &request, &mut connection);
            }
        });
        Self { address, requests }
    }

    fn remote(&self) -> Remote {
        // Also makes the pauses between tries a thirtieth of this.
        let patience = Duration::from_millis(300);
        Remote {
            patience,
            ..Remote::new(format!("{}/file.bin", self.address))
        }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(connection: &TcpStream) -> Request {
    let mut lines = BufReader::new(connection)
        .lines()
        .map_while(|line| line.ok());
    let line = lines.next().unwrap_or_default();
    let headers = lines.take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| {
        line.split_once(':')
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
    });
    Request {
        line,
        headers: headers.collect(),
    }
}

/// Sends head and body; a connection that the other side has closed is not the server's business.
fn send(connection: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n");
    let _ = connection
        .write_all(head.as_bytes())
        .and_then(|()| connection.write_all(body));
}

/// Answers as a good server does, but sends at most `most` bytes of the body.
fn serve(request: &Request, connection: &mut TcpStream, tag: &str, most: usize) {
    let body = body();
    let same = request
        .header("If-Range")
        .is_none_or(|wanted| wanted == tag);
    let tag = if tag.is_empty() {
        String::new()
    } else {
        format!("ETag: {tag}\r\n")
    };
    match request.from().filter(|_| same) {
        Some(from) if from >= BYTES => {
            let headers = format!("Content-Range: bytes */{BYTES}\r\nContent-Length: 0\r\n");
            send(connection, "416 Range Not Satisfiable", &headers, b"");
        }
        Some(from) => {
            let headers = format!(
                "Content-Range: bytes {from}-{}/{BYTES}\r\nContent-Length: {}\r\n{tag}",
                BYTES - 1,
                BYTES - from
            );
            let end = BYTES.min(from + most);
            send(
                connection,
                "206 Partial Content",
                &headers,
                &body[from..end],
            );
        }
        None => {
            let headers = format!("Content-Length: {BYTES}\r\n{tag}");
            send(connection, "200 OK", &headers, &body[..BYTES.min(most)]);
        }
    }
}

fn fetch(remote: &Remote, folder: impl AsRef<Path>) -> Result<PathBuf> {
    remote.fetch(folder.as_ref(), &Progress::quiet())
}

fn names(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn part(folder: &TempDir) -> Option<Vec<u8>> {
    fs::read(folder.path().join("file.bin.part")).ok()
}

#[test]
fn a_whole_file_is_stored_and_the_next_call_needs_no_server() {
    let server = Server::start(|_, request, connection| serve(request, connection, "", BYTES));
    let folder = tempdir().unwrap();
    let remote = server.remote().bytes(BYTES as u64).md5(MD5.to_uppercase());
    let deep = folder.path().join("not/yet/there");

    let path = fetch(&remote, &deep).unwrap();
    assert_eq!(path, deep.join("file.bin"));
    assert_eq!(fs::read(&path).unwrap(), body());

    assert_eq!(fetch(&remote, &deep).unwrap(), path);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(
        server.requests()[0].header("Accept-Encoding"),
        Some("identity")
    );
}

#[test]
fn progress_rises_to_the_total_and_is_told_at_most_every_64_kib() {
    let server = Server::start(|_, request, connection| serve(request, connection, "", BYTES));
    let folder = tempdir().unwrap();
    let progress = Progress::keeping().pace(Duration::ZERO, Duration::ZERO);
    server.remote().fetch(folder.path(), &progress).unwrap();

    let lines = progress.kept();
    let (summary, reports) = lines.split_last().unwrap();
    assert!(
        summary.starts_with("downloading file.bin: 0.3 MB in "),
        "{lines:?}"
    );
    // The first is not counted: of that many bytes the last chunk alone may be left.
    assert!((1..=BYTES / 65_536).contains(&reports.len()), "{lines:?}");
    let megabytes = reports.iter().map(|line| {
        let (done, all) = line["downloading file.bin: ".len()..]
            .split_once('/')
            .unwrap();
        assert!(all.starts_with("0.3 MB"), "{lines:?}");
        done.parse::<f64>().unwrap()
    });
    assert!(megabytes.is_sorted(), "{lines:?}");
}

#[test]
fn a_file_in_place_is_no_work_to_report_on() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("file.bin"), body()).unwrap();
    let progress = Progress::keeping();
    let remote = Remote::new("http://127.0.0.1:1/file.bin").md5(MD5);
    remote.fetch(folder.path(), &progress).unwrap();
    assert!(progress.kept().is_empty());
}

/// A progress whose stop is asked for after some time.
fn stopped_after(milliseconds: u64) -> Progress {
    let stop = Stop::new();
    let progress = Progress::quiet().stop(&stop);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(milliseconds));
        stop.request();
    });
    progress
}

#[test]
fn a_stopped_download_keeps_what_came_and_a_later_call_goes_on() {
    let server = Server::start(|count, request, connection| {
        serve(
            request,
            connection,
            "\"a\"",
            if count == 0 { 100_000 } else { BYTES },
        );
        if count == 0 {
            // The rest never comes; the connection stays open.
            let held = connection.try_clone().unwrap();
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(8));
                drop(held);
            });
        }
    });
    let folder = tempdir().unwrap();
    let remote = Remote {
        patience: Duration::from_secs(30),
        ..server.remote()
    };
    let begin = Instant::now();
    let error = remote
        .fetch(folder.path(), &stopped_after(500))
        .unwrap_err();
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "the silent server was awaited"
    );
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("downloading file.bin (0.1 MB are kept)"),
        "{error}"
    );
    assert_eq!(part(&folder).unwrap().len(), 100_000);

    let path = fetch(&remote, &folder).unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
    assert_eq!(server.requests()[1].from(), Some(100_000));
}

#[test]
fn a_stop_is_heard_while_the_server_does_not_answer_and_between_tries() {
    let silent = Server::start(|_, _, _| thread::sleep(Duration::from_secs(8)));
    let in_trouble = Server::start(|_, _, connection| {
        send(
            connection,
            "503 Service Unavailable",
            "Content-Length: 0\r\n",
            b"",
        );
    });
    for server in [silent, in_trouble] {
        let folder = tempdir().unwrap();
        let remote = Remote {
            patience: Duration::from_secs(120),
            ..server.remote()
        };
        let begin = Instant::now();
        let error = remote
            .fetch(folder.path(), &stopped_after(300))
            .unwrap_err();
        assert!(matches!(error, Error::Stopped { .. }), "{error}");
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "{:?}",
            begin.elapsed()
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_stop_is_heard_while_another_process_downloads_the_file() {
    let folder = tempdir().unwrap();
    let other = fs::File::create(folder.path().join("file.bin.lock")).unwrap();
    other.lock().unwrap();
    let remote = Remote::new("http://127.0.0.1:1/file.bin");
    let error = remote
        .fetch(folder.path(), &stopped_after(300))
        .unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
}

#[test]
fn a_cut_download_goes_on_within_the_call() {
    let server = Server::start(|count, request, connection| {
        serve(
            request,
            connection,
            "\"a\"",
            if count == 2 { BYTES } else { 100_000 },
        );
    });
    let folder = tempdir().unwrap();
    let path = fetch(&server.remote(), &folder).unwrap();

    assert_eq!(fs::read(path).unwrap(), body());
    let asked: Vec<_> = server.requests().iter().map(Request::from).collect();
    assert_eq!(asked, [None, Some(100_000), Some(200_000)]);
    assert_eq!(server.requests()[1].header("If-Range"), Some("\"a\""));
}

#[test]
fn a_cut_download_goes_on_in_a_later_call() {
    let server = Server::start(|count, request, connection| {
        serve(
            request,
            connection,
            "\"a\"",
            if count < 3 { 50_000 } else { BYTES },
        );
    });
    let folder = tempdir().unwrap();
    let error = fetch(&server.remote(), &folder).unwrap_err().to_string();
    assert!(error.contains("150000 bytes are kept"), "{error}");
    assert_eq!(names(&folder), ["file.bin.lock", "file.bin.part"]);

    let path = fetch(&server.remote(), &folder).unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
    assert_eq!(server.requests()[3].from(), Some(150_000));
    assert_eq!(names(&folder), ["file.bin", "file.bin.lock"]);
}

#[test]
fn a_server_that_ignores_ranges_sends_the_file_anew() {
    let server = Server::start(|count, request, connection| {
        let plain = Request {
            headers: Vec::new(),
            ..request.clone()
        };
        serve(
            &plain,
            connection,
            "\"a\"",
            if count == 0 { 100_000 } else { BYTES },
        );
    });
    let folder = tempdir().unwrap();
    let path = fetch(&server.remote(), &folder).unwrap();
    assert_eq!(server.requests()[1].from(), Some(100_000));
    assert_eq!(fs::read(path).unwrap(), body());
}

#[test]
fn a_file_that_changed_meanwhile_is_not_glued_to_its_old_beginning() {
    let server = Server::start(|count, request, connection| {
        if count == 0 {
            let headers = format!("Content-Length: {BYTES}\r\nETag: \"old\"\r\n");
            send(connection, "200 OK", &headers, &[7; 100_000]);
        } else {
            serve(request, connection, "\"new\"", BYTES);
        }
    });
    let folder = tempdir().unwrap();
    let path = fetch(&server.remote(), &folder).unwrap();
    assert_eq!(server.requests()[1].header("If-Range"), Some("\"old\""));
    assert_eq!(fs::read(path).unwrap(), body());
}

#[test]
fn without_validator_and_sum_nothing_is_resumed() {
    for tag in ["", "W/\"weak\""] {
        let server = Server::start(move |count, request, connection| {
            serve(
                request,
                connection,
                tag,
                if count == 0 { 100_000 } else { BYTES },
            );
        });
        let folder = tempdir().unwrap();
        let path = fetch(&server.remote(), &folder).unwrap();
        assert_eq!(server.requests()[1].from(), None);
        assert_eq!(fs::read(path).unwrap(), body());
    }
}

#[test]
fn a_glued_file_with_a_wrong_sum_is_brought_in_one_piece() {
    for with_sum in [
        |remote: Remote| remote.md5(MD5),
        |remote: Remote| remote.sha256(SHA256),
    ] {
        let server = Server::start(|count, request, connection| {
            if count == 0 {
                let headers = format!("Content-Length: {BYTES}\r\n");
                send(connection, "200 OK", &headers, &[7; 100_000]);
            } else {
                serve(request, connection, "", BYTES);
            }
        });
        let folder = tempdir().unwrap();
        let path = fetch(&with_sum(server.remote()), &folder).unwrap();
        let asked: Vec<_> = server.requests().iter().map(Request::from).collect();
        assert_eq!(asked, [None, Some(100_000), None]);
        assert_eq!(fs::read(path).unwrap(), body());
    }
}

#[test]
fn a_part_that_was_whole_already_is_accepted_and_one_too_long_is_dropped() {
    for extra in [0, 10] {
        let server = Server::start(|count, request, connection| {
            serve(
                request,
                connection,
                "\"a\"",
                if count < 3 { 50_000 } else { BYTES },
            );
        });
        let folder = tempdir().unwrap();
        fetch(&server.remote(), &folder).unwrap_err();
        let mut whole = body();
        whole.extend(vec![0; extra]);
        fs::write(folder.path().join("file.bin.part"), whole).unwrap();

        let path = fetch(&server.remote(), &folder).unwrap();
        assert_eq!(fs::read(path).unwrap(), body());
        assert_eq!(
            server.requests()[3].from(),
            Some(BYTES + extra),
            "answered with 416"
        );
        assert_eq!(server.requests().len(), if extra == 0 { 4 } else { 5 });
    }
}

#[test]
fn a_redirect_keeps_the_range() {
    let server = Server::start(|count, request, connection| {
        if request.line.contains("/file.bin") {
            send(
                connection,
                "302 Found",
                "Location: /moved\r\nContent-Length: 0\r\n",
                b"",
            );
        } else {
            serve(
                request,
                connection,
                "\"a\"",
                if count < 2 { 100_000 } else { BYTES },
            );
        }
    });
    let folder = tempdir().unwrap();
    let path = fetch(&server.remote(), &folder).unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
    assert_eq!(server.requests()[3].from(), Some(100_000));
}

#[test]
fn a_refusal_is_named_and_not_asked_again() {
    for (status, named) in [
        ("404 Not Found", "404 (no such file)"),
        ("403 Forbidden", "403 (not"),
    ] {
        let server = Server::start(move |_, _, connection| {
            send(
                connection,
                status,
                "Content-Length: 3\r\nContent-Type: text/html\r\n",
                b"no!",
            );
        });
        let folder = tempdir().unwrap();
        let error = fetch(&server.remote(), &folder).unwrap_err();
        assert!(matches!(error, Error::Download { .. }));
        let text = error.to_string();
        assert!(
            text.contains(named) && text.contains("bring http"),
            "{text}"
        );
        assert!(
            text.contains(folder.path().join("file.bin").to_str().unwrap()),
            "{text}"
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_server_in_trouble_is_asked_three_times() {
    let server = Server::start(|count, request, connection| match count {
        0 | 1 => send(
            connection,
            "503 Service Unavailable",
            "Content-Length: 0\r\n",
            b"",
        ),
        2 => serve(request, connection, "", BYTES),
        _ => send(
            connection,
            "500 Internal Server Error",
            "Content-Length: 0\r\n",
            b"",
        ),
    });
    let folder = tempdir().unwrap();
    fetch(&server.remote(), &folder).unwrap();

    let other = tempdir().unwrap();
    let error = fetch(&server.remote(), &other).unwrap_err().to_string();
    assert!(error.contains("status 500"), "{error}");
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn a_login_page_is_recognised_and_costs_nothing_of_what_came() {
    const PAGE: &[u8] = b"\n<!DOCTYPE html><html>Welcome to the campus network</html>";
    for kind in ["Content-Type: text/html; charset=utf-8\r\n", ""] {
        let server = Server::start(move |count, request, connection| match count {
            0..3 => serve(request, connection, "\"a\"", 50_000),
            3 => {
                let headers = format!("Content-Length: {}\r\n{kind}", PAGE.len());
                send(connection, "200 OK", &headers, PAGE);
            }
            _ => serve(request, connection, "\"a\"", BYTES),
        });
        let folder = tempdir().unwrap();
        fetch(&server.remote(), &folder).unwrap_err();
        let error = fetch(&server.remote(), &folder).unwrap_err().to_string();
        assert!(
            error.contains("login page") && error.contains("Open a browser"),
            "{error}"
        );
        assert_eq!(part(&folder).unwrap().len(), 150_000);

        fetch(&server.remote(), &folder).unwrap();
        assert_eq!(server.requests()[4].from(), Some(150_000));
    }
}

#[test]
fn a_server_that_falls_silent_is_left_after_the_patience() {
    let server = Server::start(|count, request, connection| {
        serve(
            request,
            connection,
            "\"a\"",
            if count < 2 { 100_000 } else { BYTES },
        );
        if count < 2 {
            // Keeps the connection open beyond the end of this answer.
            let held = connection.try_clone().unwrap();
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(5));
                drop(held);
            });
        }
    });
    let folder = tempdir().unwrap();
    let begin = Instant::now();
    let path = fetch(&server.remote(), &folder).unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
    assert!(
        begin.elapsed() > Duration::from_millis(600),
        "two silences of 300 ms were awaited"
    );
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "took {:?}",
        begin.elapsed()
    );
}

#[test]
fn a_wrong_sum_is_told_with_both_sums_and_nothing_stays() {
    let server = Server::start(|_, request, connection| serve(request, connection, "", BYTES));
    let folder = tempdir().unwrap();
    let (md5, sha256) = ("0".repeat(32), "0".repeat(64));
    for (remote, found, wrong) in [
        (server.remote().md5(&md5), MD5, &md5),
        (server.remote().sha256(&sha256), SHA256, &sha256),
    ] {
        let error = fetch(&remote, &folder).unwrap_err().to_string();
        assert!(error.contains(found) && error.contains(wrong), "{error}");
        assert!(error.contains("it was removed"), "{error}");
        assert_eq!(names(&folder), ["file.bin.lock"]);
    }
}

#[test]
fn a_wrong_size_is_told_before_anything_is_stored() {
    let server = Server::start(|_, request, connection| serve(request, connection, "", BYTES));
    let folder = tempdir().unwrap();
    let error = fetch(&server.remote().bytes(12), &folder)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("offers 300000 bytes, expected were 12"),
        "{error}"
    );
    assert_eq!(names(&folder), ["file.bin.lock"]);
}

#[test]
fn a_file_of_unknown_length_is_stored_and_checked() {
    let server = Server::start(|_, _, connection| send(connection, "200 OK", "", &body()));
    let folder = tempdir().unwrap();
    let path = fetch(&server.remote().md5(MD5), &folder).unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
    // A server that never stops must not fill the disk: 100 bytes were expected.
    let other = tempdir().unwrap();
    let error = fetch(&server.remote().bytes(100), &other)
        .unwrap_err()
        .to_string();
    assert!(error.contains("instead of 100"), "{error}");
}

#[test]
fn a_wrong_file_in_place_is_replaced_and_named_when_that_fails() {
    let server = Server::start(|count, request, connection| match count {
        0 => send(connection, "404 Not Found", "Content-Length: 0\r\n", b""),
        _ => serve(request, connection, "", BYTES),
    });
    let folder = tempdir().unwrap();
    let path = folder.path().join("file.bin");
    fs::write(&path, "brought by hand, but cut").unwrap();
    let remote = server.remote().bytes(BYTES as u64);
    let error = fetch(&remote, &folder).unwrap_err().to_string();
    assert!(
        error.contains("file.bin has 24 bytes instead of 300000, and the server"),
        "{error}"
    );
    assert_eq!(
        fs::read(&path).unwrap().len(),
        24,
        "a failure leaves the old file"
    );

    fetch(&remote, &folder).unwrap();
    assert_eq!(fs::read(&path).unwrap(), body());
}

#[test]
fn two_callers_share_one_download() {
    let server = Server::start(|_, request, connection| {
        thread::sleep(Duration::from_millis(200));
        serve(request, connection, "", BYTES);
    });
    let folder = tempdir().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let path = fetch(&server.remote().md5(MD5), &folder).unwrap();
                assert_eq!(fs::read(path).unwrap(), body());
            });
        }
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn no_server_is_told_at_once_with_the_way_round() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let remote = Remote::new(format!("http://{nobody}/file.bin"));
    let folder = tempdir().unwrap();
    let begin = Instant::now();
    let error = fetch(&remote, &folder).unwrap_err().to_string();
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "no pauses without any answer"
    );
    assert!(
        error.contains("refused") && error.contains("Lab::open()?.offline()"),
        "{error}"
    );
}

#[test]
fn a_file_name_with_folders_is_refused() {
    for name in ["../file.bin", "a/b", "", "..", "/file.bin"] {
        let folder = tempdir().unwrap();
        let error = fetch(
            &Remote {
                file_name: name.into(),
                ..Remote::new("http://127.0.0.1:1/")
            },
            &folder,
        );
        assert!(
            matches!(error, Err(Error::Argument { .. })),
            "{name}: {error:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let server = Server::start(|_, request, connection| serve(request, connection, "", BYTES));
    let folder = tempdir().unwrap();
    // The kernel's device that answers every write with "no space left".
    std::os::unix::fs::symlink("/dev/full", folder.path().join("file.bin.part")).unwrap();
    let error = fetch(&server.remote(), &folder).unwrap_err();
    assert!(
        matches!(
            error,
            Error::File {
                action: "write",
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("make room and call again"),
        "{error}"
    );
}

#[test]
fn reachable_answers_quickly_with_a_reason() {
    let within = Duration::from_millis(300);
    let good = Server::start(|_, _, connection| {
        send(connection, "404 Not Found", "Content-Length: 0\r\n", b"");
    });
    assert_eq!(good.remote().reachable(within), Ok(()));
    assert!(good.requests()[0].line.starts_with("HEAD "));

    let portal = Server::start(|_, _, connection| {
        send(
            connection,
            "200 OK",
            "Content-Type: text/html\r\nContent-Length: 9\r\n",
            b"",
        );
    });
    assert!(
        portal
            .remote()
            .reachable(within)
            .unwrap_err()
            .contains("log in")
    );

    let silent = Server::start(|_, _, _| thread::sleep(Duration::from_secs(3)));
    let begin = Instant::now();
    let reason = silent.remote().reachable(within).unwrap_err();
    assert!(reason.contains("no answer within 0.3 s"), "{reason}");
    assert!(begin.elapsed() < Duration::from_secs(2));

    // The top-level domain "invalid" never exists (RFC 2606).
    let nowhere = Remote::new("http://nowhere.invalid/").reachable(Duration::from_secs(5));
    assert!(nowhere.is_err());
}

// A client that trusted such an answer: github.com/owncloud/client/issues/756.
#[test]
fn the_rest_of_another_version_is_not_glued_to_what_came() {
    // Servers that pass over If-Range: with a tag of the new version, and with none at all.
    for tag in ["ETag: \"new\"\r\n", "Last-Modified: today\r\n", ""] {
        let server = Server::start(move |count, request, connection| match request.from() {
            Some(from) => {
                let headers = format!(
                    "Content-Range: bytes {from}-{}/{BYTES}\r\nContent-Length: {}\r\n{tag}",
                    BYTES - 1,
                    BYTES - from
                );
                send(connection, "206 Partial Content", &headers, &body()[from..]);
            }
            None if count == 0 => {
                let headers = format!("Content-Length: {BYTES}\r\nETag: \"old\"\r\n");
                send(connection, "200 OK", &headers, &[7; 100_000]);
            }
            None => serve(request, connection, "\"new\"", BYTES),
        });
        let folder = tempdir().unwrap();
        let path = fetch(&server.remote(), &folder).unwrap();
        assert_eq!(fs::read(path).unwrap(), body(), "{tag}");
        let asked: Vec<_> = server.requests().iter().map(Request::from).collect();
        assert_eq!(asked, [None, Some(100_000), None]);
    }
}

#[test]
fn a_download_that_trickles_is_given_up_and_what_came_is_kept() {
    let server = Server::start(|_, request, connection| {
        let from = request.from().unwrap_or(0);
        let headers = match from {
            0 => format!("Content-Length: {BYTES}\r\nETag: \"a\"\r\n"),
            _ => format!(
                "Content-Range: bytes {from}-{}/{BYTES}\r\nContent-Length: {}\r\nETag: \"a\"\r\n",
                BYTES - 1,
                BYTES - from
            ),
        };
        let status = if from == 0 {
            "200 OK"
        } else {
            "206 Partial Content"
        };
        send(connection, status, &headers, b"");
        for byte in body().iter().skip(from).take(100) {
            if connection.write_all(&[*byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    let folder = tempdir().unwrap();
    let begin = Instant::now();
    let error = fetch(&server.remote(), &folder).unwrap_err().to_string();
    assert!(error.contains("too slow"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(4));
    assert_eq!(server.requests().len(), 3);
    let part = part(&folder).unwrap();
    assert!(part.len() > 6 && part == body()[..part.len()]);
    assert!(
        error.contains(&format!("{} bytes are kept", part.len())),
        "{error}"
    );
}

#[test]
fn an_answer_whose_headers_trickle_is_no_answer() {
    let server = Server::start(|_, _, connection| {
        for byte in format!("HTTP/1.1 200 OK\r\nX-Long: {}", "x".repeat(1000)).bytes() {
            if connection.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    let folder = tempdir().unwrap();
    let begin = Instant::now();
    let error = fetch(&server.remote(), &folder).unwrap_err().to_string();
    assert!(error.contains("no answer within 0.3 s"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(4));
}

#[test]
fn what_made_room_for_a_download_is_never_overwritten() {
    let server = Server::start(|_, request, connection| serve(request, connection, "", BYTES));
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, text) in [("file.bin.replaced", "the oldest"), ("file.bin", "older")] {
        fs::write(at(name), text).unwrap();
    }
    fetch(&server.remote().md5(MD5), &folder).unwrap();
    fs::write(at("file.bin"), "old").unwrap();
    fetch(&server.remote().md5(MD5), &folder).unwrap();
    for (name, text) in [
        ("file.bin.replaced", "the oldest"),
        ("file.bin.replaced2", "older"),
        ("file.bin.replaced3", "old"),
    ] {
        assert_eq!(fs::read(at(name)).unwrap(), text.as_bytes());
    }
}
