//! From a plan, and what was measured of it, to an explanation.

use std::fmt::Write;

use kymo_model::{LabelsNeeded, MatchOp, Matcher, format_duration, format_float};
use kymo_promql_syntax::ast::{Cardinality, Edges, Expr, VectorMatching};
use kymo_promql_syntax::quote_string;

use super::{Explanation, OperatorCost, OperatorNode, SelectionCost, SelectionNode};
use crate::context::Context;
use crate::grid::{Grid, Shift};
use crate::plan::{
    AggregateOp, AggregatePlan, HistogramFunction, HistogramPlan, Operation, Plan, RangeCallPlan, RangePlan,
    RangeSource, Root, ScalarPlan, SelectPlan, Selection, SetOp, SharedPlan, Sort, VectorPlan,
};
use crate::probe::Probes;

/// Explains `plan`, with costs if it has run with probes.
pub(crate) fn explain(expr: &Expr, plan: &Plan, grid: Grid, ran: Option<&Context>) -> Explanation {
    let mut describer = Describer {
        probes: ran.and_then(|context| context.probes.as_ref()),
        uses: vec![0; plan.selections.len()],
        shared: &plan.shared,
        told: vec![false; plan.shared.len()],
    };
    let root = describer.root(&plan.root, grid);
    let selections = plan.selections.iter().enumerate().map(|(index, selection)| {
        let cost = ran.and_then(|context| context.sets.get(index)).map(|set| SelectionCost {
            series: set.series.len() as u64,
            samples_read: set.samples_read.load(std::sync::atomic::Ordering::Relaxed),
        });
        selection_node(selection, describer.uses[index], cost)
    });
    Explanation {
        query: expr.to_string(),
        start_ms: grid.start,
        step_ms: grid.step,
        steps: grid.steps,
        selections: selections.collect(),
        root,
        stats: ran.map(Context::stats),
    }
}

fn selection_node(selection: &Selection, uses: usize, cost: Option<SelectionCost>) -> SelectionNode {
    let selector = &selection.selector;
    let names = |names: &[std::sync::Arc<str>]| {
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        names.join(", ")
    };
    SelectionNode {
        matchers: matchers_text(&selector.matchers),
        start_ms: selector.range.min.millis(),
        end_ms: selector.range.max.millis(),
        step_ms: selector.hints.step_ms,
        range_ms: selector.hints.range_ms,
        function: selector.hints.function.as_deref().map(str::to_owned),
        labels: match &selector.hints.labels {
            LabelsNeeded::All => "all".to_owned(),
            LabelsNeeded::Only(only) if only.is_empty() => "none".to_owned(),
            LabelsNeeded::Only(only) => names(only),
            LabelsNeeded::AllOfFew(_) => "all of few".to_owned(),
            LabelsNeeded::Without(without) => format!("all but {}", names(without)),
        },
        uses,
        estimate: None,
        cost,
    }
}

pub(crate) fn matchers_text(matchers: &[Matcher]) -> String {
    let mut out = String::from("{");
    for (index, matcher) in matchers.iter().enumerate() {
        let op = match matcher.op() {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(out, "{comma}{}{op}{}", matcher.name(), quote_string(matcher.value().as_bytes()));
    }
    out.push('}');
    out
}

struct Describer<'p> {
    probes: Option<&'p Probes>,
    /// How often each selection is read.
    uses: Vec<usize>,
    shared: &'p [SharedPlan],
    /// Which shared parts were told of already.
    told: Vec<bool>,
}

fn node(operator: impl Into<String>, detail: impl Into<String>, children: Vec<OperatorNode>) -> OperatorNode {
    OperatorNode {
        operator: operator.into(),
        detail: detail.into(),
        notes: Vec::new(),
        selection: None,
        steps: 0,
        children,
        cost: None,
    }
}

impl OperatorNode {
    fn note(mut self, note: impl Into<String>) -> OperatorNode {
        self.notes.push(note.into());
        self
    }
}

