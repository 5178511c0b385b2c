//! Which function of run-time compiled code was at an address, and when.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::limits;

/// Registered functions.
#[derive(Debug, Default)]
pub(crate) struct JitMap {
    /// By start address, then serial number.
    functions: BTreeMap<Key, Function>,
    /// The unregistered ones, with when they were, the earliest first: forgetting them must not
    /// cost a look at all the others, which the drain would do under its locks.
    ended: VecDeque<(u64, Key)>,
    serial: u64,
    /// Longest function ever registered: bounds the search to the left.
    longest: u64,
}

/// Start address and serial number.
type Key = (u64, u64);

#[derive(Debug)]
struct Function {
    len: u64,
    name: Arc<str>,
    from_ns: u64,
    /// When it was unregistered. Samples from before may still wait in a ring.
    until_ns: Option<u64>,
}

impl JitMap {
    /// Adds a function; returns the serial number to remove it with.
    pub(super) fn insert(&mut self, start: u64, len: u64, name: Arc<str>, now_ns: u64) -> u64 {
        self.serial = self.serial.saturating_add(1);
        if self.functions.len() < limits::JIT_FUNCTIONS_MAX {
            self.longest = self.longest.max(len);
            let function = Function {
                len,
                name,
                from_ns: now_ns,
                until_ns: None,
            };
            self.functions.insert((start, self.serial), function);
        }
        self.serial
    }

    /// How many functions were ever registered.
    pub(crate) fn registered_count(&self) -> u64 {
        self.serial
    }

    /// Ends a function's time. It is kept until [`forget_before`](Self::forget_before).
    pub(super) fn remove(&mut self, start: u64, serial: u64, now_ns: u64) {
        let key = (start, serial);
        if let Some(function) = self.functions.get_mut(&key) {
            function.until_ns = Some(now_ns);
            self.ended.push_back((now_ns, key));
        }
        if self.functions.len() >= limits::JIT_FUNCTIONS_MAX {
            self.forget_before(now_ns);
        }
    }

    /// Forgets functions that were unregistered before `time_ns`: no sample of them is left.
    pub(crate) fn forget_before(&mut self, time_ns: u64) {
        while let Some((until_ns, key)) = self.ended.front()
            && *until_ns < time_ns
        {
            self.functions.remove(key);
            self.ended.pop_front();
        }
    }

    /// The function that held `address` at `time_ns`; the latest where several did.
    pub(crate) fn name_at(&self, address: u64, time_ns: u64) -> Option<Arc<str>> {
        let lowest = address.saturating_sub(self.longest);
        // Functions do not overlap unless code was replaced; the nearest start decides then, and
        // of one start the latest.
        self.functions
            .range((lowest, 0)..=(address, u64::MAX))
            .rev()
            .find(|((start, _), function)| {
                let inside = address - start < function.len;
                let ended = function.until_ns.is_some_and(|until| until < time_ns);
                inside && function.from_ns <= time_ns && !ended
            })
            .map(|(_, function)| Arc::clone(&function.name))
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
