//! Flame graphs and pages: a [`Profile`](flashlamp_profile::Profile) in, HTML and SVG out.
//!
//! Everything here is a pure function from borrowed structs to a `String`: no I/O, no clock, and
//! the same input gives the same bytes. The collector reads the store, fills one of the structs
//! of [`page`], and sends what comes back with the header values that this crate names.
//!
//! ```text
//!  Profile ──► svg::flame_graph ──► a standalone SVG          (csp::SVG)
//!     │              └── inline ──┐
//!     └──► by_function ──► table ─┴► page::{profile, aggregate} (csp::page())
//!  IndexPage, ErrorPage ───────────► page::{index, error}       (csp::page())
//!  assets::asset, assets::speedscope: static files              (Asset says how to serve them)
//! ```
//!
//! What is guaranteed:
//! - Names are hostile. Markup is escaped, and characters that hide or reorder text (control
//!   characters, bidirectional overrides, zero-width characters) are replaced by something that
//!   can be seen: [`text`].
//! - No page and no graph asks a third party for anything; the content security policies of
//!   [`csp`] enforce it in the browser.
//! - Work and output are bounded by [`svg::Options`], whatever the profile; what is not drawn is
//!   stated in the graph.
//!
//! # Example
//!
//! ```
//! use flashlamp_profile::{Limits, decode};
//! use flashlamp_viewer::svg;
//!
//! let profile = decode::folded(b"main;parse 3\nmain;render 1\n", &Limits::default())?;
//! let options = svg::Options { title: "One afternoon".into(), ..svg::Options::new(&profile) };
//! let svg = svg::flame_graph(&profile, &options)?;
//! assert!(svg.contains("parse (3 samples, 75.00%)"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod assets;
pub mod csp;
mod error;
pub mod format;
pub mod link;
pub mod page;
pub mod svg;
pub mod text;

pub use self::error::RenderError;
