//! Constants: what is made of numbers alone is a number before the query runs. By the evaluator's own operations, so that
//! folding changes no bit.

use super::ScalarPlan;
use crate::eval::{go_max, go_min, of_numbers};

impl ScalarPlan {
    /// The number that this is, if it is made of numbers alone; itself otherwise.
    pub(super) fn folded(self) -> ScalarPlan {
        use ScalarPlan::{Binary, MaxOf, MinOf, Negate, Number, Once};
        match &self {
            Negate(inner) => match **inner {
                Number(value) => Number(-value),
                _ => self,
            },
            Binary(op, a, b) => match (&**a, &**b) {
                (Number(a), Number(b)) => Number(of_numbers(*op, *a, *b)),
                _ => self,
            },
            MinOf(a, b) => match (&**a, &**b) {
                (Number(a), Number(b)) => Number(go_min(*a, *b)),
                _ => self,
            },
            MaxOf(a, b) => match (&**a, &**b) {
                (Number(a), Number(b)) => Number(go_max(*a, *b)),
                _ => self,
            },
            // What is inside was folded when it was made, so it is no number.
            Once(_) | Number(_) | ScalarPlan::Time | ScalarPlan::OfVector(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use kymo_promql_syntax::ast::ExprKind;

    /// What a query folds to, as bits; `None` where it is not known before it runs.
    fn folded(query: &str) -> Option<u64> {
        use crate::{Engine, QueryOptions};
        use kymo_model::Timestamp;
        let expr = kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything())
            .parse(query)
            .unwrap();
        assert!(!matches!(expr.kind, ExprKind::Number(_)), "{query} is a number already");
        let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(60_000));
        let plan = Engine::default().explain(&expr, start, end, 30_000, &QueryOptions::default()).unwrap();
        let value =
            (plan.root.operator == "number").then(|| kymo_model::parse_float(&plan.root.detail).unwrap());
        value.map(f64::to_bits)
    }

    #[test]
    fn numbers_alone() {
        for (query, value) in [
            ("1 + 2 * 3", Some(7.0)),
            ("-(2 ^ 10)", Some(-1024.0)),
            ("1 / 0", Some(f64::INFINITY)),
            ("2 > bool 1", Some(1.0)),
            ("pi() * 2", Some(2.0 * std::f64::consts::PI)),
            ("max_of(1, min_of(5, 3))", Some(3.0)),
            ("end() - start()", Some(60.0)),
            ("(1 + 1) * step()", Some(60.0)),
            ("5 % 3 + 1h", Some(3602.0)),
            ("1 + time()", None),
            ("scalar(up) + 1", None),
        ] {
            assert_eq!(folded(query), value.map(f64::to_bits), "{query}");
        }
    }
}
