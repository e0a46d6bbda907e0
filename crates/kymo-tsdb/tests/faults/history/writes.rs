//! Writes: what a history appends, and what becomes of each row.

use super::*;

impl History {
    pub(super) fn append(&mut self) {
        let Some(db) = self.db.clone() else { return };
        self.now_ms += 1000 * (1 + self.random.below(self.pause_s_max) as i64);
        self.clock.advance_ms((self.now_ms - self.wall_ms()) as u64);
        let (mut rows, mut batch) = (Vec::new(), Batch::new());
        for (labels, t_ms, value) in self.new_rows() {
            let series = match self.handles.get(&labels) {
                Some(handle) if self.random.chance(2, 3) => RowSeries::Handle(*handle),
                _ => RowSeries::Labels(labels.clone()),
            };
            batch.push(series, Timestamp::from_millis(t_ms), value.clone());
            rows.push((labels, t_ms, value));
        }
        let monotonic_ms = self.monotonic_ms();
        self.model.now_ms = self.wall_ms();
        let expected = self.model.take(&rows, self.sync == SyncMode::Always, monotonic_ms);
        let series = self.push_beside(&mut batch, &rows, &expected);
        let (exemplars, families) =
            self.model.take_beside(&batch, &series, self.sync == SyncMode::Always, monotonic_ms);
        let unsure = self.model_before().map(|mut model| {
            model.last_batch_failed();
            model
        });
        match db.append(&batch) {
            Ok(outcome) => {
                self.taken += outcome.appended;
                let refused: Vec<_> =
                    outcome.refused.iter().map(|refused| (refused.row, refused.reason)).collect();
                let wanted: Vec<_> = expected
                    .iter()
                    .enumerate()
                    .filter_map(|(row, e)| e.err().map(|reason| (row, reason)))
                    .collect();
                assert_eq!(refused, wanted, "{}", self.what);
                assert_eq!(outcome.appended + refused.len(), rows.len(), "{}", self.what);
                let refused: Vec<_> =
                    outcome.exemplars_refused.iter().map(|refused| (refused.index, refused.reason)).collect();
                let wanted: Vec<_> =
                    exemplars.iter().enumerate().filter_map(|(at, e)| e.map(|reason| (at, reason))).collect();
                assert_eq!(refused, wanted, "{}", self.what);
                assert_eq!(outcome.exemplars + refused.len(), exemplars.len(), "{}", self.what);
                assert_eq!(
                    (outcome.metadata_changed, outcome.metadata_refused),
                    (families, 0),
                    "{}",
                    self.what
                );
                self.handles
                    .extend(outcome.handles.iter().map(|(row, handle)| (rows[*row].0.clone(), *handle)));
                self.recent.extend(rows);
                self.recent.drain(..self.recent.len().saturating_sub(RECENT_ROWS));
                self.synced_as_promised();
            }
            Err(_) => {
                self.model.last_batch_failed();
                self.note_failure();
            }
        }
        self.keep_places(unsure, false);
    }

    /// Adds exemplars of series that have a row in the batch, and metadata; gives the series of the exemplars.
    fn push_beside(
        &mut self,
        batch: &mut Batch,
        rows: &[(Labels, i64, SampleValue)],
        taken: &[Result<(), Refusal>],
    ) -> Vec<Option<Labels>> {
        let mut series = Vec::new();
        for (at, (labels, t_ms, _)) in rows.iter().enumerate() {
            if taken[at].is_err() || self.random.chance(2, 3) {
                continue;
            }
            self.next_value += 1;
            // A repeated value is a repeated exemplar, if it has no time of its own.
            let number = if self.random.chance(1, 4) { 7 } else { self.next_value };
            let trace = number.to_string() + &"é".repeat(if self.random.chance(1, 20) { 120 } else { 0 });
            let timestamp = self.random.chance(1, 2).then(|| *t_ms - self.random.below(9000) as i64);
            let exemplar = Exemplar {
                labels: Labels::from_pairs([("trace_id", trace.as_str())]),
                value: number as f64,
                timestamp: timestamp.map(Timestamp::from_millis),
            };
            if self.random.chance(1, 10) {
                let nobody = Labels::from_pairs([("__name__", "nobody")]);
                batch.push_exemplar(nobody, Timestamp::from_millis(*t_ms), exemplar);
                series.push(None);
            } else {
                batch.push_exemplar(batch.rows()[at].series.clone(), Timestamp::from_millis(*t_ms), exemplar);
                series.push(Some(labels.clone()));
            }
        }
        if self.random.chance(1, 4) {
            let metadata = Metadata {
                metric_type: if self.random.chance(1, 2) { MetricType::Counter } else { MetricType::Gauge },
                help: "x".repeat(self.random.below(4) as usize),
                ..Metadata::default()
            };
            let name = format!("family_{}", self.random.below(4));
            batch.push_metadata(FamilyMetadata { name, metadata });
        }
        series
    }

