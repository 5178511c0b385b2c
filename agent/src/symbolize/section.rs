//! A section of debug information, as the DWARF reader wants it.

use std::borrow::Cow;
use std::rc::Rc;

use gimli::{Error, LittleEndian, Reader, ReaderOffsetId, Result};

use super::blocks::Blocks;

/// What is left of a section, or a piece of it. Cloning costs two reference counts.
#[derive(Clone, Debug)]
pub(super) struct Section {
    blocks: Rc<Blocks>,
    at: usize,
    end: usize,
    /// The block that was read last, and where it begins.
    block: Option<(usize, Rc<[u8]>)>,
}

impl Section {
    /// All of it.
    pub(super) fn new(blocks: Blocks) -> Self {
        let end = blocks.len();
        Self {
            blocks: Rc::new(blocks),
            at: 0,
            end,
            block: None,
        }
    }

    /// What the last block has of what is left; empty where it does not have the next byte.
    fn known(&self) -> &[u8] {
        let Some((start, block)) = &self.block else {
            return &[];
        };
        let from = self.at.wrapping_sub(*start);
        let to = (self.end - start.min(&self.end)).min(block.len());
        block.get(from..to).unwrap_or_default()
    }

    /// What is in one block of what is left; not empty.
    fn piece(&mut self) -> Result<&[u8]> {
        if self.at >= self.end {
            return Err(self.too_short());
        }
        if self.known().is_empty() {
            self.block = Some(self.blocks.around(self.at).ok_or(Error::Io)?);
        }
        Ok(self.known())
    }

    fn after(&self, len: usize) -> Result<usize> {
        let after = self.at.checked_add(len).filter(|after| *after <= self.end);
        after.ok_or_else(|| self.too_short())
    }

    fn too_short(&self) -> Error {
        Error::UnexpectedEof(self.offset_id())
    }
}

impl Reader for Section {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.end - self.at
    }

    fn empty(&mut self) {
        self.at = self.end;
    }

    fn truncate(&mut self, len: usize) -> Result<()> {
        self.end = self.after(len)?;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.at.saturating_sub(base.at)
    }

    /// Unique within the section, which is all that error messages need.
    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.at as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        let at = usize::try_from(id.0).ok()?;
        at.checked_sub(self.at).filter(|_| at <= self.end)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let mut rest = self.clone();
        loop {
            let piece = rest.piece()?;
            let len = piece.len();
            match piece.iter().position(|one| *one == byte) {
                Some(index) => return Ok(rest.at + index - self.at),
                None => rest.at += len,
            }
        }
    }

    fn skip(&mut self, len: usize) -> Result<()> {
        self.at = self.after(len)?;
        Ok(())
    }

    fn split(&mut self, len: usize) -> Result<Self> {
        let end = self.after(len)?;
        let first = Self {
            end,
            ..self.clone()
        };
        self.at = end;
        Ok(first)
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        if self.is_empty() {
            return Ok(Cow::Borrowed(&[]));
        }
        if self.known().len() == self.len() {
            return Ok(Cow::Borrowed(self.known()));
        }
        let mut bytes = vec![0; self.len()];
        self.clone().read_slice(&mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        match self.to_slice()? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        }
        .ok_or(Error::BadUtf8)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        Ok(match self.to_slice()? {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        })
    }

    fn read_slice(&mut self, mut into: &mut [u8]) -> Result<()> {
        let after = self.after(into.len())?;
        while !into.is_empty() {
            let piece = self.piece()?;
            let len = piece.len().min(into.len());
            let (now, later) = into.split_at_mut(len);
            now.copy_from_slice(&piece[..len]);
            into = later;
            self.at += len;
        }
        self.at = after;
        Ok(())
    }

    // Most of what is read is one byte.
    fn read_u8(&mut self) -> Result<u8> {
        let byte = *self.piece()?.first().ok_or(Error::Io)?;
        self.at += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use gimli::EndianSlice;
    use proptest::prelude::*;

    use super::super::blocks::OpenFile;
    use super::*;
    use crate::limits;

    const LEN: usize = 2 * limits::SYMBOL_BLOCK_BYTES + 100;

    fn bytes() -> Vec<u8> {
        // Strings of some hundred bytes, so that some lie across blocks.
        let letters = (0..=255).chain(1..=75);
        letters.cycle().take(LEN).collect()
    }

    fn section(bytes: &[u8]) -> Section {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let open = OpenFile::open(file.path()).unwrap();
        Section::new(Blocks::of_file(&Rc::new(open), 0, bytes.len()).unwrap())
    }

    /// Everything that a reader says at one place, errors without where they are.
    fn looks<R: Reader<Offset = usize>>(mut reader: R, len: usize, byte: u8) -> Vec<String> {
        let plain = |error: Error| format!("{:?}", std::mem::discriminant(&error));
        let mut said = vec![
            format!("{}", reader.len()),
            format!("{:?}", reader.find(byte).map_err(plain)),
            format!("{:?}", reader.clone().read_u8().map_err(plain)),
            format!("{:?}", reader.clone().read_u64().map_err(plain)),
            format!("{:?}", reader.clone().read_uleb128().map_err(plain)),
        ];
        let string = reader.clone().read_null_terminated_slice();
        let string = string.and_then(|string| Ok(string.to_string_lossy()?.into_owned()));
        said.push(format!("{:?}", string.map_err(plain)));
        let base = reader.clone();
        let split = reader.split(len);
        said.push(format!("{:?}", reader.offset_from(&base)));
        let split = split.and_then(|split| Ok(split.to_slice()?.into_owned()));
        said.push(format!("{:?}", split.map_err(plain)));
        said
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn section_reads_as_a_slice_does(
            skip in 0..LEN + 2,
            truncate in 0..LEN + 2,
            len in 0..LEN + 2,
            byte: u8,
        ) {
            let bytes = bytes();
            let mut here = section(&bytes);
            let mut slice = EndianSlice::new(&bytes, LittleEndian);
            prop_assert_eq!(here.skip(skip).is_ok(), slice.skip(skip).is_ok());
            prop_assert_eq!(here.truncate(truncate).is_ok(), slice.truncate(truncate).is_ok());
            prop_assert_eq!(looks(here, len, byte), looks(slice, len, byte));
        }
    }
}
