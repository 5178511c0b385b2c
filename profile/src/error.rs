//! What can go wrong, one type for each thing that a caller does.

use crate::value_type::ValueType;

/// Why a [`ProfileBuilder`](crate::ProfileBuilder) refused to build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A sample's values do not match the profile's value types.
    #[error("sample {sample} has {found} values where the profile has {expected} value types")]
    ValueCount {
        /// Which sample, from 0.
        sample: usize,
        /// How many value types there are.
        expected: usize,
        /// How many values came.
        found: usize,
    },
    /// An id points past the end of its table: it came from another builder.
    #[error("a {table} id does not belong to this builder")]
    ForeignId {
        /// The table: `frame`, `stack`, `mapping`, `thread` or `label set`.
        table: &'static str,
    },
    /// The value types were set after a sample was added.
    #[error("value types have to be set before the first sample")]
    ValueTypesTooLate,
}

/// Why two profiles have no sum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// They measure different things.
    #[error("value types differ: {left:?} and {right:?}")]
    ValueTypes {
        /// What was there.
        left: Vec<ValueType>,
        /// What came.
        right: Vec<ValueType>,
    },
}

/// Why bytes are no profile. Nothing of them was taken.
///
/// [`DecodeError::code`] is stable; the message names the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the body is empty")]
    Empty,
    /// The bytes are none of the formats that are known.
    #[error("the body is neither speedscope JSON, nor pprof, nor folded text")]
    UnknownFormat,
    /// The gzip stream is damaged, ends early, or has more members than a tool writes.
    #[error("bad gzip data")]
    Gzip(#[source] std::io::Error),
    /// Compressed data inside compressed data inside compressed data.
    #[error("the body is compressed more than twice")]
    NestedCompression,
    /// The body is larger than the limit after decompression.
    #[error("the body is larger than {limit} bytes after decompression")]
    InflatedTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Text that is not UTF-8.
    #[error("text is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Of the first wrong byte.
        offset: usize,
    },
    /// A line of folded text that does not end in a count.
    #[error("line {line} does not end in a space and a whole number")]
    FoldedLine {
        /// From 1.
        line: usize,
    },
    /// JSON that does not parse, or is no speedscope file.
    #[error("bad speedscope JSON")]
    Json(#[source] serde_json::Error),
    /// A profile inside the file is not one that we read.
    #[error("profile {profile}: {reason}")]
    Speedscope {
        /// Which profile in the file, from 0.
        profile: usize,
        /// What is wrong with it.
        reason: SpeedscopeError,
    },
    /// Protobuf that does not parse, or is no pprof profile.
    #[error("bad pprof: {reason}")]
    Pprof {
        /// What is wrong.
        reason: &'static str,
    },
    /// An index or id points nowhere.
    #[error("{what} {index} does not exist")]
    DanglingIndex {
        /// What it should have pointed at: `string`, `function`, `location`, `mapping`.
        what: &'static str,
        /// The index or id.
        index: u64,
    },
    /// A pprof value below zero.
    #[error("sample {sample} has the negative value {value}")]
    NegativeValue {
        /// Which sample, from 0.
        sample: usize,
        /// The value.
        value: i64,
    },
    /// More samples than the limit.
    #[error("more than {limit} samples")]
    TooManySamples {
        /// The limit.
        limit: usize,
    },
    /// A stack deeper than the limit.
    #[error("sample {sample} has a stack of more than {limit} frames")]
    StackTooDeep {
        /// Which sample (or line), from 0.
        sample: usize,
        /// The limit.
        limit: usize,
    },
    /// More different stacks than the limit.
    #[error("more than {limit} nodes in the tree of stacks")]
    TooManyStacks {
        /// The limit.
        limit: usize,
    },
    /// A name longer than the limit.
    #[error("a name of {bytes} bytes, the limit is {limit}")]
    NameTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More labels on a sample than the limit.
    #[error("sample {sample} has more than {limit} labels")]
    TooManyLabels {
        /// Which sample, from 0.
        sample: usize,
        /// The limit.
        limit: usize,
    },
    /// Counts or values that add up to more than the limit.
    #[error("its {what} add up to more than {limit}")]
    CountsTooLarge {
        /// Which: samples, event counts, or the name of a value type.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The parts are sound but do not fit together.
    #[error("the profile does not hold together")]
    Build(#[from] BuildError),
}

/// What is wrong with one profile of a speedscope file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpeedscopeError {
    /// `type` is neither `sampled` nor `evented`.
    #[error("type {0:?} is neither \"sampled\" nor \"evented\"")]
    UnknownType(String),
    /// `unit` is none of speedscope's.
    #[error("unknown unit {0:?}")]
    UnknownUnit(String),
    /// The units of the file's profiles do not fit into one profile.
    #[error("its unit differs from the first profile's")]
    MixedUnits,
    /// `samples` and `weights` differ in length.
    #[error("{samples} samples but {weights} weights")]
    WeightsLength {
        /// Length of `samples`.
        samples: usize,
        /// Length of `weights`.
        weights: usize,
    },
    /// A weight below zero.
    #[error("weight {0} is negative")]
    WeightNegative(usize),
    /// A weight that is not a number (`null`, text, NaN), or not finite.
    #[error("weight {0} is not a number")]
    WeightNotANumber(usize),
    /// A weight beyond 2^63 nanoseconds.
    #[error("weight {0} is too large")]
    WeightTooLarge(usize),
    /// A frame index past the end of `shared.frames`.
    #[error("frame {index} of sample {sample} does not exist")]
    FrameIndex {
        /// Which sample or event, from 0.
        sample: usize,
        /// The index.
        index: u64,
    },
    /// Events whose `at` goes back or is no number.
    #[error("event {0} is not after the one before it")]
    EventOrder(usize),
    /// An event that closes another frame than the open one, or is neither `O` nor `C`.
    #[error("event {0} does not match the open frames")]
    EventMismatch(usize),
    /// `startValue` or `endValue` is negative, no number, or they are in the wrong order.
    #[error("startValue and endValue are not a range")]
    BadRange,
}

impl DecodeError {
    /// A stable word for machines: it stays the same when the message changes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_body",
            Self::UnknownFormat => "unknown_format",
            Self::Gzip(_) => "bad_gzip",
            Self::NestedCompression => "nested_compression",
            Self::InflatedTooLarge { .. } => "inflated_too_large",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::FoldedLine { .. } => "folded_line",
            Self::Json(_) => "bad_json",
            Self::Speedscope { reason, .. } => reason.code(),
            Self::Pprof { .. } => "bad_pprof",
            Self::DanglingIndex { .. } => "dangling_index",
            Self::NegativeValue { .. } => "value_negative",
            Self::TooManySamples { .. } => "too_many_samples",
            Self::StackTooDeep { .. } => "stack_too_deep",
            Self::TooManyStacks { .. } => "too_many_stacks",
            Self::NameTooLong { .. } => "name_too_long",
            Self::TooManyLabels { .. } => "too_many_labels",
            Self::CountsTooLarge { .. } => "counts_too_large",
            Self::Build(_) => "inconsistent_profile",
        }
    }

    /// Every code that [`Self::code`] can return, for documents and their tests.
    pub const CODES: &'static [&'static str] = &[
        "empty_body",
        "unknown_format",
        "bad_gzip",
        "nested_compression",
        "inflated_too_large",
        "not_utf8",
        "folded_line",
        "bad_json",
        "unknown_profile_type",
        "unknown_unit",
        "mixed_units",
        "weights_length",
        "weight_negative",
        "weight_not_a_number",
        "weight_too_large",
        "frame_index",
        "event_order",
        "event_mismatch",
        "bad_range",
        "bad_pprof",
        "dangling_index",
        "value_negative",
        "too_many_samples",
        "stack_too_deep",
        "too_many_stacks",
        "name_too_long",
        "too_many_labels",
        "counts_too_large",
        "inconsistent_profile",
    ];
}

impl SpeedscopeError {
    const fn code(&self) -> &'static str {
        match self {
            Self::UnknownType(_) => "unknown_profile_type",
            Self::UnknownUnit(_) => "unknown_unit",
            Self::MixedUnits => "mixed_units",
            Self::WeightsLength { .. } => "weights_length",
            Self::WeightNegative(_) => "weight_negative",
            Self::WeightNotANumber(_) => "weight_not_a_number",
            Self::WeightTooLarge(_) => "weight_too_large",
            Self::FrameIndex { .. } => "frame_index",
            Self::EventOrder(_) => "event_order",
            Self::EventMismatch(_) => "event_mismatch",
            Self::BadRange => "bad_range",
        }
    }
}
