//! Append: judge the rows of a batch, log those that are taken, then make them visible. Write path, whole.
//!
//! One writer at a time holds the order of the log and of the head equal. Rows are judged against the head and against the
//! rows of the same batch before them; nothing is changed until the record is in the log, so a write that fails leaves no
//! trace. The slow part of new labels, finding that they are not new, is done before the writer is taken.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use std::num::NonZeroU64;

use kymo_model::{
    Append, Appended, Batch, Labels, Refusal, RefusedRow, RowSeries, SampleValue, SeriesHandle, StoreError,
    StoreErrorKind,
};

use crate::beside::{self, Admitted};
use crate::db::{Db, Shared};
use crate::disk_room::DiskRoom;
use crate::frame::{PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES};
use crate::head::{Cursor, Lateness, ROWS_MAX, Second, Verdict, is_sound, judge_same_time};
use crate::index::SeriesId;
use crate::lock::{lock, write};
use crate::maintain::spill_if_much;
use crate::options::{LabelBound, Options, SyncMode};
use crate::wal::{BatchRecord, Log, Packer, put_exemplars, put_metadata};

/// A row that is taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) id: SeriesId,
    pub(crate) t_ms: i64,
    pub(crate) value: SampleValue,
    /// Is it older than the newest of its series?
    pub(crate) late: bool,
}

/// Who holds this may append: the log, and memory that is used again from batch to batch.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) log: Log,
    /// Where each record of a batch ends.
    record_ends: Vec<usize>,
    record: Vec<u8>,
    packer: Packer,
    taken: Vec<Taken>,
    /// For each taken row 1 + the index of the taken row before it of the same series, 0 for none.
    before: Vec<u32>,
    new: Vec<(SeriesId, Labels)>,
    /// For each new series 1 + the index of its newest taken row.
    new_pending: Vec<u32>,
    new_by_labels: HashMap<Labels, u32>,
    label_bounds: Vec<LabelBound>,
    /// How many of the new series have a value, for each label whose values are bounded.
    new_by_label: Vec<HashMap<String, usize>>,
    pub(crate) disk_room: DiskRoom,
    /// Series of which chunks were sealed.
    sealed: Vec<SeriesId>,
    /// The definitions of the record before, to be repeated in the next.
    repeated: Vec<(SeriesId, Labels)>,
    /// Exemplars and metadata of the batch.
    admitted: Admitted,
}

impl Writer {
    pub(crate) fn new(log: Log, options: &Options) -> Writer {
        let label_bounds = options.label_bounds();
        Writer {
            log,
            new_by_label: label_bounds.iter().map(|_| HashMap::new()).collect(),
            label_bounds,
            disk_room: DiskRoom::new(options.disk_reserve_bytes),
            record_ends: Vec::new(),
            record: Vec::new(),
            packer: Packer::new(),
            taken: Vec::new(),
            before: Vec::new(),
            new: Vec::new(),
            new_pending: Vec::new(),
            new_by_labels: HashMap::new(),
            sealed: Vec::new(),
            repeated: Vec::new(),
            admitted: Admitted::default(),
        }
    }

    fn clear(&mut self) {
        self.taken.clear();
        self.before.clear();
        self.new.clear();
        self.new_pending.clear();
        self.new_by_labels.clear();
        self.new_by_label.iter_mut().for_each(HashMap::clear);
        self.admitted.clear();
        self.sealed.clear();
    }
}

impl Append for Db {
    fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        let shared = self.shared();
        let options = &shared.options;
        let rows_max = options.batch_rows_max.min(ROWS_MAX);
        for (what, found) in [
            ("rows", batch.len()),
            ("exemplars", batch.exemplars().len()),
            ("families", batch.metadata().len()),
        ] {
            if found > rows_max {
                let message = format!("expected at most {rows_max} {what} in a batch, found {found}");
                return Err(StoreError::new(StoreErrorKind::Limit, message));
            }
        }
        let (known_ids, _) = shared.head.next_and_live();
        let found = find_series(shared, batch);
        let mut writer = lock(&shared.writer);
        shared.ensure_writable()?;
        writer.clear();
        let mut judge = Judge::new(shared, &mut writer, known_ids);
        let mut outcome = judge.rows(batch, &found);
        if !batch.exemplars().is_empty() || !batch.metadata().is_empty() {
            let Writer { new, new_by_labels, admitted, .. } = &mut *writer;
            beside::admit(shared, batch, new, new_by_labels, admitted, &mut outcome);
        }
        let record = if writer.taken.is_empty() && writer.admitted.is_empty() {
            // Nothing to log, but what is repeated here may have been written a moment ago.
            shared.syncer.written()
        } else {
            match log(shared, &mut writer) {
                Ok(record) => record,
                Err(error) => {
                    forget_pending(shared, &writer.taken);
                    return Err(error);
                }
            }
        };
        apply(shared, &mut writer);
        beside::apply(shared, &mut writer.admitted);
        drop(writer);
        shared.count(&outcome);
        spill_if_much(shared);
        match options.sync {
            SyncMode::Always => shared.syncer.wait(record)?,
            SyncMode::IntervalMs(interval_ms) => {
                if shared.syncer.is_due(options.clock.monotonic_ms(), interval_ms) {
                    shared.syncer.wait(record)?;
                }
            }
            SyncMode::Never => {}
        }
        Ok(outcome)
    }
}

