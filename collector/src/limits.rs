//! Every bound in one place, each with its reason. API.md states those that a client can meet.

use std::time::Duration;

/// The largest body as sent. A ten-second window of a busy service is 1 MB of compressed pprof;
/// a day of folded text with 100,000 distinct stacks is about 10 MB compressed.
pub const BODY_BYTES_MAX: u64 = 16 << 20;

/// The largest body after both layers of compression. The largest window measured is 18 MB of
/// folded text.
pub const INFLATED_BYTES_MAX: u64 = 32 << 20;

/// The sum of what all bodies being decoded may take at once.
///
/// Each counts as [`DECODED_FACTOR`] times its inflated bytes. It is what keeps the collector's memory flat
/// however many senders arrive in the same second.
pub const DECODE_BUDGET_BYTES: u64 = 256 << 20;

/// How much more memory a body takes while it is decoded than its inflated bytes: text, tables and
/// the re-encoded form exist side by side for a moment. Measured: 3.8 for 17,000 stacks.
pub const DECODED_FACTOR: u64 = 4;

/// What a body counts as, at least, for each node of its stacks.
///
/// A body of many short names is small as text and large as a tree. With the decoder's own bound
/// on nodes the largest body just fits the budget.
pub const STACK_NODE_BYTES: u64 = 1 << 10;

/// How many bodies are decoded at once; the others wait with what they have sent. More than this
/// would only share the budget.
pub const DECODERS_MAX: usize = 2;

/// How much of the budget is taken at a time while a body grows.
pub const BUDGET_STEP_BYTES: u64 = 256 << 10;

/// The largest window of a zstd frame, as a power of two: 8 MiB, what level 19 uses. It bounds
/// what a decoder allocates before the first byte comes out.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The most frames over all samples of a body, each sample counted with its whole stack, once for
/// each of its values.
///
/// Formats that share the beginnings of stacks can say in 32 MiB what takes gigabytes where each
/// sample lists its frames, as it does in the stored form.
pub const FRAMES_MAX: u64 = 16 << 20;

/// The most reasons for loss in one body, each of at most [`NAME_BYTES_MAX`]. They stand in the
/// metadata that every list of request profiles reads; an agent has fewer than ten.
pub const BODY_LOSS_REASONS_MAX: usize = 64;

/// How long a body may take to arrive. An agent on a bad line sends 1 MB in less.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a connection stays open without the whole head of a request: also between two requests,
/// so it is longer than the pause between two windows of an agent.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a client may take nothing of its answer. It counts against the memory of all answers
/// until it has been sent.
pub const STALL_TIME_MAX: Duration = Duration::from_secs(30);

/// What the system is asked to keep of an answer on its way to a client. It keeps twice as much.
///
/// Left alone it keeps some 4 MB, and asks for more when a third of it has gone: a client that takes
/// 40 kB/s the whole time seems to take nothing for [`STALL_TIME_MAX`]. It is also memory, for each
/// connection.
pub const SEND_BUFFER_BYTES: usize = 128 << 10;

/// The largest head of a request; a connection takes twice as much memory while its head is
/// unfinished. The longest legal address, every byte of its names and of its URL percent-encoded,
/// is 9 kB.
pub const HEAD_BYTES_MAX: usize = 32 << 10;

/// How long an answer is made without a look whether its client has gone. A client may close its
/// half after its last request, and gets what is answered sooner.
pub const GONE_TIME: Duration = Duration::from_secs(1);

/// The most connections at once, however many files the process may have open. One that is idle
/// takes some ten kilobytes.
pub const CONNECTIONS_MAX: usize = 10_000;

/// How many of the files that the process may have open are kept for the store and the log: each
/// of those who read at once ([`READS_MAX`] and [`PROBES_MAX`]) has up to three.
pub const OPEN_FILES_KEPT: usize = 128;

/// How many files a process may have open where the system does not say.
pub const OPEN_FILES_USUAL: usize = 1_024;

/// How much of a refused body is still read, so that its sender gets to see the refusal.
pub const DISCARD_BYTES_MAX: u64 = 64 << 20;

/// How long a refused body is still read.
pub const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest sentence of a refusal, in bytes.
pub const DETAIL_BYTES_MAX: usize = 1_000;

/// What a refused sender is told to wait before it tries again.
pub const RETRY_AFTER_SECONDS: u32 = 2;

/// The longest name of a service, entry point, profile or idempotency key, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// What the names and units of all value types of a body may take, in bytes. They are part of the
/// keys of its rows; the profiles of four kinds that Go writes in one body take 120.
pub const TYPES_BYTES_MAX: usize = 1 << 10;

/// The longest URL kept with a request profile, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// The most entry points in one window. A service has some hundred routes; a body with more
/// entries is one whose entries are not route templates.
pub const WINDOW_ENTRIES_MAX: usize = 1_000;

/// The longest window: an agent never cuts one across an hour.
pub const WINDOW_NS_MAX: u64 = 3_600 * 1_000_000_000;

/// How late a window may come, in hours. Markers of stored windows are kept longer than this.
pub const LATE_HOURS_MAX: u64 = 24;

/// How far ahead of the collector's clock a window may end before its sender's clock is taken
/// to be wrong.
pub const CLOCK_AHEAD_NS_MAX: u64 = 60 * 1_000_000_000;

/// How long a marker of a stored window stays, in hours: later retries are late, and refused.
pub const MARKER_HOURS: u64 = LATE_HOURS_MAX + 2;

/// How many batches may wait for the writer.
pub const WRITE_QUEUE_BATCHES_MAX: usize = 1_024;

