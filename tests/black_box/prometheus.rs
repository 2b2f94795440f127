//! What `deploy` has for Prometheus and Grafana, and what `/metrics` says, tried by Debian's Prometheus and its `promtool`.

use crate::support::{API_KEY, Client, Codec, Dial, Feed, Hub, eventually, request, within};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PROMETHEUS: &str = "/usr/bin/prometheus";
const PROMTOOL: &str = "/usr/bin/promtool";

/// What Prometheus shows to the hub that asks for it.
const TOKEN: &str = "the-token-of-prometheus";

/// Whether both are installed; said aloud where they are not.
fn is_installed() -> bool {
    let is_installed = [PROMETHEUS, PROMTOOL].iter().all(|file| Path::new(file).exists());
    if !is_installed {
        eprintln!("skipped: {PROMETHEUS} and {PROMTOOL} are not installed (Debian: prometheus)");
    }
    is_installed
}

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

fn text_of(file: &str) -> String {
    std::fs::read_to_string(deployed(file)).expect("it is there")
}

/// With another word in its place, which must be there.
fn replaced(text: &str, word: &str, by: &str) -> String {
    assert!(text.contains(word), "{word:?} is not in {text}");
    text.replace(word, by)
}

/// What `promtool` said, given a file to read. It must have been content.
async fn promtool(arguments: &[&str], input: Option<&Path>) -> String {
    let input = input.map_or_else(Stdio::null, |file| std::fs::File::open(file).expect("the file can be read").into());
    let mut command = Command::new(PROMTOOL);
    command.args(arguments).stdin(input);
    let output = within("hear promtool", tokio::task::spawn_blocking(move || command.output())).await.expect("it does not panic").expect("it runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {} {said}", output.status);
    said
}

/// A Prometheus of the test's own, which is killed with it.
struct Prometheus {
    address: SocketAddr,
    log: PathBuf,
    process: Child,
}

