//! The real collector as a child, on a free port, with its data in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::http::{self, Answer};
use crate::process::Process;
use crate::{programs, wait};

/// A `flashlamp serve` that answers on loopback.
#[derive(Debug)]
pub struct Collector {
    process: Process,
    address: String,
    data: PathBuf,
    _folder: Option<TempDir>,
}

impl Collector {
    /// Starts one with an empty store on a port of the system's choice.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut collector = Self::on(folder.path(), "127.0.0.1:0")?;
        collector._folder = Some(folder);
        Ok(collector)
    }

    /// Starts one on a folder that may hold a store already.
    ///
    /// # Errors
    /// When it does not start.
    pub fn on(data: &Path, listen: &str) -> Result<Self> {
        let mut command = Command::new(programs::release("flashlamp")?);
        command
            .args(["serve", "--listen", listen, "--data"])
            .arg(data);
        let mut process = Process::start(command)?;
        let address = process.line("its address", wait::SOON, |line| {
            let rest = line.split_once("http://")?.1;
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
            Some(rest[..end.unwrap_or(rest.len())].to_owned())
        })?;
        let healthy = format!("http://{address}/healthz");
        wait::until("the collector is healthy", wait::SOON, || {
            http::get(&healthy)
                .ok()
                .filter(|answer| answer.status == 200)
        })
        .with_context(|| process.output())?;
        Ok(Self {
            process,
            address,
            data: data.to_owned(),
            _folder: None,
        })
    }

    /// The folder of its store.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The URL of a path, which starts with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Gets a path.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        http::get(&self.url(path))
    }

    /// Gets a path that must answer 200, as text.
    ///
    /// # Errors
    /// When it answers anything else.
    pub fn text(&self, path: &str) -> Result<String> {
        let answer = self.get(path)?;
        ensure!(
            answer.status == 200,
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        Ok(answer.text())
    }

    /// Posts a body to a path.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        http::post(&self.url(path), headers, body)
    }

    /// The sum of a counter over the label sets whose text holds `labels`.
    ///
    /// A counter that is not there yet is 0.
    ///
    /// # Errors
    /// When the metrics cannot be read.
    pub fn metric(&self, name: &str, labels: &str) -> Result<u64> {
        let text = self.text("/metrics")?;
        let mut sum = 0;
        for line in text.lines() {
            let Some(rest) = line.strip_prefix(name) else {
                continue;
            };
            if !rest.starts_with(['{', ' ']) || !rest.contains(labels) {
                continue;
            }
            let value = rest
                .rsplit(' ')
                .next()
                .context("a metric without a value")?;
            sum += value.parse::<u64>().with_context(|| line.to_owned())?;
        }
        Ok(sum)
    }

    /// Asks it to stop and waits until it has; it must end in peace.
    ///
    /// # Errors
    /// When it does not end, or with a failure.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.ended(wait::SOON)?;
        ensure!(
            status.success(),
            "the collector ended with {status}:\n{}",
            self.process.output()
        );
        Ok(())
    }

    /// Asks it to stop, and once it says that it does, asks again; gives how it ended.
    ///
    /// # Errors
    /// When it does not say so, or does not end.
    pub fn stop_at_once(&mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.line("that it stops", wait::SOON, |line| {
            line.contains("a second signal stops at once").then_some(())
        })?;
        self.process.signal(Signal::SIGTERM)?;
        self.process.ended(wait::SOON)
    }

    /// Ends it as a power cut would and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.ended(wait::SOON)?;
        Ok(())
    }
}