/// How many bytes may wait for the writer.
pub const WRITE_QUEUE_BYTES_MAX: usize = 64 << 20;

/// How many batches one commit takes at most, so that the first does not wait for ever.
pub const COMMIT_BATCHES_MAX: usize = 256;

/// How many bytes one commit takes at most.
pub const COMMIT_BYTES_MAX: usize = 16 << 20;

/// How many queries and pages are computed at once; further ones wait their turn.
pub const READS_MAX: usize = 4;

/// What a small answer may take, from the rows that are read to the last byte that is sent. The
/// flame graph of a day of some ten thousand stacks takes less.
pub const SMALL_ANSWER_BYTES: u64 = 64 << 20;

/// How many small answers fit into the memory for all that are being made or sent.
pub const SMALL_ANSWERS: u64 = READS_MAX as u64;

/// What the one large answer may take that is being made, with those that are still being sent.
pub const LARGE_ANSWER_BYTES: u64 = 512 << 20;

/// How much more memory a stored profile takes while it is unpacked than its uncompressed bytes.
pub const UNPACKED_FACTOR: usize = 10;

/// How much memory a node of a call tree takes, with what finds it while the tree grows.
pub const TREE_NODE_BYTES: usize = 192;

/// How much memory an entry point of an answer takes beside its name, with what is written of it.
pub const ENTRY_TALLY_BYTES: usize = 256;

/// How much memory a name in a list takes beside its bytes.
pub const WORD_BYTES: usize = 128;

/// How much memory an entry of a list takes for each byte of its stored form: its fields, the tree
/// of JSON that they become and the text of that.
pub const LISTED_FACTOR: usize = 6;

/// The largest size, uncompressed, that the samples of a stored row can have.
pub const ROW_BYTES_CREDIBLE: usize = 1 << 30;

/// The largest size, uncompressed, that a body may have in its stored form: what a large answer
/// can still unpack.
pub const STORED_BYTES_MAX: usize = 48 << 20;

/// How much of an answer is handed to the connection at a time.
pub const SENT_PIECE_BYTES: usize = 64 << 10;

/// How many requests wait for a read before others are turned away.
pub const READS_WAITING_MAX: usize = 256;

/// The longest range that one flame graph may ask for, in days.
pub const RANGE_DAYS_MAX: u64 = 400;

/// How many deltas of one hour are merged in one step, which bounds the step's memory.
pub const COMPACT_DELTAS_MAX: usize = 256;

/// How many bytes of samples, uncompressed, one merging step reads, if it can do with fewer than
/// two rows of half of it. A step takes some ten times as much memory.
pub const COMPACT_BYTES_MAX: usize = 16 << 20;

/// From how many bytes of samples on, uncompressed, a part is full and not merged any more.
///
/// So no row takes more memory than a read may, however wide a day is. Any two that are not full
/// fit into one step.
pub const PART_FULL_BYTES: usize = COMPACT_BYTES_MAX / 2;

/// How many deltas an hour that is still open gathers before they are merged.
pub const COMPACT_DELTAS_MIN: usize = 32;

/// How many parts an open bucket gathers before they are merged into one.
pub const COMPACT_PARTS_MIN: usize = 8;

/// How long after its end a bucket counts as closed. Agents send a window within one window
/// length after its end; two minutes give them several tries.
pub const BUCKET_GRACE_SECONDS: u64 = 120;

/// How often the collector looks for something to merge.
pub const COMPACT_PERIOD: Duration = Duration::from_secs(10);

/// How many times as long as a pass took there is rest before the next one: strangers say how many
/// series there are to look at.
pub const COMPACT_REST_FACTOR: u32 = 9;

/// How many cheap looks at the store are taken at once beside those that take turns.
pub const PROBES_MAX: usize = 8;

/// How many request profiles the index page lists.
pub const INDEX_PROFILES: usize = 50;

/// The most request profiles in one answer of the API.
pub const LIST_PROFILES_MAX: usize = 1_000;

/// How many request profiles a filtered list looks at before it stops.
pub const LIST_SCANNED_MAX: usize = 10_000;

/// How many days the index page lists.
pub const INDEX_DAYS: u64 = 14;

/// The most rows of the catalogue that the index reads: once to find services, each day and type of
/// a service being one, and once to find their entry points. A row takes a few microseconds.
pub const INDEX_ROWS_MAX: usize = 20_000;

/// The most services on the index.
pub const INDEX_SERVICES_MAX: usize = 1_000;

/// The most combinations of value types that the index looks at of one service.
pub const INDEX_TYPES_MAX: usize = 16;

/// The most entry points of one service that the index lists.
pub const INDEX_ENTRIES_MAX: usize = 200;

/// The most entry points on the index, each service having the same part of them.
pub const INDEX_LISTED_MAX: usize = 5_000;

/// The most bytes of the index page that services take, estimated by the lengths of their names:
/// those behind are counted, and the answer of the API has them.
pub const INDEX_PAGE_BYTES_MAX: usize = 4 << 20;

/// How many distinct reasons for loss `/metrics` names; further ones are summed as `other`.
pub const LOSS_REASONS_MAX: usize = 32;

/// How long requests in flight may take to end after a signal to stop. Containers are killed ten
/// seconds after it.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(6);

/// How long the store may take to write what is queued and to close, after that.
pub const CLOSE_TIME_MAX: Duration = Duration::from_secs(3);

/// How long the store waits for another program to let go of the data.
pub const LOCKED_TIME_MAX: Duration = Duration::from_secs(5);

/// The same when it folds its log in as it closes: it can do without.
pub const FOLD_TIME_MAX: Duration = Duration::from_secs(1);
