//! A tiny collector: answers as it is told and keeps what it got.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flashlamp::profile::{Limits, Profile, Tally, decode};

/// One request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) answered: u16,
}

impl Received {
    pub(crate) fn profile(&self) -> Profile {
        decode::pprof(&self.body, &Limits::default()).unwrap()
    }

    pub(crate) fn is_window(&self) -> bool {
        self.path.starts_with("/api/v1/samples?")
    }
}

type Answer = dyn Fn(usize, &Received) -> (u16, Vec<(&'static str, String)>) + Send + Sync;

/// The server; its threads end with the test's process.
#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Stub {
    /// Answers every request with `204`.
    pub(crate) fn accepting() -> Self {
        Self::answering(|_, _| (204, Vec::new()))
    }

    /// Answers the n-th request (from 0) as `answer` says.
    pub(crate) fn answering(
        answer: impl Fn(usize, &Received) -> (u16, Vec<(&'static str, String)>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let stub = Self {
            url,
            received: Arc::clone(&received),
        };
        let answer: Arc<Answer> = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &received, &*answer));
            }
        });
        stub
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// What was acknowledged, in samples and event counts.
    pub(crate) fn stored(&self) -> Tally {
        let acknowledged = |one: &Received| (one.answered == 204).then(|| one.profile().stored());
        self.received().iter().filter_map(acknowledged).sum()
    }

    /// The losses that acknowledged windows and requests told of.
    pub(crate) fn lost(&self) -> BTreeMap<String, Tally> {
        let mut lost = BTreeMap::<String, Tally>::new();
        for one in self.received().iter().filter(|one| one.answered == 204) {
            for (reason, tally) in one.profile().losses() {
                *lost.entry(reason.clone()).or_default() += *tally;
            }
        }
        lost
    }
}

fn serve(stream: &TcpStream, received: &Mutex<Vec<Received>>, answer: &Answer) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|len| *len > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let mut one = Received {
            path,
            headers,
            body,
            answered: 0,
        };
        let mut all = received.lock().unwrap();
        let (status, more) = answer(all.len(), &one);
        one.answered = status;
        all.push(one);
        drop(all);
        let mut head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n");
        for (name, value) in more {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut stream = stream;
        stream.write_all(head.as_bytes()).ok()?;
    }
}

/// Waits until something is true.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::yield_now();
    }
}
