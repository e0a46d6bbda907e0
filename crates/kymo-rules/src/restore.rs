//! Restore: after a restart, `for` goes on where it stood, from the ALERTS_FOR_STATE series of the run before.

use std::collections::HashMap;

use kymo_model::{
    Labels, METRIC_NAME, Matcher, Queryable, Samples, Selector, StoreError, TimeRange, Timestamp, is_stale,
};

use crate::alert::elapsed_ms;
use crate::evaluate::{ALERT_NAME, ALERTS_FOR_STATE};
use crate::group::Group;

/// How `for` is restored.
#[derive(Clone, Copy, Debug)]
pub struct RestoreOptions {
    /// The longest outage after which state is still restored (`--rules.alert.for-outage-tolerance`).
    pub outage_tolerance_ms: i64,
    /// The least time between a restart and an alert that was pending before it; rules with a shorter `for` are not
    /// restored (`--rules.alert.for-grace-period`).
    pub for_grace_period_ms: i64,
}

impl Default for RestoreOptions {
    fn default() -> RestoreOptions {
        RestoreOptions { outage_tolerance_ms: 3_600_000, for_grace_period_ms: 600_000 }
    }
}

impl Group {
    /// Restores since when alerts are active. To be called once, after the second evaluation of the group: during the
    /// first, recording rules and scrapes may not have caught up. From then on ALERTS series are written.
    ///
    /// A store that fails leaves the alerts of that rule as they are; the last such error is returned.
    pub fn restore(
        &mut self,
        queryable: &dyn Queryable,
        now: Timestamp,
        options: RestoreOptions,
    ) -> Result<(), StoreError> {
        let range = TimeRange { min: now.saturating_add_ms(-options.outage_tolerance_ms), max: now };
        let mut failure = None;
        for (rule, alerts) in self.restoring() {
            if rule.for_ms < options.for_grace_period_ms || alerts.is_empty() {
                continue;
            }
            match last_states(queryable, &rule.name, range) {
                Ok(states) => {
                    for alert in alerts.values_mut() {
                        let Some((down_at, active_at)) = states.get(&rule.for_state_labels(alert)) else {
                            continue;
                        };
                        let restored = restored_active_at(now, *down_at, *active_at, rule.for_ms, options);
                        alert.active_at = restored;
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The last sample of each ALERTS_FOR_STATE series of an alert: its time, and since when the alert was active. Series that
/// ended are left out.
fn last_states(
    queryable: &dyn Queryable,
    alert: &str,
    range: TimeRange,
) -> Result<HashMap<Labels, (Timestamp, Timestamp)>, StoreError> {
    let matchers = vec![Matcher::equal(METRIC_NAME, ALERTS_FOR_STATE), Matcher::equal(ALERT_NAME, alert)];
    let series = queryable.select(&Selector::new(matchers, range))?;
    let mut states = HashMap::new();
    let mut samples = Samples::new();
    for one in series.iter() {
        let mut reader = one.reader();
        let mut last = None;
        while reader.read(&mut samples)? {
            let floats = samples.floats().unwrap_or(&[]);
            last = samples.timestamps_ms.last().copied().zip(floats.last().copied());
        }
        if let Some((time, value)) = last.filter(|(_, value)| !is_stale(*value)) {
            let active_at = Timestamp::from_millis((value as i64).saturating_mul(1000));
            states.insert(one.labels(), (Timestamp::from_millis(time), active_at));
        }
    }
    Ok(states)
}

/// Since when an alert is to count as active, so that the time it was pending before the outage counts and the outage does
/// not, and nothing fires sooner than the grace period.
fn restored_active_at(
    now: Timestamp,
    down_at: Timestamp,
    active_at: Timestamp,
    for_ms: i64,
    options: RestoreOptions,
) -> Timestamp {
    let pending_ms = elapsed_ms(down_at, active_at);
    let remaining_ms = for_ms.saturating_sub(pending_ms);
    if remaining_ms <= 0 {
        // It was firing; the next evaluation makes it fire again.
        active_at
    } else if remaining_ms < options.for_grace_period_ms {
        now.saturating_add_ms(options.for_grace_period_ms).saturating_add_ms(-for_ms)
    } else {
        active_at.saturating_add_ms(elapsed_ms(now, down_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes: the outage from `down` to 100, the alert active since `active`.
    fn check(active: i64, down: i64, for_min: i64, expected: i64) {
        let minute = |m: i64| Timestamp::from_millis(m * 60_000);
        let options = RestoreOptions::default();
        let got = restored_active_at(minute(100), minute(down), minute(active), for_min * 60_000, options);
        assert_eq!(got, minute(expected), "active {active}, down {down}, for {for_min}");
    }

    #[test]
    fn restores() {
        check(10, 60, 40, 10); // was firing
        check(10, 60, 55, 55); // 5 minutes remain: fires after the grace period of 10, at 110
        check(10, 60, 90, 50); // 40 minutes remain: fires at 140
    }
}
