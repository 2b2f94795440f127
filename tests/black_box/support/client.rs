//! A client of the hub, the same words for all transports and codecs. It knows no more than the protocol: what it misses is the hub's fault.

use super::stream::{Emulated, Transport, Via};
use super::websocket::{Dial, Ending, WebSocket, close_of, opcode};
use super::{Codec, DEADLINE, within};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// What a client sees.
#[derive(Debug)]
pub enum Event {
    /// A reply or a push; pings are answered and not shown.
    Message(Value),
    Ended(Ending),
}

/// What it speaks on.
enum Line {
    WebSocket(Box<WebSocket>),
    Emulated(Box<Emulated>),
}

pub struct Client {
    line: Line,
    codec: Codec,
    last_id: u64,
    /// Read, but not asked for yet.
    inbox: VecDeque<Value>,
    ended: Option<Ending>,
    /// The connect result.
    pub connected: Value,
    pub answers_pings: bool,
    pub pings: usize,
}

impl Client {
    pub async fn open(dial: &Dial, via: impl Into<Via>) -> Self {
        let via = via.into();
        match via.transport {
            Transport::WebSocket => {
                Self::try_open(dial, via.codec).await.unwrap_or_else(|status| panic!("the upgrade was refused with status {status}"))
            }
            Transport::HttpStream | Transport::Sse => Self::on(Line::Emulated(Box::new(Emulated::new(dial, via))), via.codec),
        }
    }

    /// A WebSocket; the status where the hub refuses the upgrade.
    pub async fn try_open(dial: &Dial, codec: Codec) -> Result<Self, u16> {
        let dial = Dial { subprotocol: Some(codec.subprotocol().to_owned()), ..dial.clone() };
        let answer = dial.websocket().await.unwrap_or_else(|error| panic!("cannot reach {}: {error}", dial.to));
        Ok(Self::over(answer.map_err(|head| head.status)?, codec))
    }

    pub fn over(socket: WebSocket, codec: Codec) -> Self {
        Self::on(Line::WebSocket(Box::new(socket)), codec)
    }

    fn on(line: Line, codec: Codec) -> Self {
        Self { line, codec, last_id: 0, inbox: VecDeque::new(), ended: None, connected: Value::Null, answers_pings: true, pings: 0 }
    }

    /// The WebSocket, for what only can be done on one.
    pub fn socket(&mut self) -> &mut WebSocket {
        match &mut self.line {
            Line::WebSocket(socket) => socket,
            Line::Emulated(_) => panic!("this client has no WebSocket"),
        }
    }

    /// The session and the node by which an endless answer's client is addressed.
    pub fn address(&self) -> (String, String) {
        match &self.line {
            Line::Emulated(emulated) => emulated.address.clone().expect("connected"),
            Line::WebSocket(_) => panic!("a WebSocket has no address"),
        }
    }

    /// The connection id that the hub gave.
    pub fn id(&self) -> &str {
        self.connected["client"].as_str().expect("connected")
    }

    // === Commands ===

    /// Connects and keeps the result, which must not be an error.
    pub async fn connect(&mut self, request: Value) -> Value {
        let reply = self.call("connect", request).await;
        self.connected = result(&reply, "connect");
        self.connected.clone()
    }

    /// Subscribes; the result, which must not be an error.
    pub async fn subscribe(&mut self, channel: &str) -> Value {
        self.subscribe_with(json!({ "channel": channel })).await
    }

    pub async fn subscribe_with(&mut self, request: Value) -> Value {
        result(&self.call("subscribe", request).await, "subscribe")
    }

    /// Subscribes from a position on; `position` is anything with `offset` and `epoch`.
    pub async fn recover(&mut self, channel: &str, position: &Value) -> Value {
        self.subscribe_with(recovering(channel, position)).await
    }

    pub async fn unsubscribe(&mut self, channel: &str) {
        let reply = self.call("unsubscribe", json!({ "channel": channel })).await;
        assert_eq!(reply, json!({ "id": reply["id"], "unsubscribe": {} }));
    }

    pub async fn publish(&mut self, channel: &str, data: impl Into<Value>) {
        let reply = self.call("publish", json!({ "channel": channel, "data": data.into() })).await;
        assert_eq!(reply, json!({ "id": reply["id"], "publish": {} }));
    }

    /// The error code of a command that must fail.
    pub async fn error_of(&mut self, command: &str, request: Value) -> u64 {
        let reply = self.call(command, request.clone()).await;
        reply["error"]["code"].as_u64().unwrap_or_else(|| panic!("{command} {request} was answered by {reply}"))
    }

