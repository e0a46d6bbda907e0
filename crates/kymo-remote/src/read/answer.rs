//! ReadAnswer: pieces of an answer, each made when it is asked for. One piece for samples, a frame after the other for a
//! stream, so that no more than one series is held.

use std::collections::VecDeque;
use std::sync::Arc;

use kymo_model::{Labels, Queryable, Selector, SeriesSet};

use super::request::{ReadQuery, ReadRequest, ResponseType};
use super::{ReadError, ReadOptions, samples, stream};

/// The answer to a [`ReadRequest`].
///
/// ```
/// use std::sync::Arc;
/// use kymo_model::{Labels, MemoryStore};
/// use kymo_remote::{ReadOptions, ReadRequest};
///
/// // Every series, in one piece.
/// let body = snap::raw::Encoder::new().compress_vec(&[10, 2, 16, 1]).unwrap();
/// let options = ReadOptions::default();
/// let request = ReadRequest::from_snappy(&body, &options).unwrap();
/// let answer = request.answer(Arc::new(MemoryStore::default()), Labels::empty(), options).unwrap();
/// assert_eq!(answer.content_type(), "application/x-protobuf");
/// assert_eq!(answer.count(), 1);
/// ```
pub struct ReadAnswer {
    form: ResponseType,
    store: Arc<dyn Queryable>,
    external: Labels,
    options: ReadOptions,
    queries: Vec<ReadQuery>,
    /// The query that is answered, and its series.
    query: usize,
    selected: Option<(Selected, usize)>,
    frames: VecDeque<Vec<u8>>,
    ended: bool,
}

/// The series of a query.
pub(super) struct Selected {
    pub(super) set: SeriesSet,
    /// Labels and place in the set, in order of labels.
    pub(super) order: Vec<(Labels, usize)>,
}

/// The series that match, in order of their labels. An empty range has none.
pub(super) fn select(
    query: &ReadQuery,
    store: &dyn Queryable,
    external: &Labels,
) -> Result<Selected, ReadError> {
    let set = if query.range.min > query.range.max {
        SeriesSet::empty()
    } else {
        store.select(&Selector::new(query.inner_matchers(external), query.range))?
    };
    let mut order: Vec<(Labels, usize)> =
        set.iter().enumerate().map(|(index, series)| (series.labels(), index)).collect();
    order.sort();
    Ok(Selected { set, order })
}

/// The labels of a series on their way out: external ones are added where it has none of that name.
pub(super) fn with_external<'a>(
    labels: &'a Labels,
    external: &'a Labels,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = labels.iter().map(|label| (label.name, label.value));
    let missing = external.iter().filter(|label| labels.get(label.name).is_none());
    let mut all: Vec<(&str, &str)> = own.chain(missing.map(|label| (label.name, label.value))).collect();
    all.sort_unstable();
    all.into_iter()
}

impl ReadRequest {
    /// Answers from a store, in the form the client likes best. Series get the external labels that they lack.
    pub fn answer(
        self,
        store: Arc<dyn Queryable>,
        external: Labels,
        options: ReadOptions,
    ) -> Result<ReadAnswer, ReadError> {
        Ok(ReadAnswer {
            form: self.response_type()?,
            store,
            external,
            options,
            queries: self.queries,
            query: 0,
            selected: None,
            frames: VecDeque::new(),
            ended: false,
        })
    }
}

impl ReadAnswer {
    /// The content type of the answer.
    pub fn content_type(&self) -> &'static str {
        match self.form {
            ResponseType::Samples => "application/x-protobuf",
            ResponseType::StreamedXorChunks => {
                "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
            }
        }
    }

    /// The content encoding of the answer, if it has one.
    pub fn content_encoding(&self) -> Option<&'static str> {
        (self.form == ResponseType::Samples).then_some("snappy")
    }

    fn next_piece(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        if self.form == ResponseType::Samples {
            self.ended = true;
            return samples::response(&self.queries, &*self.store, &self.external, &self.options).map(Some);
        }
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(frame));
            }
            let Some(query) = self.queries.get(self.query) else { return Ok(None) };
            let (selected, at) = match &mut self.selected {
                Some(begun) => begun,
                none => none.insert((select(query, &*self.store, &self.external)?, 0)),
            };
            match selected.order.get(*at) {
                Some((labels, index)) => {
                    *at += 1;
                    let (series, max) = (selected.set.series(*index), self.options.frame_bytes_max);
                    self.frames = stream::frames(series, labels, &self.external, self.query, max)?;
                }
                None => {
                    self.selected = None;
                    self.query += 1;
                }
            }
        }
    }
}

impl Iterator for ReadAnswer {
    type Item = Result<Vec<u8>, ReadError>;

    fn next(&mut self) -> Option<Result<Vec<u8>, ReadError>> {
        if self.ended {
            return None;
        }
        let piece = self.next_piece();
        self.ended |= !matches!(piece, Ok(Some(_)));
        piece.transpose()
    }
}
