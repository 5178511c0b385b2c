//! A program as a child, with what it prints, that never outlives the test.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::wait;

/// The variable by which every process that descends from a [`Process`] can be found.
const MARK: &str = "FLASHLAMP_TEST_MARK";

/// A running child in a process group of its own.
///
/// Dropping it kills the whole group.
#[derive(Debug)]
pub struct Process {
    name: String,
    mark: String,
    child: Child,
    printed: Arc<Printed>,
    readers: Vec<JoinHandle<()>>,
}

/// How long to wait for the last lines of a program that has ended. Its own children may hold
/// its output open, so there may be no end.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// The lines of standard output and standard error, in the order of arrival.
#[derive(Debug, Default)]
struct Printed {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Printed {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(self: Arc<Self>, from: impl Read + Send + 'static) -> JoinHandle<()> {
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                self.lines().push(line);
                self.more.notify_all();
            }
        })
    }
}

impl Process {
    /// Starts `command` without standard input and collects what it prints.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let started = wait::now();
        let mark = format!("{}-{started:?}", std::process::id());
        let mut child = command
            .env(MARK, &mark)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let printed = Arc::<Printed>::default();
        let mut readers = Vec::new();
        readers.extend(
            child
                .stdout
                .take()
                .map(|from| Arc::clone(&printed).read(from)),
        );
        readers.extend(
            child
                .stderr
                .take()
                .map(|from| Arc::clone(&printed).read(from)),
        );
        Ok(Self {
            name,
            mark,
            child,
            printed,
            readers,
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that the program has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.printed.lines().join("\n")
    }

    /// Waits until `find` gives something for one of the lines printed so far or later.
    ///
    /// # Errors
    /// When the time is over or the program has ended without such a line.
    pub fn line<T>(
        &mut self,
        what: &str,
        within: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let started = wait::now();
        let mut seen = 0;
        let mut ended = false;
        loop {
            let mut lines = self.printed.lines();
            if let Some(found) = lines.iter().skip(seen).find_map(|line| find(line)) {
                return Ok(found);
            }
            seen = lines.len();
            if ended || started.elapsed() > within {
                let all = lines.join("\n");
                bail!(
                    "{} did not print {what} within {within:?}; it printed:\n{all}",
                    self.name
                );
            }
            // A look at the process now and then: it may have ended without another line.
            lines = self
                .printed
                .more
                .wait_timeout(lines, Duration::from_millis(100))
                .map_or_else(|error| error.into_inner().0, |(lines, _)| lines);
            drop(lines);
            ended = self.all_is_read() && self.child.try_wait()?.is_some();
        }
    }

    /// Sends a signal to the program alone.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(nix::sys::signal::kill(self.pid()?, signal)?)
    }

    fn all_is_read(&self) -> bool {
        self.readers.iter().all(JoinHandle::is_finished)
    }

    /// Waits until the program has ended and what it printed is read.
    ///
    /// # Errors
    /// When it has not within the time.
    pub fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        let status = wait::until("the program has ended", within, || {
            child.try_wait().transpose()
        })
        .with_context(|| format!("{} printed:\n{}", self.name, self.output()))??;
        let _ = wait::until("the output ends", LAST_LINES_WITHIN, || {
            self.all_is_read().then_some(())
        });
        Ok(status)
    }

    /// The most memory the program has had resident so far, in bytes (`VmHWM`).
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes_max(&self) -> Result<u64> {
        memory_bytes(self.id(), "VmHWM:")
    }

    /// The processes that descend from the program and still run, with their command lines.
    ///
    /// Found by a variable of their environment, so a process that left the group is found too.
    #[must_use]
    pub fn descendants(&self) -> Vec<(u32, String)> {
        let mark = format!("{MARK}={}", self.mark);
        let Ok(folder) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        folder
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| *pid != self.id())
            .filter_map(|pid: u32| {
                let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
                let ours = environment
                    .split(|byte| *byte == 0)
                    .any(|var| var == mark.as_bytes());
                let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                ours.then(|| (pid, String::from_utf8_lossy(&command).replace('\0', " ")))
            })
            .collect()
    }

    fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.id())?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(pid) = self.pid() {
            let _ = killpg(pid, Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The memory that a process has resident now, in bytes (`VmRSS`).
///
/// # Errors
/// When it has ended.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    memory_bytes(pid, "VmRSS:")
}

fn memory_bytes(pid: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .context("no such field")?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}
