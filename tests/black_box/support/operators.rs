//! Commands as operators call them.

use super::Client;
use serde_json::{Value, json};

/// The result of a command, or code and message of its error.
pub async fn ask(client: &mut Client, command: &str, arguments: Value) -> Result<Value, (u64, String)> {
    let reply = client.call("rpc", json!({ "method": command, "data": arguments })).await;
    match reply.get("rpc") {
        Some(rpc) => Ok(rpc["data"].clone()),
        None => Err((reply["error"]["code"].as_u64().unwrap_or_default(), reply["error"]["message"].as_str().unwrap_or_default().to_owned())),
    }
}

pub async fn done(client: &mut Client, command: &str, arguments: Value) -> Value {
    ask(client, command, arguments.clone()).await.unwrap_or_else(|error| panic!("{command} {arguments}: {error:?}"))
}

/// Records of the audit log, the oldest first.
pub async fn records(client: &mut Client, query: Value) -> Vec<Value> {
    let query = super::merged(json!({ "oldest_first": true, "limit": 1000 }), query);
    done(client, "admin.audit.list", query).await["records"].as_array().cloned().unwrap_or_default()
}
