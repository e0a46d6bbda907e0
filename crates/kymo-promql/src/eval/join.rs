//! Operators between two vectors. Which series pair up is decided once, by labels; steps are then plain loops over rows.
//!
//! Upstream judges every step for itself: two series of the "one" side with the same labels are an error only where both
//! have a value. Here bitmaps of such series are compared, and only where there are any. `fill` adds pairs of a series and
//! nothing, which count at the steps where the other side has nothing (`fill.rs`).
//!
//! The rows of the "one" side are held, as several series may want them. Where labels show that each series has exactly one
//! partner, nothing is held and nothing can be in conflict: rows of both sides are computed when their pair is asked for.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use kymo_model::Labels;
use kymo_promql_syntax::ast::{BinaryOp, Cardinality, Span, VectorMatching};

use super::binary::Operand;
use super::fill::Fill;
use super::native_binary::{self, NativeBinary, Side};
use super::same::{CarriedHash, add_apart};
use crate::QueryError;
use crate::bits::Bits;
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::{Key, Numbering};
use crate::notes::label_list;
use crate::plan::{JoinPlan, Operation};
use crate::row::{Block, Point, Row, Rows};
use crate::vector::{Name, Scratch, Series, Vector, describes_metric};

pub(super) fn matching_key(matching: &VectorMatching) -> Key {
    if matching.on { Key::by(&matching.labels) } else { Key::without(&matching.labels) }
}

pub(super) fn join<'q>(
    context: &'q Context,
    plan: &'q JoinPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let lhs = super::vector(context, &plan.lhs, grid)?;
    let rhs = super::vector(context, &plan.rhs, grid)?;
    joined(context, plan, lhs, rhs, grid)
}

fn joined<'q>(
    context: &'q Context,
    plan: &'q JoinPlan,
    lhs: Vector<'q>,
    rhs: Vector<'q>,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let (matching, operation) = (&plan.matching, plan.operation);
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    let mut fill = Fill::new(matching);
    if !fill.any() && (many.len() == 0 || one.len() == 0) {
        many.note_rows(context, 0..many.len())?;
        one.note_rows(context, 0..one.len())?;
        return Ok(Vector::empty());
    }
    let mut numbering = Numbering::new(matching_key(matching));
    let groups: Vec<u32> = one.series.iter().map(|series| numbering.number(series)).collect();
    let Vector { series: one, rows: one_rows, .. } = one;
    let ones = vec![Vec::new(); numbering.len()];
    let held = Block::new(grid.steps, &context.budget);
    let mut sides = Sides { context, matching, operation, many, one, one_rows: held, ones, grid };
    let couples = if fill.any() { None } else { sides.couples(&mut numbering, &groups, &fill) };
    let (pairs, one) = match couples {
        Some(pairs) => (pairs, One::Asked(one_rows)),
        None => {
            sides.hold_ones(&groups, &*one_rows)?;
            let pairs = sides.pairs(&mut numbering, &fill);
            if fill.any() {
                sides.ones.resize(numbering.len(), Vec::new());
                fill.note_presence(&sides, &pairs)?;
            }
            sides.refuse_conflicts(&pairs, &fill).map_err(|e| e.at(plan.span))?;
            note_single(context, &sides.many, &pairs.members)?;
            (pairs, One::Held(sides.one_rows))
        }
    };
    let Pairs { series, members, .. } = pairs;
    let one_name = operation.drops_name() && !context.delayed_name_removal;
    let mut rows = Joined {
        context,
        grid,
        span: plan.span,
        many: sides.many.rows,
        one,
        members,
        shared: Vec::new(),
        operation,
        swapped,
        fill,
    };
    rows.share().map_err(|e| e.at(plan.span))?;
    Ok(Vector { series, rows: Box::new(rows), one_name })
}

/// Computes the rows of series without a partner, which nobody will ask for.
fn note_single(context: &Context, many: &Vector<'_>, members: &[Vec<Pair>]) -> Result<(), QueryError> {
    if !many.rows.may_note() {
        return Ok(());
    }
    let mut paired = Bits::zeros(many.len());
    members.iter().flatten().filter_map(|pair| pair.many).for_each(|at| paired.set(at as usize));
    many.note_rows(context, (0..many.len()).filter(|at| !paired.get(*at)))
}

