//! One running hub: its own process, directory, configuration and ports.

use super::http::{self, Answer};
use super::token::{SECRET, user_token};
use super::{Client, DEADLINE, Dial, Via};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

pub const API_KEY: &str = "the-api-key-of-the-tests";

/// A hub that is killed, at the latest, when it goes out of scope. Before that it must be back at the state it had when it was ready,
/// end by SIGTERM with exit code 0, and have panicked nowhere.
pub struct Hub {
    process: Child,
    pub http: SocketAddr,
    pub https: Option<SocketAddr>,
    /// Removed with the last hub that ran in it.
    pub directory: Arc<tempfile::TempDir>,
    baseline: Value,
    ended: bool,
    panics_expected: bool,
}

/// An application that outlives the hub.
pub struct Caller {
    dial: Dial,
}

impl Caller {
    /// The answer to a call; `None` where the hub is gone.
    pub async fn try_call(&self, method: &str, params: Value) -> Option<Value> {
        let headers = [("X-API-Key", API_KEY), ("Content-Type", "application/json")];
        let answer = http::try_request(&self.dial, "POST", &format!("/api/{method}"), &headers, params.to_string().as_bytes()).await?;
        serde_json::from_slice(&answer.body).ok()
    }
}

/// The binary that is tried: the one that cargo has built for the tests, or that which `AETHER_BIN` names.
pub fn aether() -> Command {
    let named = std::env::var_os("AETHER_BIN").map(|path| std::path::absolute(path).expect("it is a path"));
    Command::new(named.unwrap_or_else(|| env!("CARGO_BIN_EXE_aether").into()))
}

impl Hub {
    /// A hub with the tests' configuration, `changes` laid over it.
    pub async fn start(changes: Value) -> Self {
        Self::launch(changes, |_| {})
    }

