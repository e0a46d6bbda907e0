//! Calls of functions: which operator each one becomes.

use kymo_model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, Regex};
use kymo_promql_syntax::Function;
use kymo_promql_syntax::ast::{Call, Expr, ExprKind, Span};

use super::lower::{Histograms, Lower, bare};
use super::*;
use crate::QueryError;
use crate::notes::quoted;

impl Lower {
    pub(super) fn call(&mut self, call: &Call, expr: &Expr, grid: Grid) -> Result<Root, QueryError> {
        let around = self.function.replace(call.function.name());
        let histograms_around = match needed(call.function) {
            Some(histograms) => self.need(histograms),
            None => self.histograms,
        };
        let plan = self.call_inside(call, expr, grid);
        self.function = around;
        self.histograms = histograms_around;
        plan
    }

    fn call_inside(&mut self, call: &Call, expr: &Expr, grid: Grid) -> Result<Root, QueryError> {
        let args = Args { call, span: expr.span };
        if let Some(function) = range_function(call.function) {
            return self.range_call(function, &args, grid).map(Root::Vector);
        }
        if let Some(function) = map_function(call.function) {
            let params =
                (1..call.args.len()).map(|i| self.scalar(args.at(i)?, grid)).collect::<Result<_, _>>()?;
            let input = self.vector(args.at(0)?, grid)?;
            return Ok(Root::Vector(VectorPlan::Map(function, params, input)));
        }
        if let Some(part) = date_part(call.function) {
            let input = call.args.first().map(|arg| self.vector(arg, grid)).transpose()?;
            return Ok(Root::Vector(VectorPlan::Date(part, input)));
        }
        if let Some(measure) = measure(call.function) {
            return Ok(Root::Vector(VectorPlan::Measure(measure, self.vector(args.at(0)?, grid)?)));
        }
        let number = |value| Ok(Root::Scalar(ScalarPlan::Number(value)));
        Ok(Root::Vector(match call.function {
            Function::Pi => return number(std::f64::consts::PI),
            Function::Start => return number(self.times.start as f64 / 1000.0),
            Function::End => return number(self.times.end as f64 / 1000.0),
            // A query of one step has no step, whatever it was given.
            Function::Step if self.times.start == self.times.end => return number(0.0),
            Function::Step => return number(self.times.step_ms as f64 / 1000.0),
            Function::Range => {
                return number(self.times.end.saturating_sub(self.times.start) as f64 / 1000.0);
            }
            Function::Time => return Ok(Root::Scalar(ScalarPlan::Time)),
            Function::ScalarOf => {
                return Ok(Root::Scalar(ScalarPlan::OfVector(self.vector(args.at(0)?, grid)?)));
            }
            Function::MinOf | Function::MaxOf => {
                let a = Box::new(self.scalar(args.at(0)?, grid)?);
                let b = Box::new(self.scalar(args.at(1)?, grid)?);
                let min = call.function == Function::MinOf;
                let plan = if min { ScalarPlan::MinOf(a, b) } else { ScalarPlan::MaxOf(a, b) };
                return Ok(Root::Scalar(plan.folded()));
            }
            Function::VectorOf => VectorPlan::OfScalar(self.scalar(args.at(0)?, grid)?),
            Function::Timestamp => match &bare(args.at(0)?).kind {
                ExprKind::Selector(selector) => {
                    VectorPlan::SelectTimes(self.select(selector, args.at(0)?.span, grid)?)
                }
                _ => VectorPlan::Timestamp(self.vector(args.at(0)?, grid)?),
            },
            Function::StartTimestamp => match &bare(args.at(0)?).kind {
                ExprKind::Selector(selector) => {
                    VectorPlan::SelectStarts(self.select(selector, args.at(0)?.span, grid)?)
                }
                _ => VectorPlan::NothingOf(self.vector(args.at(0)?, grid)?),
            },
            Function::Absent => {
                let labels = absent_labels(args.at(0)?);
                VectorPlan::Absent { labels, input: self.vector(args.at(0)?, grid)? }
            }
            Function::AbsentOverTime => {
                let labels = absent_labels(args.at(0)?);
                VectorPlan::AbsentOverTime { labels, range: Box::new(self.range(args.at(0)?, grid)?) }
            }
            Function::LabelReplace => {
                let replace = label_replace(&args)?;
                VectorPlan::LabelReplace(Box::new(replace), self.vector(args.at(0)?, grid)?)
            }
            Function::LabelJoin => {
                let join = label_join(&args)?;
                VectorPlan::LabelJoin(Box::new(join), self.vector(args.at(0)?, grid)?)
            }
            Function::Sort | Function::SortDesc => {
                let sort = Sort::Value { descending: call.function == Function::SortDesc };
                VectorPlan::Sort(sort, self.ranged.then_some(expr.span), self.vector(args.at(0)?, grid)?)
            }
            Function::SortByLabel | Function::SortByLabelDesc => {
                let names = (1..call.args.len()).map(|i| args.text(i)).collect::<Result<_, _>>()?;
                let sort = Sort::Labels { names, descending: call.function == Function::SortByLabelDesc };
                VectorPlan::Sort(sort, self.ranged.then_some(expr.span), self.vector(args.at(0)?, grid)?)
            }
            Function::Info => VectorPlan::Info(Box::new(self.info(call, expr.span, grid)?)),
            Function::HistogramQuantile | Function::HistogramFraction | Function::HistogramQuantiles => {
                VectorPlan::Histogram(Box::new(self.histogram(&args, grid)?))
            }
            other => {
                // All others have their operators above; a test plans every function.
                let message = format!("BUG: {}() has no operator", other.name());
                return Err(QueryError::execution(message).at(expr.span));
            }
        }))
    }

