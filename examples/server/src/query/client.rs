//! Client: one request over one connection, waited for. Answers are bounded in time and size.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// Longest part of an answer that is shown when it is not JSON, in characters.
const DETAIL_CHARS_MAX: usize = 200;

/// Where a server is: `http://host:port/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    authority: String,
    host: String,
    port: u16,
    /// Without a slash at its end.
    prefix: String,
}

/// Why a URL or a header of the command line is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum ArgumentError {
    #[error("expected a URL such as http://localhost:9090, found {0:?}")]
    Url(String),
    #[error("expected a URL that begins with http://, found {0:?}")]
    Scheme(String),
    #[error("expected a URL without user and password, found {0:?}; --header=Authorization=... carries them")]
    User(String),
    #[error("expected NAME=VALUE or NAME:VALUE, found {0:?}")]
    Header(String),
}

impl FromStr for Server {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Server, ArgumentError> {
        let uri: Uri = text.parse().map_err(|_| ArgumentError::Url(text.to_owned()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(ArgumentError::Scheme(text.to_owned())),
            None => return Err(ArgumentError::Url(text.to_owned())),
        }
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
            return Err(ArgumentError::Url(text.to_owned()));
        };
        if authority.as_str().contains('@') {
            return Err(ArgumentError::User(text.to_owned()));
        }
        // Brackets of an IPv6 address belong to the URL and not to the address.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Server {
            authority: authority.to_string(),
            host,
            port: uri.port_u16().unwrap_or(80),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

/// A header of the command line.
#[derive(Clone, Debug)]
pub(super) struct Header(HeaderName, HeaderValue);

impl FromStr for Header {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Header, ArgumentError> {
        let wrong = || ArgumentError::Header(text.to_owned());
        let (name, value) = text.split_once(['=', ':']).ok_or_else(wrong)?;
        let name = name.trim().parse().map_err(|_| wrong())?;
        Ok(Header(name, value.trim().parse().map_err(|_| wrong())?))
    }
}

/// Who asks whom, and how long it waits.
pub(super) struct Client<'a> {
    pub(super) server: &'a Server,
    pub(super) headers: &'a [Header],
    pub(super) timeout: Duration,
}

/// What the server answers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) data: Value,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("cannot connect to {server}: {source}")]
    Connect { server: String, source: std::io::Error },
    #[error("cannot ask {server}: {source}")]
    Http { server: String, source: hyper::Error },
    #[error("expected at most {ANSWER_BYTES_MAX} bytes from {server}, found more")]
    TooLarge { server: String },
    #[error("no answer from {server} within {seconds} s")]
    Timeout { server: String, seconds: f64 },
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
    #[error("expected a path for a request, found {0:?}")]
    Path(String),
    /// The server's own words.
    #[error("{kind}: {message}")]
    Api { kind: String, message: String },
    /// An answer that is not of the API.
    #[error("{kind}: {kind_words}: {status} (detail: {detail})", kind_words = kind.replace('_', " "))]
    Status { kind: &'static str, status: u16, detail: String },
}

impl Client<'_> {
    /// Asks with POST, and with GET where a proxy in between takes no POST.
    pub(super) fn call(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        get: bool,
    ) -> Result<Reply, ClientError> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(ClientError::Runtime)?;
        let asked = async {
            if !get {
                let (status, body) = self.send(Method::POST, path, parameters).await?;
                if !matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
                    return read(status, &body);
                }
            }
            let (status, body) = self.send(Method::GET, path, parameters).await?;
            read(status, &body)
        };
        runtime.block_on(async {
            tokio::time::timeout(self.timeout, asked).await.unwrap_or_else(|_| {
                Err(ClientError::Timeout {
                    server: self.server.to_string(),
                    seconds: self.timeout.as_secs_f64(),
                })
            })
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, String)],
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let server = self.server;
        let http = |source| ClientError::Http { server: server.to_string(), source };
        let stream = TcpStream::connect((server.host.as_str(), server.port))
            .await
            .map_err(|source| ClientError::Connect { server: server.to_string(), source })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
        // Its errors come out of the request too.
        tokio::spawn(connection);

        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let mut target = format!("{}/api/v1/{path}", server.prefix);
        let mut body = Bytes::new();
        let mut request = hyper::Request::builder()
            .header(HOST, &server.authority)
            .header(USER_AGENT, concat!("kymo/", env!("CARGO_PKG_VERSION")));
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            body = form.into();
        } else if !form.is_empty() {
            target = format!("{target}?{form}");
        }
        for Header(name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request
            .method(method)
            .uri(&target)
            .body(Full::new(body))
            .map_err(|_| ClientError::Path(target.clone()))?;
        let response = sender.send_request(request).await.map_err(http)?;
        let status = response.status();
        match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
            Ok(collected) => Ok((status, collected.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(ClientError::TooLarge { server: server.to_string() })
            }
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(source) => Err(http(*source)),
                Err(other) => {
                    Err(ClientError::Api { kind: "bad_response".to_owned(), message: other.to_string() })
                }
            },
        }
    }
}