impl Describer<'_> {
    fn root(&mut self, root: &Root, grid: Grid) -> OperatorNode {
        match root {
            Root::Scalar(plan) => self.scalar(plan, grid),
            Root::Vector(plan) => self.vector(plan, grid),
            Root::Range(plan) => self.range("samples", plan),
            Root::String(bytes) => node("string", quote_string(bytes), Vec::new()),
        }
    }

    fn scalar(&mut self, plan: &ScalarPlan, grid: Grid) -> OperatorNode {
        let found = match plan {
            ScalarPlan::Number(value) => node("number", format_float(*value), Vec::new()),
            ScalarPlan::Time => node("time", "", Vec::new()),
            ScalarPlan::OfVector(vector) => node("scalar", "", vec![self.vector(vector, grid)]),
            ScalarPlan::Negate(inner) => node("negate", "", vec![self.scalar(inner, grid)]),
            ScalarPlan::Binary(op, a, b) => {
                node(op.as_str(), "", vec![self.scalar(a, grid), self.scalar(b, grid)])
            }
            ScalarPlan::MinOf(a, b) => node("min_of", "", vec![self.scalar(a, grid), self.scalar(b, grid)]),
            ScalarPlan::MaxOf(a, b) => node("max_of", "", vec![self.scalar(a, grid), self.scalar(b, grid)]),
            ScalarPlan::Once(inner) => node("repeat", "", vec![self.scalar(inner, grid.first())])
                .note("step-invariant: evaluated at the first step"),
        };
        self.measured(found, plan, grid)
    }

    fn scalars(&mut self, plans: &[ScalarPlan], grid: Grid) -> Vec<OperatorNode> {
        plans.iter().map(|plan| self.scalar(plan, grid)).collect()
    }

    fn vector(&mut self, plan: &VectorPlan, grid: Grid) -> OperatorNode {
        let found = self.vector_node(plan, grid);
        self.measured(found, plan, grid)
    }

    /// Each arm is small, since this frame recurs.
    fn vector_node(&mut self, plan: &VectorPlan, grid: Grid) -> OperatorNode {
        match plan {
            VectorPlan::Select(plan) => self.select("select", plan),
            VectorPlan::SelectTimes(plan) => self.select("select times", plan),
            VectorPlan::SelectStarts(plan) => self.select("select start times", plan),
            VectorPlan::NothingOf(input) => node("nothing", "", vec![self.vector(input, grid)]),
            VectorPlan::OfScalar(plan) => node("vector", "", vec![self.scalar(plan, grid)]),
            VectorPlan::Range(plan) => self.range_call(plan, grid),
            VectorPlan::AbsentOverTime { range, .. } => self.range("absent_over_time", range),
            VectorPlan::Map(function, params, input) => {
                let mut children = vec![self.vector(input, grid)];
                children.extend(self.scalars(params, grid));
                node(function.name(), "", children)
            }
            VectorPlan::Measure(measure, input) => node(measure.name(), "", vec![self.vector(input, grid)]),
            VectorPlan::Timestamp(input) => node("timestamp", "", vec![self.vector(input, grid)]),
            VectorPlan::Date(part, input) => {
                let children = input.as_ref().map(|input| self.vector(input, grid));
                node(part.name(), "", children.into_iter().collect())
            }
            VectorPlan::Absent { input, .. } => node("absent", "", vec![self.vector(input, grid)]),
            VectorPlan::LabelReplace(plan, input) => {
                let detail = format!("{} from {}", plan.target, plan.source);
                node("label_replace", detail, vec![self.vector(input, grid)])
            }
            VectorPlan::LabelJoin(plan, input) => {
                let detail = format!("{} from {}", plan.target, plan.sources.join(", "));
                node("label_join", detail, vec![self.vector(input, grid)])
            }
            VectorPlan::Sort(plan, _, input) => self.sort(plan, input, grid),
            VectorPlan::Info(plan) => {
                let children = vec![self.vector(&plan.input, grid), self.select("select", &plan.source)];
                node("info", matchers_text(&plan.data), children)
            }
            VectorPlan::Histogram(plan) => self.histogram(plan, grid),
            VectorPlan::WithScalar(plan) => {
                let (vector, scalar) = (self.vector(&plan.vector, grid), self.scalar(&plan.scalar, grid));
                let children = if plan.swapped { vec![scalar, vector] } else { vec![vector, scalar] };
                node(operation_name(plan.operation), "", children)
            }
            VectorPlan::Join(plan) => {
                let children = vec![self.vector(&plan.lhs, grid), self.vector(&plan.rhs, grid)];
                let operator = format!("join {}", operation_name(plan.operation));
                node(operator, matching_text(&plan.matching), children).note(held_side(&plan.matching))
            }
            VectorPlan::Set(plan) => {
                let op = match plan.op {
                    SetOp::And => "and",
                    SetOp::Or => "or",
                    SetOp::Unless => "unless",
                };
                let children = vec![self.vector(&plan.lhs, grid), self.vector(&plan.rhs, grid)];
                node(op, matching_text(&plan.matching), children)
                    .note("one bit per group and step tells where a side is present")
            }
            VectorPlan::Aggregate(plan) => self.aggregate(plan, grid),
            VectorPlan::Once(inner) => node("repeat", "", vec![self.vector(inner, grid.first())])
                .note("step-invariant: evaluated at the first step"),
            VectorPlan::Shared(index) => self.shared(*index, grid),
        }
    }

    fn shared(&mut self, index: usize, grid: Grid) -> OperatorNode {
        let shared = &self.shared[index];
        if shared.others.is_empty() {
            return self.vector(&shared.plan, grid);
        }
        let detail = format!("part {index}");
        if std::mem::replace(&mut self.told[index], true) {
            return node("shared", detail, Vec::new()).note("see above");
        }
        let note = format!("computed once, used {} times: groups × steps held", shared.others.len() + 1);
        node("shared", detail, vec![self.vector(&shared.plan, grid)]).note(note)
    }

    fn select(&mut self, operator: &str, plan: &SelectPlan) -> OperatorNode {
        self.uses[plan.selection] += 1;
        let mut detail = shift_text(plan.shift);
        if plan.smoothed.is_some() {
            detail.push_str(" smoothed");
        }
        OperatorNode { selection: Some(plan.selection), ..node(operator, detail.trim_start(), Vec::new()) }
    }

    fn range_call(&mut self, plan: &RangeCallPlan, grid: Grid) -> OperatorNode {
        let mut found = self.range(plan.function.name(), &plan.range);
        found.children.extend(self.scalars(&plan.params, grid));
        found.note("windows slide over columns, one series at a time")
    }

    /// A function over samples of a selection or over points of a subquery.
    fn range(&mut self, operator: &str, plan: &RangePlan) -> OperatorNode {
        let mut detail = format!("over {}{}", format_duration(plan.range_ms), shift_text(plan.shift));
        match plan.edges {
            Edges::Inside => {}
            Edges::Anchored => detail.push_str(" anchored"),
            Edges::Smoothed => detail.push_str(" smoothed"),
        }
        match &plan.source {
            RangeSource::Selection(selection) => {
                self.uses[*selection] += 1;
                OperatorNode { selection: Some(*selection), ..node(operator, detail, Vec::new()) }
            }
            RangeSource::Subquery(inner, points) => {
                let child = self.vector(inner, *points);
                let note =
                    format!("subquery: {} points, every {}", points.steps, format_duration(points.step));
                node(operator, detail, vec![child]).note(note)
            }
        }
    }

    fn sort(&mut self, plan: &Sort, input: &VectorPlan, grid: Grid) -> OperatorNode {
        let (detail, descending) = match plan {
            Sort::Value { descending } => ("by value".to_owned(), *descending),
            Sort::Labels { names, descending } => (format!("by {}", names.join(", ")), *descending),
        };
        let detail = if descending { format!("{detail}, descending") } else { detail };
        node("sort", detail, vec![self.vector(input, grid)])
    }

    fn histogram(&mut self, plan: &HistogramPlan, grid: Grid) -> OperatorNode {
        let operator = match (plan.function, &plan.quantile_label) {
            (HistogramFunction::Quantile, None) => "histogram_quantile",
            (HistogramFunction::Quantile, Some(_)) => "histogram_quantiles",
            (HistogramFunction::Fraction, _) => "histogram_fraction",
        };
        let mut children = vec![self.vector(&plan.input, grid)];
        children.extend(self.scalars(&plan.params, grid));
        node(operator, "", children).note("buckets sorted once, one group at a time")
    }

    fn aggregate(&mut self, plan: &AggregatePlan, grid: Grid) -> OperatorNode {
        let labels = plan.labels.join(", ");
        let detail = match (plan.without, plan.labels.is_empty()) {
            (false, true) => String::new(),
            (false, false) => format!("by ({labels})"),
            (true, _) => format!("without ({labels})"),
        };
        let mut children = vec![self.vector(&plan.input, grid)];
        let held = match &plan.op {
            AggregateOp::Quantile(param) => {
                children.push(self.scalar(param, grid));
                "rows of one group held at a time"
            }
            AggregateOp::Topk(k) | AggregateOp::Bottomk(k) => {
                children.push(self.scalar(k, grid));
                "k values per group and step held"
            }
            AggregateOp::Limitk(param) | AggregateOp::LimitRatio(param) => {
                children.push(self.scalar(param, grid));
                "series chosen by their labels"
            }
            AggregateOp::CountValues(_) => "one row per distinct value held",
            _ => "rows folded in as they come: groups × steps held",
        };
        node(plan.op.name(), detail, children).note(held)
    }

    /// Adds steps and cost. Time and bytes of an operator contain those of the operators that it works on.
    fn measured<P>(&self, mut found: OperatorNode, plan: &P, grid: Grid) -> OperatorNode {
        found.steps = grid.steps;
        let Some(cost) = self.probes.and_then(|probes| probes.cost(plan)) else {
            return found;
        };
        let below = |of: fn(&OperatorCost) -> u64| -> u64 {
            found.children.iter().filter_map(|child| child.cost.as_ref()).map(of).sum()
        };
        let bytes_below: u64 = found.children.iter().map(bytes_of_all).sum();
        found.cost = Some(OperatorCost {
            series: cost.series,
            rows: cost.rows,
            points: cost.points,
            bytes: cost.bytes.saturating_sub(bytes_below),
            nanos: cost.nanos,
            self_nanos: cost.nanos.saturating_sub(below(|cost| cost.nanos)),
        });
        found
    }
}

