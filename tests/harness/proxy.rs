//! A collector's address that misbehaves on demand: it stands between an agent and a collector.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

use crate::http;

/// What the proxy does with a request instead of passing it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status and passes nothing on.
    Refuse(u16),
    /// Passes the request on, and closes the connection instead of answering.
    LoseAnswer,
    /// Closes the connection and passes nothing on.
    Hang,
}

/// A running proxy; it ends with the test's process.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl Proxy {
    /// Starts one in front of `target`, the URL of a collector without a final slash.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(target: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let faults = Arc::<Mutex<VecDeque<Fault>>>::default();
        let planned = Arc::clone(&faults);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (target, planned) = (target.clone(), Arc::clone(&planned));
                thread::spawn(move || serve(&stream, &target, || next(&planned)));
            }
        });
        Ok(Self { address, faults })
    }

    /// The URL to give to the agent.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Plans a fault for the next request that has none yet.
    pub fn plan(&self, fault: Fault) {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(fault);
    }

    /// How many planned faults have not happened yet.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

fn lock(faults: &Mutex<VecDeque<Fault>>) -> MutexGuard<'_, VecDeque<Fault>> {
    faults.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next(faults: &Mutex<VecDeque<Fault>>) -> Option<Fault> {
    lock(faults).pop_front()
}

/// Answers one request of a connection and closes it.
fn serve(stream: &TcpStream, target: &str, fault: impl FnOnce() -> Option<Fault>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let path = first
        .split(' ')
        .nth(1)
        .context("no request line")?
        .to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((key, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.push((key.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, v)| v.as_str())
    };
    let length = header("content-length")
        .context("no content-length")?
        .parse()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let fault = fault();
    let (status, retry_after, answer) = match fault {
        Some(Fault::Hang) => return Ok(()),
        Some(Fault::Refuse(status)) => (status, None, Vec::new()),
        Some(Fault::LoseAnswer) | None => {
            let passed_on = [
                "content-type",
                "content-encoding",
                "idempotency-key",
                "user-agent",
            ];
            let kept: Vec<(&str, &str)> = passed_on
                .iter()
                .filter_map(|name| Some((*name, header(name)?)))
                .collect();
            let answer = http::post(&format!("{target}{path}"), &kept, &body)?;
            (
                answer.status,
                answer.header("retry-after").map(str::to_owned),
                answer.body,
            )
        }
    };
    if fault == Some(Fault::LoseAnswer) {
        return Ok(());
    }
    let retry_after =
        retry_after.map_or(String::new(), |value| format!("retry-after: {value}\r\n"));
    let length = answer.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} answer\r\n{retry_after}connection: close\r\ncontent-length: {length}\r\n\r\n"
    )?;
    Ok(stream.write_all(&answer)?)
}
