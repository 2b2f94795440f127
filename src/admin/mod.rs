//! Steering a running hub: commands for operators, channels that they watch, and the record of who did what.
//!
//! Commands come as calls (`rpc`) of ordinary connections, through the [`Port`] that the app plugs into the session room. Each is judged by
//! `gate`, recorded by `audit` before its effect, and carried out by one file of `commands`. Deliberately absent: a second way in. The command
//! line client and the page come the same way as everybody.
//!
//! ACTOR, one a process, on a thread of its own, so that a busy neighbour cannot starve whoever wants to look at it. Born at start-up; watched
//! by the watchdog, which starts a new one on the same [`Desk`] when it does not answer. Commands run as tasks beside it: one that panics
//! takes nothing with it but its answer.

mod arguments;
pub mod audit;
mod checkup;
pub mod commands;
mod desk;
mod gate;
mod looks;

pub use arguments::{Argument, SecretName};
pub use desk::{AdminSettings, Desk, DeskParts, House, Listener, Reloaded, publish_record, record};

use crate::broker::Answer;
use crate::protocol::codes::ErrorCode;
use crate::session::procedures::{CallError, Caller, OWN_METHODS, Procedures};
use crate::telemetry::admin::CommandJudged;
use crate::telemetry::emit;
use crate::telemetry::tap::{Tapped, tap};
use actix::prelude::*;
use arguments::{BadArgument, CONFIRM, Members, redacted};
use audit::{Act, Audit, Outcome};
use bytes::Bytes;
use commands::{Command, Effect, Failure, Prepared};
use gate::Refused;
use parking_lot::RwLock;
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What begins the names of all commands.
pub const PREFIX: &str = OWN_METHODS;

/// Calls that may wait. Beyond it they are refused as too many.
const MAILBOX_CAPACITY: usize = 64;

/// Commands that are carried out at one time.
const RUNNING_MAX: usize = 16;

/// Time for one command. Those that take longer by nature only begin what they do.
const COMMAND_MAX: Duration = Duration::from_secs(20);

/// Bytes of one answer: well below what may wait for a client (`client.queue_max_size`).
const ANSWER_BYTES_MAX: usize = 512 * 1_024;

/// Between two looks at budgets, traces and levels that end by themselves.
const TICK: Duration = Duration::from_secs(1);

/// The actor of calls by clients that have said no name.
const ANONYMOUS: &str = "(anonymous)";

/// The way to the actor for the sessions of all workers, whichever actor it is at the moment.
pub struct Port {
    admin: RwLock<Option<Addr<Admin>>>,
    audit: Audit,
}

impl Port {
    pub fn new(audit: Audit) -> Self {
        Self { admin: RwLock::default(), audit }
    }

    /// From now on calls go to this one.
    pub fn plug_in(&self, admin: Addr<Admin>) {
        *self.admin.write() = Some(admin);
    }

    pub fn admin(&self) -> Option<Addr<Admin>> {
        self.admin.read().clone()
    }
}

impl Procedures for Port {
    fn call(&self, caller: Caller, method: String, data: Bytes) -> Answer<Result<Bytes, CallError>> {
        if !method.starts_with(PREFIX) {
            return Answer::Ready(Err(ErrorCode::NOT_AVAILABLE.into()));
        }
        let (reply, answer) = oneshot::channel();
        // By reference: a clone of the address would always get one message in, however full the mailbox is.
        let is_full = |error: SendError<Call>| matches!(error, SendError::Full(_));
        let sent = self.admin.read().as_ref().map_or(Err(false), |admin| admin.try_send(Call { caller, method, data, reply }).map_err(is_full));
        match sent {
            Ok(()) => Answer::Later(Box::pin(async move {
                answer.await.unwrap_or_else(|_| Err(CallError::new(ErrorCode::INTERNAL, "the command was given up; the hub's log says why")))
            })),
            Err(true) => Answer::Ready(Err(CallError::from(&Refused::TooMany))),
            Err(false) => Answer::Ready(Err(CallError::new(ErrorCode::INTERNAL, "commands are about to be available again"))),
        }
    }

