//! Labels of a request: raw label fields to [`Labels`], for series that the cache does not know.

use kymo_model::{Labels, METRIC_NAME};

use crate::wire::{Cursor, Wire, WireError};

/// Labels that no series can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelFault {
    #[error("expected a label `__name__` with a metric name, found none in {0}")]
    NoMetricName(String),
    #[error("expected a label name, found an empty one in {0}")]
    EmptyName(String),
    #[error("expected distinct label names, found {name:?} twice in {labels}")]
    Duplicate { name: String, labels: String },
    #[error("expected UTF-8 in label names and values, found other bytes in {0}")]
    Utf8(String),
    #[error("expected at most {max} bytes in a label name or value, found {found} in {name:?}")]
    TooLong { name: String, found: usize, max: usize },
    #[error("expected at most {max} labels, found {found}")]
    TooMany { found: usize, max: usize },
}

/// Bounds of what is turned into labels; a store may have smaller ones.
#[derive(Clone, Copy)]
pub(crate) struct LabelBounds {
    pub(crate) labels_max: usize,
    pub(crate) label_bytes_max: usize,
}

/// The labels in `bytes[from..to]`, which hold nothing but label fields. As in Prometheus they need not be sorted.
pub(crate) fn read(
    bytes: &[u8],
    from: usize,
    bounds: LabelBounds,
    scratch: &mut String,
) -> Result<Result<Labels, LabelFault>, WireError> {
    let mut pairs: Vec<(&[u8], &[u8])> = Vec::new();
    let mut fields = Cursor::new(bytes, from);
    while let Some((_, wire)) = fields.field()? {
        if wire != Wire::Bytes {
            fields.skip(wire)?;
            continue;
        }
        pairs.push(label(bytes, fields.message()?)?);
    }
    Ok(check(pairs, Of::Series, bounds, scratch))
}

/// The labels of an exemplar, whose fields are in `pairs`.
pub(crate) fn read_exemplar(
    pairs: Vec<(&[u8], &[u8])>,
    bounds: LabelBounds,
    scratch: &mut String,
) -> Result<Labels, LabelFault> {
    check(pairs, Of::Exemplar, bounds, scratch)
}

/// Whose labels they are. Those of an exemplar have no metric name.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Series,
    Exemplar,
}

/// Name and value of a label field, `bytes` being the whole message.
pub(crate) fn label<'a>(bytes: &'a [u8], mut message: Cursor<'a>) -> Result<(&'a [u8], &'a [u8]), WireError> {
    let (mut name, mut value): (&[u8], &[u8]) = (b"", b"");
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1 | 2, Wire::Bytes) => {
                let (from, to) = message.range()?;
                *if number == 1 { &mut name } else { &mut value } = &bytes[from..to];
            }
            _ => message.skip(wire)?,
        }
    }
    Ok((name, value))
}

fn check(
    mut pairs: Vec<(&[u8], &[u8])>,
    of: Of,
    bounds: LabelBounds,
    scratch: &mut String,
) -> Result<Labels, LabelFault> {
    if pairs.len() > bounds.labels_max {
        return Err(LabelFault::TooMany { found: pairs.len(), max: bounds.labels_max });
    }
    if !pairs.is_sorted() {
        pairs.sort();
    }
    let shown = || shown(&pairs);
    let mut texts: Vec<(&str, &str)> = Vec::with_capacity(pairs.len());
    for (name, value) in &pairs {
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            return Err(LabelFault::Utf8(shown()));
        };
        let found = name.len().max(value.len());
        if found > bounds.label_bytes_max {
            let name = name.chars().take(SHOWN_CHARS_MAX).collect();
            return Err(LabelFault::TooLong { name, found, max: bounds.label_bytes_max });
        }
        if name.is_empty() {
            return Err(LabelFault::EmptyName(shown()));
        }
        if texts.last().is_some_and(|(last, _)| *last == name) {
            return Err(LabelFault::Duplicate { name: name.to_owned(), labels: shown() });
        }
        texts.push((name, value));
    }
    // A label without a value is no label; it counts as one only in the check for duplicates.
    texts.retain(|(_, value)| !value.is_empty());
    if of == Of::Series && !texts.iter().any(|(name, _)| *name == METRIC_NAME) {
        return Err(LabelFault::NoMetricName(shown()));
    }
    let sorted = Labels::from_sorted(texts.iter().copied(), scratch);
    Ok(sorted.unwrap_or_else(|| Labels::from_pairs(texts)))
}

/// The longest excerpt of labels in an error, in characters.
const SHOWN_CHARS_MAX: usize = 200;

fn shown(pairs: &[(&[u8], &[u8])]) -> String {
    let mut out = String::from("{");
    for (name, value) in pairs {
        if out.len() > 1 {
            out.push_str(", ");
        }
        out.push_str(&format!("{}={:?}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        if out.len() > SHOWN_CHARS_MAX {
            out = out.chars().take(SHOWN_CHARS_MAX).collect();
            out.push('…');
            break;
        }
    }
    out.push('}');
    out
}
