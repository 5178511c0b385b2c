//! The signal path: timers, the handler, and the slots that it reaches.

pub(crate) mod event;
pub(crate) mod handler;
mod pace;
pub(crate) mod shared;
pub(crate) mod signal;
pub(crate) mod slot;
pub(crate) mod stack_cell;
mod system_call;
pub(crate) mod threads;
pub(crate) mod wall;
pub(crate) mod watch;
