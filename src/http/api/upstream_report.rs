//! `upstream_report`: what the feeds did in a day or a week, as JSON and, by GET, as a page for people.
//!
//! The page is the only answer of the API that a browser shows. Its addresses can be kept, so it is a GET; it needs the key all the same.

use super::{ApiState, Call};
use crate::auth::Caller;
use crate::http::respond::{self, secured};
use crate::protocol::codes::ErrorCode;
use crate::store::StoreError;
use crate::upstream::{Day, Week, day_page, week_page};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub const NAME: &str = "upstream_report";
pub const EXAMPLE: &str = r#"{"period":"week","back":1}"#;
pub const EXAMPLE_RESULT: &str = r#"{"week":{"number":2967,"from":"2026-11-09","to":"2026-11-15","days":7,"sums":{"events":7200000,"bytes":864000000,"errors":12,"attempts":240,"failed_attempts":3,"rotations":190,"gaps":0,"repeated":41,"dropped":0,"late_ms":43200000,"timed":7200000,"down_ms":31000},"events_by_day":[["2026-11-09",1028571]],"errors_by_day":[["2026-11-09",12]],"errors_by_hour":[0,0,0,12,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"reasons":{"rst":12},"most_errors":[{"feed":"market","count":12,"share":100,"reason":"rst"}],"longest_down":[{"feed":"market","count":31,"share":100,"reason":"rst"}],"latest":[{"feed":"market","mean_ms":6,"most_ms":180}],"bad_hours":[3],"events_change_percent":2,"errors_change_percent":null,"connections_most":50,"waiting_most":0,"connections_max":50,"used_percent_most":31,"emergencies":0,"findings":["market has 100 % of all errors, mostly rst"]}}"#;

/// The page is text and one table style of its own: nothing is fetched, nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a report is about. Days are those of UTC, weeks begin on Mondays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    Day,
    Week,
}

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
    read(call.api, &request).await
}

async fn read(api: &ApiState, request: &UpstreamReportRequest) -> Result<UpstreamReportResult, ErrorCode> {
    let back = request.back.unwrap_or(0);
    let unreadable = |error: StoreError| {
        log::warn!("api: a report of the feeds cannot be read: {error}");
        ErrorCode::INTERNAL
    };
    let found = match request.period {
        Period::Day => api.upstream.day_report(back).await.map_err(unreadable)?.map(|day| UpstreamReportResult::Day(Box::new(day))),
        Period::Week => api.upstream.week_report(back).await.map_err(unreadable)?.map(|week| UpstreamReportResult::Week(Box::new(week))),
    };
    found.ok_or(ErrorCode::NOT_FOUND)
}

/// The same as a page that needs nothing else.
pub async fn page(api: &ApiState, caller: &Caller, request: &HttpRequest) -> HttpResponse {
    if !caller.may_call(NAME, false) {
        return respond::text(StatusCode::FORBIDDEN, "the key is not for reports");
    }
    let Ok(asked) = web::Query::<UpstreamReportRequest>::from_query(request.query_string()) else {
        return respond::text(StatusCode::BAD_REQUEST, "the query must say period=day or period=week, and may say back=N");
    };
    match tokio::time::timeout(api.timeout, read(api, &asked)).await.unwrap_or(Err(ErrorCode::INTERNAL)) {
        Ok(UpstreamReportResult::Day(day)) => shown(day_page(&day)),
        Ok(UpstreamReportResult::Week(week)) => shown(week_page(&week)),
        Err(error) if error == ErrorCode::NOT_FOUND => respond::text(StatusCode::NOT_FOUND, "there is no report of that time"),
        Err(_) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, "the report cannot be read now"),
    }
}

fn shown(page: String) -> HttpResponse {
    let response = HttpResponse::Ok().insert_header((CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))).body(page);
    let mut response = secured(response);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