/// The ids of the rows that come with labels, as far as they have any yet.
fn find_series(shared: &Shared, batch: &Batch) -> Vec<Option<SeriesId>> {
    let labels = |row: &kymo_model::Row| matches!(row.series, RowSeries::Labels(_));
    if !batch.rows().iter().any(labels) {
        return Vec::new();
    }
    shared.head.find_all(batch.rows().iter().map(|row| match &row.series {
        RowSeries::Labels(labels) => Some(labels),
        RowSeries::Handle(_) => None,
    }))
}

fn log(shared: &Shared, writer: &mut Writer) -> Result<u64, StoreError> {
    let Writer { log, record_ends, record, packer, taken, new, repeated, admitted, disk_room, .. } = writer;
    record.clear();
    record_ends.clear();
    let mut put = |put: &mut dyn FnMut(&mut Vec<u8>)| {
        let start = record.len();
        record.resize(start + RECORD_HEADER_BYTES, 0);
        put(record);
        record_ends.push(record.len());
        let found = record.len() - start;
        if found > PAYLOAD_BYTES_MAX {
            let message =
                format!("expected a log record of at most {PAYLOAD_BYTES_MAX} bytes, found {found}");
            return Err(StoreError::new(StoreErrorKind::Limit, message));
        }
        Ok(())
    };
    if !taken.is_empty() {
        put(&mut |out| BatchRecord { repeated, new, rows: taken }.put(out, packer))?;
    }
    if !admitted.exemplars.is_empty() {
        put(&mut |out| put_exemplars(out, admitted.first_sequence, &admitted.exemplars))?;
    }
    if !admitted.families.is_empty() {
        put(&mut |out| put_metadata(out, &admitted.families))?;
    }
    disk_room.claim(record.len() as u64, &shared.options, &shared.paths.wal)?;
    log.append(record, record_ends)
}

/// Makes the taken rows visible, all at once.
fn apply(shared: &Shared, writer: &mut Writer) {
    let (head, now) = (&shared.head, shared.second());
    let Some(first) = writer.taken.first() else { return };
    let (mut min_ms, mut max_ms, mut late, mut chunks) = (first.t_ms, first.t_ms, 0, 0);
    let mut sealed_bytes = 0;
    let _whole_batches = write(&head.isolation);
    if !writer.new.is_empty() {
        head.create(&writer.new);
    }
    let pages = head.pages();
    let mut cursor = Cursor::new(&pages);
    for row in &writer.taken {
        let series = cursor.get(row.id).expect("BUG: a series was removed while the writer was held");
        series.touch(now);
        let more = if row.late {
            late += 1;
            series.push_late(row.t_ms, row.value.clone())
        } else {
            series.push(row.t_ms, &row.value)
        };
        if more > 0 {
            chunks += more;
            let unspilled = series.unspilled_bytes();
            if unspilled > 0 {
                sealed_bytes += unspilled as u64;
                writer.sealed.push(row.id);
            }
        }
        min_ms = min_ms.min(row.t_ms);
        max_ms = max_ms.max(row.t_ms);
    }
    head.extend_time(min_ms, max_ms);
    head.samples.fetch_add(writer.taken.len() as u64, Relaxed);
    head.chunks.fetch_add(chunks as u64, Relaxed);
    shared.counters.late.fetch_add(late, Relaxed);
    head.unspilled.add(&writer.sealed, sealed_bytes);
    std::mem::swap(&mut writer.repeated, &mut writer.new);
}

/// A batch that could not be logged: the series forget its rows.
fn forget_pending(shared: &Shared, taken: &[Taken]) {
    let (pages, now) = (shared.head.pages(), shared.second());
    let mut cursor = Cursor::new(&pages);
    for row in taken {
        // The new series of the batch are not there.
        if let Some(series) = cursor.get(row.id) {
            series.touch(now);
        }
    }
}

