//! What users can be called.

use crate::channel::UserId;

/// For messages.
pub const NAME_RULE: &str = "1 to 64 of a-z, 0-9, '.', '_', '@', '+' and '-', beginning with a letter or a digit";

/// Bytes, which are letters here.
const NAME_BYTES_MAX: usize = 64;

/// The name of a user as it was typed: in lower case, if users can be called so. Nothing but ASCII can, so no two names look the same.
pub fn user_name(typed: &str) -> Option<UserId> {
    if typed.is_empty() || typed.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = typed.to_ascii_lowercase();
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = name.bytes();
    let is_name = bytes.next().is_some_and(is_letter) && bytes.all(|byte| is_letter(byte) || b"._@+-".contains(&byte));
    is_name.then(|| UserId::new(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling_and_no_look_alike() {
        let longest = "a".repeat(64);
        for (typed, name) in [
            ("alice", "alice"),
            ("Alice", "alice"),
            ("ALICE@Example.ORG", "alice@example.org"),
            ("a", "a"),
            ("0", "0"),
            ("j.okafor+hub_2-x", "j.okafor+hub_2-x"),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(user_name(typed).map(|name| name.to_string()).as_deref(), Some(name), "{typed:?}");
        }
        let too_long = "a".repeat(65);
        for typed in [
            "",
            " ",
            " alice",
            "alice ",
            "alice\0",
            "al\0ice",
            "alice\n",
            "\u{430}dmin",
            "ad\u{3bc}in",
            "admin\u{200b}",
            "\u{ff41}dmin",
            "admi\u{307}n",
            "\u{212a}elvin",
            "_alice",
            ".alice",
            "-alice",
            "@alice",
            "al ice",
            "alice/bob",
            "alice:bob",
            "alice#bob",
            "<b>alice",
            "\"alice\"",
            "(anonymous)",
            too_long.as_str(),
        ] {
            assert_eq!(user_name(typed), None, "{typed:?}");
        }
    }
}
