//! The lines of configuration that would read this feed, made from what was seen. Pure.

use super::observation::Observation;
use crate::units::{ByteSize, HumanDuration};
use crate::upstream::publication::is_harmless;
use crate::upstream::settings::FeedLimits;
use reqwest::Url;
use std::fmt::Write;
use std::time::Duration;

/// A heartbeat may be late, and one may be lost, before the connection is taken for dead.
const HEARTBEATS_MISSED: f64 = 2.5;
/// Shorter, and a busy machine would be taken for a dead feed.
const IDLE_MIN: Duration = Duration::from_secs(15);
/// A silence of the check is hardly the longest that there is.
const SILENCES: u32 = 4;
/// Times are rounded up to this, because they are guesses.
const IDLE_STEP_SECONDS: u64 = 5;
/// Event names that make `{event}` worth a channel each.
const CHANNELS: std::ops::RangeInclusive<usize> = 2..=16;
/// A name must have two characters to be a namespace.
const NAME_BYTES: std::ops::RangeInclusive<usize> = 2..=32;

/// Whether an event of this name may choose a part of its channel's name.
pub fn can_be_in_channel(event_name: &str) -> bool {
    is_harmless(event_name)
}

/// The silence after which this feed is dead. `None`: what was seen gives no reason to leave the default.
pub fn idle_timeout_for(seen: &Observation, length: Duration, limits: &FeedLimits) -> Option<HumanDuration> {
    let silence = seen.sounds.longest_silence(length);
    let wanted = match seen.comments.typical() {
        // The heartbeat may be silent while there are events: what counts is the silence.
        Some(interval) if seen.comments.count >= 3 => interval.max(silence).mul_f64(HEARTBEATS_MISSED),
        _ if seen.events.count >= 10 => (silence * SILENCES).max(limits.idle_timeout),
        _ if silence > limits.idle_timeout / 2 => (silence * SILENCES).max(limits.idle_timeout),
        _ => return None,
    };
    let seconds = wanted.max(IDLE_MIN).as_secs_f64().ceil() as u64;
    let rounded = seconds.div_ceil(IDLE_STEP_SECONDS) * IDLE_STEP_SECONDS;
    (Duration::from_secs(rounded) != limits.idle_timeout).then(|| HumanDuration::from_secs(rounded as i64))
}

/// Room for lines twice as long as the longest one, if that is more than there is now.
pub fn line_limit_for(line: usize, limits: &FeedLimits) -> ByteSize {
    let wanted = if line > limits.stream.line_bytes_max / 2 { line.saturating_mul(2).next_power_of_two() } else { limits.stream.line_bytes_max };
    ByteSize::new(wanted as u64)
}

/// The same for events; an event must have room for one line.
pub fn event_limit_for(line: usize, event: usize, limits: &FeedLimits) -> ByteSize {
    let wanted = if event > limits.stream.event_bytes_max / 2 { event.saturating_mul(2).next_power_of_two() } else { limits.stream.event_bytes_max };
    ByteSize::new((wanted as u64).max(line_limit_for(line, limits).bytes() as u64))
}

