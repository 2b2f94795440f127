//! Publications as deltas: who is given them, and that what a client makes of them is what was published.

use crate::on_all_transports;
use crate::support::token::token;
use crate::support::{Client, Codec, Hub, Via, many, merged, recovering};
use serde_json::{Value, json};

on_all_transports!(
    deltas_come_to_who_asks_where_they_are_allowed,
    the_first_is_whole_and_the_next_are_patches,
    a_newcomer_does_not_hold_up_the_others,
    what_was_missed_is_a_chain_and_the_next_one_goes_on_with_it,
    nothing_missed_and_the_next_one_is_whole,
    a_cache_gives_what_the_next_one_is_a_patch_of,
    what_would_not_be_shorter_is_whole,
    what_is_too_large_is_whole_and_no_base,
    many_at_once_are_a_chain,
    without_history_there_are_deltas_too,
    joins_come_between_deltas,
    server_side_subscriptions_are_told_whole_publications,
);

pub const CHANNEL: &str = "doc:1";

pub async fn hub() -> Hub {
    let open = json!({ "allow_subscribe_for_client": true, "allow_publish_for_client": true, "allowed_delta_types": ["fossil"] });
    let namespace = |changes: Value| merged(open.clone(), changes);
    Hub::start(json!({ "channel": { "namespaces": [
        namespace(json!({ "name": "doc", "history_size": 10, "history_ttl": "300s", "force_recovery": true })),
        namespace(json!({ "name": "top", "history_size": 1, "history_ttl": "300s", "force_recovery": true, "force_recovery_mode": "cache" })),
        namespace(json!({ "name": "flow", "presence": true, "join_leave": true, "force_push_join_leave": true, "delta_max_size": "1KiB" })),
    ] } }))
    .await
}

/// A document of which only a little changes from one number to the next.
pub fn document(number: usize) -> Value {
    json!({
        "a title": "Ångström, grüße – 日本語 😀",
        "lines": (0..8).map(|line| format!("line {line} is the same in all of them")).collect::<Vec<_>>(),
        "number": number,
        "zeit": if number.is_multiple_of(2) { "spät" } else { "früh" },
    })
}

pub fn documents(numbers: impl IntoIterator<Item = usize>) -> Vec<Value> {
    numbers.into_iter().map(document).collect()
}

/// What a client knows of one channel that it takes deltas from.
pub struct Reader {
    codec: Codec,
    last: Option<Vec<u8>>,
    patches: usize,
}

impl Reader {
    pub fn new(via: Via) -> Self {
        Self { codec: via.codec, last: None, patches: 0 }
    }

    /// The data of a publication, made of the one before where it is a patch.
    fn read(&mut self, publication: &Value) -> Value {
        let told = &publication["data"];
        let bytes = match (self.codec, &told["$bytes"]) {
            (Codec::Json, _) => told.as_str().unwrap_or_else(|| panic!("a text was due, not {publication}")).as_bytes().to_vec(),
            (Codec::Protobuf, Value::Array(bytes)) => bytes.iter().map(|byte| byte.as_u64().expect("a byte") as u8).collect(),
            (Codec::Protobuf, _) => told.to_string().into_bytes(),
        };
        let made = if publication["delta"] == true {
            self.patches += 1;
            patched(self.last.as_deref().expect("a publication before the patch"), &bytes)
        } else {
            bytes
        };
        let data = serde_json::from_slice(&made).unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&made)));
        self.last = Some(made);
        data
    }

    pub async fn next(&mut self, client: &mut Client, channel: &str, count: usize) -> Vec<Value> {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(self.read(&client.publication(channel).await));
        }
        all
    }
}

