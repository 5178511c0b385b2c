//! The messages of pprof's `profile.proto`, as `google/pprof` documents them.
//!
//! Written by hand, because the schema is small and frozen; a test compares what we write with
//! what the `pprof` crate's generated messages read.

use crate::frame::FrameKind;

/// The whole file.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub(crate) sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub(crate) string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    pub(crate) time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub(crate) duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    pub(crate) period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    pub(crate) period: i64,
    #[prost(int64, repeated, tag = "13")]
    pub(crate) comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    pub(crate) default_sample_type: i64,
}

/// Name and unit of a value; indexes into the string table.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct ValueType {
    #[prost(int64, tag = "1")]
    pub(crate) r#type: i64,
    #[prost(int64, tag = "2")]
    pub(crate) unit: i64,
}

/// One stack with its values; locations leaf first.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    pub(crate) location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(crate) value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) label: Vec<Label>,
}

/// A label with text or a number.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Label {
    #[prost(int64, tag = "1")]
    pub(crate) key: i64,
    #[prost(int64, tag = "2")]
    pub(crate) str: i64,
    #[prost(int64, tag = "3")]
    pub(crate) num: i64,
    #[prost(int64, tag = "4")]
    pub(crate) num_unit: i64,
}

/// A loaded object file.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Mapping {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) memory_start: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) memory_limit: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) file_offset: u64,
    #[prost(int64, tag = "5")]
    pub(crate) filename: i64,
    #[prost(int64, tag = "6")]
    pub(crate) build_id: i64,
    #[prost(bool, tag = "7")]
    pub(crate) has_functions: bool,
    #[prost(bool, tag = "8")]
    pub(crate) has_filenames: bool,
    #[prost(bool, tag = "9")]
    pub(crate) has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    pub(crate) has_inline_frames: bool,
}

/// An address with its lines: the innermost inlined function first.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Location {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) mapping_id: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) address: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) line: Vec<Line>,
}

/// A function and a line in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub(crate) struct Line {
    #[prost(uint64, tag = "1")]
    pub(crate) function_id: u64,
    #[prost(int64, tag = "2")]
    pub(crate) line: i64,
}

/// A function; indexes into the string table.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Function {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(int64, tag = "2")]
    pub(crate) name: i64,
    #[prost(int64, tag = "3")]
    pub(crate) system_name: i64,
    #[prost(int64, tag = "4")]
    pub(crate) filename: i64,
}

/// Words that our own pprof files use, so that nothing of a profile is lost.
pub(crate) mod words {
    /// Sample type: how many samples a row stands for, where that is not its event count.
    pub(crate) const OBSERVATIONS: &str = "observations";
    /// Numeric label: when the sample was taken, UTC nanoseconds (as Datadog's profilers name
    /// it), or since the start where the profile has none.
    pub(crate) const END_TIMESTAMP: &str = "end_timestamp_ns";
    /// Text label: the kernel's thread id.
    pub(crate) const THREAD_ID: &str = "thread id";
    /// Text label: the thread's name.
    pub(crate) const THREAD_NAME: &str = "thread name";
    /// Comment: `flashlamp.lost.REASON=SAMPLES/EVENTS`.
    pub(crate) const LOST: &str = "flashlamp.lost.";
    /// Comment: `flashlamp.name=NAME`.
    pub(crate) const NAME: &str = "flashlamp.name=";
    /// Comment, for people alone: what the profile cannot show.
    pub(crate) const NOTE: &str = "flashlamp.note=";
}

/// File names of the mappings that stand for the kinds of frames other than native.
///
/// An inline frame needs one only where its caller is not in the stack.
pub(crate) const KIND_MAPPINGS: [(FrameKind, &str); 5] = [
    (FrameKind::Jit, "[jit]"),
    (FrameKind::Guest, "[guest]"),
    (FrameKind::Kernel, "[kernel]"),
    (FrameKind::Marker, "[marker]"),
    (FrameKind::Inline, "[inline]"),
];
