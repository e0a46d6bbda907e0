//! FetchError: why a target did not answer as it should. Texts as Prometheus shows them on its targets page.

use std::fmt;
use std::path::PathBuf;

use crate::url::{Url, UrlError};

/// Why a response could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Before the head of a response was there.
    #[error("Get \"{url}\": {cause}")]
    Request {
        /// Where.
        url: Url,
        /// Why.
        cause: RequestError,
    },
    /// The server did not answer with 200.
    #[error("server returned HTTP status {0}")]
    Status(Status),
    /// The body broke off or is not what the head says.
    #[error("{0}")]
    Body(String),
    /// The body, decompressed, is larger than allowed.
    #[error("body size limit exceeded (limit: {limit} bytes)")]
    BodyLimit {
        /// How many bytes are allowed.
        limit: u64,
    },
    /// The timeout passed while the body came.
    #[error("context deadline exceeded")]
    Timeout,
    /// A file with credentials cannot be read.
    #[error("unable to read {what} {}: {source}", path.display())]
    CredentialsFile {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Credentials or headers that cannot stand in a request.
    #[error("{0} cannot stand in an HTTP header")]
    Header(&'static str),
}

/// Why a request got no head of a response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The host has no address.
    #[error("dial tcp: lookup {0}: no such host")]
    Lookup(String),
    /// The server cannot be reached.
    #[error("dial tcp {address}: connect: {}", system_text(source))]
    Connect {
        /// The address tried last.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// TLS could not be set up.
    #[error("tls: {0}")]
    Tls(String),
    /// The proxy refused.
    #[error("proxyconnect tcp: {0}")]
    Proxy(String),
    /// The timeout passed.
    #[error("context deadline exceeded")]
    Timeout,
    /// What came back is not HTTP, or nothing came.
    #[error("{0}")]
    Http(String),
    /// Redirects go on and on.
    #[error("stopped after {0} redirects")]
    Redirects(usize),
    /// A redirect leads nowhere.
    #[error("failed to parse Location header: {0}")]
    Location(#[from] UrlError),
}

/// The system's words without its number: `connection refused`.
pub(super) fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// A status other than 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(super) hyper::StatusCode);

impl Status {
    /// The code.
    pub(crate) fn code(self) -> u16 {
        self.0.as_u16()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.canonical_reason() {
            Some(words) => write!(f, "{} {words}", self.code()),
            None => write!(f, "{}", self.code()),
        }
    }
}
