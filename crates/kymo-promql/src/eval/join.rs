//! Operators between two vectors. Which series pair up is decided once, by labels; steps are then plain loops over rows.
//!
//! Upstream judges every step for itself: two series of the "one" side with the same labels are an error only where both
//! have a value. Here bitmaps of such series are compared, and only where there are any.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use kymo_model::Labels;
use kymo_promql_syntax::ast::{Cardinality, VectorMatching};

use super::binary::Operand;
use super::same::{CarriedHash, add_apart};
use crate::QueryError;
use crate::bits::Bits;
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::{Key, Numbering};
use crate::notes::label_list;
use crate::plan::{JoinPlan, Operation};
use crate::row::{Block, Row, Rows};
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
    plan: &JoinPlan,
    lhs: Vector<'q>,
    rhs: Vector<'q>,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let (matching, operation) = (&plan.matching, plan.operation);
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    if many.len() == 0 || one.len() == 0 {
        return Ok(Vector::empty());
    }
    let mut one_rows = Block::new(grid.steps, &context.budget);
    let mut numbering = Numbering::new(matching_key(matching));
    let mut ones: Vec<Vec<u32>> = Vec::new();
    let (mut scratch, mut row) = (context.scratch(), Row::default());
    for (at, series) in one.series.iter().enumerate() {
        one.fill(at, &mut scratch, &mut row)?;
        one_rows.push(&row)?;
        let number = numbering.number(series) as usize;
        if number == ones.len() {
            ones.push(Vec::new());
        }
        // A series without values pairs with nothing.
        if row.valid.any() {
            ones[number].push(at as u32);
        }
    }
    let sides = Sides { context, matching, operation, many, one: one.series, one_rows, ones, grid };
    let pairs = sides.pairs(&mut numbering);
    sides.refuse_conflicts(&pairs)?;
    let Sides { many, one_rows, .. } = sides;
    let Pairs { series, members, .. } = pairs;
    let one_name = operation.drops_name() && !context.delayed_name_removal;
    let mut rows = Joined { many: many.rows, one_rows, members, shared: Vec::new(), operation, swapped };
    rows.share(context, grid)?;
    Ok(Vector { series, rows: Box::new(rows), one_name })
}

struct Sides<'q, 'm> {
    context: &'q Context,
    matching: &'m VectorMatching,
    operation: Operation,
    many: Vector<'q>,
    one: Vec<Series>,
    one_rows: Block,
    /// For each match group the series of the "one" side.
    ones: Vec<Vec<u32>>,
    grid: Grid,
}

/// A series of the "many" side, one of the "one" side, and their match group.
#[derive(Clone, Copy)]
struct Pair {
    many: u32,
    one: u32,
    group: u32,
}

struct Pairs {
    /// The series of the result.
    series: Vec<Series>,
    /// For each of them what it is computed from.
    members: Vec<Vec<Pair>>,
    /// For each match group the series of the "many" side.
    manys: Vec<Vec<u32>>,
}

