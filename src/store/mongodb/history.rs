//! Publications that outlive the process, and where their streams stand.
//!
//! A publication can be seen when its stream's document says so: same epoch, offset at most `top`, above `top - size` and above what was
//! forgotten. So publications are written first and their stream last, and that one write makes all of them visible at once; what a failure
//! leaves behind is invisible, is replaced when the write is repeated, and ends at its own time.

use super::super::{StoredPublication, StoredStream};
use super::documents::{InCollection, PublicationDocument, StreamDocument, date};
use super::{Fault, is_duplicate, limit, number};
use crate::channel::ChannelName;
use futures_util::{StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::bson::{Document, doc, serialize_to_document};
use mongodb::error::{Error, ErrorKind};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot::{self, error::TryRecvError};

/// Statements of one command. The server takes 100,000 (manual, "maxWriteBatchSize"), but not all at once in a second.
const STATEMENTS_MAX: usize = 1_000;
/// Bytes of bodies in one command. The server takes 48 MB (manual, "maxMessageSizeBytes").
const BODY_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Streams that are written at the same time.
const STREAMS_AT_ONCE: usize = 4;

/// Batches that share one write. Enough that the network's wait is spread thin, few enough that it is done in time.
const GROUP_MAX: usize = 256;

/// Batches on their way, in the order in which they came.
#[derive(Default)]
pub(super) struct Appender {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Whoever has it writes for all that wait.
    turn: tokio::sync::Mutex<()>,
}

struct Waiting {
    batch: Vec<StoredPublication>,
    /// Nobody waits for the answer any more.
    deadline: Instant,
    answer: oneshot::Sender<Result<(), Arc<Fault>>>,
}

impl Appender {
    pub async fn append(&self, db: Database, batch: Vec<StoredPublication>, deadline: Instant) -> Result<(), Fault> {
        let (answer, mut answered) = oneshot::channel();
        self.waiting.lock().push_back(Waiting { batch, deadline, answer });
        let _turn = self.turn.lock().await;
        // The ones before may have done it already. Whoever has the turn and is not served yet finds itself among those that wait.
        loop {
            match answered.try_recv() {
                Ok(outcome) => return outcome.map_err(Fault::Shared),
                Err(TryRecvError::Closed) => return Err(Fault::GivenUp),
                Err(TryRecvError::Empty) => self.write_group(&db).await,
            }
        }
    }

    async fn write_group(&self, db: &Database) {
        let group: Vec<Waiting> = {
            let mut waiting = self.waiting.lock();
            let count = waiting.len().min(GROUP_MAX);
            waiting.drain(..count).filter(|one| one.deadline > Instant::now()).collect()
        };
        let (batches, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|one| (one.batch, one.answer)).unzip();
        let outcome = append(db, batches.into_iter().flatten().collect()).await.map_err(Arc::new);
        answers.into_iter().for_each(|answer| drop(answer.send(outcome.clone())));
    }
}

/// What a batch says about one channel.
struct Part {
    channel: ChannelName,
    epoch: String,
    publications: Vec<StoredPublication>,
}

impl Part {
    fn newest(&self) -> Option<&StoredPublication> {
        self.publications.iter().max_by_key(|publication| publication.offset)
    }
}

/// By channel, in the order of their first publications. Those of an epoch that another one follows are forgotten before they are written.
fn parts(batch: Vec<StoredPublication>) -> Vec<Part> {
    let mut places = HashMap::new();
    let mut parts: Vec<Part> = Vec::new();
    for publication in batch {
        let place = *places.entry(publication.channel.clone()).or_insert_with(|| {
            parts.push(Part { channel: publication.channel.clone(), epoch: publication.epoch.clone(), publications: Vec::new() });
            parts.len() - 1
        });
        let part = &mut parts[place];
        if part.epoch != publication.epoch {
            part.epoch.clone_from(&publication.epoch);
            part.publications.clear();
        }
        part.publications.push(publication);
    }
    parts
}

async fn append(db: &Database, batch: Vec<StoredPublication>) -> Result<(), Fault> {
    let parts = parts(batch);
    write_publications(db, parts.iter().flat_map(|part| &part.publications)).await?;
    let showing = parts.into_iter().map(|part| show(db.clone(), part));
    let cleaned: Vec<Option<Document>> = futures_util::stream::iter(showing).buffered(STREAMS_AT_ONCE).try_collect().await?;
    let cleaned: Vec<Document> = cleaned.into_iter().flatten().collect();
    for deletes in cleaned.chunks(STATEMENTS_MAX) {
        // Nobody can see them any more, so that they may as well lie there until the next time.
        let _ = command(db, doc! { "delete": PublicationDocument::NAME, "deletes": deletes }).await;
    }
    Ok(())
}

async fn write_publications(db: &Database, publications: impl Iterator<Item = &StoredPublication>) -> Result<(), Fault> {
    let (mut updates, mut bytes) = (Vec::new(), 0);
    for publication in publications {
        let document = PublicationDocument::new(publication)?;
        if !updates.is_empty() && (updates.len() == STATEMENTS_MAX || bytes + document.body_bytes() > BODY_BYTES_MAX) {
            command(db, doc! { "update": PublicationDocument::NAME, "updates": std::mem::take(&mut updates) }).await?;
            bytes = 0;
        }
        bytes += document.body_bytes();
        let key = serialize_to_document(&document._id).map_err(Error::from)?;
        let document = serialize_to_document(&document).map_err(Error::from)?;
        updates.push(doc! { "q": { "_id": key }, "u": document, "upsert": true });
    }
    if updates.is_empty() {
        return Ok(());
    }
    command(db, doc! { "update": PublicationDocument::NAME, "updates": updates }).await?;
    Ok(())
}

/// Makes the part visible. What cannot be seen any more then, as a statement that deletes it.
async fn show(db: Database, part: Part) -> Result<Option<Document>, Fault> {
    let Some(newest) = part.newest() else { return Ok(None) };
    let (channel, top, size) = (part.channel.as_str(), number(newest.offset)?, i64::from(newest.size));
    let times = doc! { "forgotten_at": newest.stream_expires_at, "over_at": date(newest.stream_expires_at) };
    let mut stand = doc! { "top": top, "size": size };
    stand.extend(times);
    let streams = StreamDocument::of(&db);
    let of_epoch = |operator: &str| doc! { "_id": channel, "epoch": { operator: &part.epoch } };
    let mut not_ahead = of_epoch("$eq");
    not_ahead.insert("top", doc! { "$lte": top });
    let outlived = doc! { "q": { "channel": channel, "_id.epoch": &part.epoch, "offset": { "$lte": top.saturating_sub(size) } }, "limit": 0 };
    if streams.update_one(not_ahead.clone(), doc! { "$set": stand.clone() }).await?.matched_count == 1 {
        return Ok((top > size).then_some(outlived));
    }
    // Ahead already, of another epoch, or not there.
    let before = streams.find_one(doc! { "_id": channel }).await?;
    if before.as_ref().is_some_and(|stream| stream.epoch == part.epoch) {
        return Ok(None);
    }
    stand.extend(doc! { "epoch": &part.epoch, "forgotten": 0_i64 });
    match streams.update_one(of_epoch("$ne"), doc! { "$set": stand.clone() }).upsert(true).await {
        Ok(_) => {}
        // Another writer began the same stream at the same moment.
        Err(error) if is_duplicate(&error) => {
            streams.update_one(not_ahead, doc! { "$set": stand }).await?;
        }
        Err(error) => return Err(error.into()),
    }
    let of_old_epoch = |old: StreamDocument| doc! { "q": { "channel": channel, "_id.epoch": old.epoch }, "limit": 0 };
    Ok(before.map(of_old_epoch).or((top > size).then_some(outlived)))
}

/// A command with several statements, all of which must succeed.
async fn command(db: &Database, mut command: Document) -> Result<(), Fault> {
    if let Some(concern) = db.write_concern() {
        command.insert("writeConcern", serialize_to_document(concern).map_err(Error::from)?);
    }
    let answer = db.run_command(command).await?;
    // The command itself succeeds also where statements of it did not.
    let failure = answer.get_array("writeErrors").ok().and_then(|errors| errors.first()).and_then(|error| error.as_document());
    match failure.or_else(|| answer.get_document("writeConcernError").ok()) {
        None => Ok(()),
        Some(failure) => {
            let message = failure.get_str("errmsg").unwrap_or("a statement failed").to_string();
            Err(Error::from(ErrorKind::Custom(Arc::new(message))).into())
        }
    }
}

pub(super) async fn streams(db: Database, after: Option<ChannelName>, most: usize) -> Result<Vec<StoredStream>, Fault> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let filter = after.map_or_else(|| doc! {}, |after| doc! { "_id": { "$gt": after.as_str() } });
    let found: Vec<_> = StreamDocument::of(&db).find(filter).sort(doc! { "_id": 1 }).limit(limit(most)).await?.try_collect().await?;
    found.into_iter().map(StreamDocument::read).collect::<Result<_, _>>()
}

