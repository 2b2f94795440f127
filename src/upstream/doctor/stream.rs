//! What an observed stream means for the hub: observation in, findings out. Pure.

use super::bursts::Buffering;
use super::finding::{Check, Finding, bytes, count, quoted, time};
use super::observation::{LineEnds, Observation};
use super::suggestion::{event_limit_for, idle_timeout_for, line_limit_for};
use crate::protocol::event_stream::EventStreamError;
use crate::said::{Figure, said};
use crate::units::HumanDuration;
use crate::upstream::settings::FeedLimits;
use std::time::Duration;

/// How listening ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The time was over.
    Time,
    /// Somebody wanted to know what is known so far.
    Asked,
    /// More bytes or events than anybody needs to judge a feed.
    Enough,
    /// The feed ended the response.
    Closed,
    /// The connection broke; how.
    Broken(String),
    /// Beyond what we hold of one line or event, which is more than the hub holds by default.
    Beyond(EventStreamError),
}

/// Shorter than this, a stream that ends was a document.
const STREAM_MIN: Duration = Duration::from_secs(1);
/// Event names that are listed.
const NAMES_LISTED: usize = 8;
/// Events without a pause between them that make a flow.
const STEADY_EVENTS: u64 = 20;
/// Bytes a portion, on average, below which a server flushes in the middle of lines.
const DRIP_BYTES_MAX: u64 = 8;
/// Events this old, by their own times, come late whatever the reason.
const DELAY_MS_MAX: i64 = 5_000;
/// Clocks that differ by less are in step for this purpose.
const CLOCK_MS_MAX: i64 = 2_000;

/// Everything there is to say after listening for `length`.
pub fn judge(seen: &Observation, length: Duration, end: &End, limits: &FeedLimits) -> Vec<Finding> {
    let mut findings = vec![stream(seen, length, end)];
    findings.extend(size(seen, end, limits));
    if seen.bytes == 0 {
        return findings;
    }
    findings.extend(drip(seen));
    findings.extend(buffering(seen));
    findings.push(heartbeat(seen, length, limits));
    if seen.events.count > 0 {
        findings.push(rate(seen, length));
        findings.push(names(seen));
        findings.push(ids(seen));
        findings.push(data(seen));
        findings.extend(delay(seen));
    }
    findings.push(retry(seen, limits));
    findings.extend(text(seen));
    findings
}

