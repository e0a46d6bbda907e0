//! Data for blocks: series of floats and histograms, as they are written and as they must be read.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use kymo_chunk::{Encoding, FloatHistogramAppender, HistogramAppender, HistogramPushed, XorAppender};
use kymo_model::{
    FloatHistogram, Histogram, Labels, Queryable, Samples, Selector, Series, Span, TimeRange, Values,
};
use kymo_testkit::{Random, SampleStream, SimDisk, ValueShape, series_labels};
use kymo_tsdb::block::{BlockChunk, BlockMeta, BlockOrigin, BlockWriter, BlockWriterOptions, Ulid};

pub(crate) const START_MS: i64 = 1_600_000_000_000;

/// A value, told apart by its bits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Float(u64),
    /// A hash of all its numbers.
    Histogram(u64),
}

impl Value {
    fn histogram(histogram: &FloatHistogram) -> Value {
        let h = histogram;
        let mut hasher = DefaultHasher::new();
        h.schema.hash(&mut hasher);
        for number in [h.zero_threshold, h.zero_count, h.count, h.sum] {
            number.to_bits().hash(&mut hasher);
        }
        for (spans, buckets) in
            [(&h.positive_spans, &h.positive_buckets), (&h.negative_spans, &h.negative_buckets)]
        {
            spans.hash(&mut hasher);
            buckets.iter().for_each(|bucket| bucket.to_bits().hash(&mut hasher));
        }
        Value::Histogram(hasher.finish())
    }
}

/// Samples by time.
pub(crate) type Rows = BTreeMap<i64, Value>;

#[derive(Clone, Debug)]
struct OwnedChunk {
    min_ms: i64,
    max_ms: i64,
    encoding: Encoding,
    data: Vec<u8>,
}

/// Series with their chunks and what they hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    series: BTreeMap<Labels, (Vec<OwnedChunk>, Rows)>,
}

impl Data {
    /// Series of all kinds: floats, histograms of both forms, and such as change their kind.
    pub(crate) fn mixed(seed: u64, series: usize) -> Data {
        Data::from(seed, (0..series).map(|index| 7 * index), START_MS)
    }

    /// The series of these numbers, from a time on.
    pub(crate) fn from(seed: u64, numbers: impl Iterator<Item = usize>, start_ms: i64) -> Data {
        let mut data = Data::default();
        for index in numbers {
            let mut labels = series_labels(index).to_builder();
            if index % 5 == 0 {
                labels.set("extra", if index % 2 == 0 { "even" } else { "ödd \" \\" });
            }
            let mut random = Random::new(seed ^ (index as u64) << 20);
            let (mut chunks, mut rows) = (Vec::new(), Rows::new());
            let mut from_ms = start_ms + random.below(20_000) as i64;
            for _ in 0..1 + random.below(4) {
                let kind = if index % 11 == 0 {
                    random.below(3)
                } else {
                    u64::from(index % 7 == 0) * (1 + index as u64 % 2)
                };
                let count = 1 + random.below(130) as usize;
                let shape = ValueShape::ALL[index % 4];
                let stream = SampleStream::new(random.next(), shape, from_ms, 15_000, 3).take(count);
                from_ms += 15_000 * (count as i64 + 2);
                chunks.push(chunk(kind, stream, &mut rows));
            }
            data.series.insert(labels.build(), (chunks, rows));
        }
        data
    }

    /// A series of floats, in chunks of at most 120 samples. For the tests of cold blocks, which share this file.
    #[allow(dead_code)]
    pub(crate) fn add_floats(&mut self, labels: Labels, samples: impl Iterator<Item = (i64, f64)>) {
        let samples: Vec<(i64, f64)> = samples.collect();
        let mut rows = Rows::new();
        let chunks =
            samples.chunks(120).map(|samples| chunk(0, samples.iter().copied(), &mut rows)).collect();
        self.series.insert(labels, (chunks, rows));
    }

    pub(crate) fn rows(&self) -> usize {
        self.series.values().map(|(_, rows)| rows.len()).sum()
    }

    pub(crate) fn series(&self) -> impl Iterator<Item = (&Labels, &Rows)> {
        self.series.iter().map(|(labels, (_, rows))| (labels, rows))
    }

    pub(crate) fn all(&self) -> BTreeMap<Labels, Rows> {
        self.within(TimeRange::ALL)
    }

    /// What a select over the range must give, series without samples left out.
    pub(crate) fn within(&self, range: TimeRange) -> BTreeMap<Labels, Rows> {
        let inside = |rows: &Rows| -> Rows {
            let inside = |t_ms: i64| (range.min.millis()..=range.max.millis()).contains(&t_ms);
            rows.iter()
                .filter(|(t_ms, _)| inside(**t_ms))
                .map(|(t_ms, value)| (*t_ms, value.clone()))
                .collect()
        };
        let series = self.series().map(|(labels, rows)| (labels.clone(), inside(rows)));
        series.filter(|(_, rows)| !rows.is_empty()).collect()
    }
}

