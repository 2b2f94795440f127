//! A feed of server-sent events that a scenario controls word by word. Its server has a thread of its own, so that the hub can connect
//! while the scenario still waits for it to start.

use super::eventually;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Feed {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// The heads of all requests, in lower case.
    requests: Vec<String>,
    connection: Option<TcpStream>,
    is_over: bool,
}

impl Feed {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("bound");
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let head = read_head(&mut stream);
                let mut seen = shared.lock().expect("nobody panicked with it");
                if seen.is_over {
                    return;
                }
                let accepted = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n");
                if accepted.is_ok() {
                    seen.requests.push(head);
                    seen.connection = Some(stream);
                }
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Text for the present connection, as it is.
    pub fn say(&self, text: &str) {
        let mut seen = self.seen.lock().expect("nobody panicked with it");
        let connection = seen.connection.as_mut().expect("the hub reads the feed");
        // The hub may hang up on what it hears; scenarios look at what it does then.
        let _ = connection.write_all(text.as_bytes());
    }

    /// Ends the present connection.
    pub fn hang_up(&self) {
        self.seen.lock().expect("nobody panicked with it").connection = None;
    }

    /// Waits for the `number`-th request (from 1); its head.
    pub async fn request(&self, number: usize) -> String {
        eventually("the hub asking for the feed", async || {
            let seen = self.seen.lock().expect("nobody panicked with it");
            seen.requests.get(number - 1).cloned().ok_or_else(|| format!("{} requests", seen.requests.len()))
        })
        .await
    }

    pub fn requests(&self) -> usize {
        self.seen.lock().expect("nobody panicked with it").requests.len()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Ok(mut seen) = self.seen.lock() {
            seen.is_over = true;
            seen.connection = None;
        }
        // Wakes the thread, which then ends.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).to_lowercase()
}
