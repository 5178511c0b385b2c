//! The flame graph inside a page, with its tools.

use flashlamp_profile::Profile;
use maud::{Markup, html};

use super::layout::escaped;
use crate::RenderError;
use crate::svg::{self, Embedding, Options};

/// The graph as inline SVG, or a sentence where there is nothing to draw.
///
/// Inline, because a page that was saved or fetched then holds the graph and its names. The
/// graph's script looks for the first `<svg>` of the document and for the ids `frames`,
/// `details`, `search`, `unzoom` and `matched`: no page may use these for anything else, nor put
/// an `<svg>` before the graph. The tools are hidden until `graph.js` runs; without it the
/// graph's own controls stay in sight.
pub(super) fn graph(
    profile: &Profile,
    options: &Options,
    label: &str,
    when_empty: &Markup,
) -> Result<Markup, RenderError> {
    let graph = svg::graph(profile, options, Embedding::InPage)?;
    if graph.is_empty {
        return Ok(html! { section.empty { (when_empty) } });
    }
    Ok(html! {
        figure.graph #graph {
            form.graph-tools hidden role="search" {
                input.graph-find type="search" autocomplete="off" spellcheck="false"
                    placeholder="Search: a name or a regular expression"
                    aria-label="Search functions in the graph" aria-keyshortcuts="/";
                output.graph-match {}
                button.graph-reset type="button" disabled { "Reset zoom" }
                button.graph-levels type="button" hidden {}
                p.graph-detail aria-live="off" { "Point at a frame for its numbers, click to zoom." }
            }
            // One picture to a screen reader: what is in it stands in the table of functions.
            div.graph-frame role="img" aria-label=(label) { (escaped(graph.svg)) }
            @if !graph.not_drawn.is_empty() {
                figcaption { (graph.not_drawn) }
            }
        }
    })
}
