//! Client: one GET of one target over HTTP/1.1, with credentials, redirects, a deadline and a bounded body. Edge.

mod body;
mod connect;
mod error;
mod headers;
mod proxy;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, LOCATION, PROXY_AUTHORIZATION};
use hyper::{Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::config::ScrapeConfig;
use crate::url::Url;
use body::BodySink;
use connect::Connection;
use error::{FetchError, RequestError, Status};
use headers::{Headers, base64};
use proxy::Proxy;

/// Most redirects that are followed.
const REDIRECTS_MAX: usize = 10;

/// A response with status 200.
pub(crate) struct Fetched {
    pub(crate) content_type: Option<String>,
    /// Decompressed.
    pub(crate) body: Vec<u8>,
}

/// The client of one target: keeps its connection between scrapes.
#[derive(Default)]
pub(crate) struct Client {
    connection: Option<Connection>,
    last_body_bytes: usize,
}

impl Client {
    /// Gets `url`. Everything, the body included, happens before the timeout or not at all.
    pub(crate) async fn fetch(
        &mut self,
        job: &ScrapeConfig,
        url: &Url,
        timeout_ms: i64,
        body_bytes_max: u64,
    ) -> Result<Fetched, FetchError> {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        let deadline = Instant::now() + timeout;
        let request_error = |cause| FetchError::Request { url: url.clone(), cause };
        let headers = timeout_at(deadline, Headers::build(job, timeout_ms)).await;
        let headers = headers.map_err(|_| request_error(RequestError::Timeout))??;
        let response = timeout_at(deadline, self.follow(job, url, &headers)).await;
        let response = match response {
            Ok(response) => response.map_err(request_error)?,
            Err(_) => {
                self.connection = None;
                return Err(request_error(RequestError::Timeout));
            }
        };
        let fetched = timeout_at(deadline, self.read(response, body_bytes_max)).await;
        let fetched = fetched.unwrap_or(Err(FetchError::Timeout));
        if fetched.is_err() {
            // What is left of the response must not be taken for the next.
            self.connection = None;
        }
        fetched
    }

    async fn follow(
        &mut self,
        job: &ScrapeConfig,
        first: &Url,
        headers: &Headers,
    ) -> Result<Response<Incoming>, RequestError> {
        let mut url = first.clone();
        let mut trusted = true;
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send(job, &url, headers, trusted).await?;
            let redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            match location {
                Some(location) if redirect && job.http.follow_redirects => {
                    url = url.join(location)?;
                    // Credentials are for the server they were given for.
                    trusted = trusted && url.same_origin(first);
                    self.connection = None;
                }
                _ => return Ok(response),
            }
        }
        Err(RequestError::Redirects(REDIRECTS_MAX))
    }

    /// Sends one request, on the kept connection if it still works.
    async fn send(
        &mut self,
        job: &ScrapeConfig,
        url: &Url,
        headers: &Headers,
        trusted: bool,
    ) -> Result<Response<Incoming>, RequestError> {
        let proxy = Proxy::for_url(&job.http, url);
        if let Some(mut kept) = self.connection.take().filter(|kept| kept.serves(url, proxy.as_ref()))
            && kept.sender.ready().await.is_ok()
        {
            let request = request(&kept, url, headers, trusted)?;
            // The server may have closed it meanwhile: then once more, on a new one.
            if let Ok(response) = kept.sender.send_request(request).await {
                self.connection = Some(kept);
                return Ok(response);
            }
        }
        let mut connection = Connection::open(&job.http, url, proxy).await?;
        let request = request(&connection, url, headers, trusted)?;
        let response =
            connection.sender.send_request(request).await.map_err(|e| RequestError::Http(http_text(&e)))?;
        self.connection = Some(connection);
        Ok(response)
    }

    async fn read(&mut self, response: Response<Incoming>, limit: u64) -> Result<Fetched, FetchError> {
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(Status(response.status())));
        }
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let content_type = text(CONTENT_TYPE).map(str::to_owned);
        let gzip =
            text(CONTENT_ENCODING).is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("gzip"));
        let mut sink = BodySink::new(gzip, limit, self.last_body_bytes);
        let mut incoming = response.into_body();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|e| FetchError::Body(http_text(&e)))?;
            if let Some(chunk) = frame.data_ref() {
                sink.push(chunk)?;
            }
        }
        let body = sink.finish()?;
        self.last_body_bytes = body.len();
        Ok(Fetched { content_type, body })
    }
}

fn request(
    connection: &Connection,
    url: &Url,
    headers: &Headers,
    trusted: bool,
) -> Result<Request<Empty<Bytes>>, RequestError> {
    let mut request = Request::get(connection.request_target(url)).header(HOST, url.authority());
    if let Some(own) = request.headers_mut() {
        own.extend(headers.open.clone());
        if trusted {
            own.extend(headers.secret.clone());
        }
    }
    if let Some(user) = connection.proxy.as_ref().filter(|_| !url.is_https()).and_then(|p| p.user.as_ref()) {
        request = request.header(PROXY_AUTHORIZATION, format!("Basic {}", base64(user.expose().as_bytes())));
    }
    request.body(Empty::new()).map_err(|e| RequestError::Http(e.to_string()))
}

/// What went wrong on the connection, in the words of the cause.
fn http_text(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "unexpected EOF".to_owned();
    }
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
