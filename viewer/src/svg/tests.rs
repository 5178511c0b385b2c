use flashlamp_profile::{
    EventCount, FrameKind, FrameSpec, Limits, NewSample, ProfileBuilder, ValueType, decode, markers,
};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::*;

/// One drawn frame, as a browser would read it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Drawn {
    title: String,
    y: u64,
    x: u64,
    width: u64,
    is_marker: bool,
}

fn folded(text: &str) -> Profile {
    decode::folded(text.as_bytes(), &Limits::default()).unwrap()
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).unwrap()?;
    Some(String::from_utf8(attribute.value.into_owned()).unwrap())
}

/// Parses the SVG strictly, and gives its frames.
fn frames(svg: &str) -> Vec<Drawn> {
    let mut reader = Reader::from_str(svg);
    reader.config_mut().check_end_names = true;
    let (mut drawn, mut title, mut in_title, mut is_marker) =
        (Vec::new(), String::new(), false, false);
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return drawn,
            Event::Start(start) if start.name().as_ref() == b"title" => {
                in_title = true;
                title.clear();
            }
            Event::Start(start) if start.name().as_ref() == b"g" => {
                is_marker = attribute(&start, "class").is_some();
            }
            Event::End(end) if end.name().as_ref() == b"title" => in_title = false,
            Event::Text(text) if in_title => title.push_str(&text.decode().unwrap()),
            Event::GeneralRef(entity) if in_title => {
                let character = match entity.decode().unwrap().as_ref() {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "quot" => '"',
                    "apos" => '\'',
                    other => panic!("entity {other}"),
                };
                title.push(character);
            }
            Event::Empty(start) if start.name().as_ref() == b"rect" => {
                let Some(x) = attribute(&start, "fg:x") else {
                    continue;
                };
                drawn.push(Drawn {
                    title: title.clone(),
                    y: attribute(&start, "y").unwrap().parse().unwrap(),
                    x: x.parse().unwrap(),
                    width: attribute(&start, "fg:w").unwrap().parse().unwrap(),
                    is_marker,
                });
            }
            _ => {}
        }
    }
}

fn everything(profile: &Profile) -> Options {
    Options {
        min_width_percent: 0.0,
        ..Options::new(profile)
    }
}

/// The titles, level by level from the first, left to right.
fn titles(profile: &Profile, options: &Options) -> Vec<String> {
    let mut frames = frames(&flame_graph(profile, options).unwrap());
    frames.sort_by_key(|frame| (frame.y, frame.x));
    frames.into_iter().map(|frame| frame.title).collect()
}

fn check(text: &str, expected: &[&str]) {
    let profile = folded(text);
    assert_eq!(titles(&profile, &everything(&profile)), expected);
}

#[test]
fn frames_say_name_number_and_share() {
    check(
        "main;parse 3\nmain;render 1\n",
        &[
            "all (4 samples, 100%)",
            "main (4 samples, 100%)",
            "parse (3 samples, 75.00%)",
            "render (1 sample, 25.00%)",
        ],
    );
}

#[test]
fn a_name_that_begins_like_its_neighbour_does_not_tear_it_apart() {
    // By bytes, "foo 3" < "foo::bar 2" < "foo;x 4".
    check(
        "foo 3\nfoo::bar 2\nfoo;x 4\n",
        &[
            "all (9 samples, 100%)",
            "foo (7 samples, 77.78%)",
            "foo::bar (2 samples, 22.22%)",
            "x (4 samples, 44.44%)",
        ],
    );
}

#[test]
fn a_reversed_graph_begins_with_what_ran() {
    let profile = folded("main;a;leaf 3\nmain;b;leaf 1\n");
    let options = Options {
        direction: Direction::Reversed,
        ..everything(&profile)
    };
    assert_eq!(
        titles(&profile, &options),
        [
            "all (4 samples, 100%)",
            "leaf (4 samples, 100%)",
            "a (3 samples, 75.00%)",
            "b (1 sample, 25.00%)",
            "main (3 samples, 75.00%)",
            "main (1 sample, 25.00%)",
        ]
    );
}

/// One stack of one frame for each name, all of weight 1, through the builder.
fn named(names: &[(&str, FrameKind)]) -> Profile {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::WALL]);
    for (name, kind) in names {
        let frame = builder.frame(&FrameSpec::new(name).kind(*kind));
        let stack = Some(builder.stack(None, frame));
        add(&mut builder, stack, 1_500_000);
    }
    builder.build().unwrap()
}