fn bytes_of_all(node: &OperatorNode) -> u64 {
    node.cost.map_or(0, |cost| cost.bytes) + node.children.iter().map(bytes_of_all).sum::<u64>()
}

fn shift_text(shift: Shift) -> String {
    let mut out = String::new();
    if let Some(at) = shift.at {
        let _ = write!(out, " @ {at} ms");
    }
    if shift.offset_ms != 0 {
        let _ = write!(out, " offset {}", format_duration(shift.offset_ms));
    }
    out
}

fn operation_name(operation: Operation) -> String {
    let bool = if operation.bool { " bool" } else { "" };
    format!("{}{bool}", operation.op.as_str())
}

fn matching_text(matching: &VectorMatching) -> String {
    let mut out = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    }
    .to_owned();
    let labels = matching.labels.join(", ");
    if matching.on {
        let _ = write!(out, " on ({labels})");
    } else if !labels.is_empty() {
        let _ = write!(out, " ignoring ({labels})");
    }
    if !matching.include.is_empty() {
        let _ = write!(out, " with ({})", matching.include.join(", "));
    }
    out
}

fn held_side(matching: &VectorMatching) -> &'static str {
    match matching.cardinality {
        Cardinality::OneToMany => "the left side is held, rows of the right side stream past",
        _ => "the right side is held, rows of the left side stream past",
    }
}
