//! Series that become the same when labels change: merged where they do not meet in time, refused where they do.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use kymo_model::Labels;

use crate::QueryError;
use crate::row::{Row, Rows};
use crate::vector::{Scratch, Series, Vector};

/// Merges series with the same labels; an error when two of them have a value at the same step.
pub(crate) fn merge_same(vector: Vector<'_>) -> Result<Vector<'_>, QueryError> {
    join_same(vector, Series::labels, false)
}

/// The same by the labels that the result will show.
pub(crate) fn merge_same_finally(vector: Vector<'_>) -> Result<Vector<'_>, QueryError> {
    join_same(vector, Series::final_labels, false)
}

/// An error when two series with the same labels have any value at all.
pub(super) fn refuse_same(vector: Vector<'_>) -> Result<Vector<'_>, QueryError> {
    join_same(vector, Series::labels, true)
}

pub(super) fn same_labelset() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}

fn join_same(
    vector: Vector<'_>,
    labels: impl Fn(&Series) -> Labels,
    refuse: bool,
) -> Result<Vector<'_>, QueryError> {
    if vector.one_name || vector.len() < 2 {
        return Ok(vector);
    }
    let mut first: HashMap<Labels, u32, BuildHasherDefault<CarriedHash>> = HashMap::default();
    let mut series: Vec<Series> = Vec::new();
    let mut members: Vec<Vec<u32>> = Vec::new();
    for (at, one) in vector.series.iter().enumerate() {
        let number = *first.entry(labels(one)).or_insert(series.len() as u32);
        if number as usize == series.len() {
            series.push(one.clone());
            members.push(Vec::with_capacity(1));
        }
        members[number as usize].push(at as u32);
    }
    if series.len() == vector.len() {
        return Ok(vector);
    }
    let rows = Joined { input: vector.rows, members, refuse };
    Ok(Vector { series, rows: Box::new(rows), one_name: false })
}

struct Joined<'q> {
    input: Box<dyn Rows + 'q>,
    /// For each series those of the input that it is made of.
    members: Vec<Vec<u32>>,
    refuse: bool,
}

impl Rows for Joined<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        let Some((first, rest)) = self.members[index].split_first() else { return Ok(()) };
        self.input.fill(*first as usize, scratch, out)?;
        let mut row = scratch.take_row();
        for member in rest {
            self.input.fill(*member as usize, scratch, &mut row)?;
            add_apart(&row, self.refuse, out)?;
        }
        scratch.give_back(row);
        Ok(())
    }
}

/// Adds the points of `row` to `out`, which must not have points at the same steps, or none at all.
pub(super) fn add_apart(row: &Row, refuse: bool, out: &mut Row) -> Result<(), QueryError> {
    if refuse && row.valid.any() && out.valid.any() {
        return Err(same_labelset());
    }
    for step in row.valid.iter() {
        if out.valid.get(step) {
            return Err(same_labelset());
        }
        out.set(step, row.values[step]);
    }
    Ok(())
}

/// Labels carry their hash; hashing it again would be waste.
#[derive(Default)]
pub(super) struct CarriedHash(u64);

impl Hasher for CarriedHash {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
