//! A tree as data, in the shape of Prometheus' `/api/v1/parse_query`: what its web pages draw as a tree. Feature `serde`.
//!
//! Keys stand in alphabetical order, as Go writes maps, so that the JSON is Prometheus' to the byte wherever a value has one
//! spelling. Recurses as deep as the tree is high, which the parser has bounded.
//!
//! Two things JSON cannot say: bytes of a string that are no UTF-8 become U+FFFD each, and a fill value that is no finite
//! number becomes what the serializer makes of it (`null` in serde_json; Prometheus fails).

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use kymo_model::{MatchOp, Matcher, format_float};

use crate::ast::{
    Aggregate, At, Binary, Call, Cardinality, DurationExpr, Edges, Expr, ExprKind, Grouping, MatrixSelector,
    Subquery, TimeModifiers, ValueType, VectorMatching, VectorSelector,
};
use crate::functions::Signature;

/// As `/api/v1/parse_query` answers.
///
/// ```
/// let expr = kymo_promql_syntax::parse("-up offset 5m").unwrap();
/// assert_eq!(
///     serde_json::to_string(&expr).unwrap(),
///     r#"{"expr":{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"up"}],"name":"up","offset":300000,"#.to_owned()
///         + r#""offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"#
///         + r#""op":"-","type":"unaryExpr"}"#
/// );
/// ```
impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.kind {
            ExprKind::Number(number) => {
                map.serialize_entry("type", "numberLiteral")?;
                map.serialize_entry("val", &format_float(number.value))?;
            }
            ExprKind::String(bytes) => {
                map.serialize_entry("type", "stringLiteral")?;
                map.serialize_entry("val", &as_text(bytes))?;
            }
            ExprKind::Selector(selector) => push_selector(&mut map, selector)?,
            ExprKind::Matrix(matrix) => push_matrix(&mut map, matrix)?,
            ExprKind::Subquery(subquery) => push_subquery(&mut map, subquery)?,
            ExprKind::Call(call) => push_call(&mut map, call)?,
            ExprKind::Aggregate(aggregate) => push_aggregate(&mut map, aggregate)?,
            ExprKind::Binary(binary) => push_binary(&mut map, binary)?,
            ExprKind::Unary(unary) => {
                map.serialize_entry("expr", &*unary.expr)?;
                map.serialize_entry("op", if unary.negative { "-" } else { "+" })?;
                map.serialize_entry("type", "unaryExpr")?;
            }
            ExprKind::Paren(inner) => {
                map.serialize_entry("expr", &**inner)?;
                map.serialize_entry("type", "parenExpr")?;
            }
        }
        map.end()
    }
}

/// Each byte that belongs to no character becomes U+FFFD, as Go's JSON has it.
fn as_text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    out
}

fn push_selector<M: SerializeMap>(map: &mut M, selector: &VectorSelector) -> Result<(), M::Error> {
    map.serialize_entry("anchored", &(selector.edges == Edges::Anchored))?;
    map.serialize_entry("matchers", &Matchers(selector))?;
    map.serialize_entry("name", selector.name.as_deref().unwrap_or(""))?;
    push_offset(map, &selector.time)?;
    map.serialize_entry("smoothed", &(selector.edges == Edges::Smoothed))?;
    push_boundary(map, &selector.time)?;
    push_timestamp(map, &selector.time)?;
    map.serialize_entry("type", "vectorSelector")
}

fn push_matrix<M: SerializeMap>(map: &mut M, matrix: &MatrixSelector) -> Result<(), M::Error> {
    let selector = &matrix.selector;
    map.serialize_entry("anchored", &(selector.edges == Edges::Anchored))?;
    map.serialize_entry("matchers", &Matchers(selector))?;
    map.serialize_entry("name", selector.name.as_deref().unwrap_or(""))?;
    push_offset(map, &selector.time)?;
    push_duration(map, "range", "rangeExpr", Some(&matrix.range))?;
    map.serialize_entry("smoothed", &(selector.edges == Edges::Smoothed))?;
    push_boundary(map, &selector.time)?;
    push_timestamp(map, &selector.time)?;
    map.serialize_entry("type", "matrixSelector")
}