pub(super) struct Sides<'q, 'm> {
    pub(super) context: &'q Context,
    matching: &'m VectorMatching,
    operation: Operation,
    pub(super) many: Vector<'q>,
    one: Vec<Series>,
    one_rows: Block,
    /// For each match group the series of the "one" side.
    pub(super) ones: Vec<Vec<u32>>,
    pub(super) grid: Grid,
}

/// A series of the "many" side, one of the "one" side, and their match group. A side that is filled has no series.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    many: Option<u32>,
    one: Option<u32>,
    group: u32,
}

#[derive(Default)]
pub(super) struct Pairs {
    /// The series of the result.
    series: Vec<Series>,
    /// For each of them what it is computed from.
    members: Vec<Vec<Pair>>,
    /// For each match group the series of the "many" side.
    pub(super) manys: Vec<Vec<u32>>,
    /// The number of each series of the result.
    found: HashMap<Labels, u32, BuildHasherDefault<CarriedHash>>,
}

impl Pairs {
    fn add(&mut self, result: Series, pair: Pair) {
        let number = *self.found.entry(result.labels()).or_insert(self.series.len() as u32);
        if number as usize == self.series.len() {
            self.series.push(result);
            self.members.push(Vec::with_capacity(1));
        }
        self.members[number as usize].push(pair);
    }
}

impl Sides<'_, '_> {
    /// The pairs, if every series of either side has exactly one partner and every pair a series of its own.
    fn couples(&mut self, numbering: &mut Numbering, groups: &[u32], fill: &Fill) -> Option<Pairs> {
        let count = self.one.len();
        if self.many.len() != count || numbering.len() != count {
            return None;
        }
        groups.iter().zip(0..).for_each(|(group, one)| self.ones[*group as usize].push(one));
        let pairs = self.pairs(numbering, fill);
        let are_couples = pairs.series.len() == count && pairs.manys.iter().all(|manys| manys.len() == 1);
        if are_couples {
            return Some(pairs);
        }
        self.ones.iter_mut().for_each(Vec::clear);
        None
    }

    /// Computes the rows of the "one" side, with the match group of each.
    fn hold_ones(&mut self, groups: &[u32], rows: &dyn Rows) -> Result<(), QueryError> {
        let (steps, one_rows, ones) = (self.grid.steps, &mut self.one_rows, &mut self.ones);
        let fill = |at: usize, scratch: &mut Scratch, row: &mut Row| rows.fill(at, scratch, row);
        self.context.in_order(groups.len(), steps, fill, |at, row| {
            one_rows.push(row)?;
            // A series without values pairs with nothing.
            if row.valid.any() {
                ones[groups[at] as usize].push(at as u32);
            }
            Ok(())
        })
    }

    fn pairs(&self, numbering: &mut Numbering, fill: &Fill) -> Pairs {
        let mut pairs = Pairs { manys: vec![Vec::new(); numbering.len()], ..Pairs::default() };
        for (at, series) in self.many.series.iter().enumerate() {
            let many = Some(at as u32);
            let group = match fill.one {
                Some(_) => numbering.number(series),
                None => match numbering.find(series) {
                    Some(group) => group,
                    None => continue,
                },
            };
            if group as usize == pairs.manys.len() {
                pairs.manys.push(Vec::new());
            }
            pairs.manys[group as usize].push(at as u32);
            for one in self.ones.get(group as usize).into_iter().flatten() {
                let result = self.result(series, &self.one[*one as usize]);
                pairs.add(result, Pair { many, one: Some(*one), group });
            }
            if fill.one.is_some() {
                let result = self.result(series, &self.filled(series));
                pairs.add(result, Pair { many, one: None, group });
            }
        }
        if fill.many.is_some() {
            for (group, ones) in self.ones.iter().enumerate() {
                for one in ones {
                    let series = &self.one[*one as usize];
                    let result = self.result(&self.filled(series), series);
                    pairs.add(result, Pair { many: None, one: Some(*one), group: group as u32 });
                }
            }
        }
        pairs
    }

    /// The series that stands for a missing partner of `series`: it has the labels that are matched.
    fn filled(&self, series: &Series) -> Series {
        let key = matching_key(self.matching);
        Series::new(series.labels().filtered(|name| key.wants(name)))
    }

