//! `connect`: who is it, and which channels does it get without asking?

use super::hooked::Verdict;
use super::subscribe::Asked;
use super::{Session, Step, ttl};
use crate::auth::{ConnectionClaims, Right, ServerSub, TokenError, may_subscribe};
use crate::broker::{Answer, BrokerError, History};
use crate::channel::{ChannelName, ClientInfo, is_own};
use crate::hooks::Question;
use crate::protocol::centrifuge::command::ConnectRequest;
use crate::protocol::centrifuge::{ConnectResult, Reply, Request, ServerSubscription};
use crate::protocol::codes::{ClientError, Disconnect, ErrorCode};
use crate::session::facts::{Credentials, SessionFacts, SessionKey};
use crate::session::procedures::Caller;
use crate::session::subscription::Grant;
use crate::session::{Disconnected, Identity, Phase};
use crate::telemetry::emit;
use crate::telemetry::latency::Path;
use crate::telemetry::sessions::{Ended, SessionConnected};
use crate::topic::shard::Shard;
use actix::{AsyncContext, Context};
use bytes::Bytes;
use serde_json::json;
use std::rc::Rc;
use std::sync::Arc;

const COMMAND: &str = "connect";

/// Why a client does not get in.
pub(super) enum Refused {
    Error(ErrorCode),
    Disconnect(Disconnect),
}

/// A channel that the client gets with its connection.
struct ServerSide {
    shard: Rc<Shard>,
    grant: Grant,
    asked: Asked,
}

impl Session {
    pub(super) fn connect(&mut self, id: u32, request: &ConnectRequest, ctx: &mut Context<Self>) -> Step {
        if self.is_canary() {
            return self.connect_canary(id, ctx);
        }
        let admitted = match self.admitted(id, request, ctx) {
            Ok(admitted) => admitted,
            Err(step) => return step,
        };
        let claims = match admitted.map_or_else(|| self.authenticate(&request.token), Ok) {
            Ok(claims) => claims,
            Err(refused) => return self.turn_away(id, refused),
        };
        if let Some(notice) = self.worker.maintenance.notice().filter(|_| !claims.bearer.has(Right::Maintenance)) {
            // Who knew of it before is here to say what it is.
            let reason = if notice.message.is_empty() { "maintenance" } else { &notice.message };
            self.disconnect_with(Disconnect::SHUTDOWN.code, reason, Ended::ByHub(Disconnect::SHUTDOWN));
            return Step::Done;
        }
        self.user = claims.user.clone();
        self.bearer = claims.bearer.clone();
        let server_side = match self.server_side(request, &claims) {
            Ok(server_side) => server_side,
            Err(refused) => return self.turn_away(id, refused),
        };
        // All are on their way to their topics; this waits for the first that has not arrived, and looks at all of them again.
        if server_side.iter().any(|one| !one.shard.is_live_or_tell(&self.outbox)) {
            return Step::Again;
        }
        self.read_all(id, claims, server_side, Vec::new(), ctx)
    }

    /// A canary shows no token: where it comes from says what it is. It is told which worker it sits on.
    fn connect_canary(&mut self, id: u32, ctx: &mut Context<Self>) -> Step {
        let worker = Bytes::from(json!({ "worker": self.worker.fan.index }).to_string());
        let claims = ConnectionClaims { data: worker, ..ConnectionClaims::anonymous() };
        self.connected(id, &claims, Vec::new(), Vec::new(), ctx)
    }

    /// Reads what was missed in each of the channels, one after the other, and finishes when all is read.
    fn read_all(
        &mut self,
        id: u32,
        claims: ConnectionClaims,
        server_side: Vec<ServerSide>,
        mut histories: Vec<Option<Result<History, BrokerError>>>,
        ctx: &mut Context<Self>,
    ) -> Step {
        while let Some(next) = server_side.get(histories.len()) {
            match self.read_missed(&next.shard, &next.grant, &next.asked) {
                None => histories.push(None),
                Some(Answer::Ready(history)) => histories.push(Some(history)),
                Some(later) => {
                    return self.with_answer(later, ctx, move |session, history, ctx| {
                        histories.push(Some(history));
                        session.read_all(id, claims, server_side, histories, ctx)
                    });
                }
            }
        }
        self.connected(id, &claims, server_side, histories, ctx)
    }

