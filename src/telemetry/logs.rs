//! The process's log: started once, its levels changed while it runs.
//!
//! `env_logger` writes the lines and knows the levels that the process was started with; before it stands a list of levels by module that
//! operators have set, each of which may end by itself.

use crate::clock::Millis;
use arc_swap::ArcSwap;
use env_logger::{Builder, Logger};
use log::{LevelFilter, Log, Metadata, Record};
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// Modules with a level of their own at one time.
pub const OVERRIDES_MAX: usize = 32;

static LOGS: OnceLock<Logs> = OnceLock::new();

/// A level that was set while the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// A module with all below it, such as `aether::session`. Empty: everything.
    pub module: String,
    pub level: LevelFilter,
    /// On the clock; `None`: until it is taken back.
    pub until: Option<Millis>,
}

impl Override {
    fn covers(&self, target: &str) -> bool {
        target.strip_prefix(self.module.as_str()).is_some_and(|rest| self.module.is_empty() || rest.is_empty() || rest.starts_with("::"))
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogsError {
    #[error("{OVERRIDES_MAX} modules have a level of their own already")]
    TooMany,
    #[error("the log is not the hub's")]
    NotOurs,
}

struct Logs {
    writer: Logger,
    /// Which lines the start asked for.
    filter: ArcSwap<Logger>,
    /// The longest module first, so that the first that covers a line is the nearest.
    overrides: ArcSwap<Vec<Override>>,
}

impl Log for Logs {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match self.overrides.load().iter().find(|set| set.covers(metadata.target())) {
            Some(set) => metadata.level() <= set.level,
            None => self.filter.load().enabled(metadata),
        }
    }
    fn log(&self, record: &Record<'_>) {
        let is_wanted = match self.overrides.load().iter().find(|set| set.covers(record.target())) {
            Some(set) => record.level() <= set.level,
            None => self.filter.load().matches(record),
        };
        if is_wanted {
            self.writer.log(record);
        }
    }
    fn flush(&self) {
        self.writer.flush();
    }
}

impl Logs {
    fn set(&self, overrides: Vec<Override>) {
        let max = overrides.iter().map(|set| set.level).fold(self.filter.load().filter(), std::cmp::max);
        self.overrides.store(Arc::new(overrides));
        log::set_max_level(max);
    }
}

/// Which lines a configured level means: what libraries say below warnings is about their insides; `RUST_LOG` asks for more of it.
fn filter(level: LevelFilter, rust_log: Option<&str>) -> Logger {
    let mut builder = Builder::new();
    builder.filter_level(level.min(LevelFilter::Warn)).filter_module("aether", level);
    if let Some(filters) = rust_log {
        builder.parse_filters(filters);
    }
    builder.build()
}

fn writer(is_json: bool) -> Logger {
    let mut builder = Builder::new();
    // What is written has been chosen before it comes here.
    builder.filter_level(LevelFilter::Trace);
    if is_json {
        builder.format(|out, record| {
            let line = serde_json::json!({
                "time": out.timestamp_millis().to_string(),
                "level": record.level().as_str(),
                "room": record.target(),
                "message": record.args().to_string(),
            });
            writeln!(out, "{line}")
        });
    } else {
        builder.format_timestamp_millis();
    }
    builder.build()
}

/// Starts the log. Fails when there is one already.
pub fn start(level: LevelFilter, is_json: bool) -> Result<(), log::SetLoggerError> {
    let rust_log = std::env::var("RUST_LOG").ok();
    let logs = LOGS.get_or_init(|| Logs {
        writer: writer(is_json),
        filter: ArcSwap::from_pointee(filter(level, rust_log.as_deref())),
        overrides: ArcSwap::default(),
    });
    log::set_logger(logs)?;
    logs.set(Vec::new());
    Ok(())
}

/// The configured level has changed.
pub fn configure(level: LevelFilter) -> Result<(), LogsError> {
    let logs = LOGS.get().ok_or(LogsError::NotOurs)?;
    logs.filter.store(Arc::new(filter(level, std::env::var("RUST_LOG").ok().as_deref())));
    logs.set(Vec::clone(&logs.overrides.load()));
    Ok(())
}

/// Sets a module's level in place of the configured one; `None`: takes it back.
pub fn set_level(module: &str, level: Option<LevelFilter>, until: Option<Millis>) -> Result<(), LogsError> {
    let logs = LOGS.get().ok_or(LogsError::NotOurs)?;
    logs.set(changed(&logs.overrides.load(), module, level, until)?);
    Ok(())
}

fn changed(present: &[Override], module: &str, level: Option<LevelFilter>, until: Option<Millis>) -> Result<Vec<Override>, LogsError> {
    let mut overrides: Vec<_> = present.iter().filter(|set| set.module != module).cloned().collect();
    if let Some(level) = level {
        if overrides.len() >= OVERRIDES_MAX {
            return Err(LogsError::TooMany);
        }
        overrides.push(Override { module: module.to_string(), level, until });
    }
    overrides.sort_by(|a, b| b.module.len().cmp(&a.module.len()).then_with(|| a.module.cmp(&b.module)));
    Ok(overrides)
}

/// Takes back what has ended by `now`. The modules of those that did.
pub fn expire(now: Millis) -> Vec<String> {
    let Some(logs) = LOGS.get() else { return Vec::new() };
    let (ended, stay): (Vec<_>, Vec<_>) =
        logs.overrides.load().iter().cloned().partition(|set: &Override| set.until.is_some_and(|until| until <= now));
    if !ended.is_empty() {
        logs.set(stay);
    }
    ended.into_iter().map(|set| set.module).collect()
}

/// What is set in place of the configuration now.
pub fn overrides() -> Vec<Override> {
    LOGS.get().map(|logs| Vec::clone(&logs.overrides.load())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    fn logs(overrides: &[(&str, LevelFilter)]) -> Logs {
        let mut list = Vec::new();
        for (module, level) in overrides {
            list = changed(&list, module, Some(*level), None).unwrap();
        }
        Logs { writer: writer(false), filter: ArcSwap::from_pointee(filter(LevelFilter::Info, None)), overrides: ArcSwap::from_pointee(list) }
    }

    #[test]
    fn the_nearest_module_that_was_set_decides() {
        let logs = logs(&[("aether", LevelFilter::Warn), ("aether::session", LevelFilter::Trace), ("hyper", LevelFilter::Debug)]);
        let cases = [
            ("aether::session", Level::Trace, true),
            ("aether::session::hub", Level::Trace, true),
            ("aether::sessions", Level::Info, false),
            ("aether::topic", Level::Info, false),
            ("aether::topic", Level::Warn, true),
            ("hyper::proto", Level::Debug, true),
            ("rustls", Level::Info, false),
            ("rustls", Level::Warn, true),
        ];
        for (target, level, is_written) in cases {
            assert_eq!(logs.enabled(&Metadata::builder().target(target).level(level).build()), is_written, "{target} {level}");
        }
    }

    #[test]
    fn setting_again_replaces_and_there_are_only_so_many() {
        let mut list = Vec::new();
        for number in 0..OVERRIDES_MAX {
            list = changed(&list, &format!("module{number}"), Some(LevelFilter::Debug), None).unwrap();
        }
        assert_eq!(changed(&list, "one_more", Some(LevelFilter::Debug), None), Err(LogsError::TooMany));
        list = changed(&list, "module3", Some(LevelFilter::Off), Some(5)).unwrap();
        assert_eq!(list.len(), OVERRIDES_MAX);
        list = changed(&list, "module3", None, None).unwrap();
        assert_eq!(list.len(), OVERRIDES_MAX - 1);
    }

    #[test]
    fn the_empty_module_is_everything() {
        let logs = logs(&[("", LevelFilter::Debug)]);
        assert!(logs.enabled(&Metadata::builder().target("anything").level(Level::Debug).build()));
    }
}
