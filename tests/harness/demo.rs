//! The demo as a newcomer starts it, on free ports and in a folder of its own.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::process::Process;
use crate::{programs, wait};

/// How long the demo may take until a link is true, on a busy machine.
const LINK_WITHIN: Duration = Duration::from_secs(60);

/// A running demo.
#[derive(Debug)]
pub struct Demo {
    process: Process,
    _folder: TempDir,
}

impl Demo {
    /// Starts it on free ports, with more arguments.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn start(more: &[&str]) -> Result<Self> {
        let ports = ["--listen", "127.0.0.1:0", "--shop-listen", "127.0.0.1:0"];
        Self::with(&[&ports, more].concat())
    }

    /// Starts it with these arguments and a data folder of its own.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn with(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(programs::release("demo")?);
        command
            .args(arguments)
            .arg("--data")
            .arg(folder.path().join("data"));
        command.current_dir(folder.path());
        Ok(Self {
            process: Process::start(command)?,
            _folder: folder,
        })
    }

    /// What it prints behind a label, once it does: a link or a command.
    ///
    /// # Errors
    /// When it ends or the time is over before that.
    pub fn printed(&mut self, label: &str) -> Result<String> {
        self.process.line(label, LINK_WITHIN, |line| {
            let link = line
                .trim_start()
                .strip_prefix('✓')?
                .trim_start()
                .strip_prefix(label)?;
            Some(link.trim().to_owned())
        })
    }

    /// The process that a person started.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it has not within the time.
    pub fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.ended(within)
    }

    /// Stops it with Ctrl-C and waits until it has ended.
    ///
    /// # Errors
    /// When it does not.
    pub fn interrupt(&mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGINT)?;
        self.process.ended(wait::SOON)
    }
}
