//! A doctor for feeds: looks at one feed as the hub would read it, and says what is good, what is not, and what to do.
//!
//! Called by `aether feed check` and by operators' commands. [`examine`] goes the way to the server step by step (`reach`), asks for the stream as the hub does, listens
//! for a while, opens a second connection, comes back with the id of an event it has seen, and tells each finding as it is made. What is seen
//! is judged by pure parts: `heads` (status and headers), `certificate`, `observation` (counts), `bursts` (is it held back?), `stamps` (when
//! did it happen?), `stream` (what the counts mean), `resume`; `suggestion` writes the configuration. The verdict on an answer is the
//! hub's own (`answer::judge`), the events come from the hub's own decoder.
//!
//! Everything is bounded, because the feed may be hostile: time, bytes, events, and what is remembered of them. Deliberately not here:
//! publishing, reconnecting, decompressing, and a verdict on who may be asked (an address inside of a network is asked like any other, so
//! whoever offers this to others must decide that).

mod bursts;
mod certificate;
mod finding;
mod heads;
mod observation;
mod reach;
mod resume;
mod stamps;
mod stream;
mod suggestion;

pub use finding::{Check, Finding, Level};
pub use reach::Trust;

use super::answer::{ending_of, may_see_headers};
use super::fetch::request_headers;
use super::machine::{Ending, Reason};
use super::settings::{FeedLimits, FeedSettings, HEADERS_OF_OURS};
use crate::outbound::{self, is_loopback};
use crate::protocol::event_stream::EventStreamLimits;
use crate::said::said;
use finding::{quoted, time};
use futures_util::FutureExt;
use futures_util::future::Shared;
use heads::{Answer, Next, what_the_hub_does, without_query};
use observation::{Moment, Observation};
use reach::{Trusted, proxy_variable, reach};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, Url};
use resume::Question;
use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stream::End;
use tokio::time::{sleep_until, timeout};

/// As many as the hub follows.
const REDIRECTS_MAX: usize = 10;
/// The longest that somebody waits for a verdict, and the shortest that gives one.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);
pub const DURATION_MIN: Duration = Duration::from_secs(1);
/// Bytes and events after which listening ends: more say nothing new.
const BYTES_MAX: u64 = 64 << 20;
const EVENTS_MAX: u64 = 1_000_000;
/// What is held of one line and one event: more than the hub holds by default, so that its size can be told.
const LINE_BYTES_MAX: usize = 8 << 20;
/// When the second connection is opened, at the latest, and how soon after it the end of the first is its doing.
const SECOND_AFTER: Duration = Duration::from_secs(2);
/// How long the feed gets to show that it resumes.
const RESUME_MAX: Duration = Duration::from_secs(10);
/// For the answer to a HEAD.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of a body that is not declared to be an event stream, and how long.
const PEEK_BYTES_MAX: usize = 512;
const PEEK_TIMEOUT: Duration = Duration::from_secs(2);

/// Members of a query that hold credentials.
const SECRET_MEMBERS: [&str; 12] =
    ["token", "access_token", "auth", "authorization", "key", "apikey", "api_key", "secret", "password", "pwd", "sig", "signature"];

/// What to look at, and how.
pub struct Examination {
    url: Url,
    headers: HeaderMap,
    pub duration: Duration,
    /// Sent with the first request. Empty: none.
    pub last_event_id: String,
    pub trust: Trust,
    /// What the hub would allow this feed.
    pub limits: FeedLimits,
}

/// Texts name the header, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExaminationError {
    #[error("the address cannot be read ({reason}); write for instance https://example.org/events")]
    Url { reason: String },
    #[error("the address must begin with http:// or https://")]
    Scheme,
    #[error("the address holds a user or a password; send them as a header, where they are kept secret")]
    Credentials,
    #[error("{name:?} is not the name of a header")]
    HeaderName { name: String },
    #[error("the value of the header {name} holds a line end or another control character")]
    HeaderValue { name: String },
    #[error("the header {name} is set by the hub itself")]
    ReservedHeader { name: String },
    #[error("the event id holds a line end or another control character, so that it cannot be sent")]
    LastEventId,
}