fn add(builder: &mut ProfileBuilder, stack: Option<flashlamp_profile::StackId>, wall_ns: u64) {
    builder.sample(NewSample {
        stack,
        event_count: EventCount::ONE,
        values: &[wall_ns],
        time: None,
        thread: None,
        labels: flashlamp_profile::LabelSetId::EMPTY,
    });
}

#[test]
fn names_that_folded_text_cannot_hold_arrive_whole() {
    let names = [
        "drop<[u8; 8]>",
        "ends in 12",
        "# heading",
        " padded ",
        "kernel_[k]",
        "-",
        "a (b)",
    ];
    let kinds: Vec<_> = names
        .iter()
        .map(|name| (*name, FrameKind::Native))
        .collect();
    let profile = named(&kinds);
    let mut titles = titles(&profile, &everything(&profile));
    titles.sort();
    let mut expected: Vec<_> = names
        .iter()
        .map(|name| format!("{name} (1.5 ms, {})", "14.29%"))
        .collect();
    expected.push("all (10.5 ms, 100%)".to_owned());
    expected.sort();
    assert_eq!(titles, expected);
}

#[test]
fn markers_are_told_apart_by_kind_not_by_name() {
    let kinds = [
        (markers::NOT_ON_A_THREAD, FrameKind::Marker),
        (markers::TRUNCATED, FrameKind::Native),
    ];
    let profile = named(&kinds);
    let frames = frames(&flame_graph(&profile, &everything(&profile)).unwrap());
    let marked: Vec<_> = frames.iter().filter(|frame| frame.is_marker).collect();
    assert_eq!(marked.len(), 1);
    assert!(
        marked[0].title.starts_with("[not on a thread] ("),
        "{marked:?}"
    );
}

#[test]
fn samples_without_a_stack_keep_their_width() {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::WALL]);
    add(&mut builder, None, 5_000_000);
    let profile = builder.build().unwrap();
    assert_eq!(
        titles(&profile, &everything(&profile)),
        ["all (5 ms, 100%)", "[no stack] (5 ms, 100%)"]
    );
}

#[test]
fn what_is_not_drawn_at_the_first_level_is_a_marker_of_its_width() {
    let profile = folded("wide 990\na 4\nb 3\nc 3\n");
    let options = Options {
        min_width_percent: 1.0,
        ..Options::new(&profile)
    };
    let mut frames = frames(&flame_graph(&profile, &options).unwrap());
    frames.sort_by_key(|frame| (frame.y, frame.x));
    assert_eq!(frames[2].title, "[not drawn] (10 samples, 1.00%)");
    assert!(frames[2].is_marker);
    let svg = flame_graph(&profile, &options).unwrap();
    let rect = svg.split("<title>[not drawn]").nth(1).unwrap();
    let fill = rect
        .split("fill=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(
        fill, "rgb(224,224,224)",
        "a marker's colour, whatever the palette"
    );
}

#[test]
fn an_empty_profile_is_a_picture_that_says_so() {
    let profile = ProfileBuilder::new().build().unwrap();
    let svg = flame_graph(&profile, &Options::new(&profile)).unwrap();
    assert_eq!(frames(&svg), []);
    assert!(svg.contains("This profile holds no samples."), "{svg}");
}

#[test]
fn an_unknown_column_is_an_error() {
    let profile = folded("a 1\n");
    let options = Options {
        column: Column::Value(0),
        ..Options::new(&profile)
    };
    let error = flame_graph(&profile, &options).unwrap_err();
    assert!(
        matches!(
            error,
            RenderError::NoSuchColumn {
                value_type_count: 0,
                ..
            }
        ),
        "{error}"
    );
}

/// A single stack.
fn deep(levels: usize, name: impl Fn(usize) -> String) -> Profile {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    let mut stack = None;
    for level in 0..levels {
        let frame = builder.frame(&FrameSpec::new(&name(level)));
        stack = Some(builder.stack(stack, frame));
        // Every level has a line of its own: the worst case of folded text.
        if level % 16 == 0 {
            add(&mut builder, stack, 1_000);
        }
    }
    add(&mut builder, stack, 1_000_000_000);
    builder.build().unwrap()
}

#[test]
fn a_deep_profile_is_cut_and_says_so() {
    let profile = deep(2_500, |level| format!("recurse{}", level % 7));
    for direction in [Direction::Forward, Direction::Reversed] {
        let options = Options {
            direction,
            ..everything(&profile)
        };
        let svg = flame_graph(&profile, &options).unwrap();
        let levels = frames(&svg)
            .iter()
            .map(|frame| frame.y)
            .collect::<std::collections::BTreeSet<_>>();
        assert!(levels.len() <= 1_001, "{}", levels.len());
        assert!(svg.contains("not drawn: "), "the cut is stated");
    }
}

