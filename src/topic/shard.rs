//! One worker's half of a topic: the subscribers of one channel on one thread.
//!
//! Every member has seen everything up to [`Shard::position`], because members join at exactly that position. So there is no state per
//! member to check at a delivery, and an event that does not follow it is a gap for all of them at once: it is filled from history, or
//! they are told.

use super::event::{Encoded, merge};
use super::fanout::Fan;
use super::registry::Audience;
use crate::broker::ChannelEvent;
use crate::broker::{Answer, BrokerError, History, HistoryFilter};
use crate::channel::{ChannelName, ChannelOptions, Publication, StreamPosition};
use crate::clock::Millis;
use crate::outbox::{Notice, Outbox};
use crate::protocol::centrifuge::{Codec, NotJson, Wire};
use crate::protocol::codes::Disconnect;
use crate::telemetry::emit;
use crate::telemetry::topics::TopicResynced;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Different histories that are kept encoded for clients that come back at the same time having missed the same.
const SHARED_HISTORIES_MAX: usize = 4;

/// What a member wants to be told besides publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Joins and leaves.
    pub presence: bool,
    /// To be told when publications were missed.
    pub position: bool,
}

struct Member {
    outbox: Rc<Outbox>,
    wants: Wants,
    /// Where this member stands in its list, shared with its [`Membership`].
    place: Rc<Cell<u32>>,
}

/// The members that are written the same bytes.
struct Group {
    wire: Wire,
    members: Vec<Member>,
}

/// Where the shard stands with its topic.
enum Link {
    /// Waits for the topic; these want to know when it answers.
    Attaching(Vec<Rc<Outbox>>),
    Live,
}

pub struct Shard {
    pub channel: ChannelName,
    pub options: Arc<ChannelOptions>,
    /// The channel's subscribers on the whole node, the members of this shard among them.
    audience: Audience,
    fan: Weak<Fan>,
    link: RefCell<Link>,
    /// Everything up to here has been given to the members. `None`: the channel has no stream.
    position: RefCell<Option<StreamPosition>>,
    /// Nobody is in a group that is not here, and every group here has somebody in it.
    groups: RefCell<Vec<Group>>,
    /// Events that came in this turn and are not written yet.
    pending: RefCell<Vec<Arc<Encoded>>>,
    shared_histories: RefCell<Vec<SharedHistory>>,
    /// When the last member left, as long as the worker's list of empty shards names this one.
    pub(super) empty_since: Cell<Option<Millis>>,
}

struct SharedHistory {
    codec: Codec,
    since: u64,
    until: StreamPosition,
    bytes: Bytes,
}

/// A subscriber's place in a shard; dropping it leaves.
pub struct Membership {
    shard: Rc<Shard>,
    wire: Wire,
    place: Rc<Cell<u32>>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shard.leave(self.wire, self.place.get());
    }
}

impl Shard {
    pub(super) fn new(channel: ChannelName, options: Arc<ChannelOptions>, audience: Audience, fan: Weak<Fan>) -> Rc<Self> {
        Rc::new(Self {
            channel,
            options,
            audience,
            fan,
            link: RefCell::new(Link::Attaching(Vec::new())),
            position: RefCell::default(),
            groups: RefCell::default(),
            pending: RefCell::default(),
            shared_histories: RefCell::default(),
            empty_since: Cell::new(None),
        })
    }

    /// Whether subscribers may join. If not, `waiting` is told ([`Notice::ChannelLive`]) when they may.
    pub fn is_live_or_tell(&self, waiting: &Rc<Outbox>) -> bool {
        match &mut *self.link.borrow_mut() {
            Link::Live => true,
            Link::Attaching(outboxes) => {
                outboxes.push(Rc::clone(waiting));
                false
            }
        }
    }

    /// Everything up to here has been given to the members.
    pub fn position(&self) -> Option<StreamPosition> {
        self.position.borrow().clone()
    }

    /// Members on this worker.
    pub fn len(&self) -> usize {
        self.groups.borrow().iter().map(|group| group.members.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.borrow().is_empty()
    }

    /// Whether somebody waits for the topic's answer.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(&*self.link.borrow(), Link::Attaching(waiting) if !waiting.is_empty())
    }

    /// Adds a subscriber, from the next event on. The caller has queued its subscribe reply, made of [`Shard::position`], in this turn.
    pub fn join(self: &Rc<Self>, outbox: &Rc<Outbox>, wants: Wants) -> Membership {
        let wire = outbox.wire();
        let mut groups = self.groups.borrow_mut();
        let index = groups.iter().position(|group| group.wire == wire).unwrap_or_else(|| {
            // Most channels have clients of one kind.
            groups.reserve_exact(1);
            groups.push(Group { wire, members: Vec::new() });
            groups.len() - 1
        });
        let members = &mut groups[index].members;
        let place = Rc::new(Cell::new(members.len() as u32));
        members.push(Member { outbox: Rc::clone(outbox), wants, place: Rc::clone(&place) });
        self.audience.joined();
        Membership { shard: Rc::clone(self), wire, place }
    }

