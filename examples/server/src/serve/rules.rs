//! Rule loops: one task per group, its evaluations on the group's own grid, off the async threads. A reload hands the
//! state of groups that stay over to their successors.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use kymo_http::{AlertView, RuleGroupView, RuleKindView, RuleView};
use kymo_model::{Append, Labels, Timestamp};
use kymo_promql::{CancelReason, CancelToken, Engine, QueryOptions};
use kymo_promql_syntax::Parser;
use kymo_rules::{
    Alert, AlertState, EvalContext, Group, GroupOptions, RestoreOptions, Rule, RuleGroup, RuleState,
};
use kymo_tsdb::Db;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::now;

/// What all groups are evaluated with.
#[derive(Clone)]
pub(crate) struct RuleSetting {
    pub(crate) options: GroupOptions,
    pub(crate) external_labels: Labels,
    pub(crate) external_url: String,
    pub(crate) restore: RestoreOptions,
    pub(crate) parser: Parser,
}

/// Counters of all groups, for /metrics.
#[derive(Debug, Default)]
pub(crate) struct RuleCounters {
    pub(crate) evaluations: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) refused_samples: AtomicU64,
}

/// All rule groups of the server.
pub(crate) struct RuleManager {
    db: Arc<Db>,
    engine: Engine,
    query_timeout: Duration,
    running: tokio::sync::Mutex<HashMap<(String, String), Running>>,
    views: Arc<RwLock<Vec<Arc<View>>>>,
    counters: Arc<RuleCounters>,
}

/// What the API shows of a group; replaced after each evaluation, so that a slow evaluation holds up no request.
struct View(RwLock<Arc<RuleGroupView>>);

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Group>,
}

impl RuleManager {
    pub(crate) fn new(db: Arc<Db>, engine: Engine, query_timeout: Duration) -> RuleManager {
        RuleManager {
            db,
            engine,
            query_timeout,
            running: tokio::sync::Mutex::default(),
            views: Arc::default(),
            counters: Arc::default(),
        }
    }

    pub(crate) fn counters(&self) -> &RuleCounters {
        &self.counters
    }

    /// Replaces the groups; those that stay keep their alerts and their series.
    pub(crate) async fn apply(&self, groups: &[RuleGroup], setting: &RuleSetting) {
        let mut running = self.running.lock().await;
        let mut old = HashMap::new();
        for (key, group) in stop_all(&mut running).await {
            old.insert(key, group);
        }
        let mut views = Vec::new();
        for definition in groups {
            let mut group = Group::new(definition, setting.options);
            let key = (group.source().to_owned(), group.name().to_owned());
            if let Some(old) = old.remove(&key) {
                group.adopt(old);
            }
            let view = Arc::new(View(RwLock::new(Arc::new(view_of(&group)))));
            views.push(Arc::clone(&view));
            running.insert(key, self.start(group, view, setting.clone()));
        }
        *self.views.write().expect("BUG: no panic while views are swapped") = views;
        for (_, group) in old {
            let markers = group.stale_markers(now());
            if let Err(error) = self.db.append(&markers) {
                tracing::error!(group = group.name(), %error, "cannot end the series of a removed group");
            }
        }
    }

    /// Stops all groups, and waits for the evaluations that run.
    pub(crate) async fn stop(&self) {
        stop_all(&mut *self.running.lock().await).await;
    }

    fn start(&self, group: Group, view: Arc<View>, setting: RuleSetting) -> Running {
        let (stop, stopped) = watch::channel(false);
        let work = Loop {
            db: Arc::clone(&self.db),
            engine: self.engine.clone(),
            counters: Arc::clone(&self.counters),
            // One evaluation may take what its queries may take together.
            timeout: self.query_timeout.saturating_mul(group.rules().len().max(1) as u32),
            setting,
            view,
        };
        Running { stop, task: tokio::spawn(run(work, group, stopped)) }
    }
}

async fn stop_all(running: &mut HashMap<(String, String), Running>) -> Vec<((String, String), Group)> {
    for one in running.values() {
        // A loop that has ended already needs no word.
        let _ = one.stop.send(true);
    }
    let mut groups = Vec::new();
    for (key, one) in running.drain() {
        match one.task.await {
            Ok(group) => groups.push((key, group)),
            Err(error) => tracing::error!(group = key.1, %error, "a rule group's loop failed"),
        }
    }
    groups
}

/// What one group's loop needs.
struct Loop {
    db: Arc<Db>,
    engine: Engine,
    counters: Arc<RuleCounters>,
    timeout: Duration,
    setting: RuleSetting,
    view: Arc<View>,
}

