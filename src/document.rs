//! Documents for people: said once, written as a page that needs nothing else and as plain text.
//!
//! Called by whoever reports. Every text that comes in is escaped here and nowhere else, so it may be hostile. Deliberately absent: scripts,
//! pictures, anything that a page would fetch. The page is one file to keep, print or mail; it follows the reader's choice of light or dark.

use std::fmt::Write;

/// Pixels of the tallest bar of a chart, and the signs of the widest one in plain text.
const BAR_PIXELS: f64 = 64.0;
const BAR_SIGNS: f64 = 30.0;

/// How a page looks. Numbers stand below each other; what belongs together is not torn apart on paper.
const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b2430;--soft:#5a6675;--line:#d8dee6;--bar:#2f6fb3;--back:#fff;--tile:#f4f6f9}\
@media(prefers-color-scheme:dark){:root{--text:#e3e8ef;--soft:#9aa6b5;--line:#303a47;--bar:#6aa8e8;--back:#12171e;--tile:#1a212b}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);margin:2rem auto;max-width:64rem;padding:0 1rem;overflow-wrap:anywhere}\
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.05rem;margin:1.8rem 0 .5rem}\
table{border-collapse:collapse;margin:0 0 1rem;font-variant-numeric:tabular-nums}\
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--soft);font-weight:600}\
td:first-child,th:first-child{text-align:left;padding-left:0}\
.wide{overflow-x:auto}\
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:.6rem;margin:1rem 0;padding:0}\
.facts div{background:var(--tile);border-radius:6px;padding:.5rem .8rem}.facts dt,.facts small{color:var(--soft);font-size:.8rem}\
.facts dd{margin:0;font-size:1.25rem;font-variant-numeric:tabular-nums}.facts small{display:block}\
.bars{table-layout:fixed;width:100%;max-width:48rem}.bars td{vertical-align:bottom;text-align:center;padding:0 2px;border:0;font-size:11px;color:var(--soft)}\
.bars td:first-child{text-align:center}.bars i{display:block;background:var(--bar);border-radius:2px 2px 0 0}\
@media print{:root{--text:#000;--soft:#444;--line:#bbb;--bar:#555;--back:#fff;--tile:#fff}body{margin:0;max-width:none;font-size:11px}\
h2{break-after:avoid}tr,.facts,.bars{break-inside:avoid}.bars i{print-color-adjust:exact}.facts div{border:1px solid var(--line)}}";

/// A number to look at first: what it is, the number, what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub name: String,
    pub value: String,
    pub note: String,
}

impl Fact {
    pub fn new(name: &str, value: impl Into<String>, note: impl Into<String>) -> Self {
        Self { name: name.to_string(), value: value.into(), note: note.into() }
    }
}

#[derive(Clone, Debug)]
enum Part {
    Heading(String),
    Text(String),
    List(Vec<String>),
    Facts(Vec<Fact>),
    Table { head: Vec<String>, rows: Vec<Vec<String>> },
    Bars(Vec<(String, f64)>),
}

#[derive(Clone, Debug)]
pub struct Document {
    title: String,
    parts: Vec<Part>,
}

impl Document {
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), parts: Vec::new() }
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn heading(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Heading(text.into()));
    }

    pub fn text(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Text(text.into()));
    }

    /// Without items: that there are none.
    pub fn list(&mut self, items: impl IntoIterator<Item = String>) {
        let items: Vec<String> = items.into_iter().collect();
        self.parts.push(if items.is_empty() { Part::Text("Nothing.".to_string()) } else { Part::List(items) });
    }

    pub fn facts(&mut self, facts: Vec<Fact>) {
        self.parts.push(Part::Facts(facts));
    }

    /// The first column is text, the others are numbers. Without rows: that there are none.
    pub fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let rows: Vec<_> = rows.into_iter().collect();
        let head = head.iter().map(ToString::to_string).collect();
        self.parts.push(if rows.is_empty() { Part::Text("None.".to_string()) } else { Part::Table { head, rows } });
    }

    /// One bar for each; the tallest is that of the largest number. Where all are 0: that there are none.
    pub fn bars(&mut self, bars: impl IntoIterator<Item = (String, f64)>) {
        let bars: Vec<_> = bars.into_iter().collect();
        let has_any = bars.iter().any(|(_, count)| *count > 0.0);
        self.parts.push(if has_any { Part::Bars(bars) } else { Part::Text("None.".to_string()) });
    }

    /// One bar for each hour of a day.
    pub fn hours(&mut self, title: &str, hours: impl IntoIterator<Item = f64>) {
        self.heading(title);
        self.bars(hours.into_iter().enumerate().map(|(hour, count)| (format!("{hour:02}"), count)));
    }

    /// A page that needs nothing else.
    pub fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
        );
        for part in &self.parts {
            match part {
                Part::Heading(text) => _ = write!(page, "<h2>{}</h2>", escaped(text)),
                Part::Text(text) => _ = write!(page, "<p>{}</p>", escaped(text)),
                Part::List(items) => {
                    page.push_str("<ul>");
                    items.iter().for_each(|item| _ = write!(page, "<li>{}", escaped(item)));
                    page.push_str("</ul>");
                }
                Part::Facts(facts) => {
                    page.push_str("<dl class=\"facts\">");
                    for Fact { name, value, note } in facts {
                        let _ = write!(page, "<div><dt>{}</dt><dd>{}</dd><small>{}</small></div>", escaped(name), escaped(value), escaped(note));
                    }
                    page.push_str("</dl>");
                }
                Part::Table { head, rows } => {
                    page.push_str("<div class=\"wide\"><table><tr>");
                    head.iter().for_each(|name| _ = write!(page, "<th>{}", escaped(name)));
                    for row in rows {
                        page.push_str("<tr>");
                        row.iter().for_each(|cell| _ = write!(page, "<td>{}", escaped(cell)));
                    }
                    page.push_str("</table></div>");
                }
                Part::Bars(bars) => {
                    page.push_str("<table class=\"bars\"><tr>");
                    let most = most_of(bars);
                    for (name, count) in bars {
                        let name = escaped(name);
                        let _ = write!(
                            page,
                            "<td title=\"{name}: {count:.0}\"><i style=\"height:{:.0}px\"></i>{name}",
                            count.max(0.0) / most * BAR_PIXELS
                        );
                    }
                    page.push_str("</table>");
                }
            }
        }
        page.push_str("</body></html>");
        page
    }

    /// The same for whoever reads text: lines, columns by blanks.
    pub fn plain(&self) -> String {
        let title = clean(&self.title);
        let mut out = format!("{title}\n{}\n", "=".repeat(title.chars().count()));
        for part in &self.parts {
            match part {
                Part::Heading(text) => {
                    let text = clean(text);
                    let _ = write!(out, "\n{text}\n{}\n", "-".repeat(text.chars().count()));
                }
                Part::Text(text) => _ = writeln!(out, "{}", clean(text)),
                Part::List(items) => items.iter().for_each(|item| _ = writeln!(out, "* {}", clean(item))),
                Part::Facts(facts) => {
                    columns(&mut out, facts.iter().map(|Fact { name, value, note }| vec![clean(name), clean(value), clean(note)]).collect());
                }
                Part::Table { head, rows } => {
                    let head = std::iter::once(head).chain(rows);
                    columns(&mut out, head.map(|row| row.iter().map(|cell| clean(cell)).collect()).collect());
                }
                Part::Bars(bars) => {
                    let most = most_of(bars);
                    let row = |(name, count): &(String, f64)| {
                        vec![clean(name), format!("{count:.0}"), "#".repeat((count.max(0.0) / most * BAR_SIGNS) as usize)]
                    };
                    columns(&mut out, bars.iter().filter(|(_, count)| *count > 0.0).map(row).collect());
                }
            }
        }
        out
    }
}

