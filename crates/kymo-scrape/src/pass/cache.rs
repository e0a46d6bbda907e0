//! ScrapeCache: one target's memory between scrapes, and the passes over its responses.
//!
//! Spellings (raw bytes of a series as written) stand in the order in which the target last wrote them, so the next
//! sample's spelling is guessed from the one before and confirmed by comparing bytes, before anything is parsed; only where the
//! order changed is anything hashed. Rows of the batch under way and `rows` run in step.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use kymo_exposition::{Entry, Format, LabelScratch, Parser, Sample};
use kymo_model::{
    Appended, Batch, Exemplar, ExemplarRefusal, Labels, Refusal, RowSeries, STALE_NAN, SampleValue, Timestamp,
};

use super::error::PassError;
use super::labels::SampleRules;
use super::metadata::{MetadataCache, MetadataEntries};
use super::report::{self, Report};
use super::series::{SeriesId, SeriesTable};

/// Spellings that failed scrapes may leave behind before they are swept.
const SPARE_SPELLINGS: usize = 1000;

/// What a pass counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples in the response.
    pub scraped: usize,
    /// Samples after relabelling, duplicates included.
    pub kept: usize,
    /// Series that were not in the last scrape.
    pub series_added: usize,
    /// Samples left out because their series came before in the same response.
    pub duplicates: usize,
    /// Samples that the store refused.
    pub refused: usize,
    /// Exemplars that the store took.
    pub exemplars: usize,
    /// Exemplars that were not stored, because they are out of order, too long, too far ahead, or have labels that are none.
    pub exemplars_refused: usize,
}

/// One target's memory between scrapes.
///
/// ```
/// use kymo_exposition::Format;
/// use kymo_model::{Append, Labels, MemoryStore, Timestamp};
/// use kymo_scrape::{Report, SampleRules, ScrapeCache};
///
/// let store = MemoryStore::default();
/// let target = Labels::from_pairs([("job", "app"), ("instance", "127.0.0.1:80")]);
/// let mut cache = ScrapeCache::new(target, SampleRules::default());
///
/// let now = Timestamp::from_millis(1000);
/// cache.scrape(Format::Text, b"requests_total 3\n", now).unwrap();
/// cache.report(now, &Report { up: true, ..Report::default() });
/// let appended = store.append(cache.batch()).unwrap();
/// assert_eq!(appended.appended, 6); // the sample, `up` and its four companions
/// cache.applied(&appended);
/// ```
#[derive(Debug)]
pub struct ScrapeCache {
    target: Labels,
    rules: SampleRules,
    spellings: Vec<Spelling>,
    index: HashMap<u64, u32>,
    hasher: RandomState,
    first: u32,
    series: SeriesTable,
    reports: Vec<SeriesId>,
    metadata: MetadataCache,
    scratch: LabelScratch,
    pass: u32,
    /// The time of the last pass.
    last: Timestamp,
    /// Spellings of the last pass that succeeded.
    settled: usize,
    /// Spellings of the pass under way.
    spellings_seen: usize,
    batch: Batch,
    rows: Vec<SeriesId>,
    /// The series of the exemplars of the batch, in step with them.
    exemplars: Vec<SeriesId>,
    newly_tracked: Vec<SeriesId>,
    markers: Vec<SeriesId>,
    counts: Counts,
}

/// No spelling.
const NONE: u32 = u32::MAX;

/// A series as the target writes it.
#[derive(Debug)]
struct Spelling {
    raw: Box<[u8]>,
    /// What is stored; `None` when relabelling drops it.
    series: Option<SeriesId>,
    /// The spelling that came after this one.
    next: u32,
    /// Another spelling with the same hash.
    same_hash: u32,
    last_pass: u32,
}

