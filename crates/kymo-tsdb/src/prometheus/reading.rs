//! Reader: every file of a Prometheus in its turn, and what they say to the series.
//!
//! The log is read twice: for the series, with what was deleted of them, and for the samples. So samples are known by their
//! labels even where the definition is lost and only comes again later, and nothing that was deleted is ever written.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use kymo_model::{FamilyMetadata, Labels, Metadata, MetricType, Timestamp};

use super::ImportOptions;
use super::blocks::Blocks;
use super::directory::{Directory, SourceFile};
use super::gather::Gathered;
use super::head_chunks::{FoundChunk, HeadChunk, HeadChunkReader, Place};
use super::pages::{Found, SegmentReader};
use super::record::{Entry, Value, decode, is_about_series};
use super::report::{ImportError, ImportReport};
use crate::beside::Imported;
use crate::block::{Interval, Row, RowValue, for_each_row};
use crate::progress::{Progress, ProgressUnit, STEP_BYTES, Work};
use crate::stats::{Damage, DamageKind};
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// What is read of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Series and what was deleted.
    Series,
    /// Samples; what cannot be read was told in the pass before.
    Samples,
    /// Samples of a log that was not read before.
    Late,
}

pub(super) struct Reader<'a> {
    vfs: &'a dyn Vfs,
    options: &'a ImportOptions,
    gathered: Gathered,
    numbers: Numbers,
    /// Samples in order that are before this are in blocks.
    cutoff_ms: i64,
    imported: Imported,
    report: ImportReport,
    reading: Reading<'a>,
    entries: Vec<Entry>,
    rows: Vec<Row>,
    /// Deletions before the definition of their series: the one before them is lost, or the series was gone already.
    early: Vec<(u64, Interval)>,
}

/// The series that Prometheus' numbers mean.
#[derive(Debug, Default)]
struct Numbers {
    series: HashMap<u64, u32>,
    /// Those that mean one series first and another later.
    twice: HashSet<u64>,
    /// What these mean where the log is read now.
    now: HashMap<u64, u32>,
}

impl Numbers {
    fn define(&mut self, number: u64, series: u32) {
        if self.series.insert(number, series).is_some_and(|before| before != series) {
            self.twice.insert(number);
        }
    }

    /// The series of a number at the place of the log that is read.
    fn here(&self, number: u64) -> Option<u32> {
        let list = if self.twice.contains(&number) { &self.now } else { &self.series };
        list.get(&number).copied()
    }

    /// The series of a number anywhere.
    fn anywhere(&self, number: u64) -> Option<u32> {
        if self.twice.contains(&number) { None } else { self.series.get(&number).copied() }
    }
}

/// Adds up what was read.
struct Reading<'a> {
    progress: &'a mut dyn FnMut(Progress),
    before: u64,
    told: u64,
    total: u64,
}

