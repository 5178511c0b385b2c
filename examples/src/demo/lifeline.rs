//! The child's side of the bond between parent and child: a pipe.
//!
//! The parent holds the other end of the child's standard input and never writes to it. When it
//! closes that end, the child stops in good order; and when the parent dies, of whatever, the
//! system closes it. So there is one way to stop for both cases, it needs no signal and no
//! unsafe code, and nothing is left running.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;

/// What a child may take to stop after its standard input was closed; then it is ended.
const GRACE: Duration = Duration::from_secs(20);

/// Held by a child until it has stopped.
#[derive(Debug)]
pub(crate) struct Lifeline {
    /// Dropped when the child has stopped, which ends the watching thread.
    _stopped: mpsc::Sender<()>,
}

/// Watches standard input; the receiver is told when it is closed.
///
/// # Errors
/// No thread can be started.
pub(crate) fn watch() -> anyhow::Result<(Lifeline, oneshot::Receiver<()>)> {
    let (stop, stopping) = oneshot::channel();
    let (stopped, has_stopped) = mpsc::channel();
    thread::Builder::new()
        .name("demo-lifeline".to_owned())
        .spawn(move || {
            wait_for_the_end(io::stdin());
            // The child may be gone from this already, for reasons of its own.
            let _told = stop.send(());
            if has_stopped.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
                end_now();
            }
        })
        .context("starting a thread")?;
    Ok((Lifeline { _stopped: stopped }, stopping))
}

fn wait_for_the_end(mut input: impl io::Read) {
    let mut nothing = [0; 64];
    loop {
        match input.read(&mut nothing) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
    }
}

#[expect(
    clippy::exit,
    reason = "the child did not stop in time, and nobody else ends it"
)]
fn end_now() {
    std::process::exit(1);
}
