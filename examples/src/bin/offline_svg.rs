//! Draws a flame graph from folded text, without a collector: `profile` and `viewer` alone.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use flashlamp_profile::{Limits, decode};
use flashlamp_viewer::svg;

/// Draws a flame graph: a profile in (folded text, pprof or speedscope JSON), SVG out.
#[derive(Debug, Parser)]
struct Args {
    /// The profile; standard input if it is left out.
    profile: Option<PathBuf>,
    /// Where the SVG goes.
    #[arg(long, default_value = "flamegraph.svg")]
    out: PathBuf,
    /// The heading.
    #[arg(long, default_value = "Flame graph")]
    title: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut bytes = Vec::new();
    match &args.profile {
        Some(path) => {
            bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        }
        None => drop(std::io::stdin().read_to_end(&mut bytes)?),
    }
    let profile = decode::any(&bytes, &Limits::default()).context("reading the profile")?;
    let options = svg::Options {
        title: args.title,
        ..svg::Options::new(&profile)
    };
    let svg = svg::flame_graph(&profile, &options)?;
    std::fs::write(&args.out, svg).with_context(|| format!("writing {}", args.out.display()))?;
    anstream::println!(
        "{} samples drawn in {}",
        profile.stored().samples,
        args.out.display()
    );
    Ok(())
}