impl Sides<'_, '_> {
    fn pairs(&self, numbering: &mut Numbering) -> Pairs {
        let mut found: HashMap<Labels, u32, BuildHasherDefault<CarriedHash>> = HashMap::default();
        let mut pairs =
            Pairs { series: Vec::new(), members: Vec::new(), manys: vec![Vec::new(); numbering.len()] };
        for (at, series) in self.many.series.iter().enumerate() {
            let Some(group) = numbering.find(series) else { continue };
            pairs.manys[group as usize].push(at as u32);
            for one in &self.ones[group as usize] {
                let result = self.result(series, &self.one[*one as usize]);
                let number = *found.entry(result.labels()).or_insert(pairs.series.len() as u32);
                if number as usize == pairs.series.len() {
                    pairs.series.push(result);
                    pairs.members.push(Vec::with_capacity(1));
                }
                pairs.members[number as usize].push(Pair { many: at as u32, one: *one, group });
            }
        }
        pairs
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
    fn refuse_conflicts(&self, pairs: &Pairs) -> Result<(), QueryError> {
        let ambiguous = self.ambiguous_step()?;
        let repeated = self.repeated_step(pairs)?;
        match (ambiguous, repeated) {
            (None, None) => Ok(()),
            (Some(step), other) if other.is_none_or(|other| step <= other) => Err(self.ambiguous(step)),
            _ if self.matching.cardinality == Cardinality::OneToOne => Err(QueryError::execution(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            )),
            _ => Err(QueryError::execution(
                "multiple matches for labels: grouping labels must ensure unique matches",
            )),
        }
    }

    fn one_bits(&self, index: u32) -> Bits {
        let mut bits = Bits::zeros(self.grid.steps);
        bits.copy_from(self.one_rows.words(index as usize));
        bits
    }

    /// The first step at which a match group has two series of the "one" side, while the other side has any at all.
    fn ambiguous_step(&self) -> Result<Option<usize>, QueryError> {
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
        if !twice.any() {
            return Ok(None);
        }
        let mut many = Bits::zeros(self.grid.steps);
        let (mut scratch, mut row) = (self.context.scratch(), Row::default());
        for index in 0..self.many.len() {
            self.many.fill(index, &mut scratch, &mut row)?;
            many.or(&row.valid);
        }
        twice.and(&many);
        Ok(twice.iter().next())
    }

    fn ambiguous(&self, step: usize) -> QueryError {
        let mut first: HashMap<usize, u32> = HashMap::new();
        let mut groups = vec![usize::MAX; self.one.len()];
        for (group, ones) in self.ones.iter().enumerate() {
            ones.iter().for_each(|one| groups[*one as usize] = group);
        }
        for (at, series) in self.one.iter().enumerate() {
            if self.one_rows.get(at, step).is_none() {
                continue;
            }
            let Some(earlier) = first.insert(groups[at], at as u32) else { continue };
            let key = matching_key(self.matching);
            let side = if self.matching.cardinality == Cardinality::OneToMany { "left" } else { "right" };
            return QueryError::execution(format!(
                "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many \
                 matching not allowed: matching labels must be unique on one side",
                label_list(&series.labels().filtered(|name| key.wants(name))),
                label_list(&series.labels()),
                label_list(&self.one[earlier as usize].labels())
            ));
        }
        QueryError::execution("found duplicate series on one side of the operation")
    }

    /// The first step at which two series of the "many" side claim the same place in the result.
    fn repeated_step(&self, pairs: &Pairs) -> Result<Option<usize>, QueryError> {
        let mut earliest: Option<usize> = None;
        if self.matching.cardinality == Cardinality::OneToOne {
            for (group, manys) in pairs.manys.iter().enumerate() {
                if manys.len() > 1 && !self.ones[group].is_empty() {
                    let mut ones = Bits::zeros(self.grid.steps);
                    self.ones[group].iter().for_each(|one| ones.or(&self.one_bits(*one)));
                    earlier(&mut earliest, self.first_meeting(manys, &ones)?);
                }
            }
            return Ok(earliest);
        }
        for members in pairs.members.iter().filter(|members| members.len() > 1) {
            for pair in members {
                let same = members.iter().filter(|p| p.group == pair.group && p.one == pair.one);
                let manys: Vec<u32> = same.map(|p| p.many).collect();
                if manys.len() > 1 && manys[0] == pair.many {
                    earlier(&mut earliest, self.first_meeting(&manys, &self.one_bits(pair.one))?);
                }
            }
        }
        Ok(earliest)
    }

    /// The first step inside `within` at which two of these series of the "many" side have a value.
    fn first_meeting(&self, manys: &[u32], within: &Bits) -> Result<Option<usize>, QueryError> {
        let mut once = Bits::zeros(self.grid.steps);
        let mut twice = Bits::zeros(self.grid.steps);
        let (mut scratch, mut row) = (self.context.scratch(), Row::default());
        for many in manys {
            self.many.fill(*many as usize, &mut scratch, &mut row)?;
            let mut both = row.valid.clone();
            both.and(&once);
            twice.or(&both);
            once.or(&row.valid);
        }
        twice.and(within);
        Ok(twice.iter().next())
    }
}

fn earlier(earliest: &mut Option<usize>, step: Option<usize>) {
    if let Some(step) = step {
        *earliest = Some(earliest.map_or(step, |known| known.min(step)));
    }
}

struct Joined<'q> {
    many: Box<dyn Rows + 'q>,
    one_rows: Block,
    members: Vec<Vec<Pair>>,
    /// Rows of series that several pairs make, by their index; computed at once, as pairs may be in conflict.
    shared: Vec<(usize, Block)>,
    operation: Operation,
    swapped: bool,
}

impl Rows for Joined<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        match self.members[index][..] {
            [pair] => self.pair(pair, scratch, out),
            _ => match self.shared.binary_search_by_key(&index, |(at, _)| *at) {
                Ok(at) => self.shared[at].1.fill(0, scratch, out),
                Err(_) => Ok(()),
            },
        }
    }
}

impl Joined<'_> {
    fn share(&mut self, context: &Context, grid: Grid) -> Result<(), QueryError> {
        let (mut scratch, mut row, mut sum) = (context.scratch(), Row::default(), Row::default());
        for (at, members) in self.members.iter().enumerate().filter(|(_, members)| members.len() > 1) {
            self.pair(members[0], &mut scratch, &mut sum)?;
            for pair in &members[1..] {
                self.pair(*pair, &mut scratch, &mut row)?;
                add_apart(&row, false, &mut sum)?;
            }
            let mut block = Block::new(grid.steps, &context.budget);
            block.push(&sum)?;
            self.shared.push((at, block));
        }
        Ok(())
    }

    fn pair(&self, pair: Pair, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        let mut many = scratch.take_row();
        self.many.fill(pair.many as usize, scratch, &mut many)?;
        out.reset(many.values.len());
        out.valid.copy_from(self.one_rows.words(pair.one as usize));
        out.valid.and(&many.valid);
        let one = Operand::Values(self.one_rows.values(pair.one as usize));
        let many_values = Operand::Values(&many.values);
        let (left, right) = if self.swapped { (one, many_values) } else { (many_values, one) };
        self.operation.run(left, right, left, out);
        scratch.give_back(many);
        Ok(())
    }
}
