//! One worker's half of a topic: the subscribers of one channel on one thread.
//!
//! Every member has seen everything up to [`Shard::position`], because members join at exactly that position. So there is no state per
//! member to check at a delivery, and an event that does not follow it is a gap for all of them at once: it is filled from history, or
//! they are told.

use super::event::{Encoded, merge};
use super::fanout::{Fan, PROBE};
use super::pace::{Held, Pace, Paced};
use super::registry::Audience;
use crate::broker::{Answer, BrokerError, ChannelEvent, Exclusion, History, HistoryFilter};
use crate::channel::{ChannelName, ChannelOptions, Payload, Publication, StreamPosition, TagsFilter};
use crate::clock::Millis;
use crate::outbox::{Notice, Outbox};
use crate::protocol::centrifuge::{Body, Codec, NotJson, Wire};
use crate::protocol::codes::Disconnect;
use crate::protocol::fossil;
use crate::telemetry::emit;
use crate::telemetry::topics::{Delivered, PublicationsCoalesced, TopicResynced};
use bytes::Bytes;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Different histories that are kept encoded for clients that come back at the same time having missed the same.
const SHARED_HISTORIES_MAX: usize = 4;

/// Bytes of publications in one history that are compared with the one before them, to give them as deltas: a worker does it in one turn, and
/// takes some milliseconds for it. The ones behind are given whole.
const HISTORY_DELTA_BYTES_MAX: usize = 512 * 1_024;

thread_local! {
    /// Members of all shards of the calling worker.
    static MEMBERS: Cell<usize> = const { Cell::new(0) };
    /// Events that its members were given, and their bytes.
    static GIVEN: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// A member was given a frame that holds so many events.
fn count_given(frame: &Bytes, events: usize) {
    let (count, bytes) = GIVEN.get();
    GIVEN.set((count + events as u64, bytes + frame.len() as u64));
}

/// Members of all shards of the calling worker.
pub(super) fn members() -> usize {
    MEMBERS.get()
}

/// Events that the members of the calling worker's shards were given since the thread began.
pub(super) fn delivered() -> u64 {
    GIVEN.get().0
}

/// What a member wants to be told besides publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Joins and leaves.
    pub presence: bool,
    /// To be told when publications were missed.
    pub position: bool,
    /// Publications as deltas of the one before.
    pub deltas: bool,
}

/// What is the same for all members of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Form {
    wire: Wire,
    /// See [`Wants::deltas`].
    takes_deltas: bool,
    /// Publications with certain tags only.
    filter: Option<Rc<TagsFilter>>,
}

struct Member {
    outbox: Rc<Outbox>,
    wants: Wants,
    /// Where this member stands in its list, shared with its [`Membership`].
    place: Rc<Cell<u32>>,
    /// The number of the publication that this member was given last, where it takes deltas. The one place that says which publication it
    /// has: whoever does not give it one leaves the number, and the next one goes to it whole.
    given: Cell<u32>,
}

/// The number of no publication: the member has none.
const NONE_GIVEN: u32 = 0;

impl Member {
    /// Tells members apart that are here at the same time.
    fn key(&self) -> usize {
        Rc::as_ptr(&self.place).addr()
    }

    /// Gives a frame that holds so many events.
    fn give(&self, frame: &Bytes, events: usize) {
        self.outbox.send(frame);
        count_given(frame, events);
    }

    /// Whether it is kept from one of the publications that these come from.
    fn is_among(&self, exclusions: &[&Exclusion]) -> bool {
        !exclusions.is_empty() && self.outbox.owner().is_some_and(|(client, user)| exclusions.iter().any(|exclusion| exclusion.covers(*client, user)))
    }
}

/// The members that are written the same bytes, but for those of them that cannot be given a delta.
struct Group {
    form: Form,
    members: Vec<Member>,
}

