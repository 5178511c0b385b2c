//! The outer message, walked field by field.

use std::collections::HashMap;

use prost::Message;

use crate::error::DecodeError;
use crate::limits::Limits;
use crate::pprof_proto as proto;
use crate::value_type::ValueType;

use super::super::fields::{Field, Fields, bad, varint};
use super::super::{name_fits, nodes_fit, samples_fit};

/// The outer message: its tables, with samples still encoded.
#[derive(Default)]
pub(super) struct Tables<'b> {
    pub(super) strings: Vec<&'b str>,
    pub(super) sample_types: Vec<proto::ValueType>,
    pub(super) samples: Vec<&'b [u8]>,
    pub(super) mappings: HashMap<u64, proto::Mapping>,
    pub(super) locations: HashMap<u64, &'b [u8]>,
    pub(super) functions: HashMap<u64, proto::Function>,
    pub(super) period_type: Option<proto::ValueType>,
    pub(super) comments: Vec<i64>,
    pub(super) time_nanos: i64,
    pub(super) duration_nanos: i64,
    pub(super) period: i64,
}

impl<'b> Tables<'b> {
    pub(super) fn read(bytes: &'b [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut tables = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (tag, Field::Number(value)) => tables.number(tag, value.cast_signed()),
                (tag, Field::Bytes(field)) => {
                    tables.field(tag, field, limits)?;
                    tables.tables_fit(limits)?;
                }
                (_, Field::Other) => {}
            }
        }
        if tables.sample_types.is_empty() {
            return Err(bad("it has no sample type"));
        }
        if tables
            .strings
            .first()
            .is_some_and(|first| !first.is_empty())
        {
            return Err(bad("string 0 is not empty"));
        }
        Ok(tables)
    }

    fn number(&mut self, tag: u32, value: i64) {
        match tag {
            9 => self.time_nanos = value,
            10 => self.duration_nanos = value,
            12 => self.period = value,
            13 => self.comments.push(value),
            _ => {}
        }
    }

    fn field(&mut self, tag: u32, field: &'b [u8], limits: &Limits) -> Result<(), DecodeError> {
        match tag {
            1 => {
                self.sample_types.push(message(field)?);
                if self.sample_types.len() > limits.value_types_max {
                    return Err(bad("it has more sample types than allowed"));
                }
            }
            2 => {
                samples_fit(self.samples.len() + 1, limits)?;
                self.samples.push(field);
            }
            3 => {
                let mapping: proto::Mapping = message(field)?;
                self.mappings.insert(mapping.id, mapping);
            }
            4 => {
                let id = location_id(field)?;
                self.locations.insert(id, field);
            }
            5 => {
                let function: proto::Function = message(field)?;
                self.functions.insert(function.id, function);
            }
            6 => {
                let text =
                    std::str::from_utf8(field).map_err(|_source| bad("a string is not UTF-8"))?;
                name_fits(text, limits)?;
                self.strings.push(text);
            }
            11 => self.period_type = Some(message(field)?),
            13 => {
                let mut packed = field;
                while !packed.is_empty() {
                    self.comments.push(varint(&mut packed)?.cast_signed());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Every entry of a table costs more here than in the file.
    fn tables_fit(&self, limits: &Limits) -> Result<(), DecodeError> {
        let tables = [
            self.mappings.len(),
            self.locations.len(),
            self.functions.len(),
        ];
        let entries = tables.iter().sum::<usize>();
        let others = [self.strings.len(), self.comments.len()];
        nodes_fit(entries.saturating_add(others.iter().sum()), limits)
    }

    pub(super) fn string(&self, index: i64) -> Result<&'b str, DecodeError> {
        if index == 0 {
            return Ok("");
        }
        let text = usize::try_from(index)
            .ok()
            .and_then(|place| self.strings.get(place));
        text.copied().ok_or(DecodeError::DanglingIndex {
            what: "string",
            index: unsigned(index),
        })
    }

    pub(super) fn value_type(
        &self,
        value_type: proto::ValueType,
    ) -> Result<ValueType, DecodeError> {
        Ok(ValueType::new(
            self.string(value_type.r#type)?,
            self.string(value_type.unit)?,
        ))
    }
}

/// The id of an encoded location, without its lines.
fn location_id(field: &[u8]) -> Result<u64, DecodeError> {
    #[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
    struct IdOnly {
        #[prost(uint64, tag = "1")]
        id: u64,
    }
    message::<IdOnly>(field).map(|location| location.id)
}

/// Decodes one of the messages inside.
pub(super) fn message<M: Message + Default>(bytes: &[u8]) -> Result<M, DecodeError> {
    M::decode(bytes).map_err(|_source| bad("a message inside it does not parse"))
}

/// Counts and times are signed in the format; ours are not.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
