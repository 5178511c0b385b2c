//! Looks at the list of this process's threads, again and again.
//!
//! **Problem.** Kernel timers end with their thread. The kernel gives a thread's id away again:
//! between two looks a thread may end and another one may begin under its id, which then looks
//! as if it had timers. **Choice.** Each thread's folder in the list has an inode that the
//! kernel makes when the folder is first looked at, and forgets with the thread at the latest.
//! The number comes with the listing, so noticing costs nothing. The kernel may also forget it
//! to get memory back, with the thread alive: so where the number is another, the beginning of
//! the thread that is there now is read as well, and whoever has timers compares.
//!
//! **What remains.** A thread is not sampled from its beginning to the next look, with or
//! without a reused id. The beginning is known to 10 ms: of two threads that follow each other
//! under one id within the same 10 ms the second is not noticed, but the kernel first counts
//! through all other ids (32,768 where they are fewest). The thread of a profiler of the current
//! thread is first looked at after its start. Where `/proc` is not the kernel's own (gVisor),
//! inodes may mean nothing, and a reused id is noticed only when a look finds nobody under it.

use std::collections::BTreeMap;
use std::os::unix::fs::DirEntryExt as _;
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
    /// When it began, in nanoseconds of `CLOCK_BOOTTIME`, where it may be another than the one
    /// of this id at the last look.
    pub(crate) began_ns: Option<u64>,
}

/// What the last look found.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    known: BTreeMap<i32, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    inode: u64,
    name_reads: u8,
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
        let mut all = Vec::with_capacity(self.known.len());
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(tasks)? {
            let Ok(entry) = entry else { continue };
            let tid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let Some(tid) = tid else { continue };
            let (seen, now_known) = self.see(tid, &entry);
            all.push(seen);
            known.insert(tid, now_known);
        }
        self.known = known;
        Ok(all)
    }

    fn see(&self, tid: i32, entry: &fs::DirEntry) -> (Seen, Known) {
        let inode = entry.ino();
        let before = self.known.get(&tid).copied();
        let mut now = before.unwrap_or(Known {
            inode,
            name_reads: 0,
        });
        let mut began = None;
        if now.inode != inode {
            began = began_ns(&entry.path().join("stat"));
            // Where it cannot be read right now, the next look asks again.
            if began.is_some() {
                now = Known {
                    inode,
                    name_reads: 0,
                };
            }
        }
        let is_new = now.name_reads < NAME_READS;
        let name = is_new.then(|| Arc::from(threads::name(tid)));
        now.name_reads = now.name_reads.saturating_add(1).min(NAME_READS);
        let seen = Seen {
            tid,
            name,
            began_ns: began,
        };
        (seen, now)
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

/// When a thread began: field 22 of its `stat`, in ticks of 10 ms since the machine started
/// (proc(5); `USER_HZ` is 100 on `x86_64`). The name, field 2, stands in parentheses and may
/// hold anything.
fn began_ns(stat: &Path) -> Option<u64> {
    let stat = fs::read(stat).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(after_name + 1..)?).ok()?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    ticks.checked_mul(10_000_000)
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

    #[test]
    fn beginning_is_read_where_another_folder_has_the_id() {
        let tasks = tempfile::tempdir().unwrap();
        let folder = |name: &str, ticks: u64| {
            let path = tasks.path().join(name);
            fs::create_dir(&path).unwrap();
            let fields = "0 ".repeat(18);
            fs::write(
                path.join("stat"),
                format!("7 (a ) b) S {fields}{ticks} 0 0"),
            )
            .unwrap();
            path
        };
        let first = folder("7", 100);
        // Made while the first is there, so that it has another inode.
        let second = folder("other", 250);
        let mut watch = Watch::default();
        let mut began = || {
            let seen = watch.look_in(tasks.path()).unwrap();
            assert_eq!(seen.iter().map(|one| one.tid).collect::<Vec<_>>(), [7]);
            seen[0].began_ns
        };
        assert_eq!(began(), None, "the first look");
        assert_eq!(began(), None, "the same thread");
        fs::rename(&first, tasks.path().join("gone")).unwrap();
        fs::rename(&second, tasks.path().join("7")).unwrap();
        assert_eq!(began(), Some(2_500_000_000));
        assert_eq!(began(), None, "the same thread again");
    }

    #[test]
    fn own_beginning_is_before_now() {
        let stat = format!("{TASKS}/{}/stat", sys::tid());
        let began = began_ns(Path::new(&stat)).unwrap();
        assert!(began > 0 && began <= sys::clock_ns(libc::CLOCK_BOOTTIME));
    }
}