#[test]
fn long_names_in_deep_stacks_stay_in_bounds() {
    let profile = deep(3_000, |level| format!("{level}{}", "x".repeat(3_000)));
    let options = Options {
        levels_max: 5_000,
        ..everything(&profile)
    };
    let svg = flame_graph(&profile, &options).unwrap();
    assert!(svg.len() < SVG_BYTES_MAX, "{}", svg.len());
    assert!(svg.contains("all but the"), "the cut is stated");
}

/// What a graph takes at most, whatever is drawn.
const SVG_BYTES_MAX: usize = 4_000_000;

#[test]
fn names_of_the_longest_escapes_stay_in_bounds() {
    // Each is wide, at the widest levels, and takes six bytes a character.
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    for index in 0..1_900_u32 {
        let mut stack = None;
        for level in 0..4 {
            let name = format!("{index} {level} {}", "\"".repeat(500));
            let frame = builder.frame(&FrameSpec::new(&name));
            stack = Some(builder.stack(stack, frame));
        }
        add(&mut builder, stack, 1_000);
    }
    let profile = builder.build().unwrap();
    for direction in [Direction::Forward, Direction::Reversed] {
        let options = Options {
            direction,
            ..Options::new(&profile)
        };
        let svg = flame_graph(&profile, &options).unwrap();
        assert!(svg.len() < SVG_BYTES_MAX, "{}", svg.len());
        assert!(svg.len() > SVG_BYTES_MAX * 3 / 4, "{}", svg.len());
        assert!(svg.contains("not drawn: all but the"), "the cut is stated");
        let drawn = frames(&svg);
        let widths = drawn.iter().filter(|frame| frame.y == drawn[1].y);
        let whole: u64 = widths.map(|frame| frame.width).sum();
        assert_eq!(whole, 1_900_000, "the first level keeps the whole width");
    }
}

#[test]
fn a_name_is_cut_to_its_documented_length() {
    let name = "n".repeat(16 << 10);
    let profile = named(&[(&name, FrameKind::Native)]);
    let cut = "n".repeat(text::NAME_CHARS_MAX);
    assert_eq!(
        titles(&profile, &everything(&profile)),
        ["all (1.5 ms, 100%)", &format!("{cut}… (1.5 ms, 100%)")]
    );
}

/// A chain of calls in each of whose functions a leaf of its own ends.
///
/// Its reversed tree has a path for each leaf: a thousand times the nodes of the profile.
fn comb(levels: u32, name: impl Fn(u32) -> String) -> Profile {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    let mut stack = None;
    for level in 0..levels {
        let frame = builder.frame(&FrameSpec::new(&name(level)));
        stack = Some(builder.stack(stack, frame));
        let leaf = builder.frame(&FrameSpec::new(&format!("leaf{level}")));
        let leaf = builder.stack(stack, leaf);
        add(&mut builder, Some(leaf), 1_000);
    }
    builder.build().unwrap()
}

#[test]
fn a_reversed_graph_makes_only_the_wide_part_of_its_tree() {
    // As a whole the reversed tree has 2 thousand million nodes.
    let profile = comb(60_000, |level| format!("caller{}", level % 7));
    let options = Options {
        direction: Direction::Reversed,
        ..Options::new(&profile)
    };
    let svg = flame_graph(&profile, &options).unwrap();
    let drawn = frames(&svg);
    assert_eq!(drawn[0].width, 60_000_000);
    assert_eq!(drawn.len(), 2, "every leaf is narrow: {drawn:?}");
    assert_eq!(drawn[1].title, "[not drawn] (60 ms, 100%)");
    assert!(svg.contains("not drawn: frames below 0.05%"));
}

#[test]
fn a_reversed_graph_of_recursion_ends_by_its_steps() {
    // Sixty chains of one function: all their stacks lead on, level after level.
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    let f = builder.frame(&FrameSpec::new("f"));
    for root in 0..60 {
        let root = builder.frame(&FrameSpec::new(&format!("root{root}")));
        let mut stack = Some(builder.stack(None, root));
        for _ in 0..4_000 {
            stack = Some(builder.stack(stack, f));
            add(&mut builder, stack, 1_000);
        }
    }
    let profile = builder.build().unwrap();
    let options = Options {
        direction: Direction::Reversed,
        ..Options::new(&profile)
    };
    let svg = flame_graph(&profile, &options).unwrap();
    let drawn = frames(&svg);
    assert!((50..900).contains(&drawn.len()), "{}", drawn.len());
    assert!(svg.contains("all but the"), "the cut is stated");
}

