//! Durations and byte sizes as people write them in a configuration file: `25s`, `1h30m`, `64KiB`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// A duration with millisecond resolution. Zero and negative values are allowed because several options use them for *off*.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration {
    ms: i64,
}

/// The longest duration that a configuration may ask for: one year.
const DURATION_MS_MAX: i64 = 366 * 24 * 3_600_000;

impl HumanDuration {
    pub const ZERO: Self = Self { ms: 0 };
    pub const fn from_ms(ms: i64) -> Self {
        Self { ms }
    }
    pub const fn from_secs(seconds: i64) -> Self {
        Self { ms: seconds * 1_000 }
    }
    /// Milliseconds; negative values count as none.
    pub const fn ms(self) -> u64 {
        if self.ms < 0 { 0 } else { self.ms as u64 }
    }
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.ms())
    }
    pub const fn is_zero(self) -> bool {
        self.ms == 0
    }
    pub const fn is_negative(self) -> bool {
        self.ms < 0
    }
    pub const fn is_positive(self) -> bool {
        self.ms > 0
    }

    /// Numbers with a unit, one after the other, as Go writes them: `300ms`, `1h30m`, `-1s`; a lone `0` needs no unit.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Duration { text: text.to_string() };
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1.0, rest),
            None => (1.0, text),
        };
        if digits == "0" {
            return Ok(Self::ZERO);
        }
        let mut rest = digits;
        let mut total = 0.0f64;
        while !rest.is_empty() {
            let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
            let number: f64 = rest[..number_len].parse().map_err(|_| bad())?;
            rest = &rest[number_len..];
            let unit_len = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            total += number
                * match &rest[..unit_len] {
                    "ns" => 1e-6,
                    "us" | "µs" => 1e-3,
                    "ms" => 1.0,
                    "s" => 1e3,
                    "m" => 60e3,
                    "h" => 3_600e3,
                    "d" => 86_400e3,
                    _ => return Err(bad()),
                };
            rest = &rest[unit_len..];
        }
        if digits.is_empty() || total > DURATION_MS_MAX as f64 {
            return Err(bad());
        }
        Ok(Self { ms: (sign * total).round() as i64 })
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ms == 0 {
            return f.write_str("0s");
        }
        if self.ms < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.ms.unsigned_abs();
        for (unit_ms, unit) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
            if rest >= unit_ms {
                write!(f, "{}{unit}", rest / unit_ms)?;
                rest %= unit_ms;
            }
        }
        Ok(())
    }
}
impl fmt::Debug for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = HumanDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, such as \"25s\", \"1h30m\" or \"300ms\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                HumanDuration::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A number of bytes: a plain number, or text with a unit (`64KiB`, `1MiB`, `10MB`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }
    pub const fn kib(kib: u64) -> Self {
        Self(kib * 1_024)
    }
    pub const fn mib(mib: u64) -> Self {
        Self(mib * 1_024 * 1_024)
    }
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::ByteSize { text: text.to_string() };
        let number_len = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..number_len].parse().map_err(|_| bad())?;
        let unit: u64 = match text[number_len..].trim_start() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return Err(bad()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(bad)
    }
}
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit_bytes, unit) in [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= unit_bytes && self.0.is_multiple_of(unit_bytes) {
                return write!(f, "{}{unit}", self.0 / unit_bytes);
            }
        }
        write!(f, "{}B", self.0)
    }
}
impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, such as 65536, \"64KiB\" or \"1MiB\"")
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                ByteSize::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("\"{text}\" is not a duration; write a number with its unit, such as \"25s\", \"1h30m\" or \"300ms\", of at most 366 days")]
    Duration { text: String },
    #[error("\"{text}\" is not a number of bytes; write for instance 65536, \"64KiB\" or \"1MiB\"")]
    ByteSize { text: String },
    #[error("\"{text}\" is not a rate; write for instance \"20/s\", \"600/m\" or \"20/s burst 100\"")]
    Rate { text: String },
}

/// How often something may happen: `20/s`, `600/m`, `5/h`, `100/10s`; `20/s burst 100` lets so many through at once after a pause, where
/// otherwise it is the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    period: Duration,
    burst: NonZeroU32,
}

impl Rate {
    pub const fn count(self) -> NonZeroU32 {
        self.count
    }
    pub const fn period(self) -> Duration {
        self.period
    }
    pub const fn burst(self) -> NonZeroU32 {
        self.burst
    }

    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Rate { text: text.to_string() };
        let number = |text: &str| text.trim().parse::<NonZeroU32>().map_err(|_| bad());
        let (rate, burst) = text.split_once("burst").map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let (count, period) = rate.split_once('/').ok_or_else(bad)?;
        let period = match period.trim() {
            unit @ ("ms" | "s" | "m" | "h" | "d") => HumanDuration::parse(&format!("1{unit}")),
            period => HumanDuration::parse(period),
        };
        let period = period.ok().filter(|period| period.is_positive()).ok_or_else(bad)?.duration();
        let count = number(count)?;
        let burst = burst.map_or(Ok(count), number)?;
        Ok(Self { count, period, burst })
    }
}

/// A rate as the configuration has it: text, empty for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OptionalRate(pub Option<Rate>);

impl<'de> Deserialize<'de> for OptionalRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim().is_empty() { Ok(Self(None)) } else { Rate::parse(&text).map(|rate| Self(Some(rate))).map_err(de::Error::custom) }
    }
}

impl Serialize for OptionalRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_str(""),
            Some(Rate { count, period, burst }) => serializer.collect_str(&format_args!("{count}/{}ms burst {burst}", period.as_millis())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        let cases = [
            ("25s", 25_000, "25s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("300ms", 300, "300ms"),
            ("1.5s", 1_500, "1s500ms"),
            ("720h", 2_592_000_000, "720h"),
            ("2d", 172_800_000, "48h"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("-1s", -1_000, "-1s"),
        ];
        for (text, ms, printed) in cases {
            let read = HumanDuration::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((read, read.to_string().as_str()), (HumanDuration::from_ms(ms), printed), "{text}");
        }
        for text in ["", "25", "s", "1 h", "1h-3m", "1..5s", "99999h", "25S", "-"] {
            assert!(HumanDuration::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn byte_sizes_read_and_print() {
        for (text, bytes, printed) in
            [("65536", 65_536, "64KiB"), ("64KiB", 65_536, "64KiB"), ("1MiB", 1 << 20, "1MiB"), ("10MB", 10_000_000, "10000000B"), ("7B", 7, "7B")]
        {
            let read = ByteSize::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((read.bytes(), read.to_string().as_str()), (bytes, printed), "{text}");
        }
        for text in ["", "KiB", "-1", "1.5MiB", "1XB", "99999999999999999999", "99999999999GiB"] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }
}
