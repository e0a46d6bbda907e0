//! Snapshot: what a select found, pinned. The closed part by reference count, the open chunk by how many samples it had.
//!
//! Samples are decoded without a lock. The open chunk's bytes are copied under the lock of its page (a kilobyte or so),
//! and only as many of its samples are read as there were when the select was made: what is written later only adds bits.

mod ahead;
mod sparse;

use std::sync::Arc;

use kymo_chunk::{ChunkError, Encoding, XorIter, decode, decode_histograms, decode_range};
use kymo_model::{
    CancelToken, CounterResetHint, Gap, Labels, Resume, SampleValue, Samples, Selector, SeriesSource,
    Sparing, StoreError, StoreErrorKind, TimeRange, Timestamp,
};

use super::closed::Closed;
use super::missing::Missing;
use super::page::{Cursor, PageTable};
use super::remembered::Known;
use super::rescue::Era;
use super::sealed::{Data, SealedChunk};
use super::series::Series;
use super::value::histograms_of;
use crate::chunks::{CHUNKS_AHEAD_MAX, ChunkBytes, ChunkStore, FileSet, Windows};
use crate::index::SeriesId;
use ahead::end_of_own;

#[derive(Debug)]
pub(crate) struct Snapshot {
    pages: Arc<PageTable>,
    range: TimeRange,
    series: Vec<Pinned>,
    store: Arc<ChunkStore>,
    /// Every chunk file that a pinned chunk is in.
    files: Arc<FileSet>,
    windows: Windows,
    /// Has what leaves the head meanwhile.
    era: Arc<Era>,
    known: Option<Known>,
    missing: Missing,
}

#[derive(Debug)]
pub(super) struct Pinned {
    labels: Labels,
    closed: Option<Arc<Closed>>,
    id: SeriesId,
    open_min_ms: i64,
    open_number: u16,
    /// How many samples of the open chunk belong to the snapshot.
    open_count: u16,
}

/// A chunk to be read.
struct Piece<'a> {
    encoding: Encoding,
    bytes: ChunkBytes<'a>,
    /// Of a sealed chunk its times, which were checked on its way in.
    times: Option<TimeRange>,
    /// The chunk, if it is a sealed one.
    chunk: Option<&'a SealedChunk>,
}

impl Piece<'_> {
    fn is_float(&self) -> bool {
        self.encoding.is_float()
    }

    /// Is it known that all its samples are in the range?
    fn is_inside(&self, range: TimeRange) -> bool {
        self.times.is_some_and(|times| range.min <= times.min && times.max <= range.max)
    }

    /// Adds its floats in a range.
    fn add_floats(
        &self,
        range: TimeRange,
        timestamps_ms: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<(), ChunkError> {
        match self.is_inside(range) {
            true => decode(&self.bytes, timestamps_ms, values),
            false => decode_range(&self.bytes, range, timestamps_ms, values),
        }
    }
}

impl Snapshot {
    /// Pins those of the series that may have samples in the range. No chunk file goes meanwhile.
    pub(crate) fn pin(
        pages: Arc<PageTable>,
        ids: &[u32],
        wanted: &Selector,
        store: Arc<ChunkStore>,
        era: Arc<Era>,
    ) -> Result<Snapshot, StoreError> {
        let range = wanted.range;
        let mut series = Vec::with_capacity(ids.len());
        let (mut cursor, mut pulse) = (Cursor::new(&pages), wanted.cancel.pulse());
        for id in ids {
            pulse.tick(32)?;
            let Some(found) = cursor.get(SeriesId(*id)) else { continue };
            if found.overlaps(range) {
                series.push(Pinned::new(found, SeriesId(*id), range));
            }
        }
        drop(cursor);
        Ok(Snapshot::of(pages, range, series, store, era))
    }

    /// Of series that are pinned, while no chunk file goes.
    pub(super) fn of(
        pages: Arc<PageTable>,
        range: TimeRange,
        series: Vec<Pinned>,
        store: Arc<ChunkStore>,
        era: Arc<Era>,
    ) -> Snapshot {
        // Taken last, so that it has the files that were made meanwhile.
        let files = store.set();
        let (windows, missing) = (Windows::default(), Missing::default());
        Snapshot { pages, range, series, store, files, windows, era, known: None, missing }
    }

    /// Lets it use what is known of sealed chunks, and add to it.
    pub(super) fn remember_in(&mut self, known: Option<Known>) {
        self.known = known;
    }

    pub(crate) fn count(&self) -> usize {
        self.series.len()
    }

    pub(crate) fn sort_by_labels(&mut self, cancel: &CancelToken) -> Result<(), StoreError> {
        cancel.sort_by(&mut self.series, |a, b| a.labels.cmp(&b.labels))
    }
}

