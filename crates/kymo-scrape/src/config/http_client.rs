//! HttpClientConfig: how to reach a server, and with which credentials. Shared by scrapes, Alertmanagers and remote ends.

use std::path::{Path, PathBuf};

use super::reader::{Fields, Reader};
use super::secret::Secret;
use crate::yaml::{Node, Value};

/// Credentials, TLS, redirects, proxy and headers of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpClientConfig {
    /// `basic_auth`
    pub basic_auth: Option<BasicAuth>,
    /// `authorization`; `bearer_token` and `bearer_token_file` become one too.
    pub authorization: Option<Authorization>,
    /// `tls_config`
    pub tls: TlsConfig,
    /// `follow_redirects`, true by default.
    pub follow_redirects: bool,
    /// `enable_http2`: kept for printing; requests are HTTP/1.1.
    pub enable_http2: bool,
    /// `proxy_url`, without its password when printed.
    pub proxy_url: Option<Secret>,
    /// `no_proxy`: hosts that are reached directly, comma-separated.
    pub no_proxy: String,
    /// `proxy_from_environment`
    pub proxy_from_environment: bool,
    /// `proxy_connect_header`
    pub proxy_connect_header: Vec<(String, Vec<Secret>)>,
    /// `http_headers`
    pub http_headers: Vec<(String, HttpHeader)>,
}

impl Default for HttpClientConfig {
    fn default() -> HttpClientConfig {
        HttpClientConfig {
            basic_auth: None,
            authorization: None,
            tls: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy_url: None,
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: Vec::new(),
            http_headers: Vec::new(),
        }
    }
}

/// `basic_auth`: files are read anew at each use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasicAuth {
    /// The user's name.
    pub username: String,
    /// The file that holds the user's name.
    pub username_file: Option<PathBuf>,
    /// The password.
    pub password: Option<Secret>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
}

/// `authorization`: the files are read anew at each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The scheme, `Bearer` by default.
    pub scheme: String,
    /// The credentials.
    pub credentials: Option<Secret>,
    /// The file that holds the credentials.
    pub credentials_file: Option<PathBuf>,
}

/// `tls_config`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificates of authorities in PEM.
    pub ca: Option<String>,
    /// The file with the certificates of authorities.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate in PEM.
    pub cert: Option<String>,
    /// The file with the client's certificate.
    pub cert_file: Option<PathBuf>,
    /// The client's key in PEM.
    pub key: Option<Secret>,
    /// The file with the client's key.
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have, instead of the host's.
    pub server_name: String,
    /// Takes any certificate.
    pub insecure_skip_verify: bool,
    /// The oldest version of TLS.
    pub min_version: Option<TlsVersion>,
    /// The newest version of TLS.
    pub max_version: Option<TlsVersion>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// `TLS12`
    Tls12,
    /// `TLS13`
    Tls13,
}

impl TlsVersion {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            TlsVersion::Tls12 => "TLS12",
            TlsVersion::Tls13 => "TLS13",
        }
    }
}

/// The values of one header of `http_headers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpHeader {
    /// Values that may be shown.
    pub values: Vec<String>,
    /// Values that may not.
    pub secrets: Vec<Secret>,
    /// Files with values.
    pub files: Vec<PathBuf>,
}

/// Headers that the client writes itself.
const RESERVED_HEADERS: [&str; 16] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "accept",
];

impl HttpClientConfig {
    /// Takes the client's keys out of the mapping they are mixed into.
    pub(crate) fn read(reader: &mut Reader, fields: &mut Fields<'_>, dir: &Path) -> HttpClientConfig {
        let defaults = HttpClientConfig::default();
        let basic_auth = read_basic_auth(reader, fields, dir);
        let authorization = read_authorization(reader, fields, dir);
        refuse(reader, fields, "oauth2", "OAuth 2.0 is not supported");
        if basic_auth.is_some() && authorization.is_some() {
            let message =
                "at most one of basic_auth, oauth2, authorization & bearer_token must be configured";
            fields.fault_at(reader, "basic_auth", message);
        }
        let tls = read_tls(reader, fields, dir);
        let config = HttpClientConfig {
            basic_auth,
            authorization,
            tls,
            follow_redirects: fields.boolean(reader, "follow_redirects").unwrap_or(defaults.follow_redirects),
            enable_http2: fields.boolean(reader, "enable_http2").unwrap_or(defaults.enable_http2),
            proxy_url: fields.text(reader, "proxy_url").filter(|url| !url.is_empty()).map(Secret::new),
            no_proxy: fields.text(reader, "no_proxy").unwrap_or_default(),
            proxy_from_environment: fields.boolean(reader, "proxy_from_environment").unwrap_or(false),
            proxy_connect_header: read_connect_header(reader, fields),
            http_headers: read_headers(reader, fields, dir),
        };
        config.check_proxy(reader, fields);
        config
    }

