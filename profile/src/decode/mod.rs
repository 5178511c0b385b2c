//! Bytes to profiles. Every decoder is bounded by [`Limits`], takes all of a body or nothing,
//! and never panics.

mod fields;
mod folded;
mod inflate;
mod pprof;
mod speedscope;

use crate::builder::ProfileBuilder;
use crate::column::Column;
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::profile::Profile;

pub use self::folded::folded;
pub use self::inflate::gzip_reader;
pub use self::pprof::pprof;
pub use self::speedscope::speedscope;

/// Reads a profile of any known format, found by its content: gzip (around any of them), JSON
/// as speedscope, text as folded, anything else as pprof.
///
/// # Errors
/// The decoder's [`DecodeError`]; nothing was taken then.
pub fn any(bytes: &[u8], limits: &Limits) -> Result<Profile, DecodeError> {
    let bytes = inflate::gunzip_if_needed(bytes, limits)?;
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(DecodeError::Empty),
        Some(b'{' | b'[') => speedscope(&bytes, limits),
        // Also where it is not UTF-8: it is told so then.
        Some(_) if is_text(&bytes) => folded(&bytes, limits),
        Some(_) => pprof(&bytes, limits),
    }
}

/// Text has no control characters but white space. A pprof file always has some: its ids and
/// lengths are small numbers.
fn is_text(bytes: &[u8]) -> bool {
    let control = |byte: &u8| *byte < 0x20 && !byte.is_ascii_whitespace();
    !bytes.iter().any(control)
}

/// Makes the profile and checks its sums against the limit: the last step of every decoder.
fn finished(builder: ProfileBuilder, limits: &Limits) -> Result<Profile, DecodeError> {
    let profile = builder.build()?;
    let taken = profile.taken();
    sum_fits("samples", taken.samples, limits)?;
    sum_fits("event counts", taken.events, limits)?;
    for (place, value_type) in profile.value_types().iter().enumerate() {
        let sum = profile.column_total(Column::Value(place));
        sum_fits(&value_type.name, sum, limits)?;
    }
    Ok(profile)
}

/// Checks a sum, which saturates, against the limit.
fn sum_fits(what: &str, sum: u64, limits: &Limits) -> Result<(), DecodeError> {
    let limit = limits.count_sum_max;
    if sum > limit {
        let what = what.to_owned();
        Err(DecodeError::CountsTooLarge { what, limit })
    } else {
        Ok(())
    }
}

/// Checks a name against the limit.
fn name_fits(name: &str, limits: &Limits) -> Result<(), DecodeError> {
    let (bytes, limit) = (name.len(), limits.name_bytes_max);
    if bytes > limit {
        Err(DecodeError::NameTooLong { bytes, limit })
    } else {
        Ok(())
    }
}

/// Checks a stack's depth against the limit.
const fn depth_fits(sample: usize, depth: usize, limits: &Limits) -> Result<(), DecodeError> {
    let limit = limits.stack_depth_max;
    if depth > limit {
        Err(DecodeError::StackTooDeep { sample, limit })
    } else {
        Ok(())
    }
}

/// Checks the number of stack nodes against the limit.
const fn nodes_fit(count: usize, limits: &Limits) -> Result<(), DecodeError> {
    let limit = limits.stack_nodes_max;
    if count > limit {
        Err(DecodeError::TooManyStacks { limit })
    } else {
        Ok(())
    }
}

/// Checks the number of samples against the limit.
const fn samples_fit(count: usize, limits: &Limits) -> Result<(), DecodeError> {
    let limit = limits.samples_max;
    if count > limit {
        Err(DecodeError::TooManySamples { limit })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_found_by_content() {
        let check = |body: &[u8], code: &str| {
            let read = any(body, &Limits::default());
            assert_eq!(read.map_or_else(|error| error.code(), |_| "read"), code);
        };
        check(b"main;a 1\n", "read");
        check("größe 1\r\n".as_bytes(), "read");
        check(b"gr\xF6\xDFe 1\n", "not_utf8");
        check(b"main one\n", "folded_line");
        check(b" {\"a\": 1}", "bad_json");
        check(b"\x0A\x02\x08\x01", "dangling_index");
        check(b" \n", "empty_body");
    }
}
