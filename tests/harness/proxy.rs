//! A collector's address that misbehaves on demand: it stands between an agent and a collector.
//! Where there is no collector behind it, it closes the connection without an answer.

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
    target: Arc<Mutex<String>>,
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
        let target = Arc::new(Mutex::new(target));
        let faults = Arc::<Mutex<VecDeque<Fault>>>::default();
        let (current, planned) = (Arc::clone(&target), Arc::clone(&faults));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (target, planned) = (lock(&current).clone(), Arc::clone(&planned));
                thread::spawn(move || serve(&stream, &target, || lock(&planned).pop_front()));
            }
        });
        Ok(Self {
            address,
            target,
            faults,
        })
    }

    /// Passes requests on to another collector from now on.
    ///
    /// A collector that comes back may so have a port of the system's choice: its old one is
    /// free while it is away, and may be another program's by then.
    pub fn aim_at(&self, target: String) {
        *lock(&self.target) = target;
    }

    /// The URL to give to the agent.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Plans a fault for the next request that has none yet.
    pub fn plan(&self, fault: Fault) {
        lock(&self.faults).push_back(fault);
    }

    /// How many planned faults have not happened yet.
    #[must_use]
    pub fn planned(&self) -> usize {
        lock(&self.faults).len()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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
