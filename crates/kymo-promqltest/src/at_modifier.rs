//! The variants of an instant query: pinned to its time by `@` on every selector, it gives the same at any other time.

use kymo_model::Timestamp;
use kymo_promql_syntax::Function;
use kymo_promql_syntax::ast::{At, Expr, ExprKind};

/// The queries that must give what `expr` gives at `at`, each with the time to ask it at. None where the query depends on
/// its time in other ways than through selectors.
pub(crate) fn variants(expr: &Expr, at: Timestamp) -> Vec<(String, Timestamp)> {
    let mut depends_on_time = false;
    expr.walk(|expr| {
        if let ExprKind::Call(call) = &expr.kind {
            depends_on_time |= TIME_DEPENDENT.contains(&call.function);
        }
    });
    if depends_on_time {
        return Vec::new();
    }
    let mut pinned = expr.clone();
    pin(&mut pinned, at);
    let query = pinned.to_string();
    let ms = at.millis();
    let times = match ms {
        0 => vec![-1000, 0, 1000],
        ms => vec![ms.saturating_mul(-10), 0, ms / 5, ms, ms.saturating_mul(10)],
    };
    times.into_iter().map(|ms| (query.clone(), Timestamp::from_millis(ms))).collect()
}

/// Functions that give another result at another time although their arguments stay.
const TIME_DEPENDENT: [Function; 13] = [
    Function::DaysInMonth,
    Function::DayOfMonth,
    Function::DayOfWeek,
    Function::DayOfYear,
    Function::Hour,
    Function::Minute,
    Function::Month,
    Function::Year,
    Function::PredictLinear,
    Function::Time,
    Function::Timestamp,
    Function::Start,
    Function::End,
];

/// Sets `@` wherever there is no time yet; below a subquery only the subquery itself is pinned.
fn pin(expr: &mut Expr, at: Timestamp) {
    if let Some(time) = expr.time_modifiers_mut()
        && !matches!(time.at, Some(At::Time(_)))
    {
        time.at = Some(At::Time(at.millis()));
    }
    if !matches!(expr.kind, ExprKind::Subquery(_)) {
        expr.children_mut().for_each(|child| pin(child, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_pinned() {
        for (query, wanted) in [
            ("a + max_over_time(b[5m:] @ 3)", "a @ 60.000 + max_over_time(b[5m:] @ 3.000)"),
            ("rate(a[1m])", "rate(a[1m] @ 60.000)"),
            (
                "max_over_time(rate(a[1m])[5m:1m] offset 1m)",
                "max_over_time(rate(a[1m])[5m:1m] @ 60.000 offset 1m)",
            ),
            ("a @ start()", "a @ 60.000"),
        ] {
            let expr = kymo_promql_syntax::parse(query).unwrap();
            let found = variants(&expr, Timestamp::from_millis(60_000));
            assert_eq!(found.len(), 5);
            assert_eq!(found[0].0, wanted);
            assert_eq!(found[0].1, Timestamp::from_millis(-600_000));
        }
        let expr = kymo_promql_syntax::parse("time() + a").unwrap();
        assert!(variants(&expr, Timestamp::from_millis(1)).is_empty());
    }
}
