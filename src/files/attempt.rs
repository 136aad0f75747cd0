//! An [`Attempt`] at a download: one question to the server, its answer, and the bytes that come.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::Body;
use ureq::http::Response;

use crate::error::{Error, Result};
use crate::files::http::{self, header};
use crate::files::part::Part;
use crate::files::remote::{CHUNK, Remote};
use crate::machine::disk::write_error;
use crate::show::progress::Progress;
use crate::show::task::Task;

/// Bytes a second below which an attempt is given up; half a gigabyte would take a week.
const SLOWEST: f64 = 1000.0;

/// What a reader sees of a download, and whether the reader wants it to stop.
pub(crate) struct Shown<'a> {
    pub(crate) progress: &'a Progress,
    pub(crate) doing: String,
    pub(crate) task: Option<Task>,
}

impl Shown<'_> {
    /// Says how many bytes are there, of how many where that is known.
    pub(crate) fn done(&mut self, done: u64, total: Option<u64>) {
        let begin = || {
            let total = total.map(|total| total as usize);
            let task = self.progress.task(&self.doing, "bytes", total);
            task.resumed_at(done as usize)
        };
        self.task.get_or_insert_with(begin).done(done as usize);
    }

    /// Ends the download if it should stop.
    pub(crate) fn check(&self) -> Result<()> {
        self.progress.check(&self.doing)
    }
}

/// Why one attempt at a download ended.
pub(crate) enum Ended {
    /// Another attempt may do better. `answered` tells whether the server was there at all.
    Again { problem: String, answered: bool },
    /// Another attempt would end the same way.
    Over(Error),
}

impl Ended {
    /// The server was there and did not give what was asked for.
    fn again(problem: impl Into<String>) -> Self {
        Self::Again {
            problem: problem.into(),
            answered: true,
        }
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Over(error)
    }
}

/// One question to the server.
pub(crate) struct Attempt<'a, 'b> {
    pub(crate) remote: &'a Remote,
    /// Where the file is to be, for the words of an error.
    pub(crate) place: &'a Path,
    pub(crate) part: &'a mut Part,
    pub(crate) shown: &'a mut Shown<'b>,
}

impl Attempt<'_, '_> {
    /// Asks the server once for what lies behind `start` and adds it to the part.
    pub(crate) fn run(&mut self, start: u64) -> std::result::Result<(), Ended> {
        if start > 0 && Some(start) == self.remote.bytes {
            return Ok(());
        }
        let answer = self.ask(start)?;
        match self.offer(&answer, start)? {
            None => Ok(()),
            Some((start, total)) => self.receive(answer, start, total),
        }
    }

    fn ask(&mut self, start: u64) -> std::result::Result<Response<Body>, Ended> {
        let (url, silence) = (self.remote.url.clone(), self.remote.patience);
        let validator = self.part.validator();
        let answer = http::answer(move || {
            http::ask(&url, silence, None, |agent| {
                // A compressed answer would have another length and other ranges than the file.
                let mut request = agent.get(&url).header("Accept-Encoding", "identity");
                if start > 0 {
                    request = request.header("Range", format!("bytes={start}-"));
                    if let Some(validator) = &validator {
                        request = request.header("If-Range", validator);
                    }
                }
                request.call()
            })
        });
        let unanswered = |error| Ended::Again {
            problem: http::reason(&error, silence),
            answered: http::was_cut(&error),
        };
        let answer = answer.map_err(unanswered)?.next(|| self.shown.check())?;
        let answer = answer.map_err(unanswered)?;
        answer.ok_or_else(|| Ended::again("no answer came"))
    }

    /// From which byte on the answer holds the file, and how long the file is; nothing if the part is
    /// whole already.
    fn offer(
        &mut self,
        answer: &Response<Body>,
        start: u64,
    ) -> std::result::Result<Option<(u64, Option<u64>)>, Ended> {
        let range = header(answer.headers(), "Content-Range").and_then(parse_range);
        if answer.status() == 206 {
            let is_same = self
                .part
                .is_of_this_version(|name| header(answer.headers(), name));
            // Some servers pass over If-Range, and send the rest of whatever is there now.
            if !is_same.unwrap_or(self.remote.sum.is_some()) {
                self.part.remove()?;
                return Err(Ended::again("the file there has changed meanwhile"));
            }
        }
        let (start, total) = match answer.status().as_u16() {
            200 => (0, answer.body().content_length()),
            206 if start > 0 && range.is_some_and(|(from, _)| from == Some(start)) => {
                (start, range.and_then(|(_, total)| total))
            }
            416 if start > 0 && range == Some((None, Some(start))) => return Ok(None),
            206 | 416 => {
                self.part.remove()?;
                return Err(Ended::again(
                    "the server does not go on where the download stopped",
                ));
            }
            511 => return Err(self.login_page().into()),
            status @ (408 | 429 | 500..) => {
                let problem = format!("the server answers with status {status}");
                return Err(Ended::again(problem));
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
                return Err(self.failure(problem, advice).into());
            }
        };
        if self.remote.is_web_page(answer.headers()) {
            return Err(self.login_page().into());
        }
        if let (Some(expected), Some(offered)) = (self.remote.bytes, total)
            && expected != offered
        {
            let problem = format!("the server offers {offered} bytes, expected were {expected}");
            return Err(self.failure(problem, "The file there has changed").into());
        }
        Ok(Some((start, total)))
    }

