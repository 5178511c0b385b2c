//! The parent's side of a child process.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdin, Command};

use crate::roles::LISTENING;

/// What a child may take until it listens.
const START: Duration = Duration::from_secs(30);
/// What a child may take to stop: more than its own grace, which it is left to keep.
const STOP: Duration = Duration::from_secs(20);

/// A child that listens.
#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    process: tokio::process::Child,
    /// Closing it tells the child to stop: see `lifeline`.
    lifeline: ChildStdin,
    address: SocketAddr,
}

impl Child {
    /// Starts this program again with `args` and waits until it says where it listens.
    ///
    /// It gets a process group of its own: Ctrl-C in a terminal is not for it.
    ///
    /// # Errors
    /// It could not be started, or ended, or did not listen in time. In the second case it has
    /// said why on standard error.
    pub(crate) async fn start(
        name: &'static str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program's own file")?;
        let mut process = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting the {name}"))?;
        let lifeline = process.stdin.take().context("a pipe that was asked for")?;
        let stdout = process.stdout.take().context("a pipe that was asked for")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START, lines.next_line())
            .await
            .with_context(|| format!("the {name} did not start in {START:?}"))??;
        let Some(address) = line
            .as_deref()
            .and_then(|line| line.strip_prefix(LISTENING))
        else {
            bail!("the {name} did not start");
        };
        let address = address
            .parse()
            .with_context(|| format!("the address of the {name}"))?;
        Ok(Self {
            name,
            process,
            lifeline,
            address,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends when the child does, which it should not by itself.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.process.wait().await {
            Ok(status) => anyhow::anyhow!("the {} ended by itself: {status}", self.name),
            Err(error) => {
                anyhow::Error::new(error).context(format!("waiting for the {}", self.name))
            }
        }
    }

    /// Tells the child to stop and waits until it has; one that does not is killed.
    ///
    /// # Errors
    /// It had to be killed, or ended with an error.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self {
            name,
            mut process,
            lifeline,
            ..
        } = self;
        drop(lifeline);
        let Ok(status) = tokio::time::timeout(STOP, process.wait()).await else {
            process
                .kill()
                .await
                .with_context(|| format!("killing the {name}"))?;
            bail!("the {name} did not stop in {STOP:?} and was killed");
        };
        let status: ExitStatus = status.with_context(|| format!("waiting for the {name}"))?;
        ensure!(status.success(), "the {name} ended with {status}");
        Ok(())
    }
}