fn stream(seen: &Observation, length: Duration, end: &End) -> Finding {
    let (events, size_bytes, took_ms) = (|| count(seen.events.count, "event"), || bytes(seen.bytes), || time(length));
    let ended = || {
        said!(
            "stream.ended",
            "the feed ended the response after {events} and {size_bytes} in {took_ms}",
            events = events(),
            size_bytes = size_bytes(),
            took_ms = took_ms()
        )
    };
    match end {
        End::Broken(detail) => Finding::problem(
            Check::Stream,
            said!(
                "stream.broke",
                "the connection broke after {events} and {size_bytes} in {took_ms}: {detail}",
                events = events(),
                size_bytes = size_bytes(),
                took_ms = took_ms(),
                detail = detail.as_str()
            ),
            said!(
                "stream.broke.cure",
                "The hub comes back and resumes, but a feed should not break within a check. Look at the server's log, and at timeouts of proxies \
                 before it."
            ),
        ),
        End::Closed if length < STREAM_MIN || seen.events.count == 0 => Finding::problem(
            Check::Stream,
            ended(),
            said!(
                "stream.document",
                "This is a document or a polled list rather than a stream: the hub would ask for it again and again. A feed keeps its response open."
            ),
        ),
        End::Closed => Finding::warning(
            Check::Stream,
            ended(),
            said!(
                "stream.ended.cure",
                "The hub comes back at once and resumes. If the feed does not end its streams on purpose, look for a time limit in the server or a \
                 proxy before it (nginx: proxy_read_timeout)."
            ),
        ),
        _ if seen.bytes == 0 => Finding::warning(
            Check::Stream,
            said!("stream.quiet", "not a byte in {took_ms}", took_ms = took_ms()),
            said!(
                "stream.quiet.cure",
                "A quiet feed, or one that a proxy holds back: repeat with a longer --duration. Without a heartbeat the hub cannot tell a quiet feed \
                 from a dead connection and reconnects after idle_timeout."
            ),
        ),
        _ if seen.lines == 0 => Finding::problem(
            Check::Stream,
            said!("stream.no_line", "{size_bytes} without a single line end", size_bytes = size_bytes()),
            said!("stream.no_line.cure", "This is not an event stream, or it never finishes its first line. The hub gives up at line_bytes_max."),
        ),
        _ if seen.events.count == 0 && seen.comments.count == 0 => Finding::problem(
            Check::Stream,
            match &seen.unknown_field {
                Some(line) => said!(
                    "stream.unknown_lines",
                    "no event in {size_bytes}; lines such as {line} are not of the format",
                    size_bytes = size_bytes(),
                    line = quoted(line)
                ),
                None => said!("stream.incomplete", "no complete event in {size_bytes} and {took_ms}", size_bytes = size_bytes(), took_ms = took_ms()),
            },
            said!(
                "stream.format",
                "An event is one or more lines \"data: …\" and an empty line, which makes it complete. Lines of JSON alone are not an event stream."
            ),
        ),
        _ if seen.events.count == 0 => Finding::warning(
            Check::Stream,
            said!(
                "stream.only_comments",
                "no event in {took_ms}, only {comments}",
                took_ms = took_ms(),
                comments = count(seen.comments.count, "comment")
            ),
            said!(
                "stream.only_comments.cure",
                "The connection lives, but nothing happens on this feed, or it needs a parameter: repeat with a longer --duration."
            ),
        ),
        _ => Finding::fine(
            Check::Stream,
            said!("stream.heard", "{events} and {size_bytes} in {took_ms}", events = events(), size_bytes = size_bytes(), took_ms = took_ms()),
        ),
    }
}

fn size(seen: &Observation, end: &End, limits: &FeedLimits) -> Option<Finding> {
    if let End::Beyond(error) = end {
        let heard_bytes = bytes(seen.bytes);
        let limit = |max: usize| Figure::new(format!("{max} bytes"), max);
        let result = match *error {
            EventStreamError::LineTooLong { max } => {
                said!("size.line", "a line is longer than {max_bytes}, after {heard_bytes}", max_bytes = limit(max), heard_bytes)
            }
            EventStreamError::EventTooLong { max } => {
                said!("size.event", "the data of an event is longer than {max_bytes}, after {heard_bytes}", max_bytes = limit(max), heard_bytes)
            }
            EventStreamError::IdTooLong { max } => {
                said!("size.id", "an event id is longer than {max_bytes}, after {heard_bytes}", max_bytes = limit(max), heard_bytes)
            }
            EventStreamError::EventTypeTooLong { max } => {
                said!("size.event_type", "an event type is longer than {max_bytes}, after {heard_bytes}", max_bytes = limit(max), heard_bytes)
            }
        };
        let advice = match error {
            EventStreamError::LineTooLong { .. } | EventStreamError::EventTooLong { .. } => said!(
                "size.split",
                "The check reads no further, and a hub that should live for months should not either: split the event, or send where the data is \
                 instead of the data."
            ),
            EventStreamError::IdTooLong { .. } | EventStreamError::EventTypeTooLong { .. } => {
                said!("size.word", "The hub ends the connection here. An id is a position, an event type a word; what is long belongs into the data.")
            }
        };
        return Some(Finding::problem(Check::Size, result, advice));
    }
    if seen.events.count == 0 {
        return None;
    }
    let (line, event) = (seen.line_bytes_max, seen.event_bytes_max);
    let largest = || {
        said!(
            "size.largest",
            "largest line {line_bytes}, largest event {event_bytes}",
            line_bytes = bytes(line as u64),
            event_bytes = bytes(event as u64)
        )
    };
    let (line_max, event_max) = (limits.stream.line_bytes_max, limits.stream.event_bytes_max);
    if line > line_max || event > event_max {
        let advice = said!(
            "size.raise",
            "The hub ends the connection at line_bytes_max, {line_max_bytes}, and event_bytes_max, {event_max_bytes}. Raise them for this feed, as \
             below: line_bytes_max = \"{line_limit}\", event_bytes_max = \"{event_limit}\".",
            line_max_bytes = bytes(line_max as u64),
            event_max_bytes = bytes(event_max as u64),
            line_limit = line_limit_for(line, limits).to_string(),
            event_limit = event_limit_for(line, event, limits).to_string()
        );
        return Some(Finding::problem(Check::Size, largest(), advice));
    }
    if line > line_max / 2 || event > event_max / 2 {
        return Some(Finding::warning(
            Check::Size,
            largest(),
            said!("size.near", "More than half of what the hub takes (line_bytes_max, event_bytes_max). One that is longer ends the connection."),
        ));
    }
    let result = said!(
        "size.fine",
        "largest line {line_bytes}, largest event {event_bytes}, {mean_bytes} on average",
        line_bytes = bytes(line as u64),
        event_bytes = bytes(event as u64),
        mean_bytes = bytes(seen.data_bytes / seen.events.count.max(1))
    );
    Some(Finding::fine(Check::Size, result))
}

