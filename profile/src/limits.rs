//! Bounds on what a decoder accepts.

/// The most members of one gzip stream. Each costs a decoder, also where it holds nothing: without
/// a bound the 700,000 empty ones of 16 MiB cost seconds. The tools that write many begin one for
/// every 64 KiB.
pub(crate) const GZIP_MEMBERS_MAX: usize = 1_024;

/// Bounds that keep a hostile body from taking more memory than its size allows.
///
/// A decoder uses at most about ten times the inflated size, and stops at the first bound that
/// is passed: it never shortens what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size after decompression, in bytes.
    pub inflated_bytes_max: usize,
    /// Samples in one body.
    pub samples_max: usize,
    /// Frames in one stack.
    pub stack_depth_max: usize,
    /// Nodes of the prefix tree of all stacks: the main cost of a profile. Where each has a
    /// name of its own, decoding, merging and encoding it take about 1.6 KB at their peak.
    pub stack_nodes_max: usize,
    /// Length of one name (function, file, label), in bytes.
    pub name_bytes_max: usize,
    /// Labels on one sample.
    pub labels_max: usize,
    /// Numbers on one sample: each sample costs this many. A heap profile has four.
    pub value_types_max: usize,
    /// The largest sum over one body: of its samples and of its event counts, each with what was
    /// lost, and of each of its values. Sums saturate, and formats hold at most 2^63 - 1.
    pub count_sum_max: u64,
}

impl Default for Limits {
    /// What a collector takes from a stranger: 64 MiB, a million samples of at most 4,096
    /// frames, a quarter million stack nodes, names of at most 16 KiB, 32 labels and 16 values on
    /// a sample, and sums of at most 2^56. In nanoseconds that is twenty times an hour of a
    /// thousand busy cores, and 127 such bodies still have an exact sum below 2^63.
    fn default() -> Self {
        Self {
            inflated_bytes_max: 64 << 20,
            samples_max: 1_000_000,
            stack_depth_max: 4_096,
            stack_nodes_max: 250_000,
            name_bytes_max: 16 << 10,
            labels_max: 32,
            value_types_max: 16,
            count_sum_max: 1 << 56,
        }
    }
}

impl Limits {
    /// No bounds: for what was bounded when it was stored. Sums of many bodies may be larger than
    /// any one of them, and have to be read also where they saturated.
    pub const TRUSTED: Self = Self {
        inflated_bytes_max: usize::MAX,
        samples_max: usize::MAX,
        stack_depth_max: usize::MAX,
        stack_nodes_max: usize::MAX,
        name_bytes_max: usize::MAX,
        labels_max: usize::MAX,
        value_types_max: usize::MAX,
        count_sum_max: u64::MAX,
    };
}