/// What bars are measured by; never 0.
fn most_of(bars: &[(String, f64)]) -> f64 {
    let most = bars.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    if most > 0.0 { most } else { 1.0 }
}

fn columns(out: &mut String, rows: Vec<Vec<String>>) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// One line that is read in the order in which it stands: no breaks, no control characters, nothing that turns the direction of what follows.
pub fn clean(text: &str) -> String {
    let is_turning = |sign: char| matches!(sign, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_breaking = |sign: char| sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}');
    text.chars().map(|sign| if is_breaking(sign) || is_turning(sign) { '\u{fffd}' } else { sign }).collect()
}

fn escaped(text: &str) -> String {
    let text = clean(text);
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            sign => out.push(sign),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert('x')</script>\" onload=\"y\r\nBcc: z\u{202e}&amp;";

    fn document(text: &str) -> Document {
        let mut document = Document::new(text);
        document.heading(text);
        document.text(text);
        document.list([text.to_string()]);
        document.facts(vec![Fact::new(text, text, text)]);
        document.table(&[text, "b"], [vec![text.to_string(), "1".to_string()]]);
        document.hours(text, [0.0, 1.0]);
        document.bars([(text.to_string(), 1.0)]);
        document
    }

    #[test]
    fn nothing_that_comes_in_becomes_markup_or_another_line() {
        let (page, text) = (document(HOSTILE).html(), document(HOSTILE).plain());
        let tags = |page: &str| page.matches(['<', '>', '"', '\'']).count();
        assert_eq!(tags(&page), tags(&document("harmless").html()), "{page}");
        assert_eq!(text.lines().count(), document("harmless").plain().lines().count(), "{text}");
        for written in [&page, &text] {
            assert!(!written.contains(['\r', '\u{202e}']), "{written}");
        }
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)") && page.contains("&amp;amp;"), "{page}");
    }

    #[test]
    fn a_page_fetches_nothing_and_runs_nothing() {
        let page = document("x").html();
        for never in ["<script", "src=", "href=", "url(", "@import", "http:", "https:"] {
            assert!(!page.contains(never), "{never}: {page}");
        }
        assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"), "{page}");
    }

    #[test]
    fn plain_text_has_columns_and_says_what_there_is_none_of() {
        let mut document = Document::new("Title");
        document.table(&["feed", "events"], [vec!["a".to_string(), "12".to_string()], vec!["longer".to_string(), "3".to_string()]]);
        document.table(&["feed"], []);
        document.list([]);
        document.bars([("00".to_string(), 0.0), ("01".to_string(), 2.0), ("02".to_string(), 1.0)]);
        let bars = format!("01  2  {}\n02  1  {}\n", "#".repeat(30), "#".repeat(15));
        assert_eq!(document.plain(), format!("Title\n=====\nfeed    events\na       12\nlonger  3\nNone.\nNothing.\n{bars}"));
        let mut nothing = Document::new("x");
        nothing.bars([("00".to_string(), 0.0)]);
        assert!(nothing.html().contains("<p>None.</p>") && !nothing.html().contains("class=\"bars\""), "{}", nothing.html());
    }
}