    fn histogram(&mut self, args: &Args<'_>, grid: Grid) -> Result<HistogramPlan, QueryError> {
        let (function, params, input) = match args.call.function {
            Function::HistogramQuantile => (HistogramFunction::Quantile, 0..1, 1),
            Function::HistogramQuantiles => (HistogramFunction::Quantile, 2..args.call.args.len(), 0),
            _ => (HistogramFunction::Fraction, 0..2, 2),
        };
        let quantile_label = match args.call.function {
            Function::HistogramQuantiles => Some(args.text(1)?),
            _ => None,
        };
        let mut plan = HistogramPlan {
            function,
            params: Vec::with_capacity(params.len()),
            input: self.vector(args.at(input)?, grid)?,
            quantile_label,
            param_spans: Vec::with_capacity(params.len()),
            input_span: bare(args.at(input)?).span,
        };
        for at in params {
            plan.params.push(self.scalar(args.at(at)?, grid)?);
            plan.param_spans.push(bare(args.at(at)?).span);
        }
        Ok(plan)
    }

    fn range_call(
        &mut self,
        function: RangeFunction,
        args: &Args<'_>,
        grid: Grid,
    ) -> Result<VectorPlan, QueryError> {
        let (range_at, params_at) = match function {
            RangeFunction::Quantile => (1, vec![0]),
            RangeFunction::PredictLinear => (0, vec![1]),
            RangeFunction::DoubleExponentialSmoothing => (0, vec![1, 2]),
            _ => (0, vec![]),
        };
        let params =
            params_at.into_iter().map(|i| self.scalar(args.at(i)?, grid)).collect::<Result<_, _>>()?;
        let range = self.range(args.at(range_at)?, grid)?;
        // Upstream evaluates a subquery into a selector of its own making, which has no place.
        let first = bare(args.at(0)?);
        let span = if let ExprKind::Subquery(_) = first.kind { Span::default() } else { first.span };
        Ok(VectorPlan::Range(Box::new(RangeCallPlan { function, params, range, span, call: args.span })))
    }
}

/// The arguments of a call, which the type check has counted.
struct Args<'a> {
    call: &'a Call,
    span: Span,
}

