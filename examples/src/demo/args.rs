//! The demo's command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};
use flashlamp_collector::config::DEFAULT_LISTEN;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Flashlamp in one command: a collector, a web shop that is profiled, and some traffic.
///
/// It prints links to flame graphs as they become true; open them in a browser. Everything
/// listens on this machine alone, and Ctrl-C stops all of it.
#[derive(Debug, Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo", styles = STYLES)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[command(after_help = "Examples:\n  \
    cargo demo                        until Ctrl-C\n  \
    cargo demo --for 20s              stops by itself\n  \
    cargo demo --listen 127.0.0.1:0   any free port")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) demo: DemoArgs,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What a person can say.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Where the collector listens: its pages are here.
    #[arg(long, value_name = "ADDR", env = "FLASHLAMP_LISTEN", default_value = DEFAULT_LISTEN)]
    pub(crate) listen: String,
    /// Where the shop listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4141")]
    pub(crate) shop_listen: String,
    /// Folder for what the collector stores; it stays when the demo stops.
    #[arg(
        long,
        value_name = "DIR",
        env = "FLASHLAMP_DATA",
        default_value = "flashlamp-data"
    )]
    pub(crate) data: PathBuf,
    /// Stop after this time, such as 20s or 5m, rather than at Ctrl-C. The links take a few seconds.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) run_for: Option<Duration>,
}

/// What the demo starts itself as; nobody types these.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    #[command(hide = true, name = "run-collector")]
    Collector(CollectorArgs),
    #[command(hide = true, name = "run-shop")]
    Shop(ShopArgs),
}

/// What the parent tells the collector.
#[derive(Debug, clap::Args)]
pub(crate) struct CollectorArgs {
    #[arg(long)]
    pub(crate) listen: String,
    #[arg(long)]
    pub(crate) data: PathBuf,
}

/// What the parent tells the shop.
#[derive(Debug, clap::Args)]
pub(crate) struct ShopArgs {
    #[arg(long)]
    pub(crate) listen: String,
    #[arg(long)]
    pub(crate) collector: String,
}

/// A positive time, written as people do: `20s`, `1m 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text
        .parse()
        .map_err(|_error| "write it like 20s or 5m".to_owned())?;
    Duration::try_from(duration)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "it has to be more than nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn time_is_written_as_people_write_it() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "20", "0s", "-3s", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn help_shows_no_hidden_role() {
        let help = Args::command().render_long_help().to_string();
        assert!(
            !help.contains("run-shop") && help.contains("--shop-listen"),
            "{help}"
        );
    }
}
