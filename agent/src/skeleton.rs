//! Skeleton.
#![allow(missing_docs, clippy::all, reason = "skeleton")]
use std::time::Duration;
use std::collections::BTreeMap;
use flashlamp_profile::*;
use crate::StartError;
#[derive(Debug)]
pub struct Agent(());
#[derive(Debug, Default)]
pub struct AgentBuilder(());
#[derive(Clone, Debug, Default)]
pub struct Stats { pub taken: Tally, pub stored: Tally, pub lost: BTreeMap<String, Tally>, pub in_flight: Tally }
impl Agent {
    pub fn builder() -> AgentBuilder { AgentBuilder(()) }
    pub fn stats(&self) -> Stats { Stats::default() }
    /// True when all that was taken before is stored or counted as lost.
    pub fn flush(&self, _timeout: Duration) -> bool { true }
    pub fn shutdown(self, _timeout: Duration) -> Stats { Stats::default() }
    #[cfg(feature = "tower")]
    pub fn request_layer(&self) -> RequestLayer { RequestLayer(()) }
}
impl AgentBuilder {
    pub fn service(self, _: impl Into<String>) -> Self { self }
    pub fn collector(self, _: impl Into<String>) -> Self { self }
    pub fn public_url(self, _: impl Into<String>) -> Self { self }
    pub fn period(self, _: Duration) -> Self { self }
    pub fn allow_unsigned_toggles(self) -> Self { self }
    pub fn start(self) -> Result<Agent, StartError> { Err(StartError::UnsupportedPlatform) }
}
#[cfg(feature = "tower")]
#[derive(Clone, Debug)]
pub struct RequestLayer(());
#[cfg(feature = "tower")]
#[derive(Clone, Debug)]
pub struct RequestService<S>(S);
#[cfg(feature = "tower")]
impl<S> tower_layer::Layer<S> for RequestLayer {
    type Service = RequestService<S>;
    fn layer(&self, inner: S) -> RequestService<S> { RequestService(inner) }
}
#[cfg(feature = "tower")]
impl<S, B, R> tower_service::Service<http::Request<B>> for RequestService<S>
where S: tower_service::Service<http::Request<B>, Response = http::Response<R>> {
    type Response = S::Response; type Error = S::Error; type Future = S::Future;
    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> { self.0.poll_ready(cx) }
    fn call(&mut self, r: http::Request<B>) -> S::Future { self.0.call(r) }
}
