//! `admin.config.*`, `admin.certificates.*`: what can change without a restart.

use super::{Failure, commands};
use crate::admin::arguments::arguments;
use crate::admin::desk::{Desk, tell};
use crate::auth::Right;
use crate::session::procedures::Caller;
use crate::telemetry::tap::Kind;
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.config.reload" Some(Right::ConfigReload), Changes, "", Reload, reload, "{}",
        "Reads the configuration anew, takes over what can change at run time and names what needs a restart.";
    "admin.certificates.reload" Some(Right::ConfigReload), Changes, "", Certificates, certificates, "{}",
        "Has the certificate's files looked at now, instead of when they are seen to change.";
}

arguments! {
    Reload {}
}

async fn reload(desk: Arc<Desk>, _: Caller, _: Reload) -> Result<Value, Failure> {
    let reloaded = desk.house.reload().await.map_err(Failure::Bad)?;
    tell(Kind::ConfigReloaded, || json!(reloaded));
    Ok(json!({
        "applied": reloaded.applied,
        "needs_restart": reloaded.needs_restart,
        "changed": reloaded.applied.len() + reloaded.needs_restart.len(),
    }))
}

arguments! {
    Certificates {}
}

async fn certificates(desk: Arc<Desk>, _: Caller, _: Certificates) -> Result<Value, Failure> {
    if desk.house.reload_certificate() {
        Ok(json!({ "asked": true }))
    } else {
        Err(Failure::NotAvailable("there is no certificate: http_server.tls names no files".to_string()))
    }
}
