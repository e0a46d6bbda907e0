//! Connect: a TCP, perhaps TLS, connection to a target or to its proxy, with HTTP/1.1 on it.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::error::RequestError;
use super::headers::base64;
use super::proxy::Proxy;
use crate::config::HttpClientConfig;
use crate::url::Url;

/// Most bytes of a proxy's answer to CONNECT.
const CONNECT_ANSWER_BYTES_MAX: usize = 16 << 10;

/// An open connection; closed when dropped.
pub(super) struct Connection {
    url: Url,
    pub(super) proxy: Option<Proxy>,
    pub(super) sender: SendRequest<Empty<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Does a request to this URL belong on this connection?
    pub(super) fn serves(&self, url: &Url, proxy: Option<&Proxy>) -> bool {
        self.url.same_origin(url) && self.proxy.as_ref() == proxy && !self.sender.is_closed()
    }

    pub(super) async fn open(
        http: &HttpClientConfig,
        url: &Url,
        proxy: Option<Proxy>,
    ) -> Result<Connection, RequestError> {
        let mut stream = dial(proxy.as_ref().map_or(url, |proxy| &proxy.url)).await?;
        if !url.is_https() {
            return Connection::speak(stream, url, proxy).await;
        }
        if let Some(proxy) = &proxy {
            tunnel(&mut stream, http, url, proxy).await?;
        }
        let stream = super::tls::wrap(stream, &http.tls, url).await?;
        Connection::speak(stream, url, proxy).await
    }

    async fn speak(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        url: &Url,
        proxy: Option<Proxy>,
    ) -> Result<Connection, RequestError> {
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| RequestError::Http(e.to_string()))?;
        // Its errors reach the request that is under way; between requests they only close the connection.
        let driver = tokio::spawn(async move { driver.await.is_ok() }).abort_handle();
        Ok(Connection { url: url.clone(), proxy, sender, driver })
    }

    /// The request target: a path, or the whole URL for a proxy that forwards.
    pub(super) fn request_target(&self, url: &Url) -> String {
        if self.proxy.is_some() && !url.is_https() {
            url.to_string()
        } else {
            url.path_and_query().to_owned()
        }
    }
}

async fn dial(url: &Url) -> Result<TcpStream, RequestError> {
    let no_host = || RequestError::Lookup(url.host().to_owned());
    let addresses = tokio::net::lookup_host((url.host(), url.port())).await.map_err(|_| no_host())?;
    let mut failed = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A request is one small write; waiting for more to send gains nothing. Without it, it is only slower.
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Err(source) => failed = Some(RequestError::Connect { address, source }),
        }
    }
    Err(failed.unwrap_or_else(no_host))
}

/// Asks a proxy for a tunnel to the server of `url`.
async fn tunnel(
    stream: &mut TcpStream,
    http: &HttpClientConfig,
    url: &Url,
    proxy: &Proxy,
) -> Result<(), RequestError> {
    let wrong = |e: std::io::Error| RequestError::Proxy(e.to_string());
    let host = if url.host().contains(':') { format!("[{}]", url.host()) } else { url.host().to_owned() };
    let server = format!("{host}:{}", url.port());
    let mut request = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n");
    if let Some(user) = &proxy.user {
        request.push_str(&format!("Proxy-Authorization: Basic {}\r\n", base64(user.expose().as_bytes())));
    }
    for (name, values) in &http.proxy_connect_header {
        for value in values.iter().filter(|value| !value.expose().contains(['\r', '\n'])) {
            request.push_str(&format!("{name}: {}\r\n", value.expose()));
        }
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(wrong)?;
    // Byte by byte: what follows the head belongs to TLS.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= CONNECT_ANSWER_BYTES_MAX {
            return Err(RequestError::Proxy(format!("answer of more than {CONNECT_ANSWER_BYTES_MAX} bytes")));
        }
        answer.push(stream.read_u8().await.map_err(wrong)?);
    }
    let status =
        String::from_utf8_lossy(answer.split(|b| *b == b'\r').next().unwrap_or_default()).into_owned();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(RequestError::Proxy(format!("expected a tunnel, found {status:?}")))
}
