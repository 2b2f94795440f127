//! The Mercure protocol, both generations: its behaviour table.

mod own;
mod publish;
mod restart;
pub mod source;
mod subscribe;
mod subscriptions;
mod table;

use crate::support::token::{now, signed, token};
use crate::support::{Answer, Hub, merged, request};
use serde_json::{Value, json};

const PATH: &str = "/.well-known/mercure";
const RESOURCE: &str = "https://hub.example/.well-known/mercure";
const ISSUER: &str = "https://issuer.example";

/// A hub that speaks Mercure, with the tests' secret for publishers and subscribers.
async fn hub(changes: Value) -> Hub {
    let key = json!({ "alg": "HS256", "key": crate::support::token::SECRET });
    let mercure = json!({ "mercure": { "enabled": true, "publisher": key, "subscriber": key } });
    Hub::start(merged(mercure, changes)).await
}

/// A hub that takes tokens of the modern generation too.
async fn modern_hub(changes: Value) -> Hub {
    hub(merged(json!({ "mercure": { "resource": RESOURCE, "trusted_issuer": ISSUER } }), changes)).await
}

/// A legacy token that may publish to, and see private updates of, these.
fn legacy(publish: Value, subscribe: Value) -> String {
    token(&json!({ "mercure": { "publish": publish, "subscribe": subscribe } }))
}

/// A modern token with these details, each of ours.
fn modern(details: &[Value]) -> String {
    let own = json!({ "type": "https://mercure.rocks/authorization-detail" });
    let details: Vec<Value> = details.iter().map(|detail| merged(own.clone(), detail.clone())).collect();
    access_token(&json!({ "alg": "HS256", "typ": "at+jwt" }), json!({ "authorization_details": details }))
}

fn access_token(header: &Value, claims: Value) -> String {
    let claims = merged(json!({ "iss": ISSUER, "aud": RESOURCE, "exp": now() + 600 }), claims);
    signed(header, &claims, crate::support::token::SECRET)
}

/// Posts a form as `authorization` allows.
async fn post(hub: &Hub, token: Option<&str>, form: &str) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    post_with(hub, &headers, form).await
}

async fn post_with(hub: &Hub, headers: &[(&str, &str)], form: &str) -> Answer {
    let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
    all.extend_from_slice(headers);
    request(&hub.dial(), "POST", PATH, &all, form.as_bytes()).await
}