/// The publication that members were given last, kept as long as some of them take deltas.
struct Base {
    /// `None`: it is longer than publications may be of which deltas are made.
    data: Option<Payload>,
    number: u32,
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
    /// Nobody is in a group that is not here, and every group here has somebody in it. Groups with the same filter stand side by side.
    groups: RefCell<Vec<Group>>,
    /// Events that came in this turn and are not written yet.
    pending: RefCell<Vec<Arc<Encoded>>>,
    base: RefCell<Option<Base>>,
    /// Where the namespace demands some time between two publications.
    pace: Option<RefCell<Pace<Arc<Encoded>>>>,
    shared_histories: RefCell<Vec<SharedHistory>>,
    /// When the last member left, as long as the worker's list of empty shards names this one.
    pub(super) empty_since: Cell<Option<Millis>>,
}

struct SharedHistory {
    codec: Codec,
    as_deltas: bool,
    filter: Option<Rc<TagsFilter>>,
    since: u64,
    until: StreamPosition,
    bytes: Bytes,
}

/// A subscriber's place in a shard; dropping it leaves.
pub struct Membership {
    shard: Rc<Shard>,
    form: Form,
    place: Rc<Cell<u32>>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shard.leave(&self.form, self.place.get());
    }
}

impl Shard {
    pub(super) fn new(channel: ChannelName, options: Arc<ChannelOptions>, audience: Audience, fan: Weak<Fan>) -> Rc<Self> {
        let throttle = options.throttle_interval;
        Rc::new(Self {
            pace: throttle.is_positive().then(|| RefCell::new(Pace::new(throttle.ms()))),
            channel,
            options,
            audience,
            fan,
            link: RefCell::new(Link::Attaching(Vec::new())),
            position: RefCell::default(),
            groups: RefCell::default(),
            pending: RefCell::default(),
            base: RefCell::default(),
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

    /// Adds a subscriber, from the next event on. The caller has queued its subscribe reply, made of [`Shard::position`], in this turn; `has`
    /// is the last publication in it.
    pub fn join(self: &Rc<Self>, outbox: &Rc<Outbox>, wants: Wants, filter: Option<Rc<TagsFilter>>, has: Option<&Payload>) -> Membership {
        let form = Form { wire: outbox.wire(), takes_deltas: wants.deltas, filter };
        let given = if form.takes_deltas { self.number_of(has) } else { NONE_GIVEN };
        let mut groups = self.groups.borrow_mut();
        let index = groups.iter().position(|group| group.form == form).unwrap_or_else(|| {
            // Most channels have clients of one kind.
            groups.reserve_exact(1);
            let side_by_side = groups.iter().rposition(|group| group.form.filter == form.filter);
            let index = side_by_side.map_or(groups.len(), |last| last + 1);
            groups.insert(index, Group { form, members: Vec::new() });
            index
        });
        // The same filter is kept once.
        let form = groups[index].form.clone();
        let members = &mut groups[index].members;
        let place = Rc::new(Cell::new(members.len() as u32));
        if let Some(pace) = &self.pace {
            pace.borrow_mut().joined(Rc::as_ptr(&place).addr());
        }
        members.push(Member { outbox: Rc::clone(outbox), wants, place: Rc::clone(&place), given: Cell::new(given) });
        self.audience.joined();
        if self.is_counted() {
            MEMBERS.set(MEMBERS.get() + 1);
        }
        Membership { shard: Rc::clone(self), form, place }
    }

    /// Whether its members are clients, and not canaries of the hub's own.
    fn is_counted(&self) -> bool {
        &*self.channel != PROBE
    }

    /// The number of a publication that a newcomer has, if the next one can be told as a delta of it.
    fn number_of(&self, has: Option<&Payload>) -> u32 {
        let Some(has) = has.filter(|has| has.len() <= self.options.delta_bytes_max()) else { return NONE_GIVEN };
        let mut base = self.base.borrow_mut();
        // Nobody depends on a base where there is none, so what this one has can be it.
        let base = base.get_or_insert_with(|| Base { data: Some(has.clone()), number: NONE_GIVEN + 1 });
        if base.data.as_ref().is_some_and(|data| data.is_same(has)) { base.number } else { NONE_GIVEN }
    }

    fn leave(self: &Rc<Self>, form: &Form, place: u32) {
        let mut groups = self.groups.borrow_mut();
        let Some(index) = groups.iter().position(|group| group.form == *form) else { return };
        let members = &mut groups[index].members;
        members.swap_remove(place as usize);
        self.audience.left();
        if self.is_counted() {
            MEMBERS.set(MEMBERS.get().saturating_sub(1));
        }
        if let Some(moved) = members.get(place as usize) {
            moved.place.set(place);
        }
        // A channel that lost most of its audience gives the memory back.
        if members.len() * 4 < members.capacity() {
            let twice = members.len() * 2;
            members.shrink_to(twice);
        }
        if members.is_empty() {
            groups.remove(index);
        }
        if form.takes_deltas && !groups.iter().any(|group| group.form.takes_deltas) {
            self.base.take();
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
    pub(super) fn flush(self: &Rc<Self>) {
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
                    self.give(&pending[start..index]);
                    start = index + 1;
                }
                Follows::Gap => {
                    self.give(&pending[start..index]);
                    start = index + 1;
                    // The event that showed the gap is part of what is filled.
                    self.resync(pending[index].position().cloned());
                }
            }
        }
        self.give(&pending[start..]);
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

    /// Gives events to the members now, or where they come too fast, the newest publication of them when it is time. Who comes and goes is told at
    /// once. What is held back counts as given: whoever joins has asked after it was published.
    fn give(self: &Rc<Self>, events: &[Arc<Encoded>]) {
        let Some(pace) = &self.pace else { return self.write(events, &HashSet::new()) };
        let (told, publications): (Vec<_>, Vec<_>) = events.iter().cloned().partition(|event| event.is_about_presence());
        let Some(newest) = publications.last() else { return self.write(&told, &HashSet::new()) };
        let Some(fan) = self.fan.upgrade() else { return };
        let mut gave_way = publications.len() - 1;
        let paced = pace.borrow_mut().take(Arc::clone(newest), fan.clock.now());
        match paced {
            Paced::Given(newest) => self.write(&[told, vec![newest]].concat(), &HashSet::new()),
            Paced::Held => {
                fan.holds(self);
                self.write(&told, &HashSet::new());
            }
            Paced::HeldInPlace => {
                gave_way += 1;
                self.write(&told, &HashSet::new());
            }
        }
        if gave_way > 0 {
            emit(PublicationsCoalesced { by: "throttle", count: gave_way * self.len() });
        }
    }

    /// Gives what was held back, if it is time. Whether something is still held.
    pub(super) fn release(&self, now: Millis) -> bool {
        let Some(pace) = &self.pace else { return false };
        let released = pace.borrow_mut().release(now);
        if let Some(Held { newest, newcomers }) = released {
            self.write(&[newest], &newcomers);
        }
        pace.borrow().is_holding()
    }

    /// Writes events to the members, but for `newcomers`, who are told by [`Member::key`].
    fn write(&self, events: &[Arc<Encoded>], newcomers: &HashSet<usize>) {
        if events.is_empty() {
            return;
        }
        let batch = Batch { keeps_latest: self.options.keep_latest, coalesced: Cell::new(0), newcomers };
        let before = GIVEN.get();
        let groups = self.groups.borrow();
        let chain = groups.iter().any(|group| group.form.takes_deltas).then(|| self.chain(events));
        for groups in groups.chunk_by(|a, b| a.form.filter == b.form.filter) {
            // Judged once for all who want the same.
            let wanted: Vec<_>;
            let events = match &groups[0].form.filter {
                None => events,
                Some(filter) => {
                    wanted = events.iter().filter(|event| event.passes(filter)).cloned().collect();
                    &wanted[..]
                }
            };
            if events.is_empty() {
                continue;
            }
            for Group { form, members } in groups {
                let chain = chain.as_ref().filter(|_| form.takes_deltas);
                if write_group(form.wire, members, events, chain, &batch).is_err() {
                    // Only JSON connections can be unable to take a payload, and they must not miss it silently.
                    for member in members {
                        member.outbox.tell(Notice::Disconnect(Disconnect::INAPPROPRIATE_PROTOCOL));
                    }
                }
            }
        }
        if batch.coalesced.get() > 0 {
            emit(PublicationsCoalesced { by: "behind", count: batch.coalesced.get() });
        }
        if !self.is_counted() {
            GIVEN.set(before);
        }
        let after = GIVEN.get();
        if after != before {
            // What is held back for a while on purpose is not late.
            if self.pace.is_none() {
                events.iter().for_each(|event| event.is_written());
            }
            emit(Delivered { events: after.0 - before.0, bytes: after.1 - before.1 });
        }
    }

    /// What the publications among `events` are deltas of; the last one becomes the base of what comes next.
    fn chain(&self, events: &[Arc<Encoded>]) -> Chain {
        let bytes_max = self.options.delta_bytes_max();
        let mut base = self.base.borrow_mut();
        let before = base.as_ref().map_or(NONE_GIVEN, |base| base.number);
        let mut after = before;
        let mut last = base.as_ref().and_then(|base| base.data.clone());
        let bases = events.iter().map(|event| {
            let data = event.payload()?;
            after = after.checked_add(1).unwrap_or(NONE_GIVEN + 1);
            let is_short = data.len() <= bytes_max;
            std::mem::replace(&mut last, is_short.then(|| data.clone())).filter(|_| is_short)
        });
        let bases = bases.collect();
        if after != before {
            // What history keeps is in an allocation of its own already.
            let data = last.map(|data| if self.options.has_history() { data } else { data.detached() });
            *base = Some(Base { data, number: after });
        }
        Chain { bases, before, after }
    }

    /// The topic answered: from now on events follow `position`.
    pub(super) fn attached(self: &Rc<Self>, position: Option<StreamPosition>) {
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
    pub fn catch_up(self: &Rc<Self>) {
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
    fn resync(self: &Rc<Self>, target: Option<StreamPosition>) {
        let (Some(target), Some(fan)) = (target, self.fan.upgrade()) else { return };
        if let Some(filled) = self.fill_up_to(&target, &fan) {
            emit(TopicResynced { channel: &self.channel, filled });
        }
    }

    /// `None`: there is nothing to fill. `Some(None)`: it could not be filled, and the members were told.
    fn fill_up_to(self: &Rc<Self>, target: &StreamPosition, fan: &Fan) -> Option<Option<usize>> {
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
                    .map(|publication| {
                        Arc::new(Encoded::new(
                            self.channel.clone(),
                            ChannelEvent::Publication { publication, position: None, exclude: None, arrived: None },
                        ))
                    })
                    .collect();
                self.give(&events);
            }
            None => {
                for member in self.groups.borrow().iter().flat_map(|group| &group.members).filter(|member| member.wants.position) {
                    member.outbox.tell(Notice::InsufficientState(self.channel.clone()));
                }
            }
        }
        Some(count)
    }

    /// `publications`, encoded as the list in a subscribe reply; shared by all that missed exactly these. As deltas: the first is whole, and those
    /// behind it are patches of the one before.
    pub fn shared_history(
        self: &Rc<Self>,
        codec: Codec,
        as_deltas: bool,
        filter: Option<&Rc<TagsFilter>>,
        since: u64,
        until: &StreamPosition,
        publications: &[Arc<Publication>],
    ) -> Result<Bytes, NotJson> {
        let mut shared = self.shared_histories.borrow_mut();
        let is_it = |kept: &&SharedHistory| {
            (kept.codec, kept.as_deltas, kept.filter.as_ref(), kept.since) == (codec, as_deltas, filter, since) && kept.until == *until
        };
        if let Some(found) = shared.iter().find(is_it) {
            return Ok(found.bytes.clone());
        }
        let bytes = if as_deltas {
            let patches = patches(publications, self.options.delta_bytes_max());
            let bodies = patches.iter().map(|patch| patch.as_ref().map_or(Body::Whole, Body::Patch));
            codec.encode_publications(publications.iter().map(AsRef::as_ref).zip(bodies))?
        } else {
            codec.encode_publications(publications.iter().map(|publication| (publication.as_ref(), Body::Plain)))?
        };
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
        shared.push(SharedHistory { codec, as_deltas, filter: filter.cloned(), since, until: until.clone(), bytes: bytes.clone() });
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

/// What holds for one write to all groups.
struct Batch<'a> {
    /// For who is behind, only the newest publication waits.
    keeps_latest: bool,
    /// Members that are not written to, by [`Member::key`].
    newcomers: &'a HashSet<usize>,
    /// Publications that gave way to newer ones, counted for each member.
    coalesced: Cell<usize>,
}

/// Writes `events` to the members of a group; `chain` where they take deltas.
fn write_group(wire: Wire, members: &[Member], events: &[Arc<Encoded>], chain: Option<&Chain>, batch: &Batch) -> Result<(), NotJson> {
    let here = members.iter().filter(|member| batch.newcomers.is_empty() || !batch.newcomers.contains(&member.key()));
    if !batch.keeps_latest {
        return write_members(wire, here, events, chain);
    }
    // First those who are behind: the others may be so too when they have been written to.
    write_latest(wire, here.clone().filter(|member| member.outbox.is_behind()), events, chain, batch)?;
    write_members(wire, here.filter(|member| !member.outbox.is_behind()), events, chain)
}

/// Writes to each of `members`, who are behind, who comes and goes, and the newest publication in place of the one that waits. It goes whole, because
/// nobody knows yet what it will follow.
fn write_latest<'a>(
    wire: Wire,
    members: impl Iterator<Item = &'a Member>,
    events: &[Arc<Encoded>],
    chain: Option<&Chain>,
    batch: &Batch,
) -> Result<(), NotJson> {
    let (told, publications): (Vec<_>, Vec<_>) = events.iter().partition(|event| event.is_about_presence());
    for member in members {
        if member.wants.presence {
            told.iter().try_for_each(|event| event.frame(wire).map(|frame| member.give(frame, 1)))?;
        }
        let mut given = publications.iter().filter(|event| !member.is_among(event.exclusion().as_slice()));
        let Some(newest) = given.next_back() else { continue };
        let frame = if chain.is_some() { newest.frame_after(None, wire)? } else { newest.frame(wire)? };
        let took_its_place = member.outbox.send_latest(frame, &member.place);
        // What takes the place of another one is given in place of it.
        if !took_its_place {
            count_given(frame, 1);
        }
        batch.coalesced.set(batch.coalesced.get() + given.count() + usize::from(took_its_place));
        if let (Some(chain), Some(last)) = (chain, publications.last())
            && Arc::ptr_eq(newest, last)
        {
            member.given.set(chain.after);
        }
    }
    Ok(())
}

/// Writes to each of `members` all of `events` that are for it.
fn write_members<'a>(
    wire: Wire,
    members: impl Iterator<Item = &'a Member> + Clone,
    events: &[Arc<Encoded>],
    chain: Option<&Chain>,
) -> Result<(), NotJson> {
    let exclusions: SmallVec<[&Exclusion; 2]> = events.iter().filter_map(|event| event.exclusion()).collect();
    let given_all = members.clone().filter(|member| !member.is_among(&exclusions));
    match chain {
        Some(chain) => write_deltas(wire, given_all, events, chain)?,
        None => write_all(wire, given_all, events)?,
    }
    if exclusions.is_empty() {
        return Ok(());
    }
    write_some(wire, members.filter(|member| member.is_among(&exclusions)), events, chain)
}

/// Writes the frames of `events` to every member with one write each.
fn write_all<'a>(wire: Wire, members: impl Iterator<Item = &'a Member>, events: &[Arc<Encoded>]) -> Result<(), NotJson> {
    if let [event] = events {
        let frame = event.frame(wire)?;
        for member in members {
            if member.wants.presence || !event.is_about_presence() {
                member.give(frame, 1);
            }
        }
        return Ok(());
    }
    let frames = events.iter().map(|event| event.frame(wire).map(|frame| (event, frame))).collect::<Result<Vec<_>, _>>()?;
    let publications = || frames.iter().filter(|(event, _)| !event.is_about_presence()).map(|(_, frame)| *frame);
    let publication_count = publications().count();
    let is_mixed = publication_count < frames.len();
    let everything = merge(frames.iter().map(|(_, frame)| *frame));
    let publications_only = if is_mixed { merge(publications()) } else { everything.clone() };
    for member in members {
        if member.wants.presence {
            member.give(&everything, frames.len());
        } else if !publications_only.is_empty() {
            member.give(&publications_only, publication_count);
        }
    }
    Ok(())
}

/// What a batch of events is written as to members that take deltas.
struct Chain {
    /// For each event the publication before it, if it may be told as a delta of it.
    bases: Vec<Option<Payload>>,
    /// The number of the publication before the batch, which the first one may be a delta of.
    before: u32,
    /// The number of the last publication of the batch.
    after: u32,
}

/// Writes the frames of `events` to every member with one write each: publications as deltas, but the first one whole to those that have not been
/// given the one before it.
fn write_deltas<'a>(wire: Wire, members: impl Iterator<Item = &'a Member>, events: &[Arc<Encoded>], chain: &Chain) -> Result<(), NotJson> {
    let whole_one = events.iter().position(|event| !event.is_about_presence());
    let frames = |has_base: bool, with_presence: bool| -> Result<Bytes, NotJson> {
        let chosen = events.iter().enumerate().filter(|(_, event)| with_presence || !event.is_about_presence());
        let frames = chosen.map(|(index, event)| {
            let base = chain.bases[index].as_ref().filter(|_| has_base || whole_one != Some(index));
            event.frame_after(base, wire)
        });
        let frames = frames.collect::<Result<Vec<_>, _>>()?;
        Ok(if let [frame] = frames[..] { frame.clone() } else { merge(frames.into_iter()) })
    };
    let publication_count = events.iter().filter(|event| !event.is_about_presence()).count();
    // At most four kinds of members: who has the publication before or not, who wants to know who comes and goes or not.
    let mut made: [Option<Bytes>; 4] = Default::default();
    for member in members {
        let has_base = chain.before != NONE_GIVEN && member.given.get() == chain.before;
        let kind = usize::from(has_base) * 2 + usize::from(member.wants.presence);
        let frame = match &made[kind] {
            Some(frame) => frame,
            None => made[kind].insert(frames(has_base, member.wants.presence)?),
        };
        if !frame.is_empty() {
            member.give(frame, if member.wants.presence { events.len() } else { publication_count });
        }
        if whole_one.is_some() {
            member.given.set(chain.after);
        }
    }
    Ok(())
}

