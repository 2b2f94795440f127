//! Tokens of identity providers, and what happens to forged ones.

use crate::support::keys::{Key, KeyServer};
use crate::support::token::{SECRET, encode, now, signed, user_token};
use crate::support::{Client, Codec, Ending, Hub, eventually};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn with_keys_of(server: &KeyServer) -> Value {
    json!({ "client": { "token": { "jwks_public_endpoint": server.url() } } })
}

fn claims() -> Value {
    json!({ "sub": "alice", "exp": now() + 600 })
}

/// What a connect with this token comes to: 0 for a connection, else the code of the error or of the close.
async fn outcome(hub: &Hub, token: &str) -> u64 {
    let mut client = hub.open(Codec::Json).await;
    let id = client.send("connect", json!({ "token": token })).await;
    match client.reply(id).await {
        Ok(reply) if reply.get("connect").is_some() => 0,
        Ok(reply) => reply["error"]["code"].as_u64().expect("an error"),
        Err(Ending::Closed { code, .. }) => u64::from(code),
        Err(Ending::Dropped) => panic!("dropped without a word"),
    }
}

#[tokio::test]
async fn a_token_of_every_algorithm_is_accepted_by_its_published_key() {
    let keys: Vec<Key> = Key::ALGORITHMS.into_iter().map(|algorithm| Key::new(&format!("key of {algorithm}"), algorithm)).collect();
    let server = KeyServer::start(&keys.iter().collect::<Vec<_>>());
    let hub = Hub::start(with_keys_of(&server)).await;
    for key in &keys {
        let token = key.token(&claims());
        let mut client = hub.open(Codec::Json).await;
        client.connect(json!({ "token": token })).await;
        let reply = client.call("refresh", json!({ "token": key.token(&json!({ "sub": "alice", "exp": now() + 900 })) })).await;
        assert_eq!(reply["refresh"]["expires"], true, "{}", key.algorithm);
        client.subscribe_with(json!({ "channel": "locked:x", "token": key.token(&json!({ "sub": "alice", "channel": "locked:x" })) })).await;
        client.leave().await;
        for other in keys.iter().filter(|other| other.algorithm != key.algorithm) {
            let header = json!({ "alg": other.algorithm, "kid": key.id });
            assert_eq!(outcome(&hub, &other.token_with(&header, &claims())).await, 3500, "{} as {}", other.algorithm, key.algorithm);
        }
    }
    assert_eq!(outcome(&hub, &user_token("alice")).await, 0, "configured keys count as before");
    assert_eq!(server.requests(), 1, "all of this took one look at the keys");
}

#[tokio::test]
async fn a_new_key_is_found_by_one_look_for_all_who_wait() {
    let (old, new) = (Key::new("old", "ES256"), Key::new("new", "ES256"));
    let server = KeyServer::start(&[&old]);
    let hub = Hub::start(with_keys_of(&server)).await;
    assert_eq!(outcome(&hub, &old.token(&claims())).await, 0);
    let before = server.requests();
    server.publish(&[&new]);
    let token = new.token(&claims());
    let started = Instant::now();
    let outcomes = join_all((0..50).map(|_| outcome(&hub, &token))).await;
    assert_eq!(outcomes, [0; 50]);
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    assert!(server.requests() - before <= 2, "{} requests", server.requests() - before);
    assert_eq!(outcome(&hub, &old.token(&claims())).await, 3500, "what is published no more is accepted no more");
}

