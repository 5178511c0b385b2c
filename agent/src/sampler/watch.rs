//! Looks at the list of this process's threads, again and again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use super::threads::{self, TASKS};
use crate::error::StartError;

/// How often a thread's name is read: a new thread gets it a moment after it begins.
const NAME_READS: u8 = 3;

/// A thread that a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) tid: i32,
    /// Its name, at the first looks that find it.
    pub(crate) name: Option<Arc<str>>,
}

/// What the last look found.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// How often each thread's name was read.
    name_reads: BTreeMap<i32, u8>,
}

impl Watch {
    /// All threads; none where `/proc` cannot be read. For a thousand threads the kernel takes
    /// a millisecond or more.
    pub(crate) fn look(&mut self) -> Vec<Seen> {
        self.look_in(Path::new(TASKS)).unwrap_or_default()
    }

    /// All threads, to begin with: later a look that fails is passed over.
    ///
    /// # Errors
    /// [`StartError::ThreadsUnreadable`]: sampling all threads would sample none.
    pub(crate) fn look_to_start(&mut self) -> Result<Vec<Seen>, StartError> {
        to_start(self.look_in(Path::new(TASKS)))
    }

    fn look_in(&mut self, tasks: &Path) -> io::Result<Vec<Seen>> {
        let mut all = Vec::with_capacity(self.name_reads.len());
        let mut name_reads = BTreeMap::new();
        for entry in fs::read_dir(tasks)? {
            let Ok(entry) = entry else { continue };
            let tid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let Some(tid) = tid else { continue };
            let reads = self.name_reads.get(&tid).copied().unwrap_or(0);
            let name = (reads < NAME_READS).then(|| Arc::from(threads::name(tid)));
            name_reads.insert(tid, reads.saturating_add(1).min(NAME_READS));
            all.push(Seen { tid, name });
        }
        self.name_reads = name_reads;
        Ok(all)
    }
}

fn to_start(seen: io::Result<Vec<Seen>>) -> Result<Vec<Seen>, StartError> {
    match seen {
        // The caller at least is a thread: what lists none is not proc(5).
        Ok(seen) if seen.is_empty() => Err(StartError::ThreadsUnreadable {
            source: io::ErrorKind::NotFound.into(),
        }),
        Ok(seen) => Ok(seen),
        Err(source) => Err(StartError::ThreadsUnreadable { source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

    #[test]
    fn starting_without_a_readable_proc_says_what_to_do() {
        let seen = Watch::default().look_to_start().unwrap();
        assert!(seen.iter().any(|one| one.tid == sys::tid()));
        let empty = tempfile::tempdir().unwrap();
        for tasks in [empty.path(), &empty.path().join("missing")] {
            let error = to_start(Watch::default().look_in(tasks)).unwrap_err();
            assert!(error.to_string().contains("mount /proc"), "{error}");
        }
    }

    #[test]
    fn name_is_read_at_the_first_looks_only() {
        let mut watch = Watch::default();
        let names = (0..5).map(|_| {
            let seen = watch.look();
            let own = seen.into_iter().find(|one| one.tid == sys::tid()).unwrap();
            own.name.is_some()
        });
        assert_eq!(names.collect::<Vec<_>>(), [true, true, true, false, false]);
    }
}