    /// Adds the answer's bytes to the part, which has `start` of `total`.
    fn receive(
        &mut self,
        answer: Response<Body>,
        start: u64,
        total: Option<u64>,
    ) -> std::result::Result<(), Ended> {
        let origin = header(answer.headers(), "ETag")
            .filter(|tag| !tag.starts_with("W/")) // weak tags are not allowed in If-Range
            .or_else(|| header(answer.headers(), "Last-Modified"))
            .map(str::to_owned);
        let patience = self.remote.patience;
        let broken = |done: u64| {
            move |error| {
                let problem = http::reason(&error, patience);
                Ended::again(format!(
                    "the download broke off after {done} bytes: {problem}"
                ))
            }
        };
        let chunks = http::chunks(answer.into_body()).map_err(broken(start))?;
        // Looked at before the old part is cut, so that a login page costs nothing of it.
        let mut chunk = chunks.next(|| self.shown.check())?.map_err(broken(start))?;
        let is_page = chunk.as_deref().is_some_and(looks_like_web_page);
        if start == 0 && is_page && !self.remote.wants_web_page() {
            return Err(self.login_page().into());
        }
        let mut file = match start {
            0 => self.part.create(&self.remote.url, origin.as_deref())?,
            _ => self.part.append()?,
        };
        let (mut done, mut told) = (start, start);
        let all = total.or(self.remote.bytes);
        let most = self.remote.bytes.or(total).unwrap_or(u64::MAX);
        let mut pace = Pace::new(patience, done);
        while let Some(bytes) = chunk.filter(|_| done <= most) {
            file.write_all(&bytes)
                .map_err(|error| write_error(&self.part.path, error))?;
            done += bytes.len() as u64;
            pace.check(done)?;
            if done - told >= CHUNK as u64 {
                self.shown.done(done, all);
                told = done;
            }
            chunk = chunks.next(|| self.shown.check())?.map_err(broken(done))?;
        }
        if done != told {
            self.shown.done(done, all);
        }
        match total {
            Some(total) if done < total => Err(Ended::again(format!(
                "the download broke off after {done} of {total} bytes"
            ))),
            _ => Ok(file
                .sync_all()
                .map_err(|error| write_error(&self.part.path, error))?),
        }
    }

    fn login_page(&self) -> Error {
        let problem = "a web page came instead of the file, probably the login page of a network";
        self.failure(problem.into(), "Open a browser, log in, and call again")
    }

    fn failure(&self, problem: String, advice: &str) -> Error {
        self.remote.failure(self.place, problem, advice)
    }
}

/// Whether the bytes of a download keep coming: a server that sends one now and then is as good as silent.
struct Pace {
    patience: Duration,
    since: Instant,
    /// How many there were then.
    before: u64,
}

impl Pace {
    fn new(patience: Duration, done: u64) -> Self {
        Self {
            patience,
            since: Instant::now(),
            before: done,
        }
    }

    /// Ends an attempt in which fewer came than the slowest network brings, in as long as a silence may last.
    fn check(&mut self, done: u64) -> std::result::Result<(), Ended> {
        let passed = self.since.elapsed();
        if passed < self.patience {
            return Ok(());
        }
        let came = done - self.before;
        if (came as f64) < SLOWEST * passed.as_secs_f64() {
            return Err(Ended::again(format!(
                "the download is too slow: {came} bytes came in {:.0} s, after {} before",
                passed.as_secs_f64().ceil(),
                self.before
            )));
        }
        *self = Self::new(self.patience, done);
        Ok(())
    }
}

/// `bytes 5-9/10` as (5, 10), `bytes */10` as (none, 10).
fn parse_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let from = range
        .split_once('-')
        .and_then(|(from, _)| from.trim().parse().ok());
    Some((from, total.trim().parse().ok()))
}

fn looks_like_web_page(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&start[..start.len().min(256)]).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with("<!doctype html") || text.starts_with("<html")
}