    /// Sends one command and reads until its reply; pushes that come before it are kept.
    pub async fn call(&mut self, command: &str, request: Value) -> Value {
        let id = self.send(command, request.clone()).await;
        match within("get a reply", self.reply(id)).await {
            Ok(reply) => reply,
            Err(ending) => panic!("{command} {request} was answered by {ending:?}"),
        }
    }

    /// Sends one command without waiting; its id.
    pub async fn send(&mut self, command: &str, request: Value) -> u64 {
        let id = self.next_id();
        self.send_all(&[json!({ "id": id, command: request })]).await;
        id
    }

    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Commands as they are, in one frame.
    pub async fn send_all(&mut self, commands: &[Value]) {
        let frame = self.codec.encode(commands);
        self.send_bytes(&frame).await;
    }

    /// Bytes as they are, in one frame of the codec's kind or in one request.
    pub async fn send_bytes(&mut self, payload: &[u8]) {
        match &mut self.line {
            Line::WebSocket(socket) => {
                let opcode = if self.codec == Codec::Json { opcode::TEXT } else { opcode::BINARY };
                return socket.send(opcode, payload).await;
            }
            Line::Emulated(emulated) if !emulated.has_begun() => return emulated.begin(payload).await,
            Line::Emulated(_) => {}
        }
        // Whom to address, the connect reply says.
        while matches!(&self.line, Line::Emulated(emulated) if emulated.address.is_none()) {
            if within("be told the session", self.read()).await.is_err() {
                return;
            }
        }
        if let Line::Emulated(emulated) = &self.line {
            emulated.say(payload).await;
        }
    }

    pub async fn pong(&mut self) {
        self.send_all(&[json!({})]).await;
    }

    // === What comes ===

    /// The reply to one command, wherever it stands among the pushes.
    pub async fn reply(&mut self, id: u64) -> Result<Value, Ending> {
        let mut looked_at = 0;
        loop {
            if let Some(at) = self.inbox.iter().skip(looked_at).position(|message| message["id"] == json!(id)) {
                return Ok(self.inbox.remove(looked_at + at).expect("just found"));
            }
            looked_at = self.inbox.len();
            self.read().await?;
        }
    }

    /// The next message or the end.
    pub async fn next(&mut self) -> Event {
        within("get a message", self.next_whenever()).await
    }

