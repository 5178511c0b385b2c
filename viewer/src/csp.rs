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

#[cfg(test)]
mod tests {
    use flashlamp_profile::{Limits, decode};

    use super::*;
    use crate::page::{self, ProfilePage};
    use crate::svg::{Layout, Options};

    /// Every inline script, style and handler of a document, as a browser takes them.
    fn inline(document: &str) -> Vec<(&'static str, String)> {
        let of = |element: &'static str, directive: &'static str| {
            let (open, close) = (format!("<{element}"), format!("</{element}>"));
            let after_open: Vec<_> = document.split(&open).skip(1).collect();
            after_open.into_iter().filter_map(move |rest| {
                let (attributes, rest) = rest.split_once('>').unwrap();
                let text = rest.split_once(&close).unwrap().0;
                let text = text.replace("<![CDATA[", "").replace("]]>", "");
                (!attributes.contains("src=")).then_some((directive, text))
            })
        };
        let handlers = document.split(" onload=\"").skip(1);
        of("script", "script-src")
            .chain(of("style", "style-src"))
            .chain(handlers.map(|rest| ("script-src", rest.split('"').next().unwrap().to_owned())))
            .collect()
    }

    fn check(policy: &str, document: &str) {
        let inline = inline(document);
        assert_eq!(inline.len(), 3, "a script, a style and the onload handler");
        for (directive, text) in inline {
            let sources = policy
                .split(';')
                .find(|part| part.trim().starts_with(directive));
            let sources = format!("{} ", sources.unwrap());
            let source = hash_source(&text);
            assert!(
                sources.contains(&source),
                "{source} is missing in{sources}for {text}"
            );
        }
        for unsafe_source in [
            "'unsafe-inline'",
            "'unsafe-eval'",
            "http:",
            "https:",
            "*",
            "data:",
        ] {
            assert!(!policy.contains(unsafe_source), "{policy}");
        }
    }

    #[test]
    fn the_policies_allow_exactly_what_is_inline() {
        let profile = decode::folded(b"main;work 3\n", &Limits::default()).unwrap();
        for layout in [Layout::Icicle, Layout::Flame] {
            let options = Options {
                title: "a".into(),
                layout,
                ..Options::new(&profile)
            };
            check(svg(), &svg::flame_graph(&profile, &options).unwrap());
        }
        let html = page::profile(&ProfilePage {
            id: "1",
            name: "GET /",
            service: "shop",
            entry: None,
            clock: "wall",
            profile: &profile,
            downloads: &[],
        });
        check(page(), &html.unwrap());
    }

    #[test]
    fn speedscope_may_reach_only_its_own_host() {
        assert!(
            !SPEEDSCOPE.contains("http") && !SPEEDSCOPE.contains('*'),
            "{SPEEDSCOPE}"
        );
    }
}
