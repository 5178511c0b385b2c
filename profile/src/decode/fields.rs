//! The fields of an encoded protobuf message, one at a time.
//!
//! A message of two bytes takes dozens of them once it is decoded, so what repeats is counted
//! here before it is.

use prost::encoding::{WireType, decode_key, decode_varint};

use crate::error::DecodeError;

/// What a field holds.
pub(super) enum Field<'b> {
    /// A number.
    Number(u64),
    /// Text, a message, or packed numbers.
    Bytes(&'b [u8]),
    /// What pprof does not use.
    Other,
}

/// Walks the fields of a message in their order; ends after the first error.
pub(super) struct Fields<'b> {
    rest: &'b [u8],
}

impl<'b> Fields<'b> {
    pub(super) const fn of(message: &'b [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Field<'b>), DecodeError> {
        let (tag, wire) =
            decode_key(&mut self.rest).map_err(|_source| bad("a field has no key"))?;
        let field = match wire {
            WireType::Varint => Field::Number(varint(&mut self.rest)?),
            WireType::LengthDelimited => {
                let length = usize::try_from(varint(&mut self.rest)?).unwrap_or(usize::MAX);
                Field::Bytes(self.take(length)?)
            }
            WireType::SixtyFourBit => self.take(8).map(|_| Field::Other)?,
            WireType::ThirtyTwoBit => self.take(4).map(|_| Field::Other)?,
            WireType::StartGroup | WireType::EndGroup => return Err(bad("it holds a group")),
        };
        Ok((tag, field))
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| bad("it ends early"))?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u32, Field<'b>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// How many numbers or messages the field `tag` of a message repeats; packed numbers count each.
pub(super) fn repeats(message: &[u8], tag: u32, packed: bool) -> Result<usize, DecodeError> {
    let mut count = 0_usize;
    for field in Fields::of(message) {
        count += match field? {
            (found, Field::Bytes(bytes)) if found == tag && packed => {
                bytes.iter().filter(|byte| **byte < 0x80).count()
            }
            (found, _) => usize::from(found == tag),
        };
    }
    Ok(count)
}

pub(super) fn varint(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    decode_varint(rest).map_err(|_source| bad("a number does not parse"))
}

pub(super) const fn bad(reason: &'static str) -> DecodeError {
    DecodeError::Pprof { reason }
}
