//! Params: what a request asks, from the query string and, for POST, from the form. Times and durations as the API reads them.

use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use kymo_model::{Matcher, Timestamp, parse_duration};
use kymo_promql_syntax::Parser;
use kymo_promql_syntax::ast::Expr;

use crate::api::Api;
use crate::body;
use crate::error::{ApiError, ApiErrorKind};
use crate::json;

/// The longest form body in bytes that is read.
pub const FORM_BYTES_MAX: usize = 10 << 20;

/// The parameters of a request in order; those of the body come first, as in Go's `Request.Form`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl FromRequest<Api> for Params {
    type Rejection = axum::response::Response;

    async fn from_request(request: Request, api: &Api) -> Result<Params, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let is_form =
            parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(
                |value| value.split(';').next().unwrap_or("").trim() == "application/x-www-form-urlencoded",
            );
        let mut pairs = Vec::new();
        if parts.method == Method::POST && is_form {
            let bytes = body::read(body, FORM_BYTES_MAX, api.limits.body_timeout).await.map_err(|error| {
                let message = format!("error parsing form values: {error}");
                json::error(&ApiError::new(ApiErrorKind::BadData, message))
            })?;
            decode_form(&bytes, &mut pairs).map_err(|error| json::error(&error))?;
        }
        let query = parts.uri.query().unwrap_or("");
        decode_form(query.as_bytes(), &mut pairs).map_err(|error| json::error(&error))?;
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
        self.all("match[]").map(|text| selector(text, "match[]")).collect()
    }

    /// The expression of `query`, in the language that the server allows.
    pub(crate) fn query(&self, api: &Api) -> Result<Expr, ApiError> {
        let text = self.get("query").unwrap_or("");
        api.parser.parse(text).map_err(|error| ApiError::bad_parameter("query", error))
    }
}

/// The matchers of a plain selector, `up{job="x"}`, that a parameter holds.
pub(crate) fn selector(text: &str, parameter: &str) -> Result<Vec<Matcher>, ApiError> {
    Parser::default().parse_selector(text).map_err(|error| ApiError::bad_parameter(parameter, error))
}

/// Reads `name=value&…` as Go does: `+` is a space, `%XX` a byte. What is no text in UTF-8 is refused, not patched.
fn decode_form(form: &[u8], pairs: &mut Vec<(String, String)>) -> Result<(), ApiError> {
    for pair in form.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|b| *b == b'=');
        let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        let name = decode_text(name, "a name")?;
        let value = decode_text(value, &format!("parameter {name:?}"))?;
        pairs.push((name, value));
    }
    Ok(())
}

fn decode_text(escaped: &[u8], what: &str) -> Result<String, ApiError> {
    let wrong = |message: String| {
        ApiError::new(ApiErrorKind::BadData, format!("error parsing form values: {message}"))
    };
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digit = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    let found = String::from_utf8_lossy(&tail[..tail.len().min(2)]);
                    return Err(wrong(format!("invalid URL escape \"%{found}\"")));
                };
                rest = &tail[2..];
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[at];
        wrong(format!("expected UTF-8 in {what}, found the byte 0x{byte:02x} at {at}"))
    })
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
    fn forms() {
        let decode = |form: &str| {
            let mut pairs = Vec::new();
            decode_form(form.as_bytes(), &mut pairs).map(|()| pairs).map_err(|error| error.message)
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (form, pairs) in [
            ("", vec![]),
            ("a=1&&b", vec![pair("a", "1"), pair("b", "")]),
            ("q=a%2Bb+c%3D&q==", vec![pair("q", "a+b c="), pair("q", "=")]),
            ("m%5B%5D=%ED%95%9C", vec![pair("m[]", "\u{D55C}")]),
        ] {
            assert_eq!(decode(form), Ok(pairs), "{form}");
        }
        for (bad, part) in
            [("a=%zz", "\"%zz\""), ("a=1%", "\"%\""), ("%F=", "\"%F\""), ("q=up%FF", "0xff at 2")]
        {
            let error = decode(bad).expect_err(bad);
            assert!(error.contains(part), "{bad}: {error}");
        }
    }

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
