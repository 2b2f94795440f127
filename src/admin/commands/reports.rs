//! `admin.reports.*`: how the hub did in a day or a week.

use super::metrics::observatory;
use super::{Failure, commands};
use crate::admin::arguments::arguments;
use crate::admin::desk::Desk;
use crate::auth::Right;
use crate::calendar::Period;
use crate::metrics::reports::{Report, ReportError, document};
use crate::session::procedures::Caller;
use serde_json::{Value, json};
use std::sync::Arc;

commands! {
    "admin.reports.get" Some(Right::ReportsRead), Looks, "", Which, get, r#"{"period":"week","back":1}"#,
        "Shows how the hub did in a day or a week, and what stands out in it; as JSON or as a page.";
    "admin.reports.list" Some(Right::ReportsRead), Looks, "", List, list, "{}",
        "Lists the reports that are kept, the newest first.";
    "admin.reports.make" Some(Right::ReportsWrite), Changes, "period", Which, make, r#"{"period":"day","back":1}"#,
        "Makes a report anew and keeps it in the place of the one that was there.";
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        let text = error.to_string();
        match error {
            ReportError::Off => Self::NotAvailable(text),
            ReportError::Nothing => Self::NotFound(text),
            ReportError::Store(error) => error.into(),
        }
    }
}

arguments! {
    List {}
}

async fn list(desk: Arc<Desk>, _: Caller, _: List) -> Result<Value, Failure> {
    Ok(json!({ "reports": observatory(&desk)?.reports().await? }))
}

arguments! {
    Which {
        /// A day (UTC) or a week (from Monday).
        period: Period,
        /// How many of them ago; 0, the default: the one that is not over.
        back: Option<u64>,
        /// As a page that a browser shows.
        html: bool,
    }
}

async fn get(desk: Arc<Desk>, _: Caller, Which { period, back, html }: Which) -> Result<Value, Failure> {
    let report = observatory(&desk)?.report(period, ago(back)).await?;
    told(&report, html)
}

async fn make(desk: Arc<Desk>, _: Caller, Which { period, back, html }: Which) -> Result<Value, Failure> {
    let report = observatory(&desk)?.make_report(period, ago(back)).await?;
    told(&report, html)
}

fn ago(back: Option<u64>) -> u32 {
    u32::try_from(back.unwrap_or(0)).unwrap_or(u32::MAX)
}

fn told(report: &Report, html: bool) -> Result<Value, Failure> {
    if html {
        return Ok(json!({ "html": document(report).html() }));
    }
    let report = serde_json::to_value(report).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(json!({ "report": report }))
}