/// What a patch in Fossil's delta format makes of `base`. Written from the format's description, and sharing nothing with the hub.
fn patched(base: &[u8], patch: &[u8]) -> Vec<u8> {
    let mut rest = patch;
    let (length, b'\n') = number(&mut rest) else { panic!("no length in {patch:?}") };
    let mut made = Vec::new();
    loop {
        match number(&mut rest) {
            (count, b'@') => {
                let (from, b',') = number(&mut rest) else { panic!("a copy without an end in {patch:?}") };
                made.extend_from_slice(&base[from..from + count]);
            }
            (count, b':') => made.extend_from_slice(rest.split_off(..count).expect("as many bytes as it says")),
            (sum, b';') => {
                assert_eq!((rest.len(), made.len()), (0, length));
                let words = made.chunks(4).map(|word| word.iter().chain(&[0; 3]).take(4).fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)));
                assert_eq!(sum, words.fold(0, u32::wrapping_add) as usize, "the checksum");
                return made;
            }
            other => panic!("{other:?} in {patch:?}"),
        }
    }
}

/// A number, and what stands behind it.
fn number(rest: &mut &[u8]) -> (usize, u8) {
    const DIGITS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";
    let mut number = 0;
    loop {
        let byte = *rest.split_off_first().expect("a patch ends behind its checksum");
        match DIGITS.find(char::from(byte)) {
            Some(digit) => number = number * 64 + digit,
            None => return (number, byte),
        }
    }
}

pub async fn subscribe(client: &mut Client, channel: &str) -> Value {
    client.subscribe_with(json!({ "channel": channel, "delta": "fossil" })).await
}

async fn deltas_come_to_who_asks_where_they_are_allowed(via: Via) {
    let hub = hub().await;
    let mut client = hub.connect(via).await;
    assert_eq!(subscribe(&mut client, CHANNEL).await["delta"], true);
    assert_eq!(subscribe(&mut client, "news:1").await.get("delta"), None, "the namespace does not allow them");
    let mut other = hub.connect(via).await;
    assert_eq!(other.subscribe(CHANNEL).await.get("delta"), None, "it did not ask");
    let mut reader = Reader::new(via);
    for number in 1..=3 {
        // Between two channels there is no order.
        hub.publish(CHANNEL, document(number)).await;
        assert_eq!(reader.next(&mut client, CHANNEL, 1).await, [document(number)]);
        hub.publish("news:1", document(number)).await;
        assert_eq!(client.data("news:1", 1).await, [document(number)]);
    }
    assert_eq!(other.data(CHANNEL, 3).await, documents(1..=3));
    assert_eq!(reader.patches, 2);
}

async fn the_first_is_whole_and_the_next_are_patches(via: Via) {
    let hub = hub().await;
    hub.publish(CHANNEL, document(0)).await;
    let mut client = hub.connect(via).await;
    subscribe(&mut client, CHANNEL).await;
    let mut reader = Reader::new(via);
    for number in 1..=5 {
        hub.publish(CHANNEL, document(number)).await;
        let publication = client.publication(CHANNEL).await;
        assert_eq!((publication["delta"] == true, &publication["offset"]), (number > 1, &json!(number + 1)), "{publication}");
        assert_eq!(reader.read(&publication), document(number));
        if number > 1 {
            let length = publication["data"].as_str().map_or_else(|| publication["data"]["$bytes"].as_array().map_or(0, Vec::len), str::len);
            assert!((1..80).contains(&length), "a patch of {length} bytes");
        }
    }
    client.unsubscribe(CHANNEL).await;
    subscribe(&mut client, CHANNEL).await;
    hub.publish(CHANNEL, document(6)).await;
    assert_eq!(client.publication(CHANNEL).await.get("delta"), None, "a new subscription begins with a whole one");
}

async fn a_newcomer_does_not_hold_up_the_others(via: Via) {
    let hub = hub().await;
    let mut old = hub.connect(via).await;
    subscribe(&mut old, CHANNEL).await;
    let mut old_reader = Reader::new(via);
    hub.publish(CHANNEL, document(1)).await;
    assert_eq!(old_reader.next(&mut old, CHANNEL, 1).await, [document(1)]);
    let mut new = hub.connect(via).await;
    subscribe(&mut new, CHANNEL).await;
    let mut new_reader = Reader::new(via);
    for number in 2..=4 {
        hub.publish(CHANNEL, document(number)).await;
    }
    assert_eq!(old_reader.next(&mut old, CHANNEL, 3).await, documents(2..=4));
    assert_eq!(new_reader.next(&mut new, CHANNEL, 3).await, documents(2..=4));
    assert_eq!((old_reader.patches, new_reader.patches), (3, 2));
}

