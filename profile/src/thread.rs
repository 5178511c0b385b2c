//! The threads that samples were taken on.

use crate::hash;
use crate::interner::Contents;

/// The place of a thread in its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub(crate) u32);

impl ThreadId {
    /// The place in [`Profile::threads`](crate::Profile::threads).
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Thread {
    /// The kernel's thread id.
    pub tid: u64,
    /// The thread's name when it was last looked at; may be empty.
    pub name: String,
}

impl Contents for Thread {
    fn hash(&self) -> u64 {
        hash::text((self.tid, self.name.as_str()))
    }
}