    /// The same, with TLS.
    pub async fn start_with_tls(changes: Value) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        write_certificate(directory.path(), "localhost");
        // 0 would mean no TLS port, so a free one is looked for here.
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").port();
        let tls = json!({ "http_server": { "tls_port": port, "tls": {
            "cert_pem_file": directory.path().join("cert.pem").display().to_string(),
            "key_pem_file": directory.path().join("key.pem").display().to_string(),
        } } });
        Self::launch_in(Arc::new(directory), merged(tls, changes), |_| {})
    }

    /// The same, with a hand on the process before it starts.
    pub fn launch(changes: Value, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::launch_in(Arc::new(tempfile::tempdir().expect("a directory can be made")), changes, prepare)
    }

    /// Ends this hub by SIGTERM, and starts another one with these changes in its directory.
    pub async fn again(mut self, changes: Value) -> Self {
        let directory = Arc::clone(&self.directory);
        self.terminate();
        assert!(self.exit().await.success(), "the first one ends well");
        Self::launch_in(directory, changes, |_| {})
    }

    fn launch_in(directory: Arc<tempfile::TempDir>, changes: Value, prepare: impl FnOnce(&mut Command)) -> Self {
        let config = merged(default_config(), changes);
        let config_file = directory.path().join("aether.toml");
        std::fs::write(&config_file, as_toml(&config)).expect("the configuration can be written");
        let log = File::create(directory.path().join("hub.log")).expect("the log can be made");
        let mut command = aether();
        command.args(["serve", "--config"]).arg(&config_file).current_dir(directory.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("RUST_LOG", "info").env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // SAFETY: prctl is async-signal-safe; the hub dies with the test thread, however that ends.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        prepare(&mut command);
        let mut process = command.spawn().expect("the binary can be started");
        let (http, https) = match ready_line(&mut process) {
            Some(line) => addresses(&line),
            None => {
                let _ = process.kill();
                let _ = process.wait();
                panic!(
                    "the hub was not ready within {DEADLINE:?}\n--- log\n{}",
                    std::fs::read_to_string(directory.path().join("hub.log")).unwrap_or_default()
                );
            }
        };
        let mut hub = Self { process, http, https, directory, baseline: Value::Null, ended: false, panics_expected: false };
        hub.baseline = hub.settled_state();
        hub
    }

    /// Where the plain port is.
    pub fn dial(&self) -> Dial {
        Dial::new(self.http)
    }

    pub fn tls_dial(&self) -> Dial {
        Dial { tls: true, ..Dial::new(self.https.expect("the hub was started with TLS")) }
    }

    /// A connected client of the user "alice".
    pub async fn connect(&self, via: impl Into<Via>) -> Client {
        self.connect_as(via, "alice").await
    }

    pub async fn connect_as(&self, via: impl Into<Via>, user: &str) -> Client {
        let mut client = self.open(via).await;
        client.connect(json!({ "token": user_token(user) })).await;
        client
    }

    /// A client that has said nothing.
    pub async fn open(&self, via: impl Into<Via>) -> Client {
        Client::open(&self.dial(), via).await
    }

    // === Server API ===

    /// The `result` of a server API call.
    pub async fn api(&self, method: &str, params: Value) -> Value {
        let answer = self.api_answer(method, params).await;
        assert_eq!(answer.status(), 200, "{method}: {}", answer.text());
        let body = answer.json();
        assert!(body.get("result").is_some(), "{method} answered {body}");
        body["result"].clone()
    }

    /// The error code of a server API call that must fail.
    pub async fn api_error(&self, method: &str, params: Value) -> u64 {
        let answer = self.api_answer(method, params).await;
        assert_eq!(answer.status(), 200, "{method}: {}", answer.text());
        let body = answer.json();
        body["error"]["code"].as_u64().unwrap_or_else(|| panic!("{method} answered {body}"))
    }

    pub async fn api_answer(&self, method: &str, params: Value) -> Answer {
        self.api_answer_with(method, params, &[]).await
    }

    pub async fn api_answer_with(&self, method: &str, params: Value, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("X-API-Key", API_KEY), ("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        http::request(&self.dial(), "POST", &format!("/api/{method}"), &all, params.to_string().as_bytes()).await
    }

    /// Calls the server API on its own, and bears that the hub ends meanwhile.
    pub fn caller(&self) -> Caller {
        Caller { dial: self.dial() }
    }

    /// Publishes by the server API.
    pub async fn publish(&self, channel: &str, data: impl Into<Value>) -> Value {
        self.api("publish", json!({ "channel": channel, "data": data.into() })).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        http::request(&self.dial(), "GET", path, &[], b"").await
    }

    pub async fn metrics(&self) -> String {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status(), 200);
        answer.text()
    }

    /// The sum over all series of one metric whose labels contain `label`.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.metrics().await;
        let of_name = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        of_name.filter(|line| line.contains(label)).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    // === The process ===

    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).expect("a process id is positive")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("hub.log")).unwrap_or_default()
    }

    /// For tests that make the hub panic.
    #[cfg(feature = "test-hooks")]
    pub fn expect_panics(&mut self) {
        self.panics_expected = true;
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) {
        // SAFETY: the process is ours and has not been waited for, so the id cannot belong to another.
        assert_eq!(unsafe { libc::kill(self.pid(), libc::SIGTERM) }, 0);
    }

    /// SIGKILL: the power went.
    pub fn kill(&mut self) {
        self.process.kill().expect("the process is ours");
        self.process.wait().expect("the process is ours");
        self.ended = true;
    }

    /// Waits until a new client gets in.
    pub async fn until_joined(&self) {
        super::eventually("a new client getting in", async || match self.dial().websocket().await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(head)) => Err(format!("status {}", head.status)),
            Err(error) => Err(error.to_string()),
        })
        .await;
    }

    /// Waits until the hub shows that it takes nobody any more.
    pub async fn until_draining(&self) {
        super::eventually("the drain's begin", async || {
            match self.dial().websocket().await {
                Ok(Ok(_)) => Err("the upgrade was accepted"),
                Ok(Err(_)) | Err(_) => Ok(()),
            }
            .map_err(str::to_owned)
        })
        .await;
    }

    pub async fn exit(&mut self) -> ExitStatus {
        let status = super::eventually("the hub's end", async || match self.process.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        })
        .await;
        self.ended = true;
        status
    }

    /// Exact counts of what lives in the hub.
    pub fn state(&self) -> Result<Value, String> {
        let answer = http::request_blocking(self.http, "GET", "/debug/state", &[("X-API-Key", API_KEY)]).map_err(|error| error.to_string())?;
        if answer.status() != 200 {
            return Err(format!("status {}: {}", answer.status(), answer.text()));
        }
        Ok(answer.json())
    }

    /// What came since the start: each count less its value then, when the hub was ready and nobody was there.
    pub fn grown(&self) -> Result<Value, String> {
        let now = comparable(&self.state()?);
        let count = |of: &Value, name: &str| of[name].as_i64().unwrap_or(0);
        let grown = MUST_RETURN.iter().map(|name| ((*name).to_owned(), json!(count(&now, name) - count(&self.baseline, name))));
        Ok(grown.collect::<Map<_, _>>().into())
    }

    /// Waits until what came since the start is as it should be.
    pub async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        super::eventually(what, async || {
            let state = self.grown()?;
            if is(&state) { Ok(state) } else { Err(state.to_string()) }
        })
        .await
    }

    /// Waits until nothing that came since the start is left. Every test ends with this by itself.
    pub async fn until_empty(&self) {
        super::eventually("the baseline", async || self.compare_with_baseline()).await;
    }

    fn settled_state(&self) -> Value {
        let started = Instant::now();
        let mut last = self.state();
        loop {
            let next = self.state();
            if let (Ok(one), Ok(two)) = (&last, &next)
                && comparable(one) == comparable(two)
                && feeds_are_open(two)
                && two["canaries"] == two["canaries_wanted"]
            {
                return comparable(one);
            }
            assert!(started.elapsed() < DEADLINE, "the hub's state does not settle: {last:?} then {next:?}\n--- log\n{}", self.log());
            last = next;
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether nothing that came since the start is left.
    pub fn compare_with_baseline(&self) -> Result<(), String> {
        let mut now = comparable(&self.state()?);
        // One fewer is no leak: when the hub had just started, the store was about to flush its folder, which takes a descriptor for that long.
        let descriptors = |state: &Value| state["descriptors"].as_u64();
        if descriptors(&self.baseline) == descriptors(&now).map(|now| now + 1) {
            now["descriptors"] = self.baseline["descriptors"].clone();
        }
        if now == self.baseline { Ok(()) } else { Err(format!("at the start {}\nnow          {now}", self.baseline)) }
    }

    fn check_and_end(&mut self) -> Result<(), String> {
        let started = Instant::now();
        while let Err(difference) = self.compare_with_baseline() {
            if started.elapsed() > DEADLINE {
                return Err(format!("the test left something behind:\n{difference}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.terminate();
        let started = Instant::now();
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("SIGTERM ended the hub with {status}")),
                _ if started.elapsed() > DEADLINE => return Err(format!("the hub lives {DEADLINE:?} after SIGTERM")),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let mut outcome = if std::thread::panicking() || self.ended { Ok(()) } else { self.check_and_end() };
        let _ = self.process.kill();
        let _ = self.process.wait();
        let log = self.log();
        if outcome.is_ok() && !self.panics_expected && log.contains("panicked at") {
            outcome = Err("something in the hub panicked".to_owned());
        }
        if std::thread::panicking() || outcome.is_err() {
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- the hub's log, last lines\n{}\n---", lines[lines.len().saturating_sub(80)..].join("\n"));
        }
        if let (Err(reason), false) = (outcome, std::thread::panicking()) {
            panic!("{reason}");
        }
    }
}

/// What a session may leave no trace in. Histories and the memory they take are kept on purpose.
const MUST_RETURN: [&str; 15] = [
    "wildcards",
    "mercure_subscribers",
    "mercure_subscriptions",
    "mercure_patterns",
    "sessions",
    "connections",
    "users",
    "topics",
    "shards",
    "members",
    "session_actors",
    "timers",
    "outbox_bytes",
    "presence",
    "descriptors",
];

fn comparable(state: &Value) -> Value {
    let count = |name: &str| state.get(name).cloned().unwrap_or_else(|| panic!("the state does not count {name}: {state}"));
    MUST_RETURN.iter().map(|name| ((*name).to_owned(), count(name))).collect::<Map<_, _>>().into()
}

/// A feed that is being connected is about to hold a descriptor.
fn feeds_are_open(state: &Value) -> bool {
    state["feeds"].as_array().is_none_or(|feeds| feeds.iter().all(|feed| feed["state"] == "open"))
}

fn ready_line(process: &mut Child) -> Option<String> {
    let stdout = process.stdout.take()?;
    let (tx, rx) = mpsc::channel();
    // Reads on to the end, so that the hub never blocks on a full pipe; ends with the process.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.starts_with("ready ") {
                let _ = tx.send(line);
            }
        }
    });
    rx.recv_timeout(DEADLINE).ok()
}

