//! Columns: the samples of one series while range functions and selectors run over them. Reused from series to series.

use kymo_model::{Samples, Values, is_stale};

use crate::QueryError;
use crate::context::Context;
use crate::grid::Grid;
use crate::row::Row;

/// Timestamps, strictly increasing, and as many floats.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    samples: Samples,
    /// A run after the first lands here before it is appended.
    next_run: Samples,
}

/// Borrowed columns of equal length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floats<'a> {
    pub(crate) times: &'a [i64],
    pub(crate) values: &'a [f64],
}

impl Columns {
    pub(crate) fn floats(&self) -> Floats<'_> {
        let values = self.samples.floats().unwrap_or(&[]);
        Floats { times: &self.samples.timestamps_ms[..values.len()], values }
    }

    /// Decodes a series. Samples in `[min, max]` must be floats; what lies outside is another use's business.
    pub(crate) fn load(
        &mut self,
        context: &Context,
        selection: usize,
        index: usize,
        (min, max): (i64, i64),
    ) -> Result<(), QueryError> {
        let series = context.sets[selection].series.series(index);
        let mut reader = series.reader();
        let unsupported = |run: &Samples| {
            let wanted = run.timestamps_ms.iter().any(|t| (min..=max).contains(t));
            wanted.then(|| {
                QueryError::execution(format!(
                    "native histograms are not supported yet, found samples of them in {}",
                    series.labels()
                ))
            })
        };
        let mut read = 0;
        let mut more = reader.read(&mut self.samples)?;
        while more && self.samples.floats().is_none() {
            read += self.samples.len();
            unsupported(&self.samples).map_or(Ok(()), Err)?;
            more = reader.read(&mut self.samples)?;
        }
        while more {
            context.budget.touch(self.samples.len(), 0)?;
            more = reader.read(&mut self.next_run)?;
            match (&mut self.samples.values, &self.next_run.values) {
                (Values::Floats(values), Values::Floats(next)) => {
                    values.extend_from_slice(next);
                    self.samples.timestamps_ms.extend_from_slice(&self.next_run.timestamps_ms);
                }
                _ => unsupported(&self.next_run).map_or(Ok(()), Err)?,
            }
        }
        read += self.samples.len();
        context.counters.read(read);
        Ok(())
    }

    /// The points of a row, as a subquery gives them to a range function.
    pub(crate) fn take_points(&mut self, row: &Row, grid: Grid) {
        let (times, values) = self.samples.floats_mut();
        for step in row.valid.iter() {
            times.push(grid.time(step));
            values.push(row.values[step]);
        }
    }

    /// Leaves out staleness markers, which ranges do not see.
    pub(crate) fn drop_stale(&mut self) {
        let Values::Floats(values) = &mut self.samples.values else { return };
        let Some(first) = values.iter().position(|v| is_stale(*v)) else { return };
        let times = &mut self.samples.timestamps_ms;
        let mut kept = first;
        for at in first..values.len() {
            if !is_stale(values[at]) {
                values[kept] = values[at];
                times[kept] = times[at];
                kept += 1;
            }
        }
        values.truncate(kept);
        times.truncate(kept);
    }
}
