//! An explanation as text: the operators as a tree, the questions to the store below.

use std::fmt::{self, Write};

use kymo_model::format_duration;

use super::{Explanation, OperatorCost, OperatorNode, SelectionEstimate, SelectionNode};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.query)?;
        match self.step_ms {
            0 => writeln!(f, "at {} ms", self.start_ms)?,
            step => {
                writeln!(f, "{} steps of {} from {} ms", self.steps, format_duration(step), self.start_ms)?
            }
        }
        writeln!(f)?;
        let mut lines = Vec::new();
        push_node(&mut lines, &self.root, "", "");
        // Costs stand in a column of their own, unless one line is very long.
        let width =
            lines.iter().map(|(left, _)| left.chars().count()).filter(|n| *n <= 90).max().unwrap_or(0);
        for (left, cost) in lines {
            match cost {
                Some(cost) => writeln!(f, "{left:width$}  {}", of_operator(&cost))?,
                None => writeln!(f, "{left}")?,
            }
        }
        for (index, selection) in self.selections.iter().enumerate() {
            writeln!(f, "\n#{index} {}", selection.matchers)?;
            writeln!(f, "   {}", of_selection(selection))?;
            if let Some(SelectionEstimate { series, samples, bytes }) = selection.estimate {
                writeln!(f, "   at least: series={series} samples={samples} bytes={bytes}")?;
            }
            if let Some(cost) = selection.cost {
                writeln!(f, "   series={} samples read={}", cost.series, cost.samples_read)?;
            }
        }
        if let Some(stats) = self.stats {
            writeln!(
                f,
                "\nsamples: read={} looked at={} at once={}; bytes at once={}",
                stats.samples_read, stats.total_queryable_samples, stats.peak_samples, stats.peak_bytes
            )?;
        }
        Ok(())
    }
}

fn push_node(
    lines: &mut Vec<(String, Option<OperatorCost>)>,
    node: &OperatorNode,
    before: &str,
    indent: &str,
) {
    let mut line = format!("{before}{}", node.operator);
    if let Some(selection) = node.selection {
        let _ = write!(line, " #{selection}");
    }
    if !node.detail.is_empty() {
        let _ = write!(line, " {}", node.detail);
    }
    if !node.notes.is_empty() {
        let _ = write!(line, "  ({})", node.notes.join("; "));
    }
    lines.push((line, node.cost));
    for (index, child) in node.children.iter().enumerate() {
        let last = index + 1 == node.children.len();
        let (branch, rest) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        push_node(lines, child, &format!("{indent}{branch}"), &format!("{indent}{rest}"));
    }
}

fn of_operator(cost: &OperatorCost) -> String {
    let OperatorCost { series, rows, points, bytes, nanos, self_nanos } = cost;
    let time = format!("time={} self={}", duration(*nanos), duration(*self_nanos));
    format!("series={series} rows={rows} points={points} bytes={bytes} {time}")
}

fn of_selection(selection: &SelectionNode) -> String {
    let span = selection.end_ms.saturating_sub(selection.start_ms).saturating_add(1);
    let mut out = format!("{} up to {} ms", format_duration(span), selection.end_ms);
    if selection.range_ms > 0 {
        let _ = write!(out, ", ranges of {}", format_duration(selection.range_ms));
    }
    if let Some(function) = &selection.function {
        let _ = write!(out, ", for {function}");
    }
    let _ = write!(out, ", labels: {}", selection.labels);
    if selection.uses > 1 {
        let _ = write!(out, ", read {} times", selection.uses);
    }
    out
}

/// With three digits.
fn duration(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{:.1}µs", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}ms", nanos as f64 / 1e6),
        _ => format!("{:.2}s", nanos as f64 / 1e9),
    }
}