async fn what_was_missed_is_a_chain_and_the_next_one_goes_on_with_it(via: Via) {
    let hub = hub().await;
    hub.publish(CHANNEL, document(0)).await;
    // Somebody who stays: what the others are given is made while there is a publication that it has.
    let mut stays = hub.connect(via).await;
    let position = subscribe(&mut stays, CHANNEL).await;
    for number in 1..=4 {
        hub.publish(CHANNEL, document(number)).await;
    }
    let mut back = recovering(CHANNEL, &position);
    back["delta"] = json!("fossil");
    let mut client = hub.connect(via).await;
    let result = client.subscribe_with(back.clone()).await;
    assert_eq!((&result["recovered"], &result["delta"]), (&json!(true), &json!(true)));
    let mut reader = Reader::new(via);
    let missed: Vec<_> = result["publications"].as_array().expect("a list").iter().map(|publication| reader.read(publication)).collect();
    assert_eq!((missed, reader.patches), (documents(1..=4), 3));
    hub.publish(CHANNEL, document(5)).await;
    assert_eq!(reader.next(&mut client, CHANNEL, 1).await, [document(5)]);
    assert_eq!(reader.patches, 4, "the first live one is a patch of the last one missed");
    let mut staying = Reader::new(via);
    assert_eq!(staying.next(&mut stays, CHANNEL, 5).await, documents(1..=5));
    // The same on a worker that has told nobody anything yet, and without deltas for who does not ask for them.
    for _ in 0..3 {
        let mut another = hub.connect(via).await;
        let result = another.subscribe_with(back.clone()).await;
        let mut reader = Reader::new(via);
        let missed: Vec<_> = result["publications"].as_array().expect("a list").iter().map(|publication| reader.read(publication)).collect();
        assert_eq!((missed, reader.patches), (documents(1..=5), 4));
    }
    let mut plain = hub.connect(via).await;
    let result = plain.recover(CHANNEL, &position).await;
    assert_eq!(result["publications"][4]["data"], document(5));
}

async fn nothing_missed_and_the_next_one_is_whole(via: Via) {
    let hub = hub().await;
    let mut client = hub.connect(via).await;
    subscribe(&mut client, CHANNEL).await;
    hub.publish(CHANNEL, document(1)).await;
    let publication = client.publication(CHANNEL).await;
    client.unsubscribe(CHANNEL).await;
    let mut back = recovering(CHANNEL, &json!({ "offset": publication["offset"], "epoch": "" }));
    back["delta"] = json!("fossil");
    let result = client.subscribe_with(back).await;
    assert_eq!((&result["recovered"], result.get("publications")), (&json!(true), None));
    hub.publish(CHANNEL, document(2)).await;
    let mut reader = Reader::new(via);
    assert_eq!(reader.next(&mut client, CHANNEL, 1).await, [document(2)]);
}

async fn a_cache_gives_what_the_next_one_is_a_patch_of(via: Via) {
    let hub = hub().await;
    hub.publish("top:1", document(1)).await;
    let mut client = hub.connect(via).await;
    let result = client.subscribe_with(json!({ "channel": "top:1", "delta": "fossil", "recover": true })).await;
    let mut reader = Reader::new(via);
    assert_eq!(reader.read(&result["publications"][0]), document(1));
    hub.publish("top:1", document(2)).await;
    assert_eq!(reader.next(&mut client, "top:1", 1).await, [document(2)]);
    assert_eq!(reader.patches, 1);
}