/// From `ready http://127.0.0.1:8000 https://127.0.0.1:8443`.
fn addresses(ready: &str) -> (SocketAddr, Option<SocketAddr>) {
    let mut urls = ready.split(' ').skip(1);
    let http = urls.next().and_then(|url| url.strip_prefix("http://")).and_then(|address| address.parse().ok());
    let https = urls.next().and_then(|url| url.strip_prefix("https://")).and_then(|address| address.parse().ok());
    (http.unwrap_or_else(|| panic!("no address in the ready line {ready:?}")), https)
}

/// A new self-signed pair, `cert.pem` and `key.pem`.
pub fn write_certificate(directory: &Path, name: &str) {
    write_pair(directory, &rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate can be made"));
}

/// The same, good for so long.
pub fn write_certificate_for(directory: &Path, name: &str, lasting: Duration) {
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a certificate can have this name");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is past 1970");
    parameters.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + lasting;
    let signing_key = KeyPair::generate().expect("a key can be made");
    let cert = parameters.self_signed(&signing_key).expect("a certificate can be signed");
    write_pair(directory, &rcgen::CertifiedKey { cert, signing_key });
}

fn write_pair(directory: &Path, pair: &rcgen::CertifiedKey<KeyPair>) {
    // Whole files by rename, as certificate tools write them.
    for (file, text) in [("key.pem", pair.signing_key.serialize_pem()), ("cert.pem", pair.cert.pem())] {
        let path = directory.join(format!("{file}.new"));
        std::fs::write(&path, text).expect("a certificate can be written");
        std::fs::rename(&path, directory.join(file)).expect("a certificate can be moved");
    }
}

