//! Engine: the door. Takes a checked expression, a store and a time; plans, selects, evaluates, and writes the result.

use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, Queryable, Timestamp};
use kymo_promql_syntax::ast::{Edges, Expr};

use crate::budget::{AllQueries, Budget};
use crate::context::{Context, NativeBuckets};
use crate::counters::Counters;
use crate::eval::{self, RangeSamples};
use crate::executor::Workers;
use crate::explain::explain;
use crate::grid::Grid;
use crate::notes::Notes;
use crate::plan::{Plan, RangePlan, Root, Times, plan};
use crate::probe::Probes;
use crate::result::Points;
use crate::row::Point;
use crate::scalar::Scalar;
use crate::shard::Piece;
use crate::spare::Spare;
use crate::vector::{Scratch, Vector};
use crate::{
    Bound, Clock, EngineOptions, Explanation, MatrixSeries, PointValue, QueryError, QueryOptions,
    QueryResult, QueryValue, VectorSample,
};

/// Evaluates queries; holds nothing but its options and a count of bytes, so one engine serves any number of threads and stores.
/// Clones share the count.
///
/// ```
/// use kymo_model::{Append, Batch, Labels, MemoryStore, Timestamp};
/// use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryValue};
///
/// let store = MemoryStore::default();
/// let mut batch = Batch::new();
/// for (zone, value) in [("a", 1.0), ("b", 2.0)] {
///     let labels = Labels::from_pairs([("__name__", "jobs"), ("zone", zone)]);
///     batch.push(labels, Timestamp::from_millis(1000), value);
/// }
/// store.append(&batch).unwrap();
///
/// let engine = Engine::new(EngineOptions::default());
/// let expr = kymo_promql_syntax::parse("sum(jobs)").unwrap();
/// let at = Timestamp::from_millis(2000);
/// let result = engine.instant(&store, &expr, at, &QueryOptions::default()).unwrap();
/// let QueryValue::Vector(samples) = result.value else { panic!("a sum is a vector") };
/// assert_eq!(samples[0].value.float(), Some(3.0));
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    options: EngineOptions,
    /// What all queries of this engine and its clones hold together.
    all: AllQueries,
    /// Who may work on them beside the threads that ask.
    workers: Workers,
    spare: Spare,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new(EngineOptions::default())
    }
}

impl Engine {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Engine {
        let all = AllQueries::new(options.max_bytes_all);
        let workers = Workers::new(&options);
        let spare = Spare::new(options.spare_bytes_max);
        Engine { options, all, workers, spare }
    }

    /// Takes back the values of a series that nobody needs any more, so that later results get their memory; up to
    /// [`EngineOptions::spare_bytes_max`].
    pub fn reuse(&self, values: Vec<f64>) {
        self.spare.give(values);
    }

    /// Its options.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The value of `expr` at one point in time.
    pub fn instant(
        &self,
        store: &dyn Queryable,
        expr: &Expr,
        at: Timestamp,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let query = self.query_between(at, at, 0, options)?;
        let grid = query.grid;
        self.all.count(query.run(self, store, expr, |root, context| at_one_time(root, context, grid)))
    }

    /// The values of `expr` at `start`, `start + step_ms`, … up to `end`.
    ///
    /// ```
    /// use kymo_model::{MemoryStore, Timestamp};
    /// use kymo_promql::{Engine, QueryOptions, QueryValue};
    ///
    /// let expr = kymo_promql_syntax::parse("time() / 60").unwrap();
    /// let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(120_000));
    /// let store = MemoryStore::default();
    /// let result = Engine::default().range(&store, &expr, start, end, 60_000, &QueryOptions::default()).unwrap();
    /// let QueryValue::Matrix(series) = result.value else { panic!("a range query gives a matrix") };
    /// assert_eq!(series[0].floats.values, [0.0, 1.0, 2.0]);
    /// ```
    pub fn range(
        &self,
        store: &dyn Queryable,
        expr: &Expr,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        // A step of 0 is refused there and not taken for an instant.
        let grid = self.all.count(self.range_grid(start, end, step_ms))?;
        let query = self.query_between(start, end, step_ms, options)?;
        self.all.count(query.run(self, store, expr, |root, context| over_a_range(root, context, grid)))
    }