async fn what_would_not_be_shorter_is_whole(via: Via) {
    let hub = hub().await;
    let mut client = hub.connect(via).await;
    subscribe(&mut client, CHANNEL).await;
    let mut reader = Reader::new(via);
    let all = [json!({ "a": 1 }), json!({ "a": 2 }), document(1), json!("short"), document(1), document(1)];
    for data in &all {
        hub.publish(CHANNEL, data.clone()).await;
    }
    assert_eq!(reader.next(&mut client, CHANNEL, 6).await, all);
    assert_eq!(reader.patches, 1, "the last one alone");
}

async fn what_is_too_large_is_whole_and_no_base(via: Via) {
    let hub = hub().await;
    let mut client = hub.connect(via).await;
    subscribe(&mut client, "flow:1").await;
    client.push().await;
    let mut reader = Reader::new(via);
    let large = json!({ "a": document(1), "b": document(2), "c": document(3) });
    for (data, patches) in [(document(1), 0), (document(2), 1), (large.clone(), 1), (large, 1), (document(3), 1), (document(4), 2)] {
        hub.publish("flow:1", data.clone()).await;
        assert_eq!(reader.next(&mut client, "flow:1", 1).await, [data]);
        assert_eq!(reader.patches, patches);
    }
}

async fn many_at_once_are_a_chain(via: Via) {
    let hub = hub().await;
    let mut clients = many(4, async |_| {
        let mut client = hub.connect(via).await;
        subscribe(&mut client, CHANNEL).await;
        (client, Reader::new(via))
    })
    .await;
    let commands: Vec<_> = (1..=60).map(|number| json!({ "publish": { "channel": CHANNEL, "data": document(number) } })).collect();
    hub.api_answer("batch", json!({ "commands": commands })).await;
    for (client, reader) in &mut clients {
        assert_eq!(reader.next(client, CHANNEL, 60).await.last(), Some(&document(60)));
        assert_eq!(reader.patches, 59);
    }
}

async fn without_history_there_are_deltas_too(via: Via) {
    let hub = hub().await;
    let mut clients = many(3, async |_| {
        let mut client = hub.connect(via).await;
        subscribe(&mut client, "flow:1").await;
        (client, Reader::new(via))
    })
    .await;
    for number in 1..=3 {
        hub.publish("flow:1", document(number)).await;
    }
    for (index, (client, reader)) in clients.iter_mut().enumerate() {
        // It is told of itself, and of those who came after it.
        for _ in index..3 {
            assert!(client.push().await.get("join").is_some());
        }
        assert_eq!(reader.next(client, "flow:1", 3).await, documents(1..=3));
        assert_eq!(reader.patches, 2);
    }
}

async fn joins_come_between_deltas(via: Via) {
    let hub = hub().await;
    let mut client = hub.connect(via).await;
    subscribe(&mut client, "flow:1").await;
    assert!(client.push().await.get("join").is_some());
    let mut reader = Reader::new(via);
    for number in 1..=3 {
        hub.publish("flow:1", document(number)).await;
        assert_eq!(reader.next(&mut client, "flow:1", 1).await, [document(number)]);
        let mut other = hub.connect(via).await;
        other.subscribe("flow:1").await;
        assert!(client.push().await.get("join").is_some());
        other.leave().await;
        assert!(client.push().await.get("leave").is_some());
    }
    assert_eq!(reader.patches, 2);
}

async fn server_side_subscriptions_are_told_whole_publications(via: Via) {
    let hub = hub().await;
    let mut client = hub.open(via).await;
    let token = token(&json!({ "sub": "42", "channels": [CHANNEL] }));
    let connected = client.connect(json!({ "token": token, "subs": { CHANNEL: { "delta": "fossil" } } })).await;
    assert_eq!(connected["subs"][CHANNEL].get("delta"), None);
    for number in 1..=2 {
        hub.publish(CHANNEL, document(number)).await;
    }
    assert_eq!(client.data(CHANNEL, 2).await, documents(1..=2));
}
