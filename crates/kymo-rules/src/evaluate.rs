//! What one rule makes of one evaluation: the query, then series for a recording rule or alerts for an alerting rule.
//! Between the engine and the group that keeps the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use kymo_model::{Batch, Labels, LabelsBuilder, METRIC_NAME, SampleValue, StoreError, Timestamp};
use kymo_promql::{Engine, PointValue, QueryError, QueryErrorKind, QueryOptions, QueryValue, VectorSample};
use kymo_promql_syntax::Parser;

use crate::alert::{Alert, AlertState, Fate, Step};
use crate::rule_file::{AlertingRule, Query, RecordingRule, TextTemplate};
use crate::template::{Expansion, TemplateLimits};

/// The label that names an alert.
pub const ALERT_NAME: &str = "alertname";
/// The series that say which alerts are pending and firing.
pub const ALERTS: &str = "ALERTS";
/// The series that say since when alerts are active, from which `for` is restored after a restart.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// What rules are evaluated with.
#[derive(Clone)]
pub struct EvalContext<'a> {
    /// Answers the expressions.
    pub engine: &'a Engine,
    /// The data.
    pub queryable: &'a dyn kymo_model::Queryable,
    /// For every query; carries the token that stops them.
    pub query_options: QueryOptions,
    /// `{{ $externalLabels }}`.
    pub external_labels: &'a Labels,
    /// `{{ externalURL }}`.
    pub external_url: &'a str,
    /// Bounds on templates.
    pub template_limits: TemplateLimits,
    /// Reads what templates give to `query`.
    pub parser: Parser,
}

/// Why a rule has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The expression could not be evaluated.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The expression gives a string or a range vector.
    #[error("rule result is not a vector or scalar")]
    NotAVector,
    /// Two series become one when the rule's labels are set.
    #[error("vector contains metrics with the same labelset after applying {0} labels")]
    SameLabelset(&'static str),
    /// More series than the group allows.
    #[error("exceeded limit of {limit} with {found} {what}")]
    Limit {
        /// The group's limit.
        limit: usize,
        /// How many there were.
        found: usize,
        /// `series` or `alerts`.
        what: &'static str,
    },
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Append(#[from] StoreError),
}

impl<'a> EvalContext<'a> {
    /// Without external labels or URL, with default options.
    pub fn new(engine: &'a Engine, queryable: &'a dyn kymo_model::Queryable) -> EvalContext<'a> {
        static NO_LABELS: std::sync::LazyLock<Labels> = std::sync::LazyLock::new(Labels::empty);
        EvalContext {
            engine,
            queryable,
            query_options: QueryOptions::default(),
            external_labels: &NO_LABELS,
            external_url: "",
            template_limits: TemplateLimits::default(),
            parser: Parser::default(),
        }
    }

    /// A vector, or a scalar as a vector of one series without labels.
    fn vector(
        &self,
        query: &Query,
        at: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<VectorSample>, RuleError> {
        let mut result = self.engine.instant(self.queryable, &query.ast, at, &self.query_options)?;
        warnings.append(&mut result.warnings);
        as_vector(result.value).ok_or(RuleError::NotAVector)
    }

    /// The function `query` of templates.
    fn template_query(&self, text: &str, at: Timestamp) -> Result<Vec<VectorSample>, QueryError> {
        let execution = |message: String| QueryError::new(QueryErrorKind::Execution, message);
        let expr = self.parser.parse(text).map_err(|error| execution(error.to_string()))?;
        let result = self.engine.instant(self.queryable, &expr, at, &self.query_options)?;
        as_vector(result.value).ok_or_else(|| execution(RuleError::NotAVector.to_string()))
    }
}

fn as_vector(value: QueryValue) -> Option<Vec<VectorSample>> {
    match value {
        QueryValue::Vector(samples) => Some(samples),
        QueryValue::Scalar { timestamp, value } => {
            Some(vec![VectorSample { labels: Labels::empty(), timestamp, value: PointValue::Float(value) }])
        }
        _ => None,
    }
}

fn sample_value(value: PointValue) -> SampleValue {
    match value {
        PointValue::Float(value) => SampleValue::Float(value),
        PointValue::Histogram(histogram) => SampleValue::FloatHistogram(histogram),
    }
}

impl RecordingRule {
    /// The series of one evaluation, each once.
    pub(crate) fn evaluate(
        &self,
        context: &EvalContext<'_>,
        at: Timestamp,
        limit: usize,
        warnings: &mut Vec<String>,
    ) -> Result<Batch, RuleError> {
        let samples = context.vector(&self.expr, at, warnings)?;
        let mut series: Vec<(Labels, SampleValue)> = Vec::with_capacity(samples.len());
        for sample in samples {
            let mut builder = sample.labels.to_builder();
            builder.set(METRIC_NAME, &self.name);
            for (name, value) in &self.labels {
                builder.set(name, value);
            }
            series.push((builder.build(), sample_value(sample.value)));
        }
        let mut seen = std::collections::HashSet::with_capacity(series.len());
        if !series.iter().all(|(labels, _)| seen.insert(labels)) {
            return Err(RuleError::SameLabelset("rule"));
        }
        if limit > 0 && series.len() > limit {
            return Err(RuleError::Limit { limit, found: series.len(), what: "series" });
        }
        let mut batch = Batch::with_capacity(series.len());
        for (labels, value) in series {
            batch.push(labels, at, value);
        }
        Ok(batch)
    }
}

/// The alerts of a rule, by their labels.
pub(crate) type Alerts = BTreeMap<Labels, Alert>;

/// What an evaluation of an alerting rule is asked.
pub(crate) struct AlertRound<'a> {
    pub(crate) now: Timestamp,
    /// The time of queries and samples: `now` less the query offset.
    pub(crate) at: Timestamp,
    pub(crate) limit: usize,
    pub(crate) resolved_retention_ms: i64,
    /// Are ALERTS series written? Not until `for` was restored.
    pub(crate) write_series: bool,
    pub(crate) warnings: &'a mut Vec<String>,
}

