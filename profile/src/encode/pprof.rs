//! pprof protobuf: the exchange format that loses nothing of a profile.
//!
//! Sample types are (samples, count), which holds event counts as Go's profiles do, then the
//! profile's value types, then (observations, count) where the number of samples differs from
//! the event counts (overruns of the timer). Times are numeric labels, threads text labels,
//! losses comments, kinds of frames other than native are mappings with a name in brackets: any
//! pprof tool reads the file, and our decoder reads everything back.

use std::collections::HashMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;

use crate::frame::{Frame, FrameKind};
use crate::function::FunctionId;
use crate::label::LabelSetId;
use crate::mapping::Mapping;
use crate::pprof_proto as proto;
use crate::pprof_proto::{KIND_MAPPINGS, words};
use crate::profile::Profile;
use crate::sample::Sample;
use crate::stack::StackId;
use crate::thread::ThreadId;
use crate::value_type::ValueType;

/// The profile as a pprof file, compressed with gzip as pprof files are.
///
/// Values above 2^63 are written as 2^63 - 1: the format is signed.
#[expect(clippy::missing_panics_doc, reason = "writing to memory does not fail")]
pub fn pprof(profile: &Profile) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(&pprof_uncompressed(profile))
        .expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// The profile as a bare pprof message, as a container with its own compression wants it.
pub fn pprof_uncompressed(profile: &Profile) -> Vec<u8> {
    Encoding::new(profile).run().encode_to_vec()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A table id as pprof counts them: from 1.
fn id_at(place: usize) -> u64 {
    place as u64 + 1
}

struct Encoding<'p> {
    profile: &'p Profile,
    out: proto::Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<FunctionId, u64>,
    locations: HashMap<(u64, u64, Vec<proto::Line>), u64>,
    kind_mappings: HashMap<FrameKind, u64>,
    stacks: HashMap<StackId, Vec<u64>>,
    label_sets: HashMap<LabelSetId, Vec<proto::Label>>,
    threads: HashMap<ThreadId, [proto::Label; 2]>,
}

impl<'p> Encoding<'p> {
    fn new(profile: &'p Profile) -> Self {
        let mut encoding = Self {
            profile,
            out: proto::Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
            kind_mappings: HashMap::new(),
            stacks: HashMap::new(),
            label_sets: HashMap::new(),
            threads: HashMap::new(),
        };
        encoding.string("");
        encoding
    }

    fn run(mut self) -> proto::Profile {
        self.header();
        for mapping in self.profile.mappings() {
            self.mapping(mapping);
        }
        let observations = self
            .profile
            .samples()
            .any(|sample| sample.sample_count() != sample.event_count().as_u64());
        if observations {
            let value_type = self.value_type(&ValueType::new(words::OBSERVATIONS, "count"));
            self.out.sample_type.push(value_type);
        }
        for sample in self.profile.samples() {
            let sample = self.sample(&sample, observations);
            self.out.sample.push(sample);
        }
        self.out
    }

    fn header(&mut self) {
        let profile = self.profile;
        let events = self.value_type(&ValueType::SAMPLES);
        self.out.sample_type.push(events);
        for value_type in profile.value_types() {
            let value_type = self.value_type(value_type);
            self.out.sample_type.push(value_type);
        }
        self.out.default_sample_type = self.string(&profile.main_type().name);
        self.out.time_nanos = signed(profile.start().unwrap_or_default().as_nanos());
        self.out.duration_nanos = signed(profile.duration().unwrap_or_default().as_nanos());
        if let Some(period) = profile.period() {
            let name = profile
                .value_types()
                .first()
                .map_or("wall", |main| &main.name);
            self.out.period_type = Some(self.value_type(&ValueType::new(name, "nanoseconds")));
            self.out.period = signed(period.as_nanos());
        }
        if !profile.name().is_empty() {
            self.comment(&format!("{}{}", words::NAME, profile.name()));
        }
        for (reason, tally) in profile.losses() {
            let (samples, events) = (tally.samples, tally.events);
            self.comment(&format!("{}{reason}={samples}/{events}", words::LOST));
        }
        for note in profile.notes() {
            self.comment(&format!("{}{note}", words::NOTE));
        }
    }