    fn leave(self: &Rc<Self>, wire: Wire, place: u32) {
        let mut groups = self.groups.borrow_mut();
        let Some(index) = groups.iter().position(|group| group.wire == wire) else { return };
        let members = &mut groups[index].members;
        members.swap_remove(place as usize);
        self.audience.left();
        if let Some(moved) = members.get(place as usize) {
            moved.place.set(place);
        }
        // A channel that lost most of its audience gives the memory back.
        if members.len() * 4 < members.capacity() {
            let twice = members.len() * 2;
            members.shrink_to(twice);
        }
        if members.is_empty() {
            groups.swap_remove(index);
        }
        drop(groups);
        if self.is_empty()
            && let Some(fan) = self.fan.upgrade()
        {
            fan.emptied(self);
        }
    }

    /// Takes an event in. Whether it is the first one of this turn.
    pub(super) fn take(&self, event: Arc<Encoded>) -> bool {
        let mut pending = self.pending.borrow_mut();
        pending.push(event);
        pending.len() == 1
    }

    /// Writes out what came in.
    pub(super) fn flush(&self) {
        if matches!(*self.link.borrow(), Link::Attaching(_)) {
            // What comes before the position is told is either before it or read from history with it.
            return self.pending.borrow_mut().clear();
        }
        let mut pending = self.pending.take();
        let mut start = 0;
        for index in 0..pending.len() {
            match self.follows(&pending[index]) {
                Follows::Next => {}
                Follows::Known => {
                    self.write(&pending[start..index]);
                    start = index + 1;
                }
                Follows::Gap => {
                    self.write(&pending[start..index]);
                    start = index + 1;
                    // The event that showed the gap is part of what is filled.
                    self.resync(pending[index].position().cloned());
                }
            }
        }
        self.write(&pending[start..]);
        pending.clear();
        let mut slot = self.pending.borrow_mut();
        if slot.is_empty() && pending.capacity() <= 16 {
            *slot = pending;
        }
    }

    /// Judges an event by its offset, and moves on if it is the next one.
    fn follows(&self, event: &Encoded) -> Follows {
        let Some(new) = event.position() else { return Follows::Next };
        let mut position = self.position.borrow_mut();
        let Some(old) = position.as_mut() else { return Follows::Next };
        if new.epoch != old.epoch || new.offset > old.offset + 1 {
            Follows::Gap
        } else if new.offset <= old.offset {
            Follows::Known
        } else {
            old.offset = new.offset;
            Follows::Next
        }
    }

    fn write(&self, events: &[Arc<Encoded>]) {
        if events.is_empty() {
            return;
        }
        for Group { wire, members } in self.groups.borrow().iter() {
            if write_all(*wire, members, events).is_err() {
                // Only JSON connections can be unable to take a payload, and they must not miss it silently.
                for member in members {
                    member.outbox.tell(Notice::Disconnect(Disconnect::INAPPROPRIATE_PROTOCOL));
                }
            }
        }
    }

    /// The topic answered: from now on events follow `position`.
    pub(super) fn attached(&self, position: Option<StreamPosition>) {
        let waiting = match std::mem::replace(&mut *self.link.borrow_mut(), Link::Live) {
            Link::Attaching(waiting) => {
                *self.position.borrow_mut() = position;
                waiting
            }
            Link::Live => {
                let known = self.position();
                if known != position {
                    self.resync(position);
                }
                return;
            }
        };
        for outbox in waiting {
            outbox.tell(Notice::ChannelLive);
        }
    }

    /// Brings the members to where the stream stands now, ahead of events that are still on their way (which are known then, and skipped).
    /// So a subscriber that joins next has everything that was published before it asked, and nothing of that comes as new.
    pub fn catch_up(&self) {
        if self.position.borrow().is_none() {
            return;
        }
        let Some(fan) = self.fan.upgrade() else { return };
        let filter = HistoryFilter { limit: Some(0), since: None, reverse: false };
        // A broker on the network answers later: then the newcomer joins where the members are, and the rest comes as new.
        if let Answer::Ready(Ok(history)) = fan.topics.broker().history(&self.channel, &self.options, filter) {
            self.flush();
            if let Some(filled) = self.fill_up_to(&history.position, &fan)
                && filled.is_none()
            {
                emit(TopicResynced { channel: &self.channel, filled: None });
            }
        }
    }

