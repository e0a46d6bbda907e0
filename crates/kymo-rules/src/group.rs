//! Group: the rules of a group and what they remember between evaluations. The caller brings clock, data and store.
//!
//! Rules run in order, and what one writes the next one reads: so the group appends between rules, through the
//! [`Append`] it is given. [`Group::evaluate_rule`] is the same step without a store, for callers that append themselves.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kymo_model::{Append, Appended, Batch, Labels, RowSeries, STALE_NAN, Timestamp};
use xxhash_rust::xxh64::xxh64;

use crate::alert::{Alert, AlertState};
use crate::evaluate::{AlertRound, Alerts, EvalContext, RuleError};
use crate::rule_file::{Rule, RuleGroup};

/// How a group is evaluated, where the file does not say.
#[derive(Clone, Copy, Debug)]
pub struct GroupOptions {
    /// For groups without `interval` (`global.evaluation_interval`).
    pub interval_ms: i64,
    /// For groups without `query_offset` (`global.rule_query_offset`).
    pub query_offset_ms: i64,
    /// How long resolved alerts are kept, so that notifiers hear of them.
    pub resolved_retention_ms: i64,
    /// Is [`Group::restore`] going to be called? Until then, no ALERTS series are written, because they would hide from
    /// the restore what was there before.
    pub restore: bool,
}

impl Default for GroupOptions {
    fn default() -> GroupOptions {
        GroupOptions {
            interval_ms: 60_000,
            query_offset_ms: 0,
            resolved_retention_ms: 15 * 60_000,
            restore: false,
        }
    }
}

/// How the last evaluation of a rule went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RuleHealth {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// Fine.
    Ok,
    /// Failed.
    Err,
}

impl RuleHealth {
    /// The word of the HTTP API.
    pub const fn as_str(self) -> &'static str {
        match self {
            RuleHealth::Unknown => "unknown",
            RuleHealth::Ok => "ok",
            RuleHealth::Err => "err",
        }
    }
}

/// A group of rules with its state.
///
/// ```
/// use std::time::Duration;
/// use kymo_model::{MemoryStore, Timestamp};
/// use kymo_promql::Engine;
/// use kymo_rules::{EvalContext, Group, GroupOptions, RuleFile};
///
/// let file = RuleFile::parse("groups: [{name: g, rules: [{record: one, expr: 1}]}]", "rules.yml").unwrap();
/// let (engine, store) = (Engine::default(), MemoryStore::default());
/// let mut group = Group::new(&file.groups[0], GroupOptions::default());
/// let context = EvalContext::new(&engine, &store);
/// let outcome = group.evaluate(&context, &store, Timestamp::from_millis(0), &|| Duration::ZERO);
/// assert_eq!((outcome.appended, outcome.failed_rules), (1, 0));
/// ```
#[derive(Clone, Debug)]
pub struct Group {
    name: String,
    source: String,
    interval_ms: i64,
    query_offset_ms: i64,
    limit: usize,
    resolved_retention_ms: i64,
    restored: bool,
    rules: Vec<RuleState>,
    /// Series of rules that a reload removed; to be marked stale by the next evaluation.
    orphans: Vec<Labels>,
    last_evaluation: Option<Timestamp>,
    evaluation_time: Duration,
}

/// A rule with its state.
#[derive(Clone, Debug)]
pub struct RuleState {
    rule: Rule,
    health: RuleHealth,
    last_error: Option<Arc<RuleError>>,
    last_evaluation: Option<Timestamp>,
    evaluation_time: Duration,
    alerts: Alerts,
    /// Written by the last evaluation that went well.
    series: HashSet<Labels>,
}

/// What an evaluation of a group did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupEvaluation {
    /// Samples written, staleness markers included.
    pub appended: usize,
    /// Samples the store did not take.
    pub refused: usize,
    /// Rules whose evaluation failed; their states say why.
    pub failed_rules: usize,
    /// Warnings of queries, and templates that could not be expanded.
    pub warnings: Vec<String>,
}

impl RuleState {
    fn new(rule: Rule) -> RuleState {
        RuleState {
            rule,
            health: RuleHealth::Unknown,
            last_error: None,
            last_evaluation: None,
            evaluation_time: Duration::ZERO,
            alerts: Alerts::new(),
            series: HashSet::new(),
        }
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// How the last evaluation went.
    pub fn health(&self) -> RuleHealth {
        self.health
    }

    /// Why it failed, if it did.
    pub fn last_error(&self) -> Option<&RuleError> {
        self.last_error.as_deref()
    }

    /// When it was last evaluated.
    pub fn last_evaluation(&self) -> Option<Timestamp> {
        self.last_evaluation
    }

    /// How long that took.
    pub fn evaluation_time(&self) -> Duration {
        self.evaluation_time
    }

    /// Pending and firing alerts, by labels.
    pub fn active_alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().filter(|alert| alert.resolved_at.is_none())
    }

