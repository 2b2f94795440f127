//! One page of the channels in the order of their names, put together from several sorted sets of names. Pure.
//!
//! Used by [`super::registry`], which keeps its names spread over many locks. A page costs a bounded number of looks, however many channels
//! there are and however few of them are asked for: a walk that has looked often enough ends where all sets have been looked through, and the
//! next page goes on there. It does not promise pages of a certain length; only that each goes further than the one before.

use crate::channel::ChannelName;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Names of one set that are looked at for one page. With 64 sets about 14,000 channels, in a few milliseconds.
const LOOKS_MAX: usize = 256;

/// Where a page begins, and how much of it is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageAsked {
    /// Only names that begin so.
    pub prefix: String,
    /// Only names behind this one.
    pub after: Option<ChannelName>,
    /// Channels in the page, at least 1.
    pub limit: usize,
}

impl PageAsked {
    /// What the pattern `glob` lets be looked at: all that it matches begins with what stands before its first special character.
    pub fn like(glob: &str, after: Option<ChannelName>, limit: usize) -> Self {
        let literal = glob.find(['*', '?', '[', ']', '{', '}', '\\', '!', ',']).map_or(glob, |end| &glob[..end]);
        Self { prefix: literal.to_string(), after, limit }
    }

    /// Where the walk begins in a sorted set.
    pub fn start(&self) -> Bound<&str> {
        match self.after.as_deref() {
            Some(after) if after >= self.prefix.as_str() => Bound::Excluded(after),
            _ => Bound::Included(&self.prefix),
        }
    }
}

/// A page, in the order of the names.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    pub found: Vec<T>,
    /// What the page after this one comes behind; `None`: this was the last.
    pub next: Option<ChannelName>,
}

/// The page while the sets are looked through.
#[derive(Debug)]
pub struct Walk<T> {
    limit: usize,
    found: BTreeMap<ChannelName, T>,
    /// Names beyond it have not been looked at in every set.
    horizon: Option<ChannelName>,
}

impl<T> Walk<T> {
    pub fn new(asked: &PageAsked) -> Self {
        Self { limit: asked.limit, found: BTreeMap::new(), horizon: None }
    }

