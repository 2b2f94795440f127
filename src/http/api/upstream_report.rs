//! `upstream_report`: what the feeds did in a day or a week, as JSON and, by GET, as a page for people.

use super::report_page::Asked;
use super::{ApiState, Call};
use crate::calendar::Period;
use crate::document::Document;
use crate::protocol::codes::ErrorCode;
use crate::store::StoreError;
use crate::upstream::{Day, Week, day_document, week_document};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub const NAME: &str = "upstream_report";
pub const EXAMPLE: &str = r#"{"period":"week","back":1}"#;
pub const EXAMPLE_RESULT: &str = r#"{"week":{"number":2967,"from":"2026-11-09","to":"2026-11-15","days":7,"sums":{"events":7200000,"bytes":864000000,"errors":12,"attempts":240,"failed_attempts":3,"rotations":190,"gaps":0,"repeated":41,"dropped":0,"late_ms":43200000,"timed":7200000,"down_ms":31000},"events_by_day":[["2026-11-09",1028571]],"errors_by_day":[["2026-11-09",12]],"errors_by_hour":[0,0,0,12,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"reasons":{"rst":12},"most_errors":[{"feed":"market","count":12,"share":100,"reason":"rst"}],"longest_down":[{"feed":"market","count":31,"share":100,"reason":"rst"}],"latest":[{"feed":"market","mean_ms":6,"most_ms":180}],"bad_hours":[3],"events_change_percent":2,"errors_change_percent":null,"connections_most":50,"waiting_most":0,"connections_max":50,"used_percent_most":31,"emergencies":0,"findings":["market has 100 % of all errors, mostly rst"],"said":[{"code":"feeds.worst","values":{"feed":"market","reason":"rst","share_percent":100}}]}}"#;

/// Asks what the feeds did in a day or a week. Error 104 where nothing is known of that time: 35 days and 26 weeks are kept. A GET with the same
/// members in the query gives a page for people.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpstreamReportRequest {
    /// Which kind of report.
    pub period: Period,
    /// How many of them ago. 0: the one that is not over.
    #[serde(default)]
    #[schema(value_type = u32)]
    pub back: Option<u32>,
}

/// The report, under the name of its period.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamReportResult {
    /// One day, feed by feed.
    Day(Box<Day>),
    /// Seven days in sum, and what stands out in them.
    Week(Box<Week>),
}

pub async fn call(call: &Call<'_>, request: UpstreamReportRequest) -> Result<UpstreamReportResult, ErrorCode> {
    read(call.api, request.period, request.back).await
}

async fn read(api: &ApiState, period: Period, back: Option<u32>) -> Result<UpstreamReportResult, ErrorCode> {
    let back = back.unwrap_or(0);
    let unreadable = |error: StoreError| {
        log::warn!("api: a report of the feeds cannot be read: {error}");
        ErrorCode::INTERNAL
    };
    let found = match period {
        Period::Day => api.upstream.day_report(back).await.map_err(unreadable)?.map(|day| UpstreamReportResult::Day(Box::new(day))),
        Period::Week => api.upstream.week_report(back).await.map_err(unreadable)?.map(|week| UpstreamReportResult::Week(Box::new(week))),
    };
    found.ok_or(ErrorCode::NOT_FOUND)
}

/// The same for people.
pub async fn document(api: &ApiState, asked: Asked) -> Result<Document, ErrorCode> {
    Ok(match read(api, asked.period, asked.back).await? {
        UpstreamReportResult::Day(day) => day_document(&day),
        UpstreamReportResult::Week(week) => week_document(&week),
    })
}
