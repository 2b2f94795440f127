//! Publications that come as deltas: the load tool makes whole ones of them, as a client would, before it looks for its mark.

use super::stamp;
use crate::cli::wire::WireError;
use crate::protocol::fossil;
use serde::Deserialize;
use std::borrow::Cow;

/// What one subscriber was given last.
#[derive(Clone, Default)]
pub struct Base(Vec<u8>);

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    push: Push<'a>,
}

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow, rename = "pub")]
    publication: Option<Publication<'a>>,
}

#[derive(Deserialize)]
struct Publication<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(default)]
    delta: bool,
}

impl Base {
    /// The payload of a push in JSON; nothing where the push is no publication.
    pub fn read(&mut self, push: &[u8]) -> Result<&[u8], WireError> {
        let told: Told = serde_json::from_slice(push).map_err(|_| unlike(push))?;
        let Some(Publication { data, delta }) = told.push.publication else { return Ok(&[]) };
        self.0 = match data {
            data if delta => fossil::apply(&self.0, data.as_bytes(), stamp::SIZE_MAX).map_err(|_| unlike(push))?,
            data => data.into_owned().into_bytes(),
        };
        Ok(&self.0)
    }
}

fn unlike(push: &[u8]) -> WireError {
    WireError::Message { start: String::from_utf8_lossy(&push[..push.len().min(80)]).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_made_of_the_one_before() {
        let mut base = Base::default();
        let whole = br#"{"push":{"channel":"a","pub":{"data":"{\"number\":1,\"text\":\"the same\"}"}}}"#;
        assert_eq!(base.read(whole).unwrap(), br#"{"number":1,"text":"the same"}"#);
        let next = br#"{"number":2,"text":"the same"}"#;
        let patch = fossil::patch(br#"{"number":1,"text":"the same"}"#, next).unwrap();
        let push = |patch: &[u8]| {
            serde_json::json!({ "push": { "channel": "a", "pub": { "data": std::str::from_utf8(patch).unwrap(), "delta": true } } }).to_string()
        };
        assert_eq!(base.read(push(&patch).as_bytes()).unwrap(), next);
        assert!(base.read(push(b"no patch").as_bytes()).is_err());
        assert!(base.read(br#"{"push":{"channel":"a","join":{}}}"#).unwrap().is_empty());
    }
}