    /// How `expr` would be answered at `start`, `start + step_ms`, … up to `end`; at one time where `step_ms` is 0.
    ///
    /// ```
    /// use kymo_model::Timestamp;
    /// use kymo_promql::{Engine, QueryOptions};
    ///
    /// let expr = kymo_promql_syntax::parse("sum by (job) (rate(requests_total[5m]))").unwrap();
    /// let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(600_000));
    /// let plan = Engine::default().explain(&expr, start, end, 60_000, &QueryOptions::default()).unwrap();
    /// assert_eq!(plan.root.operator, "sum");
    /// assert_eq!(plan.root.children[0].operator, "rate");
    /// assert_eq!(plan.selections[0].matchers, r#"{__name__="requests_total"}"#);
    /// println!("{plan}");
    /// ```
    pub fn explain(
        &self,
        expr: &Expr,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<Explanation, QueryError> {
        let query = self.query_between(start, end, step_ms, options)?;
        let plan = plan(expr, query.grid, query.times)?;
        Ok(explain(expr, &plan, query.grid, None))
    }

    /// As [`explain`](Engine::explain), with what `store` says of each question before it is asked.
    pub fn explain_with_estimates(
        &self,
        store: &dyn Queryable,
        expr: &Expr,
        (start, end, step_ms): (Timestamp, Timestamp, i64),
        options: &QueryOptions,
    ) -> Result<Explanation, QueryError> {
        let query = self.query_between(start, end, step_ms, options)?;
        let plan = plan(expr, query.grid, query.times)?;
        let mut explanation = explain(expr, &plan, query.grid, None);
        explanation.add_estimates(store, &plan, &options.cancel)?;
        Ok(explanation)
    }

    /// How many queries of this engine and its clones were refused because they hit this bound.
    pub fn refused(&self, bound: Bound) -> u64 {
        self.all.refused(bound)
    }

    /// How many bytes the queries that run hold together.
    pub fn bytes_held(&self) -> usize {
        self.all.bytes()
    }

    /// Answers `expr` as [`instant`](Engine::instant) (where `step_ms` is 0) or [`range`](Engine::range) does, and tells what
    /// each operator cost. `clock` counts nanoseconds and never goes back.
    pub fn explain_analyze(
        &self,
        store: &dyn Queryable,
        expr: &Expr,
        (start, end, step_ms): (Timestamp, Timestamp, i64),
        options: &QueryOptions,
        clock: Clock,
    ) -> Result<(QueryResult, Explanation), QueryError> {
        let query = self.query_between(start, end, step_ms, options)?;
        let (grid, probes) = (query.grid, Probes::new(clock));
        let plan = plan(expr, grid, query.times)?;
        let ran = query.run_planned(self, store, &plan, Some(probes), |root, context| match step_ms {
            0 => at_one_time(root, context, grid),
            _ => over_a_range(root, context, grid),
        });
        let (result, context) = self.all.count(ran)?;
        let mut explanation = explain(expr, &plan, grid, Some(&context));
        explanation.add_estimates(store, &plan, &options.cancel)?;
        Ok((result, explanation))
    }

    fn query_between<'a>(
        &self,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
        options: &'a QueryOptions,
    ) -> Result<Query<'a>, QueryError> {
        let grid = match step_ms {
            0 => Grid::instant(start.millis()),
            _ => self.range_grid(start, end, step_ms)?,
        };
        let mut times = self.times(grid, step_ms, options);
        if step_ms != 0 {
            times.end = end.millis();
        }
        Ok(Query { grid, times, options })
    }

    fn range_grid(&self, start: Timestamp, end: Timestamp, step_ms: i64) -> Result<Grid, QueryError> {
        if step_ms <= 0 {
            return Err(QueryError::limit(
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        let (start, end) = (start.millis(), end.millis());
        if end < start {
            return Ok(Grid { start, step: step_ms, steps: 0 });
        }
        let steps = (i128::from(end) - i128::from(start)) / i128::from(step_ms) + 1;
        let most = self.options.max_points_per_series;
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        if (most != 0 && steps > most) || steps > self.options.max_samples {
            return Err(QueryError::limit(format!(
                "exceeded maximum resolution of {} points per timeseries, found {steps}. Try decreasing the query \
                 resolution (?step=XX)",
                if most == 0 { self.options.max_samples } else { most.min(self.options.max_samples) }
            ))
            .over(Bound::Points));
        }
        Ok(Grid { start, step: step_ms, steps })
    }

    fn times(&self, grid: Grid, step_ms: i64, options: &QueryOptions) -> Times {
        Times {
            start: grid.start,
            end: grid.start,
            step_ms,
            lookback_ms: options.lookback_delta_ms.unwrap_or(self.options.lookback_delta_ms),
            subquery_step_ms: self.options.subquery_step_ms,
            steps_max: self.options.max_samples,
        }
    }
}

/// The answer to an instant query.
fn at_one_time(root: &Root, context: &Context, grid: Grid) -> Result<QueryValue, QueryError> {
    let timestamp = Timestamp::from_millis(grid.start);
    match root {
        Root::Scalar(plan) => {
            Ok(QueryValue::Scalar { timestamp, value: eval::scalar(context, plan, grid)?.at(0) })
        }
        Root::String(bytes) => Ok(QueryValue::String { timestamp, value: bytes.clone() }),
        Root::Vector(plan) => samples(context, eval::vector(context, plan, grid)?, timestamp),
        Root::Range(plan) => range_vector(context, plan, grid),
    }
}

/// The answer to a range query.
fn over_a_range(root: &Root, context: &Context, grid: Grid) -> Result<QueryValue, QueryError> {
    match root {
        Root::Scalar(plan) => {
            let value = eval::scalar(context, plan, grid)?;
            Ok(QueryValue::Matrix(scalar_series(&value, grid)))
        }
        Root::Vector(plan) => matrix(context, eval::vector(context, plan, grid)?, grid),
        Root::String(_) => Err(not_for_ranges("string")),
        Root::Range(_) => Err(not_for_ranges("range vector")),
    }
}

fn not_for_ranges(found: &str) -> QueryError {
    QueryError::execution(format!(
        "invalid expression type \"{found}\" for range query, must be Scalar or instant Vector"
    ))
}

/// One query on its way.
struct Query<'a> {
    grid: Grid,
    times: Times,
    options: &'a QueryOptions,
}

impl Query<'_> {
    fn run(
        &self,
        engine: &Engine,
        store: &dyn Queryable,
        expr: &Expr,
        evaluate: impl Fn(&Root, &Context) -> Result<QueryValue, QueryError>,
    ) -> Result<QueryResult, QueryError> {
        let plan = plan(expr, self.grid, self.times)?;
        self.run_planned(engine, store, &plan, None, evaluate).map(|(result, _)| result)
    }

    /// Runs what is planned; the context comes along for what was measured.
    fn run_planned(
        &self,
        engine: &Engine,
        store: &dyn Queryable,
        plan: &Plan,
        probes: Option<Probes>,
        evaluate: impl Fn(&Root, &Context) -> Result<QueryValue, QueryError>,
    ) -> Result<(QueryResult, Context), QueryError> {
        let Plan { root, selections, shared } = plan;
        let mut context = Context {
            lookback_ms: self.times.lookback_ms,
            delayed_name_removal: engine.options.delayed_name_removal,
            type_and_unit_labels: engine.options.type_and_unit_labels,
            use_start_timestamps: self
                .options
                .use_start_timestamps
                .unwrap_or(engine.options.use_start_timestamps),
            cancel: self.options.cancel.clone(),
            text: self.options.text.clone(),
            series_max: engine.options.max_series,
            samples_read_max: engine.options.max_samples_read,
            budget: Budget::new(engine.options.max_samples, engine.options.max_bytes, engine.all.clone()),
            workers: engine.workers.clone(),
            spare: engine.spare.clone(),
            notes: Notes::of(shared),
            counters: Arc::new(Counters::new(self.grid, self.options.per_step_stats)),
            native_buckets: NativeBuckets::default(),
            sets: Vec::with_capacity(selections.len()),
            probes,
            shared: shared.clone(),
            held: Vec::new(),
        };
        context.forget_held();
        context.refuse_by_estimate(store, plan)?;
        context.select(store, selections)?;
        let mut value = evaluate(root, &context);
        if let Some(expected) = context.native_buckets.next_run() {
            context.native_buckets = expected;
            context.counters = Arc::new(Counters::new(self.grid, self.options.per_step_stats));
            context.forget_held();
            context.notes.begin_again();
            value = evaluate(root, &context);
        }
        let value = value?;
        context.check_reading()?;
        context.note_warnings();
        let (warnings, infos) = context.notes.texts(self.options.text.as_deref());
        let (stats, samples_per_step) = (context.stats(), context.counters.per_step());
        Ok((QueryResult { value, warnings, infos, stats, samples_per_step }, context))
    }
}