impl Pinned {
    /// The page of the series is locked.
    pub(super) fn new(series: &Series, id: SeriesId, range: TimeRange) -> Pinned {
        let closed = series.closed().filter(|closed| {
            closed.chunks.iter().any(|chunk| chunk.overlaps(range)) || !closed.late.is_empty()
        });
        let (open_min_ms, open_number, open_count) =
            series.open().map_or((0, 0, 0), |(min_ms, number, open)| (min_ms, number, open.len()));
        let (labels, closed) = (series.labels().clone(), closed.cloned());
        Pinned { labels, closed, id, open_min_ms, open_number, open_count }
    }
}

impl Snapshot {
    /// The chunk that was open, cut to the samples it had; `None` when there were none.
    fn open_chunk(
        &self,
        pinned: &Pinned,
        range: TimeRange,
    ) -> Result<Option<(Encoding, Vec<u8>)>, StoreError> {
        if pinned.open_count == 0 || pinned.open_min_ms > range.max.millis() {
            return Ok(None);
        }
        let mut cursor = Cursor::new(&self.pages);
        let series = cursor.get(pinned.id);
        let (encoding, mut bytes) = match series.as_ref().and_then(|series| series.open()) {
            Some((min_ms, number, open)) if (min_ms, number) == (pinned.open_min_ms, pinned.open_number) => {
                (open.encoding(), open.bytes().to_vec())
            }
            _ => {
                // It was sealed since, or it has left the head since. What is found nowhere was past the retention.
                let closed = series.as_ref().and_then(|series| series.closed());
                let mut chunks = closed.into_iter().flat_map(|closed| &closed.chunks);
                let is_it = |chunk: &&SealedChunk| {
                    !chunk.late() && chunk.min_ms == pinned.open_min_ms && chunk.count >= pinned.open_count
                };
                // The files are taken while the chunk cannot leave the head.
                let found = chunks.find(is_it).map(|chunk| (chunk.clone(), self.store.set()));
                drop(cursor);
                let found = found.or_else(|| self.era.find(pinned.id, pinned.open_min_ms, pinned.open_count));
                let Some((chunk, files)) = found else { return Ok(None) };
                match chunk.data() {
                    Data::Heap(data) => (chunk.encoding(), data.to_vec()),
                    Data::File(place) => match self.store.read_one(&files, *place, chunk.data_bytes()) {
                        Ok((bytes, data)) => (chunk.encoding(), bytes[data].to_vec()),
                        Err(error) => {
                            self.note_missing(pinned, &chunk, error)?;
                            return Ok(None);
                        }
                    },
                }
            }
        };
        // A chunk begins with its count; its first samples stay decodable whatever follows. (A chunk of histograms may have
        // been written anew with more buckets. They are empty in these.)
        bytes[..2].copy_from_slice(&pinned.open_count.to_be_bytes());
        Ok(Some((encoding, bytes)))
    }

    /// A chunk in a file that is damaged is left out; any other error is one.
    fn note_missing(
        &self,
        series: &Pinned,
        chunk: &SealedChunk,
        error: StoreError,
    ) -> Result<(), StoreError> {
        self.missing.note(&self.store, (series.id, &series.labels), chunk, error)
    }

