//! ExternalUrl: how others reach this server. Links of alerts begin with it, and targets on this machine are shown with its
//! host. The default is the machine's name and the port that is listened on, as in Prometheus.

use std::net::SocketAddr;

use kymo_scrape::Url;

/// How others reach this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExternalUrl {
    /// Whole, without a slash at its end.
    pub(crate) text: String,
    /// Its path, without a slash at its end; empty for the root.
    pub(crate) path: String,
    /// The same as a URL.
    pub(crate) url: Url,
}

impl ExternalUrl {
    /// From `--web.external-url`: a URL, a path of this server, or nothing.
    pub(crate) fn new(flag: &str, listening_on: SocketAddr) -> Result<ExternalUrl, String> {
        if flag.starts_with(['"', '\'']) || flag.ends_with(['"', '\'']) {
            return Err("the external URL must not begin or end with quotes".to_owned());
        }
        let wrong = |what: &str| {
            format!("expected an external URL such as https://example.com/prometheus, found {what}")
        };
        let own = format!("http://{}:{}", hostname(), listening_on.port());
        let whole =
            if flag.is_empty() || flag.starts_with('/') { format!("{own}{flag}") } else { flag.to_owned() };
        let (scheme, rest) = whole.split_once("://").ok_or_else(|| wrong(&format!("{flag:?}")))?;
        if rest.contains(['?', '#']) {
            return Err(wrong(&format!("a query or fragment in {flag:?}")));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = path.trim_end_matches('/');
        let url =
            Url::new(&scheme.to_ascii_lowercase(), authority, if path.is_empty() { "/" } else { path }, "")
                .map_err(|_| wrong(&format!("{flag:?}")))?;
        Ok(ExternalUrl { text: format!("{scheme}://{authority}{path}"), path: path.to_owned(), url })
    }

    /// Where the routes are: `--web.route-prefix`, or the path of this URL. Begins with a slash.
    pub(crate) fn route_prefix(&self, flag: Option<&str>) -> String {
        format!("/{}", flag.filter(|flag| !flag.is_empty()).unwrap_or(&self.path).trim_matches('/'))
    }
}

/// The name of this machine.
pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned()),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_prefixes() {
        let address: SocketAddr = "127.0.0.1:9090".parse().expect("an address");
        let read = |flag: &str| ExternalUrl::new(flag, address);
        let own = format!("http://{}:9090", hostname());
        for (flag, text, path, prefix) in [
            ("", own.clone(), "", "/"),
            ("/p/", format!("{own}/p"), "/p", "/p"),
            ("http://a.example/", "http://a.example".to_owned(), "", "/"),
            ("https://a.example:8443/x/y/", "https://a.example:8443/x/y".to_owned(), "/x/y", "/x/y"),
        ] {
            let url = read(flag).expect(flag);
            assert_eq!((url.text.as_str(), url.path.as_str()), (text.as_str(), path), "{flag}");
            assert_eq!(url.route_prefix(None), prefix, "{flag}");
        }
        let url = read("http://a/x").expect("a URL");
        for (flag, prefix) in [("/", "/"), ("", "/x"), ("y/", "/y"), ("/y/z", "/y/z")] {
            assert_eq!(url.route_prefix(Some(flag)), prefix, "{flag}");
        }
        for bad in ["'http://a'", "a.example", "ftp://a", "http://a:x/", "http://a?b=c", "http://"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