    /// What the application says of a client that shows no token; `None` where it is not asked, or does not know. An error: what became of the
    /// command, which is not to be gone on with now.
    fn admitted(&mut self, id: u32, request: &ConnectRequest, ctx: &mut Context<Self>) -> Result<Option<ConnectionClaims>, Step> {
        let Some(backend) = self.hooks().and_then(|hooks| hooks.connect.as_ref()).filter(|_| request.token.is_empty()) else { return Ok(None) };
        let Some(Verdict::Connect(heard)) = self.verdict.as_deref() else {
            let mut channels: Vec<&str> = request.subs.keys().map(String::as_str).collect();
            channels.sort_unstable();
            let question = Question { name: &request.name, version: &request.version, channels, ..self.question() };
            let answer = backend.ask(question, &request.data, self.asker());
            return Err(self.with_verdict(id, Request::Connect(request.clone()), answer, ctx, Verdict::Connect));
        };
        match heard.clone() {
            Ok(Some(admitted)) => {
                if admitted.expires_at.is_some_and(|at| at <= self.worker.clock.wall_seconds()) {
                    return Err(self.turn_away(id, Refused::Error(ErrorCode::EXPIRED)));
                }
                Ok(Some(ConnectionClaims {
                    user: admitted.user,
                    expires_at: admitted.expires_at,
                    info: admitted.info,
                    data: admitted.data,
                    subs: admitted.subs,
                    meta: admitted.meta,
                    ..ConnectionClaims::anonymous()
                }))
            }
            Ok(None) => Ok(None),
            Err(refused) => {
                self.refuse_as(id, COMMAND, &refused);
                Err(self.dead())
            }
        }
    }

    fn authenticate(&mut self, token: &str) -> Result<ConnectionClaims, Refused> {
        let settings = &self.worker.settings;
        if token.is_empty() {
            let gets_in = settings.is_insecure || settings.allow_anonymous;
            return if gets_in { Ok(ConnectionClaims::anonymous()) } else { Err(Refused::Disconnect(Disconnect::BAD_REQUEST)) };
        }
        let claims = self.worker.tokens.verify_connection(token, self.worker.clock.wall_seconds()).map_err(|error| match error {
            TokenError::Expired => Refused::Error(ErrorCode::TOKEN_EXPIRED),
            TokenError::Invalid { .. } => {
                self.token_refused(&error);
                Refused::Disconnect(Disconnect::INVALID_TOKEN)
            }
        })?;
        if claims.user.is_anonymous() && settings.disallow_anonymous_tokens {
            return Err(Refused::Disconnect(Disconnect::PERMISSION_DENIED));
        }
        if claims.expires_at.is_some_and(|at| at <= self.worker.clock.wall_seconds()) {
            return Err(Refused::Error(ErrorCode::TOKEN_EXPIRED));
        }
        Ok(claims)
    }

