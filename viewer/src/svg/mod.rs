//! Flame graphs as SVG, drawn by inferno.
//!
//! Problem: inferno takes folded text, in which names may not hold `;`, end in a number, or begin
//! with `#`; it sorts lines by bytes, which tears siblings apart (`foo` and `foo::bar`); and its
//! work grows with the input. So the call tree is cut to what a screen can show first (`prune`),
//! handed over in drawing order with the troublesome characters replaced by control characters
//! (which no visible name holds), and these are put back in what inferno wrote (`finish`), where
//! counts also get their unit.
//!
//! Guaranteed: the output is well-formed XML, deterministic, below 4 MB whatever the profile (a
//! graph of 6,000 frames with usual names is 2 MB), and asks no host for anything.

mod branch;
mod finish;
mod palette;
mod prune;

use std::str::FromStr as _;

use flashlamp_profile::{CallTree, Callers, Column, Profile};
use inferno::flamegraph as inferno_graph;

use self::branch::Branch;
pub use crate::link::Direction;
use crate::{RenderError, text};

/// The `onload` handler of the graph, which a content security policy has to allow.
pub(crate) const ONLOAD: &str = "init(evt)";

/// How a graph is drawn. Start from [`Options::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The heading. Made visible and escaped, like every text.
    pub title: String,
    /// A line below the heading.
    pub subtitle: Option<String>,
    /// Which number the widths stand for.
    pub column: Column,
    /// How that number is written.
    pub unit: Unit,
    /// From the root on, or from the leaf on.
    pub direction: Direction,
    /// Whether the graph grows upwards or hangs down.
    pub layout: Layout,
    /// How frames are coloured.
    pub colors: Colors,
    /// Frames narrower than this, in percent of the whole, are not drawn. At least 0.
    pub min_width_percent: f64,
    /// At most this many frames are drawn: the widest.
    pub frames_max: usize,
    /// At most this many levels are drawn.
    pub levels_max: usize,
}

impl Options {
    /// The usual graph of a profile: its default column in that column's unit, hanging down,
    /// coloured by package, frames of 0.05 % and more, at most 6,000 of them, 1,000 levels deep.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        let column = Column::default_for(profile);
        Self {
            title: String::new(),
            subtitle: None,
            column,
            unit: Unit::of(profile, column),
            direction: Direction::Forward,
            layout: Layout::Icicle,
            colors: Colors::ByPackage,
            min_width_percent: 0.05,
            frames_max: 6_000,
            levels_max: 1_000,
        }
    }
}

/// How the number of a frame is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count of samples (event counts): `1,234 samples`.
    Samples,
    /// Nanoseconds, in the unit that fits each: `12.3 s`.
    Duration,
    /// Nanoseconds, always in milliseconds, so that the frames of one request compare.
    Milliseconds,
    /// A number without a unit.
    Plain,
}

impl Unit {
    /// The unit of a profile's column.
    #[must_use]
    pub fn of(profile: &Profile, column: Column) -> Self {
        match column {
            Column::Events => Self::Samples,
            Column::Value(index) => match profile.value_types().get(index) {
                Some(value_type) if value_type.unit == "nanoseconds" => Self::Duration,
                Some(value_type) if value_type.unit == "count" => Self::Samples,
                _ => Self::Plain,
            },
        }
    }

    /// A number in this unit: `1,234 samples`, `12.3 s`, `1.23 ms`, `1,234`.
    #[must_use]
    pub fn format(self, value: u64) -> String {
        use flashlamp_profile::Nanos;

        use crate::format;
        match self {
            Self::Samples => format::counted(value, "sample"),
            Self::Duration => format::duration(Nanos::from_nanos(value)),
            Self::Milliseconds => format::milliseconds(Nanos::from_nanos(value)),
            Self::Plain => format::count(value),
        }
    }
}

/// Where the first level is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// At the top: the graph hangs down like an icicle, and a page shows its beginning first.
    #[default]
    Icicle,
    /// At the bottom: the graph grows upwards like a flame.
    Flame,
}

/// How frames are coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Colors {
    /// One hue for each package (crate), from a palette that colour-blind readers can tell apart;
    /// the standard library and native code are quiet, markers are grey.
    #[default]
    ByPackage,
    /// The warm colours of the first flame graphs, by function name.
    Hot,
}

/// Draws a profile as a standalone SVG document, to be sent as `image/svg+xml` with
/// [`csp::svg`](crate::csp::svg).
///
/// Widths are the sums of `options.column`; siblings are ordered by width, widest first. A frame's
/// tooltip (its `<title>`) is `NAME (NUMBER UNIT, SHARE%)`, the name cut to
/// [`NAME_CHARS_MAX`](text::NAME_CHARS_MAX) characters. A click zooms, Ctrl-F or the word
/// "Search" searches by regular expression. A profile in which there is nothing to draw gives a
/// picture that says so. What the bounds of the options leave out is stated in the subtitle.
///
/// Costs the call tree of the whole profile (reversed: only of what is drawn), then time and
/// memory in the bounds of `options`.
///
/// # Errors
///
/// - [`RenderError::NoSuchColumn`]: the profile has no column `options.column`.
/// - [`RenderError::Draw`]: never for any profile, as far as we know.
pub fn flame_graph(profile: &Profile, options: &Options) -> Result<String, RenderError> {
    let mut document = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    document.push_str(&graph(profile, options, Embedding::Standalone)?.svg);
    Ok(document)
}