    /// The state the HTTP API shows for an alerting rule: that of its furthest alert.
    pub fn alert_state(&self) -> AlertState {
        self.active_alerts().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive)
    }

    fn same_identity(&self, other: &RuleState) -> bool {
        matches!(self.rule, Rule::Alerting(_)) == matches!(other.rule, Rule::Alerting(_))
            && self.rule.name() == other.rule.name()
            && self.rule.labels().eq(other.rule.labels())
    }
}

impl Group {
    /// A group that has not been evaluated.
    pub fn new(group: &RuleGroup, options: GroupOptions) -> Group {
        Group {
            name: group.name.clone(),
            source: group.source.clone(),
            interval_ms: group.interval_ms.unwrap_or(options.interval_ms).max(1),
            query_offset_ms: group.query_offset_ms.unwrap_or(options.query_offset_ms),
            limit: group.limit,
            resolved_retention_ms: options.resolved_retention_ms,
            restored: !options.restore,
            rules: group.rules.iter().cloned().map(RuleState::new).collect(),
            orphans: Vec::new(),
            last_evaluation: None,
            evaluation_time: Duration::ZERO,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file it comes from; see [`RuleGroup::source`].
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How often it is to be evaluated.
    pub fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// How far back its expressions look.
    pub fn query_offset_ms(&self) -> i64 {
        self.query_offset_ms
    }

    /// The most series or alerts of a rule; 0 for no limit.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Its rules.
    pub fn rules(&self) -> &[RuleState] {
        &self.rules
    }

    /// When it was last evaluated.
    pub fn last_evaluation(&self) -> Option<Timestamp> {
        self.last_evaluation
    }

    /// How long that took.
    pub fn evaluation_time(&self) -> Duration {
        self.evaluation_time
    }

    /// The last time at or before `now` at which this group is to be evaluated. Groups are spread over their interval by
    /// name, so that not all run at once, and the same group runs at the same times on every server.
    pub fn aligned(&self, now: Timestamp) -> Timestamp {
        let hash = xxh64(format!("{};{}", self.source, self.name).as_bytes(), 0);
        let offset = (hash % self.interval_ms.unsigned_abs()) as i64;
        let into = now.millis().saturating_sub(offset).rem_euclid(self.interval_ms);
        now.saturating_add_ms(-into)
    }

    /// Evaluates all rules in order at `now`; each reads what the ones before it wrote. `elapsed` is a running clock of the
    /// caller, read before and after each rule.
    pub fn evaluate(
        &mut self,
        context: &EvalContext<'_>,
        append: &dyn Append,
        now: Timestamp,
        elapsed: &dyn Fn() -> Duration,
    ) -> GroupEvaluation {
        let mut outcome = GroupEvaluation::default();
        let group_start = elapsed();
        for index in 0..self.rules.len() {
            let start = elapsed();
            let written = self
                .evaluate_rule(index, context, now, &mut outcome.warnings)
                .and_then(|batch| Ok((append_all(append, &batch)?, batch)));
            match written {
                Ok((appended, batch)) => {
                    outcome.appended += appended.appended;
                    outcome.refused += appended.refused.len();
                    self.finish_rule(index, &batch, &appended);
                }
                Err(error) => {
                    outcome.failed_rules += 1;
                    self.fail_rule(index, error);
                }
            }
            self.rules[index].evaluation_time = elapsed().saturating_sub(start);
        }
        self.mark_orphans(append, now, &mut outcome);
        self.last_evaluation = Some(now);
        self.evaluation_time = elapsed().saturating_sub(group_start);
        outcome
    }

    /// One rule without a store: its alerts move on, and what it gives is returned, with staleness markers for the series
    /// that the last evaluation had and this one has not. Hand what became of the batch to [`Group::finish_rule`].
    pub fn evaluate_rule(
        &mut self,
        index: usize,
        context: &EvalContext<'_>,
        now: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Result<Batch, RuleError> {
        let at = now.saturating_add_ms(self.query_offset_ms.saturating_neg());
        let state = &mut self.rules[index];
        state.last_evaluation = Some(now);
        let mut batch = match &state.rule {
            Rule::Recording(rule) => rule.evaluate(context, at, self.limit, warnings)?,
            Rule::Alerting(rule) => {
                let round = AlertRound {
                    now,
                    at,
                    limit: self.limit,
                    resolved_retention_ms: self.resolved_retention_ms,
                    write_series: self.restored,
                    warnings,
                };
                rule.evaluate(context, &mut state.alerts, round)?
            }
        };
        let returned: HashSet<&Labels> =
            batch.rows().iter().filter_map(|row| labels_of(&row.series)).collect();
        let mut gone: Vec<Labels> =
            state.series.iter().filter(|labels| !returned.contains(labels)).cloned().collect();
        gone.sort();
        for labels in gone {
            batch.push(labels, at, STALE_NAN);
        }
        Ok(batch)
    }

    /// The batch of a rule was written: remembers its series. Series that the store refused are not remembered.
    pub fn finish_rule(&mut self, index: usize, batch: &Batch, appended: &Appended) {
        let refused: HashSet<usize> = appended.refused.iter().map(|refused| refused.row).collect();
        let taken = batch.rows().iter().enumerate().filter(|(row, _)| !refused.contains(row));
        let state = &mut self.rules[index];
        state.series = taken
            .filter(|(_, row)| !is_marker(&row.value))
            .filter_map(|(_, row)| labels_of(&row.series).cloned())
            .collect();
        state.health = RuleHealth::Ok;
        state.last_error = None;
    }

    /// A rule could not be evaluated, or its batch not written: its series stay remembered.
    pub fn fail_rule(&mut self, index: usize, error: RuleError) {
        let state = &mut self.rules[index];
        state.health = RuleHealth::Err;
        state.last_error = Some(Arc::new(error));
    }

    fn mark_orphans(&mut self, append: &dyn Append, now: Timestamp, outcome: &mut GroupEvaluation) {
        let batch = self.markers(self.orphans.iter().cloned(), now);
        match append_all(append, &batch) {
            Ok(appended) => {
                outcome.appended += appended.appended;
                outcome.refused += appended.refused.len();
                self.orphans.clear();
            }
            Err(error) => {
                outcome.warnings.push(format!("cannot mark the series of removed rules stale: {error}"))
            }
        }
    }

    fn markers(&self, series: impl Iterator<Item = Labels>, now: Timestamp) -> Batch {
        let at = now.saturating_add_ms(self.query_offset_ms.saturating_neg());
        let mut batch = Batch::new();
        for labels in series {
            batch.push(labels, at, STALE_NAN);
        }
        batch
    }

    /// Staleness markers for everything this group has written: for a group that is removed and not replaced.
    pub fn stale_markers(&self, now: Timestamp) -> Batch {
        let mut all: Vec<Labels> = self.rules.iter().flat_map(|rule| rule.series.iter().cloned()).collect();
        all.extend(self.orphans.iter().cloned());
        all.sort();
        all.dedup();
        self.markers(all.into_iter(), now)
    }

    /// Takes over the state of the group that this one replaces after a reload. Rules are the same when they have the same
    /// name and labels; the series of the others are marked stale by the next evaluation.
    pub fn adopt(&mut self, old: Group) {
        self.restored = old.restored;
        self.last_evaluation = old.last_evaluation;
        self.evaluation_time = old.evaluation_time;
        let mut left: Vec<Option<RuleState>> = old.rules.into_iter().map(Some).collect();
        for state in &mut self.rules {
            let same = left.iter_mut().find(|o| o.as_ref().is_some_and(|o| o.same_identity(state)));
            if let Some(old) = same.and_then(Option::take) {
                let rule = std::mem::replace(state, old).rule;
                state.rule = rule;
            }
        }
        self.orphans = old.orphans;
        self.orphans.extend(left.into_iter().flatten().flat_map(|state| state.series));
    }

    /// The alerts that a notifier is to be told of now; they count as sent from here on. Firing and resolved ones, when
    /// new, or when last sent longer than `resend_delay_ms` ago. The receiver is to believe them for four times the longer
    /// of `resend_delay_ms` and the interval of the group, so that two rounds may fail.
    pub fn alerts_to_send(&mut self, now: Timestamp, resend_delay_ms: i64) -> Vec<AlertToSend> {
        let believe_ms = resend_delay_ms.max(self.interval_ms).saturating_mul(4);
        let mut to_send = Vec::new();
        for state in &mut self.rules {
            let expr = &state.rule.expr().ast;
            for alert in state.alerts.values_mut().filter(|a| a.needs_sending(now, resend_delay_ms)) {
                alert.last_sent_at = Some(now);
                alert.valid_until = Some(now.saturating_add_ms(believe_ms));
                to_send.push(AlertToSend { alert: alert.clone(), expr: expr.to_string() });
            }
        }
        to_send
    }

    /// Is a [`restore`](Group::restore) due? Not before the second evaluation, when rules have seen fresh data.
    pub fn needs_restore(&self) -> bool {
        !self.restored
    }

    /// The alerts of the alerting rules, to be restored; says that they are.
    pub(crate) fn restoring(&mut self) -> impl Iterator<Item = (&crate::AlertingRule, &mut Alerts)> {
        self.restored = true;
        self.rules.iter_mut().filter_map(|state| match &state.rule {
            Rule::Alerting(rule) => Some((rule, &mut state.alerts)),
            Rule::Recording(_) => None,
        })
    }
}

/// An alert for a notifier.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertToSend {
    /// The alert; `fired_at`, `resolved_at` and `valid_until` make its start and end.
    pub alert: Alert,
    /// The expression of its rule, for the link back.
    pub expr: String,
}

/// An empty batch is not worth a trip.
fn append_all(append: &dyn Append, batch: &Batch) -> Result<Appended, kymo_model::StoreError> {
    if batch.is_empty() { Ok(Appended::default()) } else { append.append(batch) }
}

fn labels_of(series: &RowSeries) -> Option<&Labels> {
    match series {
        RowSeries::Labels(labels) => Some(labels),
        RowSeries::Handle(_) => None,
    }
}

fn is_marker(value: &kymo_model::SampleValue) -> bool {
    matches!(value, kymo_model::SampleValue::Float(value) if kymo_model::is_stale(*value))
}
