//! Matrix: the series of a range query as JSON, printed piece by piece while they are sent.
//!
//! Points take more bytes as text than as numbers. So no more of the text is made than the connection takes, and the memory of a
//! series is free once it is printed. A client that goes away ends the printing, as nobody asks for the next piece.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use kymo_promql::{Engine, MatrixSeries};

use crate::json::{push_histogram_point, push_labels};
use crate::points::PointPrinter;

/// A piece is about so many bytes. What is not longer is sent in one, with its length in the head.
const PIECE_BYTES: usize = 64 * 1024;

/// What a piece may have beyond that: the names of a series, or some points.
const ROOM_BYTES: usize = PIECE_BYTES + 32 * 1024;

/// Points are printed so many at once; histograms, which are larger, so many.
const POINTS: usize = 512;
const HISTOGRAMS: usize = 8;

/// Prints a matrix, series by series.
pub(crate) struct MatrixPrinter {
    series: std::vec::IntoIter<MatrixSeries>,
    /// The series that was begun, and how many of its floats and histograms are printed.
    begun: Option<(MatrixSeries, usize, usize)>,
    is_first: bool,
    points: PointPrinter,
    text: String,
    /// Gets back what is printed.
    engine: Engine,
}

impl MatrixPrinter {
    pub(crate) fn new(series: Vec<MatrixSeries>, engine: Engine) -> MatrixPrinter {
        MatrixPrinter {
            series: series.into_iter(),
            begun: None,
            is_first: true,
            points: PointPrinter::new(),
            text: String::new(),
            engine,
        }
    }

    /// Appends the next piece, without the brackets around all; is there another one?
    pub(crate) fn print(&mut self, out: &mut Vec<u8>) -> bool {
        out.reserve(ROOM_BYTES.min(self.bytes_left()));
        let end = out.len() + PIECE_BYTES;
        while out.len() < end {
            if self.begun.is_none() && !self.begin(out) {
                return false;
            }
            self.proceed(out);
        }
        self.begun.is_some() || self.series.len() > 0
    }

    /// A guess, for pieces that are the last.
    fn bytes_left(&self) -> usize {
        let bytes = |series: &MatrixSeries| 256 + series.floats.len() * 32 + series.histograms.len() * 1024;
        let begun = self.begun.iter().map(|(series, ..)| bytes(series)).sum::<usize>();
        // More than these fill a piece.
        self.series.as_slice().iter().take(256).map(bytes).fold(begun, usize::saturating_add)
    }

    fn begin(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(series) = self.series.next() else { return false };
        if !std::mem::replace(&mut self.is_first, false) {
            out.push(b',');
        }
        self.text.clear();
        self.text.push_str("{\"metric\":");
        push_labels(&mut self.text, &series.labels);
        out.extend_from_slice(self.text.as_bytes());
        self.begun = Some((series, 0, 0));
        true
    }

    /// Some points of the series that was begun, or its end.
    fn proceed(&mut self, out: &mut Vec<u8>) {
        let Some((series, floats_done, histograms_done)) = &mut self.begun else { return };
        let floats = &series.floats;
        if *floats_done < floats.len() {
            let part = *floats_done..floats.len().min(*floats_done + POINTS);
            out.extend_from_slice(if part.start == 0 { b",\"values\":[" } else { b"," });
            *floats_done = part.end;
            self.points.push(out, (&floats.timestamps_ms, &floats.values), part);
            if *floats_done == floats.len() {
                out.push(b']');
            }
            return;
        }
        let histograms = &series.histograms;
        if *histograms_done < histograms.len() {
            self.text.clear();
            for (ms, histogram) in histograms.iter().skip(*histograms_done).take(HISTOGRAMS) {
                self.text.push_str(if *histograms_done == 0 { ",\"histograms\":[" } else { "," });
                push_histogram_point(&mut self.text, ms, histogram);
                *histograms_done += 1;
            }
            out.extend_from_slice(self.text.as_bytes());
            if *histograms_done == histograms.len() {
                out.push(b']');
            }
            return;
        }
        out.push(b'}');
        if let Some((series, ..)) = self.begun.take() {
            self.engine.reuse(series.floats.values);
        }
    }
}

/// A body that is printed while it is sent.
pub(crate) struct Streamed {
    first: Option<Vec<u8>>,
    rest: Option<MatrixPrinter>,
    tail: String,
}

impl Streamed {
    /// What is printed already, what is not, and what stands behind it.
    pub(crate) fn new(first: Vec<u8>, rest: MatrixPrinter, tail: String) -> Streamed {
        Streamed { first: Some(first), rest: Some(rest), tail }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let mut piece = Vec::new();
        if !self.rest.as_mut()?.print(&mut piece) {
            piece.extend_from_slice(self.tail.as_bytes());
            self.rest = None;
        }
        Some(piece)
    }
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.next().map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kymo_model::{FloatHistogram, Labels};
    use kymo_promql::Points;
    use serde_json::{Value, json};

    use super::*;

    fn points<T>(values: Vec<T>, every: i64) -> Points<T> {
        Points { timestamps_ms: (0..values.len() as i64).map(|step| step * every).collect(), values }
    }

    fn matrix() -> Vec<MatrixSeries> {
        let series = |number: usize| MatrixSeries {
            labels: Labels::from_pairs([("n", number.to_string().as_str())]),
            floats: points((0..number * 37).map(|value| (value as f64).sqrt()).collect(), 500),
            histograms: points(
                (0..number % 19)
                    .map(|count| FloatHistogram { count: count as f64, ..FloatHistogram::default() })
                    .map(Arc::new)
                    .collect(),
                1000,
            ),
        };
        (1..100).map(series).collect()
    }

    /// As a tree, point by point.
    fn expected() -> Value {
        let text = kymo_model::format_float;
        let seconds = |ms: i64| if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) };
        let of = |series: &MatrixSeries| {
            let mut one = json!({"metric": {"n": series.labels.get("n")}});
            let floats = series.floats.iter().map(|(ms, value)| json!([seconds(ms), text(*value)]));
            one["values"] = floats.collect();
            let histograms = series
                .histograms
                .iter()
                .map(|(ms, value)| json!([seconds(ms), {"count": text(value.count), "sum": "0"}]));
            if !series.histograms.is_empty() {
                one["histograms"] = histograms.collect();
            }
            one
        };
        matrix().iter().map(of).collect()
    }

    #[test]
    fn pieces_make_the_whole() {
        let mut body =
            Streamed::new(b"[".to_vec(), MatrixPrinter::new(matrix(), Engine::default()), "]".to_owned());
        let mut whole = Vec::new();
        let mut pieces = 0;
        while let Some(piece) = body.next() {
            assert!(piece.len() <= ROOM_BYTES, "{}", piece.len());
            assert!(!piece.is_empty());
            whole.extend(piece);
            pieces += 1;
        }
        assert!(body.is_end_stream() && pieces > 10, "{pieces} pieces");
        let found: Value = serde_json::from_slice(&whole).expect("JSON");
        assert_eq!(found, expected());
        let mut nothing = Vec::new();
        assert!(!MatrixPrinter::new(Vec::new(), Engine::default()).print(&mut nothing));
        assert_eq!(nothing, b"");
    }
}
