//! Patches in the delta format of the Fossil version control system: what has to be copied from a text that the reader has, and what has to
//! be inserted, to make the next one of it. Subscribers that ask for deltas are sent these (`topic::event` makes them).
//!
//! The format (Fossil's "delta_format"): the length of the result and a line feed; then `n@o,` for n bytes of the base from offset o on,
//! or `n:` and n bytes as they are; at the end `c;`, the checksum of the result. All numbers are in base 64 with digits of its own.
//!
//! It knows nothing of publications, and it does not judge whether a patch pays beyond being shorter than its result.

use bytes::Bytes;

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// Bytes that are looked up at once. Shorter matches are not found, and would not pay: a copy costs about as many.
const WINDOW: usize = 8;
/// Bytes of the base between two windows that are remembered.
const STRIDE: usize = 4;
/// Windows with the same hash that are tried at one place.
const TRIES_MAX: usize = 8;
/// The shortest copy that is made between two inserts: the copy and the header of the second insert take about nine bytes.
const COPY_MIN: usize = 10;

/// Makes `target` of `base`. `None`: no patch would be shorter than `target` itself.
///
/// Neither end of an insert falls within a character: where `target` is UTF-8, the patch is too, so it can travel in JSON. The time is linear in
/// the length of both, whatever they hold; callers bound the lengths, which must fit into 32 bits.
pub fn patch(base: &[u8], target: &[u8]) -> Option<Bytes> {
    let mut patch = Patch { out: Vec::with_capacity(128.min(target.len() + 16)), target, done: 0 };
    put_number(target.len(), &mut patch.out);
    patch.out.push(b'\n');
    let prefix = common_prefix(base, target);
    let suffix = common_suffix(&base[prefix..], &target[prefix..]);
    patch.copy(0, 0, prefix);
    let end = target.len() - suffix;
    if end - prefix > COPY_MIN && base.len() > WINDOW {
        patch.search(base, prefix, end)?;
    }
    patch.copy(base.len() - suffix, end, suffix);
    patch.insert_until(target.len());
    put_number(checksum(target) as usize, &mut patch.out);
    patch.out.push(b';');
    (patch.out.len() < target.len()).then(|| patch.out.into())
}

struct Patch<'a> {
    out: Vec<u8>,
    target: &'a [u8],
    /// Bytes of `target` that the patch makes so far.
    done: usize,
}

impl Patch<'_> {
    /// Finds what `base` has of `target` up to `end`. `None` as soon as the patch has grown too long.
    fn search(&mut self, base: &[u8], start: usize, end: usize) -> Option<()> {
        let target = self.target;
        let index = Index::new(base);
        // Where the base goes on, if what follows in both is the same again: a number that changed has often kept its length.
        let mut ahead = 0_isize;
        let mut at = start;
        while at + WINDOW <= end {
            let window = window(target, at);
            let in_line = usize::try_from(at as isize + ahead).ok().filter(|&from| from + WINDOW <= base.len() && self::window(base, from) == window);
            let found = match in_line {
                Some(from) => Some((from, common_prefix(&base[from..], &target[at..end]))),
                None => index.longest(base, window, &target[at..end]),
            };
            let Some((from, len)) = found else {
                at += 1;
                continue;
            };
            let before = common_suffix(&base[..from], &target[self.done..at]);
            if before + len < COPY_MIN {
                at += 1;
                continue;
            }
            self.copy(from - before, at - before, before + len);
            at += len;
            ahead = (from + len) as isize - at as isize;
            if self.out.len() >= target.len() {
                return None;
            }
        }
        Some(())
    }

    /// Takes `len` bytes from `from` in the base, for the place `at` in the target; fewer, where one end would be within a character.
    fn copy(&mut self, mut from: usize, at: usize, len: usize) {
        let (mut start, mut end) = (at, at + len);
        while start < end && is_within_character(self.target, start) {
            (start, from) = (start + 1, from + 1);
        }
        while end > start && is_within_character(self.target, end) {
            end -= 1;
        }
        if end - start < COPY_MIN && end - start < self.target.len() {
            // It becomes part of the next insert.
            return;
        }
        self.insert_until(start);
        put_number(end - start, &mut self.out);
        self.out.push(b'@');
        put_number(from, &mut self.out);
        self.out.push(b',');
        self.done = end;
    }

    fn insert_until(&mut self, end: usize) {
        if self.done < end {
            put_number(end - self.done, &mut self.out);
            self.out.push(b':');
            self.out.extend_from_slice(&self.target[self.done..end]);
            self.done = end;
        }
    }
}