impl Examination {
    /// Of a feed at `url`, read with these headers; for 30 seconds, from now on, with the hub's default limits.
    pub fn new<'a>(url: &str, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ExaminationError> {
        let url = Url::parse(url).map_err(|error| ExaminationError::Url { reason: error.to_string() })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ExaminationError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ExaminationError::Credentials);
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ExaminationError::HeaderName { name: name.to_string() })?;
            let name = header.to_string();
            if HEADERS_OF_OURS.contains(&name.as_str()) {
                return Err(ExaminationError::ReservedHeader { name });
            }
            let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| ExaminationError::HeaderValue { name })?;
            value.set_sensitive(true);
            map.append(header, value);
        }
        let duration = Duration::from_secs(30);
        Ok(Self { url, headers: map, duration, last_event_id: String::new(), trust: Trust::System, limits: FeedLimits::default() })
    }

    /// Of a feed that the hub reads, with its headers and limits, from where it is.
    pub(super) fn of(settings: &FeedSettings, headers: HeaderMap, last_event_id: &str) -> Self {
        Self {
            url: settings.url.clone(),
            headers,
            duration: Duration::from_secs(30),
            last_event_id: last_event_id.to_string(),
            trust: Trust::System,
            limits: settings.limits.clone(),
        }
    }

    pub fn with_last_event_id(mut self, id: &str) -> Result<Self, ExaminationError> {
        HeaderValue::from_bytes(id.as_bytes()).map_err(|_| ExaminationError::LastEventId)?;
        self.last_event_id = id.to_string();
        Ok(self)
    }

    /// The address without what may be a secret in it.
    pub fn shown_url(&self) -> String {
        without_query(&self.url)
    }
}

/// The end of an examination.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The level of the worst finding.
    pub worst: Level,
    pub warnings: usize,
    pub problems: usize,
    /// Somebody did not want to wait for the rest.
    pub is_cut_short: bool,
    /// TOML that reads this feed, where it can be read.
    pub config: Option<String>,
}

impl Diagnosis {
    pub fn is_healthy(&self) -> bool {
        self.problems == 0
    }
}

/// Examines, and tells each finding as it is made, in the order of the steps. Takes the duration of the examination and at most about half a
/// minute more. When `stop` comes true it ends at once with what is known.
pub async fn examine(examination: &Examination, stop: impl Future<Output = ()> + Send, tell: &mut (dyn FnMut(Finding) + Send)) -> Diagnosis {
    let mut diagnosis = Diagnosis { worst: Level::Fine, warnings: 0, problems: 0, is_cut_short: false, config: None };
    let stop = stop.shared();
    let config = {
        let mut count_and_tell = |finding: Finding| {
            diagnosis.worst = diagnosis.worst.max(finding.level);
            diagnosis.warnings += usize::from(finding.level == Level::Warning);
            diagnosis.problems += usize::from(finding.level == Level::Problem);
            tell(finding);
        };
        Doctor { examination, stop: stop.clone(), tell: &mut count_and_tell }.examine().await
    };
    diagnosis.config = config;
    diagnosis.is_cut_short = stop.now_or_never().is_some();
    diagnosis
}

struct Doctor<'a, S: Future<Output = ()>> {
    examination: &'a Examination,
    stop: Shared<S>,
    tell: &'a mut (dyn FnMut(Finding) + Send),
}

/// A stream that is open.
struct Opened {
    body: Response,
    /// Where it is.
    url: Url,
    /// What to configure: where permanent redirects led, before any temporary one.
    configure: Url,
}

