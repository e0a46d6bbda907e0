//! `fill`, `fill_left`, `fill_right`: a value for the side of an operation that has no series at a step.
//!
//! A filled pair is a series and nothing. It counts at the steps where the nothing is one: where no series of the match
//! group has a value on the other side. Upstream decides at each step anew, and so do the bitmaps here. Values that the
//! operator refuses, being of kinds that do not go together, have found no partner.

use kymo_promql_syntax::ast::VectorMatching;

use super::join::{Pairs, Sides};
use crate::QueryError;
use crate::bits::Bits;
use crate::row::Row;

/// The values, by what they stand for, and where each match group has series.
///
/// `fill_left` fills the side with many series and `fill_right` the other, also under `group_right`: upstream swaps the
/// sides and not the values.
pub(super) struct Fill {
    /// For a missing series of the "many" side.
    pub(super) many: Option<f64>,
    /// For a missing series of the "one" side.
    pub(super) one: Option<f64>,
    many_present: Vec<Bits>,
    one_present: Vec<Bits>,
}

impl Fill {
    pub(super) fn new(matching: &VectorMatching) -> Fill {
        Fill {
            many: matching.fill_left,
            one: matching.fill_right,
            many_present: Vec::new(),
            one_present: Vec::new(),
        }
    }

    pub(super) fn any(&self) -> bool {
        self.many.is_some() || self.one.is_some()
    }

    /// Looks where each match group has any series, on the sides that are filled.
    pub(super) fn note_presence(&mut self, sides: &Sides<'_, '_>, pairs: &Pairs) -> Result<(), QueryError> {
        let steps = sides.grid.steps;
        if self.one.is_some() {
            for ones in &sides.ones {
                let mut present = Bits::zeros(steps);
                ones.iter().for_each(|one| present.or(&sides.one_bits(*one)));
                self.one_present.push(present);
            }
        }
        if self.many.is_some() {
            let (mut scratch, mut row) = (sides.context.scratch(), Row::default());
            for (manys, ones) in pairs.manys.iter().zip(&sides.ones) {
                let mut present = Bits::zeros(steps);
                // Nobody asks about a group that has nothing on the "one" side.
                for many in manys.iter().filter(|_| !ones.is_empty()) {
                    sides.many.fill(*many as usize, &mut scratch, &mut row)?;
                    sides.leave_out_refused(&mut row, ones, self.one);
                    present.or(&row.valid);
                }
                self.many_present.push(present);
            }
        }
        Ok(())
    }

    /// The steps at which a group has nothing on the "many" side.
    pub(super) fn without_many(&self, group: u32, steps: usize) -> Bits {
        absent(&self.many_present, group, steps)
    }

    /// The steps at which a group has nothing on the "one" side.
    pub(super) fn without_one(&self, group: u32, steps: usize) -> Bits {
        absent(&self.one_present, group, steps)
    }
}

fn absent(present: &[Bits], group: u32, steps: usize) -> Bits {
    let mut bits = Bits::zeros(steps);
    bits.set_all();
    if let Some(present) = present.get(group as usize) {
        bits.and_not(present);
    }
    bits
}