    fn check_proxy(&self, reader: &mut Reader, fields: &Fields<'_>) {
        let from_environment = self.proxy_from_environment;
        if let Some(url) = &self.proxy_url {
            if !url.expose().starts_with("http://") {
                fields.fault_at(reader, "proxy_url", "expected an http:// URL of a proxy");
            }
            if from_environment {
                let message = "if proxy_from_environment is configured, proxy_url must not be configured";
                fields.fault_at(reader, "proxy_from_environment", message);
            }
        }
        if !self.no_proxy.is_empty() && from_environment {
            let message = "if proxy_from_environment is configured, no_proxy must not be configured";
            fields.fault_at(reader, "proxy_from_environment", message);
        }
        if !self.no_proxy.is_empty() && self.proxy_url.is_none() {
            fields.fault_at(
                reader,
                "no_proxy",
                "if no_proxy is configured, proxy_url must also be configured",
            );
        }
        if !self.proxy_connect_header.is_empty() && self.proxy_url.is_none() && !from_environment {
            let message = "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured";
            fields.fault_at(reader, "proxy_connect_header", message);
        }
    }
}

/// Notes a fault at a key that is known but cannot be left out of account.
pub(crate) fn refuse(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str, message: &str) {
    if let (Some(_), Some(place)) = (fields.take(key), fields.key_place(key)) {
        let path = fields.path_of(key);
        reader.fault(place, &path, format!("{key}: {message}"));
    }
}

/// A path of the file, relative to the directory of the file that names it.
pub(crate) fn path_in(dir: &Path, text: &str) -> PathBuf {
    // Joining keeps an absolute path as it is.
    dir.join(text)
}

fn file(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str, dir: &Path) -> Option<PathBuf> {
    fields.text(reader, key).filter(|text| !text.is_empty()).map(|text| path_in(dir, &text))
}

fn present<'n>(fields: &mut Fields<'n>, key: &'static str) -> Option<&'n Node> {
    fields.take(key).filter(|node| !matches!(node.value, Value::Null))
}

fn read_basic_auth(reader: &mut Reader, fields: &mut Fields<'_>, dir: &Path) -> Option<BasicAuth> {
    let node = present(fields, "basic_auth")?;
    let mut inner = Fields::open(reader, node, &fields.path_of("basic_auth"));
    let auth = BasicAuth {
        username: inner.text(reader, "username").unwrap_or_default(),
        username_file: file(reader, &mut inner, "username_file", dir),
        password: inner.text(reader, "password").filter(|text| !text.is_empty()).map(Secret::new),
        password_file: file(reader, &mut inner, "password_file", dir),
    };
    for key in ["username_ref", "password_ref"] {
        refuse(reader, &mut inner, key, "references to a secret manager are not supported");
    }
    if !auth.username.is_empty() && auth.username_file.is_some() {
        let message = "at most one of basic_auth username & username_file must be configured";
        inner.fault_at(reader, "username_file", message);
    }
    if auth.password.is_some() && auth.password_file.is_some() {
        let message = "at most one of basic_auth password & password_file must be configured";
        inner.fault_at(reader, "password_file", message);
    }
    inner.finish(reader);
    Some(auth)
}

fn read_authorization(reader: &mut Reader, fields: &mut Fields<'_>, dir: &Path) -> Option<Authorization> {
    let token = fields.text(reader, "bearer_token").filter(|text| !text.is_empty()).map(Secret::new);
    let token_file = file(reader, fields, "bearer_token_file", dir);
    if token.is_some() && token_file.is_some() {
        let message = "at most one of bearer_token & bearer_token_file must be configured";
        fields.fault_at(reader, "bearer_token_file", message);
    }
    let has_token = token.is_some() || token_file.is_some();
    let Some(node) = present(fields, "authorization") else {
        return has_token.then(|| Authorization {
            scheme: "Bearer".to_owned(),
            credentials: token,
            credentials_file: token_file,
        });
    };
    if has_token {
        let message = "authorization is not compatible with bearer_token & bearer_token_file";
        fields.fault_at(reader, "authorization", message);
    }
    let mut inner = Fields::open(reader, node, &fields.path_of("authorization"));
    let scheme =
        inner.text(reader, "type").map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let auth = Authorization {
        scheme: scheme.unwrap_or_else(|| "Bearer".to_owned()),
        credentials: inner.text(reader, "credentials").filter(|text| !text.is_empty()).map(Secret::new),
        credentials_file: file(reader, &mut inner, "credentials_file", dir),
    };
    refuse(reader, &mut inner, "credentials_ref", "references to a secret manager are not supported");
    if auth.scheme.eq_ignore_ascii_case("basic") {
        let message = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
        inner.fault_at(reader, "type", message);
    }
    if auth.credentials.is_some() && auth.credentials_file.is_some() {
        let message = "at most one of authorization credentials & credentials_file must be configured";
        inner.fault_at(reader, "credentials_file", message);
    }
    inner.finish(reader);
    Some(auth)
}

