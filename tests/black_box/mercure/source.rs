//! An EventSource, without its own ideas: it tells what comes, byte for byte, and does not come back by itself.

use super::PATH;
use crate::support::{Answer, Hub, Stream, within};
use std::collections::BTreeMap;

/// One event. What a field says is as it stands on its lines; several lines of data are joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    pub id: String,
    pub event: String,
    pub data: String,
    pub retry: String,
}

pub struct Source {
    stream: Stream,
    head: String,
    received: Vec<u8>,
    /// Comments so far, the one that opens the answer included.
    pub comments: usize,
    /// The same `retry` counts for all that follows.
    pub retry: String,
}

impl Source {
    /// Subscribes; the answer must be an event stream.
    pub async fn open(hub: &Hub, query: &str, headers: &[(&str, &str)]) -> Self {
        Self::open_at(hub, &hub.http.to_string(), query, headers).await
    }

    /// The same, for another host than the address names.
    pub async fn open_at(hub: &Hub, host: &str, query: &str, headers: &[(&str, &str)]) -> Self {
        match Self::begin(hub, host, query, headers).await {
            Ok(source) => source,
            Err(answer) => panic!("{query} was answered {}: {}", answer.status(), answer.text()),
        }
    }

    /// The answer where it is no event stream.
    pub async fn try_open(hub: &Hub, query: &str, headers: &[(&str, &str)]) -> Result<Self, Answer> {
        Self::begin(hub, &hub.http.to_string(), query, headers).await
    }

    async fn begin(hub: &Hub, host: &str, query: &str, headers: &[(&str, &str)]) -> Result<Self, Answer> {
        Self::ask(hub, "GET", host, query, headers, "").await
    }

    /// Subscribes in another way than by GET.
    pub async fn asked(hub: &Hub, method: &str, query: &str, headers: &[(&str, &str)], body: &str) -> Result<Self, Answer> {
        Self::ask(hub, method, &hub.http.to_string(), query, headers, body).await
    }

    async fn ask(hub: &Hub, method: &str, host: &str, query: &str, headers: &[(&str, &str)], body: &str) -> Result<Self, Answer> {
        let mut stream = hub.dial().stream().await.expect("the hub takes connections");
        let mut request = format!("{method} {PATH}?{query} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n");
        headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str("\r\n");
        request.push_str(body);
        within("send a request", stream.write_all(request.as_bytes())).await.expect("the hub takes requests");
        let mut received = Vec::new();
        let end = loop {
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let read = within("read the head of an answer", stream.read(&mut received)).await;
            assert!(matches!(read, Ok(1..)), "the connection ended in the head: {:?}", String::from_utf8_lossy(&received));
        };
        let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
        if !head.starts_with("http/1.1 200") {
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok()).unwrap_or(0);
            while received.len() < end + length {
                assert!(matches!(within("read an answer", stream.read(&mut received)).await, Ok(1..)));
            }
            return Err(Answer::parse(&received));
        }
        Ok(Self { stream, head, received: received.split_off(end), comments: 0, retry: String::new() })
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The next event; `None` at the end of the answer.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                if self.received.starts_with(b":") {
                    self.received.drain(..=end);
                    self.comments += 1;
                    continue;
                }
                let Some(end) = self.received.windows(2).position(|window| window == b"\n\n") else { break };
                let block: Vec<u8> = self.received.drain(..end + 2).collect();
                let block = String::from_utf8(block).expect("an event stream is UTF-8");
                let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
                for line in block.lines().filter(|line| !line.is_empty()) {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    fields.entry(name).or_default().push(value.strip_prefix(' ').unwrap_or(value));
                }
                let field = |name: &str| fields.get(name).map(|lines| lines.join("\n")).unwrap_or_default();
                self.retry = field("retry");
                if fields.contains_key("data") {
                    return Some(Event { id: field("id"), event: field("event"), data: field("data"), retry: field("retry") });
                }
            }
            match within("get an event", self.stream.read(&mut self.received)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    pub async fn event(&mut self) -> Event {
        self.next().await.expect("an event, and the answer ended")
    }

    pub async fn data(&mut self) -> String {
        self.event().await.data
    }

    pub async fn all_data(&mut self, count: usize) -> Vec<String> {
        let mut data = Vec::with_capacity(count);
        for _ in 0..count {
            data.push(self.data().await);
        }
        data
    }

    /// Reads until as many comments have come, though no event.
    pub async fn until_comments(&mut self, count: usize) {
        while self.comments < count {
            while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                assert!(line.starts_with(b":"), "an event instead of a comment: {:?}", String::from_utf8_lossy(&line));
                self.comments += 1;
            }
            if self.comments < count {
                assert!(matches!(within("get a comment", self.stream.read(&mut self.received)).await, Ok(1..)), "the answer ended");
            }
        }
    }

    /// Ends the connection by RST, as a crashed host does.
    pub fn cut(self) {
        self.stream.cut();
    }

    /// Says that it has nothing more to say, and is never heard of again.
    pub fn half_close(&self) {
        self.stream.half_close();
    }

    /// The answer must end, and nothing but comments come before.
    pub async fn ends(&mut self) {
        let event = self.next().await;
        assert_eq!(event, None, "the answer goes on");
    }
}
