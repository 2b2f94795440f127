//! `report`: how the hub did in a day or a week, as JSON and, by GET, as a page for people.

use super::report_page::Asked;
use super::{ApiState, Call};
use crate::calendar::Period;
use crate::document::Document;
use crate::metrics::reports::{self, Report, ReportError};
use crate::protocol::codes::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub const NAME: &str = "report";
pub const EXAMPLE: &str = r#"{"period":"day","back":1}"#;
pub const EXAMPLE_RESULT: &str = r#"{"report":{"period":"day","number":20778,"from":"2026-11-21","to":"2026-11-21","from_ms":1795219200000,"to_ms":1795305600000,"is_over":true,"is_whole":true,"made_at":1795306200000,"node":"hub.example.org_8000","version":"0.1.0","measured":1.0,"findings":["+31 % sessions against the day before"],"said":[{"code":"report.sessions_change","values":{"change_percent":31.0,"period":"day"}}],"connections":{"opened":48211,"closed":48190,"closed_by":{"closed.client":48102,"closed.silent":88},"refused":0,"success":1.0,"mean":12100.5,"most":12408.0},"delivery":{"published":7200000,"published_bytes":864000000,"delivered":158000000,"delivered_bytes":21000000000,"lost":0,"canaries":864000,"canaries_lost":0,"success":1.0,"recovered":88,"not_recovered":0},"objectives":[{"name":"delivery","goal":0.9999,"share":1.0,"of":864000,"budget_left":1.0}],"latency":[{"path":"canaries","percentile":"p99","mean_ms":3.1,"most_ms":11.0}],"errors":[{"metric":"closed.silent","count":88,"is_own":false,"change_percent":-12.0}],"hours":[{"sessions":12408.0,"published":300000,"delivered":6583333,"errors":0}],"busiest_hours":[18,19,17],"days":[],"alerts":[{"rule":"feed_down","title":"Feed market is down","severity":"warning","count":2,"active_ms":31000,"longest_ms":22000,"last_at":1795291188000,"is_firing":false,"subjects":["market"]}],"alerts_are_cut":false,"leaks":[{"what":"memory","mean_per_hour":1200.0,"most_per_hour":90000.0,"is_suspected":false}],"resources":[{"metric":"process.cpu","unit":"percent","min":3.0,"avg":21.5,"max":88.0,"change_percent":4.0}],"feeds":null}}"#;

/// Asks how the hub did in a day or a week. Error 104 where nothing was measured in that time, 108 where nothing is kept of what is measured. A GET
/// with the same members in the query gives a page for people.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReportRequest {
    /// Which kind of report.
    pub period: Period,
    /// How many of them ago. 0: the one that is not over.
    #[serde(default)]
    #[schema(value_type = u32)]
    pub back: Option<u32>,
}

/// The report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportResult {
    /// How the hub did.
    pub report: Box<Report>,
}

pub async fn call(call: &Call<'_>, request: ReportRequest) -> Result<ReportResult, ErrorCode> {
    let report = read(call.api, request.period, request.back).await?;
    Ok(ReportResult { report: Box::new(report) })
}

/// The same for people.
pub async fn document(api: &ApiState, asked: Asked) -> Result<Document, ErrorCode> {
    Ok(reports::document(&read(api, asked.period, asked.back).await?))
}

async fn read(api: &ApiState, period: Period, back: Option<u32>) -> Result<Report, ErrorCode> {
    let metrics = api.metrics.as_ref().ok_or(ErrorCode::NOT_AVAILABLE)?;
    metrics.report(period, back.unwrap_or(0)).await.map_err(|error| match error {
        ReportError::Off => ErrorCode::NOT_AVAILABLE,
        ReportError::Nothing => ErrorCode::NOT_FOUND,
        ReportError::Store(error) => {
            log::warn!("api: a report cannot be made: {error}");
            ErrorCode::INTERNAL
        }
    })
}
