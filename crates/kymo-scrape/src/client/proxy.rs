//! Proxy: which requests go through one. The rules of `no_proxy` are those of Go's httpproxy.

use std::net::IpAddr;

use crate::config::{HttpClientConfig, Secret};
use crate::url::Url;

/// A proxy that is spoken to in plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) url: Url,
    /// `user:password`
    pub(super) user: Option<Secret>,
}

impl Proxy {
    /// The proxy for a request, if any.
    pub(super) fn for_url(http: &HttpClientConfig, url: &Url) -> Option<Proxy> {
        if let Some(proxy) = &http.proxy_url {
            let direct = !http.no_proxy.is_empty() && is_excepted(&http.no_proxy, url);
            return if direct { None } else { Proxy::parse(proxy.expose()) };
        }
        if !http.proxy_from_environment {
            return None;
        }
        let variable = |upper: &str, lower: &str| {
            let value = std::env::var(upper).or_else(|_| std::env::var(lower));
            value.ok().filter(|text| !text.is_empty())
        };
        let excepted = variable("NO_PROXY", "no_proxy").unwrap_or_default();
        let proxy = if url.is_https() {
            variable("HTTPS_PROXY", "https_proxy")
        } else {
            variable("HTTP_PROXY", "http_proxy")
        };
        proxy.filter(|_| !is_excepted(&excepted, url)).and_then(|text| Proxy::parse(&text))
    }

    fn parse(text: &str) -> Option<Proxy> {
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let authority = rest.split('/').next().unwrap_or("");
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(Secret::new(user)), host),
            None => (None, authority),
        };
        Some(Proxy { url: Url::new("http", host, "/", "").ok()?, user })
    }
}

/// Is the host reached directly?
fn is_excepted(list: &str, url: &Url) -> bool {
    let host = url.host().trim_end_matches('.').to_ascii_lowercase();
    let ip: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(
        |entry| {
            if entry == "*" {
                return true;
            }
            if let (Some((network, bits)), Some(ip)) = (entry.split_once('/'), ip) {
                return network
                    .parse()
                    .is_ok_and(|network| in_network(ip, network, bits.parse().unwrap_or(u32::MAX)));
            }
            let (name, port) = match entry.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') => (name.to_owned(), port.parse::<u16>().ok()),
                _ => (entry, None),
            };
            if port.is_some_and(|port| port != url.port()) {
                return false;
            }
            let suffix = name.strip_prefix('*').unwrap_or(&name);
            match suffix.strip_prefix('.') {
                Some(_) => host.ends_with(suffix),
                None => host == suffix || (ip.is_none() && host.ends_with(&format!(".{suffix}"))),
            }
        },
    )
}

fn in_network(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (ip, network, width) = match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            (u128::from(ip.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => (ip.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    bits <= width && (ip ^ network).checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions() {
        for (list, host, want) in [
            ("", "example.com", false),
            ("", "127.0.0.1", true),
            ("", "localhost", true),
            ("*", "example.com", true),
            ("example.com", "example.com", true),
            ("example.com", "a.example.com", true),
            (".example.com", "example.com", false),
            (".example.com", "a.example.com", true),
            ("*.example.com", "a.example.com", true),
            ("example.com:80", "example.com", true),
            ("example.com:81", "example.com", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/33", "10.1.2.3", false),
            ("b, example.com ", "example.com", true),
        ] {
            let url = Url::new("http", host, "/", "").unwrap();
            assert_eq!(is_excepted(list, &url), want, "{list} {host}");
        }
    }
}
