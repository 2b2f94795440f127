//! `aether feed check` against good feeds, foreign ones, and servers that mean no good.

use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::nginx::{Nginx, Setup};
use crate::support::{DEADLINE, write_certificate};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n";

/// A debug build with its buffers, while it reads the worst of feeds. A reader without bounds would hold the feed.
const MEMORY_KIB_MAX: i64 = 160 * 1_024;

// === a server with a script ===

struct Request {
    /// From 0.
    number: usize,
    path: String,
    /// In lower case.
    head: String,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Answers each GET by the script, in a thread of its own, and each HEAD with 405.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
}

impl Server {
    fn start(script: impl Fn(&Request, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("bound");
        let (requests, is_over, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)), Arc::new(script));
        let (known, over) = (Arc::clone(&requests), Arc::clone(&is_over));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (known, script) = (Arc::clone(&known), Arc::clone(&script));
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(DEADLINE));
                    let head = read_head(&mut stream);
                    let mut words = head.lines().next().unwrap_or_default().split(' ');
                    match (words.next(), words.next()) {
                        (Some("get"), Some(path)) => {
                            let number = {
                                let mut known = known.lock().expect("nobody panicked with it");
                                known.push(head.clone());
                                known.len() - 1
                            };
                            // A reader that goes in the middle is no fault of the test.
                            let _ = script(&Request { number, path: path.to_string(), head: head.clone() }, &mut stream);
                        }
                        (Some("head"), _) => drop(stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")),
                        // A connection that only looked whether somebody listens.
                        _ => {}
                    }
                });
            }
        });
        Self { address, requests, is_over }
    }

    fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("nobody panicked with it").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread, which then ends.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).to_lowercase()
}

/// Keeps the connection open until the reader goes.
fn hang(stream: &mut TcpStream) -> std::io::Result<()> {
    loop {
        match stream.read(&mut [0; 64]) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
}

/// Numbered events at this pace, from `first` on, until the reader goes.
fn tick(stream: &mut TcpStream, first: u64, pause: Duration) -> std::io::Result<()> {
    for number in first.. {
        stream.write_all(format!("id: {number}\nevent: tick\ndata: {{\"n\":{number}}}\n\n").as_bytes())?;
        std::thread::sleep(pause);
    }
    Ok(())
}

// === the command ===

struct Said {
    out: String,
    err: String,
    code: Option<i32>,
    memory_kib: i64,
}

/// Starts `aether feed check` with no environment but these variables.
fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Child {
    let mut command = crate::support::aether();
    command.args(["feed", "check"]).args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

fn check(arguments: &[&str]) -> Said {
    end(start(arguments, &[]))
}

fn end(mut child: Child) -> Said {
    let (mut out, mut err) = (String::new(), String::new());
    // What is said on standard error fits its pipe.
    child.stdout.take().expect("piped").read_to_string(&mut out).expect("output is text");
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("output is text");
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which all zeroes are valid; wait4(2) writes to both places, which live on. The child has not
    // been waited for.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    assert_eq!(unsafe { libc::wait4(child.id() as libc::pid_t, &mut status, 0, &mut usage) }, child.id() as libc::pid_t);
    Said { out, err, code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)), memory_kib: usage.ru_maxrss }
}

/// Runs it with `--json`; the report, after a look at what holds for every report.
fn report(url: &str, arguments: &[&str]) -> (Value, Said) {
    let said = check(&[&[url, "--json"], arguments].concat());
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err));
    assert_eq!(said.code, Some(i32::from(report["healthy"] != true)), "{report:#}");
    for finding in report["findings"].as_array().expect("findings") {
        let is_bad = matches!(finding["level"].as_str(), Some("warning" | "problem"));
        assert!(!is_bad || finding["advice"].is_string(), "{finding} says what to do");
        assert!(finding["said"]["code"].is_string() && finding["advice"].is_string() == finding["advised"].is_array(), "{finding} is data too");
    }
    assert!(said.memory_kib < MEMORY_KIB_MAX, "{} KiB at the most\n{report:#}", said.memory_kib);
    (report, said)
}

