//! Prometheus text, strictly: what its specification asks for and a scrape lets pass.

use std::collections::{HashMap, HashSet};

use kymo_exposition::{Entry, Format};
use kymo_model::{Labels, MetricType, Timestamp};

use super::{Found, Judgement, Read, read};

/// Judges a body; the faults come in order of line.
pub(super) fn judge(body: &[u8]) -> Judgement {
    let mut judge = Judge::default();
    let mut judgement = read(Format::Text, body, |read| judge.see(&read));
    judgement.faults.append(&mut judge.faults);
    judgement.faults.sort_by_key(|found| (found.line, found.column));
    if body.last().is_some_and(|last| *last != b'\n') {
        let line = body.iter().filter(|b| **b == b'\n').count() + 1;
        judgement.faults.push(found(line, "expected a line feed at the end of the last line, found none"));
    }
    judgement
}

fn found(line: usize, message: impl Into<String>) -> Found {
    Found { line, column: 1, message: message.into() }
}

#[derive(Default)]
struct Judge {
    families: HashMap<String, Family>,
    /// The family of the line before.
    current: Option<String>,
    /// Series with the time they were given, to find those that come twice.
    points: HashSet<(Labels, Option<Timestamp>)>,
    faults: Vec<Found>,
}

#[derive(Default)]
struct Family {
    metric_type: Option<MetricType>,
    has_help: bool,
    has_samples: bool,
    /// Another family's lines came after its own.
    left: bool,
}

impl Judge {
    fn see(&mut self, read: &Read<'_>) {
        match (&read.entry, &read.labels) {
            (Entry::Help(help), _) => {
                let name = help.name.unescape().into_owned();
                let family = self.enter(read.line, &name);
                if std::mem::replace(&mut family.has_help, true) {
                    self.fault(read.line, format!("expected one HELP line for {name}, found another"));
                }
            }
            (Entry::Type(entry), _) => {
                let name = entry.name.unescape().into_owned();
                let family = self.enter(read.line, &name);
                let late = family.has_samples;
                let again = family.metric_type.replace(entry.metric_type).is_some();
                if again {
                    self.fault(read.line, format!("expected one TYPE line for {name}, found another"));
                } else if late {
                    self.fault(
                        read.line,
                        format!("expected the TYPE line of {name} before its first sample"),
                    );
                }
            }
            (Entry::Sample(sample), Some(labels)) => self.sample(read.line, labels, sample.timestamp),
            _ => {}
        }
    }

    fn sample(&mut self, line: usize, labels: &Labels, timestamp: Option<Timestamp>) {
        let name = labels.metric_name().unwrap_or_default();
        let (family_name, metric_type) = self.family_of(name);
        self.enter(line, &family_name).has_samples = true;
        let wanted = match metric_type {
            MetricType::Histogram if name.len() == family_name.len() => {
                Some("expected _bucket, _sum or _count behind the name of a histogram")
            }
            MetricType::Histogram if name.ends_with("_bucket") && labels.get("le").is_none() => {
                Some("expected the label le on a bucket")
            }
            MetricType::Summary if name.len() == family_name.len() && labels.get("quantile").is_none() => {
                Some("expected the label quantile on a value of a summary")
            }
            _ => None,
        };
        if let Some(wanted) = wanted {
            self.fault(line, format!("{wanted}, found {labels}"));
        }
        if !self.points.insert((labels.clone(), timestamp)) {
            self.fault(line, format!("expected each series once, found {labels} again"));
        }
    }

    /// The family of a sample and its type: without the suffix that histograms and summaries put behind their name.
    fn family_of(&self, name: &str) -> (String, MetricType) {
        let type_of = |name: &str| self.families.get(name).and_then(|family| family.metric_type);
        if let Some(metric_type) = type_of(name) {
            return (name.to_owned(), metric_type);
        }
        for suffix in ["_bucket", "_sum", "_count"] {
            let Some(base) = name.strip_suffix(suffix) else { continue };
            match type_of(base) {
                Some(MetricType::Histogram) => return (base.to_owned(), MetricType::Histogram),
                Some(MetricType::Summary) if suffix != "_bucket" => {
                    return (base.to_owned(), MetricType::Summary);
                }
                _ => {}
            }
        }
        (name.to_owned(), MetricType::Unknown)
    }

    /// Goes to a family; all its lines must stand together.
    fn enter(&mut self, line: usize, name: &str) -> &mut Family {
        if self.current.as_deref() != Some(name) {
            if let Some(before) =
                self.current.replace(name.to_owned()).and_then(|name| self.families.get_mut(&name))
            {
                before.left = true;
            }
            if self.families.get(name).is_some_and(|family| family.left) {
                self.fault(line, format!("expected all lines of {name} together, found others between them"));
            }
        }
        self.families.entry(name.to_owned()).or_default()
    }

    fn fault(&mut self, line: usize, message: String) {
        self.faults.push(found(line, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[(usize, &str)]) {
        let judgement = judge(body.as_bytes());
        assert_eq!(judgement.faults.len(), expected.len(), "{body}: {:?}", judgement.faults);
        for (found, (line, message)) in judgement.faults.iter().zip(expected) {
            assert_eq!(found.line, *line, "{body}: {found:?}");
            assert!(found.message.contains(message), "{body}: {found:?}");
        }
    }

    #[test]
    fn what_the_specification_asks_for() {
        check("", &[]);
        check(
            "# HELP a b\n# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 1\n\n# any comment\nb 2 1000\nb 2 2000\n",
            &[],
        );
        check("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n", &[]);
        check("# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n", &[]);
        check("a 1", &[(1, "line feed")]);
        check("# TYPE a counter\n# TYPE a counter\na 1\n", &[(2, "one TYPE")]);
        check("# HELP a x\n# HELP a x\na 1\n", &[(2, "one HELP")]);
        check("a 1\n# TYPE a counter\n", &[(2, "before its first sample")]);
        check("a 1\nb 1\na{x=\"1\"} 1\n", &[(3, "together")]);
        check("a 1\na 2\n", &[(2, "once")]);
        check("# TYPE h histogram\nh 1\nh_bucket 2\n", &[(2, "_bucket"), (3, "le")]);
        check("# TYPE s summary\ns 1\n", &[(2, "quantile")]);
        check("a x\nb{ 1\na 1\na 1\n", &[(1, "a number"), (2, "expected"), (4, "once")]);
    }
}