impl<S: Future<Output = ()> + Send> Doctor<'_, S> {
    /// The configuration to suggest.
    async fn examine(mut self) -> Option<String> {
        let examination = self.examination;
        self.look_at_the_address();
        let stop = self.stop.clone();
        let trust = examination.trust.clone();
        let trusted = tokio::task::spawn_blocking(move || Trusted::load(&trust)).await.ok()?;
        let client = match client(examination, &trusted) {
            Ok(client) => client,
            Err(error) => {
                (self.tell)(Finding::problem(
                    Check::Tls,
                    said!("system.no_client", "no HTTP client can be made: {error}", error = quoted(&error)),
                    said!("system.no_client.cure", "This is a fault of this system."),
                ));
                return None;
            }
        };
        let opened = until(&stop, self.open(&client, &trusted)).await??;
        let Opened { body, url, configure } = opened;
        let (seen, length) = self.listen(body, &client, &url).await;
        if seen.events.count > 0 {
            until(&stop, self.come_back(&client, &url, &seen)).await;
        }
        until(&stop, self.ask_for_the_head(&client, &url)).await;
        let is_readable = seen.events.count > 0 || seen.comments.count > 0 || seen.bytes == 0;
        let names: Vec<&str> = examination.headers.keys().map(HeaderName::as_str).collect();
        is_readable.then(|| suggestion::toml(&configure, &names, &seen, length, &examination.limits))
    }

    fn look_at_the_address(&mut self) {
        let Examination { url, headers, .. } = self.examination;
        let secret = url.query_pairs().map(|(name, _)| name.into_owned()).find(|name| SECRET_MEMBERS.contains(&name.to_ascii_lowercase().as_str()));
        if let Some(name) = secret {
            (self.tell)(Finding::warning(
                Check::Address,
                said!("address.secret", "{member} in the address looks like a credential", member = quoted(&name)),
                said!(
                    "address.secret.cure",
                    "Addresses end in logs and lists of processes. If the feed takes it in a header, send it there; the hub keeps header values secret."
                ),
            ));
        }
        if url.scheme() == "http" && !is_loopback(url) {
            let finding = Finding::note(Check::Address, said!("address.http", "http: everybody on the way can read and change what the feed says"));
            (self.tell)(match headers.is_empty() {
                true => finding,
                false => Finding { level: Level::Warning, ..finding }
                    .advise(said!("address.http.cure", "Headers, and with them credentials, go in the clear. Use https.")),
            });
        }
    }

    /// Goes the way, asks, and follows redirects, as the hub does.
    async fn open(&mut self, client: &Client, trusted: &Trusted) -> Option<Opened> {
        let examination = self.examination;
        let (mut url, mut configure, mut all_permanent) = (examination.url.clone(), examination.url.clone(), true);
        let mut been_at = None;
        for _ in 0..=REDIRECTS_MAX {
            // A redirect within a server needs no second look at the way to it.
            if been_at.as_ref() != Some(&url.origin()) && !self.go_there(&url, trusted).await {
                return None;
            }
            been_at = Some(url.origin());
            let began = Instant::now();
            let mut body = match request(examination, client, Method::GET, &url, &examination.last_event_id).await {
                Ok(body) => body,
                Err(ending) => {
                    (self.tell)(of_failure(&ending));
                    return None;
                }
            };
            let status = body.status();
            let answer = Answer { status, headers: body.headers(), asked: &url, took: began.elapsed(), now: SystemTime::now() };
            let (findings, next) = answer.judge();
            findings.into_iter().for_each(&mut *self.tell);
            match next {
                Next::Read => return Some(Opened { body, url, configure }),
                Next::Peek => {
                    let beginning = peek(&mut body).await;
                    (self.tell)(heads::of_body(body.headers(), &beginning));
                    return None;
                }
                Next::Follow(to) => {
                    all_permanent &= matches!(status.as_u16(), 301 | 308);
                    if !may_see_headers(&examination.url, &to) && !examination.headers.is_empty() {
                        (self.tell)(Finding::note(Check::Redirect, said!("redirect.headers", "the headers given are not sent there")).advise(said!(
                            "redirect.headers.cure",
                            "They may hold credentials, so the hub sends them only to the host that is configured."
                        )));
                    }
                    url = *to;
                    if all_permanent {
                        configure = url.clone();
                    }
                }
                Next::End => return None,
            }
        }
        (self.tell)(Finding::problem(
            Check::Redirect,
            said!("redirect.many", "redirected more than {times} times", times = REDIRECTS_MAX),
            said!("redirect.many.cure", "The redirects go in a circle, or nearly. The hub parks such a feed."),
        ));
        None
    }

    async fn go_there(&mut self, url: &Url, trusted: &Trusted) -> bool {
        match proxy_variable(url).filter(|_| !is_loopback(url)) {
            None => reach(url, trusted, self.tell).await,
            Some(variable) => {
                // What cannot be resolved or reached from here may be from there.
                (self.tell)(
                    Finding::note(Check::Proxy, said!("proxy.named", "the variable {variable} names a proxy", variable)).advise(said!(
                        "proxy.named.cure",
                        "The hub would use it too, so name, TCP and TLS of the server are not looked at directly."
                    )),
                );
                true
            }
        }
    }

    /// Reads until there is enough, and tells what it was.
    async fn listen(&mut self, mut body: Response, client: &Client, url: &Url) -> (Observation, Duration) {
        let examination = self.examination;
        let limits = EventStreamLimits { line_bytes_max: LINE_BYTES_MAX, event_bytes_max: LINE_BYTES_MAX, ..examination.limits.stream };
        let mut seen = Observation::new(limits);
        let began = Instant::now();
        let deadline = began + examination.duration;
        let mut has_told_first = false;
        let second_at = began + SECOND_AFTER.min(examination.duration / 3);
        let mut second = std::pin::pin!(async {
            sleep_until(second_at.into()).await;
            request(examination, client, Method::GET, url, "").await
        });
        let mut second_outcome = None;
        let end = loop {
            tokio::select! {
                biased;
                () = self.stop.clone() => break End::Asked,
                () = sleep_until(deadline.into()) => break End::Time,
                outcome = &mut second, if second_outcome.is_none() => {
                    // The answer is enough; dropping it ends the connection.
                    second_outcome = Some((outcome.map(|answer| answer.status()), Instant::now()));
                }
                portion = body.chunk() => match portion {
                    Err(error) => break End::Broken(ending_of(&error).detail.into_owned()),
                    Ok(None) => break End::Closed,
                    Ok(Some(portion)) => {
                        let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
                        if let Err(error) = seen.on_portion(&portion, Moment { at: began.elapsed(), wall_ms }) {
                            break End::Beyond(error);
                        }
                        if let (Some(at), false) = (seen.events.first, has_told_first) {
                            has_told_first = true;
                            (self.tell)(Finding::fine(
                                Check::Stream,
                                said!("stream.first", "the first event came after {took_ms}", took_ms = time(at)),
                            ));
                        }
                        if seen.bytes >= BYTES_MAX || seen.events.count >= EVENTS_MAX {
                            break End::Enough;
                        }
                    }
                },
            }
        };
        let length = began.elapsed();
        drop(body);
        seen.finish(length);
        let has_ended = matches!(end, End::Closed | End::Broken(_));
        if let Some((outcome, at)) = second_outcome {
            (self.tell)(of_second(&outcome, has_ended && at.elapsed() < SECOND_AFTER));
        }
        stream::judge(&seen, length, &end, &examination.limits).into_iter().for_each(&mut *self.tell);
        if end == End::Enough {
            let result = said!("stream.enough", "listened no longer than {took_ms}: that was enough to judge it", took_ms = time(length));
            (self.tell)(Finding::note(Check::Stream, result));
        }
        (seen, length)
    }

    /// Reads once more, from an event on that has been seen.
    async fn come_back(&mut self, client: &Client, url: &Url, seen: &Observation) {
        let Some(question) = Question::of(&seen.ids) else { return };
        let examination = self.examination;
        let mut body = match request(examination, client, Method::GET, url, &question.asked).await {
            Ok(body) if body.status().as_u16() == 200 => body,
            other => {
                let id = quoted(&question.asked);
                let result = match other {
                    Ok(answer) => {
                        said!("resume.refused", "the request to go on after id {id} answered with {status}", id, status = answer.status().to_string())
                    }
                    Err(ending) => {
                        said!("resume.failed", "the request to go on after id {id} failed: {detail}", id, detail = ending.detail.into_owned())
                    }
                };
                (self.tell)(Finding::problem(
                    Check::Resume,
                    result,
                    said!(
                        "resume.failed.cure",
                        "This is how the hub comes back after every break. If the feed limits connections, it must count one that was just closed as \
                         closed."
                    ),
                ));
                return;
            }
        };
        let mut again = Observation::new(examination.limits.stream);
        let deadline = Instant::now() + RESUME_MAX.min(examination.duration);
        let began = Instant::now();
        while let Ok(Ok(Some(portion))) = tokio::time::timeout_at(deadline.into(), body.chunk()).await {
            let read = again.on_portion(&portion, Moment { at: began.elapsed(), wall_ms: 0 });
            if read.is_err() || question.is_answered(&again.ids.beginning) || again.bytes >= BYTES_MAX {
                break;
            }
        }
        (self.tell)(question.judge(&again.ids.beginning, &seen.ids));
    }

    async fn ask_for_the_head(&mut self, client: &Client, url: &Url) {
        let answer = timeout(HEAD_TIMEOUT, request(self.examination, client, Method::HEAD, url, "")).await;
        let result = match answer {
            Ok(Ok(answer)) if answer.status().is_success() => {
                let result = said!("head.answered", "HEAD is answered with {status}", status = answer.status().to_string());
                return (self.tell)(Finding::fine(Check::Head, result));
            }
            Ok(Ok(answer)) => said!("head.refused", "HEAD is refused with {status}", status = answer.status().to_string()),
            Ok(Err(ending)) => said!("head.failed", "HEAD fails: {detail}", detail = ending.detail.into_owned()),
            Err(_) => said!("head.silent", "HEAD is not answered within {limit_ms}", limit_ms = time(HEAD_TIMEOUT)),
        };
        (self.tell)(
            Finding::note(Check::Head, result)
                .advise(said!("head.cure", "The hub does not need it, but a monitor that uses HEAD would call this feed dead.")),
        );
    }
}