    /// The labels of the result of a pair.
    fn result(&self, many: &Series, one: &Series) -> Series {
        let matching = self.matching;
        let listed = |name: &str| matching.labels.iter().any(|n| n == name);
        let delayed = self.context.delayed_name_removal;
        let nameless = self.operation.is_arithmetic() || (self.operation.bool && !delayed);
        let one_to_one = matching.cardinality == Cardinality::OneToOne;
        let labels = many.labels().filtered(|name| {
            !(nameless && describes_metric(name)) && (!one_to_one || listed(name) == matching.on)
        });
        let labels = if matching.include.is_empty() {
            labels
        } else {
            let mut builder = labels.to_builder();
            for name in &matching.include {
                builder.set(name, one.get(name).unwrap_or(""));
            }
            builder.build()
        };
        let name = if self.operation.bool && delayed { Name::DropAtEnd } else { Name::Kept };
        Series::new(labels).with_name(name)
    }

    /// Reports the conflict of the earliest step, if there is one.
    fn refuse_conflicts(&self, pairs: &Pairs, fill: &Fill) -> Result<(), QueryError> {
        let ambiguous = self.ambiguous_step(fill)?;
        let repeated = self.repeated_step(pairs, fill)?;
        match (ambiguous, repeated) {
            (None, None) => Ok(()),
            (Some(step), other) if other.as_ref().is_none_or(|other| step <= other.step) => {
                Err(self.ambiguous(step))
            }
            (_, Some(repeated)) => Err(self.repeated(&repeated)),
            (Some(step), None) => Err(self.ambiguous(step)),
        }
    }

    /// Leaves out the values of a series of the "many" side that the operator refuses to combine with their partners.
    pub(super) fn leave_out_refused(&self, many: &mut Row, ones: &[u32], filled: Option<f64>) {
        let op = self.operation.op;
        let trims = matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
        let of_ones = ones.iter().any(|one| self.one_rows.histograms(*one as usize).is_some());
        if many.histograms.is_empty() && !of_ones && !trims {
            return;
        }
        let mut valid = many.valid.clone();
        valid.retain(|step| {
            let one = ones.iter().map(|one| *one as usize).find(|one| self.one_rows.has(*one, step));
            let one = match one.map(|one| (one, self.one_rows.histograms(one).and_then(|h| h.get(step)))) {
                Some((_, Some(histogram))) => Point::Histogram(histogram),
                Some((one, None)) => Point::Float(self.one_rows.values(one)[step]),
                None => match filled {
                    Some(value) => Point::Float(value),
                    None => return true,
                },
            };
            let Some(many) = many.point(step) else { return true };
            let swapped = self.matching.cardinality == Cardinality::OneToMany;
            let (left, right) = if swapped { (one, many) } else { (many, one) };
            !native_binary::is_refused(op, left, right)
        });
        many.valid = valid;
    }

    pub(super) fn one_bits(&self, index: u32) -> Bits {
        let mut bits = Bits::zeros(self.grid.steps);
        bits.copy_from(self.one_rows.words(index as usize));
        bits
    }

    /// The first step at which a match group has two series of the "one" side, while the other side has any at all, or is
    /// filled.
    fn ambiguous_step(&self, fill: &Fill) -> Result<Option<usize>, QueryError> {
        let mut twice = Bits::zeros(self.grid.steps);
        for ones in self.ones.iter().filter(|ones| ones.len() > 1) {
            let mut once = Bits::zeros(self.grid.steps);
            for one in ones {
                let mut bits = self.one_bits(*one);
                let both = bits.clone();
                bits.and(&once);
                twice.or(&bits);
                once.or(&both);
            }
        }
        if twice.any() && !fill.any() {
            let mut many = Bits::zeros(self.grid.steps);
            self.many.each_row(self.context, self.grid.steps, |_, row| {
                many.or(&row.valid);
                Ok(())
            })?;
            twice.and(&many);
        }
        Ok(twice.iter().next())
    }

    fn ambiguous(&self, step: usize) -> QueryError {
        let mut first: HashMap<usize, u32> = HashMap::new();
        let mut groups = vec![usize::MAX; self.one.len()];
        for (group, ones) in self.ones.iter().enumerate() {
            ones.iter().for_each(|one| groups[*one as usize] = group);
        }
        for (at, series) in self.one.iter().enumerate() {
            if !self.one_rows.has(at, step) {
                continue;
            }
            let Some(earlier) = first.insert(groups[at], at as u32) else { continue };
            let key = matching_key(self.matching);
            let side = if self.matching.cardinality == Cardinality::OneToMany { "left" } else { "right" };
            let mut two = [series, &self.one[earlier as usize]].map(Series::labels);
            two.sort();
            return QueryError::execution(format!(
                "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many \
                 matching not allowed: matching labels must be unique on one side",
                label_list(&series.labels().filtered(|name| key.wants(name))),
                label_list(&two[0]),
                label_list(&two[1])
            ));
        }
        QueryError::execution("found duplicate series on one side of the operation")
    }

