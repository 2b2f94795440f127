//! The Mercure protocol: what stands in its forms, what its topic selectors match, how an update is written, how subscriptions are described.
//!
//! Two generations are spoken that do not understand each other: *legacy* (what nearly all deployed clients and libraries speak) and *modern*
//! (the draft that will be version 1). Called by `mercure`, which keeps updates and subscribers, and by the HTTP edge. Deliberately absent:
//! tokens (`auth::mercure`), channels (`mercure::names`), I/O.

mod document;
mod form;
mod publish;
mod selector;
mod update;

pub use document::{Presence, collection, single};
pub use form::{FormError, Pair, pairs};
pub use publish::{PublishForm, PublishFormError, TOPICS_MAX, is_reserved};
pub use selector::{InvalidPattern, MatchKind, PATTERN_BYTES_MAX, Pattern, Protocol, SelectorError, SelectorText, Topic, hub_base, selectors_of};
pub use update::{encode, escaped, unescaped};

/// The path of the hub (RFC 8615).
pub const HUB_PATH: &str = "/.well-known/mercure";

/// The cursor that stands for everything that is kept.
pub const EARLIEST: &str = "earliest";

/// Which of the two protocols a request or a token speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Generation {
    Legacy,
    Modern,
}

/// Whether a text has characters that no topic, id or type of the modern generation may have: control characters (C0, DEL, C1) and Unicode
/// format characters (general category Cf).
pub fn has_hidden_characters(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || is_format(c))
}

/// General category Cf of Unicode 16.
fn is_format(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2 | 0x180E | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2064
        | 0x2066..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
        | 0xE0001 | 0xE0020..=0xE007F)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn format_characters_are_those_of_unicode() {
        let cf = Regex::new(r"\A\p{Cf}\z").unwrap();
        for c in (0..=0x10_FFFF_u32).filter_map(char::from_u32) {
            assert_eq!(is_format(c), cf.is_match(c.encode_utf8(&mut [0; 4])), "{:#x}", u32::from(c));
        }
    }
}