/// The result of an instant query, in the order that the query asks for.
fn samples(context: &Context, vector: Vector<'_>, at: Timestamp) -> Result<QueryValue, QueryError> {
    let vector = finished(context, vector)?;
    let mut samples = Vec::new();
    let mut held = context.budget.nothing();
    vector.each_row(context, 1, |index, row| {
        let value = match row.point(0) {
            Some(Point::Float(value)) => PointValue::Float(value),
            Some(Point::Histogram(histogram)) => PointValue::Histogram(histogram.clone()),
            None => return Ok(()),
        };
        held.more(row.weight(), size_of::<VectorSample>())?;
        samples.push(VectorSample { labels: vector.series[index].final_labels(), timestamp: at, value });
        Ok(())
    })?;
    Ok(QueryValue::Vector(samples))
}

/// The result of a range query, ordered by labels.
fn matrix(context: &Context, vector: Vector<'_>, grid: Grid) -> Result<QueryValue, QueryError> {
    let vector = finished(context, vector)?;
    let times: Arc<[i64]> = grid.times().collect();
    let mut all = Vec::new();
    let mut held = context.budget.nothing();
    let compute = |index: usize, scratch: &mut Scratch, out: &mut Line| {
        let mut row = scratch.take_row();
        if row.values.is_empty() {
            row.values = context.spare.take(grid.steps);
        }
        vector.fill(index, scratch, &mut row)?;
        let points = row.valid.count();
        out.weight = row.weight();
        let histogram_steps = row.histogram_steps();
        let histograms = Points {
            timestamps_ms: histogram_steps.iter().map(|step| times[*step]).collect(),
            values: histogram_steps.iter().filter_map(|step| row.histogram(*step).cloned()).collect(),
        };
        row.floats_only();
        let points = points - histogram_steps.len();
        let floats = if points == grid.steps {
            Points { timestamps_ms: times.clone(), values: std::mem::take(&mut row.values) }
        } else {
            Points {
                timestamps_ms: row.valid.iter().map(|step| times[step]).collect(),
                values: row.valid.iter().map(|step| row.values[step]).collect(),
            }
        };
        (out.floats, out.histograms) = (floats, histograms);
        scratch.give_back(row);
        Ok(())
    };
    context.in_order(vector.len(), 2 * grid.steps, compute, |index, line| {
        let (floats, histograms) = (std::mem::take(&mut line.floats), std::mem::take(&mut line.histograms));
        let points = floats.len() + histograms.len();
        if points > 0 {
            held.more(line.weight, points * 16)?;
            all.push(MatrixSeries { labels: vector.series[index].final_labels(), floats, histograms });
        }
        Ok(())
    })?;
    context.sort_by_labels(&mut all)?;
    Ok(QueryValue::Matrix(all))
}

