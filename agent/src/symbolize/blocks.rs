//! Bytes of a file, read a block at a time when they are looked at, and not kept for long.
//!
//! **Problem.** Debug information may be hundreds of megabytes, of which a profile needs a few.
//! To map the file would be the simplest, but the kernel answers a look at a mapping whose file
//! was truncated with `SIGBUS`, in the host: a deploy that copies a new build over the old one
//! is enough. **Choice.** Blocks are read with `pread(2)` into the heap; of each section the last
//! ones are kept, so that memory has a bound however large a file or a unit in it is. A file that
//! changed since it was opened is unreadable from then on: no name is better than that of
//! another build. **Rejected.** Reading whole sections, and keeping all that was ever read: of a
//! service of 94 MB that was 65 MB after a minute.

use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::rc::Rc;

use crate::limits;

/// An open file that can tell whether it was written to.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    opened_as: Stamp,
}

/// Which file it is, and changes with every write (`stat(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl OpenFile {
    /// Opens a regular file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
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
        })
    }

    /// The file itself, for readers that take what they need at once; ask
    /// [`is_unchanged`](Self::is_unchanged) afterwards.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// What the file was when it was opened.
    pub(super) fn stamp(&self) -> Stamp {
        self.opened_as
    }

    /// Whether the file is as it was when it was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        let now = self.file.metadata();
        now.is_ok_and(|now| Stamp::of(&now) == self.opened_as)
    }

    /// `None` where the range is not in the file, or is no longer what it was.
    fn read(&self, offset: u64, len: usize) -> Option<Rc<[u8]>> {
        let end = offset.checked_add(len as u64)?;
        // So that no length that a file states takes more memory than the file has bytes.
        if end > self.opened_as.bytes {
            return None;
        }
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        self.is_unchanged().then(|| bytes.into())
    }
}

/// A block's place in its range, and its bytes.
type Kept = Option<(usize, Rc<[u8]>)>;

/// A range of bytes of a file, or bytes that were made from one.
pub(super) struct Blocks {
    /// The file, and where in it the range begins.
    source: Option<(Rc<OpenFile>, u64)>,
    len: usize,
    block_len: usize,
    /// The blocks that were looked at last; each has one place where it can be.
    kept: RefCell<Box<[Kept]>>,
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
    pub(super) fn of_file(file: &Rc<OpenFile>, offset: u64, len: usize) -> Option<Self> {
        if offset.checked_add(len as u64)? > file.opened_as.bytes {
            return None;
        }
        let block_len = limits::SYMBOL_BLOCK_BYTES;
        let places = len.div_ceil(block_len).min(limits::SYMBOL_BLOCKS_KEPT);
        Some(Self {
            source: Some((Rc::clone(file), offset)),
            len,
            block_len,
            kept: RefCell::new(vec![None; places].into()),
        })
    }

    /// Bytes that are there.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        let block = (len > 0).then(|| (0, bytes.into()));
        Self {
            source: None,
            len,
            block_len: len.max(1),
            kept: RefCell::new(Box::new([block])),
        }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The block that holds the byte at `at`, and where it begins; `None` past the end, and
    /// where it cannot be read.
    pub(super) fn around(&self, at: usize) -> Option<(usize, Rc<[u8]>)> {
        if at >= self.len {
            return None;
        }
        let index = at / self.block_len;
        let start = index * self.block_len;
        let mut kept = self.kept.borrow_mut();
        let place = index % kept.len();
        let place = kept.get_mut(place)?;
        match place {
            Some((known, block)) if *known == index => Some((start, Rc::clone(block))),
            _ => {
                let (file, offset) = self.source.as_ref()?;
                let len = self.block_len.min(self.len - start);
                let block = file.read(offset.checked_add(start as u64)?, len)?;
                *place = Some((index, Rc::clone(&block)));
                Some((start, block))
            }
        }
    }

    /// How many bytes are kept.
    #[cfg(test)]
    fn kept_bytes(&self) -> usize {
        let kept = self.kept.borrow();
        kept.iter().flatten().map(|(_, block)| block.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const BLOCK: usize = limits::SYMBOL_BLOCK_BYTES;

    fn file_of(blocks: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..=250).cycle().take(blocks * BLOCK).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        (file, bytes)
    }

    #[test]
    fn only_what_is_looked_at_is_read() {
        let (file, bytes) = file_of(3);
        let open = Rc::new(OpenFile::open(file.path()).unwrap());
        let blocks = Blocks::of_file(&open, 10, 3 * BLOCK - 15).unwrap();
        assert_eq!(blocks.kept_bytes(), 0);
        let (start, block) = blocks.around(BLOCK + 3).unwrap();
        assert_eq!(
            (start, &*block),
            (BLOCK, &bytes[BLOCK + 10..2 * BLOCK + 10])
        );
        assert_eq!(blocks.kept_bytes(), BLOCK);
        let (start, block) = blocks.around(2 * BLOCK).unwrap();
        assert_eq!(start, 2 * BLOCK);
        assert_eq!(&*block, &bytes[2 * BLOCK + 10..3 * BLOCK - 5]);
        assert_eq!(blocks.around(3 * BLOCK - 15), None, "the end");
        assert!(Blocks::of_file(&open, 10, 3 * BLOCK).is_none(), "too long");
        let made = Blocks::of_bytes(vec![1, 2, 3]);
        assert_eq!(&*made.around(1).unwrap().1, [1, 2, 3]);
        assert_eq!((made.around(3), made.kept_bytes()), (None, 3));
    }

    #[test]
    fn what_is_kept_has_a_bound_whatever_is_looked_at() {
        let most = limits::SYMBOL_BLOCKS_KEPT;
        let (file, bytes) = file_of(2 * most);
        let open = Rc::new(OpenFile::open(file.path()).unwrap());
        let blocks = Blocks::of_file(&open, 0, bytes.len()).unwrap();
        for at in (0..bytes.len()).step_by(BLOCK / 2) {
            let (start, block) = blocks.around(at).unwrap();
            assert_eq!(block[at - start], bytes[at]);
        }
        assert_eq!(blocks.kept_bytes(), most * BLOCK);
        assert_eq!(blocks.around(0).unwrap().1[..], bytes[..BLOCK], "again");
    }

    #[test]
    fn file_that_is_overwritten_or_truncated_is_unreadable_from_there_on() {
        for truncate in [true, false] {
            let (file, mut bytes) = file_of(3);
            let open = Rc::new(OpenFile::open(file.path()).unwrap());
            let blocks = Blocks::of_file(&open, 0, bytes.len()).unwrap();
            assert!(blocks.around(0).is_some());
            let last = bytes.len() - 1;
            bytes.reverse();
            if truncate {
                bytes.truncate(5);
            }
            // The time of a file goes in steps of the kernel's tick.
            while open.is_unchanged() {
                fs::write(file.path(), &bytes).unwrap();
            }
            assert!(blocks.around(last).is_none(), "truncated: {truncate}");
            assert!(blocks.around(0).is_some(), "what was read before stays");
        }
    }
}
