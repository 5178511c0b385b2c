//! What the collector is told: flags, environment, and the struct that tests fill by hand.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};

use crate::clock::Clock;
use crate::limits;
use crate::store::sqlite;

/// Where the collector listens if nobody says otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:4140";

/// Everything that [`serve`](crate::serve) needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Host and port to listen on. Port 0 lets the system choose one.
    pub listen: String,
    /// The data folder. It is made if it is not there.
    pub data: PathBuf,
    /// How browsers reach this collector, without a slash at the end; the URL of a stored profile
    /// begins with it. `None` means the address that it listens on.
    pub public_url: Option<String>,
    /// Further names by which it may be asked, beside addresses, `localhost` and the host of
    /// `public_url`: see [`hosts`](crate::hosts).
    pub allowed_hosts: Vec<String>,
    /// The source of time.
    pub clock: Clock,
    /// What tests may want different in the store.
    pub store: sqlite::Options,
    /// What all bodies being decoded may take together: [`limits::DECODE_BUDGET_BYTES`].
    pub decode_budget_bytes: u64,
    /// What each small answer may take: [`limits::SMALL_ANSWER_BYTES`].
    pub small_answer_bytes: u64,
    /// What an answer may take that is not small: [`limits::LARGE_ANSWER_BYTES`].
    pub large_answer_bytes: u64,
    /// How long a body may take to arrive: [`limits::BODY_TIME_MAX`].
    pub body_time_max: Duration,
    /// How long a connection may stay without the whole head of a request:
    /// [`limits::HEAD_TIME_MAX`].
    pub head_time_max: Duration,
    /// How long a client may take nothing of its answer: [`limits::STALL_TIME_MAX`].
    pub stall_time_max: Duration,
    /// How many connections there may be at once; `None`: as many as the process may have open
    /// files, but for [`limits::OPEN_FILES_KEPT`].
    pub connections_max: Option<usize>,
    /// Whether deltas are merged in the background. Off only in tests that merge by hand.
    pub compact_in_background: bool,
}

impl Config {
    /// Listens on `listen`, keeps its data in `data`, and has the defaults in everything else.
    pub fn new(listen: impl Into<String>, data: impl Into<PathBuf>) -> Self {
        Self {
            listen: listen.into(),
            data: data.into(),
            public_url: None,
            allowed_hosts: Vec::new(),
            clock: Clock::system(),
            store: sqlite::Options::default(),
            decode_budget_bytes: limits::DECODE_BUDGET_BYTES,
            small_answer_bytes: limits::SMALL_ANSWER_BYTES,
            large_answer_bytes: limits::LARGE_ANSWER_BYTES,
            body_time_max: limits::BODY_TIME_MAX,
            head_time_max: limits::HEAD_TIME_MAX,
            stall_time_max: limits::STALL_TIME_MAX,
            connections_max: None,
            compact_in_background: true,
        }
    }
}

/// The command line of `flashlamp`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "flashlamp",
    version,
    about = "Flashlamp: flame graphs of single requests and whole days",
    styles = STYLES,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, clap::Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Run the collector: take profiles over HTTP, keep them, show them in the browser.
    ///
    /// Point a service's agent at its address (`FLASHLAMP_COLLECTOR=http://127.0.0.1:4140`) and
    /// open the same address in a browser. Ctrl-C stops it; what was taken is on the disk by then.
    Serve(ServeArgs),
}

/// The flags of `flashlamp serve`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The log goes to standard error. FLASHLAMP_LOG sets what it holds: \
        `warn`, `debug`, `flashlamp_collector=trace` (default `info`)."
)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDR", env = "FLASHLAMP_LISTEN", default_value = DEFAULT_LISTEN)]
    pub listen: String,
    /// Folder for the data; made if it is not there.
    #[arg(
        long,
        value_name = "DIR",
        env = "FLASHLAMP_DATA",
        default_value = "flashlamp-data"
    )]
    pub data: PathBuf,
    /// How browsers reach this collector, where that is not the address it listens on (behind a
    /// proxy, say): `https://flashlamp.example.org`.
    #[arg(long, value_name = "URL", env = "FLASHLAMP_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,
    /// Name by which this collector may be asked, beside its addresses, `localhost` and the host of
    /// --public-url; may be given several times. On loopback all other names are refused, and on
    /// other addresses where one is given.
    #[arg(
        long = "allowed-host",
        value_name = "NAME",
        env = "FLASHLAMP_ALLOWED_HOSTS",
        value_delimiter = ',',
        value_parser = host_name
    )]
    pub allowed_hosts: Vec<String>,
}

impl ServeArgs {
    /// The configuration that these flags ask for.
    pub fn into_config(self) -> Config {
        Config {
            public_url: self.public_url,
            allowed_hosts: self.allowed_hosts,
            ..Config::new(self.listen, self.data)
        }
    }
}

/// Section titles and flags stand out; the rest stays as the terminal has it.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

fn public_url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let host = rest.ok_or("it has to begin with http:// or https://")?;
    if host.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it has to name a host, and holds no spaces".to_owned());
    }
    if host
        .trim_end_matches('/')
        .contains(['/', '?', '#', '"', '<', '>'])
    {
        return Err("it ends with the host and its port: the pages live at the root".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn host_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    if text.is_empty() || !text.chars().all(fits) {
        return Err("it is a name alone, without http:// and port".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_serve_says_what_to_do_with_its_address() {
        let mut cli = Cli::command();
        let serve = cli.find_subcommand_mut("serve").unwrap();
        let help = serve.render_long_help().to_string();
        assert!(
            help.contains("FLASHLAMP_COLLECTOR=http://127.0.0.1:4140"),
            "{help}"
        );
    }

    #[test]
    fn allowed_hosts_are_names_alone() {
        let hosts = |words: &[&str]| {
            let cli = Cli::try_parse_from(["flashlamp", "serve"].iter().chain(words));
            cli.ok().map(
                |Cli {
                     command: Command::Serve(args),
                 }| args.into_config().allowed_hosts.join(" "),
            )
        };
        let flag = "--allowed-host";
        assert_eq!(
            hosts(&[flag, "a", flag, "b.c,d-e"]).as_deref(),
            Some("a b.c d-e")
        );
        for bad in ["", "a:80", "http://a", "a/b", "a b", "*", "[::1]"] {
            assert_eq!(hosts(&[flag, bad]), None, "{bad}");
        }
    }

    #[test]
    fn a_public_url_is_kept_without_its_last_slash() {
        let url = |text: &str| {
            let cli = Cli::try_parse_from(["flashlamp", "serve", "--public-url", text]);
            cli.ok().map(
                |Cli {
                     command: Command::Serve(args),
                 }| args.public_url.unwrap(),
            )
        };
        assert_eq!(
            url("https://f.example/").as_deref(),
            Some("https://f.example")
        );
        assert_eq!(
            url("http://f.example:1").as_deref(),
            Some("http://f.example:1")
        );
        for bad in [
            "http://f.example/sub",
            "f.example",
            "ftp://f.example",
            "http://",
            "http://a b",
            "http://a?b",
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }
}