/// The points of a series on their way into a matrix.
#[derive(Default)]
struct Line {
    floats: Points<f64>,
    histograms: Points<Arc<FloatHistogram>>,
    /// What they count for in the budget.
    weight: usize,
}

impl Piece for Line {
    fn extra_bytes(&self) -> usize {
        if self.histograms.is_empty() { 0 } else { self.weight.saturating_mul(16) }
    }
}

/// The samples of a series on their way into a range vector, of which there are as many as there are.
#[derive(Default)]
struct Found(Line);

impl Piece for Found {
    fn extra_bytes(&self) -> usize {
        self.0.weight.saturating_mul(16)
    }
}

/// With delayed name removal, dropping names may make series the same only now.
fn finished<'q>(context: &Context, vector: Vector<'q>) -> Result<Vector<'q>, QueryError> {
    if context.delayed_name_removal { eval::merge_same_finally(context, vector) } else { Ok(vector) }
}

fn scalar_series(value: &Scalar, grid: Grid) -> Vec<MatrixSeries> {
    if grid.steps == 0 {
        return Vec::new();
    }
    let floats = Points {
        timestamps_ms: (0..grid.steps).map(|step| grid.time(step)).collect(),
        values: value.iter(grid.steps).collect(),
    };
    vec![MatrixSeries { labels: Labels::empty(), floats, histograms: Points::default() }]
}

