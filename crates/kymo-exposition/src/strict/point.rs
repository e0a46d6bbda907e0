//! One point of a histogram: its buckets, count and sum belong together. Points of other types have no such rules.

use kymo_model::MetricType;

use super::{Fault, Rule};

/// The samples of one metric at one time.
pub(super) struct Point {
    is_histogram: bool,
    is_gauge: bool,
    first_line: usize,
    any: bool,
    last_bucket: Option<Bucket>,
    has_negative_bounds: bool,
    count: Option<f64>,
    sum: Option<f64>,
}

struct Bucket {
    bound: f64,
    value: f64,
}

impl Point {
    pub(super) fn new(metric_type: MetricType, line: usize) -> Point {
        let is_gauge = metric_type == MetricType::GaugeHistogram;
        Point {
            is_histogram: is_gauge || metric_type == MetricType::Histogram,
            is_gauge,
            first_line: line,
            any: false,
            last_bucket: None,
            has_negative_bounds: false,
            count: None,
            sum: None,
        }
    }

    pub(super) fn add(
        &mut self,
        line: usize,
        suffix: &str,
        value: f64,
        bound: Option<f64>,
        family: &str,
        faults: &mut Vec<Fault>,
    ) {
        self.any = true;
        match (suffix, bound) {
            ("_count" | "_gcount", _) => self.count = Some(value),
            ("_sum" | "_gsum", _) => self.sum = Some(value),
            ("_bucket", Some(bound)) => {
                if let Some(last) = &self.last_bucket {
                    if bound <= last.bound {
                        faults.push(Fault::rule(line, Rule::BucketOrder, family));
                    }
                    if value < last.value {
                        faults.push(Fault::rule(line, Rule::BucketsNotCumulative, family));
                    }
                }
                self.has_negative_bounds |= bound < 0.0;
                self.last_bucket = Some(Bucket { bound, value });
            }
            _ => {}
        }
    }

    /// Judges the point when all its samples are there.
    pub(super) fn check(&self, family: &str, faults: &mut Vec<Fault>) {
        if !self.is_histogram || !self.any {
            return;
        }
        let mut fault = |rule| faults.push(Fault::rule(self.first_line, rule, family));
        match &self.last_bucket {
            Some(last) if last.bound == f64::INFINITY => {
                if self.count.is_some_and(|count| count != last.value) {
                    fault(Rule::CountMismatch);
                }
            }
            _ => fault(Rule::NoInfBucket),
        }
        if self.sum.is_some() != self.count.is_some() {
            fault(Rule::SumWithoutCount);
        }
        if self.has_negative_bounds && self.sum.is_some() && !self.is_gauge {
            fault(Rule::SumWithNegativeBuckets);
        }
        if !self.has_negative_bounds && self.is_gauge && self.sum.is_some_and(|sum| sum < 0.0) {
            fault(Rule::NegativeSum);
        }
    }
}