impl ScrapeCache {
    /// An empty memory for a target with these labels.
    pub fn new(target: Labels, rules: SampleRules) -> ScrapeCache {
        ScrapeCache {
            target,
            rules,
            spellings: Vec::new(),
            index: HashMap::new(),
            hasher: RandomState::new(),
            first: NONE,
            series: SeriesTable::default(),
            reports: Vec::new(),
            metadata: MetadataCache::default(),
            scratch: LabelScratch::default(),
            pass: 0,
            last: Timestamp::MIN,
            settled: 0,
            spellings_seen: 0,
            batch: Batch::new(),
            rows: Vec::new(),
            exemplars: Vec::new(),
            newly_tracked: Vec::new(),
            markers: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Other rules from the next scrape on. Series that they drop get their markers then.
    pub fn set_rules(&mut self, rules: SampleRules) {
        if rules != self.rules {
            self.abandoned();
            self.rules = rules;
            self.sweep(|_| false);
        }
    }

    /// Reads a response into a new batch. Where this fails, the batch holds markers for everything the target had.
    pub fn scrape(&mut self, format: Format, body: &[u8], now: Timestamp) -> Result<(), PassError> {
        self.begin(now);
        match self.read(format, body, now) {
            Ok(seen_again) => {
                if seen_again < self.series.tracked() {
                    self.mark_vanished(now);
                }
                self.settle();
                Ok(())
            }
            Err(error) => {
                self.discard_rows();
                self.fail(now);
                Err(error)
            }
        }
    }

    /// Begins a batch for a scrape that brought no response: markers for everything the target had.
    pub fn scrape_failed(&mut self, now: Timestamp) {
        self.begin(now);
        self.fail(now);
    }

    /// Begins a batch for a target that is not scraped any more: markers for everything, the report included. They come behind the
    /// last scrape, whose time may be a little ahead of the clock; a store would refuse them at the same time, and the series would go
    /// on for a lookback.
    pub fn end_of_run(&mut self, now: Timestamp) {
        let now = now.max(self.last.saturating_add_ms(1));
        self.scrape_failed(now);
        for id in self.reports.clone() {
            self.push(id, now, STALE_NAN);
        }
    }

    /// Adds the report to the batch.
    pub fn report(&mut self, now: Timestamp, report: &Report) {
        if self.reports.is_empty() {
            for name in report::NAMES {
                let id = self.series.insert(report::labels(&self.target, name));
                self.series.get_mut(id).spellings = 1;
                self.reports.push(id);
            }
        }
        let count = if self.rules.extra_scrape_metrics { report::NAMES.len() } else { report::ALWAYS };
        let values = report::values(report, &self.counts, self.rules.limits.samples);
        for (at, value) in values.into_iter().enumerate().take(count) {
            self.push(self.reports[at], now, value);
        }
    }

    /// The batch of the scrape under way.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// What the scrape under way counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The metadata of the target's families.
    pub fn metadata(&self) -> MetadataEntries {
        self.metadata.entries()
    }

    /// Takes the store's answer. `true` when [`batch`](ScrapeCache::batch) now holds rows to be sent once more, with
    /// labels, because the store did not know their handles.
    pub fn applied(&mut self, appended: &Appended) -> bool {
        self.metadata.sent();
        for &(row, handle) in &appended.handles {
            if let Some(&id) = self.rows.get(row) {
                self.series.get_mut(id).handle = Some(handle);
            }
        }
        let refused: HashSet<SeriesId> =
            appended.refused.iter().filter_map(|refused| self.rows.get(refused.row).copied()).collect();
        for id in std::mem::take(&mut self.newly_tracked) {
            self.series.set_tracked(id, !refused.contains(&id));
        }
        for id in &self.markers {
            self.series.set_tracked(*id, false);
        }
        let mut again = Batch::new();
        let mut again_rows = Vec::new();
        for refused in &appended.refused {
            let Some(&id) = self.rows.get(refused.row) else { continue };
            let Some(row) = self.batch.rows().get(refused.row) else { continue };
            let handle = self.series.get_mut(id).handle.take_if(|_| refused.reason == Refusal::UnknownHandle);
            // A series that the store forgot needs no marker.
            if is_marker(&row.value) {
                continue;
            }
            if handle.is_some() {
                again.push(self.series.row(id), row.timestamp, row.value.clone());
                again_rows.push(id);
            } else if !self.reports.contains(&id) {
                self.counts.refused += 1;
            }
        }
        let again_exemplars = self.refused_exemplars(appended, &mut again);
        self.newly_tracked.extend(again_rows.iter().filter(|id| !self.reports.contains(id)));
        self.batch = again;
        self.rows = again_rows;
        self.exemplars = again_exemplars;
        if !self.batch.is_empty() {
            return true;
        }
        self.newly_tracked.clear();
        for id in std::mem::take(&mut self.markers) {
            self.series.free_unused(id);
        }
        false
    }

    /// Counts exemplars, and puts those whose handle the store did not know into the next batch, with labels.
    fn refused_exemplars(&mut self, appended: &Appended, again: &mut Batch) -> Vec<SeriesId> {
        self.counts.exemplars += appended.exemplars;
        let mut again_series = Vec::new();
        for refused in &appended.exemplars_refused {
            let Some(&id) = self.exemplars.get(refused.index) else { continue };
            let Some(one) = self.batch.exemplars().get(refused.index) else { continue };
            match (refused.reason, &one.series) {
                (ExemplarRefusal::UnknownHandle, RowSeries::Handle(_)) => {
                    let series = self.series.get_mut(id);
                    series.handle = None;
                    again.push_exemplar(series.labels.clone(), one.sample_timestamp, one.exemplar.clone());
                    again_series.push(id);
                }
                (ExemplarRefusal::Duplicate | ExemplarRefusal::Disabled, _) => {}
                _ => self.counts.exemplars_refused += 1,
            }
        }
        again_series
    }

    /// Says that the store could not take the batch: nothing of it counts, markers stay owed.
    pub fn abandoned(&mut self) {
        self.discard_rows();
        self.markers.clear();
    }

    fn begin(&mut self, now: Timestamp) {
        self.last = now;
        // Zero is for what was never seen. Stamps of passes 2^32 ago are long swept.
        self.pass = self.pass.checked_add(1).unwrap_or(1);
        self.abandoned();
        self.counts = Counts::default();
        self.spellings_seen = 0;
    }

    fn discard_rows(&mut self) {
        self.metadata.not_sent();
        self.batch.clear();
        self.rows.clear();
        self.exemplars.clear();
        self.newly_tracked.clear();
    }

    fn push(&mut self, id: SeriesId, time: Timestamp, value: f64) {
        match self.series.row(id) {
            RowSeries::Handle(handle) => self.batch.push_float(handle, time, value),
            labels => self.batch.push(labels, time, value),
        }
        self.rows.push(id);
    }

    /// Reads every entry. Gives how many of the tracked series came again.
    fn read(&mut self, format: Format, body: &[u8], now: Timestamp) -> Result<usize, PassError> {
        let mut seen_again = 0;
        let mut previous = NONE;
        self.batch = Batch::with_capacity(self.settled + report::NAMES.len());
        self.rows = Vec::with_capacity(self.settled + report::NAMES.len());
        let mut parser = Parser::new(format, body);
        loop {
            let guess = self.guess(previous);
            if let Some(spelling) = self.spellings.get(guess as usize)
                && let Some(sample) = parser.sample_of(&spelling.raw)
            {
                previous = guess;
                seen_again += usize::from(self.sample(guess, &sample?, now));
                continue;
            }
            let Some(entry) = parser.next() else { break };
            match entry? {
                Entry::Sample(sample) => {
                    previous = self.spelling(&sample, previous)?;
                    seen_again += usize::from(self.sample(previous, &sample, now));
                }
                Entry::Help(help) => self.metadata.help(&help, self.pass),
                Entry::Type(entry) => self.metadata.metric_type(&entry, self.pass),
                Entry::Unit(unit) => self.metadata.unit(&unit, self.pass),
                Entry::Comment(_) | Entry::Eof => {}
            }
        }
        let sample_limit = self.rules.limits.samples;
        if sample_limit > 0 && self.counts.kept as u64 > sample_limit {
            return Err(PassError::SampleLimit);
        }
        Ok(seen_again)
    }

    /// A sample with a spelling. `true` as [`take`](ScrapeCache::take) says it.
    fn sample(&mut self, at: u32, sample: &Sample<'_>, now: Timestamp) -> bool {
        self.counts.scraped += 1;
        let spelling = &mut self.spellings[at as usize];
        self.spellings_seen += usize::from(spelling.last_pass != self.pass);
        spelling.last_pass = self.pass;
        let Some(id) = spelling.series else { return false };
        self.counts.kept += 1;
        let sample_limit = self.rules.limits.samples;
        if sample_limit > 0 && self.counts.kept as u64 > sample_limit {
            return false;
        }
        let seen_again = self.take(id, sample, now);
        self.take_exemplar(id, sample, now);
        seen_again
    }

    /// Puts a sample into the batch. `true` when its series was tracked and comes for the first time in this pass.
    fn take(&mut self, id: SeriesId, sample: &Sample<'_>, now: Timestamp) -> bool {
        let written = sample.timestamp.filter(|_| self.rules.honor_timestamps);
        let pass = self.pass;
        let series = self.series.get_mut(id);
        if written.is_none() && std::mem::replace(&mut series.seen_untimed, pass) == pass {
            self.counts.duplicates += 1;
            return false;
        }
        let mut seen_again = false;
        if (written.is_none() || self.rules.track_timestamps_staleness)
            && std::mem::replace(&mut series.seen_tracked, pass) != pass
        {
            seen_again = series.tracked;
            if !series.tracked {
                self.newly_tracked.push(id);
            }
        }
        self.push(id, written.unwrap_or(now), sample.value);
        seen_again
    }

    /// Puts the exemplar of a sample into the batch. Its own time is taken even where the sample's is not. An exemplar fails no
    /// scrape: one whose labels cannot be read is left out.
    fn take_exemplar(&mut self, id: SeriesId, sample: &Sample<'_>, now: Timestamp) {
        let Some(exemplar) = &sample.exemplar else { return };
        let Ok(labels) = exemplar.labels(&mut self.scratch) else {
            self.counts.exemplars_refused += 1;
            return;
        };
        let sample_timestamp = sample.timestamp.filter(|_| self.rules.honor_timestamps).unwrap_or(now);
        let exemplar = Exemplar { labels, value: exemplar.value, timestamp: exemplar.timestamp };
        self.batch.push_exemplar(self.series.row(id), sample_timestamp, exemplar);
        self.exemplars.push(id);
    }

    /// The spelling that came next in the scrape before.
    fn guess(&self, previous: u32) -> u32 {
        self.spellings.get(previous as usize).map_or(self.first, |spelling| spelling.next)
    }

    /// The spelling of a sample: guessed, found, or new.
    fn spelling(&mut self, sample: &Sample<'_>, previous: u32) -> Result<u32, PassError> {
        let raw = sample.series();
        let guess = self.guess(previous);
        match self.spellings.get(guess as usize) {
            Some(spelling) if *spelling.raw == *raw => Ok(guess),
            _ => {
                let at = self.find_or_add(raw, sample)?;
                match self.spellings.get_mut(previous as usize) {
                    Some(before) => before.next = at,
                    None => self.first = at,
                }
                Ok(at)
            }
        }
    }

    fn find_or_add(&mut self, raw: &[u8], sample: &Sample<'_>) -> Result<u32, PassError> {
        let hash = self.hasher.hash_one(raw);
        let head = self.index.get(&hash).copied().unwrap_or(NONE);
        let mut at = head;
        while let Some(spelling) = self.spellings.get(at as usize) {
            if *spelling.raw == *raw {
                return Ok(at);
            }
            at = spelling.same_hash;
        }
        let exposed = sample.labels(&mut self.scratch)?;
        let labels = self.rules.apply(raw, &exposed, &self.target)?;
        let series = labels.map(|labels| self.series.add_spelling(labels));
        self.counts.series_added += usize::from(series.is_some());
        let at = u32::try_from(self.spellings.len()).expect("BUG: a body is bounded far below 2^32 series");
        self.spellings.push(Spelling { raw: raw.into(), series, next: NONE, same_hash: head, last_pass: 0 });
        self.index.insert(hash, at);
        Ok(at)
    }

    fn mark_vanished(&mut self, now: Timestamp) {
        self.markers = self.series.vanished(self.pass);
        for at in 0..self.markers.len() {
            self.push(self.markers[at], now, STALE_NAN);
        }
    }

    /// Markers for everything tracked. The target may still have it all, so spellings stay, unless they pile up.
    fn fail(&mut self, now: Timestamp) {
        self.markers = self.series.all_tracked();
        for at in 0..self.markers.len() {
            self.push(self.markers[at], now, STALE_NAN);
        }
        if self.spellings.len() > self.settled + SPARE_SPELLINGS {
            let pass = self.pass;
            self.sweep(|spelling| spelling.last_pass == pass);
            self.settled = self.spellings.len();
        }
    }

    /// Ends a pass that succeeded: forgets spellings that did not come.
    fn settle(&mut self) {
        self.metadata.end_pass(self.pass);
        self.metadata.put_unsent(&mut self.batch);
        let pass = self.pass;
        if self.spellings_seen < self.spellings.len() {
            self.sweep(|spelling| spelling.last_pass == pass);
        }
        self.settled = self.spellings.len();
    }

    /// Keeps some spellings and builds the index anew.
    fn sweep(&mut self, keep: impl Fn(&Spelling) -> bool) {
        let mut moved = vec![NONE; self.spellings.len()];
        let mut kept: Vec<Spelling> = Vec::with_capacity(self.spellings.len());
        for (at, spelling) in std::mem::take(&mut self.spellings).into_iter().enumerate() {
            if keep(&spelling) {
                moved[at] = kept.len() as u32;
                kept.push(spelling);
            } else if let Some(id) = spelling.series {
                self.series.remove_spelling(id);
            }
        }
        let place = |at: u32| moved.get(at as usize).copied().unwrap_or(NONE);
        self.first = place(self.first);
        self.index.clear();
        for (at, spelling) in kept.iter_mut().enumerate() {
            spelling.next = place(spelling.next);
            let before = self.index.insert(self.hasher.hash_one(&*spelling.raw), at as u32);
            spelling.same_hash = before.unwrap_or(NONE);
        }
        self.spellings = kept;
    }
}

fn is_marker(value: &SampleValue) -> bool {
    matches!(value, SampleValue::Float(value) if kymo_model::is_stale(*value))
}
