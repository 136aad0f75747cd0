//! Questions to a server over HTTP: sent, waited for with an ear for a stop, and why no answer came.

use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use ureq::http::{HeaderMap, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::error::Result;
use crate::files::remote::{CHUNK, Remote};
use crate::machine::patience::awaited;

/// What came of a question.
pub(crate) type Answer<T> = std::result::Result<T, ureq::Error>;

impl Remote {
    /// Whether the server answers within this time; otherwise the reason in a few words, for example
    /// `the host name cannot be resolved`.
    ///
    /// Any answer counts, also a refusal, except the login page of a network.
    pub(crate) fn reachable(&self, within: Duration) -> std::result::Result<(), String> {
        let answer = ask(&self.url, within, Some(within), |agent| {
            agent.head(&self.url).call()
        });
        match answer {
            Ok(answer) if self.is_web_page(answer.headers()) || answer.status() == 511 => {
                Err("a web page answers in the server's place: log in to the network".into())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(reason(&error, within)),
        }
    }

    /// Whether a web page came instead of the file.
    pub(crate) fn is_web_page(&self, headers: &HeaderMap) -> bool {
        header(headers, "Content-Type").is_some_and(|kind| {
            kind.trim_start()
                .to_ascii_lowercase()
                .starts_with("text/html")
        }) && !self.wants_web_page()
    }
}

/// Sends a request, trusting the system's certificates or else the built-in ones.
///
/// The system's come first, because companies and universities add their own there; a bare
/// machine has none at all. Proxies come from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
/// `NO_PROXY`; certificates from the system or `SSL_CERT_FILE`, and from the built-in list.
pub(crate) fn ask(
    url: &str,
    silence: Duration,
    in_all: Option<Duration>,
    send: impl Fn(&Agent) -> Answer<Response<Body>>,
) -> Answer<Response<Body>> {
    let agent = |roots: RootCerts| {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect must not lead from a secure address to an open one.
            .https_only(url.starts_with("https:"))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_resolve(Some(silence))
            .timeout_connect(Some(silence))
            .timeout_per_read(Some(silence))
            .timeout_per_write(Some(silence))
            // The words before the file: one that comes letter by letter is no answer.
            .timeout_recv_response(Some(silence))
            .timeout_global(in_all);
        if is_this_machine(url) {
            config = config.proxy(None);
        }
        config.build().new_agent()
    };
    match send(&agent(RootCerts::PlatformVerifier)) {
        Err(error) if is_about_certificates(&error) => send(&agent(RootCerts::WebPki)),
        answer => answer,
    }
}

/// What a thread of its own finds, one thing after the other: it may wait for a server, while whoever
/// asks here still hears a stop. When nobody asks any more, it ends at its next find.
pub(crate) struct Waiting<T>(Receiver<Answer<T>>);

impl<T: Send + 'static> Waiting<T> {
    /// Starts `work`, which finds something each time it is called, until it fails or finds nothing.
    fn start(mut work: impl FnMut() -> Answer<Option<T>> + Send + 'static) -> Answer<Self> {
        // A few chunks ahead: the disk and the server need not wait for each other.
        let (sender, receiver) = mpsc::sync_channel(4);
        let all = move || {
            while let Some(found) = work().transpose() {
                let is_last = found.is_err();
                if sender.send(found).is_err() || is_last {
                    break;
                }
            }
        };
        thread::Builder::new().spawn(all)?;
        Ok(Self(receiver))
    }

    /// The next find; nothing after the last. `check` is asked meanwhile, and ends the waiting by an error.
    pub(crate) fn next(&self, check: impl Fn() -> Result<()>) -> Result<Answer<Option<T>>> {
        check()?;
        Ok(awaited(&self.0, &check)?.transpose())
    }
}

/// Has the answer to a request on its way.
pub(crate) fn answer(
    send: impl FnOnce() -> Answer<Response<Body>> + Send + 'static,
) -> Answer<Waiting<Response<Body>>> {
    let mut send = Some(send);
    Waiting::start(move || send.take().map(|send| send()).transpose())
}

/// Has the body of an answer on its way, in chunks.
pub(crate) fn chunks(body: Body) -> Answer<Waiting<Vec<u8>>> {
    let mut reader = body.into_reader();
    Waiting::start(move || {
        let mut chunk = vec![0; CHUNK];
        let count = reader.read(&mut chunk)?;
        chunk.truncate(count);
        Ok((count > 0).then_some(chunk))
    })
}

/// A header's value, where it is text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
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
pub(crate) fn was_cut(error: &ureq::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error, ureq::Error::Io(error) if matches!(
        error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    ))
}

/// Why there was no answer, in a few words.
pub(crate) fn reason(error: &ureq::Error, patience: Duration) -> String {
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
