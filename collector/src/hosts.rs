//! By which names the collector may be asked.
//!
//! Problem: it has no tokens, and listens on loopback so that only this machine reaches it. A
//! browser on this machine is a door in that wall: a page of `evil.example` whose name resolves to
//! 127.0.0.1 a moment later (DNS rebinding) is of the same origin as the collector then, and may
//! read every profile. What gives it away is the name that it asks for. Constraint: headers that
//! say who asks (`Sec-Fetch-Site`, `Origin`) are missing in old browsers, and in new ones for a
//! page that came by plain HTTP, so they cannot be asked for.
//!
//! So a collector on loopback answers to addresses, `localhost`, and the names that it was told
//! (`--public-url`, `--allowed-host`). Others reach it only through a proxy, and whoever sets one
//! up can say its name. A collector on any other address is reached by service names that it
//! cannot know, and what it holds is open to the network as it is: it looks at names only where
//! `--allowed-host` gives some.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::Config;

/// The names that are answered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// In small letters; `None` where every name will do.
    names: Option<BTreeSet<String>>,
}

impl Hosts {
    /// The names for a collector that listens at `config.listen`.
    pub fn of(config: &Config) -> Self {
        let is_loopback = match config.listen.parse::<SocketAddr>() {
            Ok(address) => address.ip().to_canonical().is_loopback(),
            Err(_) => config.listen.starts_with("localhost:"),
        };
        if !is_loopback && config.allowed_hosts.is_empty() {
            return Self { names: None };
        }
        let public = config.public_url.as_deref().unwrap_or("");
        let public = public.split_once("://").map_or("", |(_, rest)| rest);
        let told = config.allowed_hosts.iter().map(String::as_str);
        let names = ["localhost"].into_iter().chain(told).chain(name_of(public));
        Self {
            names: Some(names.map(normal).collect()),
        }
    }

    /// Whether a request may name the collector so: host and port, as in the header `Host`. Any
    /// port will do, and any address: a name has to be resolved to be rebound, an address has not.
    pub fn admits(&self, authority: &str) -> bool {
        let Some(names) = &self.names else {
            return true;
        };
        let v6 = authority
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'));
        if let Some((address, port)) = v6 {
            let port = port.strip_prefix(':').unwrap_or(port);
            return address.parse::<Ipv6Addr>().is_ok() && is_port(port);
        }
        name_of(authority)
            .is_some_and(|name| name.parse::<Ipv4Addr>().is_ok() || names.contains(&normal(name)))
    }
}

/// The host of `host` or `host:port`.
fn name_of(authority: &str) -> Option<&str> {
    let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
    (!name.is_empty() && is_port(port)).then_some(name)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Names are the same in capitals and small letters, and with the dot of the root at their end.
fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &str, public_url: Option<&str>, allowed: &[&str]) -> Hosts {
        let mut config = Config::new(listen, "data");
        config.public_url = public_url.map(str::to_owned);
        config.allowed_hosts = allowed.iter().map(|&name| name.to_owned()).collect();
        Hosts::of(&config)
    }

    #[test]
    fn on_loopback_only_addresses_and_known_names_are_admitted() {
        let check = |hosts: &Hosts, known: &[&str], unknown: &[&str]| {
            for name in known {
                assert!(hosts.admits(name), "{name} for {hosts:?}");
            }
            for name in unknown {
                assert!(!hosts.admits(name), "{name} for {hosts:?}");
            }
        };
        let known = [
            "127.0.0.1",
            "127.0.0.1:4140",
            "127.8.9.1:1",
            "[::1]",
            "[::1]:4140",
            "localhost",
            "localhost:4140",
            "LocalHost.",
            "192.168.0.7:80",
            "[fe80::1]:80",
        ];
        let unknown = [
            "",
            ":4140",
            "evil.example",
            "evil.example:4140",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:4140.evil.example",
            "[evil.example]",
            "[::1",
            "[::1]evil.example",
            "user@127.0.0.1",
            "127.0.0.1, evil.example",
            "flashlamp",
        ];
        for listen in [
            "127.0.0.1:4140",
            "[::1]:4140",
            "127.0.0.2:1",
            "localhost:4140",
        ] {
            check(&hosts(listen, None, &[]), &known, &unknown);
        }
        check(
            &hosts("[::ffff:127.0.0.1]:4140", None, &[]),
            &known,
            &unknown,
        );
        let told = hosts(
            "127.0.0.1:4140",
            Some("https://Lamp.example:8443"),
            &["flashlamp", "B.example."],
        );
        let known = [
            "lamp.example",
            "LAMP.EXAMPLE:1",
            "flashlamp:4140",
            "b.example",
            "127.0.0.1",
        ];
        check(&told, &known, &["evil.example", "a.lamp.example", "8443"]);
    }

    #[test]
    fn elsewhere_every_name_is_admitted_unless_some_are_told() {
        for listen in [
            "0.0.0.0:4140",
            "[::]:4140",
            "10.0.0.1:4140",
            "flashlamp:4140",
        ] {
            let any = hosts(listen, Some("https://lamp.example"), &[]);
            assert!(any.admits("flashlamp.monitoring.svc:4140") && any.admits("evil.example"));
            let told = hosts(listen, Some("https://lamp.example"), &["flashlamp"]);
            let known = [
                "flashlamp:4140",
                "lamp.example",
                "10.0.0.1:4140",
                "localhost",
            ];
            assert!(known.iter().all(|name| told.admits(name)));
            assert!(!told.admits("evil.example"));
        }
    }
}
