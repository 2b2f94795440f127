//! Takes out of the texts of a JSON payload whatever is not harmless HTML.
//!
//! What is harmless is ammonia's to say: formatting, links, images, tables; no scripts, styles, frames, forms, event handlers, no address but
//! of the usual schemes. A text without `<` holds no tag and stays as it is; one that is not HTML and holds one comes out as HTML that
//! shows it (`a &lt; b`). Numbers, member names, blanks and the order of members stay as they are, byte for byte.

use super::ContentError;
use super::depth::end_of_string;
use crate::channel::POINTERS_MAX;
use ammonia::Builder;
use std::sync::LazyLock;

/// Tags in all texts of a payload together, attributes of one tag, bytes of one tag. The HTML parser compares each attribute with all before it,
/// and begins formatting anew in each paragraph for all that are open: time grows with the square of their number, and what is within these
/// bounds takes some milliseconds.
const TAGS_MAX: usize = 400;
const ATTRIBUTES_MAX: usize = 64;
const TAG_BYTES_MAX: usize = 8 * 1_024;

/// Entities (`&`) times bytes of their text, summed over the texts of a payload: the parser goes through the text anew for each. Enough for one in
/// every eight bytes of 16 KiB, or for 500 in 64 KiB.
const ENTITY_BYTES_MAX: usize = 32 * 1_024 * 1_024;

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(Builder::default);

/// Cleans the texts of payloads: all of them, or those at the places that are listed.
pub struct Sanitizer {
    pointers: Vec<Vec<String>>,
}

/// What is known of one place in a payload.
#[derive(Clone, Copy)]
struct Place {
    /// The pointers that lead here and further, a bit each; there are at most [`POINTERS_MAX`].
    towards: u32,
    /// A pointer has led here, or to something that this is a part of.
    is_listed: bool,
}

/// An object or array that is open.
struct Level {
    place: Place,
    /// Of the element that stands there; `None`: it is an object.
    index: Option<usize>,
}

impl Sanitizer {
    /// Pointers are RFC 6901's, and `*` in them stands for any member or element. None: everything is cleaned.
    pub fn new(pointers: &[String]) -> Self {
        let token = |token: &str| token.replace("~1", "/").replace("~0", "~");
        Self { pointers: pointers.iter().take(POINTERS_MAX).map(|pointer| pointer.split('/').skip(1).map(token).collect()).collect() }
    }

    /// The payload, which must be JSON, without what is not harmless. `None`: as it is.
    pub fn clean(&self, json: &[u8]) -> Result<Option<Vec<u8>>, ContentError> {
        let mut cleaned = Vec::new();
        // Everything before it is in `cleaned`.
        let mut copied = 0;
        let mut effort = Effort::default();
        let mut levels: Vec<Level> = Vec::new();
        let mut next = Place { towards: u32::MAX, is_listed: self.pointers.is_empty() };
        let mut at = 0;
        while let Some(&byte) = json.get(at) {
            match byte {
                b'{' | b'[' => {
                    let index = (byte == b'[').then_some(0);
                    levels.push(Level { place: next, index });
                    if index.is_some() {
                        next = self.below(next, levels.len() - 1, "0");
                    }
                }
                b'}' | b']' => {
                    levels.pop();
                }
                b',' => {
                    let depth = levels.len().saturating_sub(1);
                    if let Some(level) = levels.last_mut()
                        && let Some(index) = &mut level.index
                    {
                        *index += 1;
                        next = if level.place.is_plain() { level.place } else { self.below(level.place, depth, &index.to_string()) };
                    }
                }
                b'"' => {
                    let end = end_of_string(json, at);
                    let text = json.get(at..=end).unwrap_or_default();
                    if is_name(json, end, &levels) {
                        if let Some(level) = levels.last() {
                            let name = if level.place.is_plain() { String::new() } else { decode(text)? };
                            next = self.below(level.place, levels.len() - 1, &name);
                        }
                    } else if next.is_listed && may_hold_tags(text) {
                        let text = decode(text)?;
                        if !text.contains('<') {
                            at = end + 1;
                            continue;
                        }
                        effort.spend(text.as_bytes())?;
                        let harmless = CLEANER.clean(&text).to_string();
                        if harmless != text {
                            cleaned.extend_from_slice(&json[copied..at]);
                            serde_json::to_writer(&mut cleaned, &harmless)
                                .expect("a string is always JSON, and memory does not fail to be written to");
                            copied = end + 1;
                        }
                    }
                    at = end;
                }
                _ => {}
            }
            at += 1;
        }
        if copied == 0 {
            return Ok(None);
        }
        cleaned.extend_from_slice(&json[copied..]);
        Ok(Some(cleaned))
    }

