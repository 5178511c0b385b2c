//! The profile model of Flashlamp: what was sampled, how often, and what was lost.
//!
//! A [`Profile`] is a set of samples over shared tables, built once and read-only after that:
//!
//! ```text
//!  sample ──► stack ──► frame ──► function (name, file)
//!    │          │ parent   └────► mapping (object file, build id)
//!    │          ▼
//!    │        stack …            a prefix tree: parents always before children
//!    ├─► event count, values     one value for each value type: (wall, nanoseconds) …
//!    └─► time, thread, labels    `entry` is a label
//!  losses: reason ──► tally      taken = stored + lost, in samples and in event counts
//! ```
//!
//! [`ProfileBuilder`] is the only way to make one, so that a `Profile` is always valid: every
//! id points into its table, every sample has one value for each value type. The crate does no
//! I/O, reads no clock and contains no `unsafe`; [`encode`] and [`decode`] are pure functions
//! over bytes, and [`merge()`], [`CallTree`] and [`by_function()`] are views over the model.
//!
//! # Example
//!
//! ```
//! use flashlamp_profile::{decode, encode, Column, Limits};
//!
//! let profile = decode::folded(b"main;parse 3\nmain;render 1\n", &Limits::default())?;
//! assert_eq!(profile.stored().events, 4);
//! assert_eq!(encode::folded(&profile, Column::Events), "main;parse 3\nmain;render 1\n");
//!
//! let rows = flashlamp_profile::by_function(&profile, Column::Events);
//! assert_eq!((rows[0].name, rows[0].total), ("main", 4));
//! # Ok::<(), flashlamp_profile::DecodeError>(())
//! ```
#![forbid(unsafe_code)]

mod builder;
mod by_function;
mod call_tree;
mod callers;
mod column;
pub mod decode;
pub mod encode;
mod error;
mod extent;
mod frame;
mod function;
mod hash;
mod heap;
mod interner;
mod label;
mod limits;
mod loss;
mod mapping;
mod merge;
mod note;
mod part;
mod pprof_proto;
mod profile;
mod sample;
mod stack;
mod string_table;
mod thread;
mod units;
mod value_type;

pub use self::builder::{FrameSpec, NewSample, ProfileBuilder};
pub use self::by_function::{FunctionRow, by_function};
pub use self::call_tree::{CallTree, Node};
pub use self::callers::{CallerNode, Callers, OpenedNode};
pub use self::column::Column;
pub use self::error::{BuildError, DecodeError, MergeError, SpeedscopeError};
pub use self::extent::{Extent, Written};
pub use self::frame::{Frame, FrameId, FrameKind, markers};
pub use self::label::{LabelSetId, labels};
pub use self::limits::Limits;
pub use self::loss::{Tally, losses};
pub use self::mapping::{Mapping, MappingId};
pub use self::merge::{Merger, merge};
pub use self::note::Note;
pub use self::part::Part;
pub use self::profile::Profile;
pub use self::sample::Sample;
pub use self::stack::StackId;
pub use self::thread::{Thread, ThreadId};
pub use self::units::{EventCount, Nanos, Period, Timestamp};
pub use self::value_type::ValueType;
