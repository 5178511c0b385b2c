//! Which function of run-time compiled code was at an address, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits;

/// Registered functions by start address.
#[derive(Debug, Default)]
pub(crate) struct JitMap {
    functions: BTreeMap<u64, Vec<Function>>,
    count: usize,
    /// Of these, unregistered ones.
    ended: usize,
    serial: u64,
    /// Longest function ever registered: bounds the search to the left.
    longest: u64,
}

#[derive(Debug)]
struct Function {
    len: u64,
    name: Arc<str>,
    serial: u64,
    from_ns: u64,
    /// When it was unregistered. Samples from before may still wait in a ring.
    until_ns: Option<u64>,
}

impl JitMap {
    /// Adds a function; returns the serial number to remove it with.
    pub(super) fn insert(&mut self, start: u64, len: u64, name: Arc<str>, now_ns: u64) -> u64 {
        self.serial = self.serial.saturating_add(1);
        if self.count < limits::JIT_FUNCTIONS_MAX {
            self.count += 1;
            self.longest = self.longest.max(len);
            let function = Function {
                len,
                name,
                serial: self.serial,
                from_ns: now_ns,
                until_ns: None,
            };
            self.functions.entry(start).or_default().push(function);
        }
        self.serial
    }

    /// Ends a function's time. It is kept until [`forget_before`](Self::forget_before).
    pub(super) fn remove(&mut self, start: u64, serial: u64, now_ns: u64) {
        let functions = self.functions.get_mut(&start);
        let function = functions.and_then(|all| all.iter_mut().find(|one| one.serial == serial));
        if let Some(function) = function {
            function.until_ns = Some(now_ns);
            self.ended += 1;
        }
        if self.count >= limits::JIT_FUNCTIONS_MAX {
            self.forget_before(now_ns);
        }
    }

    /// Forgets functions that were unregistered before `time_ns`: no sample of them is left.
    pub(crate) fn forget_before(&mut self, time_ns: u64) {
        if self.ended == 0 {
            return;
        }
        let gone = |function: &Function| function.until_ns.is_some_and(|until| until < time_ns);
        self.functions.retain(|_, functions| {
            functions.retain(|function| !gone(function));
            !functions.is_empty()
        });
        let left = || self.functions.values().flatten();
        self.count = left().count();
        self.ended = left()
            .filter(|function| function.until_ns.is_some())
            .count();
    }

    /// The function that held `address` at `time_ns`; the latest where several did.
    pub(crate) fn name_at(&self, address: u64, time_ns: u64) -> Option<Arc<str>> {
        let lowest = address.saturating_sub(self.longest);
        // Functions do not overlap unless code was replaced; the nearest start decides then.
        self.functions
            .range(lowest..=address)
            .rev()
            .find_map(|(start, functions)| {
                let held = |function: &&Function| {
                    let inside = address - start < function.len;
                    let ended = function.until_ns.is_some_and(|until| until < time_ns);
                    inside && function.from_ns <= time_ns && !ended
                };
                let latest = functions
                    .iter()
                    .filter(held)
                    .max_by_key(|function| function.serial)?;
                Some(Arc::clone(&latest.name))
            })
    }
}

/// The name as one line of a map file can hold it.
pub(super) fn clean(name: &str) -> String {
    let mut clean: String = name
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let end = clean.floor_char_boundary(limits::SYMBOL_BYTES_MAX);
    clean.truncate(end);
    let mut clean = clean.trim().to_owned();
    // perf skips a line whose name has two characters or fewer.
    while clean.len() < 3 {
        clean.push('_');
    }
    clean
}
