//! Alert: one series of an alerting rule's result, on its way from pending over firing to resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use kymo_model::{Labels, Timestamp};

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlertState {
    /// Was active and no longer is.
    Inactive,
    /// Its series is there, but not for long enough.
    Pending,
    /// Its series was there for long enough.
    Firing,
}

impl AlertState {
    /// The word of the HTTP API and of the label `alertstate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// One alert of an alerting rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What identifies it: the labels of the series without its name, those of the rule, and `alertname`.
    pub labels: Labels,
    /// What people read, from the last evaluation that found its series.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// Where it stands.
    pub state: AlertState,
    /// The value of its series when last found; 0 for a histogram.
    pub value: f64,
    /// Since when its series is there.
    pub active_at: Timestamp,
    /// Since when it fires.
    pub fired_at: Option<Timestamp>,
    /// Since when it is resolved.
    pub resolved_at: Option<Timestamp>,
    /// When it was last given out for sending.
    pub last_sent_at: Option<Timestamp>,
    /// Until when the receiver is to believe what was last sent.
    pub valid_until: Option<Timestamp>,
    /// Since when it fires without its series, because of `keep_firing_for`.
    pub keep_firing_since: Option<Timestamp>,
}

impl Alert {
    /// A pending alert.
    pub(crate) fn pending(
        labels: Labels,
        annotations: Arc<BTreeMap<String, String>>,
        value: f64,
        active_at: Timestamp,
    ) -> Alert {
        Alert {
            labels,
            annotations,
            state: AlertState::Pending,
            value,
            active_at,
            fired_at: None,
            resolved_at: None,
            last_sent_at: None,
            valid_until: None,
            keep_firing_since: None,
        }
    }

    /// Is it to be sent (again)? Pending alerts never are; resolved ones are sent once at once, then like firing ones every
    /// `resend_delay_ms` for as long as they are kept.
    pub fn needs_sending(&self, now: Timestamp, resend_delay_ms: i64) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        let Some(sent) = self.last_sent_at else { return true };
        self.resolved_at.is_some_and(|resolved| resolved > sent)
            || sent.saturating_add_ms(resend_delay_ms) < now
    }
}

/// Milliseconds from `earlier` to `later`.
pub(crate) fn elapsed_ms(later: Timestamp, earlier: Timestamp) -> i64 {
    later.millis().saturating_sub(earlier.millis())
}

/// The state machine: what one evaluation does to the alerts of a rule.
pub(crate) struct Step {
    pub(crate) now: Timestamp,
    pub(crate) for_ms: i64,
    pub(crate) keep_firing_for_ms: i64,
    pub(crate) resolved_retention_ms: i64,
}

/// What becomes of an alert in an evaluation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Pending or firing.
    Active,
    /// Resolved and kept, so that notifiers hear of it.
    Kept,
    /// To be forgotten.
    Forgotten,
}

impl Step {
    /// Moves one alert on; `found` says whether its series is in the result.
    pub(crate) fn advance(&self, alert: &mut Alert, found: bool) -> Fate {
        if found {
            alert.keep_firing_since = None;
        } else if !self.keeps_firing(alert) {
            let old =
                alert.resolved_at.is_some_and(|at| elapsed_ms(self.now, at) > self.resolved_retention_ms);
            if alert.state == AlertState::Pending || old {
                return Fate::Forgotten;
            }
            if alert.state != AlertState::Inactive {
                alert.state = AlertState::Inactive;
                alert.resolved_at = Some(self.now);
            }
            return Fate::Kept;
        }
        if alert.state == AlertState::Pending && elapsed_ms(self.now, alert.active_at) >= self.for_ms {
            alert.state = AlertState::Firing;
            alert.fired_at = Some(self.now);
        }
        Fate::Active
    }

    fn keeps_firing(&self, alert: &mut Alert) -> bool {
        if alert.state != AlertState::Firing || self.keep_firing_for_ms <= 0 {
            return false;
        }
        let since = *alert.keep_firing_since.get_or_insert(self.now);
        elapsed_ms(self.now, since) < self.keep_firing_for_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs minutes of presence (`x`) and absence (`.`) through the machine; one letter of state per minute.
    fn check(presence: &str, for_min: i64, keep_min: i64, expected: &str) {
        let mut alert: Option<Alert> = None;
        let mut states = String::new();
        for (minute, seen) in presence.chars().enumerate() {
            let now = Timestamp::from_millis(minute as i64 * 60_000);
            let step = Step {
                now,
                for_ms: for_min * 60_000,
                keep_firing_for_ms: keep_min * 60_000,
                resolved_retention_ms: 3 * 60_000,
            };
            let found = seen == 'x';
            if found && alert.as_ref().is_none_or(|a| a.state == AlertState::Inactive) {
                alert = Some(Alert::pending(Labels::empty(), Arc::default(), 1.0, now));
            }
            let fate = alert.as_mut().map(|alert| step.advance(alert, found));
            states.push(match (fate, alert.as_ref().map(|a| a.state)) {
                (None | Some(Fate::Forgotten), _) => '-',
                (Some(Fate::Kept), _) => 'r',
                (Some(Fate::Active), Some(AlertState::Firing)) => 'F',
                (Some(Fate::Active), _) => 'p',
            });
            if states.ends_with('-') {
                alert = None;
            }
        }
        assert_eq!(states, expected, "{presence}, for {for_min}m, keep_firing_for {keep_min}m");
    }

    #[test]
    fn state_machine() {
        check("xxx..", 0, 0, "FFFrr");
        check("xxxx.", 2, 0, "ppFFr");
        check("x.xxx", 2, 0, "p-ppF");
        check("x......", 0, 0, "Frrrr--");
        check("xx.....", 0, 2, "FFFFrrr");
        check("xx.x...", 0, 2, "FFFFFFr");
        check("x.x", 0, 0, "FrF");
        check("xxx.x", 2, 0, "ppFrp");
    }
}
