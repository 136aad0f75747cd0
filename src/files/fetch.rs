//! A file from the network: resumed when cut, checked, unpacked.
//!
//! This is the first step of the flow: weight files and picture archives land in the data folder
//! here, before anything reads them. Nothing is printed; a callback hears how far a download is.
//!
//! ```no_run
//! use evcxr_transfer::{Remote, fetch, unpack};
//!
//! # fn main() -> evcxr_transfer::Result<()> {
//! let pictures = Remote::new("https://example.org/pictures.zip").bytes(68_606_236);
//! let archive = fetch(&pictures, "data", &mut |done, total| println!("{done} of {total:?} bytes"))?;
//! let unpacked = unpack(&archive, "data/pictures")?;
//! println!("{} files in {}", unpacked.files, unpacked.folder.display());
//! # Ok(())
//! # }
//! ```

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Component, Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use md5::{Digest, Md5};
use ureq::http::{HeaderMap, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::error::{Error, Result};

/// How often one call of [`fetch`] asks the server before it gives up.
const TRIES: u32 = 3;

/// The longest wait that is asked of a clock.
const LONGEST_PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes read at once, and so the least that lies between two calls of the progress callback.
pub(crate) const CHUNK: usize = 64 * 1024;

/// A file on a server, and what is known about it beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address, `https://...` or `http://...`.
    pub url: String,
    /// The name that the file gets in the data folder, without folders.
    pub file_name: String,
    /// The size that the file must have, in bytes. Default: any.
    pub bytes: Option<u64>,
    /// The MD5 sum that the file must have, 32 hexadecimal digits. Default: any.
    pub md5: Option<String>,
    /// How long the server may stay silent before the connection counts as dead. Default: 30 s.
    pub patience: Duration,
}

/// Why one attempt at a download ended.
enum Stop {
    /// Another attempt may do better. `answered` tells whether the server was there at all.
    Again { problem: String, answered: bool },
    /// Another attempt would end the same way.
    Over(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Over(error)
    }
}

