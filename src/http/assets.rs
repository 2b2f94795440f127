//! The built front end, which is part of the binary: `make front` makes it, a release build embeds it, a debug build reads it from the disk.
//!
//! Every file has a strong validator, and where a compressed sibling was built, who can take it gets that one. Files under `assets/` have
//! their content's hash in their names and may be kept for good; all others are asked for again each time, which costs a 304. A build
//! without the front end works, and its page says what is missing.

use super::respond::{self, secured};
use actix_web::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;
use std::fmt::Write;

#[derive(RustEmbed)]
#[folder = "static/dist"]
#[allow_missing = true]
struct Dist;

/// The page at `/`.
pub const INDEX: &str = "index.html";

/// Names with a hash in them: a year, which is as long as the header can say with meaning.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// To be kept, and asked for again each time.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// A representation of a file, best first.
const ENCODINGS: [Encoding; 3] =
    [Encoding { name: "br", suffix: ".br" }, Encoding { name: "gzip", suffix: ".gz" }, Encoding { name: "identity", suffix: "" }];

struct Encoding {
    /// As `Accept-Encoding` names it (RFC 9110, 8.4.1).
    name: &'static str,
    /// Of the file that holds it.
    suffix: &'static str,
}

/// The file at `path`, which has no slash before it, or 404. Only for GET and HEAD.
pub fn serve(request: &HttpRequest, path: &str) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return secured(respond::method_not_allowed("GET, HEAD"));
    }
    let is_compressed = ENCODINGS.iter().any(|encoding| !encoding.suffix.is_empty() && path.ends_with(encoding.suffix));
    // A debug build asks the file system, an embedded front end knows no way up: the answer is to be the same.
    if is_compressed || path.split('/').any(|part| part == "..") {
        return secured(respond::not_found());
    }
    let accepted = request.headers().get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    let accepted: Cow<'_, str> = accepted.collect::<Vec<_>>().join(",").into();
    let found = ENCODINGS.iter().filter(|encoding| accepts(&accepted, encoding.name)).find_map(|encoding| {
        let file = Dist::get(&format!("{path}{}", encoding.suffix))?;
        Some((encoding, file))
    });
    match found {
        Some((encoding, file)) => secured(response(request.headers(), path, encoding, file)),
        None if path == INDEX => {
            let how = "the Live page is not part of this build: run `make front` and build again";
            secured(respond::text(StatusCode::NOT_FOUND, how))
        }
        None => secured(respond::not_found()),
    }
}

fn response(headers: &HeaderMap, path: &str, encoding: &Encoding, file: EmbeddedFile) -> HttpResponse {
    // Each representation has a validator of its own: they differ in their bytes.
    let tag = tag(&file);
    let mut response = if is_known(headers, &tag) {
        HttpResponse::NotModified().finish()
    } else {
        let bytes = match file.data {
            Cow::Borrowed(embedded) => Bytes::from_static(embedded),
            Cow::Owned(read) => Bytes::from(read),
        };
        let mut response = HttpResponse::Ok().insert_header((CONTENT_TYPE, content_type(path))).body(bytes);
        if !encoding.suffix.is_empty() {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name));
        }
        response
    };
    let headers = response.headers_mut();
    let is_hashed = path.starts_with("assets/");
    headers.insert(CACHE_CONTROL, if is_hashed { FOR_GOOD } else { ASK_AGAIN });
    headers.insert(VARY, HeaderValue::from(ACCEPT_ENCODING));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// A strong validator (RFC 9110, 8.8.3): half of the content's SHA-256.
fn tag(file: &EmbeddedFile) -> String {
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// Whether the client has exactly this (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

/// Whether a client that sent `header` takes `encoding` (RFC 9110, 12.5.3). The plain form is taken even where it is not asked for: there is
/// no other answer left.
fn accepts(header: &str, encoding: &str) -> bool {
    if encoding == "identity" {
        return true;
    }
    let mut any = false;
    for item in header.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_wanted =
            parts.find_map(|part| part.strip_prefix("q=")).is_none_or(|quality| quality.parse::<f32>().is_ok_and(|quality| quality > 0.0));
        if name.eq_ignore_ascii_case(encoding) {
            return is_wanted;
        }
        any |= name == "*" && is_wanted;
    }
    any
}

