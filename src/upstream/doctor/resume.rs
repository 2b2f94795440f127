//! Whether the feed goes on where a reader was: the ids of a first reading held against those of a second. Pure.

use super::finding::{Check, Finding, count, quoted};
use super::observation::Ids;
use crate::said::said;
use std::collections::HashSet;

/// How many events back the second reading begins. Few, since short histories are common.
const EVENTS_BACK: usize = 8;

/// Where the second reading is to begin, and what must come then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub asked: String,
    /// Ids that came after it, in order.
    pub expected: Vec<String>,
}

impl Question {
    /// `None`: no event had an id that can stand in a header.
    pub fn of(ids: &Ids) -> Option<Self> {
        // An id that came twice would make every answer ambiguous; such a feed has its finding already.
        let recent: Vec<String> = ids.recent.iter().cloned().collect();
        let at = recent.len().checked_sub(1)?.saturating_sub(EVENTS_BACK);
        let asked = recent[at].clone();
        let fits = !asked.is_empty() && asked.bytes().all(|byte| byte >= b' ' && byte != 0x7f);
        fits.then(|| Self { asked, expected: recent[at + 1..].to_vec() })
    }

    /// Enough has come to answer.
    pub fn is_answered(&self, got: &[String]) -> bool {
        got.len() > self.expected.len() + 1
    }

    /// What the second reading said. `seen`: the first.
    pub fn judge(&self, got: &[String], seen: &Ids) -> Finding {
        let asked = quoted(&self.asked);
        let (repeats, rest) = match got.split_first() {
            Some((first, rest)) if *first == self.asked => (true, rest),
            _ => (false, got),
        };
        let known: HashSet<&String> = rest.iter().collect();
        if rest.is_empty() {
            let result = said!("resume.silent", "asked to go on after id {id}, the feed sent no event with an id", id = asked);
            return Finding::note(Check::Resume, result).advise(said!(
                "resume.silent.cure",
                "Whether it resumes cannot be told. Repeat with a longer --duration, or when there is more traffic."
            ));
        }
        let again = rest.iter().filter(|id| seen.knows(id) && !self.expected.contains(id)).count();
        if again > 0 {
            return Finding::warning(
                Check::Resume,
                said!(
                    "resume.repeats",
                    "asked to go on after id {id}, the feed repeated {events} from before it",
                    id = asked,
                    events = count(again as u64, "event")
                ),
                said!(
                    "resume.repeats.cure",
                    "It sends its history whatever is asked: after every reconnect subscribers see old events again, unless the hub knows their ids."
                ),
            );
        }
        if self.expected.is_empty() {
            let result = said!("resume.went_on", "asked to go on after id {id}, the feed went on", id = asked);
            return Finding::note(Check::Resume, result).advise(said!(
                "resume.went_on.cure",
                "There was only one event with an id to compare with, so a gap would not have been seen. Repeat with a longer --duration."
            ));
        }
        let missing = self.expected.iter().filter(|id| !known.contains(id)).count();
        let in_order = rest.iter().zip(&self.expected).all(|(got, expected)| got == expected);
        if missing == self.expected.len() {
            return Finding::warning(
                Check::Resume,
                said!(
                    "resume.lost",
                    "does not resume: asked to go on after id {id}, the feed left out the {events} that followed",
                    id = asked,
                    events = count(missing as u64, "event")
                ),
                said!(
                    "resume.lost.cure",
                    "It ignores Last-Event-ID, or has no history: what it says while the hub is away is lost. The hub marks such gaps."
                ),
            );
        }
        // The second reading may have ended before all of it came.
        if in_order {
            let events = count(rest.len().min(self.expected.len()) as u64, "event");
            return match repeats {
                false => Finding::fine(
                    Check::Resume,
                    said!("resume.whole", "resumes: the {events} after id {id} came again in order, without a gap", events, id = asked),
                ),
                true => Finding::note(
                    Check::Resume,
                    said!(
                        "resume.whole_and_one",
                        "resumes: the {events} after id {id} came again in order, without a gap, with that event once more",
                        events,
                        id = asked
                    ),
                )
                .advise(said!("resume.whole_and_one.cure", "Last-Event-ID names the last event that was read, so it should not come again.")),
            };
        }
        let result = match missing {
            0 => said!("resume.disordered", "asked to go on after id {id}, the feed sent what followed in another order", id = asked),
            _ => said!(
                "resume.gap",
                "asked to go on after id {id}, the feed left out {missing} of the {events} that followed",
                id = asked,
                missing,
                events = count(self.expected.len() as u64, "event")
            ),
        };
        Finding::warning(Check::Resume, result, said!("resume.gap.cure", "After a reconnect events are missing or in another order."))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::super::observation::{Moment, Observation};
    use super::*;
    use crate::protocol::event_stream::EventStreamLimits;
    use std::time::Duration;

    fn texts(numbers: &[u32]) -> Vec<String> {
        numbers.iter().map(u32::to_string).collect()
    }

    fn seen(ids: &[u32]) -> Observation {
        let mut seen = Observation::new(EventStreamLimits::default());
        let stream: String = ids.iter().map(|id| format!("id: {id}\ndata: x\n\n")).collect();
        seen.on_portion(stream.as_bytes(), Moment { at: Duration::ZERO, wall_ms: 0 }).unwrap();
        seen
    }

    fn question(ids: &[u32]) -> Option<Question> {
        Question::of(&seen(ids).ids)
    }

    #[test]
    fn the_question_is_some_events_back() {
        assert_eq!(question(&[]), None);
        assert_eq!(question(&[7]).unwrap(), Question { asked: "7".to_string(), expected: vec![] });
        let many = question(&(1..=12).collect::<Vec<_>>()).unwrap();
        assert_eq!((many.asked.as_str(), many.expected), ("4", texts(&[5, 6, 7, 8, 9, 10, 11, 12])));
    }

    #[test]
    fn answers() {
        // Asked after 92, of 1 to 100.
        let seen = seen(&(1..=100).collect::<Vec<_>>());
        let question = Question::of(&seen.ids).unwrap();
        assert_eq!(question.asked, "92");
        for (got, level, word) in [
            (vec![93, 94, 95, 96, 97, 98, 99, 100, 101], Level::Fine, "8 events after id \"92\" came again"),
            (vec![93, 94], Level::Fine, "2 events after id \"92\" came again"),
            (vec![92, 93, 94, 95, 96, 97, 98, 99, 100, 101], Level::Note, "with that event once more"),
            (vec![101, 102], Level::Warning, "does not resume"),
            (vec![1, 2, 3, 4], Level::Warning, "repeated 4 events"),
            (vec![91, 92, 93, 94], Level::Warning, "repeated 2 events"),
            (vec![93, 95, 96, 97, 98, 99, 100, 101], Level::Warning, "left out 1 of the 8 events"),
            (vec![94, 93, 95, 96, 97, 98, 99, 100], Level::Warning, "another order"),
            (vec![], Level::Note, "sent no event"),
            (vec![92], Level::Note, "sent no event"),
        ] {
            let finding = question.judge(&texts(&got), &seen.ids);
            assert!(finding.level == level && finding.result.contains(word), "{got:?}: {finding:?}");
            assert_eq!(finding.advice.is_some(), level != Level::Fine, "{finding:?}");
        }
        assert!(question.is_answered(&texts(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])) && !question.is_answered(&texts(&[93])));
    }

    #[test]
    fn one_id_alone_tells_little() {
        let finding = question(&[7]).unwrap().judge(&texts(&[8]), &seen(&[7]).ids);
        assert!(finding.level == Level::Note && finding.result.contains("went on"), "{finding:?}");
    }
}
