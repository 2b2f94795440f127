//! `application/x-www-form-urlencoded`, of queries and bodies: pairs in their order, names repeated.
//!
//! The readers at hand replace broken UTF-8; here it must be told apart, because one generation refuses it.

use std::borrow::Cow;

/// Pairs of one form. A thousand topics and selectors are the most that is taken; the rest is room for names that are ignored.
const PAIRS_MAX: usize = 20_000;

/// A name and its value, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    pub name: Cow<'a, str>,
    pub value: Cow<'a, str>,
    /// Whether both were UTF-8; if not, what was broken has been replaced.
    pub is_utf8: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("the form has more than {PAIRS_MAX} fields")]
    TooManyPairs,
}

/// The pairs of a form, in their order (URL Standard, 5.1).
pub fn pairs(form: &[u8]) -> Result<Vec<Pair<'_>>, FormError> {
    let mut found = Vec::new();
    for field in form.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
        if found.len() == PAIRS_MAX {
            return Err(FormError::TooManyPairs);
        }
        let (name, value) = match memchr::memchr(b'=', field) {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &[][..]),
        };
        let ((name, name_is_utf8), (value, value_is_utf8)) = (decoded(name), decoded(value));
        found.push(Pair { name, value, is_utf8: name_is_utf8 && value_is_utf8 });
    }
    Ok(found)
}

fn decoded(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return match String::from_utf8_lossy(bytes) {
            Cow::Borrowed(text) => (Cow::Borrowed(text), true),
            Cow::Owned(text) => (Cow::Owned(text), false),
        };
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, behind @ ..]) if let (Some(high), Some(low)) = (hex(*high), hex(*low)) => {
                out.push(high << 4 | low);
                rest = behind;
            }
            // A percent sign that begins no escape stands for itself (URL Standard, 1.3).
            _ => out.push(*first),
        }
    }
    match String::from_utf8(out) {
        Ok(text) => (Cow::Owned(text), true),
        Err(error) => (Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()), false),
    }
}

pub(super) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(form: &str) -> Vec<(String, String)> {
        pairs(form.as_bytes()).unwrap().into_iter().map(|pair| (pair.name.into_owned(), pair.value.into_owned())).collect()
    }

    #[test]
    fn a_form_is_read_as_pairs_in_their_order() {
        let cases = [
            ("", vec![]),
            ("topic=a&topic=b", vec![("topic", "a"), ("topic", "b")]),
            ("&&a=1&", vec![("a", "1")]),
            ("private", vec![("private", "")]),
            ("=x", vec![("", "x")]),
            ("a=1=2", vec![("a", "1=2")]),
            ("a=%C3%A9+%2B%26%3D", vec![("a", "é +&=")]),
            ("a=100%&b=%zz&c=%4", vec![("a", "100%"), ("b", "%zz"), ("c", "%4")]),
            ("a=%ff", vec![("a", "\u{fffd}")]),
        ];
        for (form, expected) in cases {
            let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(read(form), expected, "{form}");
        }
        let broken: Vec<bool> = pairs(b"a=%ff&b=\xff&c=%C3%A9").unwrap().iter().map(|pair| pair.is_utf8).collect();
        assert_eq!(broken, [false, false, true]);
    }

    #[test]
    fn a_form_of_too_many_fields_is_refused() {
        assert_eq!(pairs("a&".repeat(PAIRS_MAX).as_bytes()).map(|pairs| pairs.len()), Ok(PAIRS_MAX));
        assert_eq!(pairs("a&".repeat(PAIRS_MAX + 1).as_bytes()), Err(FormError::TooManyPairs));
    }

    proptest! {
        #[test]
        fn what_another_library_writes_is_read(written in proptest::collection::vec((".*", ".*"), 0..6)) {
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&written).finish();
            let written: Vec<_> = written.into_iter().filter(|(name, value)| !(name.is_empty() && value.is_empty())).collect();
            let read: Vec<_> = read(&form).into_iter().filter(|(name, value)| !(name.is_empty() && value.is_empty())).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn another_library_reads_the_same(form in proptest::collection::vec(any::<u8>(), 0..60)) {
            let theirs: Vec<_> = url::form_urlencoded::parse(&form).collect();
            let ours: Vec<_> = pairs(&form).unwrap().into_iter().map(|pair| (pair.name, pair.value)).collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}