    /// The channels that come with the connection: of the token, the user's own, and those of the request that need no token. The hub's own are
    /// opened by the role alone, to who asks: no list in a token names them.
    fn server_side(&self, request: &ConnectRequest, claims: &ConnectionClaims) -> Result<Vec<ServerSide>, Refused> {
        let rules = &self.worker.publisher.rules;
        let mut wanted = claims.subs.clone();
        if let Some(personal) = &self.worker.settings.personal_channel
            && !claims.user.is_anonymous()
        {
            let channel = rules.personal_channel(&personal.namespace, &claims.user);
            if !wanted.iter().any(|sub| sub.channel == channel) {
                wanted.push(ServerSub::plain(channel));
            }
        }
        let known: std::collections::HashSet<_> = wanted.iter().map(|sub| sub.channel.clone()).collect();
        let mut from_request: Vec<_> = request.subs.keys().filter(|name| !known.contains(name.as_str())).collect();
        from_request.sort_unstable();
        let caller = Caller::connecting(self.id, &self.peer, claims);
        let mut watched = Vec::new();
        for name in from_request {
            if is_own(name) {
                if self.worker.procedures.may_watch(&caller, name) {
                    watched.push(ServerSub::plain(ChannelName::new(name)));
                }
                continue;
            }
            let options = rules.options_for_client(name).map_err(|_| Refused::Disconnect(Disconnect::BAD_REQUEST))?;
            // Where the application decides, the client has to ask for itself.
            if !name.is_empty() && !options.subscribe_proxy_enabled && may_subscribe(rules, options, self.client(name), name, None, 0).is_ok() {
                wanted.push(ServerSub::plain(ChannelName::new(name)));
            }
        }
        let patterns: Vec<_> = wanted.iter().map(|sub| &sub.channel).filter(|channel| rules.pattern_prefix(channel).is_some()).collect();
        if wanted.len() + watched.len() > self.worker.settings.channel_limit || patterns.len() > self.worker.settings.wildcard_limit {
            return Err(Refused::Disconnect(Disconnect::CHANNEL_LIMIT));
        }
        if !patterns.iter().all(|pattern| self.worker.fan.topics.has_room_for(pattern)) {
            return Err(Refused::Error(ErrorCode::TOO_MANY_REQUESTS));
        }
        let wanted = wanted.into_iter().map(|sub| (rules.options(&sub.channel), sub));
        let watched = watched.into_iter().map(|sub| (rules.options_of_any(&sub.channel), sub));
        wanted
            .chain(watched)
            .map(|(options, sub)| {
                let options = options.map_err(|error| Refused::Error(error.code()))?;
                let asked = request.subs.get(sub.channel.as_str()).map(Asked::from).unwrap_or_default();
                let mut grant = Grant::of_server(sub, options, None);
                self.settle(&mut grant, &asked);
                let shard = self.worker.fan.shard(&grant.channel, &grant.options);
                Ok(ServerSide { shard, grant, asked })
            })
            .collect()
    }

    pub(super) fn turn_away(&mut self, id: u32, refused: Refused) -> Step {
        match refused {
            Refused::Disconnect(why) => self.drop_client(why),
            Refused::Error(error) => {
                self.refuse(id, COMMAND, error);
                self.dead()
            }
        }
    }

    /// After an error in the place of its connect result the connection takes no command, and ends soon.
    fn dead(&mut self) -> Step {
        if !matches!(self.phase, Phase::Closing) {
            let until = self.worker.clock.now() + self.worker.settings.close_timeout_ms;
            self.phase = Phase::Refused { until };
            self.place.wake_at(Some(until));
        }
        Step::Done
    }

