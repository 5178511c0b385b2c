//! Bytes of a file, read a block at a time when they are first looked at.
//!
//! **Problem.** Debug information may be hundreds of megabytes, of which a profile needs a few.
//! To map the file would be the simplest, but the kernel answers a look at a mapping whose file
//! was truncated with `SIGBUS`, in the host: a deploy that copies a new build over the old one
//! is enough. **Choice.** Blocks are read with `pread(2)` into the heap and kept. A file that
//! changed since it was opened is unreadable from then on: no name is better than that of
//! another build. **Rejected.** Reading whole sections: a service of 74 MB has 55 MB of them.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::limits;

/// How much was read and is kept, of all files together.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptBytes(Arc<AtomicUsize>);

impl KeptBytes {
    /// The sum, in bytes.
    pub(super) fn sum(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// An open file that can tell whether it was written to.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    opened_as: Stamp,
    kept: KeptBytes,
}

/// Changes with every write (`stat(2)`).
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl OpenFile {
    /// Opens a regular file.
    pub(super) fn open(path: &Path, kept: &KeptBytes) -> io::Result<Self> {
        // Opening must not wait, whatever is there.
        let flags = libc::O_NONBLOCK;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self {
            file,
            opened_as: Stamp::of(&metadata),
            kept: kept.clone(),
        })
    }

    /// The file itself, for readers that take what they need at once; ask
    /// [`is_unchanged`](Self::is_unchanged) afterwards.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Where what is read of it counts.
    pub(super) fn kept(&self) -> &KeptBytes {
        &self.kept
    }

    /// Whether the file is as it was when it was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        let now = self.file.metadata();
        now.is_ok_and(|now| Stamp::of(&now) == self.opened_as)
    }

    /// `None` where the range is not in the file, or is no longer what it was.
    fn read(&self, offset: u64, len: usize) -> Option<Box<[u8]>> {
        let end = offset.checked_add(len as u64)?;
        // So that no length that a file states takes more memory than the file has bytes.
        if end > self.opened_as.bytes {
            return None;
        }
        let mut bytes = vec![0; len].into_boxed_slice();
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        self.is_unchanged().then_some(bytes)
    }
}

/// A range of bytes of a file, or bytes that were made from one.
pub(super) struct Blocks {
    /// The file, and where in it the range begins.
    source: Option<(Arc<OpenFile>, u64)>,
    len: usize,
    block_len: usize,
    /// Empty ones could not be read.
    blocks: Box<[OnceLock<Box<[u8]>>]>,
    kept: KeptBytes,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Blocks {
    /// A range of a file; `None` where the file is shorter. Nothing is read yet.
    pub(super) fn of_file(file: &Arc<OpenFile>, offset: u64, len: usize) -> Option<Self> {
        if offset.checked_add(len as u64)? > file.opened_as.bytes {
            return None;
        }
        let block_len = limits::SYMBOL_BLOCK_BYTES;
        let mut blocks = Vec::new();
        blocks.resize_with(len.div_ceil(block_len), OnceLock::new);
        Some(Self {
            source: Some((Arc::clone(file), offset)),
            len,
            block_len,
            blocks: blocks.into(),
            kept: file.kept.clone(),
        })
    }

    /// Bytes that are there; they count as kept.
    pub(super) fn of_bytes(bytes: Vec<u8>, kept: &KeptBytes) -> Self {
        kept.add(bytes.len());
        Self {
            source: None,
            len: bytes.len(),
            block_len: bytes.len().max(1),
            blocks: Box::new([OnceLock::from(bytes.into_boxed_slice())]),
            kept: kept.clone(),
        }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes from `at` to the end of its block; `None` at the end, and where they cannot
    /// be read.
    pub(super) fn from(&self, at: usize) -> Option<&[u8]> {
        let index = at / self.block_len;
        let block = self.blocks.get(index)?.get_or_init(|| self.read(index));
        block
            .get(at % self.block_len..)
            .filter(|rest| !rest.is_empty())
    }

    #[cold]
    fn read(&self, index: usize) -> Box<[u8]> {
        let start = index * self.block_len;
        let len = self.block_len.min(self.len - start);
        let read = self.source.as_ref().and_then(|(file, offset)| {
            let offset = offset.checked_add(start as u64)?;
            file.read(offset, len)
        });
        let read = read.unwrap_or_default();
        self.kept.add(read.len());
        read
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        let read = self.blocks.iter().filter_map(OnceLock::get);
        self.kept.remove(read.map(|block| block.len()).sum());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LEN: usize = 3 * limits::SYMBOL_BLOCK_BYTES;

    fn file_of_three_blocks() -> (tempfile::NamedTempFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..=250).cycle().take(LEN).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        (file, bytes)
    }

    #[test]
    fn only_what_is_looked_at_is_kept() {
        let (file, bytes) = file_of_three_blocks();
        let kept = KeptBytes::default();
        let open = Arc::new(OpenFile::open(file.path(), &kept).unwrap());
        let blocks = Blocks::of_file(&open, 10, LEN - 15).unwrap();
        assert_eq!(kept.sum(), 0);
        let block = limits::SYMBOL_BLOCK_BYTES;
        assert_eq!(
            blocks.from(block + 3),
            Some(&bytes[block + 13..2 * block + 10])
        );
        assert_eq!(kept.sum(), block);
        assert_eq!(
            blocks.from(2 * block),
            Some(&bytes[2 * block + 10..LEN - 5])
        );
        assert_eq!(blocks.from(LEN - 15), None, "the end");
        assert!(Blocks::of_file(&open, 10, LEN).is_none(), "past the end");
        drop(blocks);
        assert_eq!(kept.sum(), 0);
        let made = Blocks::of_bytes(vec![1, 2, 3], &kept);
        assert_eq!((made.from(1), made.from(3)), (Some(&[2, 3][..]), None));
        assert_eq!(kept.sum(), 3);
    }

    #[test]
    fn file_that_is_overwritten_or_truncated_is_unreadable_from_there_on() {
        for truncate in [true, false] {
            let (file, mut bytes) = file_of_three_blocks();
            let kept = KeptBytes::default();
            let open = Arc::new(OpenFile::open(file.path(), &kept).unwrap());
            let blocks = Blocks::of_file(&open, 0, LEN).unwrap();
            assert!(blocks.from(0).is_some());
            bytes.reverse();
            if truncate {
                bytes.truncate(5);
            }
            // The time of a file goes in steps of the kernel's tick.
            while open.is_unchanged() {
                fs::write(file.path(), &bytes).unwrap();
            }
            assert!(blocks.from(LEN - 1).is_none(), "truncated: {truncate}");
            assert!(blocks.from(0).is_some(), "what was read before stays");
        }
    }
}
