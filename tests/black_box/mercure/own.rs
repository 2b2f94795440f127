//! The hub's own channels by EventSource: who may watch them, and that nothing else shows them.

use super::source::Source;
use super::{PATH, hub, legacy, post};
use crate::support::operators::done;
use crate::support::token::{now, token};
use crate::support::{Codec, Hub, eventually, merged, request};
use serde_json::{Value, json};

const OVERVIEW: &str = "topic=$metrics:overview";

/// A hub that measures often and takes roles from tokens, and in which everybody may see what is public.
async fn measuring_hub(changes: Value) -> Hub {
    let open = json!({
        "client": { "token": { "role_claim": "role" }, "expired_close_delay": "0ms" },
        "metrics": { "interval": "200ms", "canary_interval": "0s" },
        "mercure": { "anonymous": true },
        "channel": { "without_namespace": { "allow_subscribe_for_anonymous": true } },
    });
    hub(merged(open, changes)).await
}

fn bearer(claims: Value) -> String {
    format!("Bearer {}", token(&merged(json!({ "sub": "watcher" }), claims)))
}

fn told(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
}

#[tokio::test]
async fn a_viewer_watches_and_is_one_of_the_sessions() {
    let hub = measuring_hub(json!({})).await;
    let viewer = bearer(json!({ "role": "viewer" }));
    let mut source = Source::open(&hub, &format!("{OVERVIEW}&topic=$metrics:feeds"), &[("Authorization", &viewer)]).await;
    assert_eq!(source.header("content-type"), Some("text/event-stream"));
    let first = told(&source.data().await);
    assert!(first["values"].is_object() || first["feeds"].is_array(), "{first}");
    eventually("both channels", async || {
        let next = told(&source.data().await);
        if next["feeds"].is_array() { Ok(()) } else { Err(next.to_string()) }
    })
    .await;

    let mut operator = hub.open(Codec::Json).await;
    operator.connect(json!({ "token": token(&json!({ "sub": "root", "role": "admin" })) })).await;
    let sessions = done(&mut operator, "admin.sessions.list", json!({})).await["sessions"].clone();
    let watcher = sessions.as_array().and_then(|all| all.iter().find(|one| one["user"] == "watcher")).unwrap_or_else(|| panic!("{sessions}"));
    assert_eq!((&watcher["transport"], &watcher["subscriptions"]), (&json!("mercure"), &json!(2)));
    let looks = crate::support::operators::records(&mut operator, json!({ "action": "admin.watch" })).await;
    assert!(looks.iter().any(|one| one["actor"] == "watcher" && one["object"] == "$metrics:overview"), "{looks:?}");
    done(&mut operator, "admin.sessions.kick", json!({ "user": "watcher" })).await;
    while source.next().await.is_some() {}
    operator.leave().await;
    hub.until_empty().await;
}

#[tokio::test]
async fn nobody_else_sees_or_says_anything() {
    let hub = measuring_hub(json!({})).await;
    let everything = legacy(json!(["*"]), json!(["*", "$metrics:overview"]));
    let bearers = |token: &str| format!("Bearer {token}");
    for (who, query, authorization) in [
        ("no token", OVERVIEW, None),
        ("a Mercure token for everything", OVERVIEW, Some(bearers(&everything))),
        ("a token without a role", OVERVIEW, Some(bearer(json!({})))),
        ("a list of channels in a token", OVERVIEW, Some(bearer(json!({ "channels": ["$metrics:overview"] })))),
        ("a role that is not enough", "topic=$admin:audit", Some(bearer(json!({ "role": "viewer" })))),
        ("no such channel", "topic=$metrics:nothing", Some(bearer(json!({ "role": "admin" })))),
        ("a token that has expired", OVERVIEW, Some(bearer(json!({ "role": "admin", "exp": now() - 60 })))),
    ] {
        let headers: Vec<(&str, &str)> = authorization.iter().map(|text| ("Authorization", text.as_str())).collect();
        let refused = Source::try_open(&hub, query, &headers).await.err().unwrap_or_else(|| panic!("{who} came in"));
        assert_eq!(refused.status(), 401, "{who}: {}", refused.text());
    }
    let cookie = format!("mercureAuthorization={}", token(&json!({ "sub": "a", "role": "admin" })));
    assert_eq!(Source::try_open(&hub, OVERVIEW, &[("Cookie", &cookie)]).await.err().map(|answer| answer.status()), Some(401));
    let admin = bearer(json!({ "role": "admin" }));
    let mixed = Source::try_open(&hub, &format!("{OVERVIEW}&topic=news"), &[("Authorization", &admin)]).await;
    assert_eq!(mixed.err().map(|answer| answer.status()), Some(400), "asked for together with others");
    let head = request(&hub.dial(), "HEAD", &format!("{PATH}?{OVERVIEW}"), &[("Authorization", &admin)], b"").await;
    assert_eq!((head.status(), head.head.header("content-type")), (200, Some("text/event-stream")));

    // Somebody watches, and what is watched goes by everybody who selects all there is.
    let mut watched = Source::open(&hub, OVERVIEW, &[("Authorization", &admin)]).await;
    let entitled = bearers(&everything);
    let mut all = Source::open(&hub, "topic=*", &[("Authorization", &entitled)]).await;
    let mut alike = Source::open(&hub, "topic=$metrics:{name}&topic=news", &[("Authorization", &entitled)]).await;
    for form in [OVERVIEW.to_owned(), format!("topic=news&{OVERVIEW}"), format!("{OVERVIEW}&private=on")] {
        let answer = post(&hub, Some(&everything), &format!("{form}&data=forged")).await;
        assert_eq!(answer.status(), 400, "{form}: {}", answer.text());
    }
    hub.publish("%24metrics%3Aoverview", "forged").await;
    watched.data().await;
    watched.data().await;
    assert_eq!(post(&hub, Some(&everything), "topic=news&topic=$metrics&data=honest").await.status(), 200);
    assert_eq!(all.data().await, "honest");
    assert_eq!(alike.data().await, "honest");
}

#[tokio::test]
async fn what_a_token_gave_ends_with_it() {
    let hub = measuring_hub(json!({})).await;
    let short = bearer(json!({ "role": "viewer", "exp": now() + 2 }));
    let mut source = Source::open(&hub, OVERVIEW, &[("Authorization", &short)]).await;
    let mut count = 0;
    while source.next().await.is_some() {
        count += 1;
    }
    assert!(count > 0, "it saw something before its time was over");
    let again = Source::try_open(&hub, OVERVIEW, &[("Authorization", &short)]).await;
    assert_eq!(again.err().map(|answer| answer.status()), Some(401));
    hub.until_empty().await;
}
