//! ReadRequest: what a client asks, decoded. Every list of it is bounded.

use kymo_model::{Labels, MatchOp, Matcher, TimeRange, Timestamp};

use super::{ReadError, ReadOptions};
use crate::body::BodyBounds;
use crate::wire::{Cursor, Wire, WireErrorKind};

/// A `prometheus.ReadRequest`.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The queries, answered in order.
    pub queries: Vec<ReadQuery>,
    /// The forms of answer that the client takes, best first; empty means [`ResponseType::Samples`].
    accepted: Vec<u64>,
}

/// One question: series and time.
#[derive(Clone, Debug)]
pub struct ReadQuery {
    /// From when to when, both included.
    pub range: TimeRange,
    /// Which series.
    pub matchers: Vec<Matcher>,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// All samples in one compressed message.
    Samples,
    /// Frames of chunks, series after series.
    StreamedXorChunks,
}

impl ReadRequest {
    /// Reads the body of a request: a Snappy block.
    pub fn from_snappy(body: &[u8], options: &ReadOptions) -> Result<ReadRequest, ReadError> {
        let bounds = BodyBounds {
            compressed_bytes_max: options.compressed_bytes_max,
            decompressed_bytes_max: options.decompressed_bytes_max,
        };
        ReadRequest::decode(&bounds.decompress(body)?, options)
    }

    fn decode(message: &[u8], options: &ReadOptions) -> Result<ReadRequest, ReadError> {
        let mut request = ReadRequest { queries: Vec::new(), accepted: Vec::new() };
        let mut fields = Cursor::new(message, 0);
        while let Some((number, wire)) = fields.field()? {
            match (number, wire) {
                (1, Wire::Bytes) => {
                    if request.queries.len() == options.queries_max {
                        return Err(ReadError::TooMany { what: "queries", max: options.queries_max });
                    }
                    request.queries.push(query(fields.message()?, options)?);
                }
                (2, Wire::Varint) => request.accept(fields.varint()?),
                (2, Wire::Bytes) => {
                    let mut packed = fields.message()?;
                    while !packed.is_at_end() {
                        request.accept(packed.varint()?);
                    }
                }
                (1 | 2, _) => fields.error(WireErrorKind::WrongWireType)?,
                _ => fields.skip(wire)?,
            }
        }
        Ok(request)
    }

    /// A form that was named before says nothing new, so that the list is as short as there are forms.
    fn accept(&mut self, form: u64) {
        if !self.accepted.contains(&form) && self.accepted.len() < ACCEPTED_MAX {
            self.accepted.push(form);
        }
    }

    /// The first form of the client's that there is.
    pub fn response_type(&self) -> Result<ResponseType, ReadError> {
        let known = |form: &u64| match form {
            0 => Some(ResponseType::Samples),
            1 => Some(ResponseType::StreamedXorChunks),
            _ => None,
        };
        match self.accepted.iter().find_map(known) {
            Some(form) => Ok(form),
            None if self.accepted.is_empty() => Ok(ResponseType::Samples),
            None => Err(ReadError::ResponseTypes(self.accepted.clone())),
        }
    }
}

/// How many distinct forms are remembered of a client; there are two.
const ACCEPTED_MAX: usize = 16;

impl ReadQuery {
    /// The matchers without those of external labels: series get these on their way out.
    pub(super) fn inner_matchers(&self, external: &Labels) -> Vec<Matcher> {
        let of_outside = |matcher: &&Matcher| {
            matcher.op() == MatchOp::Equal && external.get(matcher.name()) == Some(matcher.value())
        };
        self.matchers.iter().filter(|matcher| !of_outside(matcher)).cloned().collect()
    }
}

fn query(mut fields: Cursor<'_>, options: &ReadOptions) -> Result<ReadQuery, ReadError> {
    let (mut min, mut max) = (0, 0);
    let mut matchers = Vec::new();
    while let Some((number, wire)) = fields.field()? {
        match (number, wire) {
            (1, Wire::Varint) => min = fields.varint()? as i64,
            (2, Wire::Varint) => max = fields.varint()? as i64,
            (3, Wire::Bytes) => {
                if matchers.len() == options.matchers_max {
                    return Err(ReadError::TooMany {
                        what: "matchers in a query",
                        max: options.matchers_max,
                    });
                }
                matchers.push(matcher(fields.message()?)?);
            }
            (1..=3, _) => fields.error(WireErrorKind::WrongWireType)?,
            // Hints say how the answer will be used; it is the same without them.
            _ => fields.skip(wire)?,
        }
    }
    let range = TimeRange { min: Timestamp::from_millis(min), max: Timestamp::from_millis(max) };
    Ok(ReadQuery { range, matchers })
}

fn matcher(mut fields: Cursor<'_>) -> Result<Matcher, ReadError> {
    let (mut kind, mut name, mut value) = (0, "", "");
    while let Some((number, wire)) = fields.field()? {
        match (number, wire) {
            (1, Wire::Varint) => kind = fields.varint()?,
            (2, Wire::Bytes) => name = fields.text()?,
            (3, Wire::Bytes) => value = fields.text()?,
            (1..=3, _) => fields.error(WireErrorKind::WrongWireType)?,
            _ => fields.skip(wire)?,
        }
    }
    let op = match kind {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        other => return Err(ReadError::MatcherType(other)),
    };
    Matcher::new(op, name, value).map_err(|error| ReadError::Matcher { name: name.to_owned(), error })
}
