//! Open: the chunk of a series that takes samples. One kind of value at a time; a sample of another kind begins another chunk.
//!
//! Nearly all series have floats, so they lie in the series itself; histograms are large anyhow and lie behind a pointer.

use kymo_chunk::{
    Encoding, FloatHistogramAppender, HistogramAppender, HistogramCutPolicy, HistogramPushed, XorAppender,
};
use kymo_model::SampleValue;

#[derive(Debug)]
pub(crate) enum Open {
    Floats(XorAppender),
    Histograms(Box<OpenHistograms>),
}

/// Native histograms of either form of counts. Never empty.
#[derive(Debug)]
pub(crate) enum OpenHistograms {
    Integer(HistogramAppender),
    Float(FloatHistogramAppender),
}

const _: () = assert!(size_of::<Open>() == size_of::<XorAppender>(), "there is one per series");

const CUT: HistogramCutPolicy = HistogramCutPolicy { bytes_target: 1024, samples_min: 10, samples_max: 240 };

/// On every chunk, whatever it holds.
macro_rules! each {
    ($self:expr, $chunk:ident => $what:expr) => {
        match $self {
            Open::Floats($chunk) => $what,
            Open::Histograms(histograms) => match &**histograms {
                OpenHistograms::Integer($chunk) => $what,
                OpenHistograms::Float($chunk) => $what,
            },
        }
    };
}

impl Default for Open {
    fn default() -> Open {
        Open::Floats(XorAppender::new())
    }
}

impl Open {
    /// Goes on where the writer of `bytes` stopped; `None` when they are no such chunk.
    pub(crate) fn resume(encoding: Encoding, bytes: &[u8]) -> Option<Open> {
        let histograms = match encoding {
            Encoding::Xor => return XorAppender::resume(bytes.to_vec()).ok().map(Open::Floats),
            Encoding::Histogram => OpenHistograms::Integer(HistogramAppender::resume(bytes.to_vec()).ok()?),
            Encoding::FloatHistogram => {
                OpenHistograms::Float(FloatHistogramAppender::resume(bytes.to_vec()).ok()?)
            }
            _ => return None,
        };
        Some(Open::Histograms(Box::new(histograms)))
    }

    pub(crate) fn encoding(&self) -> Encoding {
        match self {
            Open::Floats(_) => Encoding::Xor,
            Open::Histograms(histograms) => histograms.encoding(),
        }
    }

    #[inline]
    pub(crate) fn newest_ms(&self) -> Option<i64> {
        match self {
            Open::Floats(chunk) => chunk.last().map(|(t_ms, _)| t_ms),
            Open::Histograms(histograms) => histograms.newest_ms(),
        }
    }

    pub(crate) fn len(&self) -> u16 {
        each!(self, chunk => chunk.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chunk as it is now.
    pub(crate) fn bytes(&self) -> &[u8] {
        each!(self, chunk => chunk.bytes())
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Open::Floats(chunk) => chunk.memory_bytes() - size_of::<XorAppender>(),
            Open::Histograms(_) => each!(self, chunk => chunk.memory_bytes()),
        }
    }
}

impl OpenHistograms {
    /// A chunk that begins with this histogram; `before` is the one before it, to see whether it was reset between.
    pub(crate) fn begin(before: &Open, t_ms: i64, value: &SampleValue) -> OpenHistograms {
        let before = match before {
            Open::Histograms(before) => Some(&**before),
            Open::Floats(_) => None,
        };
        let mut chunk = match (before, value) {
            (Some(OpenHistograms::Integer(chunk)), SampleValue::Histogram(histogram)) => {
                OpenHistograms::Integer(chunk.following(histogram))
            }
            (Some(OpenHistograms::Float(chunk)), SampleValue::FloatHistogram(histogram)) => {
                OpenHistograms::Float(chunk.following(histogram))
            }
            (_, SampleValue::FloatHistogram(_)) => OpenHistograms::Float(FloatHistogramAppender::new()),
            _ => OpenHistograms::Integer(HistogramAppender::new()),
        };
        assert!(chunk.push(t_ms, value), "BUG: an empty chunk takes every histogram of its form");
        chunk
    }

    /// Adds a histogram; says no when it belongs into another chunk.
    pub(crate) fn push(&mut self, t_ms: i64, value: &SampleValue) -> bool {
        let pushed = match (self, value) {
            (OpenHistograms::Integer(chunk), SampleValue::Histogram(histogram)) => {
                if CUT.is_full(chunk.len(), chunk.bytes().len()) {
                    return false;
                }
                chunk.push(t_ms, histogram)
            }
            (OpenHistograms::Float(chunk), SampleValue::FloatHistogram(histogram)) => {
                if CUT.is_full(chunk.len(), chunk.bytes().len()) {
                    return false;
                }
                chunk.push(t_ms, histogram)
            }
            _ => return false,
        };
        pushed != HistogramPushed::Cut
    }

    fn encoding(&self) -> Encoding {
        match self {
            OpenHistograms::Integer(_) => Encoding::Histogram,
            OpenHistograms::Float(_) => Encoding::FloatHistogram,
        }
    }

    fn newest_ms(&self) -> Option<i64> {
        match self {
            OpenHistograms::Integer(chunk) => chunk.last_timestamp_ms(),
            OpenHistograms::Float(chunk) => chunk.last_timestamp_ms(),
        }
    }
}