    fn comment(&mut self, text: &str) {
        let text = self.string(text);
        self.out.comment.push(text);
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(id) = self.strings.get(text) {
            return *id;
        }
        let id = signed(self.out.string_table.len() as u64);
        self.out.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), id);
        id
    }

    fn value_type(&mut self, value_type: &ValueType) -> proto::ValueType {
        let r#type = self.string(&value_type.name);
        proto::ValueType {
            r#type,
            unit: self.string(&value_type.unit),
        }
    }

    fn mapping(&mut self, mapping: &Mapping) -> u64 {
        let id = id_at(self.out.mapping.len());
        let message = proto::Mapping {
            id,
            memory_start: mapping.start,
            memory_limit: mapping.end,
            file_offset: mapping.file_offset,
            filename: self.string(&mapping.path),
            build_id: self.string(&mapping.build_id),
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        };
        self.out.mapping.push(message);
        id
    }

    fn sample(&mut self, sample: &Sample<'_>, observations: bool) -> proto::Sample {
        let mut value = vec![signed(sample.event_count().as_u64())];
        value.extend(sample.values().iter().map(|value| signed(*value)));
        if observations {
            value.push(signed(sample.sample_count()));
        }
        let mut label = self.labels(sample.labels());
        if let Some(thread) = sample.thread() {
            label.extend(self.thread(thread));
        }
        if let Some(time) = sample.time() {
            let instant = self.profile.start().unwrap_or_default() + time;
            label.push(proto::Label {
                key: self.string(words::END_TIMESTAMP),
                num: signed(instant.as_nanos()),
                num_unit: self.string("nanoseconds"),
                ..proto::Label::default()
            });
        }
        let location_id = sample.stack().map(|id| self.stack(id)).unwrap_or_default();
        proto::Sample {
            location_id,
            value,
            label,
        }
    }

    fn labels(&mut self, set: LabelSetId) -> Vec<proto::Label> {
        if let Some(labels) = self.label_sets.get(&set) {
            return labels.clone();
        }
        let pairs: Vec<_> = self.profile.label_pairs(set).collect();
        let labels: Vec<_> = pairs
            .into_iter()
            .map(|(key, value)| self.text_label(key, value))
            .collect();
        self.label_sets.insert(set, labels.clone());
        labels
    }

    fn thread(&mut self, id: ThreadId) -> [proto::Label; 2] {
        if let Some(labels) = self.threads.get(&id) {
            return *labels;
        }
        let thread = self.profile.thread(id);
        let labels = [
            self.text_label(words::THREAD_ID, &thread.tid.to_string()),
            self.text_label(words::THREAD_NAME, &thread.name),
        ];
        self.threads.insert(id, labels);
        labels
    }

    fn text_label(&mut self, key: &str, value: &str) -> proto::Label {
        let key = self.string(key);
        proto::Label {
            key,
            str: self.string(value),
            ..proto::Label::default()
        }
    }

    /// Location ids, leaf first: one for each frame that is not inline, with the inline
    /// frames that lie in it.
    fn stack(&mut self, id: StackId) -> Vec<u64> {
        if let Some(ids) = self.stacks.get(&id) {
            return ids.clone();
        }
        let mut ids = Vec::new();
        let mut lines = Vec::new();
        let mut frames = self.profile.stack_leaf_first(id).peekable();
        while let Some(frame) = frames.next() {
            lines.push(self.line(frame));
            if frame.kind() != FrameKind::Inline || frames.peek().is_none() {
                let lines = std::mem::take(&mut lines);
                ids.push(self.location(frame, lines));
            }
        }
        self.stacks.insert(id, ids.clone());
        ids
    }

    fn line(&mut self, frame: Frame<'_>) -> proto::Line {
        let key = frame.function_id();
        let function_id = match self.functions.get(&key) {
            Some(id) => *id,
            None => {
                let id = id_at(self.out.function.len());
                let file = frame.file().unwrap_or_default();
                let (name, filename) = (self.string(frame.name()), self.string(file));
                self.out.function.push(proto::Function {
                    id,
                    name,
                    // Where it equals the name, pprof takes that for C++ and cuts whatever is
                    // between angle brackets, which in Rust is a type or a trait.
                    system_name: 0,
                    filename,
                });
                self.functions.insert(key, id);
                id
            }
        };
        proto::Line {
            function_id,
            line: i64::from(frame.line().unwrap_or_default()),
        }
    }

    fn location(&mut self, frame: Frame<'_>, line: Vec<proto::Line>) -> u64 {
        let mapping_id = match frame.mapping_id() {
            Some(id) if frame.kind() == FrameKind::Native => id_at(id.0 as usize),
            _ => self.kind_mapping(frame.kind()),
        };
        let address = frame.address().unwrap_or_default();
        let key = (mapping_id, address, line);
        if let Some(id) = self.locations.get(&key) {
            return *id;
        }
        let id = id_at(self.out.location.len());
        let line = key.2.clone();
        self.out.location.push(proto::Location {
            id,
            mapping_id,
            address,
            line,
        });
        self.locations.insert(key, id);
        id
    }

    /// The mapping that stands for a kind of frame; none for native ones.
    fn kind_mapping(&mut self, kind: FrameKind) -> u64 {
        let Some((_, name)) = KIND_MAPPINGS.iter().find(|(have, _)| *have == kind) else {
            return 0;
        };
        if let Some(id) = self.kind_mappings.get(&kind) {
            return *id;
        }
        let id = self.mapping(&Mapping {
            path: (*name).to_owned(),
            ..Mapping::default()
        });
        self.kind_mappings.insert(kind, id);
        id
    }
}