/// TOML to paste at the end of the configuration. `header_names`: those that the check sent; their values are not known here.
pub fn toml(url: &Url, header_names: &[&str], seen: &Observation, length: Duration, limits: &FeedLimits) -> String {
    let name = name_of(url);
    let by_name = CHANNELS.contains(&seen.names.len()) && seen.other_names == 0 && seen.names.iter().all(|(name, _)| can_be_in_channel(name));
    let channel = if by_name { format!("{name}:{{event}}") } else { format!("{name}:{}", if name == "events" { "all" } else { "events" }) };
    let format = if seen.json > 0 && seen.not_json > 0 { "envelope" } else { "data" };
    let mut address = url.clone();
    address.set_fragment(None);
    // In a configuration braces mean something.
    let address = address.as_str().replace('{', "%7B").replace('}', "%7D");
    let mut lines = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // A `String` takes everything.
        let _ = writeln!(lines, "{text}");
    };
    line(format_args!("[[channel.namespaces]]"));
    line(format_args!("name = {}", quote(&name)));
    line(format_args!("history_size = 100"));
    line(format_args!("history_ttl = \"10m\""));
    line(format_args!("force_recovery = true"));
    line(format_args!("# Everybody who may connect may subscribe. Without it a subscription token is needed."));
    line(format_args!("#allow_subscribe_for_client = true"));
    line(format_args!(""));
    line(format_args!("[[upstream.feeds]]"));
    line(format_args!("name = {}", quote(&name)));
    line(format_args!("url = {}", quote(&address)));
    line(format_args!("channel = {}", quote(&channel)));
    line(format_args!("format = {}", quote(format)));
    if let Some(idle) = idle_timeout_for(seen, length, limits) {
        line(format_args!("idle_timeout = \"{idle}\""));
    }
    if seen.line_bytes_max > limits.stream.line_bytes_max / 2 || seen.event_bytes_max > limits.stream.event_bytes_max / 2 {
        line(format_args!("line_bytes_max = \"{}\"", line_limit_for(seen.line_bytes_max, limits)));
        line(format_args!("event_bytes_max = \"{}\"", event_limit_for(seen.line_bytes_max, seen.event_bytes_max, limits)));
    }
    if !header_names.is_empty() {
        let headers: Vec<String> = header_names.iter().map(|name| format!("{} = \"VALUE\"", quote(name))).collect();
        let variable = name.to_ascii_uppercase().replace('-', "_");
        line(format_args!("# Put the values in and keep the file readable by the hub alone, or set them in the environment, as JSON:"));
        line(format_args!("# AETHER_UPSTREAM_FEEDS_{variable}_HEADERS='{{\"Name\": \"value\"}}'"));
        line(format_args!("headers = {{ {} }}", headers.join(", ")));
    }
    lines
}