impl<'a> Args<'a> {
    fn at(&self, index: usize) -> Result<&'a Expr, QueryError> {
        self.call.args.get(index).ok_or_else(|| {
            let (name, found) = (self.call.function.name(), self.call.args.len());
            QueryError::execution(format!("expected more than {index} arguments of {name}(), found {found}"))
                .at(self.span)
        })
    }

    fn bytes(&self, index: usize) -> Result<&'a [u8], QueryError> {
        let arg = bare(self.at(index)?);
        match &arg.kind {
            ExprKind::String(bytes) => Ok(bytes),
            _ => Err(QueryError::execution("expected a string literal").at(arg.span)),
        }
    }

    fn text(&self, index: usize) -> Result<String, QueryError> {
        let bytes = self.bytes(index)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| {
            QueryError::execution(format!("expected UTF-8, found {}", quoted(bytes))).at(self.span)
        })
    }

    /// A label name, or the error that upstream gives.
    fn label_name(&self, index: usize, role: &str) -> Result<String, QueryError> {
        let bytes = self.bytes(index)?;
        match std::str::from_utf8(bytes) {
            Ok(name) if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(QueryError::execution(format!(
                "invalid {role} label name in {}(): {}",
                self.call.function.name(),
                String::from_utf8_lossy(bytes)
            ))
            .at(self.span)),
        }
    }
}

fn label_replace(args: &Args<'_>) -> Result<LabelReplace, QueryError> {
    let pattern = args.text(4)?;
    let regex = Regex::new(&pattern).map_err(|_| {
        QueryError::execution(format!("invalid regular expression in label_replace(): {pattern}"))
            .at(args.span)
    })?;
    Ok(LabelReplace {
        target: args.label_name(1, "destination")?,
        template: args.text(2)?,
        source: args.text(3)?,
        regex,
    })
}

fn label_join(args: &Args<'_>) -> Result<LabelJoin, QueryError> {
    let sources = (3..args.call.args.len()).map(|i| args.label_name(i, "source"));
    Ok(LabelJoin {
        sources: sources.collect::<Result<_, _>>()?,
        target: args.label_name(1, "destination")?,
        separator: args.text(2)?,
    })
}

/// The labels that `absent` can know: those that are asked for by one `=` and nothing behind it. Upstream's store puts matchers
/// that only take series away behind the others before `absent` looks at them.
fn absent_labels(arg: &Expr) -> Labels {
    let matchers = match &bare(arg).kind {
        ExprKind::Selector(selector) => &selector.matchers,
        ExprKind::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let takes_away = |matcher: &&Matcher| {
        matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex) && matcher.matches_empty()
    };
    let named = || matchers.iter().filter(|m| m.name() != METRIC_NAME);
    let mut builder = LabelsBuilder::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in named().filter(|m| !takes_away(m)).chain(named().filter(takes_away)) {
        if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.name()) {
            builder.set(matcher.name(), matcher.value());
            seen.push(matcher.name());
        } else {
            builder.remove(matcher.name());
        }
    }
    builder.build()
}

pub(super) fn range_function(function: Function) -> Option<RangeFunction> {
    Some(match function {
        Function::AvgOverTime => RangeFunction::Avg,
        Function::Changes => RangeFunction::Changes,
        Function::CountOverTime => RangeFunction::Count,
        Function::Delta => RangeFunction::Delta,
        Function::Deriv => RangeFunction::Deriv,
        Function::DoubleExponentialSmoothing => RangeFunction::DoubleExponentialSmoothing,
        Function::FirstOverTime => RangeFunction::First,
        Function::Idelta => RangeFunction::Idelta,
        Function::Increase => RangeFunction::Increase,
        Function::Irate => RangeFunction::Irate,
        Function::LastOverTime => RangeFunction::Last,
        Function::MadOverTime => RangeFunction::Mad,
        Function::MaxOverTime => RangeFunction::Max,
        Function::MinOverTime => RangeFunction::Min,
        Function::PredictLinear => RangeFunction::PredictLinear,
        Function::PresentOverTime => RangeFunction::Present,
        Function::QuantileOverTime => RangeFunction::Quantile,
        Function::Rate => RangeFunction::Rate,
        Function::Resets => RangeFunction::Resets,
        Function::StddevOverTime => RangeFunction::Stddev,
        Function::StdvarOverTime => RangeFunction::Stdvar,
        Function::SumOverTime => RangeFunction::Sum,
        Function::TsOfFirstOverTime => RangeFunction::TsOfFirst,
        Function::TsOfLastOverTime => RangeFunction::TsOfLast,
        Function::TsOfMaxOverTime => RangeFunction::TsOfMax,
        Function::TsOfMinOverTime => RangeFunction::TsOfMin,
        _ => return None,
    })
}

