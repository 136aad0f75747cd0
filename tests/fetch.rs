//! Downloads against a small server that misbehaves, and archives that do.
//!
//! Nothing here leaves this machine: the server listens on 127.0.0.1 in a thread of the test.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that fails"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use evcxr_transfer::{Error, Remote, fetch, reachable, unpack};
use tempfile::{TempDir, tempdir};

/// Of `body()`, computed by Python's hashlib.
const MD5: &str = "71224031a0dc8ad93fc9d7784f1c8352";
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
        Remote::new(format!("{}/file.bin", self.address)).patience(patience)
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(connection: &TcpStream) -> Request {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
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

fn silent(_: u64, _: Option<u64>) {}

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

    let path = fetch(&remote, &deep, &mut silent).unwrap();
    assert_eq!(path, deep.join("file.bin"));
    assert_eq!(fs::read(&path).unwrap(), body());

    assert_eq!(fetch(&remote, &deep, &mut silent).unwrap(), path);
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
    let mut told = Vec::new();
    fetch(&server.remote(), &folder, &mut |done, total| {
        told.push((done, total))
    })
    .unwrap();

    assert_eq!(told.last(), Some(&(BYTES as u64, Some(BYTES as u64))));
    let steps: Vec<u64> = told.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let (_, before_the_last) = steps.split_last().unwrap();
    assert!(
        told[0].0 >= 65_536 && before_the_last.iter().all(|step| *step >= 65_536),
        "{told:?}"
    );
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
    let path = fetch(&server.remote(), &folder, &mut silent).unwrap();

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
    let error = fetch(&server.remote(), &folder, &mut silent)
        .unwrap_err()
        .to_string();
    assert!(error.contains("150000 bytes are kept"), "{error}");
    assert_eq!(names(&folder), ["file.bin.lock", "file.bin.part"]);

    let path = fetch(&server.remote(), &folder, &mut silent).unwrap();
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
    let path = fetch(&server.remote(), &folder, &mut silent).unwrap();
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
    let path = fetch(&server.remote(), &folder, &mut silent).unwrap();
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
        let path = fetch(&server.remote(), &folder, &mut silent).unwrap();
        assert_eq!(server.requests()[1].from(), None);
        assert_eq!(fs::read(path).unwrap(), body());
    }
}

#[test]
fn a_glued_file_with_a_wrong_sum_is_brought_in_one_piece() {
    let server = Server::start(|count, request, connection| {
        if count == 0 {
            let headers = format!("Content-Length: {BYTES}\r\n");
            send(connection, "200 OK", &headers, &[7; 100_000]);
        } else {
            serve(request, connection, "", BYTES);
        }
    });
    let folder = tempdir().unwrap();
    let path = fetch(&server.remote().md5(MD5), &folder, &mut silent).unwrap();
    let asked: Vec<_> = server.requests().iter().map(Request::from).collect();
    assert_eq!(asked, [None, Some(100_000), None]);
    assert_eq!(fs::read(path).unwrap(), body());
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
        fetch(&server.remote(), &folder, &mut silent).unwrap_err();
        let mut whole = body();
        whole.extend(vec![0; extra]);
        fs::write(folder.path().join("file.bin.part"), whole).unwrap();

        let path = fetch(&server.remote(), &folder, &mut silent).unwrap();
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
    let path = fetch(&server.remote(), &folder, &mut silent).unwrap();
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
        let error = fetch(&server.remote(), &folder, &mut silent).unwrap_err();
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
    fetch(&server.remote(), &folder, &mut silent).unwrap();

    let other = tempdir().unwrap();
    let error = fetch(&server.remote(), &other, &mut silent)
        .unwrap_err()
        .to_string();
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
        fetch(&server.remote(), &folder, &mut silent).unwrap_err();
        let error = fetch(&server.remote(), &folder, &mut silent)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("login page") && error.contains("Open a browser"),
            "{error}"
        );
        assert_eq!(part(&folder).unwrap().len(), 150_000);

        fetch(&server.remote(), &folder, &mut silent).unwrap();
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
    let path = fetch(&server.remote(), &folder, &mut silent).unwrap();
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
    let wrong = "00000000000000000000000000000000";
    let error = fetch(&server.remote().md5(wrong), &folder, &mut silent)
        .unwrap_err()
        .to_string();
    assert!(error.contains(MD5) && error.contains(wrong), "{error}");
    assert!(error.contains("it was removed"), "{error}");
    assert_eq!(names(&folder), ["file.bin.lock"]);
}