/// Judges the rows of one batch.
struct Judge<'a> {
    shared: &'a Shared,
    options: &'a Options,
    writer: &'a mut Writer,
    /// Ids below this were given out before the labels were looked up.
    known_ids: u32,
    next_id: u32,
    live: usize,
    latest_ms: i64,
    /// Samples before this were dropped for their size.
    floor_ms: i64,
    lateness: Lateness,
    now: Second,
}

/// The series of a row.
enum Place {
    Existing(SeriesId),
    /// By its index among the new ones.
    New(usize),
}

impl<'a> Judge<'a> {
    fn new(shared: &'a Shared, writer: &'a mut Writer, known_ids: u32) -> Judge<'a> {
        let options = &shared.options;
        let (next_id, live) = shared.head.next_and_live();
        let now_ms = options.clock.now().millis();
        let latest_ms = now_ms.saturating_add(options.ahead_ms_max);
        let floor_ms = shared.floor_ms.load(Relaxed);
        // What retention would drop at once is not taken. A new series has no age: its first sample may be as old as it likes.
        let lateness =
            Lateness { window_ms: options.out_of_order_window_ms.min(options.retention_ms), now_ms };
        let now = shared.see_second();
        Judge { shared, options, writer, known_ids, next_id, live, latest_ms, floor_ms, lateness, now }
    }

    fn rows(&mut self, batch: &Batch, found: &[Option<SeriesId>]) -> Appended {
        let mut outcome = Appended::default();
        let pages = self.shared.head.pages();
        let mut cursor = Cursor::new(&pages);
        for (index, row) in batch.rows().iter().enumerate() {
            let by_labels = found.get(index).copied().flatten();
            let judged = if is_sound(&row.value) {
                self.row(&mut cursor, &row.series, by_labels, row.timestamp.millis(), &row.value)
            } else {
                Err(Refusal::InvalidHistogram)
            };
            match judged {
                Ok(id) => {
                    outcome.appended += 1;
                    if let RowSeries::Labels(_) = row.series {
                        outcome.handles.push((index, handle(id)));
                    }
                }
                Err(reason) => outcome.refused.push(RefusedRow { row: index, reason }),
            }
        }
        outcome.series_created = self.writer.new.len();
        outcome
    }

    /// Takes a row, or says why not.
    fn row(
        &mut self,
        cursor: &mut Cursor<'_>,
        series: &RowSeries,
        by_labels: Option<SeriesId>,
        t_ms: i64,
        value: &SampleValue,
    ) -> Result<SeriesId, Refusal> {
        if t_ms > self.latest_ms {
            return Err(Refusal::TooFarAhead);
        }
        if t_ms < self.floor_ms {
            return Err(Refusal::TooOld);
        }
        let place = match series {
            RowSeries::Handle(handle) => Place::Existing(id(*handle).ok_or(Refusal::UnknownHandle)?),
            RowSeries::Labels(labels) => self.place(cursor, labels, by_labels)?,
        };
        match place {
            Place::Existing(id) => {
                let series = cursor.get(id).ok_or(Refusal::UnknownHandle)?;
                let pending = series.pending();
                let verdict = if pending == 0 {
                    series.judge(t_ms, value, self.lateness, &self.shared.head.store)
                } else {
                    self.judge_after(pending, t_ms, value, series.newest_ms(), |t_ms, value| {
                        series.judge(t_ms, value, Lateness::ANY, &self.shared.head.store)
                    })
                };
                match is_late(verdict)? {
                    Some(late) => {
                        let row = Taken { id, t_ms, value: value.clone(), late };
                        series.set_pending(self.take(row, pending));
                    }
                    // Somebody still says what is known.
                    None if pending == 0 => series.touch(self.now),
                    None => {}
                }
                Ok(id)
            }
            Place::New(index) => {
                let (id, pending) = (self.writer.new[index].0, self.writer.new_pending[index]);
                let verdict = match pending {
                    0 => Verdict::InOrder,
                    _ => self.judge_after(pending, t_ms, value, None, |_, _| Verdict::Late),
                };
                if let Some(late) = is_late(verdict)? {
                    let row = Taken { id, t_ms, value: value.clone(), late };
                    self.writer.new_pending[index] = self.take(row, pending);
                }
                Ok(id)
            }
        }
    }

    fn take(&mut self, row: Taken, before: u32) -> u32 {
        self.writer.taken.push(row);
        self.writer.before.push(before);
        self.writer.taken.len() as u32
    }

    /// Judges a row of a series of which rows of this batch were taken, the newest being `pending`. `stored` judges against
    /// what the series held before, whose newest sample is `newest_ms`.
    fn judge_after(
        &self,
        pending: u32,
        t_ms: i64,
        value: &SampleValue,
        newest_ms: Option<i64>,
        stored: impl Fn(i64, &SampleValue) -> Verdict,
    ) -> Verdict {
        let Writer { taken, before, .. } = &*self.writer;
        let last = &taken[pending as usize - 1];
        if !last.late && t_ms > last.t_ms {
            return Verdict::InOrder;
        }
        let (mut at, mut newest_ms) = (pending, newest_ms.unwrap_or(i64::MIN));
        while at > 0 {
            let row = &taken[at as usize - 1];
            if row.t_ms == t_ms {
                return judge_same_time(&row.value, value);
            }
            newest_ms = newest_ms.max(row.t_ms);
            at = before[at as usize - 1];
        }
        if t_ms > newest_ms {
            return Verdict::InOrder;
        }
        match stored(t_ms, value) {
            Verdict::InOrder | Verdict::Late => self.lateness.judge(newest_ms, t_ms),
            same_time => same_time,
        }
    }

    /// The series of these labels, made when there is none.
    fn place(
        &mut self,
        cursor: &mut Cursor<'_>,
        labels: &Labels,
        by_labels: Option<SeriesId>,
    ) -> Result<Place, Refusal> {
        if let Some(id) = by_labels
            && cursor.get(id).is_some()
        {
            return Ok(Place::Existing(id));
        }
        if let Some(index) = self.writer.new_by_labels.get(labels) {
            return Ok(Place::New(*index as usize));
        }
        // Somebody else may have made it since the labels were looked up, or retention may have removed and remade it.
        if self.next_id != self.known_ids || by_labels.is_some() {
            cursor.release();
            if let Some(id) = self.shared.head.find(labels) {
                return Ok(Place::Existing(id));
            }
        }
        self.check_labels(labels)?;
        let index = self.writer.new.len();
        let id = u32::try_from(index).ok().and_then(|index| self.next_id.checked_add(index));
        let id = id.filter(|id| *id < u32::MAX).ok_or(Refusal::SeriesLimit)?;
        if self.live + index >= self.options.series_max {
            return Err(Refusal::SeriesLimit);
        }
        if !self.writer.label_bounds.is_empty() {
            cursor.release();
            self.count_labels(labels)?;
        }
        self.writer.new.push((SeriesId(id), labels.clone()));
        self.writer.new_pending.push(0);
        self.writer.new_by_labels.insert(labels.clone(), index as u32);
        Ok(Place::New(index))
    }

    /// Counts a new series under its labels whose values are bounded, if there may be one more of each.
    fn count_labels(&mut self, labels: &Labels) -> Result<(), Refusal> {
        let Writer { label_bounds, new_by_label, .. } = &mut *self.writer;
        for (LabelBound { name, series_max }, new) in label_bounds.iter().zip(&*new_by_label) {
            if let Some(value) = labels.get(name) {
                let new = new.get(value).copied().unwrap_or(0);
                if self.shared.head.series_of_label(name, value) + new >= *series_max {
                    return Err(Refusal::SeriesPerLabelLimit);
                }
            }
        }
        for (LabelBound { name, .. }, new) in label_bounds.iter().zip(new_by_label) {
            if let Some(value) = labels.get(name) {
                *new.entry(value.to_owned()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn check_labels(&self, labels: &Labels) -> Result<(), Refusal> {
        if labels.is_empty() {
            return Err(Refusal::InvalidLabels);
        }
        if labels.len() > self.options.labels_max {
            return Err(Refusal::LabelCountLimit);
        }
        let Options { label_name_bytes_max, label_value_bytes_max, .. } = *self.options;
        let too_long = labels.iter().any(|label| {
            label.name.len() > label_name_bytes_max || label.value.len() > label_value_bytes_max
        });
        if too_long { Err(Refusal::LabelSizeLimit) } else { Ok(()) }
    }
}

/// Whether a row that is to be stored is late; `None` when it is there already.
fn is_late(verdict: Verdict) -> Result<Option<bool>, Refusal> {
    match verdict {
        Verdict::InOrder => Ok(Some(false)),
        Verdict::Late => Ok(Some(true)),
        Verdict::Repeat => Ok(None),
        Verdict::Refused(reason) => Err(reason),
    }
}

fn handle(id: SeriesId) -> SeriesHandle {
    SeriesHandle::new(NonZeroU64::MIN.saturating_add(u64::from(id.0)))
}

pub(crate) fn id(handle: SeriesHandle) -> Option<SeriesId> {
    u32::try_from(handle.get().get() - 1).ok().map(SeriesId)
}