/// Brings the file into `folder`, which is created if need be, and returns its path.
///
/// A file that is already there and fits (size, MD5 sum) is returned at once, without the
/// network. Otherwise it is downloaded beside its place as `.part`, checked, and then renamed,
/// so a file under its final name is always whole. A download that was cut goes on where it
/// stopped, within this call (three tries) and in later ones. Two processes may ask for the
/// same file: the second waits for the first (a `.lock` file stays behind for that).
///
/// `progress` hears the bytes that are there and the bytes in all, where the server tells;
/// at most once per 64 KiB. Proxies come from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
/// `NO_PROXY`; certificates from the system or `SSL_CERT_FILE`, and from the built-in list.
///
/// # Errors
/// [`Error::Download`] if the server cannot be reached, refuses, sends a web page instead of
/// the file, breaks off three times, or has a file of another size or sum; [`Error::File`] if
/// the folder cannot be written or the disk is full; [`Error::Argument`] if `file_name` is not
/// a plain name.
pub fn fetch(
    remote: &Remote,
    folder: impl AsRef<Path>,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<PathBuf> {
    remote.fetch(folder.as_ref(), progress)
}

/// Whether the server of `url` answers within this time; otherwise the reason in a few words.
///
/// Any answer counts, also a refusal, except the login page of a network.
///
/// # Errors
/// The reason why there is no answer, for example `the host name cannot be resolved`.
pub fn reachable(url: &str, within: Duration) -> std::result::Result<(), String> {
    Remote::new(url).reachable(within)
}

impl Remote {
    /// The file at `url`, of any size and content, to be stored under the last part of its address.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let address = url.split(['?', '#']).next().unwrap_or_default();
        let file_name = address.rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            url,
            file_name,
            bytes: None,
            md5: None,
            patience: Duration::from_secs(30),
        }
    }

    /// The same file, to be stored under this name.
    pub fn file_name(self, file_name: impl Into<String>) -> Self {
        Self {
            file_name: file_name.into(),
            ..self
        }
    }

    /// The same file, which must have this many bytes.
    pub fn bytes(self, bytes: u64) -> Self {
        Self {
            bytes: Some(bytes),
            ..self
        }
    }

    /// The same file, which must have this MD5 sum (32 hexadecimal digits).
    pub fn md5(self, md5: impl Into<String>) -> Self {
        Self {
            md5: Some(md5.into()),
            ..self
        }
    }

    /// The same file, from a server that may stay silent for this long, a day at most.
    pub fn patience(self, patience: Duration) -> Self {
        // Clocks overflow far out; nobody waits for a day.
        let patience = patience.min(LONGEST_PATIENCE);
        Self { patience, ..self }
    }

    /// Whether the file is in `folder` in its right size; a quick look that computes no sum.
    pub fn is_in(&self, folder: impl AsRef<Path>) -> bool {
        fs::metadata(folder.as_ref().join(&self.file_name)).is_ok_and(|found| {
            found.is_file() && self.bytes.is_none_or(|bytes| bytes == found.len())
        })
    }

    fn fetch(&self, folder: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<PathBuf> {
        let mut parts = Path::new(&self.file_name).components();
        if !matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(Error::Argument {
                argument: "file_name",
                value: format!("{:?}", self.file_name),
                expected: "it must be a plain file name, without folders".into(),
            });
        }
        let path = folder.join(&self.file_name);
        if path.is_file() && self.misfit(&path)?.is_none() {
            return Ok(path);
        }
        fs::create_dir_all(folder).map_err(Error::file(folder, "create"))?;
        let part = with_suffix(&path, ".part");
        let lock_path = with_suffix(&path, ".lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock_path)
            .map_err(Error::file(&lock_path, "open"))?;
        wait_for_lock(&lock, || {
            progress(
                fs::metadata(&part).map_or(0, |found| found.len()),
                self.bytes,
            );
        });
        // Asked again, because another process may have brought the file while this one waited.
        let mut in_place = String::new();
        if path.is_file() {
            match self.misfit(&path)? {
                None => return Ok(path),
                Some(problem) => in_place = format!("{} {problem}, and ", path.display()),
            }
        }
        self.bring(&path, &part, &mut lock, progress)
            .map_err(|error| match error {
                Error::Download {
                    url,
                    problem,
                    remedy,
                } => Error::Download {
                    url,
                    problem: in_place + &problem,
                    remedy,
                },
                other => other,
            })?;
        if path.exists() {
            // Another file of that name is somebody's: it makes room and is kept.
            let aside = with_suffix(&path, ".replaced");
            fs::rename(&path, &aside).map_err(Error::file(&path, "move aside"))?;
        }
        fs::rename(&part, &path).map_err(Error::file(&path, "rename the download to"))?;
        Ok(path)
    }

    fn reachable(&self, within: Duration) -> std::result::Result<(), String> {
        let within = within.min(LONGEST_PATIENCE);
        let answer = self.ask(within, Some(within), |agent| agent.head(&self.url).call());
        match answer {
            Ok(answer) if self.is_web_page(answer.headers()) || answer.status() == 511 => {
                Err("a web page answers in the server's place: log in to the network".into())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(reason(&error, within)),
        }
    }

    /// Fills `part` with the checked file.
    fn bring(
        &self,
        path: &Path,
        part: &Path,
        lock: &mut File,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<()> {
        let mut answered_before = false;
        for tried in 1.. {
            let start = self.resume_from(part, lock);
            let problem = match self.attempt(path, part, lock, start, progress) {
                Ok(()) => match self.misfit(part)? {
                    None => break,
                    Some(problem) => {
                        fs::remove_file(part).map_err(Error::file(part, "remove"))?;
                        // A file in two pieces may have changed between them: that is no reason
                        // to give up before it was brought in one.
                        if start == 0 || tried >= TRIES {
                            let problem = format!("the file that came {problem}; it was removed");
                            return Err(self.failure(path, problem, "Call again"));
                        }
                        continue;
                    }
                },
                Err(Stop::Over(error)) => return Err(error),
                Err(Stop::Again { problem, answered }) => {
                    answered_before |= answered;
                    problem
                }
            };
            // Without any answer the network is not there, and waiting would only hide that.
            if tried >= TRIES || !answered_before {
                let advice = match self.resume_from(part, lock) {
                    0 => "Look whether the network is there and call again".to_owned(),
                    kept => format!("Call again to go on ({kept} bytes are kept)"),
                };
                return Err(self.failure(path, problem, &advice));
            }
            sleep(self.patience / 30 * tried);
        }
        Ok(())
    }

    /// How much of the file lies in `part` and may be kept.
    fn resume_from(&self, part: &Path, lock: &mut File) -> u64 {
        let have = fs::metadata(part).map_or(0, |found| found.len());
        let (url, validator) = read_origin(lock);
        // With neither a validator nor a sum nobody could tell two versions glued together.
        let provable = validator.is_some() || self.md5.is_some();
        let fits = self.bytes.is_none_or(|bytes| have <= bytes);
        if url == self.url && provable && fits {
            have
        } else {
            0
        }
    }

    /// Asks the server once for what lies behind `start` and writes it to `part`.
    fn attempt(
        &self,
        path: &Path,
        part: &Path,
        lock: &mut File,
        start: u64,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> std::result::Result<(), Stop> {
        if start > 0 && Some(start) == self.bytes {
            return Ok(());
        }
        let again = |problem: String| Stop::Again {
            problem,
            answered: true,
        };
        let (_, validator) = read_origin(lock);
        let answer = self.ask(self.patience, None, |agent| {
            // A compressed answer would have another length and other ranges than the file.
            let mut request = agent.get(&self.url).header("Accept-Encoding", "identity");
            if start > 0 {
                request = request.header("Range", format!("bytes={start}-"));
                if let Some(validator) = &validator {
                    request = request.header("If-Range", validator);
                }
            }
            request.call()
        });
        let answer = answer.map_err(|error| Stop::Again {
            problem: reason(&error, self.patience),
            answered: was_cut(&error),
        })?;

        let range = header(answer.headers(), "Content-Range").and_then(parse_range);
        let (start, total) = match answer.status().as_u16() {
            200 => (0, answer.body().content_length()),
            206 if start > 0 && range.is_some_and(|(from, _)| from == Some(start)) => {
                (start, range.and_then(|(_, total)| total))
            }
            416 if start > 0 && range == Some((None, Some(start))) => return Ok(()),
            206 | 416 => {
                fs::remove_file(part)
                    .or_else(accept_missing)
                    .map_err(Error::file(part, "remove"))?;
                return Err(again(
                    "the server does not go on where the download stopped".into(),
                ));
            }
            511 => return Err(self.login_page(path).into()),
            status @ (408 | 429 | 500..) => {
                return Err(again(format!("the server answers with status {status}")));
            }
            status => {
                let meaning = match status {
                    401 | 403 => " (not allowed)",
                    404 | 410 => " (no such file)",
                    407 => " (the proxy wants a password)",
                    _ => "",
                };
                let problem = format!("the server answers with status {status}{meaning}");
                let advice = "The file may have moved, or your network may block it";
                return Err(self.failure(path, problem, advice).into());
            }
        };
        if self.is_web_page(answer.headers()) {
            return Err(self.login_page(path).into());
        }
        if let (Some(expected), Some(offered)) = (self.bytes, total)
            && expected != offered
        {
            let problem = format!("the server offers {offered} bytes, expected were {expected}");
            return Err(self
                .failure(path, problem, "The file there has changed")
                .into());
        }

        let origin = header(answer.headers(), "ETag")
            .filter(|tag| !tag.starts_with("W/")) // weak tags are not allowed in If-Range
            .or_else(|| header(answer.headers(), "Last-Modified"))
            .map(str::to_owned);
        let mut reader = answer.into_body().into_reader();
        let mut buffer = vec![0; CHUNK];
        let mut read = |buffer: &mut [u8], done: u64| {
            reader.read(buffer).map_err(|error| {
                let problem = reason(&ureq::Error::from(error), self.patience);
                again(format!(
                    "the download broke off after {done} bytes: {problem}"
                ))
            })
        };
        // Looked at before the old part is cut, so that a login page costs nothing of it.
        let mut count = read(&mut buffer, start)?;
        if start == 0 && looks_like_web_page(&buffer[..count]) && !self.wants_web_page() {
            return Err(self.login_page(path).into());
        }
        let mut file = if start == 0 {
            write_origin(lock, &self.url, origin.as_deref());
            File::create(part).map_err(Error::file(part, "create"))?
        } else {
            OpenOptions::new()
                .append(true)
                .open(part)
                .map_err(Error::file(part, "open"))?
        };
        let (mut done, mut told) = (start, start);
        let most = self.bytes.or(total).unwrap_or(u64::MAX);
        while count > 0 && done <= most {
            file.write_all(&buffer[..count])
                .map_err(|error| write_error(part, error))?;
            done += count as u64;
            if done - told >= CHUNK as u64 {
                progress(done, total.or(self.bytes));
                told = done;
            }
            count = read(&mut buffer, done)?;
        }
        if done != told {
            progress(done, total.or(self.bytes));
        }
        match total {
            Some(total) if done < total => Err(again(format!(
                "the download broke off after {done} of {total} bytes"
            ))),
            _ => Ok(file.sync_all().map_err(|error| write_error(part, error))?),
        }
    }

    /// Sends a request, trusting the system's certificates or else the built-in ones.
    ///
    /// The system's come first, because companies and universities add their own there; a bare
    /// machine has none at all.
    fn ask(
        &self,
        silence: Duration,
        in_all: Option<Duration>,
        send: impl Fn(&Agent) -> std::result::Result<Response<Body>, ureq::Error>,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let agent = |roots: RootCerts| {
            let mut config = Agent::config_builder()
                .http_status_as_error(false)
                // A redirect must not lead from a secure address to an open one.
                .https_only(self.url.starts_with("https:"))
                .tls_config(TlsConfig::builder().root_certs(roots).build())
                .timeout_resolve(Some(silence))
                .timeout_connect(Some(silence))
                .timeout_per_read(Some(silence))
                .timeout_per_write(Some(silence))
                .timeout_global(in_all);
            if is_this_machine(&self.url) {
                config = config.proxy(None);
            }
            config.build().new_agent()
        };
        match send(&agent(RootCerts::PlatformVerifier)) {
            Err(error) if is_about_certificates(&error) => send(&agent(RootCerts::WebPki)),
            answer => answer,
        }
    }

    /// What is wrong with the file at `path`, as the end of a sentence; `None` if it fits.
    /// Why the file at `path` is not this one; nothing if it is.
    pub(crate) fn misfit(&self, path: &Path) -> Result<Option<String>> {
        let found = fs::metadata(path).map_err(Error::file(path, "read"))?.len();
        if let Some(bytes) = self.bytes.filter(|bytes| *bytes != found) {
            return Ok(Some(format!("has {found} bytes instead of {bytes}")));
        }
        let Some(expected) = &self.md5 else {
            return Ok(None);
        };
        let found = md5_of(path).map_err(Error::file(path, "read"))?;
        let fits = found.eq_ignore_ascii_case(expected);
        Ok((!fits).then(|| format!("has the MD5 sum {found} instead of {expected}")))
    }

    fn wants_web_page(&self) -> bool {
        let name = self.file_name.to_ascii_lowercase();
        name.ends_with(".html") || name.ends_with(".htm")
    }

    fn is_web_page(&self, headers: &HeaderMap) -> bool {
        header(headers, "Content-Type").is_some_and(|kind| {
            kind.trim_start()
                .to_ascii_lowercase()
                .starts_with("text/html")
        }) && !self.wants_web_page()
    }

    fn login_page(&self, path: &Path) -> Error {
        let problem = "a web page came instead of the file, probably the login page of a network";
        self.failure(
            path,
            problem.into(),
            "Open a browser, log in, and call again",
        )
    }

    fn failure(&self, path: &Path, problem: String, advice: &str) -> Error {
        let remedy = format!(
            "{advice}; or bring {} to {} by another way, or work offline: `Lab::open()?.offline()`",
            self.url,
            path.display()
        );
        Error::Download {
            url: self.url.clone(),
            problem,
            remedy,
        }
    }
}

/// Waits until no other process holds the lock, calling `waiting` meanwhile.
pub(crate) fn wait_for_lock(file: &File, mut waiting: impl FnMut()) {
    // Some network file systems know no locks. The work goes on without one there: the size and
    // the sum are checked at the end in any case.
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        waiting();
        sleep(Duration::from_millis(100));
    }
}

/// The address and the validator (ETag or date) of the bytes in the `.part` file.
///
/// They lie in the lock file, and go through its one handle, because Windows keeps all other
/// handles out of a locked file.
fn read_origin(lock: &mut File) -> (String, Option<String>) {
    let mut text = String::new();
    if lock
        .rewind()
        .and_then(|()| lock.read_to_string(&mut text))
        .is_err()
    {
        return (String::new(), None);
    }
    let mut lines = text.lines();
    let url = lines.next().unwrap_or_default().to_owned();
    (
        url,
        lines
            .next()
            .filter(|line| !line.is_empty())
            .map(str::to_owned),
    )
}

fn write_origin(lock: &mut File, url: &str, validator: Option<&str>) {
    let text = format!("{url}\n{}\n", validator.unwrap_or_default());
    let written = lock
        .set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| lock.write_all(text.as_bytes()));
    if written.is_err() {
        // Half a record could vouch for the wrong bytes; an empty one only costs the resuming.
        lock.set_len(0).ok();
    }
}

fn md5_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Md5::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// `bytes 5-9/10` as (5, 10), `bytes */10` as (none, 10).
fn parse_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let from = range
        .split_once('-')
        .and_then(|(from, _)| from.trim().parse().ok());
    Some((from, total.trim().parse().ok()))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn looks_like_web_page(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&start[..start.len().min(256)]).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with("<!doctype html") || text.starts_with("<html")
}