/// `None`: `stop` came first.
async fn until<T>(stop: &Shared<impl Future<Output = ()>>, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.clone() => None,
        outcome = future => Some(outcome),
    }
}

fn client(examination: &Examination, trusted: &Trusted) -> Result<Client, String> {
    let config = trusted.client_config().map_err(|error| error.to_string())?;
    // As the hub's own, so that what is found is what the hub finds.
    let builder = outbound::builder(is_loopback(&examination.url))
        .pool_max_idle_per_host(0)
        .connect_timeout(examination.limits.connect_timeout)
        .tcp_nodelay(true)
        .tls_backend_preconfigured(config);
    builder.build().map_err(|error| error.to_string())
}

async fn request(examination: &Examination, client: &Client, method: Method, url: &Url, last_event_id: &str) -> Result<Response, Ending> {
    let headers = request_headers(&examination.url, &examination.headers, url, last_event_id);
    let limit = examination.limits.connect_timeout;
    match timeout(limit, client.request(method, url.clone()).headers(headers).send()).await {
        Ok(answer) => answer.map_err(|error| ending_of(&error)),
        Err(_) => Err(Ending::new(Reason::Timeout, super::machine::Pace::Retry, format!("no answer within {}", time(limit)))),
    }
}

/// The first bytes of a body, as far as they come soon.
async fn peek(body: &mut Response) -> Vec<u8> {
    let mut beginning = Vec::new();
    let deadline = tokio::time::Instant::now() + PEEK_TIMEOUT;
    while beginning.len() < PEEK_BYTES_MAX {
        match tokio::time::timeout_at(deadline, body.chunk()).await {
            Ok(Ok(Some(portion))) => beginning.extend_from_slice(&portion[..portion.len().min(PEEK_BYTES_MAX)]),
            _ => break,
        }
    }
    beginning
}