    fn may_watch(&self, caller: &Caller, channel: &str) -> bool {
        let may = gate::may_watch(caller.role, caller.session, channel, tap());
        if !may {
            self.audit.refused_later(Act { object: channel.to_string(), ..act_of(caller, "admin.watch") });
        }
        may
    }

    fn watches(&self, caller: &Caller, channel: &str) {
        self.audit.note_later(Act { object: channel.to_string(), ..act_of(caller, "admin.watch") });
    }
}

fn act_of(caller: &Caller, action: &str) -> Act {
    let actor = if caller.user.is_anonymous() { ANONYMOUS } else { caller.user.as_str() };
    Act {
        actor: actor.to_string(),
        origin: format!("{} {} {}", caller.address, caller.transport.as_str(), caller.session),
        action: action.to_string(),
        object: String::new(),
        details: Value::Null,
    }
}

pub struct Admin {
    desk: Arc<Desk>,
    /// Commands being carried out.
    running: Rc<Cell<usize>>,
}

impl Admin {
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk, running: Rc::default() }
    }
}

impl Actor for Admin {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        // The actor before this one is gone, and with it whoever ended its traces.
        self.desk.traces.lock().clear();
        let queue = tap().open();
        ctx.spawn(show(Arc::clone(&self.desk), queue).into_actor(self));
        ctx.run_interval(TICK, |admin, _| admin.tick());
    }
}

/// Publishes what is watched, for as long as the actor lives.
async fn show(desk: Arc<Desk>, mut queue: mpsc::Receiver<Tapped>) {
    while let Some(tapped) = queue.recv().await {
        match tapped {
            Tapped::Event { kind, data } => desk.publish_event(kind.as_str(), &data),
            Tapped::Entry { trace, data } => {
                let mut data = data;
                data["at"] = json!(desk.clock.wall_ms());
                desk.publish_trace(trace, &data);
            }
        }
    }
}

impl Admin {
    fn tick(&mut self) {
        let desk = &self.desk;
        tap().watch(desk.is_watched());
        let left_out = tap().refill();
        if !left_out.events.is_empty() {
            let counts: serde_json::Map<_, _> = left_out.events.iter().map(|(kind, count)| (kind.as_str().to_string(), json!(count))).collect();
            desk.publish_event("left_out", &Value::Object(counts));
        }
        for (trace, count) in left_out.entries {
            desk.publish_trace(trace, &json!({ "what": "left_out", "entries": count }));
        }
        let now = desk.clock.now();
        let running: Vec<_> = desk.traces.lock().iter().map(|(id, running)| (*id, *running)).collect();
        let spent: Vec<u64> = tap().traces().iter().filter(|trace| trace.is_spent()).map(|trace| trace.id).collect();
        for (id, trace) in running {
            if now >= trace.until {
                desk.end_trace(id, "its time is over");
            } else if desk.hub.find(trace.owner).is_none() {
                desk.end_trace(id, "its owner left");
            } else if spent.contains(&id) {
                desk.end_trace(id, "it has shown as much as it may");
            }
        }
        for module in crate::telemetry::logs::expire(now) {
            log::info!("the log level of {module:?} is the configured one again");
        }
    }
}

// === Ping ===
/// Answered at once by an actor that is alive.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ping;

impl Handler<Ping> for Admin {
    type Result = ();
    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

// === Call ===
/// A client calls a command.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Call {
    pub caller: Caller,
    pub method: String,
    /// JSON of the arguments; empty: none.
    pub data: Bytes,
    pub reply: oneshot::Sender<Result<Bytes, CallError>>,
}