/// Whether the address is on this machine, which no proxy can reach.
fn is_this_machine(url: &str) -> bool {
    let uri = url.parse::<ureq::http::Uri>().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn is_about_certificates(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => true,
        // The handshake hands its errors on in this wrapping.
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// Whether somebody was there and hung up.
fn was_cut(error: &ureq::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error, ureq::Error::Io(error) if matches!(
        error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    ))
}

/// Why there was no answer, in a few words.
fn reason(error: &ureq::Error, patience: Duration) -> String {
    let silent = || format!("no answer within {} s", patience.as_secs_f64());
    match error {
        ureq::Error::HostNotFound => "the host name cannot be resolved".into(),
        ureq::Error::Timeout(_) => silent(),
        ureq::Error::ConnectProxyFailed(answer) => format!("the proxy refused: {answer}"),
        error if was_cut(error) => "the connection was cut".into(),
        error if is_about_certificates(error) => format!(
            "no secure connection ({error}); where a network has certificates of its own, name \
             them in SSL_CERT_FILE"
        ),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => "the connection was refused".into(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => silent(),
            // getaddrinfo's failures have no kind of their own.
            _ if error.to_string().contains("lookup") => "the host name cannot be resolved".into(),
            _ => error.to_string(),
        },
        error => error.to_string(),
    }
}

pub(crate) fn write_error(path: &Path, error: io::Error) -> Error {
    let source = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => io::Error::new(
            error.kind(),
            format!("{error}. The disk is full: make room and call again"),
        ),
        _ => error,
    };
    Error::File {
        path: path.into(),
        action: "write",
        source,
    }
}

pub(crate) fn accept_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// The file or folder beside `path` whose name is longer by `suffix`.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(suffix);
    path.with_file_name(name)
}
