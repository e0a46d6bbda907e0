//! Count: how often a series of histograms was reset or changed.

use std::borrow::Borrow;

use kymo_model::FloatHistogram;

use super::Window;

/// How many samples were preceded by a counter reset.
pub(crate) fn resets<H: Borrow<FloatHistogram>>(window: Window<'_, H>) -> usize {
    let reset =
        |index: &usize| window.start_reset(*index) || window.at(*index).detect_reset(window.at(index - 1));
    (1..window.len()).filter(reset).count()
}

/// How many samples differ from the one before.
pub(crate) fn changes<H: Borrow<FloatHistogram>>(window: Window<'_, H>) -> usize {
    (1..window.len()).filter(|index| !window.at(*index).same_bits(window.at(index - 1))).count()
}
