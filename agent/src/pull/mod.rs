//! pprof by pull: what `go tool pprof`, Parca and Pyroscope ask a service for.
//!
//! **Problem.** A profile takes seconds, in which no thread of the host's executor may wait; who
//! asked may go away meanwhile; and whoever reaches the address may ask a thousand times.
//! **Choice.** Each profile has a thread of ours that begins the session, waits, ends it, names
//! and encodes; the request's future holds only a waker, so it needs no runtime. There are few
//! such threads ([`crate::limits::PULLS_MAX`]), and more requests are refused. A future that is
//! dropped ends its session at once. **Rejected.** Waiting on the host's timers (which ones?), and
//! cutting the continuous session: who asks for seconds from now on does not want what was before.

mod answer;
mod places;
mod query;
mod service;
#[cfg(test)]
mod tests;

pub use self::answer::PprofBody;
pub(crate) use self::places::Pulls;
pub use self::service::{PprofFuture, PprofService};
