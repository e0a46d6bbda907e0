//! Integers: a column of numbers, as they are, as differences, or as distances from a straight line. All arithmetic wraps, so any
//! numbers come back.
//!
//! ```text
//! integers   form:2 scaled:1 unused:5   [before:signed   [step:signed]]   [offset:signed   factor:unsigned]   group…
//! ```

use super::ColdError;
use super::bytes::{Bytes, put_signed, put_unsigned};
use super::group::{GroupPlan, read_group};
use super::pack::GROUP;

/// What is written of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The number.
    Plain,
    /// Its difference to the one before.
    Difference,
    /// By how much that differs from the difference before.
    Second,
    /// Its distance from a straight line.
    Line,
}

impl Form {
    const ALL: [Form; 4] = [Form::Plain, Form::Difference, Form::Second, Form::Line];

    /// What values are tried with.
    pub(super) const VALUES: &[Form] = &[Form::Plain, Form::Difference, Form::Second];

    /// What times are tried with.
    pub(super) const TIMES: &[Form] = &[Form::Difference, Form::Second, Form::Line];
}

/// Set when the numbers were divided by a factor.
const SCALED: u8 = 0x04;

/// So many groups of a long column are tried.
const TRIED_GROUPS: usize = 4;

/// Numbers, and how they are written.
#[derive(Debug)]
pub(super) struct Planned {
    numbers: Vec<i64>,
    /// What they were divided by, and what was taken from them before.
    scale: Option<(u64, i64)>,
    form: Form,
    /// The number before the first, and the step before it or of the line.
    before: i64,
    step: i64,
    /// What a number costs, about, in thousandths of a bit.
    pub(super) millibits: usize,
}

impl Planned {
    /// The cheapest of some forms, found on a few groups.
    pub(super) fn of(mut numbers: Vec<i64>, forms: &[Form]) -> Planned {
        let scale = divide(&mut numbers);
        let mut best: Option<Planned> = None;
        for form in forms {
            let (before, step) = form.start(&numbers);
            let millibits = trial(&numbers, |at| form.residue(&numbers, at, before, step));
            if best.as_ref().is_none_or(|best| millibits < best.millibits) {
                best = Some(Planned { numbers: Vec::new(), scale, form: *form, before, step, millibits });
            }
        }
        let best = best.expect("BUG: there is a form to try");
        Planned { numbers, ..best }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Planned { numbers, scale, form, before, step, .. } = self;
        out.push(*form as u8 | if scale.is_some() { SCALED } else { 0 });
        if *form != Form::Plain {
            put_signed(out, *before);
        }
        if matches!(form, Form::Second | Form::Line) {
            put_signed(out, *step);
        }
        if let Some((factor, offset)) = scale {
            put_signed(out, *offset);
            put_unsigned(out, *factor);
        }
        let (mut base, mut residues) = (0, Vec::with_capacity(GROUP));
        for from in (0..numbers.len()).step_by(GROUP) {
            residues.clear();
            let places = from..(from + GROUP).min(numbers.len());
            residues.extend(places.map(|at| form.residue(numbers, at, *before, *step)));
            GroupPlan::of(&residues).write(&residues, &mut base, out);
        }
    }
}

impl Form {
    /// The number before the first, and the step before that or of the line; such that the first numbers cost nothing.
    fn start(self, numbers: &[i64]) -> (i64, i64) {
        let first = numbers.first().copied().unwrap_or(0);
        let step = numbers.get(1).map_or(0, |second| second.wrapping_sub(first));
        match self {
            Form::Plain => (0, 0),
            Form::Difference | Form::Second => (first.wrapping_sub(step), step),
            Form::Line => {
                let mut steps: Vec<i64> =
                    numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
                let middle = steps.len() / 2;
                let step = if steps.is_empty() { 0 } else { *steps.select_nth_unstable(middle).1 };
                (first.wrapping_sub(step), step)
            }
        }
    }

    fn residue(self, numbers: &[i64], at: usize, before: i64, step: i64) -> i64 {
        let number = |back: usize| match at.checked_sub(back) {
            Some(at) => numbers[at],
            None => before.wrapping_sub(if back - at > 1 { step } else { 0 }),
        };
        match self {
            Form::Plain => numbers[at],
            Form::Difference => numbers[at].wrapping_sub(number(1)),
            Form::Second => {
                numbers[at].wrapping_sub(number(1)).wrapping_sub(number(1).wrapping_sub(number(2)))
            }
            Form::Line => numbers[at].wrapping_sub(before).wrapping_sub(step.wrapping_mul(at as i64 + 1)),
        }
    }
}

