//! Series that become the same when labels change: merged where they do not meet in time, refused where they do.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use kymo_model::Labels;

use crate::QueryError;
use crate::bits::Bits;
use crate::context::Context;
use crate::notes::label_list;
use crate::row::{Block, Row, Rows};
use crate::vector::{Scratch, Series, Vector};

/// Merges series with the same labels; an error when two of them have a value at the same step.
pub(crate) fn merge_same<'q>(context: &Context, vector: Vector<'q>) -> Result<Vector<'q>, QueryError> {
    join_same(context, vector, Series::labels, Meeting::Apart)
}

/// The same by the labels that the result will show.
pub(crate) fn merge_same_finally<'q>(
    context: &Context,
    vector: Vector<'q>,
) -> Result<Vector<'q>, QueryError> {
    join_same(context, vector, Series::final_labels, Meeting::AtEnd)
}

/// An error when two series with the same labels have any value at all.
pub(super) fn refuse_same<'q>(context: &Context, vector: Vector<'q>) -> Result<Vector<'q>, QueryError> {
    join_same(context, vector, Series::labels, Meeting::Refused)
}

pub(super) fn same_labelset() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}

/// How series with the same labels may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    /// Not at all.
    Refused,
    /// With values at different steps.
    Apart,
    /// The same, in the result of the query. Upstream does not see there that a float and a histogram are at one step, and
    /// shows the histogram.
    AtEnd,
}

/// Series that stay apart stay lazy. Those that meet are computed at once, so that a conflict is found even where nobody
/// asks for their rows.
fn join_same<'q>(
    context: &Context,
    vector: Vector<'q>,
    labels: impl Fn(&Series) -> Labels,
    meeting: Meeting,
) -> Result<Vector<'q>, QueryError> {
    // Types and units go with the name, and series may differ in nothing else.
    let apart = vector.one_name && !vector.series.iter().any(Series::has_type_or_unit);
    if apart || vector.len() < 2 {
        return Ok(vector);
    }
    let mut first: HashMap<Labels, u32, BuildHasherDefault<CarriedHash>> = HashMap::default();
    let mut series: Vec<Series> = Vec::new();
    let mut members: Vec<Vec<u32>> = Vec::new();
    for (at, one) in vector.series.iter().enumerate() {
        context.check_now_and_then(at)?;
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
    let mut ready = None;
    let mut origins = Vec::with_capacity(members.len());
    let (mut scratch, mut row, mut sum) = (context.scratch(), Row::default(), Row::default());
    let refuse = meeting == Meeting::Refused;
    for (number, members) in members.iter().enumerate() {
        if let [only] = members[..] {
            origins.push(Origin::Input(only));
            continue;
        }
        vector.fill(members[0] as usize, &mut scratch, &mut sum)?;
        let mut at_end = BothKinds::of(&sum);
        // The series that has a value first says what becomes of the name.
        let mut begin = sum.valid.iter().next();
        for (at, member) in members.iter().enumerate().skip(1) {
            vector.fill(*member as usize, &mut scratch, &mut row)?;
            if let Some(step) = row.valid.iter().next()
                && begin.is_none_or(|begin| step < begin)
            {
                begin = Some(step);
                series[number] = vector.series[*member as usize].clone();
            }
            if meeting == Meeting::AtEnd && !at_end.take(&mut row, &mut sum) {
                return Err(same_labelset().with_detail(clash(
                    context,
                    &vector,
                    (&members[..at], *member),
                    refuse,
                    &labels,
                )));
            }
            if let Err(error) = add_apart(&row, refuse, &mut sum) {
                return Err(error.with_detail(clash(
                    context,
                    &vector,
                    (&members[..at], *member),
                    refuse,
                    &labels,
                )));
            }
        }
        let block = ready.get_or_insert_with(|| Block::new(sum.values.len(), &context.budget));
        origins.push(Origin::Ready(block.len() as u32));
        block.push(&sum)?;
    }
    let rows = Joined { input: vector.rows, origins, ready };
    Ok(Vector { series, rows: Box::new(rows), one_name: false })
}

/// Which of the earlier series a series is in conflict with, and what both became.
fn clash(
    context: &Context,
    vector: &Vector<'_>,
    (earlier, member): (&[u32], u32),
    refuse: bool,
    labels: &impl Fn(&Series) -> Labels,
) -> String {
    let (mut scratch, mut row, mut other) = (context.scratch(), Row::default(), Row::default());
    let meets = |candidate: &u32| {
        // What cannot be read again is not worth another error: the first one stands.
        vector.fill(member as usize, &mut scratch, &mut row).is_ok()
            && vector.fill(*candidate as usize, &mut scratch, &mut other).is_ok()
            && (refuse || row.valid.iter().any(|step| other.valid.get(step)))
            && other.valid.any()
    };
    let first = earlier.iter().copied().find(meets).unwrap_or(earlier[0]);
    let known = |at: u32| label_list(vector.series[at as usize].known_labels());
    let became = label_list(&labels(&vector.series[member as usize]));
    format!("{} and {} both became {became}", known(first), known(member))
}

/// Where the row of a series comes from.
#[derive(Clone, Copy)]
enum Origin {
    Input(u32),
    Ready(u32),
}

struct Joined<'q> {
    input: Box<dyn Rows + 'q>,
    origins: Vec<Origin>,
    ready: Option<Block>,
}

impl Rows for Joined<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        match (self.origins[index], &self.ready) {
            (Origin::Input(index), _) => self.input.fill(index as usize, scratch, out),
            (Origin::Ready(index), Some(block)) => block.fill(index as usize, scratch, out),
            (Origin::Ready(_), None) => Ok(()),
        }
    }

    fn may_note(&self) -> bool {
        self.input.may_note()
    }
}

/// At which steps the series met so far have floats, and at which histograms, seen or not.
struct BothKinds {
    floats: Bits,
    histograms: Bits,
}

impl BothKinds {
    fn of(row: &Row) -> BothKinds {
        let mut histograms = Bits::zeros(row.values.len());
        row.histogram_steps().iter().for_each(|step| histograms.set(*step));
        let mut floats = row.valid.clone();
        floats.and_not(&histograms);
        BothKinds { floats, histograms }
    }

    /// Where two rows have values of different kinds, leaves the histogram. False if both have the same kind at one step.
    fn take(&mut self, row: &mut Row, sum: &mut Row) -> bool {
        let of_row = BothKinds::of(row);
        let meet = |a: &Bits, b: &Bits| a.iter().any(|step| b.get(step));
        if meet(&of_row.floats, &self.floats) || meet(&of_row.histograms, &self.histograms) {
            return false;
        }
        sum.valid.and_not(&of_row.histograms);
        row.valid.and_not(&self.histograms);
        self.floats.or(&of_row.floats);
        self.histograms.or(&of_row.histograms);
        true
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
        if let Some(point) = row.point(step) {
            out.put(step, point);
        }
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
