//! Which publications of a channel a subscriber wants, judged by their tags. Made once from what the subscriber sent
//! (`protocol::centrifuge::command`), then asked for every publication.

use super::Tags;
use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Comparisons and the lists of values to compare with, in one filter: each costs time at every publication.
const NODES_MAX: usize = 64;
/// Comparisons inside of one another, the filter itself included.
const DEPTH_MAX: usize = 8;
/// Bytes of all keys and values.
const BYTES_MAX: usize = 4_096;

/// A filter as it is written: of each node only what its kind needs is looked at, and the rest must not be there.
#[derive(Clone, Debug, Default)]
pub struct FilterNode {
    /// `and`, `or`, `not`; empty for a comparison.
    pub op: String,
    pub key: String,
    pub cmp: String,
    pub val: String,
    pub vals: Vec<String>,
    pub nodes: Vec<FilterNode>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("a filter may have {NODES_MAX} comparisons and values, {DEPTH_MAX} levels and {BYTES_MAX} bytes")]
    TooLarge,
    #[error("there is no operation {0:?} in a filter")]
    UnknownOperation(String),
    #[error("there is no comparison {0:?} in a filter")]
    UnknownComparison(String),
    #[error("a comparison lacks its key or value, or has more than it compares with")]
    Comparison,
    #[error("an operation needs something to join, `not` exactly one")]
    Operands,
}

/// A filter that has been found to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagsFilter {
    /// Tells most filters apart at once.
    hash: u64,
    root: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Rule {
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
    Tag { key: String, is: Test },
}

/// What is asked of the tag. One that is not there passes `Not`, `NoneOf` and `Missing`, and where the list has the empty text, `OneOf`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Test {
    Exactly(String),
    Not(String),
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    There,
    Missing,
    Begins(String),
    Ends(String),
    Contains(String),
    /// In order after the number, or where the flag is set, equal to it. A text that is no number is in no order.
    Above(String, bool),
    Below(String, bool),
}

impl TagsFilter {
    pub fn new(node: FilterNode) -> Result<Self, FilterError> {
        let mut left = Left { nodes: NODES_MAX, bytes: BYTES_MAX };
        let root = Rule::new(node, DEPTH_MAX, &mut left)?;
        let mut hasher = DefaultHasher::new();
        root.hash(&mut hasher);
        Ok(Self { hash: hasher.finish(), root })
    }

    /// Whether a publication with these tags is wanted.
    pub fn passes(&self, tags: Option<&Tags>) -> bool {
        self.root.passes(tags)
    }
}

/// What a filter may still have.
struct Left {
    nodes: usize,
    bytes: usize,
}

impl Left {
    fn take(&mut self, nodes: usize, bytes: usize) -> Result<(), FilterError> {
        self.nodes = self.nodes.checked_sub(nodes).ok_or(FilterError::TooLarge)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(FilterError::TooLarge)?;
        Ok(())
    }
}

impl Rule {
    fn new(node: FilterNode, depth: usize, left: &mut Left) -> Result<Self, FilterError> {
        let bytes = node.key.len() + node.val.len() + node.vals.iter().map(String::len).sum::<usize>();
        left.take(1 + node.vals.len(), bytes)?;
        let below = depth.checked_sub(1).filter(|&below| below > 0 || node.nodes.is_empty()).ok_or(FilterError::TooLarge)?;
        if node.op.is_empty() {
            return Self::comparison(node);
        }
        let mut rules = node.nodes.into_iter().map(|node| Self::new(node, below, left)).collect::<Result<Vec<_>, _>>()?;
        match node.op.as_str() {
            "and" | "or" if rules.is_empty() => Err(FilterError::Operands),
            "and" => Ok(Self::All(rules)),
            "or" => Ok(Self::Any(rules)),
            "not" => match (rules.pop(), rules.is_empty()) {
                (Some(rule), true) => Ok(Self::Not(Box::new(rule))),
                _ => Err(FilterError::Operands),
            },
            _ => Err(FilterError::UnknownOperation(node.op)),
        }
    }