    /// The first step at which two series of the "many" side claim the same place in the result.
    fn repeated_step(&self, pairs: &Pairs, fill: &Fill) -> Result<Option<Repeated>, QueryError> {
        let mut earliest: Option<Repeated> = None;
        if self.matching.cardinality == Cardinality::OneToOne {
            for (group, manys) in pairs.manys.iter().enumerate().filter(|(_, manys)| manys.len() > 1) {
                let mut ones = Bits::zeros(self.grid.steps);
                match fill.one {
                    Some(_) => ones.set_all(),
                    None => self.ones[group].iter().for_each(|one| ones.or(&self.one_bits(*one))),
                }
                let partners = (self.ones.get(group).map_or(&[][..], |ones| ones), fill.one);
                earlier(&mut earliest, self.first_meeting(manys, partners, &ones)?);
            }
            return Ok(earliest);
        }
        for members in pairs.members.iter().filter(|members| members.len() > 1) {
            for pair in members {
                let same = members.iter().filter(|p| p.group == pair.group && p.one == pair.one);
                let manys: Vec<u32> = same.filter_map(|p| p.many).collect();
                if manys.len() > 1 && Some(manys[0]) == pair.many {
                    let within = match pair.one {
                        Some(one) => self.one_bits(one),
                        None => fill.without_one(pair.group, self.grid.steps),
                    };
                    let partners = (pair.one.as_slice(), fill.one);
                    earlier(&mut earliest, self.first_meeting(&manys, partners, &within)?);
                }
            }
        }
        Ok(earliest)
    }

    /// The first step inside `within` at which two of these series of the "many" side have a value, and the two.
    /// Pairs that the operator refuses do not count.
    fn first_meeting(
        &self,
        manys: &[u32],
        (ones, filled): (&[u32], Option<f64>),
        within: &Bits,
    ) -> Result<Option<Repeated>, QueryError> {
        let mut once = Bits::zeros(self.grid.steps);
        let mut twice = Bits::zeros(self.grid.steps);
        let (mut scratch, mut row) = (self.context.scratch(), Row::default());
        for many in manys {
            self.many.fill(*many as usize, &mut scratch, &mut row)?;
            self.leave_out_refused(&mut row, ones, filled);
            let mut both = row.valid.clone();
            both.and(&once);
            twice.or(&both);
            once.or(&row.valid);
        }
        twice.and(within);
        let Some(step) = twice.iter().next() else { return Ok(None) };
        let mut met = Vec::with_capacity(2);
        for many in manys {
            self.many.fill(*many as usize, &mut scratch, &mut row)?;
            self.leave_out_refused(&mut row, ones, filled);
            if row.valid.get(step) && met.len() < 2 {
                met.push(*many);
            }
        }
        Ok(Some(Repeated { step, manys: met }))
    }

    /// Two series of the "many" side for one place: what upstream says, and which two they are.
    fn repeated(&self, repeated: &Repeated) -> QueryError {
        let message = if self.matching.cardinality == Cardinality::OneToOne {
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        } else {
            "multiple matches for labels: grouping labels must ensure unique matches"
        };
        let side = if self.matching.cardinality == Cardinality::OneToMany { "right" } else { "left" };
        let manys = repeated.manys.iter().map(|many| &self.many.series[*many as usize]);
        let manys: Vec<String> = manys.map(|series| label_list(&series.labels())).collect();
        let group =
            repeated.manys.first().map(|many| self.filled(&self.many.series[*many as usize]).labels());
        let group = label_list(&group.unwrap_or_else(Labels::empty));
        QueryError::execution(message).with_detail(format!(
            "the match group {group} has more than one series on the {side} hand-side: {}",
            manys.join(" and ")
        ))
    }
}

/// Series of the "many" side that meet at a step.
struct Repeated {
    step: usize,
    manys: Vec<u32>,
}

fn earlier(earliest: &mut Option<Repeated>, found: Option<Repeated>) {
    if let Some(found) = found
        && earliest.as_ref().is_none_or(|known| found.step < known.step)
    {
        *earliest = Some(found);
    }
}

