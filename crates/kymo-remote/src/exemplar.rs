//! Exemplars of a write request: fields of a series beside its samples, or alone, as Prometheus sends them. None of them makes
//! a request fail, unless it is no request.

use kymo_model::{Exemplar, Timestamp};

use crate::labels::{self, LabelBounds};
use crate::wire::{Cursor, Wire, WireError, WireErrorKind};

/// Reads an exemplar, `bytes` being the whole message; `None` where its labels are invalid. Prometheus' time 0 says none.
pub(crate) fn read(
    bytes: &[u8],
    mut message: Cursor<'_>,
    bounds: LabelBounds,
    scratch: &mut String,
) -> Result<Option<Exemplar>, WireError> {
    let (mut pairs, mut value, mut timestamp_ms) = (Vec::new(), 0.0, 0);
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, Wire::Bytes) => {
                let field = message.message()?;
                // No exemplar has so many; what is over the bound need not be remembered to be refused.
                if pairs.len() <= bounds.labels_max {
                    pairs.push(labels::label(bytes, field)?);
                }
            }
            (2, Wire::Fixed64) => value = message.double()?,
            (3, Wire::Varint) => timestamp_ms = message.varint()? as i64,
            (1..=3, _) => return message.error(WireErrorKind::WrongWireType),
            _ => message.skip(wire)?,
        }
    }
    let timestamp = (timestamp_ms != 0).then_some(Timestamp::from_millis(timestamp_ms));
    let labels = labels::read_exemplar(pairs, bounds, scratch).ok();
    Ok(labels.map(|labels| Exemplar { labels, value, timestamp }))
}