#[test]
fn a_wrong_size_is_told_before_anything_is_stored() {
    let server = Server::start(|_, request, connection| serve(request, connection, "", BYTES));
    let folder = tempdir().unwrap();
    let error = fetch(&server.remote().bytes(12), &folder, &mut silent)
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
    let path = fetch(&server.remote().md5(MD5), &folder, &mut silent).unwrap();
    assert_eq!(fs::read(path).unwrap(), body());
    // A server that never stops must not fill the disk: 100 bytes were expected.
    let other = tempdir().unwrap();
    let error = fetch(&server.remote().bytes(100), &other, &mut silent)
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
    let error = fetch(&remote, &folder, &mut silent)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("file.bin has 24 bytes instead of 300000, and the server"),
        "{error}"
    );
    assert_eq!(
        fs::read(&path).unwrap().len(),
        24,
        "a failure leaves the old file"
    );

    fetch(&remote, &folder, &mut silent).unwrap();
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
                let path = fetch(&server.remote().md5(MD5), &folder, &mut silent).unwrap();
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
    let error = fetch(&remote, &folder, &mut silent)
        .unwrap_err()
        .to_string();
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
            &Remote::new("http://127.0.0.1:1/").file_name(name),
            &folder,
            &mut silent,
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
    let error = fetch(&server.remote(), &folder, &mut silent).unwrap_err();
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
    assert_eq!(reachable(&good.remote().url, within), Ok(()));
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
        reachable(&portal.remote().url, within)
            .unwrap_err()
            .contains("log in")
    );

    let silent = Server::start(|_, _, _| thread::sleep(Duration::from_secs(3)));
    let begin = Instant::now();
    let reason = reachable(&silent.remote().url, within).unwrap_err();
    assert!(reason.contains("no answer within 0.3 s"), "{reason}");
    assert!(begin.elapsed() < Duration::from_secs(2));

    // The top-level domain "invalid" never exists (RFC 2606).
    let nowhere = reachable("http://nowhere.invalid/", Duration::from_secs(5));
    assert!(nowhere.is_err());
}

/// An entry of an archive as `archive_of` writes it: name, content, and what the headers claim.
struct Entry<'a> {
    name: &'a str,
    content: &'a [u8],
    claimed_bytes: u32,
    crc: u32,
    unix_mode: u32,
}

fn entry<'a>(name: &'a str, content: &'a [u8]) -> Entry<'a> {
    let mut crc = !0_u32;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    Entry {
        name,
        content,
        claimed_bytes: content.len() as u32,
        crc: !crc,
        unix_mode: 0o100_644,
    }
}