#[tokio::test]
async fn keys_that_nobody_has_are_asked_for_seldom() {
    let key = Key::new("real", "ES256");
    let server = KeyServer::start(&[&key]);
    let hub = Hub::start(with_keys_of(&server)).await;
    let before = server.requests();
    let forged: Vec<String> = (0..40).map(|n| Key::new(&format!("forged {n}"), "ES256").token(&claims())).collect();
    let outcomes = join_all(forged.iter().map(|token| outcome(&hub, token))).await;
    assert_eq!(outcomes, [3500; 40]);
    assert!(server.requests() - before <= 2, "{} requests", server.requests() - before);
    // Those who name a known key do not wait for strangers.
    let waiting = join_all(forged.iter().map(|token| outcome(&hub, token)));
    let quick = async {
        let started = Instant::now();
        assert_eq!(outcome(&hub, &key.token(&claims())).await, 0);
        started.elapsed()
    };
    let (_, took) = tokio::join!(waiting, quick);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_locks_out_nobody_who_is_known() {
    let (known, unknown) = (Key::new("known", "EdDSA"), Key::new("unknown", "EdDSA"));
    let server = KeyServer::start(&[&known]);
    let hub = Hub::start(with_keys_of(&server)).await;
    assert_eq!(outcome(&hub, &known.token(&claims())).await, 0);
    let moved = format!("location: {}\r\n", KeyServer::start(&[&unknown]).url());
    for (what, status, header, body) in [
        ("an error", "500 Internal Server Error", "", String::new()),
        ("a secret", "200 OK", "", format!(r#"{{"keys":[{{"kty":"oct","kid":"unknown","k":"{}"}}]}}"#, encode(SECRET))),
        ("a flood", "200 OK", "", format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(1 << 20))),
        ("a redirect", "302 Found", moved.as_str(), String::new()),
    ] {
        server.answer(status, header, &body);
        let (first, second) = (known.token(&claims()), unknown.token(&claims()));
        let (accepted, unsure) = tokio::join!(outcome(&hub, &first), outcome(&hub, &second));
        assert_eq!((accepted, unsure), (0, 100), "{what}: who is known gets in, who is not is told to try again");
    }
    server.fall_silent();
    assert_eq!(outcome(&hub, &known.token(&claims())).await, 0);
    server.publish(&[&known, &unknown]);
    assert_eq!(outcome(&hub, &unknown.token(&claims())).await, 0, "as soon as it answers");
    eventually("the fetches' count", async || {
        let failed = hub.metric("aether_jwks_fetches_total", "failed").await;
        if failed >= 4.0 { Ok(()) } else { Err(failed.to_string()) }
    })
    .await;
}

/// Every one is refused, by the same answer, and none makes the hub look anywhere.
#[tokio::test]
async fn no_forged_token_is_accepted() {
    let rsa = Key::new("rsa", "RS256");
    let ec = Key::new("ec", "ES256");
    let server = KeyServer::start(&[&rsa, &ec]);
    let stranger = KeyServer::start(&[&Key::new("evil", "ES256")]);
    let mut config = with_keys_of(&server);
    config["client"]["token"]["audience"] = "hub".into();
    config["client"]["token"]["issuer"] = "https://id.example".into();
    let hub = Hub::start(config).await;
    let good = json!({ "sub": "alice", "exp": now() + 600, "aud": "hub", "iss": "https://id.example" });
    assert_eq!(outcome(&hub, &rsa.token(&good)).await, 0);
    assert_eq!(outcome(&hub, &signed(&json!({ "alg": "HS256" }), &good, SECRET)).await, 0);
    let looks = server.requests();

    let public = rsa.public();
    let url = stranger.url();
    let unsigned = |header: Value| format!("{}.{}.", encode(header.to_string()), encode(good.to_string()));
    let hs = |header: Value, secret: &str| signed(&header, &good, secret);
    let with = |changes: Value| {
        let mut changed = good.clone();
        for (name, value) in changes.as_object().expect("an object") {
            changed[name] = value.clone();
        }
        changed
    };
    let good_token = rsa.token(&good);
    let parts: Vec<&str> = good_token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let mut flipped = good_token.clone().into_bytes();
    let place = flipped.len() - 10;
    flipped[place] = if flipped[place] == b'A' { b'B' } else { b'A' };
    let raw_claims = |json: &str| {
        let message = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(json));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
        format!("{message}.{}", encode(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
    };
    let mut forged: Vec<(&str, String)> = vec![
        ("nothing but dots", "..".into()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good_token}.x")),
        ("padding", format!("{good_token}=")),
        ("a blank", format!(" {good_token}")),
        ("dots of another script", good_token.replace('.', "\u{3002}")),
        ("standard base64", good_token.replace('-', "+").replace('_', "/") + "+"),
        ("no signature", format!("{header}.{payload}.")),
        ("a changed signature", String::from_utf8(flipped).expect("ASCII")),
        (
            "the signature of another token",
            format!("{header}.{payload}.{}", rsa.token(&with(json!({ "sub": "bob" }))).rsplit('.').next().expect("three parts")),
        ),
        ("the payload of another token", format!("{header}.{}.{signature}", encode(with(json!({ "sub": "bob" })).to_string()))),
        ("header and payload swapped", format!("{payload}.{header}.{signature}")),
        ("one megabyte", "a".repeat(60_000)),
        ("one megabyte of kid", hs(json!({ "alg": "HS256", "kid": "k".repeat(40_000) }), SECRET)),
        ("a secret published as a modulus", hs(json!({ "alg": "HS256", "kid": "rsa" }), public["n"].as_str().expect("text"))),
        ("a published key as a secret", hs(json!({ "alg": "HS256", "kid": "rsa" }), &public.to_string())),
        ("a published key as a secret, without its id", hs(json!({ "alg": "HS256" }), &public.to_string())),
        ("the real secret under a published id", hs(json!({ "alg": "HS256", "kid": "rsa" }), SECRET)),
        ("another secret", hs(json!({ "alg": "HS256" }), "a guess")),
        ("an empty secret's like", hs(json!({ "alg": "HS256" }), "\0")),
        ("a path as a key id", hs(json!({ "alg": "HS256", "kid": "../../../../dev/null" }), "\0")),
        ("a query as a key id", hs(json!({ "alg": "HS256", "kid": "x' UNION SELECT 'k" }), "k")),
        ("a URL as a key id", hs(json!({ "alg": "HS256", "kid": url }), "k")),
        ("another RSA key", Key::new("rsa", "RS256").token(&good)),
        ("another EC key", Key::new("ec", "ES256").token(&good)),
        ("the EC key by the RSA key's id", ec.token_with(&json!({ "alg": "ES256", "kid": "rsa" }), &good)),
        ("the RSA key by the EC key's id", rsa.token_with(&json!({ "alg": "RS256", "kid": "ec" }), &good)),
        ("another hash of the same key", rsa.token_with(&json!({ "alg": "RS512", "kid": "rsa" }), &good)),
        ("another padding of the same key", rsa.token_with(&json!({ "alg": "PS256", "kid": "rsa" }), &good)),
        ("the hub's own key id", hs(json!({ "alg": "HS256", "kid": "aether" }), SECRET)),
        ("the hub's own key id by a published key", rsa.token_with(&json!({ "alg": "RS256", "kid": "aether" }), &good)),
        ("a key id that is a number", rsa.token_with(&json!({ "alg": "RS256", "kid": 7 }), &good)),
        ("a key id that is a list", rsa.token_with(&json!({ "alg": "RS256", "kid": ["rsa"] }), &good)),
        ("a key id that is null", rsa.token_with(&json!({ "alg": "RS256", "kid": null }), &good)),
        ("another audience", rsa.token(&with(json!({ "aud": "another" })))),
        ("a list of other audiences", rsa.token(&with(json!({ "aud": ["a", "b"] })))),
        ("an empty list of audiences", rsa.token(&with(json!({ "aud": [] })))),
        ("an audience that is a number", rsa.token(&with(json!({ "aud": 7 })))),
        ("another issuer", rsa.token(&with(json!({ "iss": "https://id.example.evil" })))),
        ("an issuer that is a list", rsa.token(&with(json!({ "iss": ["https://id.example"] })))),
        ("a user that is a number", rsa.token(&with(json!({ "sub": 42 })))),
        ("a user that is null", rsa.token(&with(json!({ "sub": null })))),
        ("a user that is an object", rsa.token(&with(json!({ "sub": {} })))),
        ("an end that is a text", rsa.token(&with(json!({ "exp": "9999999999" })))),
        ("an end that is null", rsa.token(&with(json!({ "exp": null })))),
        ("an end that is negative", rsa.token(&with(json!({ "exp": -1 })))),
        ("an end that is a list", rsa.token(&with(json!({ "exp": [now() + 600] })))),
        ("an end beyond all time", rsa.token(&with(json!({ "exp": 1e300 })))),
        ("an end in milliseconds", rsa.token(&with(json!({ "exp": (now() + 600) * 1_000 })))),
        ("a beginning that is a text", rsa.token(&with(json!({ "nbf": "0" })))),
        ("a channel in a connection token", rsa.token(&with(json!({ "channel": "a" })))),
        ("a user twice", raw_claims(r#"{"sub":"alice","sub":"bob","aud":"hub","iss":"https://id.example"}"#)),
        ("claims that are a list", raw_claims("[]")),
        ("claims that are no JSON", raw_claims("{")),
        ("a NUL in a name", raw_claims("{\"sub\":\"ali\0ce\"}")),
    ];
    let none = ["none", "None", "NONE", "nOnE", "", "HS256 ", "hs256", "HS1", "RS256\u{0}", "A256KW"];
    forged.extend(none.map(|algorithm| ("an algorithm that is none", unsigned(json!({ "alg": algorithm })))));
    forged.extend(
        [json!(null), json!(256), json!(["HS256"]), json!({})]
            .map(|algorithm| ("an algorithm of another type", unsigned(json!({ "alg": algorithm })))),
    );
    for (member, value) in [
        ("jwk", json!({ "kty": "oct", "k": encode("k") })),
        ("jwk", Key::new("own", "ES256").public()),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
    ] {
        let mut header = json!({ "alg": "RS256", "kid": "rsa" });
        header[member] = value;
        forged.push(("a header that is never accepted", rsa.token_with(&header, &good)));
    }
    assert!(forged.len() >= 60, "{}", forged.len());
    for (what, token) in &forged {
        let mut client: Client = hub.open(Codec::Json).await;
        let started = Instant::now();
        client.send("connect", json!({ "token": token })).await;
        assert_eq!(client.ending().await, Ending::Closed { code: 3500, reason: "invalid token".to_owned() }, "{what}");
        assert!(started.elapsed() < Duration::from_secs(1), "{what} took {:?}", started.elapsed());
    }
    assert_eq!((stranger.requests(), server.requests()), (0, looks), "no token made the hub look anywhere");
    let log = hub.log();
    assert!(!forged.iter().any(|(_, token)| token.len() > 20 && log.contains(token.as_str())), "a token stands in the log");
}
