//! Spare: memory of results that were given back, for those of later queries.
//!
//! The columns of a large result are memory that the operating system takes back as soon as it is free, and hands out anew page
//! by page: a tenth of what a query of millions of points costs.

use std::sync::{Arc, Mutex, PoisonError};

/// Shared by an engine and its clones.
#[derive(Clone, Debug)]
pub(crate) struct Spare {
    bytes_max: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    columns: Vec<Vec<f64>>,
    bytes: usize,
}

fn bytes_of(column: &Vec<f64>) -> usize {
    column.capacity() * size_of::<f64>()
}

impl Spare {
    pub(crate) fn new(bytes_max: usize) -> Spare {
        Spare { bytes_max, kept: Arc::default() }
    }

    /// A column with this many values, whatever they are.
    pub(crate) fn take(&self, len: usize) -> Vec<f64> {
        if len == 0 {
            return Vec::new();
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let column = kept.columns.pop();
        kept.bytes -= column.as_ref().map_or(0, bytes_of);
        drop(kept);
        // A column of another query may be much longer: its memory would be held in vain.
        let fits = |column: &Vec<f64>| (len..=2 * len).contains(&column.capacity());
        match column.filter(fits) {
            Some(mut column) => {
                column.resize(len, 0.0);
                column
            }
            None => vec![0.0; len],
        }
    }

    /// Keeps a column if there is room for it.
    pub(crate) fn give(&self, column: Vec<f64>) {
        let bytes = bytes_of(&column);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes > 0 && kept.bytes.saturating_add(bytes) <= self.bytes_max {
            kept.bytes += bytes;
            kept.columns.push(column);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_kept_as_long_as_there_is_room() {
        let spare = Spare::new(100);
        spare.give(vec![1.0; 5]);
        spare.give(vec![2.0; 8]);
        assert_eq!(spare.take(4), [1.0; 4]);
        assert_eq!(spare.take(4), [0.0; 4]);
        // Too long, and too short.
        for len in [2, 6] {
            spare.give(vec![3.0; 5]);
            assert_eq!(spare.take(len), vec![0.0; len]);
        }
        assert_eq!(spare.kept.lock().expect("no panic").bytes, 0);
        Spare::new(0).give(vec![1.0]);
    }
}
