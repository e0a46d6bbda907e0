//! Params: what a request asks, from the query string and, for POST, from the form. Times and durations as the API reads them.

use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kymo_model::{Matcher, Timestamp, parse_duration};
use kymo_promql_syntax::ast::ExprKind;

use crate::error::{ApiError, ApiErrorKind};
use crate::json;

/// The longest form body in bytes that is read.
pub const FORM_BYTES_MAX: usize = 10 << 20;

/// The parameters of a request in order; those of the body come first, as in Go's `Request.Form`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = axum::response::Response;

    async fn from_request(request: Request, _: &S) -> Result<Params, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let is_form =
            parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(
                |value| value.split(';').next().unwrap_or("").trim() == "application/x-www-form-urlencoded",
            );
        let mut pairs = Vec::new();
        if parts.method == Method::POST && is_form {
            let bytes = Limited::new(body, FORM_BYTES_MAX).collect().await.map_err(|error| {
                let message = if error.downcast_ref::<LengthLimitError>().is_some() {
                    format!("form of more than {FORM_BYTES_MAX} bytes")
                } else {
                    format!("error parsing form values: {error}")
                };
                json::error(&ApiError::new(ApiErrorKind::BadData, message))
            })?;
            pairs.extend(form_urlencoded::parse(&bytes.to_bytes()).into_owned());
        }
        let query = parts.uri.query().unwrap_or("");
        pairs.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        Ok(Params(pairs))
    }
}

impl Params {
    /// The first value of a parameter; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// Every value of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A time, or `default`.
    pub(crate) fn time(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        self.get(name)
            .map_or(Ok(default), |text| parse_time(text).map_err(|e| ApiError::bad_parameter(name, e)))
    }

    /// A time that must be there.
    pub(crate) fn required_time(&self, name: &str) -> Result<Timestamp, ApiError> {
        parse_time(self.get(name).unwrap_or("")).map_err(|e| ApiError::bad_parameter(name, e))
    }

    /// A duration in milliseconds, if there is one.
    pub(crate) fn duration_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |text| parse_api_duration(text).map_err(|e| ApiError::bad_parameter(name, e));
        self.get(name).map(parse).transpose()
    }

    /// A whole number from 0; 0 where absent.
    pub(crate) fn limit(&self, name: &str) -> Result<usize, ApiError> {
        match self.get(name) {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| {
                ApiError::bad_parameter(name, format!("expected a whole number from 0, found {text:?}"))
            }),
        }
    }

    /// The selectors of `match[]`, each as its matchers.
    pub(crate) fn matcher_sets(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all("match[]")
            .map(|text| parse_selector(text).map_err(|e| ApiError::bad_parameter("match[]", e)))
            .collect()
    }
}

/// The matchers of a plain selector: `up{job="x"}`.
pub(crate) fn parse_selector(text: &str) -> Result<Vec<Matcher>, String> {
    let expr = kymo_promql_syntax::parse(text).map_err(|error| error.to_string())?;
    match expr.kind {
        ExprKind::Selector(selector) if selector.time.offset.is_none() && selector.time.at.is_none() => {
            Ok(selector.matchers)
        }
        _ => Err(format!("expected a series selector such as `up{{job=\"x\"}}`, found {text:?}")),
    }
}

/// A time as the API takes it: seconds with a fraction, or RFC 3339. Rounded to milliseconds.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let invalid = || format!("cannot parse {text:?} to a valid timestamp");
    if let Ok(seconds) = text.parse::<f64>() {
        if !seconds.is_finite() || seconds.abs() > i64::MAX as f64 / 1000.0 {
            return Err(invalid());
        }
        // The whole seconds and the fraction apart, so that large times keep their milliseconds.
        let whole = seconds.trunc();
        let fraction_ms = ((seconds - whole) * 1000.0).round();
        return Ok(Timestamp::from_millis(
            (whole as i64).saturating_mul(1000).saturating_add(fraction_ms as i64),
        ));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_millis(time.as_millisecond()));
    }
    // The ends of Go's time, which clients send for "everything".
    match text {
        "-292273086-05-16T16:47:06Z" => Ok(Timestamp::MIN),
        "+292277025-08-18T07:12:54.999999999Z" => Ok(Timestamp::MAX),
        _ => Err(invalid()),
    }
}

/// A duration as the API takes it: seconds with a fraction, or `5m`. In milliseconds.
pub(crate) fn parse_api_duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1000.0;
        if !ms.is_finite() || ms.abs() > i64::MAX as f64 / 1_000_000.0 {
            return Err(format!("cannot parse {text:?} to a valid duration. It overflows int64"));
        }
        return Ok(ms as i64);
    }
    parse_duration(text).map_err(|_| format!("cannot parse {text:?} to a valid duration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations() {
        for (text, ms) in [
            ("1435781451.781", 1_435_781_451_781),
            ("0", 0),
            ("-1.5", -1500),
            ("1e3", 1_000_000),
            ("2015-07-01T20:10:51.781Z", 1_435_781_451_781),
            ("2015-07-01T22:10:51.781+02:00", 1_435_781_451_781),
        ] {
            assert_eq!(parse_time(text), Ok(Timestamp::from_millis(ms)), "{text}");
        }
        for bad in ["", "now", "NaN", "inf", "1e300", "2015-07-01"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_api_duration("1.5"), Ok(1500));
        assert_eq!(parse_api_duration("5m"), Ok(300_000));
        assert!(parse_api_duration("1e20").is_err());
        assert!(parse_api_duration("x").is_err());
    }
}