    /// Looks through one set: `names` are those from [`PageAsked::start`] on, `look` says what is shown of each. Returns how many it looked at.
    pub fn look_through<'a>(
        &mut self,
        asked: &PageAsked,
        names: impl Iterator<Item = &'a ChannelName>,
        mut look: impl FnMut(&ChannelName) -> Option<T>,
    ) -> usize {
        let mut looks = 0;
        let mut last: Option<&ChannelName> = None;
        for name in names.take_while(|name| name.starts_with(&asked.prefix)) {
            if self.is_beyond(name) {
                break;
            }
            if looks == LOOKS_MAX {
                self.horizon = last.cloned();
                break;
            }
            looks += 1;
            last = Some(name);
            if let Some(shown) = look(name) {
                self.found.insert(name.clone(), shown);
                // One more than the page holds, which shows that there is a next.
                if self.found.len() > self.limit + 1 {
                    self.found.pop_last();
                }
            }
        }
        looks
    }

    /// Whether a name comes too late for the page.
    fn is_beyond(&self, name: &ChannelName) -> bool {
        let is_full = self.found.len() > self.limit;
        self.horizon.as_ref().is_some_and(|horizon| name > horizon) || (is_full && self.found.last_key_value().is_some_and(|(last, _)| name > last))
    }

    pub fn finish(mut self) -> Page<T> {
        if let Some(horizon) = &self.horizon {
            self.found.retain(|name, _| name <= horizon);
        }
        let mut next = self.horizon;
        if self.found.len() > self.limit {
            self.found.pop_last();
            next = self.found.last_key_value().map(|(last, _)| last.clone());
        }
        Page { found: self.found.into_values().collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    type Sets = Vec<BTreeSet<ChannelName>>;

    fn spread(names: impl IntoIterator<Item = String>, sets: usize) -> Sets {
        let mut spread = vec![BTreeSet::new(); sets];
        names.into_iter().enumerate().for_each(|(index, name)| {
            spread[index % sets].insert(ChannelName::new(&name));
        });
        spread
    }

    /// One page and what it cost.
    fn page(sets: &Sets, asked: &PageAsked, mut accepts: impl FnMut(&str) -> bool) -> (Page<String>, usize) {
        let mut walk = Walk::new(asked);
        let mut looks = 0;
        for set in sets {
            let names = set.range::<str, _>((asked.start(), Bound::Unbounded));
            looks += walk.look_through(asked, names, |name| accepts(name).then(|| name.to_string()));
        }
        (walk.finish(), looks)
    }

    /// Page after page to the end.
    fn all_pages(sets: &Sets, mut asked: PageAsked, mut accepts: impl FnMut(&str) -> bool) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let (page, _) = page(sets, &asked, &mut accepts);
            assert!(page.found.len() <= asked.limit);
            all.extend(page.found);
            let Some(next) = page.next else { return all };
            assert!(asked.after.as_ref().is_none_or(|after| next > *after), "{next} is no progress");
            asked.after = Some(next);
        }
    }

    #[test]
    fn a_hundred_thousand_channels_are_shown_in_order_each_once() {
        let names: Vec<String> = (0..100_000).map(|number| format!("ticks:{number:06}")).collect();
        let sets = spread(names.iter().cloned(), 64);
        let all = all_pages(&sets, PageAsked { limit: 1_000, ..PageAsked::default() }, |_| true);
        assert!(all == names, "{} of {}", all.len(), names.len());
        for limit in [1, 1_000, 10_000] {
            let (page, looks) = page(&sets, &PageAsked { limit, ..PageAsked::default() }, |_| true);
            assert_eq!((page.found.len(), page.next.as_deref()), (limit, Some(&*names[limit - 1])));
            assert!(looks <= 64 * LOOKS_MAX, "{looks}");
        }
    }

    #[test]
    fn a_page_of_what_hardly_exists_costs_no_more_than_another() {
        let sets = spread((0..100_000).map(|number| format!("ticks:{number:06}")), 64);
        let asked = PageAsked { limit: 10, ..PageAsked::default() };
        let (first, looks) = page(&sets, &asked, |name| name.ends_with("99999"));
        assert!(first.found.is_empty() && looks <= 64 * LOOKS_MAX, "{looks}");
        assert!(first.next.as_deref().is_some_and(|next| next > "ticks:016000"), "an empty page, from which it goes on: {:?}", first.next);
        assert_eq!(all_pages(&sets, asked, |name| name.ends_with("99999")), ["ticks:099999"]);
        // A pattern that says how the names begin looks at those alone.
        let (page, looks) = page(&sets, &PageAsked::like("ticks:09999*", None, 100), |_| true);
        assert_eq!((page.found.len(), page.next, looks), (10, None, 10));
    }

    #[test]
    fn a_pattern_begins_with_its_plain_text() {
        for (glob, prefix) in [("", ""), ("news:*", "news:"), ("a?b", "a"), ("{a,b}", ""), ("news:a", "news:a"), ("a[!b]", "a"), (r"a\*", "a")] {
            assert_eq!(PageAsked::like(glob, None, 1).prefix, prefix, "{glob}");
        }
        let asked = |after: &str| PageAsked::like("news:*", Some(after.into()), 1);
        assert_eq!(asked("aaa").start(), Bound::Included("news:"));
        assert_eq!(asked("news:b").start(), Bound::Excluded("news:b"));
        assert_eq!(asked("zzz").start(), Bound::Excluded("zzz"));
    }

    proptest! {
        #[test]
        fn pages_are_what_one_sorted_list_would_be_cut_into(
            names in proptest::collection::btree_set("[a-c]{0,4}", 0..60),
            limit in 1usize..7,
            prefix in "[a-c]{0,2}",
            after in proptest::option::of("[a-c]{0,3}"),
        ) {
            let expected: Vec<String> = names.iter().filter(|name| {
                name.starts_with(&prefix) && name.len() % 2 == 0 && after.as_ref().is_none_or(|after| *name > after)
            }).cloned().collect();
            let asked = PageAsked { prefix, after: after.as_deref().map(ChannelName::new), limit };
            prop_assert_eq!(all_pages(&spread(names, 5), asked, |name| name.len() % 2 == 0), expected);
        }
    }
}
