//! A blocking HTTP client for loopback that takes every status for an answer.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The longest that an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The largest body that is read, in bytes.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in the order of the answer, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

/// Gets `url`.
///
/// # Errors
/// When there is no answer; a status of 400 or more is an answer.
pub fn get(url: &str) -> Result<Answer> {
    fetch(url, &[])
}

/// Gets `url` with more headers.
///
/// # Errors
/// When there is no answer.
pub fn fetch(url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let request = headers
        .iter()
        .fold(client().get(url), |r, (key, value)| r.header(*key, *value));
    answer(request.call().with_context(|| format!("GET {url}"))?)
}

/// Posts `body` to `url`.
///
/// # Errors
/// When there is no answer.
pub fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let request = headers
        .iter()
        .fold(client().post(url), |r, (key, value)| r.header(*key, *value));
    answer(request.send(body).with_context(|| format!("POST {url}"))?)
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer> {
    let headers = response
        .headers()
        .iter()
        .map(|(key, value)| {
            (
                key.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let body = response
        .body_mut()
        .with_config()
        .limit(BODY_BYTES_MAX)
        .read_to_vec()?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers,
        body,
    })
}

fn client() -> &'static ureq::Agent {
    static CLIENT: OnceLock<ureq::Agent> = OnceLock::new();
    CLIENT.get_or_init(|| {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_WITHIN))
            .proxy(None)
            .build()
            .into()
    })
}
