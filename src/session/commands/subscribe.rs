//! `subscribe`: a client asks for a channel, and perhaps for what it missed there.

use super::hooked::Verdict;
use super::{Session, Step, ttl};
use crate::auth::{SubscribeRefused, SubscribeVerdict, may_read_history, may_see_presence, may_subscribe};
use crate::broker::{Answer, BrokerError, History};
use crate::channel::{ChannelName, ChannelOptions, DeltaType, Epoch, Payload, RecoveryMode, StreamPosition, TagsFilter, is_own};
use crate::hooks::backend::Backend;
use crate::hooks::{Allowed, Question, Refused};
use crate::outbox::Outbox;
use crate::protocol::centrifuge::command::{FLAG_REJECT_UNRECOVERED, SubscribeRequest};
use crate::protocol::centrifuge::{NotJson, Reply, Request, SubscribeResult};
use crate::protocol::codes::{ClientError, Disconnect, ErrorCode};
use crate::session::procedures::Caller;
use crate::session::recovery::{self, Recovery};
use crate::session::subscription::{Grant, Subscription};
use crate::telemetry::emit;
use crate::telemetry::latency::Path;
use crate::telemetry::sessions::SubscriberRecovered;
use crate::topic::fanout::PROBE;
use crate::topic::shard::Shard;
use actix::Context;
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;

const COMMAND: &str = "subscribe";

/// What a client asks for besides the channel.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Asked {
    /// Where it stood when it left.
    pub since: Option<StreamPosition>,
    pub positioned: bool,
    pub recoverable: bool,
    pub join_leave: bool,
    /// Publications as deltas of this kind. Whether the text names one is looked at before.
    pub delta: Option<DeltaType>,
    /// Publications with certain tags only.
    pub filter: Option<Rc<TagsFilter>>,
    pub rejects_unrecovered: bool,
}

impl From<&SubscribeRequest> for Asked {
    fn from(request: &SubscribeRequest) -> Self {
        Self {
            since: request.recover.then(|| StreamPosition { offset: request.offset, epoch: Epoch::new(&request.epoch) }),
            positioned: request.positioned,
            recoverable: request.recoverable,
            join_leave: request.join_leave,
            delta: delta_type(&request.delta),
            filter: None,
            rejects_unrecovered: request.flag & FLAG_REJECT_UNRECOVERED != 0,
        }
    }
}

/// Why there is no subscription, or none yet.
enum NoGrant {
    Verdict(SubscribeVerdict),
    /// The application has to be asked.
    Ask(Arc<Backend>),
    /// The application turned the client away.
    Refused(Refused),
}

impl NoGrant {
    const fn error(error: ErrorCode) -> Self {
        Self::Verdict(SubscribeVerdict::Error(error))
    }
}

impl Session {
    pub(super) fn subscribe(&mut self, id: u32, request: &SubscribeRequest, ctx: &mut Context<Self>) -> Step {
        if request.channel.is_empty() || (!request.delta.is_empty() && delta_type(&request.delta).is_none()) {
            return self.drop_client(Disconnect::BAD_REQUEST);
        }
        let grant = match self.grant(request) {
            Ok(grant) => grant,
            Err(NoGrant::Verdict(SubscribeVerdict::Error(error))) => return self.refuse(id, COMMAND, error),
            Err(NoGrant::Verdict(SubscribeVerdict::Disconnect(why))) => return self.drop_client(why),
            Err(NoGrant::Refused(refused)) => return self.refuse_as(id, COMMAND, &refused),
            Err(NoGrant::Ask(backend)) => {
                let question = Question { channel: Some(&request.channel), ..self.question() };
                let answer = backend.ask(question, &request.data, self.asker());
                return self.with_verdict(id, Request::Subscribe(request.clone()), answer, ctx, Verdict::Subscribe);
            }
        };
        let shard = self.worker.fan.shard(&grant.channel, &grant.options);
        if !shard.is_live_or_tell(&self.outbox) {
            return Step::Again;
        }
        let asked = Asked::from(request);
        match self.read_missed(&shard, &grant, &asked) {
            None => self.subscribed(id, &shard, &grant, &asked, None),
            Some(answer) => self.with_answer(answer, ctx, move |session, history, ctx| match history {
                Err(error) => session.refuse(id, COMMAND, error.code()),
                // While the broker was asked the channel went on: what came in between must not be missing.
                Ok(history) if is_behind(&history, &shard) => session.subscribe_again(id, shard, grant, asked, ctx),
                Ok(history) => session.subscribed(id, &shard, &grant, &asked, Some(history)),
            }),
        }
    }

