//! Resets: where a series of histograms starts anew, found once, so that rates of overlapping windows need not look again.
//!
//! A window is even if nothing in it is a gauge and all of it has one schema, one zero bucket and the same custom bounds: then a rate
//! has nothing to tell, and resets are all that matters between its first and its last sample. Others are looked through.

use std::borrow::Borrow;

use kymo_model::FloatHistogram;

use super::Window;
use super::rate::is_gauge;

/// What is known of the samples of one series.
#[derive(Debug)]
pub(crate) struct Resets {
    /// The samples before which there was a reset.
    resets: Vec<u32>,
    /// The samples that do not go with the one before them.
    uneven: Vec<u32>,
    gauges: Vec<u32>,
}

impl Resets {
    pub(crate) fn of<H: Borrow<FloatHistogram>>(window: Window<'_, H>) -> Resets {
        let mut found = Resets { resets: Vec::new(), uneven: Vec::new(), gauges: Vec::new() };
        for index in 0..window.len() {
            let h = window.at(index);
            let before = index.checked_sub(1).map(|before| window.at(before));
            if is_gauge(h) {
                found.gauges.push(index as u32);
            }
            if before.is_some_and(|before| !goes_with(h, before)) {
                found.uneven.push(index as u32);
            }
            if before.is_some_and(|before| window.start_reset(index) || h.detect_reset(before)) {
                found.resets.push(index as u32);
            }
        }
        found
    }

    /// The resets between the samples `first` and `last`, if all from one to the other are even.
    pub(crate) fn between(&self, first: usize, last: usize) -> Option<&[u32]> {
        let inside = |list: &[u32], from: usize| {
            let lo = list.partition_point(|at| (*at as usize) < from);
            lo..lo + list[lo..].partition_point(|at| (*at as usize) <= last)
        };
        // That the first sample does not go with the one before the window says nothing.
        let even = inside(&self.gauges, first).is_empty() && inside(&self.uneven, first + 1).is_empty();
        even.then(|| &self.resets[inside(&self.resets, first + 1)])
    }
}

/// Do two neighbours have the same schema, zero bucket and custom bounds?
fn goes_with(h: &FloatHistogram, before: &FloatHistogram) -> bool {
    h.schema == before.schema
        && h.zero_threshold == before.zero_threshold
        && h.custom_values == before.custom_values
}
