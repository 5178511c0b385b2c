//! Samples between the ring and a profile: interned stacks, no names yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flashlamp_profile::{EventCount, Tally, markers};

use crate::clock::Anchor;
use crate::limits;
use crate::mappings::{Module, Modules};
use crate::perf_map::JitMap;
use crate::ring::record::{Header, Quality, State};
use crate::sampler::wall::Pools;

/// Lost tallies by reason.
pub(crate) type Losses = BTreeMap<&'static str, Tally>;

/// What an address was, when it was drained.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Location {
    /// Code of a loaded object; the address is the file's own (an SVMA).
    Object { module: Arc<Module>, address: u64 },
    /// Code that was registered with a `PerfMap`.
    Jit { name: Arc<str>, address: u64 },
    /// Nothing that we know.
    Unknown { address: u64 },
    /// A note, not code.
    Marker(&'static str),
}

/// One sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawSample {
    /// Monotonic nanoseconds.
    pub(crate) time_ns: u64,
    /// Time that it stands for.
    pub(crate) wall_ns: u64,
    /// Of it, time on a CPU.
    pub(crate) cpu_ns: u64,
    /// Node of the stack tree; `None` for an empty stack.
    pub(crate) stack: Option<u32>,
    /// Periods that it stands for.
    pub(crate) events: u32,
    /// Place in the thread table; `None` where no thread ran.
    pub(crate) thread: Option<u32>,
    /// The entry point's id.
    pub(crate) entry: u32,
}

/// A node of the stack tree: its caller's node and its own location.
pub(crate) type StackNode = (Option<u32>, u32);

/// Samples with their stacks, locations and threads.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    samples_max: usize,
    pub(crate) samples: Vec<RawSample>,
    /// Parents before children.
    pub(crate) stacks: Vec<StackNode>,
    stack_ids: HashMap<StackNode, u32>,
    pub(crate) locations: Vec<Location>,
    location_ids: HashMap<Location, u32>,
    /// Lookup address to location, for one generation of the modules.
    addresses: HashMap<u64, u32>,
    addresses_generation: u64,
    pub(crate) threads: Vec<(i32, Arc<str>)>,
    /// The last row of time that no sample was charged with: it takes what comes once there is no room.
    left_over: Option<usize>,
    /// Samples that came when the collection was full.
    pub(crate) overflow: Tally,
}

/// What names addresses while samples are drained.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    pub(crate) modules: &'a Modules,
    pub(crate) jit: &'a JitMap,
}

/// A sample as it comes out of a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drained<'a> {
    pub(crate) header: &'a Header,
    /// Leaf first.
    pub(crate) addresses: &'a [u64],
    /// The thread's id and name.
    pub(crate) thread: (i32, &'a Arc<str>),
}

impl Collection {
    /// An empty collection that keeps at most this many samples.
    pub(crate) fn new(samples_max: usize) -> Self {
        Self {
            samples_max,
            samples: Vec::new(),
            stacks: Vec::new(),
            stack_ids: HashMap::new(),
            locations: Vec::new(),
            location_ids: HashMap::new(),
            addresses: HashMap::new(),
            addresses_generation: 0,
            threads: Vec::new(),
            left_over: None,
            overflow: Tally::default(),
        }
    }

    /// An empty collection with the same bound.
    pub(crate) fn successor(&self) -> Self {
        Self::new(self.samples_max)
    }

    /// What the samples add up to. Gaps were measured, not taken, and do not count.
    pub(crate) fn tally(&self) -> Tally {
        let taken = self.samples.iter().filter(|sample| sample.events > 0);
        taken
            .map(|sample| Tally::one(EventCount::new(u64::from(sample.events))))
            .sum()
    }

    /// Adds a drained sample.
    pub(crate) fn add(&mut self, drained: &Drained<'_>, resolver: &Resolver<'_>) {
        let Drained {
            header,
            addresses,
            thread,
        } = *drained;
        if self.is_full() {
            self.overflow += Tally::one(EventCount::new(u64::from(header.events)));
            return;
        }
        if self.addresses_generation != resolver.modules.generation {
            self.addresses.clear();
            self.addresses_generation = resolver.modules.generation;
        }
        let mut node = match header.quality {
            Quality::Complete => None,
            Quality::Truncated => Some(self.marker(markers::TRUNCATED)),
            Quality::Lost(_) => Some(self.marker(markers::INCOMPLETE)),
        };
        for (depth, address) in addresses.iter().enumerate().rev() {
            // A caller's address is where its call returns to; the call is before it.
            let lookup = if depth == 0 {
                *address
            } else {
                address.saturating_sub(1)
            };
            let location = self.locate(lookup, header.time_ns, resolver);
            node = Some(self.node((node, location)));
        }
        let row = RawSample {
            time_ns: header.time_ns,
            wall_ns: header.running_ns,
            cpu_ns: header.running_ns,
            stack: node,
            events: header.events,
            thread: Some(self.thread(thread)),
            entry: header.entry,
        };
        self.add_rows(row, header);
    }

