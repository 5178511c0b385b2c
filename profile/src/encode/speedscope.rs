//! Speedscope JSON, for its viewer and for anything that reads its files.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::column::Column;
use crate::function::FunctionId;
use crate::loss::Tally;
use crate::profile::Profile;
use crate::sample::Sample;
use crate::thread::ThreadId;
use crate::units::{Nanos, Period, Timestamp};

/// The profile as a speedscope file: one profile for each value type and thread, in the order
/// of the value types, samples in the profile's order, root first.
///
/// Weights are values (event counts where there are none), and `endValue` is `startValue` plus
/// their sum. Frames are told apart by (name, file) and carry no line: speedscope would show
/// one function once for each line. A top-level `flashlamp` object, which speedscope ignores,
/// holds the start, the period and the accounts; labels and event counts of single samples are
/// not kept (a reader derives counts from weights and period).
#[expect(clippy::missing_panics_doc, reason = "numbers and text serialize")]
pub fn speedscope(profile: &Profile) -> String {
    let mut frames = Frames {
        profile,
        list: Vec::new(),
        places: HashMap::new(),
    };
    let columns: Vec<Column> = match profile.value_types().len() {
        0 => vec![Column::Events],
        count => (0..count).map(Column::Value).collect(),
    };
    let mut threads: BTreeMap<Option<ThreadId>, Vec<Sample<'_>>> = BTreeMap::new();
    for sample in profile.samples() {
        threads.entry(sample.thread()).or_default().push(sample);
    }
    if threads.is_empty() {
        threads.insert(None, Vec::new());
    }
    let mut profiles = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        for (thread, samples) in &threads {
            let mut one = one_profile(profile, &mut frames, *column, samples);
            if threads.len() > 1 {
                one.name = titled(profile, *thread);
            }
            one.flashlamp.value_type = column.value_type(profile).name.into_owned();
            one.flashlamp.column = place;
            profiles.push(one);
        }
    }
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: concat!("flashlamp@", env!("CARGO_PKG_VERSION")),
        name: profile.name(),
        active_profile_index: 0,
        flashlamp: Accounts::of(profile),
        shared: Shared {
            frames: frames.list,
        },
        profiles,
    };
    serde_json::to_string(&file).expect("numbers and text always serialize")
}

/// Larger weights are written as this one, as in pprof; no reader would take them.
const WEIGHT_MAX: u64 = i64::MAX as u64;

fn titled(profile: &Profile, thread: Option<ThreadId>) -> String {
    let Some(thread) = thread.map(|id| profile.thread(id)) else {
        return profile.name().to_owned();
    };
    let name = if thread.name.is_empty() {
        "thread"
    } else {
        &thread.name
    };
    if profile.name().is_empty() {
        format!("{name} ({})", thread.tid)
    } else {
        format!("{} - {name} ({})", profile.name(), thread.tid)
    }
}

fn one_profile(
    profile: &Profile,
    frames: &mut Frames<'_>,
    column: Column,
    of_thread: &[Sample<'_>],
) -> OneProfile {
    let mut stacks: HashMap<_, Vec<usize>> = HashMap::new();
    let (mut samples, mut weights) = (Vec::new(), Vec::new());
    let mut sum = 0_u64;
    for sample in of_thread {
        let weight = column.of(sample).min(WEIGHT_MAX);
        let stack = stacks.entry(sample.stack()).or_insert_with(|| {
            let stack = sample.stack().map(|id| profile.stack_root_first(id));
            let functions = stack.into_iter().flatten().map(crate::Frame::function_id);
            functions.map(|function| frames.place(function)).collect()
        });
        samples.push(stack.clone());
        weights.push(weight);
        sum = sum.saturating_add(weight);
    }
    OneProfile {
        r#type: "sampled",
        name: profile.name().to_owned(),
        unit: unit(&column.value_type(profile).unit),
        start_value: 0,
        end_value: sum,
        samples,
        weights,
        flashlamp: OneProfileNotes::default(),
    }
}

/// The unit by speedscope's name for it.
fn unit(unit: &str) -> &'static str {
    match unit {
        "nanoseconds" => "nanoseconds",
        "microseconds" => "microseconds",
        "milliseconds" => "milliseconds",
        "seconds" => "seconds",
        "bytes" => "bytes",
        _ => "none",
    }
}

/// The frames of the file, in order of first use.
struct Frames<'p> {
    profile: &'p Profile,
    list: Vec<JsonFrame<'p>>,
    places: HashMap<FunctionId, usize>,
}

impl Frames<'_> {
    fn place(&mut self, function: FunctionId) -> usize {
        *self.places.entry(function).or_insert_with(|| {
            let name = self.profile.function_name(function);
            self.list.push(JsonFrame {
                name,
                file: self.profile.function_file(function),
            });
            self.list.len() - 1
        })
    }
}

#[derive(Serialize)]
struct File<'p> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: &'static str,
    name: &'p str,
    #[serde(rename = "activeProfileIndex")]
    active_profile_index: usize,
    flashlamp: Accounts<'p>,
    shared: Shared<'p>,
    profiles: Vec<OneProfile>,
}

#[derive(Serialize)]
struct Accounts<'p> {
    version: u32,
    start_ns: Option<Timestamp>,
    duration_ns: Option<Nanos>,
    period_ns: Option<Period>,
    taken: Tally,
    stored: Tally,
    lost: Tally,
    losses: &'p BTreeMap<String, Tally>,
}

impl<'p> Accounts<'p> {
    fn of(profile: &'p Profile) -> Self {
        Self {
            version: 1,
            start_ns: profile.start(),
            duration_ns: profile.duration(),
            period_ns: profile.period(),
            taken: profile.taken(),
            stored: profile.stored(),
            lost: profile.lost(),
            losses: profile.losses(),
        }
    }
}

#[derive(Serialize)]
struct Shared<'p> {
    frames: Vec<JsonFrame<'p>>,
}

#[derive(Serialize)]
struct JsonFrame<'p> {
    name: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'p str>,
}

#[derive(Serialize)]
struct OneProfile {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start_value: u64,
    #[serde(rename = "endValue")]
    end_value: u64,
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
    flashlamp: OneProfileNotes,
}

#[derive(Default, Serialize)]
struct OneProfileNotes {
    #[serde(rename = "type")]
    value_type: String,
    column: usize,
}