/// A graph to be put into a page.
#[derive(Debug)]
pub(crate) struct Graph {
    /// The `<svg>` element.
    pub(crate) svg: String,
    /// What was not drawn, in words; empty where everything was.
    pub(crate) not_drawn: String,
    /// Nothing was drawn: the profile has no samples in this column.
    pub(crate) is_empty: bool,
}

/// What surrounds a graph: a page has its own headings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Embedding {
    Standalone,
    InPage,
}

/// Draws a profile as an `<svg>` element without an XML declaration.
pub(crate) fn graph(
    profile: &Profile,
    options: &Options,
    embedding: Embedding,
) -> Result<Graph, RenderError> {
    let value_type_count = profile.value_types().len();
    if let Column::Value(index) = options.column
        && index >= value_type_count
    {
        return Err(RenderError::NoSuchColumn {
            column: options.column,
            value_type_count,
        });
    }
    let pruned = match options.direction {
        Direction::Forward => {
            let tree = CallTree::new(profile, options.column);
            prune::prune(Branch::Forward(tree.root()), options)
        }
        Direction::Reversed => {
            let callers = Callers::new(profile, options.column);
            prune::prune(Branch::Reversed(callers.root()), options)
        }
    };
    let not_drawn = pruned.not_drawn(options);
    if pruned.is_empty() {
        return Ok(Graph {
            svg: finish::empty(options),
            not_drawn,
            is_empty: true,
        });
    }
    let mut palette = palette::palette(&pruned, options.colors);
    let mut settings = settings(options.layout);
    if embedding == Embedding::Standalone {
        settings.title = text::visible(&options.title).into_owned();
        settings.subtitle = subtitle(options, &not_drawn);
    }
    settings.palette_map = Some(&mut palette);
    let lines = pruned.lines();
    let mut out = Vec::new();
    // In this mode inferno takes lines as they come, last line first.
    inferno_graph::from_lines(
        &mut settings,
        lines.iter().rev().map(String::as_str),
        &mut out,
    )
    .map_err(RenderError::Draw)?;
    let drawn = String::from_utf8_lossy(&out);
    let svg = finish::finish(&drawn, options.unit, pruned.total());
    Ok(Graph {
        svg,
        not_drawn,
        is_empty: false,
    })
}

/// Everything that decides inferno's script and style, and nothing else.
fn settings(layout: Layout) -> inferno_graph::Options<'static> {
    let mut settings = inferno_graph::Options::default();
    settings.title = String::new();
    settings.direction = match layout {
        Layout::Icicle => inferno_graph::Direction::Inverted,
        Layout::Flame => inferno_graph::Direction::Straight,
    };
    settings.flame_chart = true; // the order of the lines is ours
    settings.min_width = 0.0; // `prune` did that
    settings.frame_height = 17;
    settings.name_type = String::new();
    settings.text_truncate_direction = inferno_graph::TextTruncateDirection::Left;
    let white = inferno_graph::color::Color {
        r: 255,
        g: 255,
        b: 255,
    };
    settings.bgcolors = Some(inferno_graph::color::BackgroundColor::Flat(white));
    if let Ok(color) = inferno_graph::color::SearchColor::from_str(palette::SEARCH) {
        settings.search_color = color;
    }
    settings
}

fn subtitle(options: &Options, not_drawn: &str) -> Option<String> {
    let given = options.subtitle.as_deref().map(text::visible);
    match (given, not_drawn.is_empty()) {
        (Some(given), true) => Some(given.into_owned()),
        (Some(given), false) => Some(format!("{given} · {not_drawn}")),
        (None, true) => None,
        (None, false) => Some(not_drawn.to_owned()),
    }
}

/// One tiny graph of every layout: from these the policies take the hashes of script and style.
pub(crate) fn samples_of_every_layout() -> Vec<String> {
    let sample = |layout| {
        let mut out = Vec::new();
        inferno_graph::from_lines(&mut settings(layout), ["a 1"], &mut out).ok()?;
        Some(finish::finish(
            &String::from_utf8_lossy(&out),
            Unit::Plain,
            1,
        ))
    };
    [Layout::Icicle, Layout::Flame]
        .into_iter()
        .filter_map(sample)
        .collect()
}

/// What a browser takes as the text of the first element of that name.
pub(crate) fn inline_text(svg: &str, element: &str) -> String {
    let (open, close) = (format!("<{element} "), format!("</{element}>"));
    let after_open = svg
        .split_once(&open)
        .and_then(|(_, rest)| rest.split_once('>'));
    let text = after_open
        .and_then(|(_, rest)| rest.split_once(&close))
        .map_or("", |(text, _)| text);
    text.replace("<![CDATA[", "").replace("]]>", "")
}

#[cfg(test)]
mod tests;
