//! A small HTTP/1 client: whole bodies, one deadline for each request, no TLS.

use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

const DEADLINE: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 64 << 20;

/// A client that keeps its connections; clones share them.
#[derive(Clone, Debug)]
pub struct HttpClient {
    inner: Client<HttpConnector, Full<Bytes>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, at most 64 MiB.
    pub body: Bytes,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient {
    /// A client without connections.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        }
    }

    /// Sends a request and reads its answer to the end, within ten seconds.
    ///
    /// # Errors
    /// Nobody listens, the time is over, or the answer is broken or too large.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let uri = request.uri().clone();
        let exchange = async {
            let (head, body) = self.inner.request(request).await?.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| {
                    anyhow::Error::from_boxed(error).context("the answer broke off")
                })?;
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        let answer: anyhow::Result<Answer> = tokio::time::timeout(DEADLINE, exchange)
            .await
            .unwrap_or_else(|_elapsed| Err(anyhow::anyhow!("no answer in {DEADLINE:?}")));
        answer.with_context(|| format!("asking {uri}"))
    }

    /// Gets `uri`.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub async fn fetch(&self, uri: Uri) -> anyhow::Result<Answer> {
        self.send(Request::get(uri).body(Full::default())?).await
    }

    /// Posts a JSON body to `uri`.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub async fn post_json(&self, uri: Uri, body: Vec<u8>) -> anyhow::Result<Answer> {
        let request = Request::post(uri).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Full::from(body))?).await
    }
}
