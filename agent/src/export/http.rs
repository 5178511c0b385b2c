//! The collector's HTTP interface.

use std::fmt::Write as _;
use std::time::Duration;

use flashlamp_profile::Timestamp;
use ureq::http::{StatusCode, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as TransportDuration;
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::item::{Item, Kind};
use crate::error::StartError;
use crate::limits;
use crate::sys;

/// Where pieces go.
#[derive(Debug)]
pub(crate) struct Collector {
    client: ureq::Agent,
    base: String,
    service: String,
    /// 32 hex digits: who sends, in idempotency keys.
    agent_id: String,
}

/// What the collector said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has the piece.
    Stored,
    /// It does not want the piece.
    Refused,
    /// It asks to come again after this.
    Later(Duration),
    /// It could not be reached, or failed.
    Failed,
}

impl Answer {
    /// What a status means, where the collector asks to come again after `later` if at all.
    fn of(status: StatusCode, later: Duration) -> Self {
        match status {
            _ if status.is_success() => Self::Stored,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::INSUFFICIENT_STORAGE => Self::Later(later.min(limits::BACKOFF_MAX)),
            StatusCode::REQUEST_TIMEOUT => Self::Failed,
            _ if status.is_server_error() => Self::Failed,
            _ => Self::Refused,
        }
    }
}

impl Collector {
    pub(crate) fn new(base: &str, service: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("flashlamp/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            client: ureq::Agent::with_parts(
                config,
                DefaultConnector::default(),
                ResolveHere::default(),
            ),
            base: base.trim_end_matches('/').to_owned(),
            service: service.to_owned(),
            agent_id: random_hex(),
        }
    }

    /// Posts one piece; takes at most `timeout`, and what the system's resolver takes to give a
    /// host name up.
    pub(super) fn post(&self, item: &Item, body: &[u8], timeout: Duration) -> Answer {
        let url = self.url(&item.kind);
        let request = self
            .client
            .post(&url)
            .config()
            .timeout_global(Some(timeout))
            .build()
            .header("content-type", "application/x-protobuf")
            .header(
                "idempotency-key",
                format!("{}-{}", self.agent_id, item.sequence),
            );
        let Ok(mut response) = request.send(body) else {
            return Answer::Failed;
        };
        let status = response.status();
        let later = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs);
        // The rest of the answer is for people; reading it lets the connection be used again.
        drop(
            response
                .body_mut()
                .with_config()
                .limit(64 << 10)
                .read_to_vec(),
        );
        Answer::of(status, later)
    }

    fn url(&self, kind: &Kind) -> String {
        let service = percent_encoded(&self.service);
        match kind {
            Kind::Window { from, until } => format!(
                "{}/api/v1/samples?service={service}&from={}&until={}",
                self.base,
                unix_seconds(*from),
                unix_seconds(*until)
            ),
            Kind::Request { id, entry, name } => format!(
                "{}/api/v1/profiles?service={service}&entry={}&name={}&id={id}",
                self.base,
                percent_encoded(entry),
                percent_encoded(name)
            ),
        }
    }
}

/// Resolves host names on the calling thread.
///
/// Where there is a timeout, ureq resolves on a thread of its own for each lookup: it panics
/// where the system refuses that thread, and the thread would be sampled as the host's. Ours
/// has nothing else to do meanwhile, and nobody joins it.
#[derive(Debug, Default)]
struct ResolveHere(DefaultResolver);

impl Resolver for ResolveHere {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let never = NextTimeout {
            after: TransportDuration::NotHappening,
            ..timeout
        };
        self.0.resolve(uri, config, never)
    }
}

/// The wait after this many failures: doubling, with up to a quarter of jitter.
pub(super) fn backoff(failures: u32) -> Duration {
    let doubled = limits::BACKOFF_MIN.saturating_mul(1 << failures.min(16));
    let wait = doubled.min(limits::BACKOFF_MAX);
    let jitter = sys::random_u64() % (crate::clock::nanos(wait) / 4).max(1);
    wait.saturating_add(Duration::from_nanos(jitter))
}

fn unix_seconds(time: Timestamp) -> String {
    let nanos = time.as_nanos();
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// 32 random hex digits.
pub(crate) fn random_hex() -> String {
    format!("{:016x}{:016x}", sys::random_u64(), sys::random_u64())
}

/// Everything but letters, digits and `-._~` as `%XX` (RFC 3986).
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A URL that a collector can have: `http://host[:port][/path]`, without query and fragment.
pub(crate) fn checked_url(what: &'static str, url: &str) -> Result<String, StartError> {
    let bad = |why| {
        Err(StartError::BadUrl {
            what,
            url: url.to_owned(),
            why,
        })
    };
    let Ok(parsed) = url.parse::<Uri>() else {
        return bad("is not a URL");
    };
    if parsed.authority().is_none() {
        return bad("has no host");
    }
    match parsed.scheme_str() {
        Some("http") => {}
        Some("https") if cfg!(feature = "https") || what == "the public URL" => {}
        Some("https") => return bad("needs the feature `https` of the crate"),
        _ => return bad("does not begin with http:// or https://"),
    }
    if parsed.query().is_some() || url.contains('#') {
        return bad("has a query or a fragment");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_says_what_becomes_of_the_piece() {
        let later = Duration::from_secs(7);
        for (status, expected) in [
            (204, Answer::Stored),
            (400, Answer::Refused),
            (408, Answer::Failed),
            (429, Answer::Later(later)),
            (500, Answer::Failed),
            (503, Answer::Later(later)),
            (507, Answer::Later(later)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Answer::of(status, later), expected, "{status}");
        }
        let far = Duration::from_secs(3600);
        let bounded = Answer::of(StatusCode::SERVICE_UNAVAILABLE, far);
        assert_eq!(bounded, Answer::Later(limits::BACKOFF_MAX));
    }

    #[test]
    fn host_is_resolved_without_a_thread_that_the_timeout_could_leave_behind() {
        let config = ureq::Agent::config_builder().build();
        let over = NextTimeout {
            after: TransportDuration::Exact(Duration::ZERO),
            ..NextTimeout::default()
        };
        let uri = Uri::from_static("http://127.0.0.1:4140/");
        let found = ResolveHere::default().resolve(&uri, &config, over);
        assert_eq!(found.unwrap()[0].to_string(), "127.0.0.1:4140");
    }
}
