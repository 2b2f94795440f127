//! `admin.log.*`: what the process's log says.

use super::{Failure, commands};
use crate::admin::arguments::{Module, arguments};
use crate::admin::desk::{Desk, tell};
use crate::auth::Right;
use crate::session::procedures::Caller;
use crate::telemetry::logs::{self, LogsError};
use crate::telemetry::tap::Kind;
use crate::units::HumanDuration;
use log::LevelFilter;
use serde_json::{Value, json};
use std::sync::Arc;

/// The hub's own modules.
const OURS: &str = "aether";

commands! {
    "admin.log.level" Some(Right::LogWrite), Changes, "module", Level, level, r#"{"module":"aether::session","level":"debug","lasting":"10m"}"#,
        "Sets the log level of a module, or takes it back to the configured one.";
}

arguments! {
    Level {
        /// The module with all below it; without it the hub's own, aether.
        module: Option<Module>,
        /// The level; without it the configured one counts again.
        level: Option<LevelFilter>,
        /// Ends by itself after this time; without it when it is taken back.
        lasting: Option<HumanDuration>,
    }
}

async fn level(desk: Arc<Desk>, _: Caller, Level { module, level, lasting }: Level) -> Result<Value, Failure> {
    let module = module.map_or_else(|| OURS.to_string(), |Module(name)| name);
    let now = desk.clock.now();
    let until = level.and(lasting).map(|lasting| now.saturating_add(lasting.ms()));
    logs::set_level(&module, level, until).map_err(|error| match error {
        LogsError::TooMany => Failure::TooMany(error.to_string()),
        LogsError::NotOurs => Failure::NotAvailable(error.to_string()),
    })?;
    tell(Kind::LogLevel, || json!({ "module": module, "level": level.map(|level| level.as_str().to_ascii_lowercase()) }));
    Ok(json!({ "levels": super::status::levels(now) }))
}
