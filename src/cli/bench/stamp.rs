//! The mark inside every payload that the load tool publishes: which run, which channel, which message, sent when.
//!
//! The payload is JSON, so that every protocol carries it unchanged, but the mark has a fixed width and is found and read as bytes: a load
//! tool that parsed JSON two million times a second would measure itself.

use memchr::memmem::Finder;

/// What precedes the mark. The name is odd on purpose: it must not occur in what a server adds of its own.
const LABEL: &[u8] = b"{\"aeb\":\"";
/// Hexadecimal digits of run (8), channel (8), sequence number (16) and send time (16).
const DIGITS: usize = 48;
/// What stands between mark and padding, and what closes the payload.
const PAD_OPEN: &[u8] = b"\",\"p\":\"";
const PAD_CLOSE: &[u8] = b"\"}";

/// Bytes of padding from one digit that changes to the next.
const CHANGE_EVERY: usize = 200;

/// The smallest payload: everything but the padding.
pub const SIZE_MIN: usize = LABEL.len() + DIGITS + PAD_OPEN.len() + PAD_CLOSE.len();
/// The largest payload: with its envelope it must fit the 65,536 bytes that servers of this protocol take by default.
pub const SIZE_MAX: usize = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Tells this run's messages from what an earlier run left in a server.
    pub run: u32,
    pub channel: u32,
    /// Counts from 1 in each channel.
    pub sequence: u64,
    /// Nanoseconds on the tool's own monotonic clock.
    pub sent_at: u64,
}

impl Stamp {
    /// Appends a payload of exactly `size` bytes, `size` being at least [`SIZE_MIN`].
    pub fn write(self, size: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(LABEL);
        put_hex(out, u64::from(self.run) << 32 | u64::from(self.channel));
        put_hex(out, self.sequence);
        put_hex(out, self.sent_at);
        out.extend_from_slice(PAD_OPEN);
        let padding = out.len();
        out.resize(padding + size.saturating_sub(SIZE_MIN), b'x');
        // A digit here and there that changes, as in documents of which only some numbers do.
        for place in out[padding..].iter_mut().skip(CHANGE_EVERY / 2).step_by(CHANGE_EVERY) {
            *place = b'0' + (self.sequence % 10) as u8;
        }
        out.extend_from_slice(PAD_CLOSE);
    }
}

/// Finds marks. It remembers where the last one stood: one server's envelopes are nearly always of the same length, so that the search is
/// mostly a comparison of eight bytes.
pub struct Reader {
    label: Finder<'static>,
    last_position: usize,
}

impl Reader {
    pub fn new() -> Self {
        Self { label: Finder::new(LABEL), last_position: 0 }
    }

    /// The first mark in `bytes`, and the position behind its digits.
    pub fn find(&mut self, bytes: &[u8]) -> Option<(Stamp, usize)> {
        let guess = self.last_position;
        let position = match bytes.get(guess..guess + LABEL.len()) {
            // The guess must not skip a mark that stands before it; below this bound no whole payload fits in there.
            Some(here) if here == LABEL && guess < SIZE_MIN => guess,
            _ => self.label.find(bytes)?,
        };
        let digits = bytes.get(position + LABEL.len()..position + LABEL.len() + DIGITS)?;
        self.last_position = position;
        let head = read_hex(digits, 0);
        let stamp = Stamp { run: (head >> 32) as u32, channel: head as u32, sequence: read_hex(digits, 16), sent_at: read_hex(digits, 32) };
        Some((stamp, position + LABEL.len() + DIGITS))
    }
}

fn put_hex(out: &mut Vec<u8>, value: u64) {
    const DIGIT: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0u8; 16];
    for (place, digit) in text.iter_mut().enumerate() {
        *digit = DIGIT[(value >> (60 - 4 * place)) as usize & 15];
    }
    out.extend_from_slice(&text);
}

/// Sixteen hexadecimal digits at `at`, eight at a time. Digits are not checked: a byte that is none gives a wrong number, and a wrong
/// number is counted as foreign, lost or duplicated.
fn read_hex(digits: &[u8], at: usize) -> u64 {
    let half = |from: usize| {
        let mut eight = [0u8; 8];
        eight.copy_from_slice(&digits[from..from + 8]);
        let text = u64::from_be_bytes(eight);
        // A letter has bit 6 set and counts nine more than its low four bits.
        let nibbles = (text & 0x0f0f_0f0f_0f0f_0f0f) + 9 * ((text >> 6) & 0x0101_0101_0101_0101);
        let pairs = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
        let quads = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
        (quads | quads >> 16) & 0xffff_ffff
    };
    half(at) << 32 | half(at + 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stamp_comes_back_from_any_surroundings(
            run: u32, channel: u32, sequence: u64, sent_at: u64, size in SIZE_MIN..600, before in "[ -z]{0,90}", after in "[ -z]{0,90}",
        ) {
            let stamp = Stamp { run, channel, sequence, sent_at };
            let mut payload = Vec::new();
            stamp.write(size, &mut payload);
            prop_assert_eq!(payload.len(), size);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
            let message = [before.as_bytes(), &payload, after.as_bytes()].concat();
            let mut reader = Reader::new();
            for _ in 0..2 {
                let (found, end) = reader.find(&message).expect("the stamp is there");
                prop_assert_eq!(found, stamp);
                prop_assert_eq!(reader.find(&message[end..]), None);
                reader.last_position = before.len();
            }
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes: Vec<u8>, guess in 0usize..200) {
            let mut reader = Reader { label: Finder::new(LABEL), last_position: guess };
            let _ = reader.find(&[&bytes[..], LABEL, &bytes[..]].concat());
        }
    }

    #[test]
    fn several_stamps_of_one_message_are_found_in_order() {
        let mut message = Vec::new();
        for sequence in 1..=3 {
            message.extend_from_slice(b"{\"push\":");
            Stamp { run: 1, channel: 0, sequence, sent_at: 9 }.write(100, &mut message);
        }
        let mut reader = Reader::new();
        for _ in 0..2 {
            let mut rest = &message[..];
            let mut found = Vec::new();
            while let Some((stamp, end)) = reader.find(rest) {
                found.push(stamp.sequence);
                rest = &rest[end..];
            }
            assert_eq!(found, [1, 2, 3]);
        }
    }
}