fn chunk(kind: u64, stream: impl Iterator<Item = (i64, f64)>, rows: &mut Rows) -> OwnedChunk {
    let mut floats = XorAppender::new();
    let (mut integers, mut counts) = (HistogramAppender::new(), FloatHistogramAppender::new());
    let (mut min_ms, mut max_ms) = (i64::MAX, i64::MIN);
    for (number, (t_ms, value)) in stream.enumerate() {
        (min_ms, max_ms) = (min_ms.min(t_ms), max_ms.max(t_ms));
        let histogram = histogram(number as u64, value);
        rows.insert(
            t_ms,
            match kind {
                0 => Value::Float(value.to_bits()),
                _ => Value::histogram(&histogram.to_float()),
            },
        );
        match kind {
            0 => floats.push(t_ms, value),
            1 => assert_eq!(integers.push(t_ms, &histogram), HistogramPushed::Appended),
            _ => assert_eq!(counts.push(t_ms, &histogram.to_float()), HistogramPushed::Appended),
        }
    }
    let (encoding, data) = match kind {
        0 => (Encoding::Xor, floats.into_bytes()),
        1 => (Encoding::Histogram, integers.into_bytes()),
        _ => (Encoding::FloatHistogram, counts.into_bytes()),
    };
    OwnedChunk { min_ms, max_ms, encoding, data }
}

fn histogram(number: u64, sum: f64) -> Histogram {
    Histogram {
        schema: 2,
        zero_threshold: 0.001,
        zero_count: number,
        count: 4 * number + 3,
        sum,
        positive_spans: vec![Span { offset: -1, length: 2 }],
        positive_buckets: vec![number as i64 + 1, 0],
        negative_spans: vec![Span { offset: 3, length: 1 }],
        negative_buckets: vec![number as i64 + 1],
        ..Histogram::default()
    }
}

/// Writes a block into `dir`; its number is its name.
pub(crate) fn write(
    disk: &SimDisk,
    dir: &str,
    data: &Data,
    number: u64,
    options: BlockWriterOptions,
) -> BlockMeta {
    try_write(disk, dir, data, number, options).unwrap()
}

pub(crate) fn try_write(
    disk: &SimDisk,
    dir: &str,
    data: &Data,
    number: u64,
    options: BlockWriterOptions,
) -> Result<BlockMeta, kymo_tsdb::block::WriteBlockError> {
    let vfs = disk.vfs();
    // Whether it is there is what the crash tests ask of the writer.
    drop(vfs.create_dir_all(Path::new(dir)));
    let mut writer = BlockWriter::create(vfs, Path::new(dir), Ulid::new(number, 0), options)?;
    for (labels, (chunks, _)) in &data.series {
        let chunks: Vec<BlockChunk<'_>> = chunks
            .iter()
            .map(|OwnedChunk { min_ms, max_ms, encoding, data }| BlockChunk {
                min_ms: *min_ms,
                max_ms: *max_ms,
                encoding: *encoding,
                data,
            })
            .collect();
        writer.add_series(labels, &chunks)?;
    }
    writer.finish(BlockOrigin::default())
}

/// All samples of a series; runs are in order and of one kind each.
pub(crate) fn rows_of(series: Series<'_>) -> Rows {
    let (mut samples, mut rows, mut reader) = (Samples::new(), Rows::new(), series.reader());
    while reader.read(&mut samples).unwrap() {
        assert!(!samples.is_empty());
        assert!(samples.timestamps_ms.is_sorted_by(|a, b| a < b));
        assert!(rows.last_key_value().is_none_or(|(last, _)| *last < samples.timestamps_ms[0]));
        let values: Vec<Value> = match &samples.values {
            Values::Floats(values) => values.iter().map(|value| Value::Float(value.to_bits())).collect(),
            Values::Histograms(values) => {
                values.iter().map(|value: &Arc<FloatHistogram>| Value::histogram(value)).collect()
            }
        };
        assert_eq!(values.len(), samples.len());
        rows.extend(samples.timestamps_ms.iter().copied().zip(values));
    }
    rows
}

/// All series of a block with samples in the range.
pub(crate) fn read_all(block: &impl Queryable, range: TimeRange) -> BTreeMap<Labels, Rows> {
    let set = block.select(&Selector::new(Vec::new(), range)).unwrap();
    set.iter().map(|series| (series.labels(), rows_of(series))).filter(|(_, rows)| !rows.is_empty()).collect()
}
