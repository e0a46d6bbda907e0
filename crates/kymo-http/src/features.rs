//! `/features`: what this server can do, by Prometheus' names. The API's and the language's own parts are said here, the
//! rest by [`Status`](crate::Status).

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use kymo_promql_syntax::Function;

use crate::api::Api;
use crate::json::{self, Answer};

type Group = BTreeMap<&'static str, bool>;

/// Operators and aggregations that need no flag.
const OPERATORS: [&str; 31] = [
    "!=",
    "!~",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "<=",
    "==",
    "=~",
    ">",
    ">=",
    "@",
    "^",
    "and",
    "atan2",
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "max",
    "min",
    "or",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
    "unless",
];

/// Parts of the language that need no flag.
const LANGUAGE: [&str; 12] = [
    "at_modifier",
    "bool",
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "negative_offset",
    "offset",
    "on",
    "per_query_lookback_delta",
    "subqueries",
    "without",
];

pub(crate) async fn features(State(api): State<Api>) -> Response {
    let mut groups = BTreeMap::from([
        ("api", of_the_api(&api)),
        ("promql", of_the_language(&api)),
        ("promql_functions", functions(&api)),
        ("promql_operators", operators(&api)),
    ]);
    for group in api.status.as_ref().map(|status| status.features()).unwrap_or_default() {
        groups.entry(group.name).or_default().extend(group.features);
    }
    json::respond(Ok(Answer::of(&groups)))
}

fn of_the_api(api: &Api) -> Group {
    BTreeMap::from([
        ("admin", api.admin.is_some()),
        ("exclude_alerts", true),
        ("label_values_match", true),
        ("lifecycle", api.lifecycle),
        ("openapi_3.1", false),
        ("openapi_3.2", false),
        ("otlp_write_receiver", false),
        ("query_stats", true),
        ("query_warnings", true),
        ("remote_write_receiver", api.remote_write.is_some()),
        ("time_range_labels", true),
        ("time_range_series", true),
    ])
}

fn of_the_language(api: &Api) -> Group {
    let options = api.parser.options();
    let mut group: Group = LANGUAGE.iter().map(|name| (*name, true)).collect();
    for name in ["fill", "fill_left", "fill_right"] {
        group.insert(name, options.fill_modifiers);
    }
    for name in ["anchored", "smoothed"] {
        group.insert(name, options.extended_range_selectors);
    }
    group.insert("delayed_name_removal", api.engine.options().delayed_name_removal);
    group.insert("per_step_stats", api.limits.per_step_stats);
    group.insert("type_and_unit_labels", api.engine.options().type_and_unit_labels);
    group
}

fn functions(api: &Api) -> Group {
    let allowed = |function: &Function| {
        !function.signature().experimental || api.parser.options().experimental_functions
    };
    Function::all().iter().map(|function| (function.name(), allowed(function))).collect()
}

fn operators(api: &Api) -> Group {
    let mut group: Group = OPERATORS.iter().map(|name| (*name, true)).collect();
    for name in ["limitk", "limit_ratio"] {
        group.insert(name, api.parser.options().experimental_functions);
    }
    group
}
