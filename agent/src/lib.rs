//! Skeleton of the public surface; each part is replaced by the real one.
#![allow(missing_docs, missing_debug_implementations, clippy::all, reason = "skeleton")]
use std::time::Duration;
use std::collections::BTreeMap;
pub use flashlamp_profile as profile;
use flashlamp_profile::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Clock { #[default] Cpu, Wall }
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Threads { #[default] Current, All }
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError { #[error("start a profiler: this platform is not supported")] UnsupportedPlatform }
#[derive(Debug)]
pub struct Profiler(());
#[derive(Debug, Default)]
pub struct ProfilerBuilder(());
impl Profiler {
    pub fn builder() -> ProfilerBuilder { ProfilerBuilder(()) }
    /// Ends sampling and hands out what was collected.
    pub fn stop(self) -> Log { Log::default() }
    /// A copy of what was collected so far.
    pub fn log(&self) -> Log { Log::default() }
    pub fn flush(&self) {}
}
impl ProfilerBuilder {
    pub fn clock(self, _: Clock) -> Self { self }
    pub fn period(self, _: Duration) -> Self { self }
    pub fn max_depth(self, _: usize) -> Self { self }
    pub fn threads(self, _: Threads) -> Self { self }
    pub fn on_flush(self, _samples_max: usize, _: impl FnMut(Log) + Send + 'static) -> Self { self }
    pub fn start(self) -> Result<Profiler, StartError> { Err(StartError::UnsupportedPlatform) }
}
/// What a profiler collected.
#[derive(Debug, Default)]
pub struct Log(());
#[derive(Debug)]
pub struct LogEntry<'a>(&'a ());
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionTime { pub name: String, pub file: Option<String>, pub self_events: u64, pub total_events: u64 }
impl Log {
    pub fn len(&self) -> usize { 0 }
    pub fn is_empty(&self) -> bool { true }
    pub fn event_count(&self) -> EventCount { EventCount::ZERO }
    pub fn period(&self) -> Period { Period::from_nanos(1).unwrap() }
    pub fn losses(&self) -> BTreeMap<String, Tally> { BTreeMap::new() }
    pub fn iter(&self) -> std::vec::IntoIter<LogEntry<'_>> { Vec::new().into_iter() }
    pub fn folded(&self) -> String { String::new() }
    pub fn speedscope(&self, _name: &str) -> String { String::new() }
    pub fn pprof(&self) -> Vec<u8> { Vec::new() }
}
impl LogEntry<'_> {
    pub fn timestamp(&self) -> Timestamp { Timestamp::from_nanos(0) }
    pub fn event_count(&self) -> EventCount { EventCount::ZERO }
}
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
#[derive(Debug)]
pub struct PerfMap(());
#[derive(Debug)]
pub struct RegisteredCode(());
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerfMapError { #[error("create the perf map: {0}")] Create(#[source] std::io::Error) }
impl PerfMap {
    pub fn create() -> Result<Self, PerfMapError> { Ok(Self(())) }
    /// `start`: address of the first byte; `len` in bytes. The handle unregisters on drop.
    pub fn register(&self, _start: usize, _len: usize, _name: &str) -> RegisteredCode { RegisteredCode(()) }
    pub fn path(&self) -> &std::path::Path { std::path::Path::new("/tmp/perf-0.map") }
}