/// The rows of the "one" side.
enum One<'q> {
    Held(Block),
    /// Of couples: each is asked for once, with its partner.
    Asked(Box<dyn Rows + 'q>),
}

/// A row of the "many" side, and whose it is.
#[derive(Default)]
struct ManyRow {
    index: Option<u32>,
    row: Row,
}

struct Joined<'q> {
    context: &'q Context,
    grid: Grid,
    span: Span,
    many: Box<dyn Rows + 'q>,
    one: One<'q>,
    members: Vec<Vec<Pair>>,
    /// Rows of series that several pairs make, by their index; computed at once, as pairs may be in conflict.
    shared: Vec<(usize, Block)>,
    operation: Operation,
    swapped: bool,
    fill: Fill,
}

impl Rows for Joined<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        match self.members[index][..] {
            [pair] => {
                let mut many = ManyRow { index: None, row: scratch.take_row() };
                let outcome = self.pair(pair, &mut many, scratch, out);
                scratch.give_back(many.row);
                outcome
            }
            _ => match self.shared.binary_search_by_key(&index, |(at, _)| *at) {
                Ok(at) => self.shared[at].1.fill(0, scratch, out),
                Err(_) => Ok(()),
            },
        }
    }
}

impl Joined<'_> {
    fn share(&mut self) -> Result<(), QueryError> {
        let context = self.context;
        let (mut scratch, mut row, mut sum) = (context.scratch(), Row::default(), Row::default());
        // A series whose partners take turns is computed once.
        let mut many = ManyRow::default();
        for (at, members) in self.members.iter().enumerate().filter(|(_, members)| members.len() > 1) {
            self.pair(members[0], &mut many, &mut scratch, &mut sum)?;
            for pair in &members[1..] {
                self.pair(*pair, &mut many, &mut scratch, &mut row)?;
                add_apart(&row, false, &mut sum)?;
            }
            let mut block = Block::new(self.grid.steps, &context.budget);
            block.push(&sum)?;
            self.shared.push((at, block));
        }
        Ok(())
    }

    /// The row of a pair. `many` is that of the "many" side, if it has the right one already.
    fn pair(
        &self,
        pair: Pair,
        many: &mut ManyRow,
        scratch: &mut Scratch,
        out: &mut Row,
    ) -> Result<(), QueryError> {
        let mut asked = scratch.take_row();
        if let (One::Asked(rows), Some(index)) = (&self.one, pair.one) {
            rows.fill(index as usize, scratch, &mut asked)?;
        }
        if let Some(index) = pair.many.filter(|index| many.index != Some(*index)) {
            many.index = None;
            self.many.fill(index as usize, scratch, &mut many.row)?;
            many.index = Some(index);
        }
        let many = &many.row;
        let steps = self.grid.steps;
        out.reset(steps);
        let many_side = match (pair.many, self.fill.many) {
            (None, Some(value)) => Side { floats: Operand::Constant(value), histograms: None },
            _ => Side::of_row(many),
        };
        let one_side = match (pair.one, &self.one) {
            (Some(_), One::Asked(_)) => {
                out.valid.copy_from(asked.valid.words());
                Side::of_row(&asked)
            }
            (Some(one), One::Held(rows)) => {
                let one = one as usize;
                out.valid.copy_from(rows.words(one));
                Side { floats: Operand::Values(rows.values(one)), histograms: rows.histograms(one) }
            }
            (None, _) => {
                out.valid.copy_from(self.fill.without_one(pair.group, steps).words());
                let value = self.fill.one.unwrap_or(f64::NAN);
                Side { floats: Operand::Constant(value), histograms: None }
            }
        };
        match pair.many {
            Some(_) => out.valid.and(&many.valid),
            None => out.valid.and(&self.fill.without_many(pair.group, steps)),
        }
        let (left, right) = if self.swapped { (one_side, many_side) } else { (many_side, one_side) };
        if native_binary::concerns(self.operation, left, right) {
            let Joined { context, operation, span, .. } = *self;
            let rank = pair.many.or(pair.one.map(|one| one.saturating_add(1 << 31))).unwrap_or(0) as usize;
            NativeBinary { context, operation, span, rank }.run(left, right, left, out);
        } else {
            self.operation.run(left.floats, right.floats, left.floats, out);
        }
        scratch.give_back(asked);
        Ok(())
    }
}