pub(crate) fn read_tls(reader: &mut Reader, fields: &mut Fields<'_>, dir: &Path) -> TlsConfig {
    let Some(node) = fields.take("tls_config") else { return TlsConfig::default() };
    let mut inner = Fields::open(reader, node, &fields.path_of("tls_config"));
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let tls = TlsConfig {
        ca: filled(inner.text(reader, "ca")),
        ca_file: file(reader, &mut inner, "ca_file", dir),
        cert: filled(inner.text(reader, "cert")),
        cert_file: file(reader, &mut inner, "cert_file", dir),
        key: filled(inner.text(reader, "key")).map(Secret::new),
        key_file: file(reader, &mut inner, "key_file", dir),
        server_name: inner.text(reader, "server_name").unwrap_or_default(),
        insecure_skip_verify: inner.boolean(reader, "insecure_skip_verify").unwrap_or(false),
        min_version: read_tls_version(reader, &mut inner, "min_version"),
        max_version: read_tls_version(reader, &mut inner, "max_version"),
    };
    for key in ["ca_ref", "cert_ref", "key_ref"] {
        refuse(reader, &mut inner, key, "references to a secret manager are not supported");
    }
    let pairs = [
        (
            tls.ca.is_some() && tls.ca_file.is_some(),
            "ca_file",
            "at most one of ca & ca_file must be configured",
        ),
        (
            tls.cert.is_some() && tls.cert_file.is_some(),
            "cert_file",
            "at most one of cert & cert_file must be configured",
        ),
        (
            tls.key.is_some() && tls.key_file.is_some(),
            "key_file",
            "at most one of key and key_file must be configured",
        ),
    ];
    for (_, key, message) in pairs.into_iter().filter(|(wrong, ..)| *wrong) {
        inner.fault_at(reader, key, message);
    }
    let has_cert = tls.cert.is_some() || tls.cert_file.is_some();
    let has_key = tls.key.is_some() || tls.key_file.is_some();
    if has_cert && !has_key {
        let message =
            "exactly one of key or key_file must be configured when a client certificate is configured";
        inner.fault_at(reader, "cert_file", message);
    }
    if has_key && !has_cert {
        let message = "exactly one of cert or cert_file must be configured when a client key is configured";
        inner.fault_at(reader, "key_file", message);
    }
    if let (Some(min), Some(max)) = (tls.min_version, tls.max_version)
        && max < min
    {
        let message = "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified";
        inner.fault_at(reader, "max_version", message);
    }
    inner.finish(reader);
    tls
}

fn read_tls_version(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<TlsVersion> {
    let text = fields.text(reader, key).filter(|text| !text.is_empty())?;
    match text.as_str() {
        "TLS12" => Some(TlsVersion::Tls12),
        "TLS13" => Some(TlsVersion::Tls13),
        "TLS10" | "TLS11" => {
            let message = format!("{text} is not supported, expected TLS12 or TLS13");
            fields.fault_at(reader, key, message);
            None
        }
        _ => {
            fields.fault_at(reader, key, format!("unknown TLS version: {text}, expected TLS12 or TLS13"));
            None
        }
    }
}

fn read_connect_header(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<(String, Vec<Secret>)> {
    let Some(node) = fields.take("proxy_connect_header") else { return Vec::new() };
    let path = fields.path_of("proxy_connect_header");
    let inner = Fields::open(reader, node, &path);
    let mut headers = Vec::new();
    for entry in inner.all() {
        let path = inner.path_of(&entry.key);
        let values = reader.texts(&entry.node, &path).into_iter().map(Secret::new).collect();
        headers.push((entry.key.clone(), values));
    }
    headers
}

fn read_headers(reader: &mut Reader, fields: &mut Fields<'_>, dir: &Path) -> Vec<(String, HttpHeader)> {
    let Some(node) = fields.take("http_headers") else { return Vec::new() };
    let outer = Fields::open(reader, node, &fields.path_of("http_headers"));
    let mut headers = Vec::new();
    for entry in outer.all() {
        let path = outer.path_of(&entry.key);
        if RESERVED_HEADERS.contains(&entry.key.to_ascii_lowercase().as_str()) {
            let message = format!("setting header {:?} is not allowed", entry.key);
            reader.fault(entry.key_place, &path, message);
        }
        let is_token = !entry.key.is_empty()
            && entry.key.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token {
            reader.fault(entry.key_place, &path, format!("{:?} is not the name of a header", entry.key));
        }
        let mut inner = Fields::open(reader, &entry.node, &path);
        let header = HttpHeader {
            values: inner.texts(reader, "values").unwrap_or_default(),
            secrets: inner
                .texts(reader, "secrets")
                .unwrap_or_default()
                .into_iter()
                .map(Secret::new)
                .collect(),
            files: inner
                .texts(reader, "files")
                .unwrap_or_default()
                .iter()
                .map(|text| path_in(dir, text))
                .collect(),
        };
        inner.finish(reader);
        headers.push((entry.key.clone(), header));
    }
    headers
}
