//! What stands after things went wrong: killed, stopped, full, slow, and started twice.
#![cfg(test)]

mod fixture;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fixture::{Reply, Server};
use flashlamp_collector::random;
use flashlamp_collector::store::sqlite::Options;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flashlamp");

/// The program as a child process. It is killed when this is dropped.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(data: &Path) -> Self {
        Self::start_under(&[], data)
    }

    /// Starts it behind another program, such as a tracer.
    fn start_under(before: &[&str], data: &Path) -> Self {
        let words: Vec<&str> = before.iter().copied().chain([PROGRAM]).collect();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "the collector did not start"
            );
        }
        let url = line
            .split("url=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        // Someone has to read what it says, or it would wait for that.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, url }
    }

    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    fn folded(&self) -> BTreeMap<String, u64> {
        let url = format!("{}/api/v1/flamegraph?service=s&format=folded", self.url);
        let reply = Reply::read(fixture::client().get(url).call().unwrap());
        if reply.status == 404 {
            return BTreeMap::new();
        }
        assert_eq!(reply.status, 200, "{}", reply.text());
        let line = |line: &str| {
            let (stack, count) = line.rsplit_once(' ').unwrap();
            (stack.to_owned(), count.parse().unwrap())
        };
        reply.text().lines().map(line).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends window number `number`. `None` where no answer came.
fn send(client: &ureq::Agent, url: &str, number: usize) -> Option<u16> {
    let request = client
        .post(format!("{url}/api/v1/samples?service=s"))
        .header("idempotency-key", format!("w-{number}"));
    let reply = request.send(format!("main;w{number} 1\n").as_bytes());
    reply.ok().map(|reply| reply.status().as_u16())
}

/// Sends windows from four threads until `stop` says so; returns those that were acknowledged.
fn load(url: &str, next: &AtomicUsize, stop: impl Fn(usize) -> bool + Sync) -> Vec<usize> {
    let (acknowledged, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let work = || {
        let client = fixture::client();
        while !over.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            match send(&client, url, number) {
                Some(200) => {
                    let mut all = acknowledged.lock().unwrap();
                    all.push(number);
                    over.fetch_or(stop(all.len()), Ordering::Relaxed);
                }
                _ => over.store(true, Ordering::Relaxed),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    acknowledged.into_inner().unwrap()
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let next = AtomicUsize::new(0);
    let mut ledger = Vec::new();
    for round in 0..3 {
        let program = Program::start(folder.path());
        let kill_at = 40 + 35 * round;
        ledger.extend(load(&program.url, &next, |count| {
            if count == kill_at {
                program.signal(Signal::SIGKILL);
            }
            false
        }));
        drop(program);
        let program = Program::start(folder.path());
        let stored = program.folded();
        for number in &ledger {
            assert_eq!(
                stored.get(&format!("main;w{number}")),
                Some(&1),
                "window {number}"
            );
        }
        assert!(
            stored.values().all(|count| *count == 1),
            "none is there twice"
        );
    }
    // What was sent is sent again, as a sender does that got no answer.
    let program = Program::start(folder.path());
    let client = fixture::client();
    let sent = next.load(Ordering::Relaxed);
    for number in 0..sent {
        assert_eq!(send(&client, &program.url, number), Some(200));
    }
    let stored = program.folded();
    assert_eq!(stored.len(), sent);
    assert!(stored.values().all(|count| *count == 1));
}

#[test]
fn a_signal_to_stop_loses_nothing_that_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let next = AtomicUsize::new(0);
    let mut program = Program::start(folder.path());
    let acknowledged = load(&program.url, &next, |count| {
        if count == 100 {
            program.signal(Signal::SIGTERM);
        }
        false
    });
    assert!(program.child.wait().unwrap().success());
    let log =
        std::fs::metadata(folder.path().join("flashlamp.db-wal")).map_or(0, |file| file.len());
    assert_eq!(log, 0, "the log is folded into the store");
    let stored = Program::start(folder.path()).folded();
    for number in &acknowledged {
        assert_eq!(
            stored.get(&format!("main;w{number}")),
            Some(&1),
            "window {number}"
        );
    }
}

/// Traces a collector while it takes a window and a profile, and reads the order of its calls.
#[test]
fn the_fsync_comes_before_the_answer() {
    if !fixture::is_there("strace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg,pwrite64";
    let strace = [
        "strace",
        "-f",
        "-y",
        "-s",
        "64",
        "-e",
        calls,
        "-o",
        trace.to_str().unwrap(),
    ];
    let program = Program::start_under(&strace, &folder.path().join("data"));
    let client = fixture::client();
    assert_eq!(send(&client, &program.url, 1), Some(200));
    let profile = client.post(format!("{}/api/v1/profiles?service=s", program.url));
    assert_eq!(profile.send(&b"main 1\n"[..]).unwrap().status(), 201);
    // strace passes the signal on and ends with the program.
    let children = format!("/proc/{0}/task/{0}/children", program.child.id());
    let traced: i32 = std::fs::read_to_string(children)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    kill(Pid::from_raw(traced), Signal::SIGTERM).unwrap();
    let mut program = program;
    program.child.wait().unwrap();

    let text = std::fs::read_to_string(&trace).unwrap();
    let position = |from: usize, what: &dyn Fn(&str) -> bool| {
        text.lines()
            .enumerate()
            .skip(from)
            .find(|(_, line)| what(line))
            .map(|(at, _)| at)
    };
    let is_log_write = |line: &str| line.contains("pwrite64(") && line.contains("flashlamp.db-wal");
    let is_sync = |line: &str| line.contains("sync(") && line.contains("flashlamp.db-wal");
    let mut from = 0;
    for answer in ["HTTP/1.1 200", "HTTP/1.1 201"] {
        let is_answer = |line: &str| line.contains(answer);
        let answered =
            position(from, &is_answer).unwrap_or_else(|| panic!("no {answer} in {text}"));
        let written = (from..answered)
            .rev()
            .find(|at| is_log_write(text.lines().nth(*at).unwrap()));
        let written = written.expect("the log is written before the answer");
        let synced = position(written, &is_sync).expect("the log is synced");
        assert!(
            synced < answered,
            "{answer} in line {answered}, the sync in line {synced}: {text}"
        );
        from = answered + 1;
    }
}

/// A window whose one name is too random to be packed away.
fn large_body() -> String {
    let noise = || random::hex(&random::id());
    format!("{} 1\n", (0..450).map(|_| noise()).collect::<String>())
}

#[test]
fn a_full_disk_is_said_and_loses_nothing_acknowledged() {
    let options = Options {
        page_count_max: Some(40),
    };
    let server = Server::start_with(|config| config.store = options);
    let mut acknowledged = 0_u64;
    let refused = loop {
        let reply = server.post("/api/v1/samples?service=s", large_body().as_bytes());
        if reply.status != 200 {
            break reply;
        }
        acknowledged += 1;
        assert!(acknowledged < 100, "40 pages hold all of this?");
    };
    assert!(acknowledged > 0);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (507, "storage_full")
    );
    assert!(!refused.header("retry-after").is_empty());
    let profile = server.post("/api/v1/profiles?service=s", large_body().as_bytes());
    assert_eq!(
        (profile.status, profile.code().as_str()),
        (507, "storage_full")
    );
    assert_eq!(
        server.get("/api/v1/profiles").json(),
        serde_json::json!({"profiles": []})
    );
    // Reading goes on, and what was acknowledged is there, now and after a restart with room.
    let stored = |server: &Server| {
        server.get("/api/v1/flamegraph?service=s").json()["stored"]["samples"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(stored(&server), acknowledged);
    let server = Server::start_in(server.stop(), |_| {});
    assert_eq!(stored(&server), acknowledged);
    server.window("service=s", "main 1\n");
}

#[test]
fn a_data_folder_that_is_gone_is_said_and_nothing_is_acknowledged() {
    let server = Server::start();
    server.window("service=s", "main 1\n");
    assert_eq!(server.get("/healthz").status, 200);
    let gone = || {
        let posted = ["/api/v1/samples?service=s", "/api/v1/profiles?service=s"]
            .map(|path| server.post(path, b"main 1\n"));
        let read = ["/healthz", "/", "/api/v1/services"].map(|path| server.get(path));
        for reply in posted.into_iter().chain(read) {
            assert_eq!((reply.status, reply.code().as_str()), (503, "storage_gone"));
            assert!(!reply.header("retry-after").is_empty());
        }
        assert_eq!(server.metric("flashlamp_windows_stored_total"), 1);
    };
    std::fs::remove_dir_all(server.data()).unwrap();
    gone();
    // Another store takes its place, with the same names and other files.
    let other = Server::start().stop();
    std::fs::create_dir(server.data()).unwrap();
    for file in std::fs::read_dir(other.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), server.data().join(file.file_name())).unwrap();
    }
    gone();
    let server = Server::start_in(server.stop(), |_| {});
    let nothing = serde_json::json!({"services": [], "complete": true});
    assert_eq!(server.get("/api/v1/services").json(), nothing);
    server.window("service=s", "main 1\n");
}

#[test]
fn bodies_beyond_the_decode_budget_are_asked_to_come_again() {
    let server = Server::start_with(|config| config.decode_budget_bytes = 4 << 20);
    let body = format!("main;{} 1\n", "x".repeat(1_000)).repeat(1_500);
    let reply = server.post("/api/v1/samples?service=s", body.as_bytes());
    assert_eq!((reply.status, reply.code().as_str()), (503, "overloaded"));
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(server.metric("flashlamp_decode_budget_taken_bytes"), 0);
    server.window("service=s", "main 1\n");
    assert_eq!(server.folded("service=s"), "main 1\n");
}

/// A connection on which a request can be sent piece by piece.
fn connect(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

const HEAD: &str = "POST /api/v1/samples?service=s HTTP/1.1\r\nhost: localhost\r\ncontent-length: 7\r\n\
    connection: close\r\n\r\n";

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let server = Server::start_with(|config| config.body_time_max = Duration::from_millis(50));
    let mut stream = connect(&server);
    stream.write_all(HEAD.as_bytes()).unwrap();
    stream.write_all(b"main").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");
    assert_eq!(server.metric("flashlamp_samples_stored_total"), 0);
}

#[test]
fn a_body_that_breaks_off_leaves_nothing() {
    let server = Server::start();
    let mut stream = connect(&server);
    stream.write_all(HEAD.as_bytes()).unwrap();
    stream.write_all(b"a 1\n").unwrap();
    drop(stream);
    let name = "flashlamp_requests_in_flight";
    fixture::until(|| server.metric(name) == 1);
    assert_eq!(server.metric("flashlamp_samples_stored_total"), 0);
    assert_eq!(server.metric("flashlamp_decode_budget_taken_bytes"), 0);
}

#[test]
fn a_request_in_flight_is_finished_before_the_collector_stops() {
    let server = Server::start();
    let mut stream = connect(&server);
    stream.write_all(HEAD.as_bytes()).unwrap();
    stream.write_all(b"main").unwrap();
    // The request is being served, beside the one that asks.
    fixture::until(|| server.metric("flashlamp_requests_in_flight") == 2);
    let stopping = std::thread::spawn(move || server.stop());
    stream.write_all(b" 1\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let server = Server::start_in(stopping.join().unwrap(), |_| {});
    assert_eq!(server.folded("service=s"), "main 1\n");
}

/// Runs the program until it ends by itself; its exit code and what it says.
fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM).args(args).output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_busy_port_names_the_flag_to_change_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = folder.path().to_str().unwrap();
    let (code, text) = run(&["serve", "--listen", &address, "--data", data]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&address) && text.contains("--listen"),
        "{text}"
    );
    let (code, text) = run(&["serve", "--listen", "nonsense", "--data", data]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--listen"), "{text}");
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |data: &Path| {
        run(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            data.to_str().unwrap(),
        ])
    };
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    for data in [file.as_path(), Path::new("/proc/flashlamp")] {
        let (code, text) = serve(data);
        assert_eq!(code, Some(1), "{text}");
        assert!(
            text.contains("--data") && text.contains(data.to_str().unwrap()),
            "{text}"
        );
    }

    let program = Program::start(folder.path());
    let (code, text) = serve(folder.path());
    assert_eq!(code, Some(1), "{text}");
    let holder = format!("another collector uses it (process {})", program.child.id());
    assert!(text.contains(&holder), "{text}");
    drop(program);

    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let path = folder.path().join("flashlamp.db");
    let raw = rusqlite::Connection::open_with_flags(path, flags).unwrap();
    raw.pragma_update(None, "user_version", 1_000).unwrap();
    drop(raw);
    let (code, text) = serve(folder.path());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("version 1000"), "{text}");
}