/// A new pair, `cert.pem` and `key.pem`, and the authority that signed it, `ca.pem`.
pub fn write_authority(directory: &Path, name: &str) {
    let authority = KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
    let vouching = params.self_signed(&authority).expect("it signs itself").pem();
    let key = KeyPair::generate().expect("a key can be made");
    let leaf = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &Issuer::new(params, authority)).expect("the authority signs it");
    for (file, text) in [("ca.pem", vouching), ("cert.pem", leaf.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(directory.join(file), text).expect("a file can be written");
    }
}

/// What most scenarios need: everybody with a token may do everything in channels without a namespace and in `news`, which keeps ten
/// publications; `room` knows who is there; `last` gives the newest publication; `locked` allows nothing.
fn default_config() -> Value {
    let open = json!({
        "allow_subscribe_for_client": true, "allow_publish_for_client": true,
        "allow_history_for_client": true, "allow_presence_for_client": true,
    });
    let namespace = |name: &str, options: Value| merged(merged(open.clone(), json!({ "name": name })), options);
    json!({
        "http_server": { "address": "127.0.0.1", "port": 0 },
        "http_api": { "key": API_KEY },
        "debug": { "enabled": true },
        "prometheus": { "enabled": true },
        "health": { "enabled": true },
        "http_stream": { "enabled": true },
        "sse": { "enabled": true },
        "uni_websocket": { "enabled": true },
        "uni_http_stream": { "enabled": true },
        "uni_sse": { "enabled": true },
        "client": { "token": { "hmac_secret_key": SECRET } },
        "topic": { "linger": "100ms" },
        "shutdown": { "spread": "0s" },
        "channel": {
            "without_namespace": open,
            "namespaces": [
                namespace("news", json!({ "history_size": 10, "history_ttl": "300s", "force_recovery": true })),
                namespace("room", json!({ "presence": true, "join_leave": true, "force_push_join_leave": true })),
                namespace("last", json!({ "history_size": 1, "history_ttl": "300s", "force_recovery": true, "force_recovery_mode": "cache" })),
                { "name": "locked", "history_size": 10, "history_ttl": "300s", "presence": true },
            ],
        },
    })
}

/// `changes` laid over `base`: objects member by member, except that namespaces are added to those of the same list by name.
pub fn merged(base: Value, changes: Value) -> Value {
    match (base, changes) {
        (Value::Object(mut base), Value::Object(changes)) => {
            for (key, change) in changes {
                let before = base.remove(&key);
                let after = match (key.as_str(), before) {
                    ("namespaces", Some(Value::Array(list))) => Value::Array(with_namespaces(list, change)),
                    (_, Some(before)) => merged(before, change),
                    (_, None) => change,
                };
                base.insert(key, after);
            }
            Value::Object(base)
        }
        (_, changes) => changes,
    }
}

fn with_namespaces(mut list: Vec<Value>, added: Value) -> Vec<Value> {
    for namespace in added.as_array().cloned().unwrap_or_default() {
        list.retain(|other| other["name"] != namespace["name"]);
        list.push(namespace);
    }
    list
}

/// TOML with one line a section: every JSON value but null has its inline form.
fn as_toml(config: &Value) -> String {
    config.as_object().map(|sections| sections.iter().map(|(key, value)| format!("{key} = {}\n", inline(value))).collect()).unwrap_or_default()
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(members) => format!("{{ {} }}", joined(members)),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        // A JSON string is a TOML basic string.
        other => other.to_string(),
    }
}

fn joined(members: &Map<String, Value>) -> String {
    members.iter().map(|(key, value)| format!("{} = {}", Value::from(key.as_str()), inline(value))).collect::<Vec<_>>().join(", ")
}
