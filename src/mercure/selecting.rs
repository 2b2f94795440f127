//! Selectors, compiled: what one subscriber wants, what one token allows. Equal patterns are compiled once and shared by all who use them.

use crate::protocol::mercure::{InvalidPattern, Pattern, SelectorText, Topic};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use url::Url;

/// Different patterns that live on one node. Each may become a program of 64 KiB, though hardly any does.
const PATTERNS_MAX: usize = 4_096;

/// Patterns of one subscriber. Each is tried on every update that no other selector of the subscriber matches.
pub const PATTERNS_OF_ONE_MAX: usize = 100;

/// Patterns of one token, whose issuer is trusted.
pub const PATTERNS_OF_TOKEN_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    #[error(transparent)]
    Invalid(#[from] InvalidPattern),
    #[error("more than {max} patterns are selected")]
    TooMany { max: usize },
    #[error("there are too many different patterns on this hub")]
    Full,
}

/// A pattern that somebody uses.
#[derive(Debug)]
pub struct Compiled {
    pub text: SelectorText,
    pattern: Pattern,
}

impl Compiled {
    pub fn matches(&self, topic: &Topic, base: &Url) -> bool {
        self.pattern.matches(topic, base)
    }
}

/// The patterns in use on this node.
#[derive(Debug)]
pub struct Patterns {
    base: Url,
    known: Mutex<HashMap<SelectorText, Weak<Compiled>>>,
}

impl Patterns {
    pub fn new(base: Url) -> Self {
        Self { base, known: Mutex::default() }
    }

    /// The hub's own URL, which relative topics and patterns belong to.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Different patterns in use.
    pub fn in_use(&self) -> usize {
        self.known.lock().values().filter(|known| known.strong_count() > 0).count()
    }

    /// What these selectors match, ready.
    ///
    /// `patterns_max`: of a stranger fewer are taken than a token may name.
    pub fn selection(&self, selectors: &[SelectorText], patterns_max: usize) -> Result<Selection, SelectionError> {
        let mut selection = Selection::default();
        for selector in selectors {
            if selector.is_everything() {
                selection.everything = true;
                continue;
            }
            // A pattern matches the topic that reads like itself, too.
            selection.exact.insert(Arc::clone(&selector.text));
            if let Some(pattern) = self.compiled(selector)? {
                if selection.patterns.len() == patterns_max {
                    return Err(SelectionError::TooMany { max: patterns_max });
                }
                selection.patterns.push(pattern);
            }
        }
        Ok(selection)
    }

    fn compiled(&self, selector: &SelectorText) -> Result<Option<Arc<Compiled>>, SelectionError> {
        if !selector.may_be_a_pattern() {
            return Ok(None);
        }
        let mut known = self.known.lock();
        if let Some(compiled) = known.get(selector).and_then(Weak::upgrade) {
            return Ok(Some(compiled));
        }
        if known.len() >= PATTERNS_MAX {
            known.retain(|_, compiled| compiled.strong_count() > 0);
            if known.len() >= PATTERNS_MAX {
                return Err(SelectionError::Full);
            }
        }
        drop(known);
        // Without the lock: it may take a millisecond. Whoever is second with the same pattern at the same moment takes the first one's place.
        let Some(pattern) = selector.compile(&self.base)? else { return Ok(None) };
        let compiled = Arc::new(Compiled { text: selector.clone(), pattern });
        self.known.lock().insert(selector.clone(), Arc::downgrade(&compiled));
        Ok(Some(compiled))
    }
}

/// Several selectors, of which one is enough.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub everything: bool,
    pub exact: HashSet<Arc<str>>,
    pub patterns: Vec<Arc<Compiled>>,
}

impl Selection {
    /// Whether one of the topics is selected.
    pub fn matches<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>, base: &Url) -> bool {
        let selects =
            |topic: &Topic| self.everything || self.exact.contains(&*topic.text) || self.patterns.iter().any(|pattern| pattern.matches(topic, base));
        topics.into_iter().any(selects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mercure::{MatchKind, hub_base};

    fn selectors(texts: &[&str], kind: MatchKind) -> Vec<SelectorText> {
        texts.iter().map(|text| SelectorText::new(kind, text)).collect()
    }

    fn patterns() -> Patterns {
        Patterns::new(hub_base("").unwrap())
    }

    #[test]
    fn one_selector_is_enough() {
        let patterns = patterns();
        let selection = patterns.selection(&selectors(&["a", "b/{id}"], MatchKind::Template), PATTERNS_OF_ONE_MAX).unwrap();
        let matches = |topics: &[&str]| selection.matches(&topics.iter().map(|topic| Topic::new(topic)).collect::<Vec<_>>(), patterns.base());
        assert!(matches(&["a"]) && matches(&["b/1"]) && matches(&["b/{id}"]) && matches(&["x", "b/2"]));
        assert!(!matches(&["b/1/2"]) && !matches(&[]) && !matches(&["*"]));
        let all = patterns.selection(&selectors(&["*"], MatchKind::Exact), PATTERNS_OF_ONE_MAX).unwrap();
        assert!(all.matches([&Topic::new("whatever")], patterns.base()));
        let exact = patterns.selection(&selectors(&["b/{id}"], MatchKind::Exact), PATTERNS_OF_ONE_MAX).unwrap();
        assert!(!exact.matches([&Topic::new("b/1")], patterns.base()), "match is exact, whatever stands in it");
    }

    #[test]
    fn equal_patterns_are_compiled_once_and_go_with_their_last_user() {
        let patterns = patterns();
        let select = || patterns.selection(&selectors(&["b/{id}"], MatchKind::Template), PATTERNS_OF_ONE_MAX).unwrap();
        let (one, two) = (select(), select());
        assert!(Arc::ptr_eq(&one.patterns[0], &two.patterns[0]));
        assert_eq!(patterns.in_use(), 1);
        drop((one, two));
        assert_eq!(patterns.in_use(), 0);
    }

    #[test]
    fn patterns_are_bounded_for_one_and_for_all() {
        let patterns = patterns();
        let many = |from: usize, count: usize| {
            (from..from + count).map(|n| SelectorText::new(MatchKind::Template, &format!("{n}{{x}}"))).collect::<Vec<_>>()
        };
        assert_eq!(
            patterns.selection(&many(0, PATTERNS_OF_ONE_MAX + 1), PATTERNS_OF_ONE_MAX).unwrap_err(),
            SelectionError::TooMany { max: PATTERNS_OF_ONE_MAX }
        );
        let held: Vec<_> = (0..PATTERNS_MAX).map(|n| patterns.selection(&many(n, 1), 1).unwrap()).collect();
        assert_eq!(patterns.selection(&many(PATTERNS_MAX, 1), 1).unwrap_err(), SelectionError::Full);
        assert!(patterns.selection(&many(7, 1), 1).is_ok(), "one that is there already");
        drop(held);
        assert!(patterns.selection(&many(PATTERNS_MAX, 1), 1).is_ok());
    }
}
