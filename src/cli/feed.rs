//! `aether feed check`: a doctor for a feed, before the hub is told to read it, or when it does not.

use super::ConfigArgs;
use crate::protocol::event_stream::EventStreamLimits;
use crate::units::HumanDuration;
use crate::upstream::doctor::{Check, DURATION_MAX, DURATION_MIN, Diagnosis, Examination, Finding, Level, Trust, examine};
use crate::upstream::{FeedLimits, url_parameters};
use anyhow::{Context, anyhow, ensure};
use clap::{Args, Subcommand};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use std::fmt::Write;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Of a file with headers, and of one with certificates.
const HEADER_BYTES_MAX: u64 = 64 * 1_024;
const CERTIFICATE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// Characters of a line of output.
const WIDTH: usize = 110;
/// Where the sentence of a finding begins.
const INDENT: usize = 30;

/// How long threads that are still busy (a name that is not resolved) may hold up the end.
const END_TIMEOUT: Duration = Duration::from_millis(200);

const ENVIRONMENT: &str = "AETHER_FEED_HEADERS";

/// Look at feeds of server-sent events
///
/// Works without a running hub and without a configuration: what it finds out helps to write one.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aether feed check https://example.org/events
  aether feed check --help")]
pub struct Feed {
    #[command(subcommand)]
    command: FeedCommand,
}

#[derive(Debug, Subcommand)]
enum FeedCommand {
    Check(CheckFeed),
}

impl Feed {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            FeedCommand::Check(command) => command.run(),
        }
    }
}

/// Examine one feed, say what is wrong with it, and write the configuration that reads it
///
/// Goes the way that the hub goes (name, TCP, TLS, redirects, status, headers), listens for a while, opens a second connection beside the first, and
/// comes back with the id of an event it has seen. It tells what it finds as it finds it: whether a proxy holds events back, how often there is a
/// heartbeat, whether ids can be resumed from, what of the text or the sizes the hub would not take. At the end stand the lines of configuration
/// that read this feed.
///
/// It asks the feed for at most four things: the stream, a second one beside it, the stream from an id on, and its headers.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aether feed check https://example.org/events
  aether feed check https://example.org/events --duration 5m         a quiet feed needs time
  aether feed check --feed wiki --config aether.toml                 one that is configured, with its headers
  aether feed check https://example.org/events --header-file headers.txt
  AETHER_FEED_HEADERS='Authorization: Bearer …' aether feed check https://example.org/events
  aether feed check https://localhost:8443/events --ca data/certificate.pem
  aether feed check https://example.org/events --json | jq '.findings[] | select(.level == \"problem\")'

Ctrl-C ends it early, with what is known by then.

Exit codes: 0 the hub can read it (there may be warnings), 1 there are problems, 2 the command line was not understood.")]
struct CheckFeed {
    /// Where the feed is: http or https
    #[arg(required_unless_present = "feed")]
    url: Option<String>,

    /// Examine this feed of the configuration, with its headers and limits; with a URL as well, at that address
    #[arg(long, value_name = "NAME")]
    feed: Option<String>,

    #[command(flatten)]
    config: ConfigArgs,

    /// How long to listen: 10s, 5m
    #[arg(short, long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    duration: HumanDuration,

    /// Send this header; may be repeated. Not for secrets: other users of this machine can read a command line
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// Send the headers in this file, one a line as "Name: value". The environment may have them as AETHER_FEED_HEADERS. Values are never shown
    #[arg(long, value_name = "FILE")]
    header_file: Option<PathBuf>,

    /// Ask for the events after this id, as a reader does that comes back
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    last_event_id: String,

    /// Certificates (PEM) that vouch for the server, besides those of this system
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,