fn content_type(path: &str) -> HeaderValue {
    HeaderValue::from_static(match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use rust_embed::Metadata;

    fn file(bytes: &'static [u8], first: u8) -> EmbeddedFile {
        let mut hash = [0; 32];
        hash[0] = first;
        EmbeddedFile { data: Cow::Borrowed(bytes), metadata: Metadata::__rust_embed_new(hash, None, None) }
    }

    #[test]
    fn an_encoding_is_accepted_as_the_header_says() {
        let cases = [
            ("", "br", false),
            ("gzip, deflate, br, zstd", "br", true),
            ("gzip, deflate", "br", false),
            ("GZIP", "gzip", true),
            ("br;q=0, gzip", "br", false),
            ("br; q=0.000", "br", false),
            ("br; q=0.5", "br", true),
            ("*", "br", true),
            ("*;q=0", "gzip", false),
            ("*, br;q=0", "br", false),
            ("br;q=0, *", "br", false),
            ("br;q=x", "br", false),
            ("brotli", "br", false),
            ("identity;q=0", "identity", true),
        ];
        for (header, encoding, expected) in cases {
            assert_eq!(accepts(header, encoding), expected, "{header:?} {encoding}");
        }
    }

    #[test]
    fn only_who_has_the_same_bytes_is_answered_without_them() {
        let tag = "\"0123\"";
        for (header, known) in
            [("\"0123\"", true), ("W/\"0123\"", true), ("\"a\", \"0123\"", true), ("*", true), ("\"0124\"", false), ("0123", false), ("", false)]
        {
            let request = TestRequest::default().insert_header((IF_NONE_MATCH, header)).to_http_request();
            assert_eq!(is_known(request.headers(), tag), known, "{header}");
        }
    }

    #[actix_web::test]
    async fn a_file_says_what_it_is_and_how_long_it_may_be_kept() {
        let none = HeaderMap::new();
        let hashed = response(&none, "assets/index-a1.js", &ENCODINGS[0], file(b"x", 1));
        assert_eq!(hashed.headers().get(CONTENT_TYPE).unwrap(), "text/javascript; charset=utf-8");
        assert_eq!(hashed.headers().get(CONTENT_ENCODING).unwrap(), "br");
        assert_eq!(hashed.headers().get(CACHE_CONTROL).unwrap(), FOR_GOOD);
        assert_eq!(hashed.headers().get(VARY).unwrap(), "accept-encoding");
        assert_eq!(hashed.headers().get(ETAG).unwrap(), "\"01000000000000000000000000000000\"");

        let page = response(&none, INDEX, &ENCODINGS[2], file(b"x", 2));
        assert_eq!(page.headers().get(CACHE_CONTROL).unwrap(), ASK_AGAIN);
        assert_eq!(page.headers().get(CONTENT_ENCODING), None);

        let has_it = TestRequest::default().insert_header((IF_NONE_MATCH, "\"02000000000000000000000000000000\"")).to_http_request();
        let unchanged = response(has_it.headers(), INDEX, &ENCODINGS[2], file(b"x", 2));
        assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
        assert!(unchanged.headers().contains_key(ETAG) && unchanged.headers().contains_key(CACHE_CONTROL));
        let changed = response(has_it.headers(), INDEX, &ENCODINGS[2], file(b"x", 3));
        assert_eq!(changed.status(), StatusCode::OK);
    }

    #[actix_web::test]
    async fn what_is_not_there_is_not_found_however_it_is_asked_for() {
        let get = TestRequest::get().to_http_request();
        for path in [
            "",
            "nothing",
            "../Cargo.toml",
            "..%2fCargo.toml",
            "assets/",
            "assets/../../Cargo.toml",
            "assets/../index.html",
            "/etc/passwd",
            "index.html.gz",
            "a\0b",
        ] {
            assert_eq!(serve(&get, path).status(), StatusCode::NOT_FOUND, "{path:?}");
        }
        let post = TestRequest::post().to_http_request();
        assert_eq!(serve(&post, INDEX).status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
