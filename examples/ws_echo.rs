//! An echo server on the hub's own WebSocket frames: what outside test suites are pointed at. `cargo run --example ws_echo -- PORT`
//!
//! It sends every message back, answers pings, and echoes a close. It binds to 127.0.0.1 only, judges no origin and times nothing out, so it
//! is no model for a server; the hub's transport is.

use actix_http::ws::hash_key;
use aether::protocol::websocket::{FrameError, Incoming, Limits, Opcode, Reader, close_frame, frame, header};
use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The largest message of the usual suites is 16 MiB; one of them sends it in fragments of 64 bytes.
const LIMITS: Limits = Limits { message_bytes_max: 16 * 1_024 * 1_024, fragments_max: 1 << 20 };
const REQUEST_BYTES_MAX: usize = 8 * 1_024;
const READ_BYTES: usize = 64 * 1_024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).context("usage: ws_echo PORT")?;
    let port: u16 = port.parse().with_context(|| format!("{port} is not a port"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| format!("cannot bind port {port}"))?;
    println!("echo server ready on ws://{}", listener.local_addr()?);
    loop {
        let (socket, peer) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(async move {
            if let Err(error) = serve(socket).await {
                eprintln!("{peer}: {error:#}");
            }
        });
    }
}

async fn serve(mut socket: TcpStream) -> anyhow::Result<()> {
    let mut buf = BytesMut::new();
    shake_hands(&mut socket, &mut buf).await?;
    let close = match echo(&mut socket, &mut buf).await? {
        Ok(Some(close)) => close,
        Ok(None) => return Ok(()),
        Err(error) => close_frame(error.close_code(), error.kind()),
    };
    socket.write_all(&close).await?;
    socket.shutdown().await?;
    // Hanging up while bytes wait unread would reset the connection, and a reset may overtake the close frame.
    while socket.read_buf(&mut buf).await? > 0 {
        buf.clear();
    }
    Ok(())
}

/// Ends with the close frame to answer, or without one when the client vanished.
async fn echo(socket: &mut TcpStream, buf: &mut BytesMut) -> anyhow::Result<Result<Option<Bytes>, FrameError>> {
    let mut reader = Reader::new();
    loop {
        let (opcode, payload) = match reader.next(buf, &LIMITS) {
            Ok(Some(Incoming::Text(payload))) => (Opcode::Text, payload),
            Ok(Some(Incoming::Binary(payload))) => (Opcode::Binary, payload),
            Ok(Some(Incoming::Ping(payload))) => (Opcode::Pong, payload),
            Ok(Some(Incoming::Pong(_))) => continue,
            Ok(Some(Incoming::Close(Some(close)))) => return Ok(Ok(Some(close_frame(close.code, &close.reason)))),
            Ok(Some(Incoming::Close(None))) => return Ok(Ok(Some(frame(Opcode::Close, b"")))),
            Ok(None) => {
                buf.reserve(reader.wanted(buf).clamp(1, READ_BYTES));
                if socket.read_buf(buf).await? == 0 {
                    return Ok(Ok(None));
                }
                continue;
            }
            Err(error) => return Ok(Err(error)),
        };
        socket.write_all(&header(opcode, payload.len())).await?;
        socket.write_all(&payload).await?;
    }
}

/// Just enough of HTTP for a client that means well (RFC 6455, 4.2). What it sent after the request stays in `buf`.
async fn shake_hands(socket: &mut TcpStream, buf: &mut BytesMut) -> anyhow::Result<()> {
    let request = loop {
        if let Some(end) = buf.windows(4).position(|window| window == b"\r\n\r\n") {
            break buf.split_to(end + 4);
        }
        ensure!(buf.len() < REQUEST_BYTES_MAX, "a request head of more than {REQUEST_BYTES_MAX} bytes");
        ensure!(socket.read_buf(buf).await? > 0, "the client left before the upgrade");
    };
    let request = std::str::from_utf8(&request).context("a request head that is not UTF-8")?;
    let key = request.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")));
    let (_, key) = key.context("no Sec-WebSocket-Key in the request")?;
    let accept = hash_key(key.trim().as_bytes());
    let accept = std::str::from_utf8(&accept).context("cannot answer the key")?;
    let response = format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
    Ok(socket.write_all(response.as_bytes()).await?)
}