    /// Go on when the certificate is not trusted. It stays a problem, because the hub would not
    #[arg(long)]
    insecure: bool,

    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

impl CheckFeed {
    fn run(self) -> anyhow::Result<ExitCode> {
        let examination = match self.examination() {
            Ok(examination) => examination,
            // Not by clap, which would repeat the address or the header with what may be a secret in it.
            Err(error) => {
                eprintln!("error: {error:#}");
                return Ok(ExitCode::from(2));
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        let diagnosis = runtime.block_on(self.report(&examination));
        runtime.shutdown_timeout(END_TIMEOUT);
        Ok(if diagnosis?.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn examination(&self) -> anyhow::Result<Examination> {
        let Configured { url, mut headers, limits } = match &self.feed {
            Some(name) => self.configured(name)?,
            None => Configured::default(),
        };
        for header in &self.headers {
            headers.push(parse_header(header).map_err(|error| anyhow!("--header: {error}"))?);
        }
        if let Some(path) = &self.header_file {
            let text = String::from_utf8(read(path, HEADER_BYTES_MAX)?).map_err(|_| anyhow!("{} is not UTF-8", path.display()))?;
            headers.extend(parse_headers(&text).map_err(|error| anyhow!("{}, {error}", path.display()))?);
        }
        if let Some(text) = std::env::var_os(ENVIRONMENT) {
            let text = text.into_string().map_err(|_| anyhow!("{ENVIRONMENT}: the value is not UTF-8"))?;
            headers.extend(parse_headers(&text).map_err(|error| anyhow!("{ENVIRONMENT}, {error}"))?);
        }
        let url = self.url.as_deref().unwrap_or(&url);
        let examination = Examination::new(url, headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        let mut examination = examination.with_last_event_id(&self.last_event_id)?;
        examination.duration = self.duration.duration();
        examination.limits = limits;
        examination.trust = match &self.ca {
            _ if self.insecure => Trust::Anybody,
            None => Trust::System,
            Some(path) => Trust::Also(certificates(path)?),
        };
        Ok(examination)
    }

    fn configured(&self, name: &str) -> anyhow::Result<Configured> {
        let config = self.config.load()?.config.upstream;
        let feed = config.feeds.iter().find(|feed| feed.name == name);
        let names = || config.feeds.iter().map(|feed| feed.name.as_str()).collect::<Vec<_>>().join(", ");
        let feed = feed.with_context(|| match config.feeds.is_empty() {
            true => "the configuration has no feed; name it by --config".to_string(),
            false => format!("there is no feed {name:?}; the feeds are: {}", names()),
        })?;
        let parameters = url_parameters(&feed.url);
        let has_address = self.url.is_some() || parameters.is_empty();
        ensure!(has_address, "the feed {name:?} has parameters ({}); name the URL of one of its feeds as well", parameters.join(", "));
        let (limits, defaults) = (config.limits(feed), FeedLimits::default());
        let stream =
            EventStreamLimits { line_bytes_max: limits.line_bytes_max.bytes(), event_bytes_max: limits.event_bytes_max.bytes(), ..defaults.stream };
        let limits = FeedLimits {
            connect_timeout: limits.connect_timeout.duration(),
            idle_timeout: limits.idle_timeout.duration(),
            retry_min: limits.retry_min.duration(),
            retry_max: limits.retry_max.duration(),
            stream,
            ..defaults
        };
        let mut headers: Vec<_> = feed.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_string())).collect();
        for (name, file) in &feed.header_files {
            let text = String::from_utf8(read(Path::new(file), HEADER_BYTES_MAX)?).map_err(|_| anyhow!("{file}: not UTF-8"))?;
            headers.push((name.clone(), text.trim_ascii().to_string()));
        }
        Ok(Configured { url: feed.url.clone(), headers, limits })
    }

    /// Who has configured a feed needs no lines for it.
    fn without_config_if_known(&self, diagnosis: Diagnosis) -> Diagnosis {
        if self.feed.is_some() { Diagnosis { config: None, ..diagnosis } } else { diagnosis }
    }

    async fn report(&self, examination: &Examination) -> anyhow::Result<Diagnosis> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let url = examination.shown_url();
        if self.json {
            let mut findings = Vec::new();
            let diagnosis = self.without_config_if_known(examine(examination, stop, &mut |finding| findings.push(finding)).await);
            let report = Report {
                url: &url,
                healthy: diagnosis.is_healthy(),
                cut_short: diagnosis.is_cut_short,
                findings,
                config: diagnosis.config.as_deref(),
            };
            super::print(&format!("{}\n", serde_json::to_string(&report).context("cannot write the report as JSON")?))?;
            return Ok(diagnosis);
        }
        let is_coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        super::print(&format!("Checking {url}, listening for {}. Ctrl-C ends it early.\n\n", self.duration))?;
        let mut outcome = Ok(());
        let diagnosis = examine(examination, stop, &mut |finding| {
            if outcome.is_ok() {
                outcome = super::print(&told(&finding, is_coloured));
            }
        })
        .await;
        outcome?;
        let diagnosis = self.without_config_if_known(diagnosis);
        super::print(&verdict(&diagnosis))?;
        Ok(diagnosis)
    }
}

/// What the configuration says of a feed.
#[derive(Default)]
struct Configured {
    url: String,
    headers: Vec<(String, String)>,
    limits: FeedLimits,
}

#[derive(Serialize)]
struct Report<'a> {
    url: &'a str,
    healthy: bool,
    cut_short: bool,
    findings: Vec<Finding>,
    /// TOML.
    config: Option<&'a str>,
}

/// One finding as people read it.
fn told(finding: &Finding, is_coloured: bool) -> String {
    let (symbol, word, colour) = match finding.level {
        Level::Fine => ('✓', "ok", "32"),
        Level::Note => ('·', "note", "36"),
        Level::Warning => ('!', "warning", "33"),
        Level::Problem => ('✗', "problem", "31"),
    };
    let mark = format!("{symbol} {word:<8}");
    let mark = if is_coloured { format!("\u{1b}[{colour}m{mark}\u{1b}[0m") } else { mark };
    let mut text = format!("{mark}{:<20}", title(finding.check));
    wrap(&finding.result, INDENT, &mut text);
    if let Some(advice) = &finding.advice {
        let _ = write!(text, "{:INDENT$}→ ", "");
        wrap(advice, INDENT + 2, &mut text);
    }
    text
}

fn title(check: Check) -> String {
    check.as_str().replace('_', " ")
}

/// Fills lines with words; the first is taken to begin at `indent` already. A word that is longer than a line stands on one of its own.
fn wrap(text: &str, indent: usize, into: &mut String) {
    let mut column = indent;
    for (number, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if number > 0 && column + 1 + length > WIDTH {
            let _ = write!(into, "\n{:indent$}", "");
            column = indent;
        } else if number > 0 {
            into.push(' ');
            column += 1;
        }
        into.push_str(word);
        column += length;
    }
    into.push('\n');
}

fn verdict(diagnosis: &Diagnosis) -> String {
    let many = |number: usize, thing: &str| if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") };
    let mut text = String::from("\n");
    if diagnosis.is_cut_short {
        text.push_str("Ended early; a longer look may find more. ");
    }
    match (diagnosis.problems, diagnosis.warnings) {
        (0, 0) => text.push_str("Healthy.\n"),
        (0, warnings) => {
            let _ = writeln!(text, "Healthy, with {}.", many(warnings, "warning"));
        }
        (problems, warnings) => {
            let _ = writeln!(text, "Not healthy: {}, {}.", many(problems, "problem"), many(warnings, "warning"));
        }
    }
    if let Some(config) = &diagnosis.config {
        let _ = write!(text, "\nTo read this feed, put at the end of the configuration:\n\n{config}");
    }
    text
}

fn parse_duration(text: &str) -> Result<HumanDuration, String> {
    match HumanDuration::parse(text) {
        Ok(duration) if (DURATION_MIN..=DURATION_MAX).contains(&duration.duration()) => Ok(duration),
        Ok(_) => Err("listen for 1s to 24h".to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Errors do not repeat the text.
fn parse_header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("write \"Name: value\"")?;
    if name.trim().is_empty() { Err("write \"Name: value\"") } else { Ok((name.trim().to_string(), value.trim().to_string())) }
}

/// One header a line. Empty lines and lines that begin with # are skipped.
fn parse_headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines.map(|(number, line)| parse_header(line).map_err(|error| format!("line {}: {error}", number + 1))).collect()
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = read(path, CERTIFICATE_BYTES_MAX)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.with_context(|| format!("cannot read the certificates in {}", path.display()))?;
    ensure!(!certificates.is_empty(), "{} holds no certificate in PEM", path.display());
    Ok(certificates)
}

fn read(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes.len() as u64 <= bytes_max, "{} is longer than {bytes_max} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said::said;
    use clap::CommandFactory;

    #[test]
    fn the_nested_command_explains_itself() {
        let command = crate::cli::Cli::command();
        let check = command.find_subcommand("feed").and_then(|feed| feed.find_subcommand("check")).expect("it is there");
        assert!(check.get_long_about().is_some() && check.get_after_long_help().is_some());
        for argument in check.get_arguments() {
            assert!(argument.get_help().is_some(), "{}", argument.get_id());
        }
    }

    #[test]
    fn headers_are_read_and_their_values_not_repeated() {
        let headers = parse_headers("# secrets\nAuthorization: Bearer a:b \n\n X-Key:1\n").unwrap();
        assert_eq!(headers, [("Authorization".to_string(), "Bearer a:b".to_string()), ("X-Key".to_string(), "1".to_string())]);
        for bad in ["A: 1\nhush", "A: 1\n:hush"] {
            assert_eq!(parse_headers(bad).unwrap_err(), "line 2: write \"Name: value\"");
        }
    }

    #[test]
    fn a_finding_is_a_mark_a_word_and_lines_that_fit() {
        let finding = Finding::warning(
            Check::SecondConnection,
            said!("test.words", "{words}", words = "a word ".repeat(30).trim_end().to_string()),
            said!("test.advice", "Do this."),
        );
        let text = told(&finding, false);
        assert!(text.starts_with("! warning second connection   a word"), "{text}");
        assert!(text.ends_with(&format!("\n{:INDENT$}→ Do this.\n", "")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH) && !text.contains('\u{1b}'), "{text}");
        assert!(told(&finding, true).starts_with("\u{1b}[33m! warning"));
    }

    #[test]
    fn the_verdict_counts() {
        let diagnosis = |problems, warnings| Diagnosis { worst: Level::Fine, warnings, problems, is_cut_short: false, config: None };
        assert_eq!(verdict(&diagnosis(0, 0)), "\nHealthy.\n");
        assert_eq!(verdict(&diagnosis(0, 1)), "\nHealthy, with 1 warning.\n");
        assert_eq!(verdict(&diagnosis(2, 0)), "\nNot healthy: 2 problems, 0 warnings.\n");
        let cut = Diagnosis { is_cut_short: true, config: Some("a = 1\n".to_string()), ..diagnosis(0, 0) };
        assert!(verdict(&cut).contains("Ended early") && verdict(&cut).ends_with("\n\na = 1\n"));
    }

    #[test]
    fn the_time_to_listen_is_bounded() {
        for (text, is_fine) in [("1s", true), ("24h", true), ("999ms", false), ("25h", false), ("-5s", false), ("5", false)] {
            assert_eq!(parse_duration(text).is_ok(), is_fine, "{text}");
        }
    }
}
