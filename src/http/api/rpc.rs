//! `rpc`: a method of the application's own, of which there is none.

use super::json::Text;
use super::{Call, Empty};
use crate::protocol::codes::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub const EXAMPLE: &str = r#"{"method":"restart","params":{}}"#;
pub const EXAMPLE_RESULT: &str = "{}";

/// Calls a method that the hub was extended with. This hub has none: the answer is always error 104.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "there is no method that could be called")]
pub struct RpcRequest<'a> {
    /// Its name.
    #[serde(default, borrow)]
    #[schema(value_type = String, required = true)]
    pub method: Text<'a>,
    /// What it is given: any JSON.
    #[serde(default, borrow)]
    #[schema(value_type = Value)]
    pub params: Option<&'a RawValue>,
}

pub async fn call(_: &Call<'_>, _: RpcRequest<'_>) -> Result<Empty, ErrorCode> {
    Err(ErrorCode::NOT_FOUND)
}
