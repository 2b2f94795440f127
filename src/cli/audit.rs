//! `aether audit`: the audit log, read from the store itself, whether a hub runs on it or not; an exported one is verified without a store.
//!
//! Reads only. Beside a hub it sees what the hub has written until now.

use super::{ConfigArgs, print, shown};
use crate::admin::audit::chain::{Checkpoint, Head, Verdict, Verifier};
use crate::admin::{audit, record};
use crate::clock::Clock;
use crate::config::{Config, StoreType};
use crate::store::{self, AuditQuery, AuditRecord, Store, WallMs};
use crate::units::HumanDuration;
use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Records that are read at once.
const PAGE: usize = 1_000;

/// Bytes of an exported record, its line end included: more than any command and its arguments can have.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Letters of a SHA-256 in hexadecimal.
const HASH_LETTERS: usize = 64;

/// The audit log: read, export and verify it
///
/// Works on the store that the configuration names, beside a running hub or without one.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aether audit list --config aether.toml
  aether audit list --actor alice --action admin.sessions --since 24h
  aether audit export > audit.jsonl
  aether audit verify
  aether audit verify --file audit.jsonl            a whole log that was exported
  aether audit verify --known 1042:5f0c…            the hash of record 1042, as the hub's log has it")]
pub struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List records, the newest first
    List(List),
    /// Write records to standard output, the oldest first, each as one line of JSON
    Export(Export),
    /// Look through the whole log for changed, removed or reordered records
    Verify(Verify),
}

/// Which records are meant.
#[derive(Debug, Args)]
struct Which {
    /// Only of this actor
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, or those that begin with it and a dot
    #[arg(long)]
    action: Option<String>,
    /// Only with this outcome: begun, done, failed, refused or noted
    #[arg(long)]
    outcome: Option<String>,
    /// Only of the last so long: 90m, 24h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "from")]
    since: Option<HumanDuration>,
    /// Only from this time on, in Unix milliseconds
    #[arg(long, value_name = "MS")]
    from: Option<WallMs>,
    /// Only before this time, in Unix milliseconds
    #[arg(long, value_name = "MS")]
    to: Option<WallMs>,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    which: Which,
    /// Records to list
    #[arg(short = 'n', long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct Export {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Exit code 0: every record is as it was written and where it was written, and none is missing but those that were forgotten by age. 1: not so, and
/// standard output says what is wrong where. Whoever can rewrite the whole store can rewrite the whole chain; the hub therefore writes each
/// record's hash to its own log too, and --known compares with it.
#[derive(Debug, Args)]
struct Verify {
    /// What is known of a record from elsewhere: its sequence and hash; may be repeated
    #[arg(long, value_name = "SEQUENCE:HASH", value_parser = parse_known)]
    known: Vec<Head>,
    /// Verify this export of a whole log, rather than the store
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

fn parse_duration(text: &str) -> Result<HumanDuration, String> {
    HumanDuration::parse(text).ok().filter(|duration| duration.is_positive()).ok_or_else(|| "write a duration such as 90m or 24h".to_string())
}

fn parse_known(text: &str) -> Result<Head, String> {
    let parsed = text.split_once(':').and_then(|(sequence, hash)| Some(Head { sequence: sequence.parse().ok()?, hash: hash.to_ascii_lowercase() }));
    parsed
        .filter(|head| head.hash.len() == HASH_LETTERS && head.hash.bytes().all(|letter| letter.is_ascii_hexdigit()))
        .ok_or_else(|| format!("write SEQUENCE:HASH, the hash with {HASH_LETTERS} hexadecimal digits"))
}

impl Which {
    fn query(self) -> AuditQuery {
        let Self { actor, action, outcome, since, from, to } = self;
        let from = since.map(|since| Clock::system().wall_ms().saturating_sub_unsigned(since.ms())).or(from);
        AuditQuery { actor, action, outcome, from, to, limit: PAGE, ..AuditQuery::default() }
    }
}

impl Audit {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if let Command::Verify(Verify { known, file: Some(path), .. }) = self.command {
            return tell(&verify_file(&path, known)?);
        }
        let config = match &self.command {
            Command::List(List { config, .. }) | Command::Export(Export { config, .. }) | Command::Verify(Verify { config, .. }) => {
                config.load()?.config
            }
        };
        actix::System::new().block_on(self.command.carry_out(&config))
    }
}

impl Command {
    async fn carry_out(self, config: &Config) -> anyhow::Result<ExitCode> {
        let folder = Path::new(&config.data_dir);
        if config.store.kind == StoreType::Sqlite {
            // Opened, it would be made, and an empty log is a whole one: the wrong folder must not look like a proof.
            let file = store::sqlite_path(&config.store, folder);
            ensure!(file.exists(), "there is no store at {}: is this the hub's configuration, and the folder that it runs in?", file.display());
        }
        let store = store::open(&config.store, folder).await?;
        let outcome = self.on(&*store).await;
        store.close().await.context("the store was not closed in time")?;
        outcome
    }

