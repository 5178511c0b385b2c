//! One stored row: a sum of windows.
//!
//! ```text
//!  01 │ length of the header, 4 bytes │ header, JSON │ zstd(pprof)
//! ```
//!
//! The header holds the range and what was stored for each entry point, so that neither needs the
//! samples to be unpacked.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use flashlamp_profile::{DecodeError, Limits, Merger, Part, Profile, Tally, decode, encode};
use serde::{Deserialize, Serialize};

use crate::limits;

/// The newest version of a row, and the one that is written.
const VERSION: u8 = 1;

/// zstd's own default: a window of 18 MB of folded text takes 60 ms.
const ZSTD_LEVEL: i32 = 3;

/// Why a stored row cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// A later release wrote it.
    #[error("a stored row has version {found}, this release knows {VERSION}")]
    NewerVersion {
        /// Its version.
        found: u8,
    },
    /// Its bytes are damaged.
    #[error("a stored row is damaged: {0}")]
    Damaged(&'static str),
    /// Its samples are damaged.
    #[error("the samples of a stored row are damaged")]
    Profile(#[from] DecodeError),
}

/// What was stored for each entry point.
pub type Tallies = BTreeMap<String, Tally>;

/// A sum of one or more windows of one series.
#[derive(Debug, Clone)]
pub struct Row {
    /// When the first window began, in nanoseconds since the epoch.
    pub from_ns: u64,
    /// When the last window ended.
    pub until_ns: u64,
    /// Samples and event counts by entry point, exact.
    pub stored: Tallies,
    /// The samples by stack and label, and the losses.
    pub profile: Profile,
}

#[derive(Serialize, Deserialize)]
struct Header {
    from_ns: u64,
    until_ns: u64,
    /// Entry point to samples and events.
    stored: BTreeMap<String, (u64, u64)>,
}

impl Row {
    /// The stored form.
    ///
    /// # Panics
    /// Never: numbers and text are always JSON, and far below 4 GiB.
    pub fn encode(&self) -> Vec<u8> {
        let stored = self.stored.iter();
        let header = Header {
            from_ns: self.from_ns,
            until_ns: self.until_ns,
            stored: stored
                .map(|(entry, t)| (entry.clone(), (t.samples, t.events)))
                .collect(),
        };
        let header = serde_json::to_vec(&header).expect("text and numbers are always JSON");
        let length = u32::try_from(header.len()).expect("a header is far below 4 GiB");
        let mut bytes = vec![VERSION];
        bytes.extend(length.to_be_bytes());
        bytes.extend(header);
        bytes.extend(pack(&self.profile));
        bytes
    }

    /// How much memory [`Row::decode`] takes at most, from the sizes that the bytes state.
    ///
    /// # Errors
    /// As [`RowError`].
    pub fn decoding_bytes(bytes: &[u8]) -> Result<usize, RowError> {
        let (header, packed) = split(bytes)?;
        Ok(header.len() + unpacking_bytes(packed)?)
    }

    /// The uncompressed size of a stored row: what is small when stored may be large.
    ///
    /// # Errors
    /// As [`RowError`].
    pub fn uncompressed_bytes(bytes: &[u8]) -> Result<usize, RowError> {
        let (header, packed) = split(bytes)?;
        Ok(header.len() + packed_bytes(packed)?)
    }

    /// Whether a large answer can hold a stored row.
    pub(crate) fn is_readable(bytes: &[u8]) -> bool {
        split(bytes).is_ok_and(|(_, packed)| is_readable(packed))
    }

    /// Reads the stored form of this and every earlier version.
    ///
    /// # Errors
    /// As [`RowError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let (header, packed) = split(bytes)?;
        let header: Header = serde_json::from_slice(header)
            .map_err(|_error| RowError::Damaged("its header is no JSON"))?;
        let tally = |(samples, events)| Tally { samples, events };
        Ok(Self {
            from_ns: header.from_ns,
            until_ns: header.until_ns,
            stored: header
                .stored
                .into_iter()
                .map(|(entry, t)| (entry, tally(t)))
                .collect(),
            profile: unpack(packed)?,
        })
    }
}

/// The header and the packed samples of a stored row.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), RowError> {
    let (&version, rest) = bytes
        .split_first()
        .ok_or(RowError::Damaged("it is empty"))?;
    if version != VERSION {
        return Err(RowError::NewerVersion { found: version });
    }
    let (length, rest) = rest
        .split_first_chunk::<4>()
        .ok_or(RowError::Damaged("it ends early"))?;
    let length = u32::from_be_bytes(*length) as usize;
    rest.split_at_checked(length)
        .ok_or(RowError::Damaged("it ends early"))
}

/// The sum of rows whose profiles have the same value types.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    range: Option<(u64, u64)>,
    stored: Tallies,
    /// What `stored` takes ([`tally_bytes`]), kept as it grows: it is asked for with each row.
    stored_bytes: usize,
    merger: Merger,
}