    fn comparison(FilterNode { key, cmp, val, vals, .. }: FilterNode) -> Result<Self, FilterError> {
        let (has_key, has_val, has_vals) = (!key.is_empty(), !val.is_empty(), !vals.is_empty());
        let is_complete = match cmp.as_str() {
            "ex" | "nex" => !has_val && !has_vals,
            "in" | "nin" => has_key && !has_val && has_vals,
            _ => has_key && has_val && !has_vals,
        };
        let is = match cmp.as_str() {
            "eq" => Test::Exactly(val),
            "neq" => Test::Not(val),
            "in" => Test::OneOf(vals),
            "nin" => Test::NoneOf(vals),
            "ex" => Test::There,
            "nex" => Test::Missing,
            "sw" => Test::Begins(val),
            "ew" => Test::Ends(val),
            "ct" => Test::Contains(val),
            "gt" => Test::Above(val, false),
            "gte" => Test::Above(val, true),
            "lt" => Test::Below(val, false),
            "lte" => Test::Below(val, true),
            _ => return Err(FilterError::UnknownComparison(cmp)),
        };
        if is_complete { Ok(Self::Tag { key, is }) } else { Err(FilterError::Comparison) }
    }

    fn passes(&self, tags: Option<&Tags>) -> bool {
        match self {
            Self::All(rules) => rules.iter().all(|rule| rule.passes(tags)),
            Self::Any(rules) => rules.iter().any(|rule| rule.passes(tags)),
            Self::Not(rule) => !rule.passes(tags),
            Self::Tag { key, is } => is.passes(tags.and_then(|tags| tags.get(key)).map(String::as_str)),
        }
    }
}

impl Test {
    fn passes(&self, tag: Option<&str>) -> bool {
        let lists = |vals: &[String]| vals.iter().any(|val| val == tag.unwrap_or(""));
        match self {
            Self::Exactly(val) => tag == Some(val),
            Self::Not(val) => tag != Some(val),
            Self::OneOf(vals) => lists(vals),
            Self::NoneOf(vals) => !lists(vals),
            Self::There => tag.is_some(),
            Self::Missing => tag.is_none(),
            Self::Begins(val) => tag.is_some_and(|tag| tag.starts_with(val)),
            Self::Ends(val) => tag.is_some_and(|tag| tag.ends_with(val)),
            Self::Contains(val) => tag.is_some_and(|tag| tag.contains(val)),
            Self::Above(val, or_equal) => is_ordered(tag, val, Ordering::Greater, *or_equal),
            Self::Below(val, or_equal) => is_ordered(tag, val, Ordering::Less, *or_equal),
        }
    }
}

fn is_ordered(tag: Option<&str>, val: &str, wanted: Ordering, or_equal: bool) -> bool {
    match (tag.and_then(Decimal::parse), Decimal::parse(val)) {
        (Some(tag), Some(val)) => {
            let order = tag.compare(val);
            order == wanted || (or_equal && order == Ordering::Equal)
        }
        _ => false,
    }
}

