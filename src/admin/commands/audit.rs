//! `admin.audit.*`: who did what.

use super::{Failure, commands};
use crate::admin::arguments::{Moment, Page, arguments};
use crate::admin::audit::AuditError;
use crate::admin::desk::{Desk, record};
use crate::auth::Right;
use crate::session::procedures::Caller;
use crate::store::AuditQuery;
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.audit.list" Some(Right::AuditRead), Reads, "", List, list, r#"{"action":"admin.sessions","outcome":"done","limit":20}"#,
        "Lists records of the audit log, the newest first.";
    "admin.audit.verify" Some(Right::AuditRead), Reads, "", Verify, verify, "{}",
        "Looks through the whole audit log for changed, removed or reordered records.";
}

arguments! {
    List {
        /// Only of this actor.
        actor: Option<String>,
        /// Only this action, or those that begin with it and a dot.
        action: Option<String>,
        /// Only with this outcome: begun, done, failed, refused or noted.
        outcome: Option<String>,
        /// Only from this time on.
        from: Option<Moment>,
        /// Only before this time.
        to: Option<Moment>,
        /// Begin behind this record: `next` of the page before.
        after: Option<u64>,
        /// The oldest first.
        oldest_first: bool,
        /// Records in one answer.
        limit: Page,
    }
}

async fn list(desk: Arc<Desk>, _: Caller, arguments: List) -> Result<Value, Failure> {
    let List { actor, action, outcome, from, to, after, oldest_first, limit } = arguments;
    let query = AuditQuery {
        from: from.map(|Moment(at)| at),
        to: to.map(|Moment(at)| at),
        actor,
        action,
        outcome,
        after,
        newest_first: !oldest_first,
        limit: limit.0 + 1,
    };
    let mut records = desk.audit.list(&query).await.map_err(failed)?;
    let has_more = records.len() > limit.0;
    records.truncate(limit.0);
    let next = records.last().filter(|_| has_more).map(|last| last.sequence);
    Ok(json!({ "records": records.iter().map(record).collect::<Vec<_>>(), "next": next }))
}

arguments! {
    Verify {}
}

async fn verify(desk: Arc<Desk>, _: Caller, _: Verify) -> Result<Value, Failure> {
    let verdict = desk.audit.verify(&[]).await.map_err(failed)?;
    Ok(json!({
        "is_whole": verdict.is_whole(),
        "records": verdict.records,
        "forgotten": verdict.forgotten,
        "head": verdict.head,
        "faults": verdict.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "faults_in_all": verdict.faults_in_all,
    }))
}

fn failed(error: AuditError) -> Failure {
    Failure::Failed(match error {
        AuditError::Store { source } => source.to_string(),
        other => other.to_string(),
    })
}
