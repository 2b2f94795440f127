//! HTTP from the outside: one request on a connection of its own, so that no kept-alive socket blurs the hub's counts.

use super::websocket::{Dial, Head, Stream};
use super::within;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in answer {:?}", self.text()))
    }

    pub fn parse(received: &[u8]) -> Self {
        let end = received
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no HTTP head in {:?}", String::from_utf8_lossy(received)))
            + 4;
        let head = Head::parse(&received[..end]);
        let chunked = head.header("transfer-encoding").is_some_and(|encoding| encoding.contains("chunked"));
        let body = if chunked { join_chunks(&received[end..]) } else { received[end..].to_vec() };
        Self { head, body }
    }
}

fn join_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size =
            std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok()).expect("a chunk begins with its size");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    body
}

pub fn request_text(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The same, for another host than the address names.
pub async fn request_at(dial: &Dial, host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = dial.stream().await.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", dial.to));
    let text = String::from_utf8_lossy(&request_text(dial.to, method, path, headers, body)).replacen(
        &format!("Host: {}", dial.to),
        &format!("Host: {host}"),
        1,
    );
    let _ = within("send a request", stream.write_all(text.as_bytes())).await;
    Answer::parse(&read_to_end(&mut stream).await)
}

pub async fn request(dial: &Dial, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = dial.stream().await.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", dial.to));
    // A hub that answers early (too large, not allowed) may close before it has read everything; its answer counts.
    let _ = within("send a request", stream.write_all(&request_text(dial.to, method, path, headers, body))).await;
    Answer::parse(&read_to_end(&mut stream).await)
}

/// The same; `None` where the hub is not there, or goes before it has answered.
pub async fn try_request(dial: &Dial, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
    let mut stream = dial.stream().await.ok()?;
    let _ = within("send a request", stream.write_all(&request_text(dial.to, method, path, headers, body))).await;
    let received = read_to_end(&mut stream).await;
    received.windows(4).any(|window| window == b"\r\n\r\n").then(|| Answer::parse(&received))
}

pub async fn read_to_end(stream: &mut Stream) -> Vec<u8> {
    let mut received = Vec::new();
    within("read an answer", async { while matches!(stream.read(&mut received).await, Ok(1..)) {} }).await;
    received
}

/// The same without a runtime, for the harness's own checks while a test ends.
pub fn request_blocking(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&request_text(to, method, path, headers, b""))?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    if received.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer::parse(&received))
}
