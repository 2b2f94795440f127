//! What commands show to people: tables, lines, times. Texts from elsewhere are made inert first, since a terminal obeys control characters.

use crate::store::WallMs;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

/// Between two columns.
const GAP: &str = "  ";

/// Where nothing stands.
const NOTHING: &str = "-";

/// Columns that stand before all others, in this order. The others follow by name.
const FIRST: [&str; 14] =
    ["sequence", "at", "id", "session", "channel", "name", "feed", "user", "kind", "subject", "role", "actor", "action", "object"];

/// Unix times below this are seconds: as milliseconds they would be in 1973.
const SECONDS_BELOW: i64 = 100_000_000_000;

/// A time as people read it, in UTC.
pub fn time(at: WallMs) -> String {
    let since = Duration::from_millis(u64::try_from(at).unwrap_or(0));
    httpdate::fmt_http_date(UNIX_EPOCH + since).trim_start_matches(|c: char| !c.is_ascii_digit()).trim_end_matches(" GMT").to_string()
}

/// A text without what a terminal would obey, or what would make it look like another one.
pub fn inert(text: &str) -> Cow<'_, str> {
    let is_harmful =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// An answer: first its single values, a line each, then its lists of objects as tables.
/// Where a table is wider than `width`, each row becomes a block of lines; where rows have tables of their own, each is shown like an answer.
pub fn answer(answer: &Value, width: usize) -> String {
    let Value::Object(members) = answer else { return format!("{}\n", cell("", answer)) };
    let (mut lines, mut tables) = (Vec::new(), Vec::new());
    for (name, value) in members {
        collect(name.clone(), value, &mut lines, &mut tables);
    }
    let lines: Vec<_> = lines.into_iter().map(|(name, value)| vec![name, value]).collect();
    let mut text = aligned(&lines);
    for (name, rows) in &tables {
        if !text.is_empty() {
            text.push('\n');
        }
        if lines.len() + tables.len() > 1 {
            let _ = writeln!(text, "{name}:");
        }
        if rows.iter().any(has_table) {
            text.push_str(&rows.iter().map(|row| self::answer(row, width)).collect::<Vec<_>>().join("\n"));
        } else {
            text.push_str(&table(rows, width));
        }
    }
    text
}

fn is_table(value: &Value) -> bool {
    value.as_array().is_some_and(|rows| !rows.is_empty() && rows.iter().all(Value::is_object))
}

fn has_table(row: &Value) -> bool {
    row.as_object().is_some_and(|members| members.values().any(is_table))
}

fn collect<'a>(name: String, value: &'a Value, lines: &mut Vec<(String, String)>, tables: &mut Vec<(String, &'a [Value])>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (member, value) in members {
                collect(format!("{name}.{}", inert(member)), value, lines, tables);
            }
        }
        Value::Array(rows) if is_table(value) => tables.push((name, rows)),
        value => lines.push((name.clone(), cell(name.rsplit('.').next().unwrap_or_default(), value))),
    }
}

/// Objects as rows. A column in which nothing stands is left out.
fn table(rows: &[Value], width: usize) -> String {
    let of_rows = || rows.iter().filter_map(Value::as_object);
    let names: BTreeSet<&str> = of_rows().flat_map(|row| row.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str())).collect();
    let mut columns: Vec<&str> = FIRST.into_iter().filter(|name| names.contains(name)).collect();
    columns.extend(names.iter().filter(|name| !FIRST.contains(name)));
    let head: Vec<String> = columns.iter().map(|name| inert(name).into_owned()).collect();
    let body = of_rows().map(|row| columns.iter().map(|name| cell(name, row.get(*name).unwrap_or(&Value::Null))).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let text = aligned(&rows);
    if text.lines().all(|line| line.chars().count() <= width) {
        return text;
    }
    let Some((head, body)) = rows.split_first() else { return text };
    let block = |row: &Vec<String>| {
        let lines: Vec<_> = head.iter().zip(row).filter(|(_, cell)| *cell != NOTHING).map(|(name, cell)| vec![name.clone(), cell.clone()]).collect();
        aligned(&lines)
    };
    body.iter().map(block).collect::<Vec<_>>().join("\n")
}