/// Asserts that a finding of this check and level has this word in its result.
fn expect(report: &Value, check: &str, level: &str, word: &str) {
    let is_it = |finding: &&Value| {
        finding["check"] == check && finding["level"] == level && finding["result"].as_str().is_some_and(|result| result.contains(word))
    };
    let found = report["findings"].as_array().expect("findings").iter().find(is_it);
    assert!(found.is_some(), "no {level} of {check} with {word:?} in {report:#}");
}

/// The hub's own check of what is to be pasted.
fn assert_accepted(config: &str) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let path = directory.path().join("aether.toml");
    std::fs::write(&path, config).expect("a file can be written");
    let output = crate::support::aether().arg("check-config").arg("--config").arg(&path).env_clear().output().expect("it runs");
    assert!(output.status.success(), "{config}\n{}", String::from_utf8_lossy(&output.stderr));
}

// === good feeds ===

#[test]
fn the_demo_feed_is_healthy_and_its_configuration_is_accepted() {
    let mut command = crate::support::aether();
    command.args(["demo-feed", "--address", "127.0.0.1:0"]).env_clear().stdout(Stdio::piped());
    let mut feed = command.spawn().expect("the binary runs");
    let mut line = String::new();
    BufReader::new(feed.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it is");
    let url = line.trim().strip_prefix("demo feed at ").expect("the address").to_string();

    let said = check(&[&url, "--duration", "2s"]);
    let (report, _) = report(&url, &["--duration", "2s"]);
    feed.kill().expect("it runs");
    feed.wait().expect("it ends");

    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(said.out.contains("✓ ok      resume") && said.out.contains("Healthy.") && !said.out.contains('\u{1b}'), "{}", said.out);
    let (_, config) = said.out.split_once("end of the configuration:\n\n").unwrap_or_else(|| panic!("{}", said.out));
    assert_accepted(config);
    assert_accepted(report["config"].as_str().expect("a configuration"));
    for (check, word) in [
        ("status", "200"),
        ("second_connection", "accepted"),
        ("event_names", "\"pulse\""),
        ("ids", "unique and growing"),
        ("delay", "\"t\""),
        ("retry", "1.0 s"),
        ("data", "JSON"),
        ("resume", "without a gap"),
    ] {
        expect(&report, check, "fine", word);
    }
}

#[test]
fn a_foreign_server_resumes_and_a_buffering_proxy_is_found_out() {
    let Some(nginx) = Proxy::start() else { return };
    let (report, _) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| (0..40).for_each(|number| nginx.publish(number)));
        let report = report(&nginx.url("events"), &["--duration", "3s"]);
        publisher.join().expect("it published");
        report
    });
    expect(&report, "headers", "note", "nginx");
    expect(&report, "ids", "fine", "every event has one");
    expect(&report, "resume", "fine", "without a gap");
    assert!(report["healthy"] == true, "{report:#}");

    let (report, _) = self::report(&nginx.url("buffered"), &["--duration", "5s"]);
    expect(&report, "buffering", "problem", "in the middle of an event");
    let (report, _) = self::report(&nginx.url("unbuffered"), &["--duration", "2s"]);
    assert!(!report.to_string().contains("held back"), "{report:#}");
}

#[test]
fn certificates_are_judged() {
    let Some(nginx) = Proxy::start() else { return };
    let url = nginx.tls_url();
    let (report, _) = report(&url, &["--duration", "1s"]);
    expect(&report, "tls", "problem", "years left");
    assert!(report.to_string().contains("parks") && report["config"].is_null(), "{report:#}");
    let (report, _) = self::report(&url, &["--duration", "1s", "--insecure"]);
    expect(&report, "tls", "problem", "TLS 1.3");
    assert!(report.to_string().contains("self-signed"), "{report:#}");
    expect(&report, "status", "fine", "200");
    let ca = nginx.nginx.directory.path().join("cert.pem");
    let (report, _) = self::report(&url, &["--duration", "1s", "--ca", ca.to_str().expect("text")]);
    expect(&report, "tls", "warning", "years left");
    assert_eq!(report["healthy"], true, "{report:#}");
    let wrong_name = url.replace("localhost", "127.0.0.2");
    let (report, _) = self::report(&wrong_name, &["--duration", "1s", "--ca", ca.to_str().expect("text")]);
    expect(&report, "tls", "problem", "");
    assert!(report.to_string().contains("other names"), "{report:#}");
}