    /// A series that begins long ago, in a range that may be in a block already.
    pub(super) fn append_old(&mut self) {
        let Some(db) = self.db.clone() else { return };
        let labels = series_labels(10_000 + self.next_value as usize);
        let t_ms = self.now_ms - 2 * 3_600_000 - self.random.below(3 * 3_600_000) as i64;
        let value = self.value(0);
        let rows = [(labels.clone(), t_ms, value.clone())];
        let monotonic_ms = self.monotonic_ms();
        self.model.now_ms = self.wall_ms();
        let expected = self.model.take(&rows, self.sync == SyncMode::Always, monotonic_ms);
        assert_eq!(expected, [Ok(())], "{}", self.what);
        let mut batch = Batch::new();
        batch.push(labels, Timestamp::from_millis(t_ms), value);
        self.model.take_beside(&batch, &[], self.sync == SyncMode::Always, monotonic_ms);
        let unsure = self.model_before().map(|mut model| {
            model.last_batch_failed();
            model
        });
        match db.append(&batch) {
            Ok(outcome) => {
                assert_eq!(outcome.appended, 1, "{}", self.what);
                self.synced_as_promised();
            }
            Err(_) => {
                self.model.last_batch_failed();
                self.note_failure();
            }
        }
        self.keep_places(unsure, false);
    }

    /// The rows of a batch: mostly in order, some late, some too late, some twice.
    fn new_rows(&mut self) -> Vec<(Labels, i64, SampleValue)> {
        // Whether what is past the retention is still there is up to the database.
        let oldest_ms = self.now_ms - self.model.retention_ms;
        // Nor is it known of what is in a block any more that it is there: the block may be cut when no series waits for late
        // samples, or the series is idle.
        let cut_ms = (self.now_ms - WINDOW_MS).div_euclid(RANGE_MS) * RANGE_MS;
        let oldest_ms = oldest_ms.max(cut_ms).max(self.now_ms - 3_500_000);
        self.recent.retain(|(_, t_ms, _)| *t_ms > oldest_ms);
        let first = self.random.below(SERIES);
        let count = 1 + self.random.below(2 * SERIES);
        let mut rows = Vec::new();
        for i in 0..count {
            if !self.recent.is_empty() && self.random.chance(1, 12) {
                let (labels, t_ms, value) =
                    self.recent[self.random.below(self.recent.len() as u64) as usize].clone();
                let value = if self.random.chance(1, 2) { value } else { self.value(0) };
                rows.push((labels, t_ms, value));
                continue;
            }
            let labels = series_labels(((first + i) % SERIES) as usize * 37);
            let late_ms = match self.random.below(10) {
                0 => self.random.below(90_000) as i64,
                1 => 1000 * self.random.below(10) as i64,
                _ => 0,
            };
            let value = self.value((first + i) % SERIES);
            rows.push((labels, self.now_ms - late_ms + (i / SERIES) as i64, value));
        }
        rows
    }

    /// Mostly values that nobody else has, so that a wrong one cannot hide; sometimes a repeated one. Of four series one has
    /// histograms, and one has both.
    fn value(&mut self, series: u64) -> SampleValue {
        self.next_value += 1;
        if series % 4 == 1 || (series % 4 == 3 && self.random.chance(1, 3)) {
            return any_histogram(&mut self.random, self.next_value);
        }
        let float = match self.random.below(8) {
            0 => 1.0,
            1 => kymo_model::STALE_NAN,
            2 => self.next_value as f64 / 100.0,
            3 => f64::from_bits(self.random.next()),
            _ => self.next_value as f64,
        };
        SampleValue::Float(float)
    }
}