/// Where windows stand in the base. Windows with the same hash are chained, those at the front first.
struct Index {
    /// By hash: one more than the number of the first window, 0 for none.
    first: Vec<u32>,
    /// By window: the same of the next one.
    next: Vec<u32>,
    shift: u32,
}

impl Index {
    fn new(base: &[u8]) -> Self {
        let windows = base.len().saturating_sub(WINDOW) / STRIDE + 1;
        let bits = (windows * 2).next_power_of_two().trailing_zeros().max(1);
        let mut index = Self { first: vec![0; 1 << bits], next: vec![0; windows], shift: u64::BITS - bits };
        for number in (0..windows).rev() {
            let slot = index.slot(window(base, number * STRIDE));
            index.next[number] = std::mem::replace(&mut index.first[slot], number as u32 + 1);
        }
        index
    }

    fn slot(&self, window: u64) -> usize {
        // Fibonacci hashing: the high bits of the product depend on all bits of the window.
        (window.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    /// The place in `base` that goes on the longest like `rest`, which begins with `wanted`; and for how many bytes.
    fn longest(&self, base: &[u8], wanted: u64, rest: &[u8]) -> Option<(usize, usize)> {
        let mut best: Option<(usize, usize)> = None;
        let mut number = self.first[self.slot(wanted)];
        for _ in 0..TRIES_MAX {
            let Some(this) = number.checked_sub(1) else { break };
            let from = this as usize * STRIDE;
            if window(base, from) == wanted {
                let len = common_prefix(&base[from..], rest);
                if best.is_none_or(|(_, longest)| len > longest) {
                    best = Some((from, len));
                }
            }
            number = self.next[this as usize];
        }
        best
    }
}

/// The eight bytes at `at`.
fn window(bytes: &[u8], at: usize) -> u64 {
    let mut window = [0; WINDOW];
    window.copy_from_slice(&bytes[at..at + WINDOW]);
    u64::from_le_bytes(window)
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let len = a.len().min(b.len());
    let mut same = 0;
    while same + WINDOW <= len {
        let differs = window(a, same) ^ window(b, same);
        if differs != 0 {
            return same + differs.trailing_zeros() as usize / 8;
        }
        same += WINDOW;
    }
    same + a[same..len].iter().zip(&b[same..len]).take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// Whether a cut before `at` would part a character in UTF-8: its further bytes all begin with the bits 10 (RFC 3629, 3).
fn is_within_character(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80)
}

fn put_number(mut number: usize, out: &mut Vec<u8>) {
    // Eleven digits of six bits hold any 64.
    let mut digits = [0; 11];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = DIGITS[number & 63];
        number >>= 6;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// The sum of the 32-bit words, the most significant byte first, the last word filled up with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.chunks(4).fold(0_u32, |sum, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.wrapping_add(u32::from_be_bytes(word))
    })
}

/// Why a patch makes nothing of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    #[error("patch does not have the form of one")]
    Malformed,
    #[error("patch copies what the base does not have")]
    BeyondBase,
    #[error("patch makes another length than it says, or more than is taken")]
    Length,
    #[error("patch makes another text than it says")]
    Checksum,
}

/// What `patch` makes of `base`, if that is at most `len_max` bytes long: what a client does.
pub fn apply(base: &[u8], patch: &[u8], len_max: usize) -> Result<Vec<u8>, PatchError> {
    let mut rest = patch;
    let len = take_number(&mut rest, b"\n")?.0;
    if len > len_max {
        return Err(PatchError::Length);
    }
    let mut made = Vec::with_capacity(len);
    loop {
        let (number, kind) = take_number(&mut rest, b"@:;")?;
        let piece = match kind {
            b'@' => {
                let from = take_number(&mut rest, b",")?.0;
                base.get(from..).and_then(|after| after.get(..number)).ok_or(PatchError::BeyondBase)?
            }
            b':' => rest.split_off(..number).ok_or(PatchError::Malformed)?,
            _ if made.len() != len => return Err(PatchError::Length),
            _ if number != checksum(&made) as usize => return Err(PatchError::Checksum),
            _ => return Ok(made),
        };
        if piece.len() > len - made.len() {
            return Err(PatchError::Length);
        }
        made.extend_from_slice(piece);
    }
}

