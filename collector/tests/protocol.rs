//! HTTP as browsers and strangers speak it, byte by byte.

#![cfg(test)]

mod fixture;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use fixture::Server;

/// Sends a request line and headers; the status and the whole answer.
fn ask(server: &Server, head: &str) -> (u16, String) {
    let text = format!(
        "{}\r\nconnection: close\r\n\r\n",
        head.replace('\n', "\r\n")
    );
    let answer = server.raw(text.as_bytes());
    let status = answer.get(9..12).and_then(|digits| digits.parse().ok());
    (
        status.unwrap_or_else(|| panic!("{head}: {answer:?}")),
        answer,
    )
}

#[test]
fn a_refusal_is_short_whatever_was_sent() {
    let server = Server::start();
    let long = "%C3%BC".repeat(5_000);
    for path in [
        format!("/api/v1/services?{long}=1"),
        format!("/api/v1/flamegraph?service=s&clock={long}"),
        format!("/day/{long}/s"),
    ] {
        let head = format!("GET {path} HTTP/1.1\nhost: localhost");
        for accept in ["", "\naccept: text/html"] {
            let (status, answer) = ask(&server, &format!("{head}{accept}"));
            assert!(status == 400 || status == 404, "{path}");
            assert!(answer.contains('…') && answer.len() < 5_000, "{answer}");
        }
    }
    let long = "x".repeat(1 << 20);
    for body in [
        format!(r#"{{"shared":{{"frames":[]}},"profiles":[{{"type":"{long}","unit":"none"}}]}}"#),
        format!(r#"{{"shared":{{"frames":"{long}"}}}}"#),
    ] {
        let reply = server.post("/api/v1/samples?service=s", body.as_bytes());
        let text = reply.text();
        assert_eq!(reply.status, 400, "{text}");
        assert!(text.len() < 5_000, "{} bytes", text.len());
    }
}

#[test]
fn the_longest_legal_head_is_taken_and_one_that_is_far_longer_refused() {
    let server = Server::start();
    let encoded = |length| "%41".repeat(length);
    let (name, url) = (encoded(255), encoded(2_048));
    let path = format!("/api/v1/profiles?service={name}&entry={name}&name={name}&url={url}");
    assert!(path.len() > 8_000, "{} bytes", path.len());
    let reply = server.post(&path, b"main 1\n");
    assert_eq!(reply.status, 201, "{}", reply.text());
    let long = "x".repeat(64 << 10);
    for head in [
        format!("GET /{long} HTTP/1.1\nhost: localhost"),
        format!("GET / HTTP/1.1\nhost: localhost\nx-long: {long}"),
    ] {
        let (status, _) = ask(&server, &head);
        assert_eq!(status, 431, "{} bytes", head.len());
    }
    let below = "x".repeat(31 << 10);
    let (status, _) = ask(&server, &format!("GET / HTTP/1.1\nx-long: {below}"));
    assert_eq!(status, 200);
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap()
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let server = Server::start_with(|config| config.head_time_max = Duration::from_millis(50));
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for said in ["", "GET /healthz HTTP/1.1\r\nhost: loc", request] {
        let mut stream = connect(&server);
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it ends");
        assert_eq!(answer.contains("200 OK"), said == request, "{answer}");
    }
}

#[test]
fn connections_beyond_the_bound_wait_for_a_place() {
    let server = Server::start_with(|config| config.connections_max = Some(2));
    let [first, second, mut third] = [(); 3].map(|()| connect(&server));
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    third.write_all(request).unwrap();
    let wait = |time| third.set_read_timeout(Some(time)).unwrap();
    wait(Duration::from_millis(50));
    let mut answer = String::new();
    let refused = (&third).read_to_string(&mut answer).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock, "{answer}");
    drop(first);
    wait(Duration::from_secs(30));
    (&third).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(second);
}

/// Every kind of address, each of which must refuse a name that may be rebound.
const ADDRESSES: [&str; 9] = [
    "GET /",
    "GET /day/2026-11-22/s",
    "GET /api/v1/services",
    "GET /api/v1/flamegraph?service=s",
    "GET /fetch/00000000000000000000000000000000",
    "GET /assets/style.css",
    "GET /healthz",
    "GET /metrics",
    "POST /api/v1/samples?service=s",
];

#[test]
fn on_loopback_a_name_that_was_not_told_is_refused_everywhere() {
    let server = Server::start_with(|config| {
        config.public_url = Some("https://lamp.example".to_owned());
        config.allowed_hosts = vec!["flashlamp".to_owned()];
    });
    server.window("service=s", "main 1\n");
    for address in ADDRESSES {
        for host in [
            "evil.example",
            "evil.example:4140",
            "localhost.evil.example",
            "",
        ] {
            let (status, answer) = ask(&server, &format!("{address} HTTP/1.1\nHost: {host}"));
            assert_eq!(status, 421, "{address} as {host:?}: {answer}");
            assert!(answer.contains("bad_host") && answer.contains("--allowed-host"));
            assert!(!answer.contains("main"), "{answer}");
        }
        let known = [
            "localhost:1",
            "127.0.0.1",
            "[::1]:1",
            "lamp.example",
            "flashlamp:4140",
        ];
        for host in known {
            let (status, _) = ask(&server, &format!("{address} HTTP/1.1\nHost: {host}"));
            assert_ne!(status, 421, "{address} as {host:?}");
        }
    }
    let refused = "flashlamp_requests_refused_total{code=\"bad_host\"}";
    assert_eq!(server.metric(refused), 36);
}

#[test]
fn a_name_is_looked_at_wherever_it_stands() {
    let server = Server::start();
    let status = |head: &str| ask(&server, head).0;
    assert_eq!(
        status("GET http://evil.example/ HTTP/1.1\nHost: localhost"),
        421
    );
    assert_eq!(
        status("GET http://localhost/ HTTP/1.1\nHost: evil.example"),
        421
    );
    assert_eq!(
        status("GET / HTTP/1.1\nHost: localhost\nHost: evil.example"),
        421
    );
    assert_eq!(
        status("GET http://localhost/ HTTP/1.1\nHost: localhost"),
        200
    );
    assert_eq!(status("GET / HTTP/1.0"), 200);
    let page = ask(
        &server,
        "GET / HTTP/1.1\nHost: <b>.example\nAccept: text/html",
    )
    .1;
    assert!(page.contains("bad_host") && !page.contains("<b>"), "{page}");
}

#[test]
fn elsewhere_names_are_looked_at_only_where_some_were_told() {
    let everywhere = |told: &[&str]| {
        let told = told.iter().map(|&name| name.to_owned()).collect();
        Server::start_with(move |config| {
            config.listen = "0.0.0.0:0".to_owned();
            config.allowed_hosts = told;
        })
    };
    let head = "GET /metrics HTTP/1.1\nHost: flashlamp.svc:4140";
    assert_eq!(ask(&everywhere(&[]), head).0, 200);
    assert_eq!(ask(&everywhere(&["flashlamp.svc"]), head).0, 200);
    assert_eq!(ask(&everywhere(&["lamp.example"]), head).0, 421);
}

/// What a client has to say to be sent an answer of 18 MB, more than a socket's buffers hold.
fn ask_for_much(server: &Server) -> TcpStream {
    for letter in ["a", "b"] {
        let line = |number| format!("{letter}{number:013000} 1\n");
        server.window("service=s", &(0..700).map(line).collect::<String>());
    }
    let mut stream = connect(server);
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).unwrap();
    let path = "/api/v1/flamegraph?service=s&format=folded";
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_keeps_no_memory() {
    let server = Server::start_with(|config| config.stall_time_max = Duration::from_millis(100));
    let mut stream = ask_for_much(&server);
    let held = || server.metric("flashlamp_answers_bytes");
    // The one that is too large for a small answer holds next to nothing, and lets go of it.
    while held() < 1 << 20 {}
    while held() != 0 {}
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    assert!(answer.len() < 18_000_000, "{} bytes", answer.len());
}

#[test]
fn a_client_that_reads_gets_all_of_a_large_answer() {
    let server = Server::start();
    let mut answer = Vec::new();
    ask_for_much(&server).read_to_end(&mut answer).unwrap();
    assert!(answer.len() > 18_000_000, "{} bytes", answer.len());
    assert_eq!(server.metric("flashlamp_answers_bytes"), 0);
}

#[test]
fn a_sender_with_a_large_body_sees_why_it_is_refused() {
    let server = Server::start();
    let large = vec![b'x'; 8 << 20];
    for (host, path, status, code) in [
        ("flashlamp", "/api/v1/samples?service=s", 421, "bad_host"),
        ("localhost", "/nowhere", 404, "not_found"),
        ("localhost", "/metrics", 405, "method_not_allowed"),
    ] {
        let reply = server.post_with(path, &large, &[("host", host)]);
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
    }
}
