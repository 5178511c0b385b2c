//! Bounded decompression.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use crate::error::DecodeError;
use crate::limits::{GZIP_MEMBERS_MAX, Limits};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How often a body may be compressed: once by the sender, once as pprof files are.
const LAYERS_MAX: usize = 2;

/// The bytes, decompressed for as long as they are gzip.
pub(super) fn gunzip_if_needed<'b>(
    bytes: &'b [u8],
    limits: &Limits,
) -> Result<Cow<'b, [u8]>, DecodeError> {
    let mut bytes = Cow::Borrowed(bytes);
    for _ in 0..LAYERS_MAX {
        if !bytes.starts_with(&GZIP_MAGIC) {
            return within(bytes, limits);
        }
        bytes = Cow::Owned(gunzip(&bytes, limits)?);
    }
    if bytes.starts_with(&GZIP_MAGIC) {
        return Err(DecodeError::NestedCompression);
    }
    within(bytes, limits)
}

fn within<'b>(bytes: Cow<'b, [u8]>, limits: &Limits) -> Result<Cow<'b, [u8]>, DecodeError> {
    let limit = limits.inflated_bytes_max;
    if bytes.len() > limit {
        Err(DecodeError::InflatedTooLarge { limit })
    } else {
        Ok(bytes)
    }
}

/// Stops at the limit: a bomb costs no more than that.
fn gunzip(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
    let limit = limits.inflated_bytes_max;
    let mut out = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = gzip_reader(bytes).take(one_more).read_to_end(&mut out);
    read.map_err(DecodeError::Gzip)?;
    if out.len() > limit {
        Err(DecodeError::InflatedTooLarge { limit })
    } else {
        Ok(out)
    }
}

/// Inflates gzip: the members of `bytes` one after the other, as RFC 1952 has it.
///
/// Reading fails with [`io::ErrorKind::InvalidData`] where a member is damaged, ends early or
/// holds something else than it says, and behind 1,024 members. How much comes out is not bounded:
/// who reads has to stop.
pub fn gzip_reader(bytes: &[u8]) -> impl Read + '_ {
    Members {
        member: GzDecoder::new(bytes),
        count: 1,
    }
}

/// Members of a gzip stream, and how many were begun.
struct Members<'b> {
    member: GzDecoder<&'b [u8]>,
    count: usize,
}

impl Read for Members<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.member.read(out)?;
            let rest = *self.member.get_ref();
            if read > 0 || out.is_empty() || rest.is_empty() {
                return Ok(read);
            }
            if self.count == GZIP_MEMBERS_MAX {
                let detail = format!("more than {GZIP_MEMBERS_MAX} gzip members");
                return Err(io::Error::new(io::ErrorKind::InvalidData, detail));
            }
            self.count += 1;
            self.member = GzDecoder::new(rest);
        }
    }
}