fn push_subquery<M: SerializeMap>(map: &mut M, subquery: &Subquery) -> Result<(), M::Error> {
    map.serialize_entry("expr", &*subquery.expr)?;
    push_offset(map, &subquery.time)?;
    push_duration(map, "range", "rangeExpr", Some(&subquery.range))?;
    push_boundary(map, &subquery.time)?;
    push_duration(map, "step", "stepExpr", subquery.step.as_ref())?;
    push_timestamp(map, &subquery.time)?;
    map.serialize_entry("type", "subquery")
}

fn push_call<M: SerializeMap>(map: &mut M, call: &Call) -> Result<(), M::Error> {
    map.serialize_entry("args", &call.args)?;
    map.serialize_entry("func", call.function.signature())?;
    map.serialize_entry("type", "call")
}

fn push_aggregate<M: SerializeMap>(map: &mut M, aggregate: &Aggregate) -> Result<(), M::Error> {
    let (without, labels) = match &aggregate.grouping {
        Grouping::By(labels) => (false, labels),
        Grouping::Without(labels) => (true, labels),
    };
    map.serialize_entry("expr", &*aggregate.expr)?;
    map.serialize_entry("grouping", labels)?;
    map.serialize_entry("op", aggregate.op.name())?;
    map.serialize_entry("param", &aggregate.param.as_deref())?;
    map.serialize_entry("type", "aggregation")?;
    map.serialize_entry("without", &without)
}

fn push_binary<M: SerializeMap>(map: &mut M, binary: &Binary) -> Result<(), M::Error> {
    map.serialize_entry("bool", &binary.return_bool)?;
    map.serialize_entry("lhs", &binary.lhs)?;
    map.serialize_entry("matching", &binary.matching)?;
    map.serialize_entry("op", binary.op.as_str())?;
    map.serialize_entry("rhs", &binary.rhs)?;
    map.serialize_entry("type", "binaryExpr")
}

fn push_offset<M: SerializeMap>(map: &mut M, time: &TimeModifiers) -> Result<(), M::Error> {
    push_duration(map, "offset", "offsetExpr", time.offset.as_ref())
}

/// A duration is milliseconds where it is known, and otherwise 0 beside its arithmetic.
fn push_duration<M: SerializeMap>(
    map: &mut M,
    key: &'static str,
    arithmetic_key: &'static str,
    duration: Option<&DurationExpr>,
) -> Result<(), M::Error> {
    let (ms, arithmetic) = match duration {
        None => (0, None),
        Some(DurationExpr::Millis(ms)) => (*ms, None),
        Some(other) => (0, Some(Arithmetic { duration: other, wrapped: false })),
    };
    map.serialize_entry(key, &ms)?;
    map.serialize_entry(arithmetic_key, &arithmetic)
}

fn push_boundary<M: SerializeMap>(map: &mut M, time: &TimeModifiers) -> Result<(), M::Error> {
    let boundary = match time.at {
        Some(At::Start) => Some("start"),
        Some(At::End) => Some("end"),
        Some(At::Time(_)) | None => None,
    };
    map.serialize_entry("startOrEnd", &boundary)
}

fn push_timestamp<M: SerializeMap>(map: &mut M, time: &TimeModifiers) -> Result<(), M::Error> {
    let ms = match time.at {
        Some(At::Time(ms)) => Some(ms),
        _ => None,
    };
    map.serialize_entry("timestamp", &ms)
}

/// The conditions of a selector; that of a name in front of the braces stands last.
struct Matchers<'a>(&'a VectorSelector);

impl Serialize for Matchers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = &self.0.matchers;
        let (name, rest) = all.split_at(usize::from(self.0.name.is_some()).min(all.len()));
        let mut list = serializer.serialize_seq(Some(all.len()))?;
        for matcher in rest.iter().chain(name) {
            list.serialize_element(&Condition(matcher))?;
        }
        list.end()
    }
}

struct Condition<'a>(&'a Matcher);

impl Serialize for Condition<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("name", self.0.name())?;
        let op = match self.0.op() {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        map.serialize_entry("type", op)?;
        map.serialize_entry("value", self.0.value())?;
        map.end()
    }
}