pub(super) fn map_function(function: Function) -> Option<MapFunction> {
    Some(match function {
        Function::Abs => MapFunction::Abs,
        Function::Acos => MapFunction::Acos,
        Function::Acosh => MapFunction::Acosh,
        Function::Asin => MapFunction::Asin,
        Function::Asinh => MapFunction::Asinh,
        Function::Atan => MapFunction::Atan,
        Function::Atanh => MapFunction::Atanh,
        Function::Ceil => MapFunction::Ceil,
        Function::Clamp => MapFunction::Clamp,
        Function::ClampMax => MapFunction::ClampMax,
        Function::ClampMin => MapFunction::ClampMin,
        Function::Cos => MapFunction::Cos,
        Function::Cosh => MapFunction::Cosh,
        Function::Deg => MapFunction::Deg,
        Function::Exp => MapFunction::Exp,
        Function::Floor => MapFunction::Floor,
        Function::Ln => MapFunction::Ln,
        Function::Log10 => MapFunction::Log10,
        Function::Log2 => MapFunction::Log2,
        Function::Rad => MapFunction::Rad,
        Function::Round => MapFunction::Round,
        Function::Sgn => MapFunction::Sgn,
        Function::Sin => MapFunction::Sin,
        Function::Sinh => MapFunction::Sinh,
        Function::Sqrt => MapFunction::Sqrt,
        Function::Tan => MapFunction::Tan,
        Function::Tanh => MapFunction::Tanh,
        _ => return None,
    })
}

/// What a function needs of native histograms, where that says something.
fn needed(function: Function) -> Option<Histograms> {
    match function {
        Function::HistogramAvg | Function::HistogramCount | Function::HistogramSum => {
            Some(Histograms::Bucketless)
        }
        Function::HistogramFraction
        | Function::HistogramQuantile
        | Function::HistogramQuantiles
        | Function::HistogramStddev
        | Function::HistogramStdvar => Some(Histograms::Whole),
        _ => None,
    }
}

fn measure(function: Function) -> Option<Measure> {
    Some(match function {
        Function::HistogramAvg => Measure::Average,
        Function::HistogramCount => Measure::Count,
        Function::HistogramStddev => Measure::Deviation,
        Function::HistogramStdvar => Measure::Variance,
        Function::HistogramSum => Measure::Sum,
        _ => return None,
    })
}

fn date_part(function: Function) -> Option<DatePart> {
    Some(match function {
        Function::DayOfMonth => DatePart::DayOfMonth,
        Function::DayOfWeek => DatePart::DayOfWeek,
        Function::DayOfYear => DatePart::DayOfYear,
        Function::DaysInMonth => DatePart::DaysInMonth,
        Function::Hour => DatePart::Hour,
        Function::Minute => DatePart::Minute,
        Function::Month => DatePart::Month,
        Function::Year => DatePart::Year,
        _ => return None,
    })
}

/// The function of which `is` is true.
fn named(is: impl Fn(Function) -> bool) -> &'static str {
    Function::all().iter().copied().find(|function| is(*function)).map_or("", Function::name)
}

impl RangeFunction {
    pub(crate) fn name(self) -> &'static str {
        named(|function| range_function(function) == Some(self))
    }
}

impl MapFunction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            MapFunction::Negate => "negate",
            other => named(|function| map_function(function) == Some(other)),
        }
    }
}

impl Measure {
    pub(crate) fn name(self) -> &'static str {
        named(|function| measure(function) == Some(self))
    }
}

impl DatePart {
    pub(crate) fn name(self) -> &'static str {
        named(|function| date_part(function) == Some(self))
    }
}