impl Prometheus {
    /// With the configuration and the data that are in this folder.
    async fn start(folder: &Path) -> Self {
        let log = folder.join("prometheus.log");
        let mut command = Command::new(PROMETHEUS);
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).expect("a file can be made"));
        let process = command.spawn().expect("it runs");
        let mut prometheus = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), log, process };
        prometheus.address = eventually("Prometheus' being ready", async || {
            let log = std::fs::read_to_string(&prometheus.log).unwrap_or_default();
            let listening = log.lines().find(|line| line.contains("\"Listening on\"")).and_then(|line| line.rsplit_once("address=")?.1.parse().ok());
            listening.filter(|_| log.contains("Server is ready")).ok_or(log)
        })
        .await;
        prometheus
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let answer = request(&Dial::new(self.address), "GET", path, &[], b"").await;
        let body = answer.json();
        if body["status"] == "success" { Ok(body["data"].clone()) } else { Err(body.to_string()) }
    }

    /// The series that an expression gives now, or at this time.
    async fn query(&self, expression: &str, at: Option<f64>) -> Vec<Value> {
        let at = at.map(|at| format!("&time={at}")).unwrap_or_default();
        let path = format!("/api/v1/query?query={}{at}", crate::support::escaped(expression.as_bytes()));
        let data = self.get(&path).await.unwrap_or_else(|error| panic!("{expression}: {error}"));
        data["result"].as_array().cloned().unwrap_or_else(|| panic!("{expression}: {data}"))
    }

    /// The same, as soon as there are some.
    async fn series(&self, expression: &str) -> Vec<Value> {
        eventually(expression, async || match self.query(expression, None).await {
            none if none.is_empty() => Err("nothing".to_owned()),
            series => Ok(series),
        })
        .await
    }

    /// All rules, with what became of them.
    async fn rules(&self) -> Vec<Value> {
        let groups = self.get("/api/v1/rules").await.expect("it lists them")["groups"].clone();
        groups.as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A hub with a feed and a certificate, that measures often.
async fn hub(feed: &Feed, token: &str) -> Hub {
    let feeds = json!([{ "name": "market", "url": feed.url(), "channel": "news:market" }]);
    let metrics = json!({ "interval": "200ms", "canary_interval": "50ms" });
    Hub::start_with_tls(json!({ "metrics": metrics, "prometheus": { "token": token }, "upstream": { "feeds": feeds } })).await
}

/// A bit of everything that is only counted where it happens.
async fn traffic(hub: &Hub, feed: &Feed) -> Client {
    let mut client = hub.connect(Codec::Json).await;
    let position = client.subscribe("news:market").await["position"].clone();
    feed.say("id: 1\ndata: {}\n\n");
    client.publication("news:market").await;
    hub.publish("news:market", 2).await;
    client.publication("news:market").await;
    let mut back = hub.connect(Codec::Protobuf).await;
    back.recover("news:market", &position).await;
    back.leave().await;
    assert_eq!(client.error_of("subscribe", json!({ "channel": "locked:x" })).await, 103);
    client
}

#[tokio::test]
async fn promtool_is_content_with_the_files_and_with_what_a_hub_says() {
    if !is_installed() {
        return;
    }
    let feed = Feed::start();
    let hub = hub(&feed, "").await;
    let client = traffic(&hub, &feed).await;
    let rules = deployed("prometheus/aether-rules.yml");
    let count = text_of("prometheus/aether-rules.yml").matches("- alert:").count();
    let said = promtool(&["check", "rules", "--lint=all", "--lint-fatal", &rules.display().to_string()], None).await;
    assert!(said.contains(&format!("SUCCESS: {count} rules found")), "{said}");
    let said = promtool(&["check", "config", &deployed("prometheus/prometheus.yml").display().to_string()], None).await;
    assert!(said.contains("SUCCESS: 1 rule files found") && said.contains(&format!("SUCCESS: {count} rules found")), "{said}");
    let tried = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/black_box/rules.yml");
    assert_eq!(include_str!("rules.yml").matches("alertname=").count(), count, "every rule is tried");
    assert!(promtool(&["test", "rules", &tried.display().to_string()], None).await.contains("SUCCESS"));
    let exposed = hub.directory.path().join("metrics.prom");
    std::fs::write(&exposed, hub.metrics().await).expect("a file can be written");
    assert_eq!(promtool(&["check", "metrics"], Some(&exposed)).await, "", "it finds nothing to say");
    client.leave().await;
}

#[tokio::test]
async fn prometheus_reads_a_hub_and_what_the_dashboard_and_the_rules_ask_for_is_there() {
    if !is_installed() {
        return;
    }
    let feed = Feed::start();
    let guarded = hub(&feed, TOKEN).await;
    let mut open = Hub::start(json!({})).await;
    let client = traffic(&guarded, &feed).await;

    let folder = tempfile::tempdir().expect("a folder can be made");
    let (time, exported) = import(&guarded, folder.path()).await;
    let configuration = replaced(&text_of("prometheus/prometheus.yml"), "127.0.0.1:8000", &guarded.http.to_string());
    let configuration = replaced(&replaced(&configuration, "# authorization:", "authorization:"), "15s", "200ms");
    let others = [("open", open.http, ""), ("nobody", guarded.http, ""), ("stranger", guarded.http, "authorization: { credentials: a-wrong-token }")];
    let others =
        others.map(|(job, target, shown)| format!("  - job_name: {job}\n    static_configs: [{{ targets: [\"{target}\"] }}]\n    {shown}\n"));
    for (file, text) in [
        ("prometheus.yml", configuration + &others.concat()),
        ("aether-rules.yml", text_of("prometheus/aether-rules.yml")),
        ("aether-token", TOKEN.to_owned()),
    ] {
        std::fs::write(folder.path().join(file), text).expect("a file can be written");
    }
    let prometheus = Prometheus::start(folder.path()).await;

    for (job, up) in [("aether", "1"), ("open", "1"), ("nobody", "0"), ("stranger", "0")] {
        let series = prometheus.series(&format!("up{{job=\"{job}\"}}")).await;
        assert_eq!((series.len(), &series[0]["value"][1]), (1, &json!(up)), "{job}: {series:?}");
    }
    let history = prometheus.query("aether_history_threads{stat=\"max\"}", Some(time)).await;
    assert_eq!((history.len(), &history[0]["value"][1]), (1, &json!(exported)), "{history:?}");
    asked_by_the_dashboard(&prometheus, &guarded).await;
    asked_by_the_rules(&prometheus).await;

    let rules = eventually("a look at all rules", async || {
        let rules = prometheus.rules().await;
        let is_pending = |rule: &Value| rule["health"] == "unknown";
        if rules.is_empty() || rules.iter().any(is_pending) { Err(format!("{rules:?}")) } else { Ok(rules) }
    })
    .await;
    assert_eq!(rules.len(), text_of("prometheus/aether-rules.yml").matches("- alert:").count());
    for rule in &rules {
        assert!(rule["health"] == "ok" && rule["state"] != "firing", "{rule}");
    }
    client.leave().await;
    open.terminate();
    assert!(open.exit().await.success());
    eventually("seeing that one has ended", async || match prometheus.query("up{job=\"open\"}", None).await.as_slice() {
        [series] if series["value"][1] == "0" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Puts the hub's own history, as it is exported, where Prometheus will find it; a reading of it and its time, in seconds.
async fn import(hub: &Hub, folder: &Path) -> (f64, String) {
    let export = eventually("some history", async || {
        let path = "/api/metrics_history?metrics=threads,process.cpu,latency.p99_ms&format=openmetrics&step_ms=1000";
        let answer = request(&hub.dial(), "GET", path, &[("X-API-Key", API_KEY)], b"").await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        Ok(answer.text()).and_then(|text| if text.contains("aether_history_latency_p99_ms{") { Ok(text) } else { Err(text) })
    })
    .await;
    let reading = export.lines().rfind(|line| line.starts_with("aether_history_threads{stat=\"max\"} ")).expect("a reading");
    let mut words = reading.rsplit(' ');
    let time = words.next().and_then(|time| time.parse().ok()).expect("a time");
    let value = words.next().expect("a value").to_owned();
    let (file, data) = (folder.join("history.om"), folder.join("data"));
    std::fs::write(&file, &export).expect("a file can be written");
    let said = promtool(&["tsdb", "create-blocks-from", "openmetrics", &file.display().to_string(), &data.display().to_string()], None).await;
    assert!(said.contains("NUM SAMPLES"), "{said}");
    (time, value)
}

/// Every query of every panel has an answer, which has the labels that the panel shows.
async fn asked_by_the_dashboard(prometheus: &Prometheus, hub: &Hub) {
    let dashboard: Value = serde_json::from_str(&text_of("grafana/aether.json")).expect("it is JSON");
    let instances = prometheus.get("/api/v1/label/instance/values?match[]=aether_sessions").await.expect("it knows labels");
    assert!(instances.as_array().is_some_and(|all| all.contains(&json!(hub.http.to_string()))), "{instances}");
    let panels = dashboard["panels"].as_array().expect("a list");
    assert!(panels.len() > 20, "{}", panels.len());
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten()) {
        let expression = target["expr"].as_str().expect("a text").replace("$instance", ".*");
        let series = prometheus.series(&expression).await;
        let legend = target["legendFormat"].as_str().unwrap_or_default();
        for label in legend.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim())) {
            assert!(series.iter().all(|one| one["metric"][label].is_string()), "{expression} has no label {label}: {series:?}");
        }
    }
}

/// Every series that a rule is about is there, so that its silence means that all is well.
async fn asked_by_the_rules(prometheus: &Prometheus) {
    let rules = text_of("prometheus/aether-rules.yml");
    let mut count = 0;
    for expression in rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
        for (begin, word) in ["aether_", "process_"].iter().flat_map(|family| expression.match_indices(family)) {
            // Not within a name or a text.
            if expression[..begin].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '"') {
                continue;
            }
            let rest = &expression[begin + word.len()..];
            let name = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            let labels = if rest[name..].starts_with('{') { rest[name..].find('}').expect("it ends") + 1 } else { 0 };
            prometheus.series(&expression[begin..begin + word.len() + name + labels]).await;
            count += 1;
        }
    }
    assert!(count > 14, "{count}");
}