    /// Replies and goes live in all channels, in one turn.
    fn connected(
        &mut self,
        id: u32,
        claims: &ConnectionClaims,
        server_side: Vec<ServerSide>,
        histories: Vec<Option<Result<History, BrokerError>>>,
        ctx: &mut Context<Self>,
    ) -> Step {
        let settings = Arc::clone(&self.worker.settings);
        let hub = Arc::clone(&self.worker.hub);
        let single = settings.personal_channel.as_ref().is_some_and(|personal| personal.is_single_connection) && !self.user.is_anonymous();
        let others = if single { hub.of_user(&self.user) } else { Vec::new() };
        let is_canary = self.is_canary();
        if !is_canary && self.worker.limits.connects.take(None, self.user.as_str(), None).is_err() {
            return self.drop_client(Disconnect::TOO_MANY_REQUESTS);
        }
        let clock = &self.worker.clock;
        let facts = SessionFacts::new(self.id, self.user.clone(), Arc::clone(&self.peer), clock.now(), clock.wall_ms(), Credentials::from(claims));
        let wire = self.wire();
        let facts = Arc::new(if wire.is_emulated() || wire.is_unidirectional() { facts.with_key(SessionKey::random()) } else { facts });
        let place = if is_canary { None } else { hub.enter(&facts, ctx.address().downgrade(), settings.user_connection_limit) };
        if place.is_none() && !is_canary {
            return self.drop_client(Disconnect::CONNECTION_LIMIT);
        }
        // Asked only now: whoever is blocked from here on is found in the hub by those who close its connections.
        if let Some(kind) = facts.block(&self.worker.blocks).filter(|_| !is_canary) {
            return self.keep_out(kind);
        }
        let info = ClientInfo { user: self.user.clone(), client: self.id, conn_info: claims.info.clone(), chan_info: Bytes::new() };
        self.outbox.belongs_to(self.id, &self.user);
        self.phase = Phase::Connected(Box::new(Identity {
            info: Arc::new(info),
            facts: Arc::clone(&facts),
            expires_at: claims.expires_at,
            // Nobody else is ever told.
            meta: claims.meta.clone().filter(|_| self.worker.hooks.is_some()).map(Box::new),
            token_channels: claims.subs.iter().map(|sub| sub.channel.clone()).collect(),
            _place: place,
        }));
        // Whoever ended the login after its token was looked at, and before this session could be found, did not find it.
        match self.worker.tokens.still_good(claims) {
            Ok(()) => {}
            Err(TokenError::Expired) => return self.turn_away(id, Refused::Error(ErrorCode::TOKEN_EXPIRED)),
            Err(TokenError::Invalid { .. }) => return self.turn_away(id, Refused::Disconnect(Disconnect::INVALID_TOKEN)),
        }
        self.was_connected = true;
        if !is_canary {
            emit(SessionConnected { session: self.id, user: &self.user, address: self.peer.address });
        }
        for other in others {
            other.addr.do_send(Disconnected::because(Disconnect::CONNECTION_LIMIT));
        }
        let session = facts.secret_id();
        let mut subs = Vec::with_capacity(server_side.len());
        for (one, history) in server_side.iter().zip(histories) {
            if is_own(&one.grant.channel) {
                self.worker.procedures.watches(&Caller::of(&facts), &one.grant.channel);
            }
            let history = match history.transpose() {
                Ok(history) => history,
                Err(error) => return self.turn_away(id, Refused::Error(error.code())),
            };
            let (mut result, recovery) = self.result(&one.shard, &one.grant, &one.asked, history);
            result.publications = recovery.map(|recovery| recovery.publications).unwrap_or_default();
            subs.push(ServerSubscription { channel: one.grant.channel.clone(), result });
        }
        let wall_ms = self.worker.clock.wall_ms();
        let pings_by_message = settings.ping_interval_ms > 0 && !self.pings_by_frame;
        let result = ConnectResult {
            client: self.id.to_string(),
            version: settings.version.clone(),
            ttl: ttl(claims.expires_at.filter(|_| self.renewed_by().is_none()), self.worker.clock.wall_seconds()),
            data: claims.data.clone(),
            subs,
            ping: if pings_by_message { (settings.ping_interval_ms / 1_000).max(1) as u32 } else { 0 },
            pong: pings_by_message && settings.pong_timeout_ms > 0 && !wire.is_unidirectional(),
            node: if session.is_empty() { String::new() } else { settings.node.clone() },
            session,
            time: if settings.tell_time { wall_ms } else { 0 },
        };
        self.reply(&Reply::Connect { id, result: &result });
        self.took(Path::Connect, self.turn_since.elapsed());
        for one in server_side {
            self.join(&one.shard, &one.grant, None);
        }
        let now = self.worker.clock.now();
        // The first ping comes somewhere in the second half of the interval, so that the pings of many clients spread out.
        self.next_ping = now + settings.ping_interval_ms / 2 + rand::random_range(0..=settings.ping_interval_ms / 2);
        self.schedule(now);
        Step::Done
    }
}