/// A zip file of stored entries, byte by byte after the format's description (APPNOTE 4.3), because
/// no proper zip program writes the archives that must be refused.
fn archive_of(folder: &TempDir, entries: &[Entry]) -> std::path::PathBuf {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = bytes.len() as u32;
        let stored = entry.content.len() as u32;
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x58];
        for number in [entry.crc, stored, entry.claimed_bytes] {
            common.extend(number.to_le_bytes());
        }
        common.extend((entry.name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(entry.name.as_bytes());
        bytes.extend(entry.content);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((entry.unix_mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let (start, count) = (bytes.len() as u32, entries.len() as u16);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    let path = folder.path().join("archive.zip");
    fs::write(&path, bytes).unwrap();
    path
}

/// `pets/train/cats/1.jpg` (40 times "cat") and `pets/notes.txt` ("läuft"), deflated by Python's
/// zipfile.
const BY_PYTHON: &str = "\
    504b03041400000008000000215881823619080000007800000015000000706574732f747261696e2f63617473\
    2f312e6a70674b4e2c491e080400504b03041400000008000000215864a1bd9408000000060000000e00000070\
    6574732f6e6f7465732e747874cb39bca434ad0400504b01021403140000000800000021588182361908000000\
    78000000150000000000000000000000800100000000706574732f747261696e2f636174732f312e6a7067504b\
    010214031400000008000000215864a1bd9408000000060000000e000000000000000000000080013b00000070\
    6574732f6e6f7465732e747874504b050600000000020002007f0000006f0000000000";

fn content(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn an_archive_made_by_python_is_unpacked_without_its_top_folder() {
    let folder = tempdir().unwrap();
    let digits = |at: usize| u8::from_str_radix(&BY_PYTHON[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..BY_PYTHON.len()).step_by(2).map(digits).collect();
    let archive = folder.path().join("pets.zip");
    fs::write(&archive, bytes).unwrap();

    let into = folder.path().join("pets");
    let unpacked = unpack(&archive, &into).unwrap();
    assert_eq!(
        (unpacked.folder.as_path(), unpacked.files),
        (into.as_path(), 2)
    );
    assert!(unpacked.missing.is_empty());
    assert_eq!(content(&into, "train/cats/1.jpg"), "cat".repeat(40));
    assert_eq!(content(&into, "notes.txt"), "läuft");
    assert_eq!(names(&folder), ["pets", "pets.zip"]);
}

#[test]
fn what_macos_and_windows_add_is_left_out() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[
            entry("pets/cats/1.jpg", b"1"),
            entry("pets/cats/._1.jpg", b"x"),
            entry("pets/.DS_Store", b"x"),
            entry("pets/dogs/Thumbs.db", b"x"),
            entry("__MACOSX/pets/cats/._1.jpg", b"x"),
        ],
    );
    let into = folder.path().join("out");
    assert_eq!(unpack(archive, &into).unwrap().files, 1);
    let names: Vec<_> = fs::read_dir(&into)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["cats"]);
}

#[test]
fn several_top_folders_stay_as_they_are() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[entry("cats/1.jpg", b"1"), entry("dogs/1.jpg", b"2")],
    );
    let into = folder.path().join("out/");
    unpack(archive, &into).unwrap();
    assert_eq!(
        content(&into, "cats/1.jpg") + &content(&into, "dogs/1.jpg"),
        "12"
    );
}

#[test]
fn a_folder_in_place_is_left_alone_and_what_it_lacks_is_told() {
    let folder = tempdir().unwrap();
    let entries = [
        entry("cats/1.jpg", b"1"),
        entry("cats/2.jpg", b"2"),
        entry("dogs/1.jpg", b"3"),
    ];
    let archive = archive_of(&folder, &entries);
    let into = folder.path().join("out");
    fs::create_dir(&into).unwrap(); // an empty one counts as none
    unpack(&archive, &into).unwrap();
    assert!(unpack(&archive, &into).unwrap().missing.is_empty());

    fs::write(into.join("cats/1.jpg"), "mine").unwrap();
    fs::remove_file(into.join("dogs/1.jpg")).unwrap();
    let again = unpack(&archive, &into).unwrap();
    assert_eq!(
        again.missing,
        [Path::new("cats/1.jpg"), Path::new("dogs/1.jpg")]
    );
    assert_eq!(again.files, 3);
    assert_eq!(content(&into, "cats/1.jpg"), "mine");
}