impl AlertingRule {
    /// Moves the alerts on, and gives the ALERTS and ALERTS_FOR_STATE series.
    pub(crate) fn evaluate(
        &self,
        context: &EvalContext<'_>,
        alerts: &mut Alerts,
        round: AlertRound<'_>,
    ) -> Result<Batch, RuleError> {
        let samples = context.vector(&self.expr, round.at, round.warnings)?;
        let mut found = Alerts::new();
        for sample in &samples {
            let alert = self.alert_of(context, sample, round.now, round.warnings);
            if found.insert(alert.labels.clone(), alert).is_some() {
                return Err(RuleError::SameLabelset("alert"));
            }
        }
        let step = Step {
            now: round.now,
            for_ms: self.for_ms,
            keep_firing_for_ms: self.keep_firing_for_ms,
            resolved_retention_ms: round.resolved_retention_ms,
        };
        for (labels, new) in &found {
            match alerts.get_mut(labels) {
                Some(alert) if alert.state != AlertState::Inactive => {
                    alert.value = new.value;
                    alert.annotations = Arc::clone(&new.annotations);
                }
                _ => {
                    alerts.insert(labels.clone(), new.clone());
                }
            }
        }
        let mut active = 0;
        let mut batch = Batch::new();
        alerts.retain(|labels, alert| {
            let fate = step.advance(alert, found.contains_key(labels));
            if fate == Fate::Active {
                active += 1;
                if round.write_series {
                    self.push_series(alert, round.at, &mut batch);
                }
            }
            fate != Fate::Forgotten
        });
        if round.limit > 0 && active > round.limit {
            alerts.clear();
            return Err(RuleError::Limit { limit: round.limit, found: active, what: "alerts" });
        }
        Ok(batch)
    }

    /// The alert that one sample of the result stands for.
    fn alert_of(
        &self,
        context: &EvalContext<'_>,
        sample: &VectorSample,
        now: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Alert {
        let query = |text: &str, at: Timestamp| context.template_query(text, at);
        let expansion = Expansion {
            labels: &sample.labels,
            value: &sample.value,
            external_labels: context.external_labels,
            external_url: context.external_url,
            now,
            query: &query,
            limits: context.template_limits,
        };
        let mut expand = |template: &TextTemplate| {
            template.template.expand(&expansion).unwrap_or_else(|error| {
                warnings.push(format!("alert {:?}: error expanding template: {error}", self.name));
                format!("<error expanding template: {error}>")
            })
        };
        let mut labels = sample.labels.to_builder();
        labels.remove(METRIC_NAME);
        for (name, template) in &self.labels {
            labels.set(name, &expand(template));
        }
        labels.set(ALERT_NAME, &self.name);
        let annotations =
            self.annotations.iter().map(|(name, template)| (name.clone(), expand(template))).collect();
        let value = sample.value.float().unwrap_or(0.0);
        Alert::pending(labels.build(), Arc::new(annotations), value, now)
    }

    fn push_series(&self, alert: &Alert, at: Timestamp, batch: &mut Batch) {
        let mut builder = self.series_labels(alert, ALERTS);
        builder.set("alertstate", alert.state.as_str());
        batch.push(builder.build(), at, 1.0);
        let active_s = alert.active_at.millis().div_euclid(1000) as f64;
        batch.push(self.for_state_labels(alert), at, active_s);
    }

    /// The ALERTS_FOR_STATE series of an alert.
    pub(crate) fn for_state_labels(&self, alert: &Alert) -> Labels {
        self.series_labels(alert, ALERTS_FOR_STATE).build()
    }

    /// The labels of the alert over those of the rule as written: a label whose template expands to nothing shows its
    /// template here. That is what Prometheus does, and what its series look like.
    fn series_labels(&self, alert: &Alert, name: &str) -> LabelsBuilder {
        let mut builder = LabelsBuilder::new();
        for (name, template) in &self.labels {
            builder.set(name, &template.text);
        }
        for label in alert.labels.iter() {
            builder.set(label.name, label.value);
        }
        builder.set(METRIC_NAME, name);
        builder
    }
}