/// A number in decimal digits, compared exactly: prices and ids are not to be rounded.
#[derive(Clone, Copy)]
struct Decimal<'a> {
    is_negative: bool,
    /// Without zeros in front.
    whole: &'a str,
    /// Without zeros at the end.
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    /// Digits, with a sign and a point among them where they have one.
    fn parse(text: &'a str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        if whole.is_empty() || fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self { is_negative: text.starts_with('-') && !is_zero, whole, fraction })
    }

    fn compare(self, other: Self) -> Ordering {
        let sizes = || self.whole.len().cmp(&other.whole.len()).then(self.whole.cmp(other.whole)).then(self.fraction.cmp(other.fraction));
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => sizes(),
            (true, true) => sizes().reverse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(key: &str, cmp: &str, val: &str) -> FilterNode {
        FilterNode { key: key.into(), cmp: cmp.into(), val: val.into(), ..FilterNode::default() }
    }

    fn list(key: &str, cmp: &str, vals: &[&str]) -> FilterNode {
        FilterNode { vals: vals.iter().map(ToString::to_string).collect(), ..leaf(key, cmp, "") }
    }

    fn join(op: &str, nodes: &[FilterNode]) -> FilterNode {
        FilterNode { op: op.into(), nodes: nodes.to_vec(), ..FilterNode::default() }
    }

    fn passes(node: FilterNode, tags: &[(&str, &str)]) -> bool {
        let tags = tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        TagsFilter::new(node).unwrap().passes(Some(&tags))
    }

    #[test]
    fn a_tag_is_compared() {
        for (cmp, val, passing, failing) in [
            ("eq", "a", &["a"][..], &["b", "", "aa", "A"][..]),
            ("neq", "a", &["b", ""], &["a"]),
            ("sw", "ab", &["ab", "abc"], &["a", "cab", ""]),
            ("ew", "ab", &["ab", "cab"], &["b", "abc", ""]),
            ("ct", "ab", &["ab", "xabx"], &["ba", ""]),
            ("gt", "10", &["10.1", "11", "100", "+11", "9999999999999999999999"], &["10", "9", "-11", "ten", "", "1e9", "10.", ".5", "11 "]),
            ("gte", "10.50", &["10.5", "010.500", "11"], &["10.49", "-10.5", "0x11"]),
            ("lt", "-1", &["-2", "-1.0001", "-10"], &["-1", "-0.5", "0", "1"]),
            ("lte", "0", &["0", "-0", "0.00", "-5"], &["0.000000000000000000000001", "5"]),
            ("gt", "none", &[], &["1", "none"]),
        ] {
            for (tag, expected) in passing.iter().map(|tag| (tag, true)).chain(failing.iter().map(|tag| (tag, false))) {
                assert_eq!(passes(leaf("key", cmp, val), &[("key", tag)]), expected, "{tag:?} {cmp} {val}");
            }
            assert_eq!(passes(leaf("key", cmp, val), &[("other", val)]), cmp == "neq", "no tag {cmp} {val}");
        }
    }

    #[test]
    fn a_tag_is_looked_for_in_a_list_or_among_the_tags() {
        for (node, tag, without) in [
            (list("key", "in", &["a", "b"]), true, false),
            (list("key", "in", &["x", ""]), false, true),
            (list("key", "nin", &["a", "b"]), false, true),
            (list("key", "nin", &["x", ""]), true, false),
            (leaf("key", "ex", ""), true, false),
            (leaf("key", "nex", ""), false, true),
        ] {
            assert_eq!((passes(node.clone(), &[("key", "a")]), passes(node.clone(), &[])), (tag, without), "{node:?}");
            assert_eq!(TagsFilter::new(node).unwrap().passes(None), without);
        }
    }

    #[test]
    fn comparisons_are_joined() {
        let (a, b) = (leaf("a", "eq", "1"), leaf("b", "eq", "1"));
        let both = [("a", "1"), ("b", "1")];
        for (node, of_both, of_one, of_none) in [
            (join("and", &[a.clone(), b.clone()]), true, false, false),
            (join("or", &[a.clone(), b.clone()]), true, true, false),
            (join("not", &[join("or", &[a.clone(), b.clone()])]), false, false, true),
            (join("and", &[a.clone(), join("not", std::slice::from_ref(&b))]), false, true, false),
        ] {
            assert_eq!((passes(node.clone(), &both), passes(node.clone(), &both[..1]), passes(node, &[])), (of_both, of_one, of_none));
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for (node, error) in [
            (FilterNode::default(), FilterError::UnknownComparison(String::new())),
            (leaf("a", "like", "b"), FilterError::UnknownComparison("like".into())),
            (leaf("", "eq", "b"), FilterError::Comparison),
            (leaf("a", "eq", ""), FilterError::Comparison),
            (leaf("a", "ex", "b"), FilterError::Comparison),
            (leaf("a", "in", "b"), FilterError::Comparison),
            (list("a", "in", &[]), FilterError::Comparison),
            (list("a", "eq", &["b"]), FilterError::Comparison),
            (join("and", &[]), FilterError::Operands),
            (join("not", &[]), FilterError::Operands),
            (join("not", &[leaf("a", "ex", ""), leaf("b", "ex", "")]), FilterError::Operands),
            (join("xor", &[leaf("a", "ex", "")]), FilterError::UnknownOperation("xor".into())),
        ] {
            assert_eq!(TagsFilter::new(node).unwrap_err(), error);
        }
    }

    #[test]
    fn a_filter_is_only_so_large() {
        let comparison = leaf("a", "ex", "");
        let nested = |levels: usize| (1..levels).fold(comparison.clone(), |node, _| join("not", &[node]));
        let vals = |count: usize| vec!["v"; count];
        for (largest, too_large) in [
            (nested(DEPTH_MAX), nested(DEPTH_MAX + 1)),
            (join("and", &vec![comparison.clone(); NODES_MAX - 1]), join("and", &vec![comparison.clone(); NODES_MAX])),
            (list("a", "in", &vals(NODES_MAX - 1)), list("a", "in", &vals(NODES_MAX))),
            (leaf("a", "eq", &"v".repeat(BYTES_MAX - 1)), leaf("a", "eq", &"v".repeat(BYTES_MAX))),
        ] {
            assert!(TagsFilter::new(largest).is_ok());
            assert_eq!(TagsFilter::new(too_large).unwrap_err(), FilterError::TooLarge);
        }
    }

    #[test]
    fn equal_filters_are_equal_however_they_came() {
        let filter = |val: &str| TagsFilter::new(join("and", &[leaf("a", "eq", val)])).unwrap();
        assert_eq!(filter("1"), filter("1"));
        assert_ne!(filter("1"), filter("2"));
    }
}