impl Sum {
    /// Adds this part of the samples of a row, and its numbers.
    ///
    /// # Errors
    /// [`RowError::Damaged`] where it measures something else than the rows before it, which
    /// its key denies; nothing of it was added then.
    pub(crate) fn add(&mut self, row: &Row, part: &Part<'_>) -> Result<(), RowError> {
        self.merger
            .add_part(&row.profile, part)
            .map_err(|_types| RowError::Damaged("it measures something else than its key says"))?;
        let (from, until) = self.range.unwrap_or((row.from_ns, row.until_ns));
        self.range = Some((from.min(row.from_ns), until.max(row.until_ns)));
        for (entry, tally) in &row.stored {
            let sum = self.stored.entry(entry.clone());
            if let Entry::Vacant(_) = sum {
                self.stored_bytes += tally_bytes(entry);
            }
            *sum.or_default() += *tally;
        }
        Ok(())
    }

    /// How much memory the sum takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.merger.heap_bytes() + self.stored_bytes
    }

    /// The sum, or `None` of nothing.
    pub(crate) fn finish(self) -> Option<Row> {
        let (from_ns, until_ns) = self.range?;
        let profile = self.merger.finish();
        Some(Row {
            from_ns,
            until_ns,
            stored: self.stored,
            profile,
        })
    }
}

/// The stored form of a profile alone: pprof under zstd.
pub(crate) fn pack(profile: &Profile) -> Vec<u8> {
    zstd::bulk::compress(&encode::pprof_uncompressed(profile), ZSTD_LEVEL)
        .expect("compression into memory that grows does not fail")
}

/// How much memory the tally of an entry point takes, with what is written of it.
pub(crate) fn tally_bytes(entry: &str) -> usize {
    2 * entry.len() + limits::ENTRY_TALLY_BYTES
}

/// The size of what was packed, as [`pack`] put it into the frame. Nobody may take one at its word
/// that no release wrote: it is damage.
pub(crate) fn packed_bytes(packed: &[u8]) -> Result<usize, RowError> {
    let size = zstd::zstd_safe::get_frame_content_size(packed)
        .ok()
        .flatten();
    size.and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size <= limits::ROW_BYTES_CREDIBLE)
        .ok_or(RowError::Damaged("its samples do not say their size"))
}

/// Whether a large answer can unpack what was packed.
pub(crate) fn is_readable(packed: &[u8]) -> bool {
    packed_bytes(packed).is_ok_and(|bytes| bytes <= limits::STORED_BYTES_MAX)
}

/// How much memory [`unpack`] takes at most.
pub(crate) fn unpacking_bytes(packed: &[u8]) -> Result<usize, RowError> {
    Ok(packed_bytes(packed)?.saturating_mul(limits::UNPACKED_FACTOR))
}

/// Reads what [`pack`] wrote.
pub(crate) fn unpack(packed: &[u8]) -> Result<Profile, RowError> {
    let bytes = zstd::bulk::decompress(packed, packed_bytes(packed)?)
        .map_err(|_error| RowError::Damaged("its samples do not unpack"))?;
    if bytes.is_empty() {
        return Ok(Profile::default());
    }
    Ok(decode::pprof(&bytes, &Limits::TRUSTED)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_cannot_be_is_damage() {
        let packed = pack(&Profile::default());
        assert!(packed_bytes(&packed).unwrap() < 1_000);
        let flipped = frame_of(1_000_000_000_000_000_000);
        assert!(matches!(packed_bytes(&flipped), Err(RowError::Damaged(_))));
        assert!(matches!(unpack(&flipped), Err(RowError::Damaged(_))));
    }

    #[test]
    fn entry_points_count_once_in_what_a_sum_takes() {
        let row = |entries: &[&str]| Row {
            from_ns: 0,
            until_ns: 1,
            stored: entries
                .iter()
                .map(|&one| (one.to_owned(), Tally::default()))
                .collect(),
            profile: Profile::default(),
        };
        let mut sum = Sum::default();
        for row in [row(&["/a", "/b"]), row(&["/b", "/c"])] {
            sum.add(&row, &Part::default()).unwrap();
        }
        assert_eq!(sum.stored_bytes, 3 * tally_bytes("/a"));
        assert!(sum.heap_bytes() >= sum.stored_bytes);
    }

    #[test]
    fn what_no_large_answer_can_unpack_is_not_readable() {
        let max = limits::STORED_BYTES_MAX as u64;
        assert!(is_readable(&frame_of(max)) && !is_readable(&frame_of(max + 1)));
        let unpacking = max * limits::UNPACKED_FACTOR as u64;
        assert!(unpacking <= limits::LARGE_ANSWER_BYTES);
    }

    /// The beginning of a zstd frame that says that it holds so much.
    fn frame_of(bytes: u64) -> Vec<u8> {
        let (magic, eight_bytes_of_size) = ([0x28, 0xB5, 0x2F, 0xFD], 0b1110_0000);
        let mut frame = magic.to_vec();
        frame.push(eight_bytes_of_size);
        frame.extend(bytes.to_le_bytes());
        frame
    }
}
