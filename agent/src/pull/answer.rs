//! Answers: a profile, a page, or why there is none.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

/// Tells `go tool pprof` that the text of an error is for its user.
const GO_PPROF: HeaderName = HeaderName::from_static("x-go-pprof");

/// Says what is here, as Go's page does.
const INDEX: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>/debug/pprof/</title></head>
<body>
<h1>/debug/pprof/</h1>
<p>Profiles that Flashlamp's agent takes when they are asked for:</p>
<ul>
<li><a href=\"profile?seconds=5\">profile</a>: all threads, by the time that they are on a CPU.</li>
<li><a href=\"wall?seconds=5\">wall</a>: all threads, by the time that passes, running or waiting;
the same as <code>profile?clock=wall</code>.</li>
</ul>
<p>Both take <code>seconds=N</code> (1 to 300, or 30) and <code>period=10ms</code> (1ms to 1s) and
answer with a file for <code>go tool pprof</code>, which can also ask itself:</p>
<pre>go tool pprof 'http://HOST:PORT/debug/pprof/profile?seconds=5'</pre>
</body>
</html>
";

/// Why there is no profile. Its code is stable, its text is for people and may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadSeconds,
    BadClock,
    BadPeriod,
    NoSuchProfile,
    BadMethod,
    TooMany {
        /// Until the first of those that run is over.
        seconds_left: u64,
    },
    Stopped,
    NotStarted {
        why: String,
    },
    Failed,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadSeconds | Self::BadClock | Self::BadPeriod => StatusCode::BAD_REQUEST,
            Self::NoSuchProfile => StatusCode::NOT_FOUND,
            Self::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Stopped | Self::NotStarted { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code and the text. Nothing of what was sent is in it.
    fn text(&self) -> (&'static str, String) {
        let (code, text) = match self {
            Self::BadSeconds => (
                "bad_seconds",
                "seconds is a whole number from 1 to 300; without it 30 are taken",
            ),
            Self::BadClock => ("bad_clock", "clock is cpu or wall; without it cpu is meant"),
            Self::BadPeriod => (
                "bad_period",
                "period is a number and a unit from 1ms to 1s, such as 10ms; without it 10ms",
            ),
            Self::NoSuchProfile => (
                "no_such_profile",
                "there are profile and wall; heap, goroutine and the others of Go are not, so turn \
                 them off where a scraper asks for them",
            ),
            Self::BadMethod => ("bad_method", "only GET and HEAD are answered"),
            Self::TooMany { .. } => (
                "too_many_profiles",
                "as many profiles as may be are being taken; ask again after the seconds that \
                 Retry-After says",
            ),
            Self::Stopped => (
                "stopped",
                "the agent is stopped (or this is a forked child); nothing is sampled any more",
            ),
            Self::NotStarted { why } => return ("not_started", why.clone()),
            Self::Failed => (
                "failed",
                "the agent made a mistake; please report it with this program",
            ),
        };
        (code, text.to_owned())
    }
}

/// The body of an answer: all of it at once.
#[derive(Debug)]
pub struct PprofBody {
    /// `None` when it was given out.
    rest: Option<Bytes>,
    /// False for an answer to `HEAD`, whose body would have had some other size.
    is_whole: bool,
}

impl PprofBody {
    fn new(bytes: Bytes) -> Self {
        Self {
            rest: Some(bytes).filter(|bytes| !bytes.is_empty()),
            is_whole: true,
        }
    }
}

impl Body for PprofBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.rest.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.is_whole {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.rest.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// The answer without its body, for `HEAD`.
pub(super) fn without_body(answer: Response<PprofBody>) -> Response<PprofBody> {
    answer.map(|_body| PprofBody {
        rest: None,
        is_whole: false,
    })
}

/// A profile as net/http/pprof sends it: the file is compressed in itself, so that no
/// `Content-Encoding` must say so.
pub(super) fn of_profile(name: &'static str, pprof: Vec<u8>) -> Response<PprofBody> {
    let mut answer = answer(StatusCode::OK, "application/octet-stream", pprof.into());
    let disposition = match name {
        "wall" => "attachment; filename=\"wall\"",
        _ => "attachment; filename=\"profile\"",
    };
    let disposition = HeaderValue::from_static(disposition);
    answer
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, disposition);
    answer
}

/// The page that says what is here.
pub(super) fn index() -> Response<PprofBody> {
    let page = Bytes::from_static(INDEX.as_bytes());
    answer(StatusCode::OK, "text/html; charset=utf-8", page)
}

/// From `…/pprof` to `…/pprof/`, whose links are relative. So is this one, which therefore leads
/// to no other host, whatever the path is.
pub(super) fn to_index() -> Response<PprofBody> {
    let mut answer = answer(StatusCode::MOVED_PERMANENTLY, TEXT, Bytes::new());
    let place = HeaderValue::from_static("pprof/");
    answer.headers_mut().insert(header::LOCATION, place);
    answer
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Why there is no profile.
pub(super) fn of_refusal(refusal: &Refusal) -> Response<PprofBody> {
    let (code, text) = refusal.text();
    let text = format!("{code}: {text}\n");
    let mut answer = answer(refusal.status(), TEXT, text.into());
    let headers = answer.headers_mut();
    headers.insert(GO_PPROF, HeaderValue::from_static("1"));
    match refusal {
        Refusal::BadMethod => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        Refusal::TooMany { seconds_left } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds_left));
        }
        _ => {}
    }
    answer
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<PprofBody> {
    let mut answer = Response::new(PprofBody::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
