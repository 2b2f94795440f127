//! When an event says it happened. Pure.
//!
//! Many feeds put a time into their data or their ids. It is looked for under the names that are usual, in the notations that are usual,
//! and believed only if it is near the present: a number that merely looks like a time hardly is.

use serde_json::Value;

/// Longer data is not looked into.
const DATA_BYTES_MAX: usize = 64 * 1_024;
/// A time further from now is none, or one of something else than the event.
const NEAR_MS: i64 = 24 * 3_600_000;

/// Names of members, compared without case, `_` and `-`. In this order, because an event may have several times.
const NAMES: [&str; 14] =
    ["timestamp", "ts", "time", "eventtime", "sentat", "publishedat", "createdat", "datetime", "dt", "date", "at", "when", "t", "e"];

/// Unix milliseconds and the name under which they stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub ms: i64,
    pub name: &'static str,
}

/// The event's own time: in its data, or else at the beginning of its id.
pub fn stamp_of(data: &str, id: Option<&str>, now_ms: i64) -> Option<Stamp> {
    let of_data = || {
        if data.len() > DATA_BYTES_MAX || !data.starts_with('{') {
            return None;
        }
        let value: Value = serde_json::from_str(data).ok()?;
        // Members of members as well: an envelope often has a member with the particulars.
        in_object(&value, now_ms).or_else(|| value.as_object()?.values().find_map(|member| in_object(member, now_ms)))
    };
    of_data().or_else(|| {
        let digits: String = id?.chars().take_while(char::is_ascii_digit).take(20).collect();
        Some(Stamp { ms: near(number(digits.parse().ok()?)?, now_ms)?, name: "id" })
    })
}

fn in_object(value: &Value, now_ms: i64) -> Option<Stamp> {
    let object = value.as_object()?;
    NAMES.into_iter().find_map(|name| {
        let is_it = |key: &str| key.bytes().filter(|byte| !matches!(byte, b'_' | b'-')).map(|byte| byte.to_ascii_lowercase()).eq(name.bytes());
        let (_, value) = object.iter().find(|(key, _)| is_it(key))?;
        let ms = match value {
            Value::Number(number_) => number(number_.as_f64()?),
            Value::String(text) => rfc3339(text).or_else(|| number(text.parse().ok()?)),
            _ => None,
        };
        Some(Stamp { ms: near(ms?, now_ms)?, name })
    })
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size.
fn number(number: f64) -> Option<i64> {
    let ms = match number {
        1e8..1e11 => number * 1e3,
        1e11..1e14 => number,
        1e14..1e17 => number / 1e3,
        1e17..1e20 => number / 1e6,
        _ => return None,
    };
    Some(ms as i64)
}

fn near(ms: i64, now_ms: i64) -> Option<i64> {
    ((ms - now_ms).abs() < NEAR_MS).then_some(ms)
}

/// `2026-11-21T10:00:00.5Z` (RFC 3339, 5.6), also with a blank for the `T` and without the offset, which then counts as none.
fn rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || bytes.len() > 40 || bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let field = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok().map(i64::from);
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut ms = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        ms = (format!("0.{}", &fraction[..digits]).parse::<f64>().ok()? * 1e3) as i64;
        rest = &fraction[digits..];
    }
    let offset_minutes = match rest.as_bytes() {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
            let minutes = (digit(h1)? * 10 + digit(h2)?) * 60 + digit(m1)? * 10 + digit(m2)?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + (minute - offset_minutes) * 60 + second;
    Some(seconds * 1_000 + ms)
}

/// Days of the Gregorian calendar. The year is counted from March, so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From March on the months' lengths repeat every five months, 153 days.
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T10:00:00Z.
    const NOW: i64 = 1_795_255_200_000;

    fn ms(data: &str) -> Option<i64> {
        stamp_of(data, None, NOW).map(|stamp| stamp.ms - NOW)
    }

    #[test]
    fn usual_names_in_usual_notations() {
        for (data, expected) in [
            (r#"{"timestamp":1795255200}"#, Some(0)),
            (r#"{"ts":1795255200123}"#, Some(123)),
            (r#"{"time":"1795255201"}"#, Some(1_000)),
            (r#"{"created_at":1795255200123456}"#, Some(123)),
            (r#"{"E":1795255200123456789}"#, Some(123)),
            (r#"{"t":1795255200.5}"#, Some(500)),
            (r#"{"dt":"2026-11-21T10:00:01Z"}"#, Some(1_000)),
            (r#"{"date":"2026-11-21T11:00:00.25+01:00"}"#, Some(250)),
            (r#"{"eventTime":"2026-11-21T08:30:00-0130"}"#, Some(0)),
            (r#"{"at":"2026-11-21 10:00:00"}"#, Some(0)),
            (r#"{"meta":{"dt":"2026-11-21T10:00:00Z"},"x":1}"#, Some(0)),
            (r#"{"timestamp":"soon","t":1795255200}"#, Some(0)),
            // Another day, no time, not an object, not JSON.
            (r#"{"timestamp":1795000000}"#, None),
            (r#"{"price":1795255200}"#, None),
            (r#"[1795255200]"#, None),
            ("1795255200", None),
            (r#"{"timestamp":1795255200"#, None),
            (r#"{"timestamp":"2026-13-21T10:00:00Z"}"#, None),
            (r#"{"timestamp":"2026-11-21T10:00:00+1"}"#, None),
            (r#"{"timestamp":"ä026-11-21T10:00:00Z"}"#, None),
            (r#"{"timestamp":1e300}"#, None),
            (r#"{"timestamp":-1}"#, None),
        ] {
            assert_eq!(ms(data), expected, "{data}");
        }
    }

    #[test]
    fn an_id_may_begin_with_a_time() {
        let of_id = |id| stamp_of("x", Some(id), NOW).map(|stamp| (stamp.ms - NOW, stamp.name));
        assert_eq!(of_id("1795255200:0"), Some((0, "id")));
        assert_eq!(of_id("1795255200123-5"), Some((123, "id")));
        for id in ["", "7", "a1795255200", "99999999999999999999999999"] {
            assert_eq!(of_id(id), None, "{id}");
        }
    }

    #[test]
    fn the_calendar() {
        for (date, days) in
            [((1970, 1, 1), 0), ((2000, 2, 29), 11_016), ((2000, 3, 1), 11_017), ((2026, 11, 21), NOW / 86_400_000), ((1969, 12, 31), -1)]
        {
            assert_eq!(days_since_1970(date.0, date.1, date.2), days, "{date:?}");
        }
    }
}