pub(super) async fn publications(db: Database, channel: ChannelName) -> Result<Vec<StoredPublication>, Fault> {
    let Some(stream) = StreamDocument::of(&db).find_one(doc! { "_id": channel.as_str() }).await? else { return Ok(Vec::new()) };
    let behind = stream.top.saturating_sub(stream.size).max(stream.forgotten);
    let visible = doc! { "channel": channel.as_str(), "_id.epoch": stream.epoch, "offset": { "$gt": behind, "$lte": stream.top } };
    let found: Vec<_> = PublicationDocument::of(&db).find(visible).sort(doc! { "offset": 1 }).await?.try_collect().await?;
    found.into_iter().map(PublicationDocument::read).collect::<Result<_, _>>()
}

pub(super) async fn forget(db: Database, channel: ChannelName, whole: bool) -> Result<(), Fault> {
    let streams = StreamDocument::of(&db);
    let Some(StreamDocument { epoch, top, .. }) = streams.find_one(doc! { "_id": channel.as_str() }).await? else { return Ok(()) };
    let stream = doc! { "_id": channel.as_str(), "epoch": &epoch };
    if whole {
        streams.delete_one(stream).await?;
    } else {
        streams.update_one(stream, doc! { "$max": { "forgotten": top } }).await?;
    }
    // Not those that somebody is writing at this moment, whose offsets are above.
    let those = doc! { "channel": channel.as_str(), "_id.epoch": epoch, "offset": { "$lte": top } };
    PublicationDocument::of(&db).delete_many(those).await?;
    Ok(())
}