/// Writes to each of `members` those of `events` that it is not kept from. They are few, so each is written for itself, and never a delta.
fn write_some<'a>(wire: Wire, members: impl Iterator<Item = &'a Member>, events: &[Arc<Encoded>], chain: Option<&Chain>) -> Result<(), NotJson> {
    for member in members {
        let is_given = |event: &&Arc<Encoded>| !member.is_among(event.exclusion().as_slice());
        let is_wanted = |event: &&Arc<Encoded>| member.wants.presence || !event.is_about_presence();
        let frames = events.iter().filter(is_given).filter(is_wanted).map(|event| match chain {
            Some(_) => event.frame_after(None, wire),
            None => event.frame(wire),
        });
        let frames = frames.collect::<Result<Vec<_>, _>>()?;
        if !frames.is_empty() {
            let count = frames.len();
            member.give(&merge(frames.into_iter()), count);
        }
        // Who was not given the last one cannot be given the next one as a delta of it.
        if let (Some(chain), Some(last)) = (chain, events.iter().rfind(|event| !event.is_about_presence()))
            && is_given(&last)
        {
            member.given.set(chain.after);
        }
    }
    Ok(())
}

/// Each of `publications` as a patch of the one before it; `None` where it is to be told whole.
fn patches(publications: &[Arc<Publication>], bytes_max: usize) -> Vec<Option<Bytes>> {
    let mut budget = HISTORY_DELTA_BYTES_MAX;
    let mut before: Option<&Payload> = None;
    let patches = publications.iter().map(|publication| {
        let data = &publication.data;
        let base = before.replace(data)?;
        budget = budget.checked_sub(data.len())?;
        if data.len().max(base.len()) > bytes_max { None } else { fossil::patch(base, data) }
    });
    patches.collect()
}