    /// The sealed chunks of a series that overlap the range, but for damaged ones.
    fn sealed_pieces<'a>(
        &'a self,
        index: usize,
        range: TimeRange,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), StoreError> {
        let Some(closed) = &self.series[index].closed else { return Ok(()) };
        let chunks = || closed.chunks.iter().filter(|chunk| chunk.overlaps(range));
        let few = chunks().nth(CHUNKS_AHEAD_MAX).is_none();
        for (at, chunk) in chunks().enumerate() {
            match self.sealed_piece((index, few), chunk, chunks().skip(at + 1)) {
                Ok(piece) => pieces.push(piece),
                Err(error) => self.note_missing(&self.series[index], chunk, error)?,
            }
        }
        Ok(())
    }

    /// A chunk of a series of which `few` or many are wanted, those in `rest` next.
    fn sealed_piece<'a>(
        &'a self,
        (index, few): (usize, bool),
        chunk: &'a SealedChunk,
        rest: impl Iterator<Item = &'a SealedChunk>,
    ) -> Result<Piece<'a>, StoreError> {
        let bytes = match chunk.data() {
            Data::Heap(data) => ChunkBytes::Heap(data),
            Data::File(place) => {
                // Where they are many, windows that reach into other series would be gone before these are read.
                let end = || match few {
                    true => self.end_of_neighbours(index, *place, chunk),
                    false => end_of_own(*place, chunk.data_bytes(), rest),
                };
                let bytes = chunk.data_bytes();
                ChunkBytes::Read(self.windows.read(&self.store, &self.files, *place, bytes, end)?)
            }
        };
        let times = Some(TimeRange::from_millis(chunk.min_ms, chunk.max_ms()));
        Ok(Piece { encoding: chunk.encoding(), bytes, times, chunk: Some(chunk) })
    }

    /// Reads the next run of samples of one kind, from `range` on. Gives what is left of the range behind it.
    fn read_run(
        &self,
        index: usize,
        range: TimeRange,
        out: &mut Samples,
    ) -> Result<Option<TimeRange>, StoreError> {
        let series = &self.series[index];
        let undecodable = |piece: &Piece<'_>, error: ChunkError| {
            let message = format!("chunk of series {} does not decode", series.labels);
            let error = StoreError::new(StoreErrorKind::Corrupt, message).caused_by(error);
            match piece.chunk {
                Some(chunk) => self.note_missing(series, chunk, error),
                None => Err(error),
            }
        };
        let open = self.open_chunk(series, range)?;
        let mut pieces = Vec::new();
        let late = series.closed.as_ref().map_or(&[][..], |closed| &closed.late);
        self.sealed_pieces(index, range, &mut pieces)?;
        pieces.extend(open.as_ref().map(|(encoding, bytes)| Piece {
            encoding: *encoding,
            bytes: ChunkBytes::Heap(bytes),
            times: None,
            chunk: None,
        }));
        let late = within(late, range);
        let late_are_floats = |(_, value): &(i64, SampleValue)| matches!(value, SampleValue::Float(_));
        if pieces.iter().all(Piece::is_float) && late.iter().all(late_are_floats) {
            read_floats(&pieces, late, range, out, undecodable)?;
            return Ok(None);
        }
        if !pieces.iter().any(Piece::is_float) && !late.iter().any(late_are_floats) {
            read_histograms(&pieces, late, range, out, undecodable)?;
            return Ok(None);
        }
        let first = first_times(&pieces, late, range);
        let (floats, until_ms) = match first {
            (Some(float_ms), Some(histogram_ms)) => (float_ms < histogram_ms, float_ms.max(histogram_ms) - 1),
            (Some(_), None) => (true, range.max.millis()),
            _ => (false, range.max.millis()),
        };
        let run = TimeRange::from_millis(range.min.millis(), until_ms);
        if floats {
            pieces.retain(Piece::is_float);
            read_floats(&pieces, within(late, run), run, out, undecodable)?;
        } else {
            pieces.retain(|piece| !piece.is_float());
            read_histograms(&pieces, within(late, run), run, out, undecodable)?;
        }
        let rest =
            (until_ms < range.max.millis()).then(|| TimeRange::from_millis(until_ms + 1, range.max.millis()));
        Ok(rest)
    }
}

/// The samples of a buffer in a range.
fn within(late: &[(i64, SampleValue)], range: TimeRange) -> &[(i64, SampleValue)] {
    let start = late.partition_point(|(t_ms, _)| *t_ms < range.min.millis());
    let end = late.partition_point(|(t_ms, _)| *t_ms <= range.max.millis());
    &late[start..end.max(start)]
}