fn drip(seen: &Observation) -> Option<Finding> {
    let is_drip =
        seen.portions >= 10 && seen.bytes / seen.portions <= DRIP_BYTES_MAX && seen.portions > 4 * (seen.events.count + seen.comments.count);
    is_drip.then(|| {
        Finding::warning(
            Check::Stream,
            said!(
                "stream.drips",
                "it comes in drips: {size_bytes} in {portions}",
                size_bytes = bytes(seen.bytes),
                portions = count(seen.portions, "portion")
            ),
            said!(
                "stream.drips.cure",
                "The server sends before a line is complete. It should write a whole event, then flush. An event is late by the time it takes to \
                 arrive."
            ),
        )
    })
}

fn buffering(seen: &Observation) -> Option<Finding> {
    let result = match seen.bursts.verdict() {
        Buffering::Unknown if seen.events.count >= STEADY_EVENTS => {
            return Some(Finding::fine(Check::Buffering, said!("buffering.steady", "events come in a steady flow")));
        }
        Buffering::Unknown => return None,
        Buffering::Flows => {
            return Some(Finding::fine(Check::Buffering, said!("buffering.none", "events come as they happen, nothing holds them back")));
        }
        Buffering::Cut { bursts, bytes: size } => said!(
            "buffering.cut",
            "held back: {bursts} times about {size_bytes} came at once, ending in the middle of an event",
            bursts,
            size_bytes = bytes(size)
        ),
        Buffering::Late { bursts, apart_ms } => said!(
            "buffering.late",
            "held back: {bursts} times events came at once that lie up to {apart_ms} apart by their own times",
            bursts,
            apart_ms = time(Duration::from_millis(apart_ms.unsigned_abs()))
        ),
    };
    Some(Finding::problem(
        Check::Buffering,
        result,
        said!(
            "buffering.cure",
            "Something between the feed and here collects before it sends: a proxy that buffers or compresses. The feed should send the header \
             \"X-Accel-Buffering: no\"; in nginx set \"proxy_buffering off;\", and leave text/event-stream out of gzip_types."
        ),
    ))
}

fn heartbeat(seen: &Observation, length: Duration, limits: &FeedLimits) -> Finding {
    let silence = seen.sounds.longest_silence(length);
    let result = match seen.comments.typical() {
        Some(interval) => said!(
            "heartbeat.every",
            "a comment every {interval_ms}; longest silence {silence_ms}",
            interval_ms = time(interval),
            silence_ms = time(silence)
        ),
        None if seen.comments.count == 1 => {
            said!("heartbeat.once", "one comment; longest silence {silence_ms}", silence_ms = time(silence))
        }
        None => said!("heartbeat.none", "no comments; longest silence {silence_ms}", silence_ms = time(silence)),
    };
    let idle = limits.idle_timeout;
    if silence >= idle {
        let advice = said!(
            "heartbeat.dead",
            "The hub takes the feed for dead after idle_timeout, {idle_ms}, and reconnects. Let the server send a comment (\":\" and a line end) more \
             often, or set idle_timeout = \"{suggested}\" for this feed.",
            idle_ms = time(idle),
            suggested = suggested_idle(seen, length, limits).to_string()
        );
        return Finding::problem(Check::Heartbeat, result, advice);
    }
    if silence > idle / 2 {
        return Finding::warning(
            Check::Heartbeat,
            result,
            said!("heartbeat.near", "More than half of idle_timeout: a somewhat longer silence is taken for a dead connection."),
        );
    }
    if seen.comments.count > 0 || seen.events.count >= 10 {
        return Finding::fine(Check::Heartbeat, result);
    }
    Finding::note(Check::Heartbeat, result).advise(said!(
        "heartbeat.wanted",
        "Without a heartbeat a dead connection is noticed only after idle_timeout, {idle_ms}, and a quiet feed is reconnected as often. A comment \
         every 15 s cures both.",
        idle_ms = time(idle)
    ))
}

