//! Format: which of the text formats a body is in, from its Content-Type. Before parsing.

use std::fmt;

/// A text exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text, version 0.0.4 (1.0.0 has the same syntax).
    Text,
    /// OpenMetrics text 1.0 (0.0.1 has the same syntax).
    OpenMetrics,
}

/// A body whose format cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeError {
    /// No Content-Type, or an empty one, and no fallback.
    #[error("expected a Content-Type, found none, and there is no fallback format")]
    Missing,
    /// Not a format that is read here, and no fallback.
    #[error(
        "expected Content-Type text/plain or application/openmetrics-text, found {0:?}, and there is no fallback format"
    )]
    Unsupported(String),
}

impl Format {
    /// The format of a response. As in Prometheus 3, what is missing or unknown falls back only to what was configured.
    ///
    /// ```
    /// use kymo_exposition::Format;
    /// let header = Some("application/openmetrics-text; version=1.0.0; charset=utf-8");
    /// assert_eq!(Format::from_content_type(header, None), Ok(Format::OpenMetrics));
    /// assert!(Format::from_content_type(Some("text/html"), None).is_err());
    /// assert_eq!(Format::from_content_type(None, Some(Format::Text)), Ok(Format::Text));
    /// ```
    pub fn from_content_type(
        header: Option<&str>,
        fallback: Option<Format>,
    ) -> Result<Format, ContentTypeError> {
        let header = header.unwrap_or("").trim();
        let media = header.split(';').next().unwrap_or("").trim();
        if media.eq_ignore_ascii_case("application/openmetrics-text") {
            return Ok(Format::OpenMetrics);
        }
        if media.eq_ignore_ascii_case("text/plain") {
            return Ok(Format::Text);
        }
        match fallback {
            Some(format) => Ok(format),
            None if header.is_empty() => Err(ContentTypeError::Missing),
            None => Err(ContentTypeError::Unsupported(header.to_owned())),
        }
    }

    /// The Content-Type to send with a body in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The better of the two formats for an Accept header: OpenMetrics where it is wanted at least as much as text.
    ///
    /// ```
    /// use kymo_exposition::Format;
    /// let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    /// assert_eq!(Format::negotiate(Some(accept)), Format::OpenMetrics);
    /// assert_eq!(Format::negotiate(None), Format::Text);
    /// ```
    pub fn negotiate(accept: Option<&str>) -> Format {
        let (mut text, mut openmetrics) = (0.0f64, 0.0f64);
        for range in accept.unwrap_or("").split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or("");
            let mut quality = 1.0;
            let mut known_version = true;
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q", q)) => quality = q.parse().unwrap_or(0.0),
                    Some(("version", v)) => {
                        known_version = matches!(v.trim_matches('"'), "0.0.1" | "0.0.4" | "1.0.0")
                    }
                    _ => {}
                }
            }
            if !known_version {
                continue;
            }
            if media.eq_ignore_ascii_case("application/openmetrics-text") {
                openmetrics = openmetrics.max(quality);
            } else if media.eq_ignore_ascii_case("text/plain") || media == "*/*" || media == "text/*" {
                text = text.max(quality);
            }
        }
        if openmetrics > 0.0 && openmetrics >= text { Format::OpenMetrics } else { Format::Text }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Text => "text",
            Format::OpenMetrics => "openmetrics",
        })
    }
}