/// The samples of a range selector, or the points of a subquery, as they are.
fn range_vector(context: &Context, plan: &RangePlan, grid: Grid) -> Result<QueryValue, QueryError> {
    let samples = RangeSamples::new(context, plan, grid)?.into_result();
    let mut all = Vec::new();
    let mut held = context.budget.nothing();
    let listed = samples.series();
    let (mut kept, mut counted) = (0usize, false);
    let compute = |index: usize, scratch: &mut Scratch, found: &mut Found| {
        let Found(line) = found;
        samples.load(index, scratch)?;
        if plan.edges != Edges::Inside {
            let (timestamps_ms, values) = samples.extended_points(scratch)?;
            line.weight = timestamps_ms.len();
            context.counters.looked_at(grid, line.weight, || [(0, line.weight)]);
            line.floats = Points { timestamps_ms: timestamps_ms.into(), values };
            return Ok(());
        }
        let inside = scratch.windows.first().map_or(0..0, |w| w.indices());
        let natives_inside = scratch.native_windows.first().map_or(0..0, |w| w.indices());
        let (columns, natives) = (scratch.columns.floats(), scratch.columns.natives());
        line.weight = inside.len()
            + natives.values[natives_inside.clone()].iter().map(|h| h.sample_weight()).sum::<usize>();
        context.counters.looked_at(grid, line.weight, || [(0, line.weight)]);
        line.floats = Points {
            timestamps_ms: columns.times[inside.clone()].into(),
            values: columns.values[inside].to_vec(),
        };
        line.histograms = Points {
            timestamps_ms: natives.times[natives_inside.clone()].into(),
            values: natives.values[natives_inside].to_vec(),
        };
        Ok(())
    };
    context.in_order(listed.len(), 0, compute, |index, Found(line)| {
        let Line { floats, histograms, weight } = std::mem::take(line);
        if weight == 0 {
            return Ok(());
        }
        held.more(weight, weight * 16)?;
        all.push(MatrixSeries { labels: listed[index].final_labels(), floats, histograms });
        if plan.edges == Edges::Inside {
            kept += weight;
            if kept > KEPT_UNCOUNTED_MAX && !std::mem::replace(&mut counted, true) {
                refuse_too_many(context, &samples, index + 1..listed.len())?;
            }
        }
        Ok(())
    })?;
    context.sort_by_labels(&mut all)?;
    Ok(QueryValue::Matrix(all))
}

/// So many samples of a range vector are kept before all of them are counted. All samples are its result, so that `{…}[30d]`
/// would fill the whole budget before it is refused; counting them first costs a second reading, and no memory.
const KEPT_UNCOUNTED_MAX: usize = 1 << 20;

/// Counts the samples of these series, keeping none, and refuses them if they do not fit beside what is held.
fn refuse_too_many(
    context: &Context,
    samples: &RangeSamples<'_>,
    series: std::ops::Range<usize>,
) -> Result<(), QueryError> {
    let mut scratch = context.scratch();
    let mut found = 0usize;
    for index in series {
        samples.load(index, &mut scratch)?;
        found += scratch.windows.first().map_or(0, |window| window.len());
        let natives = scratch.native_windows.first().map_or(0..0, |window| window.indices());
        found += scratch.columns.natives().values[natives].iter().map(|h| h.sample_weight()).sum::<usize>();
        context.budget.touch(found, found.saturating_mul(16))?;
    }
    Ok(())
}
