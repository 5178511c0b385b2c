//! Bounded decompression.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use crate::error::DecodeError;
use crate::limits::Limits;

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
    let read = MultiGzDecoder::new(bytes)
        .take(one_more)
        .read_to_end(&mut out);
    read.map_err(DecodeError::Gzip)?;
    if out.len() > limit {
        Err(DecodeError::InflatedTooLarge { limit })
    } else {
        Ok(out)
    }
}
