//! Rules in a program: no server, no clock. Samples in, a recording rule and an alert out.

use std::time::Duration;

use kymo::model::{Append, Batch, Labels, MemoryStore, Timestamp};
use kymo::promql::Engine;
use kymo::rules::{EvalContext, Group, GroupOptions, RuleFile};

const RULES: &str = r#"
groups:
  - name: orders
    interval: 1m
    rules:
      - record: job:orders:rate1m
        expr: sum by (job) (rate(orders_total[2m]))
      - alert: OrdersStopped
        expr: job:orders:rate1m == 0
        for: 2m
        annotations:
          summary: "{{ $labels.job }} takes {{ $value }} orders a second"
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = RuleFile::parse(RULES, "rules.yml").map_err(|faults| faults[0].render())?;
    let (engine, store) = (Engine::default(), MemoryStore::default());
    let mut group = Group::new(&file.groups[0], GroupOptions::default());

    for minute in 0..10i64 {
        let now = Timestamp::from_millis(minute * 60_000);
        let mut batch = Batch::new();
        // Orders come in for five minutes, then no more.
        let orders = minute.min(5) as f64 * 120.0;
        batch.push(Labels::from_pairs([("__name__", "orders_total"), ("job", "shop")]), now, orders);
        store.append(&batch)?;

        let context = EvalContext::new(&engine, &store);
        group.evaluate(&context, &store, now, &|| Duration::ZERO);
        for rule in group.rules() {
            for alert in rule.active_alerts() {
                println!(
                    "minute {minute}: {} {} {:?}",
                    alert.labels,
                    alert.state.as_str(),
                    alert.annotations
                );
            }
        }
    }
    Ok(())
}