/// Letters in a line of the terminal; without one there is no bound.
pub fn terminal_width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(usize::MAX, |(width, _)| usize::from(width.0))
}

/// Rows with their columns one below the other.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

/// One value on one line. `name` tells times from other numbers.
pub fn cell(name: &str, value: &Value) -> String {
    let is_time = matches!(name, "at" | "since" | "until" | "last_seen") || name.ends_with("_at");
    match value {
        Value::Null => NOTHING.to_string(),
        Value::String(text) if text.is_empty() => NOTHING.to_string(),
        Value::String(text) => inert(text).into_owned(),
        Value::Number(number) if is_time => match number.as_i64() {
            Some(at) if at > 0 => time(if at < SECONDS_BELOW { at.saturating_mul(1_000) } else { at }),
            _ => number.to_string(),
        },
        Value::Array(items) if items.is_empty() => NOTHING.to_string(),
        Value::Array(items) if items.iter().all(Value::is_string) => items.iter().filter_map(Value::as_str).map(inert).collect::<Vec<_>>().join(", "),
        Value::Object(members) if members.is_empty() => NOTHING.to_string(),
        // JSON escapes control characters by itself; the others it does not.
        other => inert(&other.to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_lines_and_tables() {
        let value = json!({ "sessions": [
            { "session": "a", "user": "alice", "since": 1_700_000_000_000_i64, "login": null, "expires_at": 1_700_000_000 },
            { "session": "bcd", "user": "bob", "since": 1_700_000_060_000_i64, "login": null, "expires_at": null },
        ], "count": 2, "next": null });
        let expected = "\
count  2
next   -

sessions:
session  user   expires_at            since
a        alice  14 Nov 2023 22:13:20  14 Nov 2023 22:13:20
bcd      bob    -                     14 Nov 2023 22:14:20
";
        assert_eq!(answer(&value, 80), expected);
        assert_eq!(
            answer(&json!({ "store": { "kind": "sqlite", "waiting": 0 }, "ok": true }), 80),
            "ok             true\nstore.kind     sqlite\nstore.waiting  0\n"
        );
        assert_eq!(answer(&json!({ "rows": [{ "a": 1 }] }), 80), "a\n1\n");
        assert_eq!(answer(&json!({ "rows": [] }), 80), "rows  -\n");
        assert_eq!(answer(&json!(null), 80), "-\n");
    }

    #[test]
    fn rows_with_tables_of_their_own_are_shown_like_answers() {
        let value = json!({ "nodes": [
            { "node": "a", "workers": [{ "worker": 0, "lag_ms": 1 }, { "worker": 1, "lag_ms": 2 }], "machine": { "cores": 2 } },
            { "node": "b", "workers": [], "machine": { "cores": 4 } },
        ] });
        let expected = "\
machine.cores  2
node           a

workers:
lag_ms  worker
1       0
2       1

machine.cores  4
node           b
workers        -
";
        assert_eq!(answer(&value, 80), expected);
    }

    #[test]
    fn a_table_that_is_too_wide_becomes_blocks() {
        let value = json!({ "feeds": [{ "feed": "a", "state": "open", "detail": null }, { "feed": "b", "state": "parked", "detail": "gone" }] });
        let blocks = "\
feed   a
state  open

feed    b
detail  gone
state   parked
";
        assert_eq!(answer(&value, 16), blocks);
        assert_eq!(answer(&value, 20).lines().count(), 3);
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_written() {
        let value = json!({ "devices": [{ "device": "\u{1b}]0;owned\u{7}", "user": "a\u{202e}b", "a\nb": ["\u{1b}[2J"] }], "text": "one\r\ntwo" });
        let shown = answer(&value, 80);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(shown.contains("\\u{1b}]0;owned") && shown.contains("a\\u{202e}b") && shown.contains("one\\u{d}"), "{shown}");
        assert_eq!(shown.lines().count(), 5, "{shown}");
    }
}