fn suggested_idle(seen: &Observation, length: Duration, limits: &FeedLimits) -> HumanDuration {
    idle_timeout_for(seen, length, limits).unwrap_or(HumanDuration::from_ms(limits.idle_timeout.as_millis() as i64))
}

fn rate(seen: &Observation, length: Duration) -> Finding {
    let seconds = length.as_secs_f64().max(0.001);
    let events = seen.events.count as f64 / seconds;
    let (traffic_bytes, silence_ms) = (bytes((seen.bytes as f64 / seconds) as u64), time(seen.events.longest_silence(length)));
    let tenths = |rate: f64| Figure::new(format!("{rate:.1}"), (rate * 10.0).round() / 10.0);
    let result = if events >= 1.0 {
        said!(
            "rate.second",
            "{per_second} events a second, {traffic_bytes} a second; longest time without an event {silence_ms}",
            per_second = tenths(events),
            traffic_bytes,
            silence_ms
        )
    } else {
        said!(
            "rate.minute",
            "{per_minute} events a minute, {traffic_bytes} a second; longest time without an event {silence_ms}",
            per_minute = tenths(events * 60.0),
            traffic_bytes,
            silence_ms
        )
    };
    Finding::fine(Check::Rate, result)
}

fn names(seen: &Observation) -> Finding {
    let mut names = seen.names.clone();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let listed: Vec<String> = names.iter().take(NAMES_LISTED).map(|(name, count)| format!("{} ({count})", quoted(name))).collect();
    let more = names.len().saturating_sub(NAMES_LISTED);
    let result = match more {
        0 => said!("event_names.all", "{names}", names = listed.join(", ")),
        _ => said!("event_names.most", "{names} and {more} more", names = listed.join(", "), more),
    };
    if seen.other_names > 0 {
        return Finding::warning(
            Check::EventNames,
            result,
            said!(
                "event_names.many",
                "There are very many event names. Do not use {{event}} in the channel's name: every name would become a channel."
            ),
        );
    }
    if names.iter().any(|(name, _)| !super::suggestion::can_be_in_channel(name)) {
        return Finding::note(Check::EventNames, result).advise(said!(
            "event_names.odd",
            "Some hold characters that may not be chosen by a stranger in a channel's name: with {{event}} in the channel such events are dropped and \
             counted."
        ));
    }
    Finding::fine(Check::EventNames, result)
}

fn ids(seen: &Observation) -> Finding {
    let (events, ids) = (seen.events.count, &seen.ids);
    if ids.events_with == 0 {
        return Finding::warning(
            Check::Ids,
            said!("ids.none", "events have no id"),
            said!(
                "ids.none.cure",
                "The hub cannot say where it was when it comes back: what the feed says meanwhile is lost, and repeated events are not recognised."
            ),
        );
    }
    let example = ids.beginning.first().map(|id| quoted(id)).unwrap_or_default();
    if ids.repeated > 0 {
        return Finding::warning(
            Check::Ids,
            said!(
                "ids.repeated",
                "{repeated} of {all} events have an id that came before, such as ids like {example}",
                repeated = ids.repeated,
                all = events,
                example
            ),
            said!("ids.repeated.cure", "An id must be a position: after a reconnect an event whose id the hub knows is taken for a repetition."),
        );
    }
    if ids.events_with < events {
        let result = said!(
            "ids.some",
            "{with_id} of {all} events have an id of their own, for instance {example}",
            with_id = ids.events_with,
            all = events,
            example
        );
        return Finding::note(Check::Ids, result)
            .advise(said!("ids.some.cure", "The others inherit the last one: after a reconnect they may be missing or come again."));
    }
    let result = match (ids.compared, ids.not_growing) {
        (0, _) => said!("ids.unique", "every event has one, unique, for instance {example}", example),
        (_, 0) => said!("ids.growing", "every event has one, unique and growing, for instance {example}", example),
        _ => said!("ids.unordered", "every event has one, unique, but not always growing, for instance {example}", example),
    };
    Finding::fine(Check::Ids, result)
}

