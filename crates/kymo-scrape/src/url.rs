//! Url: the parts of an http(s) URL that a request needs, and escaping as Go's net/url does it.

use std::fmt;

/// An absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    https: bool,
    /// Host and perhaps port, as written.
    authority: String,
    /// Path and query, starting with `/`.
    path_and_query: String,
}

/// Not an absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an http or https URL, found {0:?}")]
pub struct UrlError(String);

impl Url {
    /// From its parts; the path is escaped, the query is taken as it is.
    pub fn new(scheme: &str, authority: &str, path: &str, query: &str) -> Result<Url, UrlError> {
        let mut path_and_query = if path.starts_with('/') { String::new() } else { "/".to_owned() };
        escape_into(&mut path_and_query, path, |b| {
            b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b)
        });
        if !query.is_empty() {
            path_and_query.push('?');
            path_and_query.push_str(query);
        }
        let url = Url { https: scheme == "https", authority: authority.to_owned(), path_and_query };
        let host_is_clean = !url.host().is_empty()
            && url.authority.bytes().all(|b| b.is_ascii_graphic() && !b"/?#\\\"<>^`{|}@".contains(&b));
        if !matches!(scheme, "http" | "https") || !host_is_clean || url.split_port().is_none() {
            return Err(UrlError(format!("{scheme}://{authority}")));
        }
        Ok(url)
    }

    /// Follows a `Location` header: an absolute URL, or a path on the same server, or one beside this path.
    pub fn join(&self, location: &str) -> Result<Url, UrlError> {
        let wrong = || UrlError(location.to_owned());
        let location = location.split('#').next().unwrap_or("").trim();
        if location.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err(wrong());
        }
        let (scheme, rest) = match location.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => (scheme.to_ascii_lowercase(), rest),
            _ => match location.strip_prefix("//") {
                Some(rest) => (self.scheme().to_owned(), rest),
                None => return Ok(self.beside(location)),
            },
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // Credentials in a redirect are not taken.
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let mut url = Url::new(&scheme, authority, "/", "").map_err(|_| wrong())?;
        if !path.is_empty() {
            url.path_and_query = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        }
        Ok(url)
    }

    fn beside(&self, location: &str) -> Url {
        let path = self.path_and_query.split('?').next().unwrap_or("/");
        let path_and_query = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') || location.is_empty() {
            format!("{path}{location}")
        } else {
            let dir = &path[..path.rfind('/').map_or(0, |at| at + 1)];
            format!("{dir}{location}")
        };
        Url { path_and_query, ..self.clone() }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Is it https?
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Host and perhaps port, for the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host, without brackets around an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.split_port().map_or(self.authority.as_str(), |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port, that of the scheme where none is written.
    pub fn port(&self) -> u16 {
        let default = if self.https { 443 } else { 80 };
        self.split_port().and_then(|(_, port)| port).unwrap_or(default)
    }

    /// Path and query, as a request line has them.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// The same as others see it who know this machine by an external URL. A loopback address gets its host. Where the
    /// port is one of the program's own, the target is the program itself, and scheme and port are external too.
    pub(crate) fn seen_from_elsewhere(&self, external: &Url, own_ports: &[u16]) -> Url {
        let local = matches!(self.host(), "localhost" | "127.0.0.1" | "::1");
        let Some((_, Some(port))) = self.split_port().filter(|_| local) else { return self.clone() };
        if own_ports.contains(&port) {
            let (https, authority) = (external.https, external.authority.clone());
            return Url { https, authority, ..self.clone() };
        }
        let host = external.split_port().map_or(external.authority.as_str(), |(host, _)| host);
        Url { authority: format!("{host}:{port}"), ..self.clone() }
    }

    /// Do both go to the same server, the same way?
    pub fn same_origin(&self, other: &Url) -> bool {
        self.https == other.https
            && self.port() == other.port()
            && self.host().eq_ignore_ascii_case(other.host())
    }

    /// The host as written and the port; `None` when what should be a port is none.
    fn split_port(&self) -> Option<(&str, Option<u16>)> {
        let authority = self.authority.as_str();
        let host_end = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
        match authority[host_end..].rfind(':') {
            None => Some((authority, None)),
            Some(at) => {
                let (host, port) = authority.split_at(host_end + at);
                let port = &port[1..];
                if host_end == 0 && host.contains(':') {
                    return None;
                }
                Some((host, if port.is_empty() { None } else { Some(port.parse().ok()?) }))
            }
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority, self.path_and_query)
    }
}