    /// The same, however long it takes.
    pub async fn next_whenever(&mut self) -> Event {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Event::Message(message);
            }
            if let Err(ending) = self.read().await {
                return Event::Ended(ending);
            }
        }
    }

    /// The next message, which must be a push.
    pub async fn push(&mut self) -> Value {
        match self.next().await {
            Event::Message(message) if message.get("push").is_some() => message["push"].clone(),
            other => panic!("a push was due, not {other:?}"),
        }
    }

    /// The next push, which must be a publication of `channel`.
    pub async fn publication(&mut self, channel: &str) -> Value {
        let push = self.push().await;
        assert!(push["channel"] == channel && push.get("pub").is_some(), "a publication of {channel} was due, not {push}");
        push["pub"].clone()
    }

    /// The data of the next `count` publications.
    pub async fn data(&mut self, channel: &str, count: usize) -> Vec<Value> {
        let mut data = Vec::with_capacity(count);
        for _ in 0..count {
            data.push(self.publication(channel).await["data"].clone());
        }
        data
    }

    /// Whether messages have been read that nobody asked for yet.
    pub fn has_read(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Asserts that nothing but the reply to a harmless command comes: whatever the hub had queued before would come first.
    pub async fn has_nothing_waiting(&mut self) {
        self.unsubscribe("a-channel-that-nobody-is-in").await;
        assert!(self.inbox.is_empty(), "nothing was due, but {:?}", self.inbox);
    }

    /// The end of the connection; messages before it are dropped.
    pub async fn ending(&mut self) -> Ending {
        let closed = tokio::time::timeout(DEADLINE, async {
            loop {
                if let Err(ending) = self.read().await {
                    return ending;
                }
            }
        });
        match closed.await {
            Ok(ending) => ending,
            Err(_) => panic!("the hub did not close within {DEADLINE:?}; it said {:?}", self.inbox),
        }
    }

    /// The code of the close frame that must come.
    pub async fn close_code(&mut self) -> u16 {
        match self.ending().await {
            Ending::Closed { code, .. } => code,
            Ending::Dropped => panic!("a close frame was due, not the end of TCP alone"),
        }
    }

    /// Reads one frame into the inbox.
    async fn read(&mut self) -> Result<(), Ending> {
        if let Some(ending) = &self.ended {
            return Err(ending.clone());
        }
        let ending = match &mut self.line {
            Line::Emulated(emulated) => match emulated.read().await {
                None => Ending::Dropped,
                Some(messages) => {
                    let Some(ending) = self.take_emulated(messages).await else { return Ok(()) };
                    ending
                }
            },
            Line::WebSocket(socket) => match socket.read().await {
                None => Ending::Dropped,
                Some(frame) => match (frame.opcode, self.codec) {
                    (opcode::TEXT, Codec::Json) | (opcode::BINARY, Codec::Protobuf) => {
                        let messages = self.codec.decode(&frame.payload);
                        self.take(messages).await;
                        return Ok(());
                    }
                    (opcode::PING, _) => {
                        if self.answers_pings {
                            socket.send(opcode::PONG, &frame.payload).await;
                        }
                        self.pings += 1;
                        return Ok(());
                    }
                    (opcode::PONG, _) => return Ok(()),
                    (opcode::CLOSE, _) => {
                        socket.send(opcode::CLOSE, &frame.payload).await;
                        close_of(&frame.payload)
                    }
                    (other, codec) => panic!("a frame of opcode {other} came to a {codec:?} client"),
                },
            },
        };
        self.ended = Some(ending.clone());
        Err(ending)
    }

    async fn take(&mut self, messages: Vec<Value>) {
        for message in messages {
            if message.as_object().is_some_and(serde_json::Map::is_empty) {
                self.pings += 1;
                if self.answers_pings && self.connected["pong"] == true {
                    Box::pin(self.pong()).await;
                }
            } else {
                self.inbox.push_back(message);
            }
        }
    }

    /// How the answer ended, if this was its end.
    async fn take_emulated(&mut self, messages: Vec<Value>) -> Option<Ending> {
        let Line::Emulated(emulated) = &mut self.line else { return None };
        for message in &messages {
            if let Some(told) = message["connect"]["session"].as_str() {
                emulated.address = Some((told.to_owned(), message["connect"]["node"].as_str().expect("a node").to_owned()));
            }
        }
        let goodbye = messages.iter().map(|message| &message["push"]["disconnect"]).find(|goodbye| goodbye.is_object()).cloned();
        if let Some(goodbye) = goodbye {
            assert!(within("see the end", emulated.read()).await.is_none(), "nothing may follow the goodbye");
            let code = goodbye["code"].as_u64().and_then(|code| u16::try_from(code).ok()).expect("a code");
            return Some(Ending::Closed { code, reason: goodbye["reason"].as_str().unwrap_or_default().to_owned() });
        }
        self.take(messages).await;
        None
    }

    // === Leaving ===

    /// Leaves, on a WebSocket by a close frame that the hub must answer, and waits until the hub has seen it.
    pub async fn leave(mut self) {
        if let Line::WebSocket(socket) = &mut self.line {
            socket.send(opcode::CLOSE, &1000_u16.to_be_bytes()).await;
            return match self.ending().await {
                Ending::Closed { code: 1000, .. } => {}
                other => panic!("a close is answered by the same close, not by {other:?}"),
            };
        }
        let Line::Emulated(emulated) = self.line else { return };
        if let Some(mut stream) = emulated.stream() {
            stream.half_close();
            within("see the hub hang up", async { while matches!(stream.read(&mut Vec::new()).await, Ok(1..)) {} }).await;
        }
    }

    /// RST: the network or the host died.
    pub fn cut(self) {
        let stream = match self.line {
            Line::WebSocket(socket) => Some(socket.stream),
            Line::Emulated(emulated) => emulated.stream(),
        };
        stream.into_iter().for_each(super::Stream::cut);
    }
}

/// A subscribe request that asks for what was missed since `position`.
pub fn recovering(channel: &str, position: &Value) -> Value {
    let mut request = json!({ "channel": channel, "recover": true });
    for member in ["offset", "epoch"] {
        if let Some(value) = position.get(member) {
            request[member] = value.clone();
        }
    }
    request
}

fn result(reply: &Value, command: &str) -> Value {
    reply.get(command).unwrap_or_else(|| panic!("{command} was answered by {reply}")).clone()
}

/// Many clients, one after the other.
pub async fn many<T>(count: usize, mut make: impl AsyncFnMut(usize) -> T) -> Vec<T> {
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        all.push(make(number).await);
    }
    all
}