/// A request without an answer.
fn of_failure(ending: &Ending) -> Finding {
    let (check, cure) = match ending.reason {
        Reason::Dns => (Check::Name, said!("failed.name", "Is the name right?")),
        Reason::Tls => (Check::Tls, said!("failed.tls", "The certificate or the handshake is at fault.")),
        Reason::Refused => (Check::Tcp, said!("failed.refused", "Is the server running, and is the port right?")),
        Reason::Timeout => {
            (Check::Status, said!("failed.late", "Some servers send their headers with the first event: they should send them at once."))
        }
        Reason::Parse => {
            (Check::Status, said!("failed.http", "What answers there does not speak HTTP as it should: another port, or headers without end."))
        }
        _ => (Check::Status, said!("failed.hung_up", "The server or a proxy before it hung up without an answer.")),
    };
    let result = said!("failed.detail", "{detail}", detail = quoted(&ending.detail));
    Finding::problem(check, result, [cure, what_the_hub_does(ending)])
}

/// A second request while the first is read.
fn of_second(outcome: &Result<reqwest::StatusCode, Ending>, first_ended: bool) -> Finding {
    let result = match outcome {
        Ok(status) if status.as_u16() == 200 && !first_ended => {
            let result = said!("second_connection.fine", "a second connection beside the first is accepted");
            return Finding::fine(Check::SecondConnection, result);
        }
        Ok(status) if status.as_u16() == 200 => said!("second_connection.ends_first", "a second connection is accepted, but ends the first"),
        Ok(status) => {
            said!("second_connection.refused", "a second connection beside the first is refused with {status}", status = status.to_string())
        }
        Err(ending) => said!("second_connection.failed", "a second connection beside the first fails: {detail}", detail = ending.detail.to_string()),
    };
    Finding::warning(
        Check::SecondConnection,
        result,
        said!(
            "second_connection.cure",
            "The hub cannot open a new connection before it closes the old one, as it does when it renews one: for a moment it reads nothing. A second \
             hub or a test would be shut out. Let the feed allow at least two."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, headers: &[(&str, &str)]) -> ExaminationError {
        match Examination::new(url, headers.iter().copied()) {
            Err(error) => error,
            Ok(_) => panic!("{url} was taken"),
        }
    }

    #[test]
    fn what_cannot_be_examined_is_refused_without_telling_secrets() {
        let ok = "https://h/e";
        assert!(matches!(refused("nonsense", &[]), ExaminationError::Url { .. }));
        assert_eq!(refused("ftp://h/", &[]), ExaminationError::Scheme);
        assert_eq!(refused("https://u:hush@h/", &[]), ExaminationError::Credentials);
        assert!(matches!(refused(ok, &[("a b", "hush")]), ExaminationError::HeaderName { .. }));
        assert!(matches!(refused(ok, &[("Last-Event-ID", "hush")]), ExaminationError::ReservedHeader { .. }));
        let error = refused(ok, &[("X-Key", "hush\nhush")]);
        assert_eq!(error, ExaminationError::HeaderValue { name: "x-key".to_string() });
        assert!(!error.to_string().contains("hush"));
        let examination = Examination::new("https://h/e?token=hush#x", []).unwrap();
        assert_eq!(examination.shown_url(), "https://h/e?…");
        assert_eq!(examination.with_last_event_id("a\nb").err(), Some(ExaminationError::LastEventId));
    }

    /// So that whoever answers commands can have it done on another thread.
    #[test]
    fn it_can_be_handed_to_another_thread() {
        fn is_send<T: Send>(_: &T) {}
        let examination = Examination::new("http://127.0.0.1:9/", []).unwrap();
        let mut tell = |_| {};
        is_send(&examine(&examination, std::future::ready(()), &mut tell));
    }

    #[test]
    fn a_second_connection_is_judged_with_what_it_does_to_the_first() {
        let status = |code| Ok(reqwest::StatusCode::from_u16(code).unwrap());
        assert_eq!(of_second(&status(200), false).level, Level::Fine);
        assert_eq!(of_second(&status(200), true).level, Level::Warning);
        assert!(of_second(&status(429), false).result.contains("429"));
        let ending = Ending::new(Reason::Refused, super::super::machine::Pace::Retry, "refused");
        assert_eq!(of_second(&Err(ending), false).level, Level::Warning);
    }

    #[test]
    fn whoever_does_not_answer_is_told_by_the_step_that_failed() {
        for (reason, check) in [(Reason::Dns, Check::Name), (Reason::Tls, Check::Tls), (Reason::Refused, Check::Tcp), (Reason::Eof, Check::Status)] {
            let finding = of_failure(&Ending::new(reason, super::super::machine::Pace::Retry, "x"));
            assert!(finding.check == check && finding.level == Level::Problem, "{finding:?}");
        }
    }
}
