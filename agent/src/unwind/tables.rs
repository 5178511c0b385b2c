//! Unwind tables of the loaded objects: built off the signal path, then immutable.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Native;
use super::eh_frame;
use super::object_table::ObjectTable;
use super::rule::Rule;

/// Tells one loaded object from another: the loader maps a new library where an old one was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObjectIdentity {
    /// The object's name.
    pub(crate) name: String,
    /// Its build id; empty where it has none.
    pub(crate) build_id: String,
    /// Where it is mapped, first to last segment.
    pub(crate) range: Range<u64>,
    /// What is added to the addresses of the file.
    pub(crate) base: u64,
}

/// What one loaded object brings to unwinding.
#[derive(Debug, Default)]
pub(crate) struct ObjectUnwindInfo {
    /// Which object.
    pub(crate) identity: ObjectIdentity,
    /// Where it has code, as it is mapped.
    pub(crate) code: Range<u64>,
    /// Address in the file and bytes of `.eh_frame`.
    pub(crate) eh_frame: Option<(u64, Vec<u8>)>,
}

/// An immutable snapshot of all objects' tables, and of where code is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    /// By address; they do not overlap.
    objects: Vec<Arc<Object>>,
    /// Where each of them is: close together, because they are looked through for each frame.
    ranges: Vec<Range<u64>>,
    /// Executable mappings, by address.
    code: Arc<[Range<u64>]>,
    /// No two snapshots with different objects have the same one.
    generation: u64,
}

/// The generation that was given last.
static GENERATION: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Object {
    identity: ObjectIdentity,
    code: Range<u64>,
    table: ObjectTable,
    function_count: usize,
    fault_count: usize,
}

/// One object with its table.
#[derive(Clone, Debug)]
pub(crate) struct BuiltObject(Arc<Object>);

impl ObjectUnwindInfo {
    /// Builds the object's table: some 100 ms for a program of 24 MB.
    pub(crate) fn build(self) -> BuiltObject {
        let Self {
            identity,
            code,
            eh_frame,
        } = self;
        let in_file = |address: u64| address.wrapping_sub(identity.base);
        let code_in_file = in_file(code.start)..in_file(code.end);
        let built = eh_frame.and_then(|(address, bytes)| {
            eh_frame::build::<Native>(&bytes, address, &code_in_file).ok()
        });
        let built = built.unwrap_or_default();
        BuiltObject(Arc::new(Object {
            identity,
            code,
            table: built.table,
            function_count: built.function_count,
            fault_count: built.fault_count,
        }))
    }
}

/// What the tables hold, for those who watch over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Functions described.
    pub(crate) functions: usize,
    /// Rows of the tables.
    pub(crate) rows: usize,
    /// Bytes of memory.
    pub(crate) bytes: usize,
    /// Descriptions that make no sense.
    pub(crate) faults: usize,
}

impl Tables {
    /// No objects: every frame is walked by frame pointers.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// Tells these objects' rules from those of all other snapshots.
    ///
    /// # Signal safety
    /// One load.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// After the objects have changed.
    fn renew(&mut self) {
        let ranges = self
            .objects
            .iter()
            .map(|object| object.identity.range.clone());
        self.ranges = ranges.collect();
        self.generation = GENERATION.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    }

    /// The rule at an address of the process.
    ///
    /// # Signal safety
    /// Loads only, their number bounded by the logarithm of the number of objects.
    pub(super) fn rule_at(&self, address: u64) -> Rule {
        self.object_at(address).map_or(Rule::Unknown, |object| {
            let in_file = address.wrapping_sub(object.identity.base);
            object.table.rule_at(in_file)
        })
    }

    fn object_at(&self, address: u64) -> Option<&Object> {
        let after = self.ranges.partition_point(|range| range.start <= address);
        let place = after.checked_sub(1)?;
        let is_in = address < self.ranges.get(place)?.end;
        is_in.then_some(self.objects.get(place)?)
    }

    /// Whether there is code at an address, as far as the snapshot knows.
    ///
    /// # Signal safety
    /// As [`Self::rule_at`].
    pub(super) fn is_code(&self, address: u64) -> bool {
        if let Some(object) = self.object_at(address) {
            return object.code.contains(&address);
        }
        let after = self.code.partition_point(|range| range.start <= address);
        let range = after
            .checked_sub(1)
            .and_then(|before| self.code.get(before));
        range.is_some_and(|range| address < range.end)
    }

    /// Whether this very object is in the snapshot.
    pub(crate) fn contains(&self, identity: &ObjectIdentity) -> bool {
        let object = self.object_at(identity.range.start);
        object.is_some_and(|object| object.identity == *identity)
    }

    /// Removes the objects that are not among `live` (starts).
    pub(crate) fn retain(&mut self, live: &[u64]) {
        self.objects
            .retain(|object| live.contains(&object.identity.range.start));
        self.renew();
    }

    /// Adds an object, in place of one that was at the same start.
    pub(crate) fn insert(&mut self, object: BuiltObject) {
        let BuiltObject(object) = object;
        let start = |object: &Arc<Object>| object.identity.range.start;
        self.objects.retain(|one| start(one) != start(&object));
        self.objects.push(object);
        self.objects.sort_by_key(start);
        self.renew();
    }

    /// Takes these as the executable mappings, in order of address. Tells whether that is news.
    pub(crate) fn set_code(&mut self, code: Vec<Range<u64>>) -> bool {
        let is_news = *self.code != *code;
        if is_news {
            self.code = code.into();
        }
        is_news
    }

    /// What there is.
    pub(crate) fn extent(&self) -> Extent {
        let mut extent = Extent::default();
        for object in &self.objects {
            extent.functions = extent.functions.saturating_add(object.function_count);
            extent.rows = extent.rows.saturating_add(object.table.row_count());
            extent.bytes = extent.bytes.saturating_add(object.table.heap_bytes());
            extent.faults = extent.faults.saturating_add(object.fault_count);
        }
        extent
    }
}

#[cfg(any(test, fuzzing))]
impl Tables {
    /// One object at 0, all code, with this table.
    pub(super) fn of_one(range: Range<u64>, table: ObjectTable) -> Self {
        let object = Object {
            identity: ObjectIdentity {
                range: range.clone(),
                ..ObjectIdentity::default()
            },
            code: range,
            table,
            function_count: 0,
            fault_count: 0,
        };
        let mut tables = Self {
            objects: vec![Arc::new(object)],
            ..Self::default()
        };
        tables.renew();
        tables
    }
}
