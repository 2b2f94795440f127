//! How deep JSON goes, without recursion and without building anything.

/// Whether objects and arrays of `json`, which must be valid JSON, stand inside of one another more than `max` levels deep.
pub fn exceeds(json: &[u8], max: u32) -> bool {
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth -= 1,
            b'"' => at = end_of_string(json, at),
            _ => {}
        }
        at += 1;
    }
    false
}

/// Where the quote stands that ends the string which begins at `start`. The last byte, where there is none.
pub fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if json[at] == b'"' {
            return at;
        }
        at += 2;
    }
    json.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_outside_of_strings() {
        let cases = [("1", 0), ("\"[[[\"", 0), ("[]", 1), ("[1,[2],{\"a\":[3]}]", 3), (r#"{"[\"[":["\\","[\\\"["]}"#, 2), ("[[],[],[[]]]", 3)];
        for (json, depth) in cases {
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
            assert!(!exceeds(json.as_bytes(), depth), "{json}");
            assert!(depth == 0 || exceeds(json.as_bytes(), depth - 1), "{json}");
        }
        assert!(exceeds("[".repeat(100_000).as_bytes(), 99_999));
    }

    #[test]
    fn a_string_ends_at_its_own_quote() {
        for (json, end) in [(r#""""#, 1), (r#""a\"b" "#, 5), (r#""\\""#, 3), (r#""\\\"""#, 5), ("\"open", 4), ("\"open\\", 5)] {
            assert_eq!(end_of_string(json.as_bytes(), 0), end, "{json}");
        }
    }
}