fn data(seen: &Observation) -> Finding {
    match (seen.json, seen.not_json) {
        (_, 0) => Finding::fine(Check::Data, said!("data.json", "JSON; format = \"data\" hands it on as it is")),
        (0, _) => Finding::fine(Check::Data, said!("data.text", "text, not JSON; format = \"data\" makes a JSON string of it")),
        (json, text) => {
            let result = said!("data.mixed", "JSON in {events}, other text in {others}", events = count(json, "event"), others = text);
            Finding::note(Check::Data, result).advise(said!(
                "data.mixed.cure",
                "With format = \"data\" subscribers get now a value, now a string. format = \"envelope\" always gives them the text."
            ))
        }
    }
}

fn delay(seen: &Observation) -> Option<Finding> {
    let (ms, name) = (seen.delays.typical_ms()?, seen.delays.name?);
    let (age_ms, member) = (time(Duration::from_millis(ms.unsigned_abs())), format!("{name:?}"));
    if ms < -CLOCK_MS_MAX {
        let result = said!("delay.early", "by their own {member}, events come {age_ms} before they happen", member, age_ms);
        return Some(Finding::note(Check::Delay, result).advise(said!("delay.early.cure", "The clocks of the feed and of this machine differ.")));
    }
    let result = said!("delay.is", "by their own {member}, events are typically {age_ms} old when they come", member, age_ms);
    Some(match ms > DELAY_MS_MAX {
        true => Finding::warning(
            Check::Delay,
            result,
            said!("delay.late", "The feed is late at its source, something holds it back, it replays the past, or the clocks differ."),
        ),
        false => Finding::fine(Check::Delay, result),
    })
}

fn retry(seen: &Observation, limits: &FeedLimits) -> Finding {
    if seen.bad_retries > 0 {
        return Finding::warning(
            Check::Retry,
            said!("retry.bad", "{lines} \"retry:\" whose value is not a number", lines = count(seen.bad_retries, "line")),
            said!("retry.bad.cure", "It is ignored. The value is a number of milliseconds, digits only."),
        );
    }
    match seen.retry() {
        None => Finding::note(Check::Retry, said!("retry.none", "the feed does not say when to come back; the hub's retry_initial holds")),
        Some(retry) => {
            let followed = retry.clamp(limits.retry_min, limits.retry_max);
            if followed == retry {
                let result = said!("retry.followed", "come back after {retry_ms}, which the hub follows", retry_ms = time(retry));
                return Finding::fine(Check::Retry, result);
            }
            let result = said!(
                "retry.bounded",
                "come back after {retry_ms}; the hub makes {followed_ms} of it",
                retry_ms = time(retry),
                followed_ms = time(followed)
            );
            Finding::note(Check::Retry, result).advise(said!("retry.bounded.cure", "The bounds are retry_min and retry_max."))
        }
    }
}

