//! Which of many prefixes a name begins with. Pure.
//!
//! Used by [`super::registry`] for the channels that are patterns (`ticks:*`): it asks at every publication, so what it costs depends on the prefixes
//! that match and not on how many there are.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Values by prefix.
#[derive(Debug)]
pub struct Prefixes<T> {
    sorted: BTreeMap<Box<str>, T>,
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { sorted: BTreeMap::new() }
    }
}

impl<T> Prefixes<T> {
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    pub fn insert(&mut self, prefix: &str, value: T) {
        self.sorted.insert(prefix.into(), value);
    }

    pub fn remove(&mut self, prefix: &str) {
        self.sorted.remove(prefix);
    }

    /// Calls `found` for every prefix of `name` that has `shortest` bytes or more, the longest first.
    ///
    /// Of the prefixes that sort before `name` the last one either is a prefix of it, or shares its beginning up to some byte; all prefixes of
    /// `name` that are left are then shorter than that. So each step finds one, or skips to the next length at which there can be one.
    pub fn for_each_of(&self, name: &str, shortest: usize, mut found: impl FnMut(&T)) {
        let mut rest = name;
        while rest.len() >= shortest {
            let Some((prefix, value)) = self.sorted.range::<str, _>((Bound::Unbounded, Bound::Included(rest))).next_back() else { return };
            let shared = shared_bytes(prefix, rest);
            if shared == prefix.len() {
                if shared < shortest {
                    return;
                }
                found(value);
                if shared == 0 {
                    return;
                }
                rest = &rest[..rest.floor_char_boundary(shared - 1)];
            } else {
                rest = &rest[..rest.floor_char_boundary(shared)];
            }
        }
    }
}

/// Bytes at the beginning that are the same in both.
fn shared_bytes(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefixes<'a>(all: impl IntoIterator<Item = &'a str>) -> Prefixes<String> {
        let mut prefixes = Prefixes::default();
        all.into_iter().for_each(|prefix| prefixes.insert(prefix, prefix.to_string()));
        prefixes
    }

    fn found(prefixes: &Prefixes<String>, name: &str, shortest: usize) -> Vec<String> {
        let mut all = Vec::new();
        prefixes.for_each_of(name, shortest, |prefix| all.push(prefix.clone()));
        all
    }

    #[test]
    fn a_name_finds_its_prefixes_and_no_others() {
        let all = prefixes(["", "t", "ticks:", "ticks:a", "ticks:ab", "ticks:b", "tock:", "ticks:é", "zz"]);
        for (name, shortest, expected) in [
            ("ticks:abc", 0, &["ticks:ab", "ticks:a", "ticks:", "t", ""][..]),
            ("ticks:abc", 6, &["ticks:ab", "ticks:a", "ticks:"]),
            ("ticks:abc", 7, &["ticks:ab", "ticks:a"]),
            ("ticks:abc", 20, &[]),
            ("ticks:", 6, &["ticks:"]),
            ("ticks", 1, &["t"]),
            ("ticks:éa", 6, &["ticks:é", "ticks:"]),
            ("ticks:è", 6, &["ticks:"]),
            ("ticks:ac", 6, &["ticks:a", "ticks:"]),
            ("a", 0, &[""]),
            ("a", 1, &[]),
            ("", 0, &[""]),
            ("zzz", 1, &["zz"]),
        ] {
            assert_eq!(found(&all, name, shortest), expected, "{name} {shortest}");
        }
    }

    #[test]
    fn one_that_is_removed_is_found_no_more() {
        let mut all = prefixes(["a", "ab"]);
        all.remove("ab");
        all.remove("b");
        assert_eq!((found(&all, "abc", 0), all.len()), (vec!["a".to_string()], 1));
        all.remove("a");
        assert!(all.len() == 0 && found(&all, "abc", 0).is_empty());
    }

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_each_would_find(
            all in proptest::collection::btree_set("[a-cé]{0,5}", 0..40),
            name in "[a-cé]{0,8}",
            shortest in 0usize..4,
        ) {
            let mut expected: Vec<String> = all.iter().filter(|prefix| name.starts_with(*prefix) && prefix.len() >= shortest).cloned().collect();
            expected.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
            prop_assert_eq!(found(&prefixes(all.iter().map(String::as_str)), &name, shortest), expected);
        }
    }
}