// === bad feeds ===

#[test]
fn statuses_and_types_that_are_no_feed() {
    let cases: [(&str, &str, &str, &str); 9] = [
        ("204 No Content", "", "status", "204"),
        ("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n", "status", "401"),
        ("403 Forbidden", "", "status", "403"),
        ("404 Not Found", "", "status", "404"),
        ("429 Too Many Requests", "Retry-After: 90\r\n", "status", "Retry-After: 90.0 s"),
        ("503 Service Unavailable", "Retry-After: 7\r\n", "status", "Retry-After: 7.0 s"),
        ("500 Oh", "", "status", "500"),
        ("200 OK", "Content-Type: text/html\r\n", "content_type", "\"text/html\""),
        ("200 OK", "Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n", "headers", "compressed"),
    ];
    let server = Server::start(move |request, stream| {
        let (status, headers, ..) = cases[request.path.trim_start_matches('/').parse::<usize>().expect("a number")];
        stream.write_all(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 6\r\nConnection: close\r\n\r\n<html>").as_bytes())
    });
    for (number, (status, _, check, word)) in cases.iter().enumerate() {
        let (report, _) = report(&format!("http://{}/{number}", server.address), &["--duration", "1s"]);
        expect(&report, check, "problem", word);
        assert!(report["config"].is_null() && report["healthy"] == false, "{status}: {report:#}");
    }
}

#[test]
fn redirects_are_followed_hop_by_hop_without_the_headers() {
    let other = Server::start(|_, stream| {
        stream.write_all(HEAD.as_bytes())?;
        tick(stream, 1, Duration::from_millis(50))
    });
    let target = other.url();
    let server = Server::start(move |request, stream| {
        let to = match request.path.as_str() {
            "/events" => "/moved",
            "/moved" => &target,
            _ => "/loop",
        };
        stream.write_all(format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
    });
    let (report, said) = report(&server.url(), &["--duration", "1s", "--header", "Authorization: Bearer hush-hush"]);
    expect(&report, "redirect", "note", "/moved");
    expect(&report, "redirect", "note", "not sent there");
    assert!(report["config"].as_str().is_some_and(|config| config.contains(&other.url())), "the new address is to be configured: {report:#}");
    assert!(server.requests().iter().all(|head| head.contains("authorization: bearer hush-hush")));
    assert!(other.requests().iter().all(|head| !head.contains("hush-hush")), "{:?}", other.requests());
    assert!(!said.out.contains("hush-hush") && !said.err.contains("hush-hush"), "{}{}", said.out, said.err);

    let (report, _) = self::report(&format!("http://{}/loop", server.address), &["--duration", "1s"]);
    expect(&report, "redirect", "problem", "more than 10 times");
}

/// Whatever a server does, the command ends in time, in bounded memory, with a finding.
#[test]
fn hostile_servers_end_with_a_finding() {
    type Script = fn(&Request, &mut TcpStream) -> std::io::Result<()>;
    let cases: [(&str, Script, &str, &str, &str); 12] = [
        ("no newline", |_, stream| flood(stream, b"data: ", &[b'x'; 65_536]), "size", "problem", "longer than 8388608 bytes"),
        ("an event of many lines", |_, stream| flood(stream, b"", &b"data: 0123456789\n".repeat(4_000)), "size", "problem", "longer than"),
        ("only heartbeats", |_, stream| flood(stream, b"", &b":\n".repeat(30_000)), "stream", "warning", "comment"),
        ("headers without end", |_, stream| endless_headers(stream), "status", "problem", ""),
        ("one byte a moment", |_, stream| drip(stream), "stream", "problem", "without a single line end"),
        ("no answer", |_, stream| hang(stream), "status", "problem", "no answer within 10.0 s"),
        ("an end at once", |_, stream| stream.write_all(HEAD.as_bytes()), "stream", "problem", "ended the response"),
        ("no HTTP", |_, stream| stream.write_all(b"220 mail.example ESMTP\r\n"), "status", "problem", ""),
        ("a cut in the middle", cut, "stream", "problem", "broke"),
        ("JSON lines", |_, stream| say(stream, b"{\"a\":1}\n{\"a\":2}\n"), "stream", "problem", "not of the format"),
        (
            "everything wrong at once",
            |_, stream| say(stream, b"\xEF\xBB\xBFretry: 99999999999\r\nid: a\0b\ndata: \xFF\xFE\n\nretry: soon\ndata: {}\n\n"),
            "text",
            "warning",
            "2 places",
        ),
        ("a gzip bomb", |_, stream| bomb(stream), "headers", "problem", "compressed"),
    ];
    std::thread::scope(|scope| {
        for (what, script, check, level, word) in cases {
            scope.spawn(move || {
                let server = Server::start(script);
                let begun = Instant::now();
                // What floods reaches its limit before, but perhaps not soon on a busy machine.
                let duration = if check == "size" { "20s" } else { "1500ms" };
                let (report, _) = report(&server.url(), &["--duration", duration]);
                expect(&report, check, level, word);
                assert!(begun.elapsed() < DEADLINE, "{what}: {:?}\n{report:#}", begun.elapsed());
            });
        }
    });
}

fn say(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
    stream.write_all(HEAD.as_bytes())?;
    stream.write_all(text)?;
    hang(stream)
}

/// The same again and again, until the reader goes.
fn flood(stream: &mut TcpStream, begin: &[u8], text: &[u8]) -> std::io::Result<()> {
    stream.write_all(HEAD.as_bytes())?;
    stream.write_all(begin)?;
    loop {
        stream.write_all(text)?;
    }
}

fn endless_headers(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
    for number in 0u64.. {
        stream.write_all(format!("X-{number}: {}\r\n", "x".repeat(1_000)).as_bytes())?;
    }
    Ok(())
}

fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(HEAD.as_bytes())?;
    loop {
        stream.write_all(b"d")?;
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn cut(_: &Request, stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n5\r\nda")?;
    stream.shutdown(Shutdown::Both)
}

fn bomb(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n")?;
    loop {
        stream.write_all(&[0; 65_536])?;
    }
}

#[test]
fn a_feed_that_forgets_and_one_that_remembers() {
    let forgets = Arc::new(AtomicUsize::new(1));
    let live = Arc::clone(&forgets);
    // The position belongs to the feed and not to its readers, as with a live source.
    let forgetful = Server::start(move |_, stream| {
        stream.write_all(HEAD.as_bytes())?;
        loop {
            let number = live.fetch_add(1, Ordering::SeqCst);
            stream.write_all(format!("id: {number}\ndata: {number}\n\n").as_bytes())?;
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (report, _) = report(&forgetful.url(), &["--duration", "1s"]);
    expect(&report, "resume", "warning", "does not resume");

    let remembers = Server::start(|request, stream| {
        let first = request.header("last-event-id").map_or(1, |id| id.parse::<u64>().expect("a number") + 1);
        stream.write_all(HEAD.as_bytes())?;
        tick(stream, first, Duration::from_millis(20))
    });
    let (report, _) = self::report(&remembers.url(), &["--duration", "1s", "--last-event-id", "500"]);
    expect(&report, "resume", "fine", "without a gap");
    expect(&report, "ids", "fine", "\"501\"");
    assert_eq!(remembers.requests().iter().filter(|head| head.contains("last-event-id: 500")).count(), 1, "asked once, by the first request");

    let repeats = Server::start(|_, stream| {
        stream.write_all(HEAD.as_bytes())?;
        tick(stream, 1, Duration::from_millis(20))
    });
    let (report, _) = self::report(&repeats.url(), &["--duration", "1s"]);
    expect(&report, "resume", "warning", "from before it");
}

#[test]
fn a_feed_for_one_reader_at_a_time() {
    let busy = AtomicBool::new(false);
    let server = Server::start(move |request, stream| {
        if busy.swap(true, Ordering::SeqCst) && request.number == 1 {
            return stream.write_all(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n");
        }
        stream.write_all(HEAD.as_bytes())?;
        tick(stream, 1, Duration::from_millis(20))
    });
    let (report, _) = report(&server.url(), &["--duration", "1s"]);
    expect(&report, "second_connection", "warning", "429");
    assert_eq!(report["healthy"], true, "{report:#}");
}

#[test]
fn who_is_not_there_is_told_by_the_step_that_failed() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
    let (report, _) = report(&format!("http://{nobody}/"), &[]);
    expect(&report, "tcp", "problem", "refused");
    let (report, _) = self::report(&format!("https://{}/", Server::start(|_, stream| hang(stream)).address), &[]);
    assert!(report["healthy"] == false, "{report:#}");
    let plain = Server::start(|_, stream| say(stream, b"data: 1\n\n"));
    let (report, _) = self::report(&format!("https://{}/", plain.address), &[]);
    expect(&report, "tls", "problem", "no handshake");
    let (report, _) = self::report("http://name.invalid/events", &[]);
    expect(&report, "name", "problem", "name.invalid");
}

// === manners ===

#[test]
fn an_interrupt_ends_it_with_what_is_known() {
    let server = Server::start(|_, stream| {
        stream.write_all(HEAD.as_bytes())?;
        tick(stream, 1, Duration::from_millis(20))
    });
    let mut child = start(&[&server.url(), "--duration", "10m"], &[]);
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    let mut out = String::new();
    while !out.contains("the first event") {
        assert!(reader.read_line(&mut out).expect("text") > 0, "it ended by itself: {out}");
    }
    // SAFETY: kill(2) touches no memory of ours; the child has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) }, 0);
    reader.read_to_string(&mut out).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{out}");
    assert!(out.contains("Ended early") && out.contains("✓ ok      ids") && out.contains("[[upstream.feeds]]"), "{out}");
}

#[test]
fn secrets_are_sent_and_never_shown() {
    let server = Server::start(|request, stream| {
        assert!(request.header("authorization") == Some("bearer hush-1") && request.header("x-key") == Some("hush-2"), "{}", request.head);
        stream.write_all(HEAD.as_bytes())?;
        tick(stream, 1, Duration::from_millis(20))
    });
    let directory = tempfile::tempdir().expect("a directory can be made");
    let file = directory.path().join("headers.txt");
    std::fs::write(&file, "# of the feed\nAuthorization: Bearer hush-1\n").expect("a file can be written");
    let url = format!("{}?token=hush-3", server.url());
    let child = start(&[&url, "--duration", "1s", "--header-file", file.to_str().expect("text")], &[("AETHER_FEED_HEADERS", "X-Key: hush-2")]);
    let said = end(child);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let (findings, config) = said.out.split_once("[[channel.namespaces]]").unwrap_or_else(|| panic!("{}", said.out));
    assert!(findings.contains("looks like a credential") && !findings.contains("hush"), "{findings}");
    assert!(config.contains("authorization") && !config.contains("hush-1") && !config.contains("hush-2"), "{config}");
    assert_accepted(&format!("[[channel.namespaces]]{config}"));
}

#[test]
fn a_configured_feed_is_examined_with_its_headers_and_limits() {
    let server = Server::start(|request, stream| {
        assert!(request.header("authorization") == Some("bearer hush-1"), "{}", request.head);
        assert!(request.header("x-key") == Some("hush-2"), "{}", request.head);
        stream.write_all(HEAD.as_bytes())?;
        stream.write_all(format!("data: {}\n\n", "x".repeat(2_000)).as_bytes())?;
        hang(stream)
    });
    let directory = tempfile::tempdir().expect("a directory can be made");
    let file = directory.path().join("aether.toml");
    let key = directory.path().join("key");
    std::fs::write(&key, "hush-2\n").expect("a file can be written");
    let config = format!(
        "[upstream]\nretry_min = \"2s\"\nretry_initial = \"2s\"\n[[upstream.feeds]]\nname = \"mine\"\nurl = {:?}\nchannel = \"c\"\nline_bytes_max = 1000\n\
         headers = {{ Authorization = \"Bearer hush-1\" }}\nheader_files = {{ X-Key = {key:?} }}\n\
         [[upstream.feeds]]\nname = \"many\"\nurl = \"http://h/{{symbol}}\"\nchannel = \"c-{{symbol}}\"\n",
        server.url()
    );
    std::fs::write(&file, config).expect("a file can be written");
    let file = file.to_str().expect("text");
    let said = check(&["--feed", "mine", "--config", file, "--duration", "1s"]);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.out.contains("line_bytes_max, 1000 B") && !said.out.contains("[[") && !said.out.contains("hush"), "{}", said.out);
    let said = check(&["--feed", "yours", "--config", file]);
    assert!(said.code == Some(2) && said.err.contains("the feeds are: mine, many"), "{}", said.err);
    let said = check(&["--feed", "many", "--config", file]);
    assert!(said.code == Some(2) && said.err.contains("parameters (symbol)"), "{}", said.err);
}

#[test]
fn what_was_not_understood_is_exit_code_2_without_a_secret() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let file = directory.path().join("headers.txt");
    std::fs::write(&file, "hush\n").expect("a file can be written");
    let file = file.to_str().expect("text");
    for (arguments, word) in [
        (&["https://user:hush@h/"][..], "user or a password"),
        (&["ftp://h/hush"], "http:// or https://"),
        (&["nonsense"], "cannot be read"),
        (&["http://h/", "--header", "hush"], "Name: value"),
        (&["http://h/", "--header", "Last-Event-ID: hush"], "set by the hub itself"),
        (&["http://h/", "--header-file", file], "line 1"),
        (&["http://h/", "--header-file", "/nowhere"], "cannot read /nowhere"),
        (&["http://h/", "--ca", file], "no certificate"),
        (&["http://h/", "--duration", "0s"], "1s to 24h"),
        (&["http://h/", "--insecure", "--ca", "x"], "cannot be used with"),
        (&[], "URL"),
        (&["--feed", "x"], "no feed"),
    ] {
        let said = check(arguments);
        assert!(said.code == Some(2) && said.out.is_empty() && said.err.contains(word), "{arguments:?}: {:?} {}{}", said.code, said.out, said.err);
        assert!(!said.err.contains("hush"), "{}", said.err);
    }
}

// === nginx ===

/// A server that is not ours: a feed of its own (nchan), and a proxy before one of ours.
struct Proxy {
    nginx: Nginx,
    tls_address: SocketAddr,
    _feed: Server,
}

impl Proxy {
    fn start() -> Option<Self> {
        let feed = Server::start(|_, stream| {
            stream.set_nodelay(true)?;
            stream.write_all(HEAD.as_bytes())?;
            tick(stream, 1, Duration::from_millis(4))
        });
        // Free now and hardly taken by another in the moment until nginx has it.
        let tls_address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
        let directory = tempfile::tempdir().expect("a directory can be made");
        write_certificate(directory.path(), "localhost");
        let server = format!(
            "listen 127.0.0.1:{tls_port} ssl;
            listen 127.0.0.2:{tls_port} ssl;
            ssl_certificate cert.pem;
            ssl_certificate_key key.pem;
            ssl_protocols TLSv1.3;
            location = /publish {{ nchan_publisher; nchan_channel_id c; }}
            location = /events {{ nchan_subscriber eventsource; nchan_channel_id c; nchan_subscriber_first_message newest; }}
            location = /buffered {{ proxy_pass http://{feed}/; proxy_buffers 4 4k; proxy_buffer_size 4k; }}
            location = /unbuffered {{ proxy_pass http://{feed}/; proxy_buffering off; }}",
            tls_port = tls_address.port(),
            feed = feed.address,
        );
        let http = "nchan_message_buffer_length 1000;";
        let nginx = Nginx::start(Setup { server: &server, http, has_nchan: true, directory: Some(directory) })?;
        Some(Self { nginx, tls_address, _feed: feed })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.nginx.address)
    }

    fn tls_url(&self) -> String {
        format!("https://localhost:{}/unbuffered", self.tls_address.port())
    }

    /// One message, after a moment, so that they come one by one.
    fn publish(&self, message: u32) {
        std::thread::sleep(Duration::from_millis(50));
        let mut stream = TcpStream::connect(self.nginx.address).expect("it listens");
        let body = message.to_string();
        let request = format!("POST /publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }
}
