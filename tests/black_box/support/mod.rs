//! The harness: starts the real binary, speaks to it as clients, applications and attackers do, and fails every test that leaves
//! something behind in it. Scenarios speak its words; raw bytes stand in `websocket.rs` and `codec.rs` only.

mod canaries;
mod client;
mod codec;
mod feed;
mod http;
mod hub;
pub mod keys;
pub mod operators;
mod stream;
pub mod token;
mod websocket;

pub use canaries::Canaries;
pub use client::{Client, Event, many, recovering};
pub use codec::{Codec, put_varint};
pub use feed::Feed;
pub use http::{Answer, read_to_end, request, request_at};
pub use hub::{API_KEY, Hub, aether, merged, write_authority, write_certificate, write_certificate_for};
pub use stream::{Endless, Pieces, Transport, Via, escaped};
pub use websocket::{Dial, Ending, Stream, WebSocket, masked_frame, opcode};

use std::future::Future;
use std::time::{Duration, Instant};

/// Everything that is to happen happens within this time, on a machine that builds something else meanwhile.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Fails with `what` when it takes longer than [`DEADLINE`].
#[track_caller]
pub fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move { tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{caller}: did not {what} within {DEADLINE:?}")) }
}

/// Asks again and again until the answer is `Ok`; at the deadline it fails with the last answer.
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    eventually_in(DEADLINE, what, probe).await
}

/// The same, for what takes longer by design.
pub async fn eventually_in<T>(deadline: Duration, what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(last) if started.elapsed() > deadline => panic!("{what} did not come true within {deadline:?}; last: {last}"),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Between two questions of [`eventually`].
const POLL: Duration = Duration::from_millis(20);

/// Runs each scenario for both codecs, as `scenario::json` and `scenario::protobuf`.
#[macro_export]
macro_rules! in_both_codecs {
    ($($scenario:ident),+ $(,)?) => {
        $(mod $scenario {
            #[tokio::test]
            async fn json() {
                super::$scenario($crate::support::Codec::Json).await;
            }
            #[tokio::test]
            async fn protobuf() {
                super::$scenario($crate::support::Codec::Protobuf).await;
            }
        })+
    };
}