    /// The row of the time on a CPU, and the one of the time off it, with a frame that says so.
    fn add_rows(&mut self, row: RawSample, header: &Header) {
        let (leaf, off_min_ns) = match header.state {
            State::Running => (markers::RUNNABLE, limits::RUNNABLE_NS),
            State::Blocked | State::Paused | State::Still => (markers::BLOCKED, 1),
        };
        if header.off_ns < off_min_ns {
            self.samples.push(RawSample {
                wall_ns: row.wall_ns.saturating_add(header.off_ns),
                ..row
            });
            return;
        }
        if row.cpu_ns > 0 {
            self.samples.push(row);
        }
        let leaf = self.location(Location::Marker(leaf));
        let stack = Some(self.node((row.stack, leaf)));
        self.samples.push(RawSample {
            wall_ns: header.off_ns,
            cpu_ns: 0,
            stack,
            // A sample is counted once.
            events: if row.cpu_ns > 0 { 0 } else { row.events },
            ..row
        });
    }

    /// Adds time of a thread that no sample was charged with: which of its functions had it is not
    /// known.
    pub(crate) fn add_left_over(
        &mut self,
        time_ns: u64,
        pools: Pools,
        thread: Option<(i32, &Arc<str>)>,
        entry: u32,
    ) {
        let wall_ns = pools.running_ns.saturating_add(pools.off_ns);
        if self.is_full()
            && let Some(row) = self.left_over.and_then(|row| self.samples.get_mut(row))
        {
            row.wall_ns = row.wall_ns.saturating_add(wall_ns);
            row.cpu_ns = row.cpu_ns.saturating_add(pools.running_ns);
            return;
        }
        let stack = Some(self.marker(markers::BETWEEN_SAMPLES));
        let thread = thread.map(|thread| self.thread(thread));
        self.left_over = Some(self.samples.len());
        self.samples.push(RawSample {
            time_ns,
            wall_ns,
            cpu_ns: pools.running_ns,
            stack,
            events: 0,
            thread,
            entry,
        });
    }

    /// Adds time that no thread spent: event count 0.
    pub(crate) fn add_gap(&mut self, time_ns: u64, wall_ns: u64, entry: u32) {
        let stack = Some(self.marker(markers::NOT_ON_A_THREAD));
        self.samples.push(RawSample {
            time_ns,
            wall_ns,
            cpu_ns: 0,
            stack,
            events: 0,
            thread: None,
            entry,
        });
    }

    fn is_full(&self) -> bool {
        self.samples.len() >= self.samples_max || self.stacks.len() >= limits::STACK_NODES_MAX
    }

    fn marker(&mut self, name: &'static str) -> u32 {
        let location = self.location(Location::Marker(name));
        self.node((None, location))
    }

    fn node(&mut self, node: StackNode) -> u32 {
        let stacks = &mut self.stacks;
        *self.stack_ids.entry(node).or_insert_with(|| {
            stacks.push(node);
            last_index(stacks.len())
        })
    }

    fn locate(&mut self, address: u64, time_ns: u64, resolver: &Resolver<'_>) -> u32 {
        if let Some(known) = self.addresses.get(&address) {
            return *known;
        }
        if let Some(module) = resolver.modules.find(address) {
            let module = Arc::clone(module);
            let in_file = address.wrapping_sub(module.base);
            let id = self.location(Location::Object {
                module,
                address: in_file,
            });
            self.addresses.insert(address, id);
            return id;
        }
        // What is compiled at run time comes and goes: never from the cache.
        match resolver.jit.name_at(address, time_ns) {
            Some(name) => self.location(Location::Jit { name, address }),
            None => self.location(Location::Unknown { address }),
        }
    }

    fn location(&mut self, location: Location) -> u32 {
        if let Some(id) = self.location_ids.get(&location) {
            return *id;
        }
        self.locations.push(location.clone());
        let id = last_index(self.locations.len());
        self.location_ids.insert(location, id);
        id
    }

    fn thread(&mut self, (tid, name): (i32, &Arc<str>)) -> u32 {
        // Few threads, and mostly the last one again.
        let known = self.threads.iter().rposition(|(known, _)| *known == tid);
        let index = known.unwrap_or_else(|| {
            self.threads.push((tid, Arc::clone(name)));
            self.threads.len() - 1
        });
        self.threads[index].1 = Arc::clone(name);
        u32::try_from(index).unwrap_or(u32::MAX)
    }
}

fn last_index(len: usize) -> u32 {
    u32::try_from(len.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// A piece of a session, ready to become a profile.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// The samples.
    pub(crate) collection: Collection,
    /// What was lost meanwhile.
    pub(crate) losses: Losses,
    /// The beginning, on both clocks.
    pub(crate) start: Anchor,
    /// How long it lasted, in nanoseconds.
    pub(crate) duration_ns: u64,
    /// The clock that the samples weigh.
    pub(crate) clock: crate::Clock,
    /// The nominal distance between samples.
    pub(crate) period_ns: u64,
}

impl Chunk {
    /// What is in the samples.
    pub(crate) fn stored(&self) -> Tally {
        self.collection.tally()
    }

    /// What was lost.
    pub(crate) fn lost(&self) -> Tally {
        self.losses.values().copied().sum()
    }
}