#[test]
fn a_wide_profile_is_drawn_to_its_widest_frames() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for index in 0..10_000_u32 {
        writeln!(text, "main;f{index};g{index} {}", 1 + index % 97).unwrap();
    }
    let profile = folded(&text);
    let svg = flame_graph(&profile, &everything(&profile)).unwrap();
    assert_eq!(frames(&svg).len(), 6_001, "and the root");
    assert!(svg.contains("not drawn: all but the 6,000 widest frames"));
    let svg = flame_graph(&profile, &Options::new(&profile)).unwrap();
    assert!(svg.contains("not drawn: frames below 0.05%"));
}

#[test]
fn inferno_is_left_with_no_third_party_to_name() {
    let profile = folded("a 1\n");
    let svg = flame_graph(&profile, &Options::new(&profile)).unwrap();
    assert!(!svg.contains("<!DOCTYPE") && !svg.contains("<!--"), "{svg}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn hostile_names_give_well_formed_xml_and_never_show_raw(
        names in prop::collection::vec("\\PC{0,12}|[\u{0}-\u{2f}<>&\"';\\[\\]\u{80}-\u{9f}\u{202a}-\u{202e}\u{2066}\u{fffe}]{0,12}", 1..12),
        reversed: bool,
    ) {
        let mut builder = ProfileBuilder::new();
        builder.value_types(&[ValueType::CPU]);
        let mut stack = None;
        for name in &names {
            let frame = builder.frame(&FrameSpec::new(name));
            stack = Some(builder.stack(stack, frame));
            add(&mut builder, stack, 7);
        }
        let profile = builder.build().unwrap();
        let direction = if reversed { Direction::Reversed } else { Direction::Forward };
        let options = Options { direction, title: names.concat(), ..everything(&profile) };
        let svg = flame_graph(&profile, &options).unwrap();
        prop_assert!(frames(&svg).len() > names.len().min(1));
        let forbidden = |character: char| matches!(character,
            '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}' | '\u{fffe}');
        prop_assert!(!svg.contains(forbidden));
        prop_assert_eq!(&svg, &flame_graph(&profile, &options).unwrap(), "deterministic");
    }

    #[test]
    fn children_lie_inside_their_parents_and_apart(
        stacks in prop::collection::vec((prop::collection::vec(0_u8..5, 1..6), 1_u64..50), 1..40),
        levels_max in 1_usize..8,
        frames_max in 1_usize..60,
    ) {
        let mut text = String::new();
        for (stack, weight) in &stacks {
            let names: Vec<_> = stack.iter().map(|name| format!("f{name}")).collect();
            text.push_str(&format!("{} {weight}\n", names.join(";")));
        }
        let profile = folded(&text);
        let options = Options { levels_max, frames_max, ..everything(&profile) };
        let mut frames = frames(&flame_graph(&profile, &options).unwrap());
        frames.sort_by_key(|frame| (frame.y, frame.x));
        let total: u64 = stacks.iter().map(|(_, weight)| weight).sum();
        prop_assert_eq!(frames[0].width, total);
        let level_height = 17;
        for pair in frames.windows(2).filter(|pair| pair[0].y == pair[1].y) {
            prop_assert!(pair[0].x + pair[0].width <= pair[1].x, "{:?}", pair);
        }
        for child in frames.iter().skip(1) {
            let holds = |parent: &Drawn| parent.y + level_height == child.y
                && parent.x <= child.x && child.x + child.width <= parent.x + parent.width;
            prop_assert!(frames.iter().any(holds), "{:?} has no parent", child);
        }
    }
}

#[test]
fn sums_beyond_what_can_be_counted_are_drawn_all_the_same() {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    let main = builder.frame(&FrameSpec::new("main"));
    let main = builder.stack(None, main);
    for name in ["a", "b", "c"] {
        let frame = builder.frame(&FrameSpec::new(name));
        let stack = Some(builder.stack(Some(main), frame));
        add(&mut builder, stack, u64::MAX / 2);
    }
    let profile = builder.build().unwrap();
    let svg = flame_graph(&profile, &Options::new(&profile)).unwrap();
    for name in ["main", "a", "b"] {
        assert!(svg.contains(&format!("<title>{name} (")), "{name}");
    }
}