    fn subscribe_again(&mut self, id: u32, shard: Rc<Shard>, grant: Grant, asked: Asked, ctx: &mut Context<Self>) -> Step {
        let Some(answer) = self.read_missed(&shard, &grant, &asked) else { return Step::Done };
        self.with_answer(answer, ctx, move |session, history, ctx| match history {
            Err(error) => session.refuse(id, COMMAND, error.code()),
            Ok(history) if is_behind(&history, &shard) => session.subscribe_again(id, shard, grant, asked, ctx),
            Ok(history) => session.subscribed(id, &shard, &grant, &asked, Some(history)),
        })
    }

    /// Whether and with which rights this client may subscribe: the checks in the order that the protocol gives.
    fn grant(&self, request: &SubscribeRequest) -> Result<Grant, NoGrant> {
        let rules = &self.worker.publisher.rules;
        // The length is judged before anything else, the rest of the name after what the client holds already.
        if let Err(error @ crate::channel::ChannelError::TooLong { .. }) = rules.options_for_client(&request.channel) {
            return Err(NoGrant::error(error.code()));
        }
        if self.is_subscribed(&request.channel) {
            return Err(NoGrant::error(ErrorCode::ALREADY_SUBSCRIBED));
        }
        if self.subscriptions.len() >= self.worker.settings.channel_limit {
            return Err(NoGrant::error(ErrorCode::LIMIT_EXCEEDED));
        }
        if is_own(&request.channel) {
            return self.grant_own(&request.channel).map_err(NoGrant::error);
        }
        let options = self.options(&request.channel).map_err(NoGrant::error)?;
        if options.is_pattern {
            self.may_have_pattern(&request.channel).map_err(NoGrant::error)?;
        }
        if request.kind >= 1 {
            // Map and shared-poll subscriptions: no namespace offers them.
            return Err(NoGrant::error(if request.kind == 4 { ErrorCode::NOT_AVAILABLE } else { ErrorCode::PERMISSION_DENIED }));
        }
        let filter = match &request.tf {
            Some(_) if !options.allow_tags_filter => return Err(NoGrant::error(ErrorCode::BAD_REQUEST)),
            Some(filter) => Some(Rc::new(TagsFilter::new(filter.clone().into()).map_err(|_| NoGrant::error(ErrorCode::BAD_REQUEST))?)),
            None => None,
        };
        let asked = Asked { filter, ..Asked::from(request) };
        let wall_seconds = self.worker.clock.wall_seconds();
        if options.subscribe_proxy_enabled
            && request.token.is_empty()
            && let Some(allowed) = self.allowed(&options, &request.channel)?
        {
            if allowed.expires_at.is_some_and(|at| at <= wall_seconds) {
                return Err(NoGrant::error(ErrorCode::EXPIRED));
            }
            let plain = Grant::of_client(ChannelName::new(&request.channel), allowed.overrides.apply(&options));
            let mut grant = Grant { chan_info: allowed.info, data: allowed.data, expires_at: allowed.expires_at, ..plain };
            self.settle(&mut grant, &asked);
            return Ok(grant);
        }
        let token = (!request.token.is_empty()).then(|| self.worker.subscription_tokens.verify_subscription(&request.token, wall_seconds));
        let claims = may_subscribe(rules, &options, self.client(&request.channel), &request.channel, token, wall_seconds).map_err(|refused| {
            if matches!(refused, SubscribeRefused::Token(_) | SubscribeRefused::ForeignToken { .. }) {
                self.token_refused(&refused);
            }
            NoGrant::Verdict(refused.verdict())
        })?;
        let mut grant = Grant::of_client(ChannelName::new(&request.channel), options);
        if let Some(claims) = claims {
            grant.options = claims.overrides.apply(&grant.options);
            (grant.chan_info, grant.data, grant.expires_at) = (claims.info, claims.data, claims.expires_at);
        }
        self.settle(&mut grant, &asked);
        Ok(grant)
    }

    /// Whether there is room for one more pattern, of this connection and of all.
    fn may_have_pattern(&self, pattern: &str) -> Result<(), ErrorCode> {
        if self.pattern_count() >= self.worker.settings.wildcard_limit {
            return Err(ErrorCode::LIMIT_EXCEEDED);
        }
        if self.worker.fan.topics.has_room_for(&ChannelName::new(pattern)) { Ok(()) } else { Err(ErrorCode::TOO_MANY_REQUESTS) }
    }

