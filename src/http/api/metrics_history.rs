//! `metrics_history`: what was measured earlier, as JSON and, by GET, as a file for other programs.

use super::{ApiState, Call};
use crate::auth::Caller;
use crate::http::respond;
use crate::metrics::catalogue::Metric;
use crate::metrics::history::{Answer, export};
use crate::protocol::codes::{ErrorCode, Refusal};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub const NAME: &str = "metrics_history";
pub const EXAMPLE: &str = r#"{"metrics":["sessions.open"],"from":1795204800000,"to":1795291200000,"step_ms":600000}"#;
pub const EXAMPLE_RESULT: &str = r#"{"history":{"from":1795204800000,"to":1795291200000,"step_ms":600000,"tier_ms":600000,"metrics":{"sessions.open":{"avg":[12100.5,null],"min":[12000.0,null],"max":[12408.0,null]}},"is_whole":true}}"#;

/// Steps of all metrics of one answer: some 4 MiB.
const STEPS_MAX: usize = 100_000;

/// Asks what was measured earlier: mean, least and most of each step. Error 107 where a metric is unknown or the answer would have more than 100,000
/// steps, 108 where nothing is kept. A GET with the same members in the query gives a file: JSON, CSV or OpenMetrics.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MetricsHistoryRequest {
    /// Metrics of `admin.metrics.list`, each once.
    pub metrics: Vec<String>,
    /// From this time on, Unix milliseconds; without it the hour before `to`.
    #[serde(default)]
    #[schema(value_type = i64)]
    pub from: Option<i64>,
    /// Before this time, Unix milliseconds; without it until now.
    #[serde(default)]
    #[schema(value_type = i64)]
    pub to: Option<i64>,
    /// Steps of the answer are at least this long; without it as long that there are 600 of them.
    #[serde(default)]
    #[schema(value_type = u64)]
    pub step_ms: Option<u64>,
}

/// What was measured.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetricsHistoryResult {
    /// As `admin.metrics.history` answers.
    #[schema(value_type = Object)]
    pub history: Value,
}

pub async fn call(call: &Call<'_>, request: MetricsHistoryRequest) -> Result<MetricsHistoryResult, Refusal> {
    Ok(MetricsHistoryResult { history: export::told(&find(call.api, &request).await?) })
}

async fn find(api: &ApiState, request: &MetricsHistoryRequest) -> Result<Answer, Refusal> {
    let history = api.metrics.as_ref().and_then(|metrics| metrics.history()).ok_or(ErrorCode::NOT_AVAILABLE)?;
    let bad = |why: String| Refusal::with_detail(ErrorCode::BAD_REQUEST, why);
    let mut metrics: Vec<Metric> = Vec::new();
    for name in &request.metrics {
        let metric = Metric::parse(name).ok_or_else(|| bad(format!("there is no metric \"{name}\"")))?;
        if metrics.contains(&metric) {
            return Err(bad(format!("\"{name}\" is asked for twice")));
        }
        metrics.push(metric);
    }
    if metrics.is_empty() {
        return Err(bad("\"metrics\" must name one metric or more".to_string()));
    }
    let now = api.clock.wall_ms();
    let query = export::query(metrics, (request.from, request.to), request.step_ms, now, STEPS_MAX).map_err(bad)?;
    Ok(history.find(&query, now).await)
}

/// In which shape a file is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
    Openmetrics,
}

/// The query of a GET.
#[derive(Debug, Deserialize)]
struct Asked {
    /// Names with commas between.
    metrics: String,
    from: Option<i64>,
    to: Option<i64>,
    step_ms: Option<u64>,
    #[serde(default)]
    format: Format,
}

/// The same as a file.
pub async fn file(api: &ApiState, caller: &Caller, request: &HttpRequest) -> HttpResponse {
    if !caller.may_call(NAME, false) {
        return respond::text(StatusCode::FORBIDDEN, "the key is not for this");
    }
    let Ok(asked) = web::Query::<Asked>::from_query(request.query_string()) else {
        let expected = "the query must say metrics=NAME,NAME, and may say from, to (Unix milliseconds), step_ms and format=json, csv or openmetrics";
        return respond::text(StatusCode::BAD_REQUEST, expected);
    };
    let Asked { metrics, from, to, step_ms, format } = asked.into_inner();
    let metrics = metrics.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_string).collect();
    let request = MetricsHistoryRequest { metrics, from, to, step_ms };
    let found = tokio::time::timeout(api.timeout, find(api, &request)).await;
    let answer = match found.unwrap_or_else(|_| Err(ErrorCode::INTERNAL.into())) {
        // Half of a file looks like a whole one.
        Ok(answer) if !answer.is_whole => return respond::text(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read now"),
        Ok(answer) => answer,
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.row.http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return respond::text(status, &refusal.message());
        }
    };
    let (kind, text) = match format {
        Format::Json => ("application/json", export::told(&answer).to_string()),
        Format::Csv => ("text/csv; charset=utf-8; header=present", export::csv(&answer)),
        Format::Openmetrics => ("application/openmetrics-text; version=1.0.0; charset=utf-8", export::openmetrics(&answer)),
    };
    let response = HttpResponse::Ok().insert_header((CONTENT_TYPE, HeaderValue::from_static(kind))).body(text);
    let mut response = respond::secured(response);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
