//! A letter of what happened to alerts together. Pure.

use super::Alert;
use crate::calendar::minute_of;
use crate::document::Document;
use crate::mail::{Letter, Writer};
use crate::store::WallMs;
use bytes::Bytes;
use serde::Deserialize;

/// Alerts that one letter names; of further ones it says how many they are.
const NAMED_MAX: usize = 50;

/// One thing that happened, as it is told everywhere.
#[derive(Debug, Deserialize)]
struct Told {
    at: WallMs,
    what: String,
    alert: Alert,
}

/// Writes letters of this node.
pub fn letters(node: &str) -> Box<Writer> {
    let node = node.to_string();
    Box::new(move |events: &[Bytes]| letter(&node, events.iter().filter_map(|event| serde_json::from_slice(event).ok()).collect()))
}

/// `None`: nothing that could be told.
fn letter(node: &str, mut told: Vec<Told>) -> Option<Letter> {
    // The worst first, and what is right again last.
    told.sort_by_key(|told| (told.what == "resolved", std::cmp::Reverse(told.alert.severity), told.at));
    let first = told.first()?;
    let count = |what: &str| told.iter().filter(|told| told.what == what).count();
    let kinds = [("firing", count("firing")), ("still firing", count("repeated")), ("resolved", count("resolved"))];
    let counted: Vec<String> = kinds.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")).collect();
    let subject = match told.len() {
        1 => format!("[{node}] {}: {} ({})", word(&first.what), first.alert.title, first.alert.severity.as_str()),
        _ => format!("[{node}] {}: {} and more", counted.join(", "), first.alert.title),
    };
    let mut document = Document::new(subject.clone());
    for Told { at, what, alert } in told.iter().take(NAMED_MAX) {
        document.heading(format!("{} ({}): {}", word(what), alert.severity.as_str(), alert.title));
        document.text(alert.text.clone());
        if what != "resolved" && !alert.advice.is_empty() {
            document.text(format!("What to do: {}", alert.advice));
        }
        let since = alert.fired_at.unwrap_or(alert.since);
        document.text(match alert.resolved_at {
            Some(resolved_at) => {
                let lasted = super::spoken(resolved_at.saturating_sub(since).max(0).unsigned_abs());
                format!("Since {}, for {lasted}; over on {}. Rule {}.", minute_of(since), minute_of(*at), alert.rule)
            }
            None => format!("Since {}. Rule {}.", minute_of(since), alert.rule),
        });
    }
    if told.len() > NAMED_MAX {
        document.text(format!("And {} more, which the page and admin.alerts.list show.", told.len() - NAMED_MAX));
    }
    Some(Letter { subject, plain: document.plain(), html: document.html() })
}

fn word(what: &str) -> &str {
    if what == "repeated" { "still firing" } else { what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::alerts::{Phase, Severity};

    fn told(what: &str, severity: Severity, title: &str) -> Told {
        let alert = Alert {
            id: "1".to_string(),
            rule: "feed_down".to_string(),
            subject: Some("market".to_string()),
            severity,
            state: Phase::Firing,
            metric: "feed.down_seconds".to_string(),
            title: title.to_string(),
            text: "feed.down_seconds is 12".to_string(),
            said: Vec::new(),
            advice: "Look.".to_string(),
            value: Some(12.0),
            peak: Some(12.0),
            since: 0,
            fired_at: Some(5_000),
            resolved_at: (what == "resolved").then_some(95_000),
            acknowledged_by: None,
            acknowledged_at: None,
            silenced_until: None,
            told_at: None,
        };
        Told { at: 95_000, what: what.to_string(), alert }
    }

    #[test]
    fn one_alert_is_told_in_the_subject_and_many_are_counted() {
        let one = letter("a-hub", vec![told("firing", Severity::Warning, "Feed market is down")]).unwrap();
        assert_eq!(one.subject, "[a-hub] firing: Feed market is down (warning)");
        assert!(one.plain.contains("What to do: Look.") && one.plain.contains("Since 1970-01-01 00:00 UTC. Rule feed_down."), "{}", one.plain);
        let many = vec![
            told("resolved", Severity::Critical, "Over"),
            told("repeated", Severity::Warning, "Still"),
            told("firing", Severity::Critical, "Worst"),
            told("firing", Severity::Warning, "Bad"),
        ];
        let many = letter("a-hub", many).unwrap();
        assert_eq!(many.subject, "[a-hub] 2 firing, 1 still firing, 1 resolved: Worst and more");
        let order = ["firing (critical): Worst", "still firing (warning): Still", "firing (warning): Bad", "resolved (critical): Over"];
        let order: Vec<_> = order.iter().filter_map(|heading| many.plain.find(&format!("\n{heading}\n"))).collect();
        assert!(order.len() == 4 && order.is_sorted(), "{}", many.plain);
        assert!(many.plain.contains("for 1 min 30 s; over on 1970-01-01 00:01 UTC"), "{}", many.plain);
        assert_eq!(letter("a-hub", Vec::new()), None);
    }

    #[test]
    fn a_letter_stays_short_and_hostile_names_stay_text() {
        let hostile = "<img src=x onerror=y>\r\nBcc: z";
        let many = letter("a-hub", (0..200).map(|_| told("firing", Severity::Warning, hostile)).collect()).unwrap();
        assert!(many.plain.contains("And 150 more") && many.html.len() < 64 * 1_024, "{}", many.html.len());
        assert!(!many.html.contains("<img") && !many.plain.contains('\r'), "{}", many.plain);
    }
}