/// One of the commands being carried out; dropping it makes room.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(running: &Rc<Cell<usize>>) -> Option<Self> {
        if running.get() >= RUNNING_MAX {
            return None;
        }
        running.set(running.get() + 1);
        Some(Self(Rc::clone(running)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Handler<Call> for Admin {
    type Result = ();

    fn handle(&mut self, Call { caller, method, data, reply }: Call, _: &mut Self::Context) {
        let Some(place) = Place::take(&self.running) else {
            self.desk.audit.refused_later(Act { details: json!({ "why": Refused::TooMany.to_string() }), ..act_of(&caller, &method) });
            let _ = reply.send(Err(CallError::from(&Refused::TooMany)));
            return;
        };
        let desk = Arc::clone(&self.desk);
        // Not the actor's own future: it goes on when the caller leaves, and when the actor does.
        actix_rt::spawn(async move {
            let answer = answer(desk, caller, &method, &data).await;
            drop(place);
            let _ = reply.send(answer);
        });
    }
}

/// Judges a call, records it, carries it out, records what came of it.
async fn answer(desk: Arc<Desk>, caller: Caller, method: &str, data: &[u8]) -> Result<Bytes, CallError> {
    let command = commands::find(method);
    let members = members(data);
    let mut act = act_of(&caller, method);
    if let (Some(command), Ok(members)) = (command, &members) {
        act.object = members.get(command.object).and_then(Value::as_str).unwrap_or_default().to_string();
        act.details = redacted(members, &(command.table)());
    }
    let judged = gate::may_call(caller.role, command, method).and_then(|command| Ok((command, prepare(command, members?)?)));
    let (command, run) = match judged {
        Ok(judged) => judged,
        Err(refused) => {
            emit(CommandJudged { outcome: "refused" });
            act.details = json!({ "arguments": act.details, "why": refused.to_string() });
            // Refused in any case; that the log is in trouble is known elsewhere.
            let _ = desk.audit.refused(act).await;
            return Err(CallError::from(&refused));
        }
    };
    let entry = match command.effect {
        Effect::Looks | Effect::Reads if !desk.looks.lock().is_news(caller.session, method, &act.details, desk.clock.now()) => None,
        Effect::Looks => {
            desk.audit.note_later(act);
            None
        }
        Effect::Reads => {
            desk.audit.note(act).await.map_err(|error| not_recorded(&error))?;
            None
        }
        Effect::Changes | Effect::Endangers => Some(desk.audit.begin(act).await.map_err(|error| not_recorded(&error))?),
    };
    let result = match tokio::time::timeout(COMMAND_MAX, run(Arc::clone(&desk), caller)).await {
        Ok(result) => result.and_then(written),
        Err(_) => Err(Failure::Failed(format!("it took longer than {} s", COMMAND_MAX.as_secs()))),
    };
    emit(CommandJudged { outcome: if result.is_ok() { "done" } else { "failed" } });
    if let Some(entry) = entry {
        entry.finish(match &result {
            Ok((_, outcome)) => Outcome::Done(outcome.clone()),
            Err(failure) => Outcome::Failed(failure.to_string()),
        });
    }
    result.map(|(bytes, _)| bytes).map_err(CallError::from)
}

fn not_recorded(error: &audit::AuditError) -> CallError {
    emit(CommandJudged { outcome: "unrecorded" });
    CallError::new(ErrorCode::INTERNAL, format!("nothing was done, because it cannot be recorded: {error}"))
}

fn members(data: &[u8]) -> Result<Members, BadArgument> {
    if data.is_empty() {
        return Ok(Members::new());
    }
    match serde_json::from_slice(data) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(Value::Null) => Ok(Members::new()),
        Ok(_) | Err(_) => Err(BadArgument::NotAnObject),
    }
}

fn prepare(command: &Command, mut members: Members) -> Result<Prepared, BadArgument> {
    if command.effect == Effect::Endangers && members.remove(CONFIRM) != Some(Value::Bool(true)) {
        return Err(BadArgument::Unconfirmed);
    }
    (command.prepare)(members)
}

/// The answer as bytes, and what of it goes into the audit log: small numbers and words, not lists.
fn written(value: Value) -> Result<(Bytes, Value), Failure> {
    let text = value.to_string();
    if text.len() > ANSWER_BYTES_MAX {
        return Err(Failure::Bad(format!("the answer has {} bytes, more than {ANSWER_BYTES_MAX}; ask for less at a time", text.len())));
    }
    let outcome = match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().filter(|(_, value)| value.is_number() || value.is_boolean() || value.is_string()).collect())
        }
        other => other,
    };
    Ok((Bytes::from(text), outcome))
}