/// A query of parameters, sorted by name: Go's `url.Values.Encode`.
pub(crate) fn encode_query(mut params: Vec<(String, Vec<String>)>) -> String {
    params.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = String::new();
    for (name, values) in &params {
        for value in values {
            if !out.is_empty() {
                out.push('&');
            }
            escape_query(&mut out, name);
            out.push('=');
            escape_query(&mut out, value);
        }
    }
    out
}

fn escape_query(out: &mut String, text: &str) {
    for (at, part) in text.split(' ').enumerate() {
        if at > 0 {
            out.push('+');
        }
        escape_into(out, part, |b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b));
    }
}

fn escape_into(out: &mut String, text: &str, is_plain: impl Fn(u8) -> bool) {
    for b in text.bytes() {
        if is_plain(b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (scheme, authority, path, query, want, host, port) in [
            ("http", "a:1", "/metrics", "", "http://a:1/metrics", "a", 1),
            ("https", "a", "m", "x=1", "https://a/m?x=1", "a", 443),
            ("http", "[::1]:9", "/é ?", "", "http://[::1]:9/%C3%A9%20%3F", "::1", 9),
            ("http", "[::1]", "/", "", "http://[::1]/", "::1", 80),
        ] {
            let url = Url::new(scheme, authority, path, query).unwrap();
            assert_eq!(url.to_string(), want);
            assert_eq!((url.host(), url.port()), (host, port), "{want}");
        }
        for bad in ["", ":80", "a:b", "a:99999", "a b", "::1", "u@h", "a/b", "[::1"] {
            assert!(Url::new("http", bad, "/", "").is_err(), "{bad}");
        }
        assert!(Url::new("ftp", "a", "/", "").is_err());
    }

    /// As Prometheus 2.42 answers `globalUrl` on 127.0.0.1:9090 with the external URL https://out.example/x.
    #[test]
    fn seen_from_elsewhere() {
        let external = Url::new("https", "out.example", "/x", "").unwrap();
        for (authority, want) in [
            ("127.0.0.1:9090", "https://out.example/m"),
            ("localhost:9100", "http://out.example:9100/m"),
            ("[::1]:9100", "http://out.example:9100/m"),
            ("10.0.0.1:9090", "http://10.0.0.1:9090/m"),
            ("0.0.0.0:9100", "http://0.0.0.0:9100/m"),
            ("localhost", "http://localhost/m"),
        ] {
            let url = Url::new("http", authority, "/m", "").unwrap();
            assert_eq!(url.seen_from_elsewhere(&external, &[9090]).to_string(), want, "{authority}");
        }
        let ipv6 = Url::new("http", "[2001:db8::1]:8080", "/", "").unwrap();
        let local = Url::new("http", "localhost:1", "/m", "").unwrap();
        assert_eq!(local.seen_from_elsewhere(&ipv6, &[]).to_string(), "http://[2001:db8::1]:1/m");
    }

    #[test]
    fn redirects() {
        let base = Url::new("http", "a:1", "/x/metrics", "q=1").unwrap();
        for (location, want) in [
            ("/y", "http://a:1/y"),
            ("y?z=1", "http://a:1/x/y?z=1"),
            ("?z", "http://a:1/x/metrics?z"),
            ("https://b/m", "https://b/m"),
            ("//b:2", "http://b:2/"),
            ("HTTP://u:p@b/#f", "http://b/"),
            ("http://b?x", "http://b/?x"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), want, "{location}");
        }
        for bad in ["ftp://a/", "http://", "http:///x", "http://a b/"] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queries() {
        let params = vec![
            ("b".to_owned(), vec!["1 2".to_owned(), "&".to_owned()]),
            ("a[]".to_owned(), vec!["é".to_owned()]),
        ];
        assert_eq!(encode_query(params), "a%5B%5D=%C3%A9&b=1+2&b=%26");
    }
}