async fn run(work: Loop, group: Group, mut stopped: watch::Receiver<bool>) -> Group {
    let work = Arc::new(work);
    let interval_ms = group.interval_ms().max(1);
    let group = Arc::new(Mutex::new(group));
    let mut next = lock(&group).aligned(now()).saturating_add_ms(interval_ms);
    loop {
        let wait = next.millis().saturating_sub(now().millis()).max(0) as u64;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait)) => {}
            _ = stopped.changed() => break,
        }
        if !evaluate_once(&work, &group, next, &mut stopped).await {
            break;
        }
        // The grid point after now: points passed over during a slow evaluation are missed, and counted.
        let following = lock(&group).aligned(now()).max(next).saturating_add_ms(interval_ms);
        let missed = (following.millis() - next.millis()) / interval_ms - 1;
        work.counters.missed.fetch_add(missed.max(0) as u64, Ordering::Relaxed);
        next = following;
    }
    Arc::into_inner(group)
        .expect("BUG: the loop holds the only reference between evaluations")
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// One evaluation, ended early by its timeout or by the stop of the loop; `false` says that the loop is to stop.
async fn evaluate_once(
    work: &Arc<Loop>,
    group: &Arc<Mutex<Group>>,
    at: Timestamp,
    stopped: &mut watch::Receiver<bool>,
) -> bool {
    let cancel = CancelToken::new();
    let (job, shared, token) = (Arc::clone(work), Arc::clone(group), cancel.clone());
    let mut done = tokio::task::spawn_blocking(move || job.evaluate(&mut lock(&shared), at, token));
    let deadline = tokio::time::Instant::now() + work.timeout;
    let mut go_on = true;
    let result = tokio::select! {
        result = &mut done => result,
        () = tokio::time::sleep_until(deadline) => {
            cancel.cancel(CancelReason::Timeout);
            done.await
        }
        _ = stopped.changed() => {
            go_on = false;
            cancel.cancel(CancelReason::Canceled);
            done.await
        }
    };
    if let Err(error) = result {
        tracing::error!(%error, "evaluating a rule group failed");
    }
    go_on
}

fn lock(group: &Mutex<Group>) -> std::sync::MutexGuard<'_, Group> {
    group.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Loop {
    fn evaluate(&self, group: &mut Group, at: Timestamp, cancel: CancelToken) {
        let mut context = EvalContext::new(&self.engine, &*self.db);
        context.query_options = QueryOptions { cancel, ..QueryOptions::default() };
        context.external_labels = &self.setting.external_labels;
        context.external_url = &self.setting.external_url;
        context.parser = self.setting.parser;
        // The first evaluation may come before the first scrape; what was pending then is not forgotten.
        let evaluated_before = group.last_evaluation().is_some();
        let begin = Instant::now();
        let outcome = group.evaluate(&context, &*self.db, at, &|| begin.elapsed());
        self.counters.evaluations.fetch_add(group.rules().len() as u64, Ordering::Relaxed);
        self.counters.failures.fetch_add(outcome.failed_rules as u64, Ordering::Relaxed);
        self.counters.refused_samples.fetch_add(outcome.refused as u64, Ordering::Relaxed);
        for rule in group.rules() {
            if let Some(error) = rule.last_error() {
                tracing::warn!(group = group.name(), rule = rule.rule().name(), %error, "evaluating a rule failed");
            }
        }
        for warning in &outcome.warnings {
            tracing::warn!(group = group.name(), "{warning}");
        }
        if evaluated_before
            && group.needs_restore()
            && let Err(error) = group.restore(&*self.db, at, self.setting.restore)
        {
            tracing::error!(group = group.name(), %error, "cannot restore the state of alerts");
        }
        let view = Arc::new(view_of(group));
        *self.view.0.write().expect("BUG: no panic while a view is swapped") = view;
    }
}

impl kymo_http::Rules for RuleManager {
    fn groups(&self) -> Vec<RuleGroupView> {
        let views = self.views.read().expect("BUG: no panic while views are swapped").clone();
        let one = |view: &Arc<View>| {
            let view = view.0.read().expect("BUG: no panic while a view is swapped");
            RuleGroupView::clone(&view)
        };
        let mut groups: Vec<RuleGroupView> = views.iter().map(one).collect();
        groups.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
        groups
    }
}

fn view_of(group: &Group) -> RuleGroupView {
    RuleGroupView {
        name: group.name().to_owned(),
        file: group.source().to_owned(),
        interval_seconds: group.interval_ms() as f64 / 1000.0,
        limit: group.limit(),
        evaluation_seconds: group.evaluation_time().as_secs_f64(),
        last_evaluation: group.last_evaluation(),
        rules: group.rules().iter().map(rule_view).collect(),
    }
}

fn rule_view(state: &RuleState) -> RuleView {
    let rule = state.rule();
    let kind = match rule {
        Rule::Recording(_) => RuleKindView::Recording,
        Rule::Alerting(alerting) => RuleKindView::Alerting {
            state: state.alert_state().as_str().to_owned(),
            hold_seconds: alerting.for_ms as f64 / 1000.0,
            keep_firing_seconds: alerting.keep_firing_for_ms as f64 / 1000.0,
            annotations: alerting.annotations.iter().map(|(n, t)| (n.clone(), t.text.to_string())).collect(),
            alerts: state.active_alerts().map(alert_view).collect(),
        },
    };
    RuleView {
        name: rule.name().to_owned(),
        query: rule.expr().ast.to_string(),
        labels: rule.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        health: state.health().as_str().to_owned(),
        last_error: state.last_error().map(ToString::to_string).unwrap_or_default(),
        evaluation_seconds: state.evaluation_time().as_secs_f64(),
        last_evaluation: state.last_evaluation(),
        kind,
    }
}

fn alert_view(alert: &Alert) -> AlertView {
    debug_assert!(alert.state != AlertState::Inactive, "only active alerts are shown");
    AlertView {
        labels: alert.labels.clone(),
        annotations: alert.annotations.iter().map(|(n, v)| (n.clone(), v.clone())).collect(),
        state: alert.state.as_str().to_owned(),
        active_at: alert.active_at,
        keep_firing_since: alert.keep_firing_since,
        value: alert.value,
    }
}
