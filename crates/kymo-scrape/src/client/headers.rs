//! Headers of a scrape: what is accepted, how long it may take, who asks. Files with secrets are read at each scrape.

use std::path::Path;

use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderName, HeaderValue, USER_AGENT};

use super::error::FetchError;
use crate::config::{Escaping, HttpClientConfig, ScrapeConfig, ScrapeProtocol};

/// Largest file of credentials that is read, in bytes.
const CREDENTIALS_BYTES_MAX: u64 = 1 << 20;

/// The headers of one scrape. Those that carry secrets are kept apart, because they do not follow redirects to others.
pub(super) struct Headers {
    pub(super) open: HeaderMap,
    pub(super) secret: HeaderMap,
}

impl Headers {
    pub(super) async fn build(job: &ScrapeConfig, timeout_ms: i64) -> Result<Headers, FetchError> {
        let mut open = HeaderMap::new();
        let accept = accept(&job.scrape_protocols, job.escaping);
        open.insert(ACCEPT, value(&accept, "Accept")?);
        let encoding = if job.enable_compression { "gzip" } else { "identity" };
        open.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        open.insert(USER_AGENT, HeaderValue::from_static(concat!("kymo/", env!("CARGO_PKG_VERSION"))));
        let seconds = (timeout_ms as f64 / 1000.0).to_string();
        open.insert("x-prometheus-scrape-timeout-seconds", value(&seconds, "the timeout")?);
        let mut secret = HeaderMap::new();
        if let Some(authorization) = authorization(&job.http).await? {
            secret.insert(AUTHORIZATION, authorization);
        }
        add_configured(&job.http, &mut secret).await?;
        Ok(Headers { open, secret })
    }
}

/// `Accept`: each protocol with its weight, then anything.
fn accept(protocols: &[ScrapeProtocol], escaping: Escaping) -> String {
    let wanted: Vec<ScrapeProtocol> =
        protocols.iter().copied().filter(|protocol| *protocol != ScrapeProtocol::PrometheusProto).collect();
    let mut out = String::new();
    for (at, protocol) in wanted.iter().enumerate() {
        out.push_str(protocol.media_type());
        // The versions that know how to escape names.
        if matches!(protocol, ScrapeProtocol::OpenMetricsText100 | ScrapeProtocol::PrometheusText100) {
            out.push_str(&format!(";escaping={}", escaping.as_str()));
        }
        out.push_str(&format!(";q=0.{},", wanted.len() + 1 - at));
    }
    out.push_str("*/*;q=0.1");
    out
}

async fn authorization(http: &HttpClientConfig) -> Result<Option<HeaderValue>, FetchError> {
    let text = if let Some(auth) = &http.basic_auth {
        let username = match &auth.username_file {
            Some(path) => read(path, "basic auth username file").await?,
            None => auth.username.clone(),
        };
        let password = match &auth.password_file {
            Some(path) => read(path, "basic auth password file").await?,
            None => auth.password.as_ref().map_or(String::new(), |secret| secret.expose().to_owned()),
        };
        format!("Basic {}", base64(format!("{username}:{password}").as_bytes()))
    } else if let Some(auth) = &http.authorization {
        let credentials = match &auth.credentials_file {
            Some(path) => read(path, "authorization credentials file").await?,
            None => auth.credentials.as_ref().map_or(String::new(), |secret| secret.expose().to_owned()),
        };
        if credentials.is_empty() {
            return Ok(None);
        }
        format!("{} {credentials}", auth.scheme)
    } else {
        return Ok(None);
    };
    sensitive(&text, "the credentials").map(Some)
}

async fn add_configured(http: &HttpClientConfig, headers: &mut HeaderMap) -> Result<(), FetchError> {
    for (name, header) in &http.http_headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| FetchError::Header("the name of a header of http_headers"))?;
        for text in &header.values {
            headers.append(name.clone(), value(text, "a header of http_headers")?);
        }
        for secret in &header.secrets {
            headers.append(name.clone(), sensitive(secret.expose(), "a header of http_headers")?);
        }
        for path in &header.files {
            let text = read(path, "http header file").await?;
            headers.append(name.clone(), sensitive(&text, "a header of http_headers")?);
        }
    }
    Ok(())
}

/// The text of a file, without white space around it.
async fn read(path: &Path, what: &'static str) -> Result<String, FetchError> {
    let wrong = |source| FetchError::CredentialsFile { what, path: path.to_owned(), source };
    let size = tokio::fs::metadata(path).await.map_err(wrong)?.len();
    if size > CREDENTIALS_BYTES_MAX {
        let message = format!("expected at most {CREDENTIALS_BYTES_MAX} bytes, found {size}");
        return Err(wrong(std::io::Error::other(message)));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(wrong)?;
    Ok(text.trim().to_owned())
}

fn value(text: &str, what: &'static str) -> Result<HeaderValue, FetchError> {
    HeaderValue::from_str(text).map_err(|_| FetchError::Header(what))
}

fn sensitive(text: &str, what: &'static str) -> Result<HeaderValue, FetchError> {
    let mut value = value(text, what)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Base64 with padding (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, b| word << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let sextet = (word >> (18 - 6 * at)) & 0x3f;
            out.push(if at <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_formats() {
        assert_eq!(
            accept(&ScrapeProtocol::DEFAULT, Escaping::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        );
    }

    #[test]
    fn base64_of_rfc_4648() {
        for (text, want) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), want);
        }
    }
}
