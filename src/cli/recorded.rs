//! What the command line changes in the store, recorded in the audit log before it is done, as the hub records what it does.

use crate::admin::audit::{Act, Audit, AuditSettings, Outcome};
use crate::clock::Clock;
use crate::store::Store;
use anyhow::Context;
use serde_json::Value;
use std::sync::Arc;

/// The actor of what is done on the command line.
pub const COMMAND_LINE: &str = "command line";

/// Has something done, and what it is in the audit log before, and what came of it behind. `action`: such as `user.add`.
pub async fn recorded<T>(
    store: &Arc<dyn Store>,
    action: &str,
    object: &str,
    details: Value,
    effect: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    // To forget old records is the hub's.
    let audit = Audit::start(Arc::clone(store), Clock::system(), AuditSettings { retention_ms: 0, records_max: 0 }, |_| {});
    let outcome = async {
        // SAFETY: it looks up a number of the process and cannot fail (geteuid(2)).
        let origin = format!("user id {} of the machine", unsafe { libc::geteuid() });
        let act = Act { actor: COMMAND_LINE.to_string(), origin, action: action.to_string(), object: object.to_string(), details };
        let entry = audit.begin(act).await.context("nothing was done, because it cannot be recorded")?;
        let outcome = effect.await;
        entry.finish(match &outcome {
            Ok(_) => Outcome::Done(Value::Null),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        });
        outcome
    }
    .await;
    audit.stop().await;
    outcome
}
