//! Healthy clients beside a fault. They must lose nothing, see everything in order, and not wait.

use super::{Client, Codec, Event, Hub, within};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, LocalSet};

const COUNT: usize = 20;
const CHANNEL: &str = "canaries";
/// Between two publications.
const BEAT: Duration = Duration::from_millis(10);
/// No publication may take longer than this to a healthy client (RELIABILITY.md allows 250 ms at p99; this is the worst one, on a
/// machine whose two cores also run the fault).
const LATENCY_MAX: Duration = Duration::from_millis(2_000);

/// Runs a fault beside the canaries and judges what they saw.
pub struct Canaries;

impl Canaries {
    /// Starts the canaries, runs `fault`, and checks every number that was published meanwhile at every canary.
    pub async fn beside<T>(hub: &Hub, fault: impl Future<Output = T>) -> T {
        LocalSet::new()
            .run_until(async {
                let sent: Rc<RefCell<Vec<Instant>>> = Rc::default();
                let stop: Rc<Cell<bool>> = Rc::default();
                let mut canaries: Vec<JoinHandle<Client>> = Vec::with_capacity(COUNT);
                for number in 0..COUNT {
                    let codec = if number % 2 == 0 { Codec::Json } else { Codec::Protobuf };
                    let mut client = hub.connect_as(codec, &format!("canary-{number}")).await;
                    client.subscribe(CHANNEL).await;
                    let sent = Rc::clone(&sent);
                    canaries.push(tokio::task::spawn_local(async move {
                        listen(&mut client, number, &sent).await;
                        client
                    }));
                }
                let mut publisher = hub.connect_as(Codec::Json, "canary-publisher").await;
                let beat = {
                    let (sent, stop) = (Rc::clone(&sent), Rc::clone(&stop));
                    tokio::task::spawn_local(async move {
                        let mut interval = tokio::time::interval(BEAT);
                        while !stop.get() {
                            interval.tick().await;
                            let number = sent.borrow().len();
                            sent.borrow_mut().push(Instant::now());
                            publisher.publish(CHANNEL, json!(number)).await;
                        }
                        publisher.publish(CHANNEL, json!("last")).await;
                        publisher
                    })
                };
                let outcome = fault.await;
                stop.set(true);
                within("end the canaries' publications", beat).await.expect("the canaries' publisher lived").leave().await;
                for canary in canaries {
                    within("hear the last publication", canary).await.expect("a canary lived and lost nothing").leave().await;
                }
                assert!(!sent.borrow().is_empty());
                outcome
            })
            .await
    }
}

async fn listen(client: &mut Client, canary: usize, sent: &RefCell<Vec<Instant>>) {
    let mut due = 0;
    loop {
        let data = match client.next().await {
            Event::Message(message) => message["push"]["pub"]["data"].clone(),
            Event::Ended(ending) => panic!("canary {canary} was thrown out by {ending:?} after {due} publications"),
        };
        if data == "last" {
            assert_eq!(due, sent.borrow().len(), "canary {canary} lost the end");
            return;
        }
        assert_eq!(data, Value::from(due), "canary {canary} lost something");
        let latency = sent.borrow()[due].elapsed();
        assert!(latency < LATENCY_MAX, "canary {canary} waited {latency:?} for publication {due}");
        due += 1;
    }
}