/// `variadic` is how many arguments may follow the required ones: 0, a number, or −1 for any.
impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        let types: Vec<&str> = self.args.iter().copied().map(ValueType::short_name).collect();
        let variadic = match self.args_max {
            None => -1,
            Some(max) if max == self.args_min => 0,
            Some(max) => (max + 1 - self.args.len()) as i64,
        };
        map.serialize_entry("argTypes", &types)?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("returnType", self.returns.short_name())?;
        map.serialize_entry("variadic", &variadic)?;
        map.end()
    }
}

impl Serialize for VectorMatching {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5))?;
        let card = match self.cardinality {
            Cardinality::OneToOne => "one-to-one",
            Cardinality::ManyToOne => "many-to-one",
            Cardinality::OneToMany => "one-to-many",
            Cardinality::ManyToMany => "many-to-many",
        };
        map.serialize_entry("card", card)?;
        map.serialize_entry("fillValues", &FillValues(self))?;
        map.serialize_entry("include", &self.include)?;
        map.serialize_entry("labels", &self.labels)?;
        map.serialize_entry("on", &self.on)?;
        map.end()
    }
}

struct FillValues<'a>(&'a VectorMatching);

impl Serialize for FillValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("lhs", &self.0.fill_left.map(JsonNumber))?;
        map.serialize_entry("rhs", &self.0.fill_right.map(JsonNumber))?;
        map.end()
    }
}

/// Whole numbers without a point, as Go writes them.
struct JsonNumber(f64);

impl Serialize for JsonNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Up to here every whole number is a float of its own; −0 is none of them.
        const EXACT_MAX: f64 = (1u64 << 53) as f64;
        let whole = self.0 as i64;
        if self.0.abs() <= EXACT_MAX && whole as f64 == self.0 && (whole != 0 || self.0.is_sign_positive()) {
            return serializer.serialize_i64(whole);
        }
        serializer.serialize_f64(self.0)
    }
}

/// Arithmetic of durations; parentheses are a mark on what they hold.
struct Arithmetic<'a> {
    duration: &'a DurationExpr,
    wrapped: bool,
}

impl Serialize for Arithmetic<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let part = |duration| Some(Arithmetic { duration, wrapped: false });
        let (op, left, right) = match self.duration {
            DurationExpr::Millis(ms) => return literal(*ms as f64 / 1000.0, true, serializer),
            DurationExpr::Number(value) => return literal(*value, false, serializer),
            // A number cannot carry the mark; a sign that does nothing carries it.
            DurationExpr::Paren(inner) => match &**inner {
                number @ (DurationExpr::Millis(_) | DurationExpr::Number(_)) => {
                    return operation("+", None, part(number), true, serializer);
                }
                other => return Arithmetic { duration: other, wrapped: true }.serialize(serializer),
            },
            DurationExpr::Step => ("step", None, None),
            DurationExpr::Range => ("range", None, None),
            DurationExpr::Neg(inner) => ("-", None, part(inner)),
            DurationExpr::Binary(op, left, right) => (op.as_str(), part(left), part(right)),
            DurationExpr::MinOf(left, right) => ("min_of", part(left), part(right)),
            DurationExpr::MaxOf(left, right) => ("max_of", part(left), part(right)),
        };
        operation(op, left, right, self.wrapped, serializer)
    }
}

fn literal<S: Serializer>(value: f64, is_duration: bool, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(3))?;
    map.serialize_entry("duration", &is_duration)?;
    map.serialize_entry("type", "numberLiteral")?;
    map.serialize_entry("val", &format_float(value))?;
    map.end()
}

fn operation<S: Serializer>(
    op: &str,
    left: Option<Arithmetic<'_>>,
    right: Option<Arithmetic<'_>>,
    wrapped: bool,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(5))?;
    map.serialize_entry("lhs", &left)?;
    map.serialize_entry("op", op)?;
    map.serialize_entry("rhs", &right)?;
    map.serialize_entry("type", "durationExpr")?;
    map.serialize_entry("wrapped", &wrapped)?;
    map.end()
}