/// A number of at most 32 bits, and which of `ends` stands behind it.
fn take_number(rest: &mut &[u8], ends: &[u8]) -> Result<(usize, u8), PatchError> {
    let mut number = 0_u32;
    loop {
        let (&byte, after) = rest.split_first().ok_or(PatchError::Malformed)?;
        *rest = after;
        if ends.contains(&byte) {
            return Ok((number as usize, byte));
        }
        let digit = DIGITS.iter().position(|&digit| digit == byte).ok_or(PatchError::Malformed)?;
        number = number.checked_mul(64).and_then(|number| number.checked_add(digit as u32)).ok_or(PatchError::Malformed)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICK: &str = r#"{"symbol":"AETH","bid":101.25,"ask":101.5,"volume":120934,"venue":"Zürich – Löwenstraße","depth":[[101.25,300],[101.2,150],[101.1,75]],"at":1763755200123}"#;

    fn made_again(base: &[u8], target: &[u8]) -> Option<Bytes> {
        let patch = patch(base, target)?;
        assert!(patch.len() < target.len());
        assert_eq!(apply(base, &patch, target.len()).as_deref(), Ok(target), "{}", String::from_utf8_lossy(&patch));
        assert_eq!(apply(base, &patch, target.len() - 1), Err(PatchError::Length));
        Some(patch)
    }

    #[test]
    fn a_small_change_is_a_small_patch() {
        let changed = TICK.replace("101.25", "101.75").replace("120934", "121001").replace("755200123", "755201123");
        let patch = made_again(TICK.as_bytes(), changed.as_bytes()).unwrap();
        assert!(patch.len() < 75, "{} bytes for four changed numbers: {}", patch.len(), String::from_utf8_lossy(&patch));
    }

    #[test]
    fn what_is_the_same_is_a_copy() {
        assert_eq!(&made_again(TICK.as_bytes(), TICK.as_bytes()).unwrap()[..], b"2V\n2V@0,3Cdo~0;");
    }

    #[test]
    fn a_patch_that_is_no_shorter_is_none() {
        assert_eq!(patch(b"", b""), None);
        assert_eq!(patch(b"{}", b"{}"), None);
        assert_eq!(patch(TICK.as_bytes(), b"{\"other\":true}"), None);
        assert_eq!(patch(b"", TICK.as_bytes()), None);
    }

    #[test]
    fn characters_are_not_parted() {
        // The last bytes of the two differ, their first ones do not, and so do those of the next pair the other way round.
        for (one, other) in [("ä", "ö"), ("é", "ũ"), ("€", "₭"), ("😀", "😁")] {
            let base = format!("{{\"greeting\":\"{one}\",\"text\":\"unchanged for long enough\"}}");
            let target = base.replace(one, other);
            let patch = made_again(base.as_bytes(), target.as_bytes()).unwrap();
            assert!(std::str::from_utf8(&patch).is_ok(), "{one} {other}: {patch:?}");
        }
    }

    #[test]
    fn moved_parts_are_found() {
        let (a, b) = TICK.split_at(70);
        let turned = format!("{b}{a}");
        assert!(made_again(TICK.as_bytes(), turned.as_bytes()).unwrap().len() < 40);
    }

    #[test]
    fn the_time_does_not_depend_on_what_the_texts_hold() {
        // Each of these makes every place look like every other one. With a search that is not linear they take minutes.
        let len = 64 * 1_024;
        let same = vec![b'a'; len];
        let mut interrupted = same.clone();
        interrupted.iter_mut().skip(9).step_by(10).for_each(|byte| *byte = b'b');
        let mut shifted = interrupted.clone();
        shifted.rotate_left(5);
        for (base, target) in [(&same, &interrupted), (&interrupted, &same), (&interrupted, &shifted), (&same, &same)] {
            made_again(base, target);
        }
    }

    /// Patches made by `createDelta` of the npm package `fossil-delta` 2.0.0.
    #[test]
    fn patches_of_others_are_read() {
        let rows = |changed: usize, city: &str| {
            let row = |row| format!(r#"{{"name":"row {row}","value":{}}}"#, if row == changed { 99 } else { row });
            format!(r#"{{"rows":[{}],"city":"{city}"}}"#, (0..12).map(row).collect::<Vec<_>>().join(","))
        };
        for (base, target, patch) in [
            (rows(12, "Zürich"), rows(3, "Zürich"), "5_\n1n@0,2:993l@1o,3G919a;"),
            (rows(3, "Zürich"), rows(7, "Köln"), "5Y\n1n@0,1:31g@1p,2:991w@3W,7:Köln\"}2DCEVW;"),
            ("abc".repeat(30), format!("{}x{}", "abc".repeat(20), "abc".repeat(10)), "1R\nx@0,1:xU@l,3gqTTi;"),
        ] {
            assert_eq!(apply(base.as_bytes(), patch.as_bytes(), 1_000).as_deref(), Ok(target.as_bytes()), "{patch}");
            let ours = made_again(base.as_bytes(), target.as_bytes()).unwrap();
            assert!(ours.len() <= patch.len(), "{} is longer than {patch}", String::from_utf8_lossy(&ours));
        }
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        let base = b"0123456789";
        for (patch, error) in [
            (&b""[..], PatchError::Malformed),
            (b"A", PatchError::Malformed),
            (b"A\n", PatchError::Malformed),
            (b"A\nA@0,", PatchError::Malformed),
            (b"A\nA@1,0;", PatchError::BeyondBase),
            (b"A\nA@zzzz,0;", PatchError::BeyondBase),
            (b"5\n5:abc", PatchError::Malformed),
            (b"1\n3:abc0;", PatchError::Length),
            (b"zzzzzz\n1:a0;", PatchError::Malformed),
            (b"zz\n1:a0;", PatchError::Length),
            (b"2\n1:a0;", PatchError::Length),
            (b"A\nA@0,1;", PatchError::Checksum),
            (b"A A@0,1;", PatchError::Malformed),
            (b"1\n1!a0;", PatchError::Malformed),
        ] {
            assert_eq!(apply(base, patch, 1_000), Err(error), "{}", String::from_utf8_lossy(patch));
        }
    }

    /// A text, and one that was made of it by some edits.
    fn edited() -> impl Strategy<Value = (String, String)> {
        let edit = (any::<prop::sample::Index>(), 0..20_usize, "[a-zäö€😀0-9]{0,12}");
        ("[a-c{}\":,äö€😀0-9]{0,300}", prop::collection::vec(edit, 0..6)).prop_map(|(base, edits)| {
            let mut characters: Vec<char> = base.chars().collect();
            for (at, removed, inserted) in edits {
                let at = at.index(characters.len() + 1);
                let end = (at + removed).min(characters.len());
                characters.splice(at..end, inserted.chars());
            }
            (base, characters.into_iter().collect())
        })
    }

    proptest! {
        #[test]
        fn a_patch_makes_the_target_and_stays_text((base, target) in edited()) {
            if let Some(patch) = made_again(base.as_bytes(), target.as_bytes()) {
                prop_assert!(std::str::from_utf8(&patch).is_ok());
            }
        }

        #[test]
        fn any_bytes_can_be_patched(base in prop::collection::vec(0..4_u8, 0..200), target in prop::collection::vec(0..4_u8, 0..200)) {
            made_again(&base, &target);
        }

        #[test]
        fn any_patch_is_taken_or_refused(base in any::<Vec<u8>>(), patch in "[0-9A-Za-z~_]{0,3}\n([0-9A-F]{1,2}[@:;,][0-9A-F]{0,2}){0,6}") {
            if let Ok(made) = apply(&base, patch.as_bytes(), 10_000) {
                prop_assert!(made.len() <= 10_000);
            }
        }
    }
}
