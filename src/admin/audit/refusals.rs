//! How many refused calls of one actor are recorded one by one: enough to see what was tried, not so many that they bury the rest.

use crate::clock::Millis;
use std::collections::HashMap;

/// Refused calls of one actor that are recorded within a window; those beyond are counted, and the count is recorded.
pub const RECORDED_MAX: u32 = 10;
pub const WINDOW_MS: Millis = 60_000;

/// Actors that are told apart. All that come beyond share one count, so that a flood of names costs no memory.
pub const ACTORS_MAX: usize = 1_024;

/// The name under which they are counted.
pub const OTHERS: &str = "(others)";

/// What to do with a refused call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Record,
    /// It is in the count that [`Refusals::due`] gives later.
    Count,
}

#[derive(Default)]
pub struct Refusals {
    windows: HashMap<String, Window>,
}

struct Window {
    since: Millis,
    refused: u32,
}

impl Refusals {
    pub fn on(&mut self, actor: &str, now: Millis) -> Verdict {
        let name = if self.windows.contains_key(actor) || self.windows.len() < ACTORS_MAX { actor } else { OTHERS };
        let window = self.windows.entry(name.to_string()).or_insert(Window { since: now, refused: 0 });
        window.refused = window.refused.saturating_add(1);
        if window.refused <= RECORDED_MAX { Verdict::Record } else { Verdict::Count }
    }

    /// Closes the windows that are over. Who was refused more often than recorded, and how much more often.
    pub fn due(&mut self, now: Millis) -> Vec<(String, u32)> {
        let mut due = Vec::new();
        self.windows.retain(|actor, window| {
            let is_open = now < window.since + WINDOW_MS;
            if !is_open && window.refused > RECORDED_MAX {
                due.push((actor.clone(), window.refused - RECORDED_MAX));
            }
            is_open
        });
        if self.windows.is_empty() {
            self.windows = HashMap::new();
        }
        due.sort_unstable();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_recorded_and_the_rest_is_counted() {
        let mut refusals = Refusals::default();
        let verdicts: Vec<_> = (0..RECORDED_MAX + 5).map(|_| refusals.on("eve", 0)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Record).count(), RECORDED_MAX as usize);
        assert_eq!(refusals.on("bob", 10), Verdict::Record, "each has a window of its own");
        assert_eq!(refusals.due(WINDOW_MS - 1), []);
        assert_eq!(refusals.due(WINDOW_MS), [("eve".to_string(), 5)]);
        assert_eq!(refusals.on("eve", WINDOW_MS), Verdict::Record, "a new window");
        assert_eq!(refusals.due(10 * WINDOW_MS), [], "nothing was left out");
    }

    #[test]
    fn half_a_million_names_cost_a_thousand_entries() {
        let mut refusals = Refusals::default();
        let recorded = (0..500_000).filter(|number| refusals.on(&format!("user-{number}"), 0) == Verdict::Record).count();
        assert_eq!(refusals.windows.len(), ACTORS_MAX + 1);
        assert_eq!(recorded, ACTORS_MAX + RECORDED_MAX as usize);
        let left_out: u32 = refusals.due(WINDOW_MS).iter().map(|(_, count)| count).sum();
        assert_eq!(recorded + left_out as usize, 500_000, "none is lost");
        assert_eq!(refusals.windows.capacity(), 0);
    }
}