/// A JSON string is a TOML string too, but for DEL, which no name and no URL holds.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The part of the host that people would call it by.
fn name_of(url: &Url) -> String {
    let host = url.domain().unwrap_or_default().to_ascii_lowercase();
    let labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
    let label = match labels[..] {
        [] => "",
        [label] => label,
        // Of "co.uk" and its like the label before.
        [.., before, label, _] if label.len() <= 3 => before,
        [.., label, _] => label,
    };
    let name: String = label.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(*NAME_BYTES.end()).collect();
    if NAME_BYTES.contains(&name.len()) && name != "localhost" { name } else { "feed".to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::observation::Moment;
    use super::*;
    use crate::config::{Config, Format, Layers};
    use crate::protocol::event_stream::EventStreamLimits;

    fn seen(portions: &[(u64, &[u8])]) -> Observation {
        let mut observation =
            Observation::new(EventStreamLimits { line_bytes_max: 8 << 20, event_bytes_max: 8 << 20, ..EventStreamLimits::default() });
        for (ms, portion) in portions {
            observation.on_portion(portion, Moment { at: Duration::from_millis(*ms), wall_ms: 0 }).unwrap();
        }
        observation
    }

    fn suggested(url: &str, headers: &[&str], portions: &[(u64, &[u8])], seconds: u64) -> (String, Config) {
        let text = toml(&Url::parse(url).unwrap(), headers, &seen(portions), Duration::from_secs(seconds), &FeedLimits::default());
        let loaded = Config::load(&Layers { file: Some((text.as_bytes(), Format::Toml)), ..Layers::default() });
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(loaded.unknown, [], "{text}");
        (text, loaded.config)
    }

    #[test]
    fn the_hub_accepts_what_is_suggested() {
        let url = "https://stream.example.org/v2/stream?a=1&b=%22x%22&c={d}#part";
        let (text, config) = suggested(url, &["Authorization", "X-Key"], &[(0, b"event: a\ndata: {}\n\nevent: b\ndata: {}\n\n")], 30);
        let feed = &config.upstream.feeds[0];
        assert_eq!((feed.name.as_str(), feed.channel.as_str()), ("example", "example:{event}"));
        assert_eq!(feed.url, "https://stream.example.org/v2/stream?a=1&b=%22x%22&c=%7Bd%7D", "{text}");
        assert_eq!(feed.headers.keys().collect::<Vec<_>>(), ["Authorization", "X-Key"]);
        assert_eq!((feed.idle_timeout, feed.line_bytes_max), (None, None));
        // Also with what may be cautiously commented out.
        let open = text.replace("#allow_subscribe_for_client", "allow_subscribe_for_client");
        assert!(Config::load(&Layers { file: Some((open.as_bytes(), Format::Toml)), ..Layers::default() }).unwrap().unknown.is_empty());
    }

    #[test]
    fn the_channel_and_the_format_follow_what_was_seen() {
        let names: String = (0..40).map(|n| format!("event: n{n}\ndata: 1\n\n")).collect();
        for (portion, channel, format) in [
            (b"data: {}\n\n".as_slice(), "feed:events", "data"),
            (b"data: words\n\n", "feed:events", "data"),
            (b"data: words\n\ndata: 1\n\n", "feed:events", "envelope"),
            (b"event: a\ndata: 1\n\nevent: b:c\ndata: 1\n\n", "feed:events", "data"),
            (names.as_bytes(), "feed:events", "data"),
            (b"", "feed:events", "data"),
        ] {
            let (text, config) = suggested("http://127.0.0.1:8100/events", &[], &[(0, portion)], 30);
            assert_eq!(config.upstream.feeds[0].channel, channel, "{text}");
            assert!(text.contains(&format!("format = \"{format}\"")), "{text}");
        }
    }

    #[test]
    fn the_idle_timeout_follows_the_heartbeat() {
        let beats = |seconds: u64| (0..4).map(|n| (n * seconds * 1_000, b":\n".as_slice())).collect::<Vec<_>>();
        let busy: Vec<(u64, &[u8])> = (0..100).map(|n| (n * 300, b"data: 1\n\n".as_slice())).collect();
        let steady: Vec<(u64, &[u8])> = (0..12).map(|n| (n * 30_000, b"data: 1\n\n".as_slice())).collect();
        for (what, portions, seconds, expected) in [
            ("a heartbeat of 15 s", beats(15), 60, Some(40)),
            ("a heartbeat of 1 s", beats(1), 4, Some(15)),
            ("a heartbeat of 60 s", beats(60), 240, Some(150)),
            ("many events, no heartbeat", busy, 30, None),
            ("an event every 30 s", steady, 360, Some(120)),
            ("one event", vec![(0, b"data: 1\n\n".as_slice())], 30, None),
            ("nothing for a minute", vec![], 60, Some(240)),
        ] {
            let (text, config) = suggested("http://h.example/", &[], &portions, seconds);
            assert_eq!(config.upstream.feeds[0].idle_timeout, expected.map(HumanDuration::from_secs), "{what}\n{text}");
        }
    }

    #[test]
    fn long_events_get_room() {
        let long = [b"data: ".as_slice(), &vec![b'x'; 3_000_000], b"\n\n"].concat();
        let (text, config) = suggested("http://h.example/", &[], &[(0, &long)], 30);
        let feed = &config.upstream.feeds[0];
        assert_eq!((feed.line_bytes_max, feed.event_bytes_max), (Some(ByteSize::mib(8)), Some(ByteSize::mib(8))), "{text}");
    }

    #[test]
    fn a_feed_is_called_as_people_would() {
        for (url, name) in [
            ("https://stream.wikimedia.org/v2", "wikimedia"),
            ("https://example.co.uk/", "example"),
            ("https://api.example.com./", "example"),
            ("http://localhost:1/", "feed"),
            ("http://127.0.0.1/", "feed"),
            ("http://[::1]/", "feed"),
            ("http://x/", "feed"),
            ("http://ticker/", "ticker"),
            ("https://bücher.example/", "xn--bcher-kva"),
            ("https://events.example/", "events"),
        ] {
            assert_eq!(name_of(&Url::parse(url).unwrap()), name, "{url}");
        }
        let (_, config) = suggested("https://events.example/", &[], &[], 1);
        assert_eq!(config.upstream.feeds[0].channel, "events:all");
    }
}