    /// Events up to `target` were missed: gives them from history, in order, or tells the members that care.
    fn resync(&self, target: Option<StreamPosition>) {
        let (Some(target), Some(fan)) = (target, self.fan.upgrade()) else { return };
        if let Some(filled) = self.fill_up_to(&target, &fan) {
            emit(TopicResynced { channel: &self.channel, filled });
        }
    }

    /// `None`: there is nothing to fill. `Some(None)`: it could not be filled, and the members were told.
    fn fill_up_to(&self, target: &StreamPosition, fan: &Fan) -> Option<Option<usize>> {
        let known = self.position()?;
        if known.epoch == target.epoch && known.offset >= target.offset {
            return None;
        }
        let filter = HistoryFilter { limit: None, since: Some(known.clone()), reverse: false };
        let filled = match fan.topics.broker().history(&self.channel, &self.options, filter) {
            Answer::Ready(Ok(history)) => fill(&known, target, history),
            // An answer from the network cannot be waited for in the middle of a turn: the members recover for themselves.
            Answer::Ready(Err(BrokerError::UnrecoverablePosition { .. } | BrokerError::Unreachable { .. })) | Answer::Later(_) => None,
        };
        *self.position.borrow_mut() = Some(target.clone());
        let count = filled.as_ref().map(Vec::len);
        match filled {
            Some(missed) => {
                let events: Vec<_> = missed
                    .into_iter()
                    .map(|publication| Arc::new(Encoded::new(self.channel.clone(), ChannelEvent::Publication { publication, position: None })))
                    .collect();
                self.write(&events);
            }
            None => {
                for member in self.groups.borrow().iter().flat_map(|group| &group.members).filter(|member| member.wants.position) {
                    member.outbox.tell(Notice::InsufficientState(self.channel.clone()));
                }
            }
        }
        Some(count)
    }

    /// `publications`, encoded as the list in a subscribe reply; shared by all that missed exactly these.
    pub fn shared_history(
        self: &Rc<Self>,
        codec: Codec,
        since: u64,
        until: &StreamPosition,
        publications: &[Arc<Publication>],
    ) -> Result<Bytes, NotJson> {
        let mut shared = self.shared_histories.borrow_mut();
        if let Some(found) = shared.iter().find(|found| found.codec == codec && found.since == since && found.until == *until) {
            return Ok(found.bytes.clone());
        }
        let bytes = codec.encode_publications(publications.iter().map(AsRef::as_ref))?;
        // Those of an older position are of no use to anybody any more.
        shared.retain(|kept| kept.until == *until);
        if shared.is_empty()
            && let Some(fan) = self.fan.upgrade()
        {
            fan.keeps_histories(self);
        }
        if shared.len() == SHARED_HISTORIES_MAX {
            shared.remove(0);
        }
        shared.push(SharedHistory { codec, since, until: until.clone(), bytes: bytes.clone() });
        Ok(bytes)
    }

    /// Forgets what was kept for clients that come back at the same time.
    pub(super) fn forget_shared_histories(&self) {
        self.shared_histories.take();
    }
}

enum Follows {
    Next,
    /// Given to the members before.
    Known,
    /// Something between the last event and this one is missing.
    Gap,
}

/// The publications after `known` up to `target`, if `history` has them all.
fn fill(known: &StreamPosition, target: &StreamPosition, history: History) -> Option<Vec<Arc<Publication>>> {
    let missed: Vec<_> = history.publications.into_iter().take_while(|publication| publication.offset <= target.offset).collect();
    let is_whole = known.epoch == target.epoch
        && missed.first().map(|publication| publication.offset) == Some(known.offset + 1)
        && missed.last().map(|publication| publication.offset) == Some(target.offset);
    is_whole.then_some(missed)
}

/// Writes the frames of `events` to every member with one write each.
fn write_all(wire: Wire, members: &[Member], events: &[Arc<Encoded>]) -> Result<(), NotJson> {
    if let [event] = events {
        let frame = event.frame(wire)?;
        for member in members {
            if member.wants.presence || !event.is_about_presence() {
                member.outbox.send(frame);
            }
        }
        return Ok(());
    }
    let frames = events.iter().map(|event| event.frame(wire).map(|frame| (event, frame))).collect::<Result<Vec<_>, _>>()?;
    let publications = || frames.iter().filter(|(event, _)| !event.is_about_presence()).map(|(_, frame)| *frame);
    let is_mixed = publications().count() < frames.len();
    let everything = merge(frames.iter().map(|(_, frame)| *frame));
    let publications_only = if is_mixed { merge(publications()) } else { everything.clone() };
    for member in members {
        if member.wants.presence {
            member.outbox.send(&everything);
        } else if !publications_only.is_empty() {
            member.outbox.send(&publications_only);
        }
    }
    Ok(())
}