    /// Patterns that the client is subscribed to.
    pub(in crate::session) fn pattern_count(&self) -> usize {
        let rules = &self.worker.publisher.rules;
        self.subscriptions.keys().filter(|channel| rules.pattern_prefix(channel).is_some()).count()
    }

    /// What the application says of a client that shows no token. `None`: it is not asked, because the channel's name says who may, or that a
    /// token is needed.
    fn allowed(&self, options: &ChannelOptions, channel: &str) -> Result<Option<Allowed>, NoGrant> {
        let rules = &self.worker.publisher.rules;
        if rules.is_private(channel) || (options.allow_user_limited_channels && rules.is_user_limited(channel)) {
            return Ok(None);
        }
        match self.verdict.as_deref() {
            Some(Verdict::Subscribe(Ok(allowed))) => Ok(Some(allowed.clone())),
            Some(Verdict::Subscribe(Err(refused))) => Err(NoGrant::Refused(refused.clone())),
            _ => match self.hooks().and_then(|hooks| hooks.subscribe(&options.subscribe_proxy_name)) {
                Some(backend) => Err(NoGrant::Ask(Arc::clone(backend))),
                None => Err(NoGrant::error(ErrorCode::INTERNAL)),
            },
        }
    }

    /// One of the hub's own channels, which operators watch. No token opens them, only a role.
    fn grant_own(&self, channel: &str) -> Result<Grant, ErrorCode> {
        let denied = ErrorCode::PERMISSION_DENIED;
        if self.is_canary() != (channel == PROBE) {
            return Err(denied);
        }
        let caller = Caller::of(&self.identity().ok_or(denied)?.facts);
        if !self.is_canary() && !self.worker.procedures.may_watch(&caller, channel) {
            return Err(denied);
        }
        let options = self.worker.publisher.rules.options_of_any(channel).cloned().map_err(|error| error.code())?;
        Ok(Grant::of_client(ChannelName::new(channel), options))
    }

    /// Which of the things that are asked for, or that the namespace forces on everybody, the subscription has.
    pub(in crate::session) fn settle(&self, grant: &mut Grant, asked: &Asked) {
        let options: &ChannelOptions = &grant.options;
        // The subscriber that it is about to become counts as one.
        let client = self.client(&grant.channel);
        let reads_history = may_read_history(options, client, true);
        grant.is_recoverable = options.has_history() && (options.force_recovery || (asked.recoverable && (options.allow_recovery || reads_history)));
        grant.is_positioned = options.has_history()
            && (grant.is_recoverable || options.force_positioning || (asked.positioned && (options.allow_positioning || reads_history)));
        grant.tells_presence = options.join_leave && (options.force_push_join_leave || (asked.join_leave && may_see_presence(options, client, true)));
        // The protocol does not know deltas for subscriptions that the client did not ask for itself: its SDKs would not make anything of them.
        // Nor does it know them with a filter: each set of publications would have deltas of its own.
        grant.tells_deltas =
            !grant.is_server_side && asked.filter.is_none() && asked.delta.is_some_and(|kind| options.allowed_delta_types.contains(&kind));
        grant.filter.clone_from(&asked.filter);
    }

    /// Brings the channel up to date, and asks for what the client missed, if it is to be given any of it.
    pub(in crate::session) fn read_missed(&self, shard: &Rc<Shard>, grant: &Grant, asked: &Asked) -> Option<Answer<Result<History, BrokerError>>> {
        if grant.is_positioned {
            shard.catch_up();
        }
        let since = wanted_since(grant, asked)?;
        let live = shard.position()?;
        let filter = recovery::filter(grant.options.force_recovery_mode, &since, &live, self.worker.settings.recovery_limit);
        Some(self.worker.publisher.broker.history(&grant.channel, &grant.options, filter))
    }