    /// The place of a member or element of `place`, which is `depth` levels deep.
    fn below(&self, place: Place, depth: usize, token: &str) -> Place {
        if place.is_plain() {
            return place;
        }
        let mut below = Place { towards: 0, is_listed: false };
        for (bit, pointer) in self.pointers.iter().enumerate() {
            if place.towards & (1 << bit) != 0 && pointer.get(depth).is_some_and(|wanted| wanted == "*" || wanted == token) {
                below.is_listed |= pointer.len() == depth + 1;
                below.towards |= 1 << bit;
            }
        }
        below
    }
}

impl Place {
    /// Whether all that is below it is as it is.
    fn is_plain(self) -> bool {
        self.is_listed || self.towards == 0
    }
}

/// Whether the string that ends at `end` is the name of a member.
fn is_name(json: &[u8], end: usize, levels: &[Level]) -> bool {
    let is_in_object = levels.last().is_some_and(|level| level.index.is_none());
    is_in_object && json[end + 1..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// Nothing but `<` begins a tag, and an escape may hide it.
fn may_hold_tags(text: &[u8]) -> bool {
    memchr::memchr2(b'<', b'\\', text).is_some()
}

/// What the texts of one payload have cost so far.
#[derive(Default)]
struct Effort {
    tags: usize,
    entities: usize,
}

impl Effort {
    /// Refuses what the HTML parser would take long for.
    fn spend(&mut self, text: &[u8]) -> Result<(), ContentError> {
        self.entities += memchr::memchr_iter(b'&', text).count() * text.len();
        if self.entities > ENTITY_BYTES_MAX {
            return Err(ContentError::TooMuchHtml { reason: "a text holds too many entities for its length" });
        }
        for start in memchr::memchr_iter(b'<', text) {
            self.tags += 1;
            if self.tags > TAGS_MAX {
                return Err(ContentError::TooMuchHtml { reason: "its texts hold more than 400 tags" });
            }
            // In a comment or a script it is no tag. It is taken for one all the same: a guess at the parser's state could be led astray.
            if !is_modest_tag(&text[start + 1..]) {
                return Err(ContentError::TooMuchHtml { reason: "a tag of its texts is longer than 8192 bytes or has more than 64 attributes" });
            }
        }
        Ok(())
    }
}

/// Follows the parser through the tag that begins here (HTML, 13.2.5.6 to 13.2.5.40): whether it ends within the bounds.
fn is_modest_tag(text: &[u8]) -> bool {
    // Only a letter makes it a tag: `1 < 2` is text.
    if !text.strip_prefix(b"/").unwrap_or(text).first().is_some_and(u8::is_ascii_alphabetic) {
        return true;
    }
    let tag = &text[..text.len().min(TAG_BYTES_MAX)];
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'/';
    // Where the first byte stands that is one of these; behind the last where there is none.
    let find = |from: usize, stops: &dyn Fn(&u8) -> bool| tag[from..].iter().position(stops).map_or(tag.len(), |at| from + at);
    let mut at = find(1, &|byte| byte.is_ascii_whitespace() || *byte == b'>' || *byte == b'/');
    let mut attributes = 0;
    loop {
        at = find(at, &|byte| !is_blank(byte));
        match tag.get(at) {
            // Without its end, the parser drops it when it comes to the end of the text.
            None => return tag.len() == text.len(),
            Some(b'>') => return true,
            Some(_) if attributes == ATTRIBUTES_MAX => return false,
            Some(_) => attributes += 1,
        }
        // An equals sign that begins a name is a part of it.
        at = find(at + 1, &|byte| is_blank(byte) || matches!(byte, b'>' | b'='));
        let equals = find(at, &|byte| !byte.is_ascii_whitespace());
        if tag.get(equals) != Some(&b'=') {
            continue;
        }
        at = find(equals + 1, &|byte| !byte.is_ascii_whitespace());
        at = match tag.get(at) {
            Some(quote @ (b'"' | b'\'')) => (find(at + 1, &|byte| byte == quote) + 1).min(tag.len()),
            _ => find(at, &|byte| byte.is_ascii_whitespace() || *byte == b'>'),
        };
    }
}

fn decode(text: &[u8]) -> Result<String, ContentError> {
    serde_json::from_slice(text).map_err(|error| ContentError::Unreadable { reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::time::Instant;

    fn clean(pointers: &[&str], json: &str) -> String {
        let pointers: Vec<String> = pointers.iter().map(ToString::to_string).collect();
        let cleaned = Sanitizer::new(&pointers).clean(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        cleaned.map_or_else(|| json.to_string(), |cleaned| String::from_utf8(cleaned).unwrap())
    }

    #[test]
    fn what_does_something_is_taken_out_and_nothing_else_is_touched() {
        let cases = [
            ("\"plain\"", "\"plain\""),
            (
                r#""<b>bold</b> <a href=\"https://example.org\">x</a>""#,
                r#""<b>bold</b> <a href=\"https://example.org\" rel=\"noopener noreferrer\">x</a>""#,
            ),
            (r#""<script>alert(1)</script>x""#, r#""x""#),
            (r#""\u003cscript\u003ealert(1)\u003c/script\u003ex""#, r#""x""#),
            (r#""<img src=x onerror=alert(1)>""#, r#""<img src=\"x\">""#),
            (r#""<a href='javascript:alert(1)'>x</a>""#, r#""<a rel=\"noopener noreferrer\">x</a>""#),
            (r#""<svg><script>1</script></svg>""#, r#""""#),
            (r#""<iframe src=//e></iframe>""#, r#""""#),
            (r#""a & b > c""#, r#""a & b > c""#),
            (r#""a < b & c""#, r#""a &lt; b &amp; c""#),
            (
                r#"{ "b" : 1.50e3, "a":["<i>x", true, null, "\u00e9"] , "a":"<" }"#,
                r#"{ "b" : 1.50e3, "a":["<i>x</i>", true, null, "\u00e9"] , "a":"&lt;" }"#,
            ),
            (r#"{"<script>":"x","y":{"<":"\\"}}"#, r#"{"<script>":"x","y":{"<":"\\"}}"#),
            ("[12345678901234567890123, -0, 1E2]", "[12345678901234567890123, -0, 1E2]"),
        ];
        for (json, expected) in cases {
            assert_eq!(clean(&[], json), expected, "{json}");
        }
    }

    #[test]
    fn only_listed_places_are_cleaned() {
        let json = r#"{"html":"<x>1","text":"<x>2","list":[{"html":"<x>3","n":["<x>4"]},{"html":{"deep":["<x>5"]}},"<x>6"],"a/b":"<x>7"}"#;
        let cases: [(&[&str], &[u32]); 9] = [
            (&[], &[1, 2, 3, 4, 5, 6, 7]),
            (&["/html"], &[1]),
            (&["/list/0/html"], &[3]),
            (&["/list/*/html"], &[3, 5]),
            (&["/list"], &[3, 4, 5, 6]),
            (&["/list/2", "/text"], &[2, 6]),
            (&["/*"], &[1, 2, 3, 4, 5, 6, 7]),
            (&["/a~1b"], &[7]),
            (&["/html/deeper", "/none", "/list/10"], &[]),
        ];
        for (pointers, expected) in cases {
            let mut wanted = json.to_string();
            expected.iter().for_each(|n| wanted = wanted.replace(&format!("<x>{n}"), &n.to_string()));
            assert_eq!(clean(pointers, json), wanted, "{pointers:?}");
        }
        assert_eq!(clean(&["/1"], r#"[["<x>"],"<x>","<x>"]"#), r#"[["<x>"],"","<x>"]"#);
        assert_eq!(clean(&["/0/0"], r#"[["<x>"],["<x>"]]"#), r#"[[""],["<x>"]]"#);
    }

    fn clean_text(text: &str) -> Result<Option<Vec<u8>>, ContentError> {
        Sanitizer::new(&[]).clean(&serde_json::to_vec(text).unwrap())
    }

    #[test]
    fn a_flood_of_tags_is_refused_and_what_is_let_through_takes_no_time() {
        let numbered = |tag: fn(usize) -> String, count: usize| (0..count).map(tag).collect::<String>();
        let half = TAGS_MAX / 2;
        let mut worst: Vec<String> = ["<b>", "<a href=x>", "<p><b>", "<table>", "<table><b>", "<svg>", "<math><mi>", "<!--", "</", "<select><b>"]
            .map(|tag| tag.repeat(TAGS_MAX / tag.matches('<').count()))
            .into();
        // Each of these is open in each of the paragraphs.
        worst.push(numbered(|n| format!("<b id={n}>"), half) + &"<p>".repeat(half));
        worst.push(numbered(|n| format!("<b id={n}>"), half) + &"<p></b>".repeat(half / 2));
        worst.push(numbered(|n| format!("<a x{n} y{n} z{n}=\">\" {}>", "q ".repeat(20)), TAGS_MAX));
        worst.push(format!("<a {}>", numbered(|n| format!("a{n} "), ATTRIBUTES_MAX)));
        worst.push("<!--".to_string() + &"a--!".repeat(16_000));
        worst.push("<".to_string() + &"&".repeat(5_700));
        worst.push("<".to_string() + &"\n".repeat(65_000));
        assert!(matches!(clean_text(&("<".to_string() + &"&".repeat(5_800))), Err(ContentError::TooMuchHtml { .. })));
        assert_eq!(clean_text(&"&".repeat(65_000)), Ok(None), "it needs no parser");
        for text in worst {
            let shown = &text[..text.len().min(60)];
            let begun = Instant::now();
            clean_text(&text).unwrap_or_else(|error| panic!("{shown}: {error}"));
            // Without optimisation, and beside other tests: a hundred times what it takes otherwise.
            assert!(begun.elapsed().as_millis() < 2_000, "{shown}: {:?}", begun.elapsed());
            if text.contains('<') && text.matches('<').count() == TAGS_MAX {
                assert!(matches!(clean_text(&(text + "<")), Err(ContentError::TooMuchHtml { .. })));
            }
        }
    }

    #[test]
    fn a_tag_has_an_end_and_not_too_many_attributes() {
        let many = (0..=ATTRIBUTES_MAX).map(|n| format!("a{n} ")).collect::<String>();
        let long = "x".repeat(TAG_BYTES_MAX + 1);
        let refused = [
            format!("<a {many}>"),
            format!("<a x=\">\" {many}>"),
            format!("<a x='<' {many}>"),
            format!("<!-- <a x=\" --> <a {many}>"),
            format!("<a/{}>", many.replace(' ', "/")),
            format!("<a {}>", many.replace(' ', "=\">\"")),
            format!("<a {many}"),
            format!("</a {many}>"),
            format!("<a x={long}>"),
            format!("<a x=\"{long}\">"),
            format!("<{long}"),
        ];
        for text in refused {
            assert!(matches!(clean_text(&text), Err(ContentError::TooMuchHtml { .. })), "{text:.60}");
        }
        let few = &many[..many.len() - 4];
        for text in [
            format!("<a {few}>"),
            format!("<a {few}"),
            format!("<b>1 < 2 {}", "word ".repeat(10_000)),
            "<a =x =y x==\" z".to_string(),
            "<".to_string(),
            "<a x=".to_string(),
            "<a x=\"".to_string(),
        ] {
            assert!(clean_text(&text).is_ok(), "{text:.60}");
        }
    }

    /// JSON of all kinds, with texts that hold pieces of HTML.
    fn json() -> impl Strategy<Value = Value> {
        let text = proptest::collection::vec(
            prop_oneof!["<script>", "</script>", "<b>", "<", "&lt;", "\"", "\\\\", "onload=", "\u{a0}", "[a-z]{0,3}", "\\PC{0,2}"],
            0..5,
        );
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(|text| Value::from(text.concat()))
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z<\"\\\\]{0,3}", inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The slow way: every text of a tree.
    fn cleaned_tree(value: &Value) -> Value {
        match value {
            Value::String(text) if text.contains('<') => Value::String(CLEANER.clean(text).to_string()),
            Value::Array(elements) => elements.iter().map(cleaned_tree).collect(),
            Value::Object(members) => Value::Object(members.iter().map(|(name, value)| (name.clone(), cleaned_tree(value))).collect()),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn it_finds_the_texts_that_a_parser_finds(value in json(), is_pretty in any::<bool>()) {
            let text = if is_pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let cleaned: Value = serde_json::from_str(&clean(&[], &text)).unwrap();
            prop_assert_eq!(cleaned, cleaned_tree(&value));
        }
    }
}