    async fn on(self, store: &dyn Store) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(List { which, limit, .. }) => {
                let mut query = AuditQuery { newest_first: true, ..which.query() };
                let mut rows = vec![["sequence", "time", "actor", "from", "action", "object", "outcome", "details"].map(str::to_string).to_vec()];
                while rows.len() <= limit {
                    query.limit = PAGE.min(limit + 1 - rows.len());
                    let page = store.audit(&query).await?;
                    rows.extend(page.iter().map(row));
                    match page.last() {
                        Some(last) if page.len() == query.limit => query.after = Some(last.sequence),
                        _ => break,
                    }
                }
                print(&shown::aligned(&rows))?;
            }
            Self::Export(Export { which, .. }) => {
                let mut query = which.query();
                loop {
                    let page = store.audit(&query).await?;
                    let lines: String = page.iter().map(|one| format!("{}\n", record(one))).collect();
                    print(&lines)?;
                    match page.last() {
                        Some(last) if page.len() == PAGE => query.after = Some(last.sequence),
                        _ => break,
                    }
                }
            }
            Self::Verify(Verify { known, .. }) => {
                return tell(&audit::verify(store, &known).await?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A record as `export` writes it.
#[derive(Deserialize)]
struct Exported {
    sequence: u64,
    at: WallMs,
    actor: String,
    origin: String,
    action: String,
    object: String,
    details: Value,
    outcome: String,
    previous: String,
    hash: String,
}

impl From<Exported> for AuditRecord {
    fn from(exported: Exported) -> Self {
        let Exported { sequence, at, actor, origin, action, object, details, outcome, previous, hash } = exported;
        // Details that are no JSON were exported as a text.
        let details = if let Value::String(text) = details { text } else { details.to_string() };
        Self { sequence, at, actor, origin, action, object, details, outcome, previous, hash }
    }
}

/// Twice through the file, so that it may be larger than memory: what was forgotten is told by a record near its end.
fn verify_file(path: &Path, known: Vec<Head>) -> anyhow::Result<Verdict> {
    let mut checkpoint = None;
    each_record(path, |record| checkpoint = Checkpoint::of(record).or(checkpoint.take()))?;
    let mut verifier = Verifier::new(checkpoint, known);
    each_record(path, |record| verifier.read(record))?;
    let verdict = verifier.finish();
    // An empty log is a whole one: the wrong file must not look like a proof.
    ensure!(verdict.records > 0, "{} holds no record", path.display());
    Ok(verdict)
}

fn each_record(path: &Path, mut read: impl FnMut(&AuditRecord)) -> anyhow::Result<()> {
    let mut file = BufReader::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?);
    let mut line = String::new();
    for number in 1_u64.. {
        line.clear();
        let length = file.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).with_context(|| format!("cannot read {}", path.display()))?;
        if length == 0 {
            break;
        }
        if length as u64 == LINE_BYTES_MAX {
            bail!("{}, line {number} is longer than a record can be ({LINE_BYTES_MAX} bytes)", path.display());
        }
        let exported: Exported = serde_json::from_str(&line).with_context(|| format!("{}, line {number} is no record", path.display()))?;
        read(&exported.into());
    }
    Ok(())
}

fn tell(verdict: &Verdict) -> anyhow::Result<ExitCode> {
    print(&told(verdict))?;
    Ok(if verdict.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(record: &AuditRecord) -> Vec<String> {
    let text = |text: &str| if text.is_empty() { "-".to_string() } else { shown::inert(text).into_owned() };
    let details = if record.details == "{}" { "" } else { &record.details };
    let texts = [&record.actor, &record.origin, &record.action, &record.object, &record.outcome, details].map(text);
    [record.sequence.to_string(), shown::time(record.at)].into_iter().chain(texts).collect()
}

fn told(verdict: &Verdict) -> String {
    let mut lines: Vec<String> = verdict.faults.iter().map(ToString::to_string).collect();
    let more = verdict.faults_in_all.saturating_sub(lines.len() as u64);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    if verdict.is_whole() {
        let forgotten =
            if verdict.forgotten > 0 { format!(", those up to {} were forgotten by age or number", verdict.forgotten) } else { String::new() };
        let newest = verdict.head.as_ref().map(|head| format!("; the newest is {}:{}", head.sequence, head.hash)).unwrap_or_default();
        lines.push(format!("OK: {} records, each as it was written{forgotten}{newest}", verdict.records));
    } else {
        lines.push(format!("NOT OK: {} faults in {} records", verdict.faults_in_all, verdict.records));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_a_number_and_a_hash() {
        let hash = "Ab".repeat(32);
        assert_eq!(parse_known(&format!("7:{hash}")).unwrap(), Head { sequence: 7, hash: hash.to_lowercase() });
        for bad in ["7", "7:", "x:ab", &format!("7:{}", "g".repeat(64)), &format!("-7:{hash}"), &format!("7:{hash}a")] {
            assert!(parse_known(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_verdict_is_told() {
        let whole = Verdict { records: 2, head: Some(Head { sequence: 5, hash: "ab".to_string() }), forgotten: 3, faults: vec![], faults_in_all: 0 };
        assert_eq!(told(&whole), "OK: 2 records, each as it was written, those up to 3 were forgotten by age or number; the newest is 5:ab\n");
        let faults = vec![audit::chain::Fault::Changed { sequence: 4 }];
        let broken = Verdict { faults, faults_in_all: 3, ..whole };
        assert_eq!(told(&broken), "record 4 has been changed\nand 2 more\nNOT OK: 3 faults in 2 records\n");
    }
}
