//! Profiles to bytes. The same profile always gives the same bytes.

mod folded;
mod pprof;
mod speedscope;

pub use self::folded::folded;
pub use self::pprof::{pprof, pprof_uncompressed};
pub use self::speedscope::speedscope;