#[test]
fn what_a_killed_process_left_is_cleared_away() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[entry("cats/1.jpg", b"1"), entry("dogs/1.jpg", b"2")],
    );
    fs::create_dir_all(folder.path().join("out.unpacking/cats")).unwrap();
    fs::write(folder.path().join("out.unpacking/cats/1.jpg"), "half").unwrap();
    let into = folder.path().join("out");
    unpack(archive, &into).unwrap();
    assert_eq!(content(&into, "cats/1.jpg"), "1");
    assert_eq!(names(&folder), ["archive.zip", "out"]);
}

#[test]
fn several_callers_unpack_the_same_archive_once() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[entry("cats/1.jpg", b"1"), entry("dogs/1.jpg", b"2")],
    );
    let into = folder.path().join("out");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(unpack(&archive, &into).unwrap().missing.is_empty()));
        }
    });
}

/// Unpacks what must be refused; returns the text, having checked that nothing was left behind.
fn refusal(entries: &[Entry]) -> String {
    let outer = tempdir().unwrap();
    let folder = TempDir::new_in(&outer).unwrap();
    let archive = archive_of(&folder, entries);
    let error = unpack(&archive, folder.path().join("out")).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error}");
    assert_eq!(names(&folder), ["archive.zip"]);
    assert_eq!(fs::read_dir(&outer).unwrap().count(), 1);
    error.to_string()
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    for name in [
        "../evil.txt",
        "a/../../evil.txt",
        "/evil.txt",
        "C:/evil.txt",
    ] {
        let text = refusal(&[entry("cats/1.jpg", b"1"), entry(name, b"x")]);
        assert!(
            text.contains(name) && text.contains("leads out of the folder"),
            "{text}"
        );
    }
}

#[test]
fn links_are_refused() {
    let link = Entry {
        unix_mode: 0o120_777,
        ..entry("cats/link", b"/etc/passwd")
    };
    let text = refusal(&[entry("cats/1.jpg", b"1"), link]);
    assert!(
        text.contains("cats/link") && text.contains("a link"),
        "{text}"
    );
}

#[test]
fn a_zip_bomb_is_refused_before_anything_is_written() {
    let huge = |name| Entry {
        claimed_bytes: 0xffff_fff0,
        ..entry(name, b"x")
    };
    let text = refusal(&[huge("cats/1.jpg"), huge("cats/2.jpg")]);
    assert!(
        text.contains("8589934560 bytes, more than the 4294967296"),
        "{text}"
    );
}

#[test]
fn an_entry_longer_or_shorter_than_it_says_is_refused() {
    for claimed_bytes in [2, 400] {
        let lying = Entry {
            claimed_bytes,
            ..entry("cats/1.jpg", &[b'x'; 100])
        };
        let text = refusal(&[entry("dogs/1.jpg", b"1"), lying]);
        assert!(text.contains("cats/1.jpg"), "{text}");
    }
}

#[test]
fn a_wrong_check_sum_names_the_entry() {
    let damaged = Entry {
        crc: 1,
        ..entry("cats/1.jpg", b"1")
    };
    let text = refusal(&[entry("dogs/1.jpg", b"1"), damaged]);
    assert!(
        text.contains("cats/1.jpg in it is damaged") && text.contains("again"),
        "{text}"
    );
}

#[test]
fn what_is_no_zip_file_or_a_cut_one_is_refused() {
    let folder = tempdir().unwrap();
    let archive = archive_of(
        &folder,
        &[entry("cats/1.jpg", b"1"), entry("dogs/1.jpg", b"2")],
    );
    let whole = fs::read(&archive).unwrap();
    for bytes in [&whole[..whole.len() - 30], b"<html>", b""] {
        fs::write(&archive, bytes).unwrap();
        let error = unpack(&archive, folder.path().join("out"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot be read as a zip file"), "{error}");
    }
    let error = unpack(folder.path().join("none.zip"), folder.path().join("out")).unwrap_err();
    assert!(
        matches!(error, Error::File { action: "open", .. }),
        "{error}"
    );
}