    /// The result of a subscription that joins `shard` now.
    pub(in crate::session) fn result(
        &self,
        shard: &Shard,
        grant: &Grant,
        asked: &Asked,
        history: Option<History>,
    ) -> (SubscribeResult, Option<Recovery>) {
        let live = shard.position();
        let recovery = match (wanted_since(grant, asked), &live, history) {
            (Some(since), Some(live), Some(history)) => {
                let recovery = recovery::recover(grant.options.force_recovery_mode, &since, live, history);
                Some(if let Some(filter) = &grant.filter { recovery.filtered(filter, live) } else { recovery })
            }
            _ => None,
        };
        if let Some(recovery) = &recovery
            && asked.since.is_some()
        {
            emit(SubscriberRecovered { is_recovered: recovery.is_recovered });
        }
        let result = SubscribeResult {
            ttl: ttl(grant.expires_at.filter(|_| !grant.options.sub_refresh_proxy_enabled), self.worker.clock.wall_seconds()),
            recoverable: grant.is_recoverable,
            positioned: grant.is_positioned,
            position: if grant.is_positioned { recovery.as_ref().map(|recovery| recovery.position.clone()).or(live) } else { None },
            publications: Vec::new(),
            was_recovering: asked.since.is_some() && grant.is_recoverable,
            recovered: recovery.as_ref().is_some_and(|recovery| recovery.is_recovered),
            data: grant.data.clone(),
            delta: grant.tells_deltas,
        };
        (result, recovery)
    }

    /// Replies and goes live, in one turn: from here on nothing of the channel is missed, and nothing overtakes the reply.
    fn subscribed(&mut self, id: u32, shard: &Rc<Shard>, grant: &Grant, asked: &Asked, history: Option<History>) -> Step {
        let (result, recovery) = self.result(shard, grant, asked, history);
        if asked.rejects_unrecovered && result.was_recovering && !result.recovered {
            return self.refuse(id, COMMAND, ErrorCode::UNRECOVERABLE_POSITION);
        }
        if is_own(&grant.channel)
            && !self.is_canary()
            && let Some(identity) = self.identity()
        {
            self.worker.procedures.watches(&Caller::of(&identity.facts), &grant.channel);
        }
        let publications = recovery.map(|recovery| recovery.publications).unwrap_or_default();
        if publications.is_empty() {
            self.reply(&Reply::Subscribe { id, result: &result });
        } else {
            let since = publications[0].offset - 1;
            let until = shard.position().unwrap_or_default();
            let around = shard
                .shared_history(self.codec(), grant.tells_deltas, grant.filter.as_ref(), since, &until, &publications)
                .and_then(|list| Ok((self.codec().subscribe_reply_around(id, &result, list.len())?, list)));
            match around {
                Ok(((head, tail), list)) => {
                    self.flush_replies();
                    send_around(&self.outbox, &head, list, &tail);
                }
                Err(NotJson) => return self.drop_client(Disconnect::INAPPROPRIATE_PROTOCOL),
            }
        }
        self.join(shard, grant, publications.last().map(|publication| &publication.data));
        self.took(if result.was_recovering { Path::Recovery } else { Path::Subscribe }, self.turn_since.elapsed());
        if grant.expires_at.is_some() {
            self.schedule(self.worker.clock.now());
        }
        Step::Done
    }

    /// Makes the session a member of the channel, which `has` the last publication that was given with the reply.
    pub(in crate::session) fn join(&mut self, shard: &Rc<Shard>, grant: &Grant, has: Option<&Payload>) {
        let Some(info) = self.identity().map(|identity| Arc::clone(&identity.info)) else { return };
        let subscription = Subscription::join(shard, &self.outbox, grant, has, &info, &self.worker.publisher.broker);
        self.subscriptions.insert(grant.channel.clone(), Box::new(subscription));
        self.count_subscriptions();
    }
}

/// The kind of deltas that a client names.
fn delta_type(name: &str) -> Option<DeltaType> {
    (name == "fossil").then_some(DeltaType::Fossil)
}

/// Where the client is to be brought up from: where it says it stood, or nowhere at all in a cache that everybody is given.
fn wanted_since(grant: &Grant, asked: &Asked) -> Option<StreamPosition> {
    let gives_cache = grant.options.force_recovery_mode == RecoveryMode::Cache && grant.options.auto_cache_recover;
    match &asked.since {
        _ if !grant.is_recoverable => None,
        Some(since) => Some(since.clone()),
        None if gives_cache => Some(StreamPosition::default()),
        None => None,
    }
}

/// Whether the channel's members have been given more than `history` knows of.
fn is_behind(history: &History, shard: &Shard) -> bool {
    shard.position().is_some_and(|live| live.epoch == history.position.epoch && live.offset > history.position.offset)
}

/// One frame of three parts, of which the middle one is shared.
fn send_around(outbox: &Rc<Outbox>, head: &[u8], list: Bytes, tail: &[u8]) {
    let (before, behind) = outbox.wire().around(head.len() + list.len() + tail.len());
    outbox.send_parts([Bytes::from([&before[..], head].concat()), list, Bytes::from([tail, behind].concat())]);
}