/// The times of the first float and of the first histogram in a range.
fn first_times(
    pieces: &[Piece<'_>],
    late: &[(i64, SampleValue)],
    range: TimeRange,
) -> (Option<i64>, Option<i64>) {
    let (mut float_ms, mut histogram_ms): (Option<i64>, Option<i64>) = (None, None);
    let mut see = |is_float: bool, t_ms: i64| {
        let first = if is_float { &mut float_ms } else { &mut histogram_ms };
        *first = Some(first.map_or(t_ms, |first_ms| first_ms.min(t_ms)));
    };
    for Piece { encoding, bytes, .. } in pieces {
        let first = if encoding.is_float() {
            XorIter::new(bytes)
                .into_iter()
                .flatten()
                .map_while(Result::ok)
                .map(|(t_ms, _)| t_ms)
                .find(|t| *t >= range.min.millis())
        } else {
            histograms_of(*encoding, bytes).map(|(t_ms, _)| t_ms).find(|t| *t >= range.min.millis())
        };
        first
            .filter(|t_ms| *t_ms <= range.max.millis())
            .into_iter()
            .for_each(|t_ms| see(encoding.is_float(), t_ms));
    }
    for (t_ms, value) in late {
        see(matches!(value, SampleValue::Float(_)), *t_ms);
    }
    (float_ms, histogram_ms)
}

/// Are pieces that were read one after the other in order?
#[derive(Default)]
struct Order {
    begin: usize,
    broken: bool,
}

impl Order {
    /// Another piece was read.
    fn check(&mut self, timestamps_ms: &[i64]) {
        let boundary = std::mem::replace(&mut self.begin, timestamps_ms.len());
        self.broken |=
            boundary > 0 && boundary < self.begin && timestamps_ms[boundary - 1] >= timestamps_ms[boundary];
    }
}

/// Reads pieces of floats in order of time. `undecodable` says of a piece that cannot be decoded whether to go on without it.
fn read_floats(
    pieces: &[Piece<'_>],
    late: &[(i64, SampleValue)],
    range: TimeRange,
    out: &mut Samples,
    undecodable: impl Fn(&Piece<'_>, ChunkError) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let (timestamps_ms, values) = out.floats_mut();
    let mut order = Order::default();
    for piece in pieces {
        let before = timestamps_ms.len();
        if let Err(error) = piece.add_floats(range, timestamps_ms, values) {
            timestamps_ms.truncate(before);
            values.truncate(before);
            undecodable(piece, error)?;
        }
        order.check(timestamps_ms);
    }
    for (t_ms, value) in late {
        if let SampleValue::Float(value) = value {
            timestamps_ms.push(*t_ms);
            values.push(*value);
        }
    }
    order.check(timestamps_ms);
    if order.broken {
        sort(timestamps_ms, values);
    }
    Ok(())
}

/// The same for histograms.
fn read_histograms(
    pieces: &[Piece<'_>],
    late: &[(i64, SampleValue)],
    range: TimeRange,
    out: &mut Samples,
    undecodable: impl Fn(&Piece<'_>, ChunkError) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let (timestamps_ms, values) = out.histograms_mut();
    let mut order = Order::default();
    for piece in pieces {
        let before = timestamps_ms.len();
        let out = (&mut *timestamps_ms, &mut *values, &mut Vec::new());
        if let Err(error) = decode_histograms(piece.encoding, &piece.bytes, range, out) {
            timestamps_ms.truncate(before);
            values.truncate(before);
            undecodable(piece, error)?;
        }
        order.check(timestamps_ms);
    }
    for (t_ms, value) in late {
        let histogram = match value {
            SampleValue::Float(_) => continue,
            SampleValue::Histogram(histogram) => Arc::new(histogram.to_float()),
            SampleValue::FloatHistogram(histogram) => histogram.clone(),
        };
        timestamps_ms.push(*t_ms);
        values.push(histogram);
    }
    order.check(timestamps_ms);
    if order.broken {
        sort(timestamps_ms, values);
    }
    if order.broken || !late.is_empty() {
        // What a chunk knows of resets is about neighbours that are none any more.
        for histogram in values.iter_mut().filter(|h| h.counter_reset_hint != CounterResetHint::Gauge) {
            Arc::make_mut(histogram).counter_reset_hint = CounterResetHint::Unknown;
        }
    }
    Ok(())
}

/// Brings the samples of overlapping chunks into order. Equal times hold equal values, so any of them may stay.
fn sort<V: Clone>(timestamps_ms: &mut Vec<i64>, values: &mut Vec<V>) {
    let mut both: Vec<(i64, V)> = timestamps_ms.drain(..).zip(values.drain(..)).collect();
    both.sort_by_key(|(t_ms, _)| *t_ms);
    both.dedup_by_key(|(t_ms, _)| *t_ms);
    timestamps_ms.extend(both.iter().map(|(t_ms, _)| t_ms));
    values.extend(both.into_iter().map(|(_, value)| value));
}

impl SeriesSource for Snapshot {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].labels.clone()
    }

    /// A series of one kind of value is one run. Where kinds change, `resume` has where the next run begins.
    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        out.clear();
        let range = match resume.a {
            AT_BEGIN => self.range,
            BEHIND => TimeRange { min: Timestamp::from_millis(resume.b as i64), max: self.range.max },
            _ => return Ok(false),
        };
        let rest = self.read_run(index, range, out)?;
        *resume = match rest {
            Some(rest) => Resume { a: BEHIND, b: rest.min.millis() as u64 },
            None => Resume { a: AT_END, b: 0 },
        };
        Ok(!out.is_empty())
    }

    fn read_sparse(
        &self,
        index: usize,
        resume: &mut Resume,
        sparing: Sparing,
        out: &mut Samples,
        gaps: &mut Vec<Gap>,
    ) -> Result<bool, StoreError> {
        gaps.clear();
        if resume.a != AT_BEGIN || !self.read_sparsely(index, sparing, out, gaps) {
            gaps.clear();
            return self.read(index, resume, out);
        }
        *resume = Resume { a: AT_END, b: 0 };
        Ok(!out.is_empty())
    }

    fn warnings(&self) -> Vec<String> {
        self.missing.warnings(&self.store)
    }
}

/// What [`Resume`] says in its first number.
const AT_BEGIN: u64 = 0;
/// The second number is the time from which on nothing was read.
const BEHIND: u64 = 1;
const AT_END: u64 = 2;