fn text(seen: &Observation) -> Vec<Finding> {
    let mut findings = Vec::new();
    if seen.utf8_faults() > 0 {
        findings.push(Finding::warning(
            Check::Text,
            said!("text.no_utf8", "{places} where the bytes are no UTF-8", places = count(seen.utf8_faults(), "place")),
            said!(
                "text.no_utf8.cure",
                "Event streams are UTF-8, whatever the headers say. Each such place becomes the replacement character U+FFFD."
            ),
        ));
    }
    if seen.ids_with_nul > 0 {
        findings.push(Finding::warning(
            Check::Text,
            said!("text.nul", "{ids} with a NUL character", ids = count(seen.ids_with_nul, "id")),
            said!("text.nul.cure", "Readers ignore such ids, the hub too: it resumes from the id before."),
        ));
    }
    if seen.has_bom {
        findings.push(Finding::note(Check::Text, said!("text.bom", "begins with a byte order mark, which is skipped")));
    }
    if seen.unknown_fields > 0 && seen.events.count > 0 {
        let line = seen.unknown_field.as_deref().map(quoted).unwrap_or_default();
        let result = said!("text.unknown_lines", "{lines} not of the format, such as {line}", lines = count(seen.unknown_fields, "line"), line);
        findings.push(
            Finding::note(Check::Text, result)
                .advise(said!("text.unknown_lines.cure", "Readers skip them. A line end within data must be written as a new line \"data: …\".")),
        );
    }
    let LineEnds { lf, crlf, cr } = seen.line_ends;
    let kinds: Vec<&str> = [(lf, "LF"), (crlf, "CRLF"), (cr, "CR")].into_iter().filter(|(number, _)| *number > 0).map(|(_, name)| name).collect();
    if kinds.len() > 1 {
        findings.push(
            Finding::note(Check::Text, said!("text.mixed_ends", "lines end in {ends}", ends = kinds.join(", ")))
                .advise(said!("text.mixed_ends.cure", "Allowed, but a sign of two writers in one stream.")),
        );
    } else if findings.is_empty() && seen.lines > 0 {
        findings.push(Finding::fine(Check::Text, said!("text.fine", "UTF-8, lines end in {ends}", ends = kinds.concat())));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::super::observation::Moment;
    use super::*;
    use crate::protocol::event_stream::EventStreamLimits;

    const WALL: i64 = 1_795_255_200_000;

    fn seen(portions: &[(u64, &[u8])], seconds: u64) -> Observation {
        let mut observation =
            Observation::new(EventStreamLimits { line_bytes_max: 8 << 20, event_bytes_max: 8 << 20, ..EventStreamLimits::default() });
        for (ms, portion) in portions {
            observation.on_portion(portion, Moment { at: Duration::from_millis(*ms), wall_ms: WALL + *ms as i64 }).unwrap();
        }
        observation.finish(Duration::from_secs(seconds));
        observation
    }

    fn told(portions: &[(u64, &[u8])], seconds: u64, end: End) -> Vec<Finding> {
        judge(&seen(portions, seconds), Duration::from_secs(seconds), &end, &FeedLimits::default())
    }

    /// The level and a word that each check must find.
    fn expect(what: &str, findings: &[Finding], expected: &[(Check, Level, &str)]) {
        for (check, level, word) in expected {
            let found = findings.iter().any(|finding| finding.check == *check && finding.level == *level && finding.result.contains(word));
            assert!(found, "{what}: no {level:?} of {check:?} with {word:?} in {findings:#?}");
        }
        for finding in findings {
            let needs_advice = finding.level >= Level::Warning;
            assert!(!needs_advice || finding.advice.is_some(), "{what}: {finding:?} says what to do");
            assert!(!finding.result.ends_with('.') && !finding.result.contains(|c: char| c.is_control()), "{what}: {finding:?}");
        }
    }

    #[test]
    fn a_good_feed_is_all_fine() {
        let event = |n: u64| format!(":\nid: {n}\nevent: tick\ndata: {{\"ts\":{}}}\n\n", WALL + n as i64 * 1_000);
        let events: Vec<(u64, String)> = (0..20).map(|n| (n * 1_000, event(n))).collect();
        let mut portions: Vec<(u64, &[u8])> = vec![(0, b"retry: 2000\n\n")];
        portions.extend(events.iter().map(|(ms, event)| (*ms, event.as_bytes())));
        let findings = told(&portions, 20, End::Time);
        assert!(findings.iter().all(|finding| finding.level == Level::Fine), "{findings:#?}");
        expect(
            "good",
            &findings,
            &[
                (Check::Stream, Level::Fine, "20 events"),
                (Check::Buffering, Level::Fine, "as they happen"),
                (Check::Heartbeat, Level::Fine, "every 1.0 s"),
                (Check::Rate, Level::Fine, "1.0 events a second"),
                (Check::Size, Level::Fine, "largest line"),
                (Check::EventNames, Level::Fine, "\"tick\" (20)"),
                (Check::Ids, Level::Fine, "unique and growing"),
                (Check::Retry, Level::Fine, "after 2.0 s"),
                (Check::Text, Level::Fine, "LF"),
                (Check::Data, Level::Fine, "JSON"),
                (Check::Delay, Level::Fine, "0 ms old"),
            ],
        );
    }

    #[test]
    fn every_fault_has_its_finding() {
        use Check::*;
        use Level::*;
        type Case<'a> = (&'a str, &'a [(u64, &'a [u8])], u64, End, &'a [(Check, Level, &'a str)]);
        let long = [b"data: ".as_slice(), &vec![b'x'; 3 << 20], b"\n\n"].concat();
        let longish = [b"data: ".as_slice(), &vec![b'x'; 700_000], b"\n\n"].concat();
        let many_names: String = (0..50).map(|n| format!("event: n{n}\ndata: 1\n\n")).collect();
        let stalled: &[(u64, &[u8])] = &[(0, b"data: 1\n\n"), (100_000, b"data: 1\n\n")];
        let slow: &[(u64, &[u8])] = &[(0, b"data: 1\n\n"), (60_000, b"data: 1\n\n")];
        let drops: Vec<(u64, &[u8])> = (0..20).map(|n| (n * 1_000, b"x".as_slice())).collect();
        let old: &[(u64, &[u8])] = &[(0, b"data: {\"ts\":1795255100}\n\n")];
        let early: &[(u64, &[u8])] = &[(0, b"data: {\"ts\":1795255300}\n\n")];
        let cases: &[Case<'_>] = &[
            ("silence", &[], 30, End::Time, &[(Stream, Warning, "not a byte")]),
            ("asked to end", &[], 3, End::Asked, &[(Stream, Warning, "not a byte in 3.0 s")]),
            ("no line end", &[(0, b"xxxxxxxxx")], 30, End::Time, &[(Stream, Problem, "without a single line end")]),
            ("no event", &[(0, b"{\"a\":1}\n{\"a\":2}\n")], 30, End::Time, &[(Stream, Problem, "{\\\"a\\\":1}")]),
            ("only comments", &[(0, b":\n"), (9_000, b":\n")], 30, End::Time, &[(Stream, Warning, "only 2 comments")]),
            ("a document", &[(0, b"data: 1\n\n")], 0, End::Closed, &[(Stream, Problem, "ended the response")]),
            ("nothing and over", &[], 5, End::Closed, &[(Stream, Problem, "ended the response")]),
            ("an end", &[(0, b"data: 1\n\n")], 9, End::Closed, &[(Stream, Warning, "ended the response after 1 event")]),
            ("a break", &[(0, b"data: 1\n\n")], 9, End::Broken("reset".to_string()), &[(Stream, Problem, "reset")]),
            ("beyond", &[(0, b"data: 1\n\n")], 9, End::Beyond(EventStreamError::LineTooLong { max: 9 }), &[(Size, Problem, "longer than 9 bytes")]),
            ("an id beyond", &[], 9, End::Beyond(EventStreamError::IdTooLong { max: 9 }), &[(Size, Problem, "longer than 9 bytes")]),
            ("too long for the hub", &[(0, &long)], 9, End::Time, &[(Size, Problem, "3.0 MiB")]),
            ("long", &[(0, &longish)], 9, End::Time, &[(Size, Warning, "683.6 KiB")]),
            ("drips", &drops, 30, End::Time, &[(Stream, Warning, "drips"), (Stream, Problem, "line end")]),
            ("dead by the clock", stalled, 101, End::Time, &[(Heartbeat, Problem, "longest silence 100.0 s")]),
            ("nearly", slow, 61, End::Time, &[(Heartbeat, Warning, "longest silence 60.0 s")]),
            ("no heartbeat", &[(0, b"data: 1\n\n")], 10, End::Time, &[(Heartbeat, Note, "no comments"), (Retry, Note, "does not say")]),
            ("no ids", &[(0, b"data: 1\n\n")], 10, End::Time, &[(Ids, Warning, "no id")]),
            ("some ids", &[(0, b"id: 1\ndata: 1\n\ndata: 2\n\n")], 10, End::Time, &[(Ids, Note, "1 of 2")]),
            ("ids twice", &[(0, b"id: 1\ndata: 1\n\nid: 1\ndata: 2\n\n")], 10, End::Time, &[(Ids, Warning, "1 of 2")]),
            ("ids shrink", &[(0, b"id: 2\ndata: 1\n\nid: 1\ndata: 2\n\n")], 10, End::Time, &[(Ids, Fine, "not always growing")]),
            ("ids of text", &[(0, b"id: a\ndata: 1\n\nid: b\ndata: 2\n\n")], 10, End::Time, &[(Ids, Fine, "unique, for")]),
            ("retry too long", &[(0, b"retry: 99999999999\ndata: 1\n\n")], 10, End::Time, &[(Retry, Note, "makes 30.0 s of it")]),
            ("retry zero", &[(0, b"retry: 0\ndata: 1\n\n")], 10, End::Time, &[(Retry, Note, "makes 100 ms of it")]),
            ("retry bad", &[(0, b"retry: 1s\ndata: 1\n\n")], 10, End::Time, &[(Retry, Warning, "not a number")]),
            ("bad text", &[(0, b"data: \xFF\xFE\n\n")], 10, End::Time, &[(Text, Warning, "2 places")]),
            ("NUL", &[(0, b"id: \0\ndata: 1\n\n")], 10, End::Time, &[(Text, Warning, "1 id with a NUL")]),
            ("BOM", &[(0, b"\xEF\xBB\xBFdata: 1\n\n")], 10, End::Time, &[(Text, Note, "byte order mark")]),
            ("line ends", &[(0, b"data: 1\r\n\n")], 10, End::Time, &[(Text, Note, "LF, CRLF")]),
            ("CRLF", &[(0, b"data: 1\r\n\r\n")], 10, End::Time, &[(Text, Fine, "CRLF")]),
            ("stray lines", &[(0, b"data: 1\nmore\n\n")], 10, End::Time, &[(Text, Note, "\"more\"")]),
            ("text", &[(0, b"data: words\n\n")], 10, End::Time, &[(Data, Fine, "not JSON")]),
            ("both", &[(0, b"data: words\n\ndata: 1\n\n")], 10, End::Time, &[(Data, Note, "JSON in 1 event, other text in 1")]),
            ("odd names", &[(0, b"event: a:b\x1b\ndata: 1\n\n")], 10, End::Time, &[(EventNames, Note, "a:b\\u{1b}")]),
            ("many names", &[(0, many_names.as_bytes())], 10, End::Time, &[(EventNames, Warning, "and 24 more")]),
            ("old", old, 10, End::Time, &[(Delay, Warning, "100.0 s old")]),
            ("from the future", early, 10, End::Time, &[(Delay, Note, "before they happen")]),
        ];
        for (what, portions, seconds, end, expected) in cases {
            expect(what, &told(portions, *seconds, end.clone()), expected);
        }
    }

    #[test]
    fn what_is_held_back_is_noticed() {
        let event = b"data: 0123456789012345678901234567890123456789012345678901234567\n\n".as_slice();
        let much = event.repeat(200);
        let portions: Vec<(u64, &[u8])> = much.chunks(2_048).enumerate().map(|(n, part)| (n as u64 * 2_000, part)).collect();
        let seconds = portions.len() as u64 * 2;
        expect("cut", &told(&portions, seconds, End::Time), &[(Check::Buffering, Level::Problem, "2.0 KiB came at once")]);
        let late = |first: i64| (0..5).map(|n| format!("data: {{\"ts\":{}}}\n\n", WALL + (first + n) * 1_000)).collect::<String>();
        let (first, second) = (late(0), late(5));
        let portions: [(u64, &[u8]); 3] = [(0, b"data: 1\n\n"), (5_000, first.as_bytes()), (10_000, second.as_bytes())];
        expect("late", &told(&portions, 15, End::Time), &[(Check::Buffering, Level::Problem, "4.0 s apart")]);
    }
}
