//! The API's description and a page to read it, for everybody: they tell nothing about this hub.
//!
//! The page is Swagger UI, part of the built front end like the Live page. It comes from this hub alone, and nothing in it is inline.

use crate::http::assets;
use crate::http::respond::{self, secured};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

/// Addresses are relative to `{prefix}/docs`, so that they hold under every prefix and behind every proxy.
const PAGE: &str = r#"<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Server API · Aether</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="docs/swagger-ui.css">
    <script src="docs/swagger-ui-bundle.js" defer></script>
    <script src="docs/start.js" defer></script>
  </head>
  <body>
    <div id="description"><p>The description itself: <a href="openapi.json">openapi.json</a></p></div>
  </body>
</html>
"#;

/// Like that of all pages, but for the icons in Swagger UI's style sheet, which are `data:` addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const START: &str = "SwaggerUIBundle({ url: 'openapi.json', dom_id: '#description', deepLinking: true, persistAuthorization: false });\n";

/// What stands at `{prefix}/{name}`, if it is something of the description.
pub fn serve(request: &HttpRequest, name: &str, description: &Bytes) -> Option<HttpResponse> {
    let (content_type, body) = match name {
        "openapi.json" => ("application/json", description.clone()),
        "docs" => ("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes())),
        "docs/start.js" => ("text/javascript; charset=utf-8", Bytes::from_static(START.as_bytes())),
        _ => return name.strip_prefix("docs/").map(|file| assets::serve(request, &format!("swagger/{file}"))),
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(secured(respond::method_not_allowed("GET, HEAD")));
    }
    let mut response = HttpResponse::build(StatusCode::OK).insert_header((CONTENT_TYPE, HeaderValue::from_static(content_type))).body(body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let mut response = secured(response);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Some(response)
}
