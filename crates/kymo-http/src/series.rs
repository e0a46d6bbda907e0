//! `/series`, `/labels`, `/label/NAME/values`: what series there are. Off the async threads, as they walk the index.

use std::collections::BTreeSet;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use kymo_model::{CancelToken, Labels, Matcher, Selector, StoreError, TimeRange, Timestamp};

use crate::api::Api;
use crate::clock;
use crate::error::{ApiError, ApiErrorKind};
use crate::json::{self, Answer};
use crate::params::Params;
use crate::query::CancelOnDrop;

/// What an answer says that had to be cut.
const TRUNCATED: &str = "results truncated due to limit";

/// Runs work that reads the store on a blocking thread. Its token says when the client has gone, or when it takes longer than
/// a query may.
pub(crate) async fn blocking<F>(api: &Api, work: F) -> Response
where
    F: FnOnce(CancelToken) -> Result<Answer, ApiError> + Send + 'static,
{
    let cancel = time_limited(api);
    let _guard = CancelOnDrop(cancel.clone());
    let done =
        tokio::task::spawn_blocking(move || work(cancel.clone()).map_err(|error| error.or_timeout(&cancel)))
            .await
            .unwrap_or_else(|panic| {
                tracing::error!(error = %panic, "reading series failed");
                Err(ApiError::new(ApiErrorKind::Internal, "reading series failed; the server's log says why"))
            });
    json::respond(done)
}

/// A token for work that may take as long as a query.
pub(crate) fn time_limited(api: &Api) -> CancelToken {
    CancelToken::with_deadline(clock::nanos_after(api.limits.query_timeout), clock::nanos)
}

pub(crate) fn time_range(params: &Params) -> Result<TimeRange, ApiError> {
    let range =
        TimeRange { min: params.time("start", Timestamp::MIN)?, max: params.time("end", Timestamp::MAX)? };
    if range.max < range.min {
        return Err(ApiError::bad_parameter("end", "end timestamp must not be before start timestamp"));
    }
    Ok(range)
}

fn refuse_match_all(sets: &[Vec<Matcher>]) -> Result<(), ApiError> {
    match sets.iter().any(|set| set.iter().all(Matcher::matches_empty)) {
        true => {
            Err(ApiError::bad_parameter("match[]", "match[] must contain at least one non-empty matcher"))
        }
        false => Ok(()),
    }
}

/// What the store says of each set of matchers, each text once and in order, cut to a limit (0: none), which is then said.
fn texts(
    sets: Vec<Vec<Matcher>>,
    limit: usize,
    cancel: &CancelToken,
    mut of: impl FnMut(&[Matcher]) -> Result<Vec<String>, StoreError>,
) -> Result<Answer, ApiError> {
    let mut found: Vec<String> = Vec::new();
    for matchers in at_least_one(sets) {
        let more = of(&matchers)?;
        if found.is_empty() {
            found = more;
        } else if !more.is_empty() {
            found.extend(more);
            cancel.sort_by(&mut found, String::cmp)?;
            found.dedup();
        }
    }
    let cut = limit > 0 && found.len() > limit;
    let (mut data, mut pulse) = (String::from("["), cancel.pulse());
    for (index, text) in found.iter().take(if cut { limit } else { usize::MAX }).enumerate() {
        if index > 0 {
            data.push(',');
        }
        pulse.tick(16 + text.len())?;
        json::push_string(&mut data, text);
    }
    data.push(']');
    let warnings = if cut { vec![TRUNCATED.to_owned()] } else { Vec::new() };
    Ok(Answer::raw(data).with_warnings(warnings))
}

pub(crate) async fn series(State(api): State<Api>, params: Params) -> Response {
    blocking(&api.clone(), move |cancel| {
        let sets = params.matcher_sets()?;
        if sets.is_empty() {
            return Err(ApiError::new(ApiErrorKind::BadData, "no match[] parameter provided"));
        }
        refuse_match_all(&sets)?;
        let range = time_range(&params)?;
        let limit = params.limit("limit")?;
        let mut found: BTreeSet<Labels> = BTreeSet::new();
        let (mut warnings, mut pulse) = (Vec::new(), cancel.pulse());
        for matchers in sets {
            let mut wanted = Selector::new(matchers, range);
            wanted.hints.function = Some("series".into());
            wanted.cancel = cancel.clone();
            let set = api.store.select(&wanted)?;
            for series in set.iter() {
                pulse.tick(64)?;
                found.insert(series.labels());
            }
            warnings.extend(set.warnings());
        }
        let cut = limit > 0 && found.len() > limit;
        let mut data = String::from("[");
        for (index, labels) in found.iter().take(if cut { limit } else { usize::MAX }).enumerate() {
            if index > 0 {
                data.push(',');
            }
            pulse.tick(64)?;
            json::push_labels(&mut data, labels);
        }
        data.push(']');
        if cut {
            warnings.push(TRUNCATED.to_owned());
        }
        Ok(Answer::raw(data).with_warnings(warnings))
    })
    .await
}

pub(crate) async fn label_names(State(api): State<Api>, params: Params) -> Response {
    blocking(&api.clone(), move |cancel| {
        let (sets, range, limit) = (params.matcher_sets()?, time_range(&params)?, params.limit("limit")?);
        texts(sets, limit, &cancel, |matchers| api.store.label_names(matchers, range, &cancel))
    })
    .await
}

pub(crate) async fn label_values(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    params: Params,
) -> Response {
    blocking(&api.clone(), move |cancel| {
        let bad = |why: &str| ApiError::new(ApiErrorKind::BadData, format!("invalid label name: {why}"));
        // What the path extractor refuses is a name that is not UTF-8.
        let Path(name) = name.map_err(|rejection| bad(&rejection.body_text()))?;
        let name = unescape_name(&name);
        if name.is_empty() {
            return Err(bad("\"\""));
        }
        let (sets, range, limit) = (params.matcher_sets()?, time_range(&params)?, params.limit("limit")?);
        texts(sets, limit, &cancel, |matchers| api.store.label_values(&name, matchers, range, &cancel))
    })
    .await
}

/// No `match[]` means every series.
fn at_least_one(mut sets: Vec<Vec<Matcher>>) -> Vec<Vec<Matcher>> {
    if sets.is_empty() {
        sets.push(Vec::new());
    }
    sets
}

/// A label name of a path: `U__http_2e_status` is `http.status`. Names that are not well escaped are taken as they are.
///
/// Source: Prometheus proposal on UTF-8 names, "values escaping".
fn unescape_name(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("U__") else {
        return name.to_owned();
    };
    let mut out = String::new();
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('_') {
            out.push('_');
            rest = tail;
            continue;
        }
        let decoded = rest.split_once('_').and_then(|(hex, tail)| {
            let code = u32::from_str_radix(hex, 16).ok().filter(|_| !hex.is_empty() && hex.len() <= 6)?;
            Some((char::from_u32(code)?, tail))
        });
        let Some((c, tail)) = decoded else {
            return name.to_owned();
        };
        out.push(c);
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::unescape_name;

    #[test]
    fn names_of_paths() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U___1F600_", "\u{1F600}"),
            ("U__bad_zz_", "U__bad_zz_"),
            ("U__cut_2e", "U__cut_2e"),
        ] {
            assert_eq!(unescape_name(escaped), name);
        }
    }
}
