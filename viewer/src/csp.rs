//! Content security policies, one for each kind of response.
//!
//! All of them forbid every third party. The graph's script and style are inline (so that a saved
//! page keeps them), hence allowed by their hashes, which are taken from a graph that is really
//! rendered: they cannot go stale.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::svg;

/// For the files of `/assets/`, opened as documents of their own.
pub const ASSET: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'";

/// For every file below `/speedscope/`.
///
/// speedscope writes its styles at run time, decodes images from `data:` and `blob:`, compiles
/// WebAssembly, and fetches the profile from the same host. Only our own pages may frame it.
pub const SPEEDSCOPE: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let inline = Inline::of_the_graph();
    format!(
        "default-src 'none'; script-src 'self' 'unsafe-hashes'{}; style-src 'self'{}; \
         img-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        inline.scripts, inline.styles
    )
});

static SVG: LazyLock<String> = LazyLock::new(|| {
    let inline = Inline::of_the_graph();
    format!(
        "sandbox allow-scripts allow-modals; default-src 'none'; \
         script-src 'unsafe-hashes'{}; style-src{}",
        inline.scripts, inline.styles
    )
});

/// The `Content-Security-Policy` of every HTML page of this crate.
///
/// Scripts and styles come from the same host or are those of the graph, by hash. `unsafe-hashes`
/// is for the graph's `onload` handler, and allows only what is hashed.
#[must_use]
pub fn page() -> &'static str {
    &PAGE
}

/// The `Content-Security-Policy` of a standalone graph ([`svg::flame_graph`]).
///
/// The graph's own script runs (zoom, search), in a sandbox: it has no origin, so it can reach
/// neither this host's data nor its pages.
#[must_use]
pub fn svg() -> &'static str {
    &SVG
}

/// The hash sources of what is inline in a graph, each with a space before it.
struct Inline {
    scripts: String,
    styles: String,
}

impl Inline {
    fn of_the_graph() -> Self {
        let mut inline = Self {
            scripts: hash_source(svg::ONLOAD),
            styles: String::new(),
        };
        for graph in svg::samples_of_every_layout() {
            push_new(&mut inline.scripts, &svg::inline_text(&graph, "script"));
            push_new(&mut inline.styles, &svg::inline_text(&graph, "style"));
        }
        inline
    }
}

fn push_new(sources: &mut String, text: &str) {
    let source = hash_source(text);
    if !sources.contains(&source) {
        sources.push_str(&source);
    }
}

/// A CSP hash source: ` 'sha256-…'`.
pub(crate) fn hash_source(text: &str) -> String {
    let mut source = String::new();
    let hash = BASE64.encode(Sha256::digest(text.as_bytes()));
    let _infallible = write!(source, " 'sha256-{hash}'");
    source
}