/// Reads `{"status": …, "data": …}`.
fn read(status: StatusCode, body: &[u8]) -> Result<Reply, ClientError> {
    let mut answer = match serde_json::from_slice::<Value>(body) {
        Ok(answer) if answer.get("status").is_some() => answer,
        _ => return Err(not_of_the_api(status, body)),
    };
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text(&answer, "status") != "success" {
        return Err(ClientError::Api { kind: text(&answer, "errorType"), message: text(&answer, "error") });
    }
    let texts = |value: &Value, key: &str| -> Vec<String> {
        let items = value.get(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(Reply {
        warnings: texts(&answer, "warnings"),
        infos: texts(&answer, "infos"),
        data: answer.get_mut("data").map(Value::take).unwrap_or_default(),
    })
}

fn not_of_the_api(status: StatusCode, body: &[u8]) -> ClientError {
    let kind = match status.as_u16() {
        400..500 => "client_error",
        500..600 => "server_error",
        _ => "bad_response",
    };
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * DETAIL_CHARS_MAX)]);
    let detail =
        text.trim().chars().take(DETAIL_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    ClientError::Status { kind, status: status.as_u16(), detail }
}

/// Escapes what must not stand in one part of a path.
pub(super) fn path_segment(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'~' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let check = |text: &str, expected: &str| match text.parse::<Server>() {
            Ok(server) => assert_eq!(format!("{} {} {}", server.host, server.port, server.prefix), expected),
            Err(error) => assert!(error.to_string().contains(expected), "{text}: {error}"),
        };
        check("http://localhost:9090", "localhost 9090 ");
        check("http://localhost:9090/prom/", "localhost 9090 /prom");
        check("http://[::1]:1/", "::1 1 ");
        check("http://a", "a 80 ");
        check("https://a", "begins with http://");
        check("localhost:9090", "such as http://localhost:9090");
        check("a b", "such as http://localhost:9090");
        check("http://u:p@a", "without user");
    }

    #[test]
    fn answers() {
        let check = |status: u16, body: &str, expected: &str| {
            let got = match read(StatusCode::from_u16(status).unwrap(), body.as_bytes()) {
                Ok(reply) => format!("{} {:?} {:?}", reply.data, reply.warnings, reply.infos),
                Err(error) => error.to_string(),
            };
            assert_eq!(got, expected, "{body}");
        };
        check(200, r#"{"status":"success","data":[1],"warnings":["w"],"infos":["i"]}"#, r#"[1] ["w"] ["i"]"#);
        check(400, r#"{"status":"error","errorType":"bad_data","error":"no"}"#, "bad_data: no");
        check(404, "404 page not found\n", "client_error: client error: 404 (detail: 404 page not found)");
        check(503, "", "server_error: server error: 503 (detail: )");
        check(200, "<html>", "bad_response: bad response: 200 (detail: <html>)");
        check(200, "[1]", "bad_response: bad response: 200 (detail: [1])");
    }

    #[test]
    fn path_segments() {
        assert_eq!(path_segment("job"), "job");
        assert_eq!(path_segment("a b/é"), "a%20b%2F%C3%A9");
    }
}