impl Reading<'_> {
    fn at(&mut self, offset: u64) {
        let done = self.before + offset;
        if done >= self.told + STEP_BYTES {
            self.told = done;
            let total = self.total.max(done);
            (self.progress)(Progress { what: Work::Importing, unit: ProgressUnit::Bytes, done, total });
        }
    }

    fn file_done(&mut self, bytes: u64) {
        self.before += bytes;
        self.at(0);
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new<'f>(
        vfs: &'a dyn Vfs,
        options: &'a ImportOptions,
        (cutoff_ms, imported, report): (i64, Imported, ImportReport),
        files: impl Iterator<Item = &'f SourceFile>,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Reader<'a> {
        let total = files.map(|file| file.bytes).sum();
        Reader {
            vfs,
            options,
            gathered: Gathered::new(options.range_ms.max(1)),
            numbers: Numbers::default(),
            cutoff_ms,
            imported,
            report,
            reading: Reading { progress, before: 0, told: 0, total },
            entries: Vec::new(),
            rows: Vec::new(),
            early: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, found: &Directory, blocks: &mut Blocks) -> Result<(), ImportError> {
        self.reading.total += found.log.iter().map(|file| file.bytes).sum::<u64>();
        found.missing.iter().for_each(|damage| self.report.add(damage.clone()));
        for (pass, files) in
            [(Pass::Series, &found.log), (Pass::Samples, &found.log), (Pass::Late, &found.late_log)]
        {
            for file in files {
                self.segment(file, pass, blocks)?;
            }
            for (number, interval) in std::mem::take(&mut self.early) {
                if let Some(series) = self.numbers.anywhere(number) {
                    self.gathered.delete(series, interval);
                }
            }
        }
        for file in &found.chunks {
            self.chunk_file(file, blocks)?;
        }
        self.report.series = self.gathered.len() as u64;
        blocks.write(&mut self.gathered, self.reading.progress)
    }

    pub(super) fn into_report(self) -> (ImportReport, Imported) {
        (self.report, self.imported)
    }

    fn open(&self, path: &Path) -> Result<std::sync::Arc<dyn VfsFile>, ImportError> {
        self.vfs.open(path, OpenMode::Read).map_err(ImportError::io("open", path))
    }

    fn segment(&mut self, file: &SourceFile, pass: Pass, blocks: &mut Blocks) -> Result<(), ImportError> {
        let read = || ImportError::io("read", &file.path);
        let mut reader = SegmentReader::new(self.open(&file.path)?, &file.path).map_err(read())?;
        let is_first = pass != Pass::Samples;
        self.report.segments += u64::from(is_first);
        let mut scratch = Vec::new();
        while let Some(found) = reader.next().map_err(read())? {
            self.reading.at(reader.at());
            let (offset, compression) = match found {
                Found::Damage(damage) if is_first => {
                    self.report.add(damage);
                    continue;
                }
                Found::Damage(_) => continue,
                Found::Record { offset, compression } => (offset, compression),
            };
            self.report.records += u64::from(is_first);
            let record = compression.decompress(reader.record(), &mut scratch);
            let is_about_series = record.is_some_and(is_about_series);
            match pass {
                Pass::Series if record.is_some() && !is_about_series => continue,
                Pass::Samples if record.is_none() => continue,
                Pass::Samples if is_about_series && self.numbers.twice.is_empty() => continue,
                _ => {}
            }
            let mut entries = std::mem::take(&mut self.entries);
            let decoded = record.and_then(|record| decode(record, &mut entries));
            if decoded.is_some() {
                let taken = entries.drain(..).try_for_each(|entry| self.entry(entry, pass));
                taken.map_err(|TooManySeries| ImportError::SeriesLimit {
                    expected: self.options.series_max,
                    file: file.path.clone(),
                    offset,
                })?;
            } else if is_first || !is_about_series {
                let (file, bytes) = (reader.path().to_owned(), reader.at() - offset);
                let kind = DamageKind::Content;
                self.report.add(Damage { file, offset, bytes, kind, quarantine: None });
            }
            self.entries = entries;
            self.make_room(blocks)?;
        }
        self.reading.file_done(reader.size());
        Ok(())
    }

    fn entry(&mut self, entry: Entry, pass: Pass) -> Result<(), TooManySeries> {
        match (entry, pass) {
            (Entry::Series { number, labels }, Pass::Series) => {
                let series = self.gathered.series(labels);
                if self.gathered.len() > self.options.series_max {
                    return Err(TooManySeries);
                }
                self.numbers.define(number, series);
            }
            (Entry::Series { number, labels }, Pass::Samples) => {
                let series = self.gathered.series(labels);
                self.numbers.now.insert(number, series);
            }
            (Entry::Tombstone { number, min_ms, max_ms }, Pass::Series) => {
                self.report.tombstones += 1;
                let interval = Interval { min_ms, max_ms };
                match self.numbers.series.get(&number) {
                    Some(series) => self.gathered.delete(*series, interval),
                    None => self.early.push((number, interval)),
                }
            }
            (Entry::Cutoff { t_ms }, Pass::Series) => self.cutoff_ms = self.cutoff_ms.max(t_ms),
            (Entry::Sample { number, t_ms, start_ms, value }, Pass::Samples) => {
                self.sample(self.numbers.here(number), (t_ms, start_ms, value), self.cutoff_ms);
            }
            (Entry::Sample { number, t_ms, start_ms, value }, Pass::Late) => {
                self.sample(self.numbers.anywhere(number), (t_ms, start_ms, value), i64::MIN);
            }
            (Entry::Exemplar { number, t_ms, value, labels }, Pass::Samples) => {
                let series = self.numbers.here(number).map(|series| self.gathered.labels(series).clone());
                let t = Timestamp::from_millis(t_ms);
                let taken = series.is_some_and(|series| self.imported.exemplar(&series, labels, value, t));
                self.report.exemplars_skipped += u64::from(!taken);
            }
            (Entry::Metadata { number, metadata }, Pass::Samples) => {
                let series = self.numbers.here(number).map(|series| self.gathered.labels(series));
                let name = series.and_then(Labels::metric_name).map(|name| family_name(name, &metadata));
                let family = name.map(|name| FamilyMetadata { name, metadata });
                let taken = family.is_some_and(|family| self.imported.family(family));
                self.report.metadata_skipped += u64::from(!taken);
            }
            // A log of samples out of order has no such records.
            (
                Entry::Series { .. }
                | Entry::Tombstone { .. }
                | Entry::Cutoff { .. }
                | Entry::Exemplar { .. }
                | Entry::Metadata { .. },
                _,
            )
            | (Entry::Sample { .. }, Pass::Series)
            | (Entry::Mapped, _) => {}
        }
        Ok(())
    }

    fn sample(&mut self, series: Option<u32>, (t_ms, start_ms, value): (i64, i64, Value), cutoff_ms: i64) {
        let value = match value {
            Value::Float(value) => RowValue::Float(value),
            Value::Histogram(histogram) => RowValue::Histogram((*histogram).clone()),
            Value::FloatHistogram(histogram) => RowValue::FloatHistogram((*histogram).clone()),
        };
        self.row(series, Row { t_ms, start_ms, value }, cutoff_ms);
    }

    fn row(&mut self, series: Option<u32>, mut row: Row, cutoff_ms: i64) {
        self.report.samples_read += 1;
        // First: Prometheus forgets the definitions of series that have nothing but such samples.
        if row.t_ms < cutoff_ms {
            self.report.samples_in_blocks += 1;
            return;
        }
        let Some(series) = series else {
            self.report.orphans += 1;
            return;
        };
        let is_sound = match &row.value {
            RowValue::Float(_) => {
                self.report.float_starts_dropped += u64::from(row.start_ms != 0);
                row.start_ms = 0;
                true
            }
            RowValue::Histogram(histogram) => histogram.is_stale() || histogram.validate().is_ok(),
            RowValue::FloatHistogram(histogram) => histogram.is_stale() || histogram.validate().is_ok(),
        };
        if is_sound {
            self.gathered.push(series, &row);
        } else {
            self.report.invalid_histograms += 1;
        }
    }

    fn chunk_file(&mut self, file: &SourceFile, blocks: &mut Blocks) -> Result<(), ImportError> {
        let read = || ImportError::io("read", &file.path);
        let mut reader = HeadChunkReader::new(self.open(&file.path)?, &file.path).map_err(read())?;
        self.report.chunk_files += 1;
        let numbers = std::mem::take(&mut self.numbers);
        loop {
            match reader.next(&|number| numbers.series.contains_key(&number)).map_err(read())? {
                None => break,
                Some(FoundChunk::Damage(damage)) => self.report.add(damage),
                Some(FoundChunk::Chunk(chunk, place)) => {
                    self.chunk(numbers.anywhere(chunk.number), chunk, place, &file.path);
                }
            }
            self.reading.at(reader.at());
            self.make_room(blocks)?;
        }
        self.numbers = numbers;
        self.reading.file_done(reader.size());
        Ok(())
    }

    fn chunk(&mut self, series: Option<u32>, chunk: HeadChunk<'_>, place: Place, file: &Path) {
        if !chunk.out_of_order && chunk.max_ms < self.cutoff_ms {
            let samples = u64::from(chunk.encoding.sample_count(chunk.data).unwrap_or(0));
            self.report.samples_read += samples;
            self.report.samples_in_blocks += samples;
            return;
        }
        let mut rows = std::mem::take(&mut self.rows);
        if series.is_none() {
            self.report.orphans += 1;
        } else if for_each_row(chunk.encoding, chunk.data, |row| rows.push(row)).is_ok() {
            let cutoff_ms = if chunk.out_of_order { i64::MIN } else { self.cutoff_ms };
            rows.drain(..).for_each(|row| self.row(series, row, cutoff_ms));
        } else {
            let (file, Place { offset, bytes }) = (file.to_owned(), place);
            self.report.add(Damage { file, offset, bytes, kind: DamageKind::Content, quarantine: None });
        }
        rows.clear();
        self.rows = rows;
    }

    fn make_room(&mut self, blocks: &mut Blocks) -> Result<(), ImportError> {
        if self.gathered.bytes() <= self.options.samples_bytes_max(self.gathered.len()) {
            return Ok(());
        }
        blocks.write(&mut self.gathered, self.reading.progress)
    }
}

/// More than [`ImportOptions::series_max`].
#[derive(Debug)]
struct TooManySeries;

/// The family that a series belongs to: Prometheus notes metadata of each series. Those of a histogram or a summary have the family's name
/// and an ending; a counter's name is the family's, as it is in the text format.
fn family_name(series: &str, metadata: &Metadata) -> String {
    let endings: &[&str] = match metadata.metric_type {
        MetricType::Histogram => &["_bucket", "_count", "_sum"],
        MetricType::GaugeHistogram => &["_bucket", "_gcount", "_gsum", "_count", "_sum"],
        MetricType::Summary => &["_count", "_sum"],
        _ => &[],
    };
    let family =
        endings.iter().find_map(|ending| series.strip_suffix(ending)).filter(|family| !family.is_empty());
    family.unwrap_or(series).to_owned()
}