/// What a number costs in thousandths of a bit, by a few groups.
fn trial(numbers: &[i64], residue: impl Fn(usize) -> i64) -> usize {
    let groups = numbers.len().div_ceil(GROUP).max(1);
    let tried = groups.min(TRIED_GROUPS);
    let (mut bits, mut count, mut residues) = (0, 0, Vec::with_capacity(GROUP));
    for number in 0..tried {
        let from = GROUP * (number * groups / tried);
        residues.clear();
        residues.extend((from..(from + GROUP).min(numbers.len())).map(&residue));
        if !residues.is_empty() {
            bits += GroupPlan::of(&residues).bits;
            count += residues.len();
        }
    }
    1000 * bits / count.max(1)
}

/// Divides all numbers by what divides all their distances from the first, if that is more than 1.
fn divide(numbers: &mut [i64]) -> Option<(u64, i64)> {
    let offset = *numbers.first()?;
    let mut factor = 0;
    for number in &*numbers {
        factor = common_divisor(number.abs_diff(offset), factor);
        if factor == 1 {
            return None;
        }
    }
    if factor == 0 {
        return None;
    }
    for number in numbers {
        let quotient = (number.abs_diff(offset) / factor) as i64;
        *number = if *number < offset { -quotient } else { quotient };
    }
    Some((factor, offset))
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Reads a column of numbers, group by group.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: Bytes<'a>,
    left: usize,
    form: Form,
    before: i64,
    step: i64,
    scale: Option<(u64, i64)>,
    base: i64,
}

impl<'a> Reader<'a> {
    pub(super) fn begin(mut bytes: Bytes<'a>, count: usize) -> Result<Reader<'a>, ColdError> {
        let shape = bytes.rest().first().copied().unwrap_or(0);
        if shape & !(SCALED | 0x03) != 0 {
            return Err(bytes.unexpected("a form of numbers", shape.into()));
        }
        bytes.byte("the form of the numbers")?;
        let form = Form::ALL[usize::from(shape & 0x03)];
        let before = if form == Form::Plain { 0 } else { bytes.signed("the number before the first")? };
        let step =
            if matches!(form, Form::Second | Form::Line) { bytes.signed("the first step")? } else { 0 };
        let scale = if shape & SCALED != 0 {
            let offset = bytes.signed("what the numbers are counted from")?;
            Some((bytes.unsigned("what the numbers are multiples of")?, offset))
        } else {
            None
        };
        Ok(Reader { bytes, left: count, form, before, step, scale, base: 0 })
    }

    /// The next numbers; how many they are. Those behind are anything.
    pub(super) fn group(&mut self, numbers: &mut [i64; GROUP]) -> Result<usize, ColdError> {
        let count = self.left.min(GROUP);
        let mut above = [0; GROUP];
        read_group(&mut self.bytes, count, &mut self.base, &mut above)?;
        self.left -= count;
        let base = self.base;
        let pairs = numbers.iter_mut().zip(&above);
        match self.form {
            Form::Plain => pairs.for_each(|(number, above)| *number = base.wrapping_add(*above as i64)),
            Form::Difference => {
                let mut last = self.before;
                pairs.for_each(|(number, above)| {
                    last = last.wrapping_add(base.wrapping_add(*above as i64));
                    *number = last;
                });
            }
            Form::Second => {
                let (mut last, mut step) = (self.before, self.step);
                pairs.take(count).for_each(|(number, above)| {
                    step = step.wrapping_add(base.wrapping_add(*above as i64));
                    last = last.wrapping_add(step);
                    *number = last;
                });
                self.step = step;
            }
            Form::Line => {
                let mut line = self.before;
                pairs.take(count).for_each(|(number, above)| {
                    line = line.wrapping_add(self.step);
                    *number = line.wrapping_add(base.wrapping_add(*above as i64));
                });
                self.before = line;
            }
        }
        if let (Form::Difference | Form::Second, Some(last)) = (self.form, count.checked_sub(1)) {
            self.before = numbers[last];
        }
        if let Some((factor, offset)) = self.scale {
            numbers
                .iter_mut()
                .for_each(|number| *number = offset.wrapping_add(number.wrapping_mul(factor as i64)));
        }
        Ok(count)
    }

    /// What follows the numbers, once all were read.
    pub(super) fn rest(&self) -> Bytes<'a> {
        self.bytes
    }
}
