//! Families: metadata first and once, sample names that clash with no other family, metrics together, values by type.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use kymo_model::MetricType;

use super::line::{Metadata, MetadataKind, Sample};
use super::number::{Time, number};
use super::point::Point;
use super::{Fault, Rule, Summary};

/// The most characters in an exemplar's label names and values together.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// The families so far.
#[derive(Default)]
pub(super) struct Families {
    /// Every sample name that a family may have, and the family's own name.
    names: HashSet<String>,
    open: Option<Family>,
    summary: Summary,
}

struct Family {
    name: String,
    first_line: usize,
    metric_type: Option<MetricType>,
    unit: Option<(usize, String)>,
    has_help: bool,
    has_samples: bool,
    /// Label sets of metrics that were seen.
    metrics: HashSet<String>,
    metric: Option<Metric>,
}

/// The metric whose samples are being read.
struct Metric {
    id: String,
    time: Option<Time>,
    /// Samples of the point at `time`.
    samples: HashSet<String>,
    point: Point,
}

fn suffixes(metric_type: MetricType) -> &'static [&'static str] {
    match metric_type {
        MetricType::Counter => &["_total", "_created"],
        MetricType::Summary => &["_count", "_sum", "_created", ""],
        MetricType::Histogram => &["_count", "_sum", "_bucket", "_created"],
        MetricType::GaugeHistogram => &["_gcount", "_gsum", "_bucket"],
        MetricType::Info => &["_info"],
        MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => &[""],
    }
}

impl Family {
    fn new(name: &str, line: usize) -> Family {
        Family {
            name: name.to_owned(),
            first_line: line,
            metric_type: None,
            unit: None,
            has_help: false,
            has_samples: false,
            metrics: HashSet::new(),
            metric: None,
        }
    }

    fn metric_type(&self) -> MetricType {
        self.metric_type.unwrap_or_default()
    }

    /// The suffix of a sample of this family; `None` for a sample of another one.
    fn suffix(&self, sample: &str) -> Option<&'static str> {
        let rest = sample.strip_prefix(self.name.as_str())?;
        suffixes(self.metric_type()).iter().copied().find(|suffix| *suffix == rest)
    }
}

impl Families {
    pub(super) fn metadata(&mut self, line: usize, metadata: Metadata<'_>, faults: &mut Vec<Fault>) {
        if self.open.as_ref().is_none_or(|family| family.name != metadata.name) {
            self.close(faults);
            self.open = Some(Family::new(metadata.name, line));
        }
        let Some(family) = &mut self.open else { return };
        if family.has_samples {
            faults.push(Fault::rule(line, Rule::MetadataAfterSamples, metadata.name));
        }
        let repeated = match metadata.kind {
            MetadataKind::Help => std::mem::replace(&mut family.has_help, true),
            MetadataKind::Type(metric_type) => family.metric_type.replace(metric_type).is_some(),
            MetadataKind::Unit(unit) => family.unit.replace((line, unit.to_owned())).is_some(),
        };
        if repeated {
            faults.push(Fault::rule(line, Rule::RepeatedMetadata, metadata.name));
        }
    }

    /// Judges the open family as a whole and reserves its names.
    fn close(&mut self, faults: &mut Vec<Fault>) {
        let Some(mut family) = self.open.take() else { return };
        self.summary.families += 1;
        if let Some(metric) = family.metric.take() {
            metric.point.check(&family.name, faults);
        }
        let metric_type = family.metric_type();
        if family.name.starts_with('_') {
            faults.push(Fault::rule(family.first_line, Rule::ReservedName, &family.name));
        }
        if let Some((line, unit)) = &family.unit
            && !unit.is_empty()
        {
            let front = family.name.strip_suffix(unit.as_str());
            if !front.is_some_and(|front| front.ends_with('_')) {
                faults.push(Fault::rule(*line, Rule::UnitNotSuffix, &family.name));
            }
            if matches!(metric_type, MetricType::Info | MetricType::StateSet) {
                faults.push(Fault::rule(*line, Rule::UnitNotAllowed, &family.name));
            }
        }
        let own = [""].iter().filter(|_| !suffixes(metric_type).contains(&""));
        for suffix in suffixes(metric_type).iter().chain(own) {
            let name = format!("{}{suffix}", family.name);
            if self.names.contains(&name) {
                faults.push(Fault::rule(family.first_line, Rule::ClashingName, &name));
            }
            self.names.insert(name);
        }
    }

    pub(super) fn finish(mut self, faults: &mut Vec<Fault>) -> Summary {
        self.close(faults);
        self.summary
    }

    pub(super) fn sample(&mut self, line: usize, sample: &Sample<'_>, faults: &mut Vec<Fault>) {
        self.summary.samples += 1;
        if self.open.as_ref().is_none_or(|family| family.suffix(sample.name).is_none()) {
            // A name that cannot be of the open family starts one of unknown type.
            self.close(faults);
            self.open = Some(Family::new(sample.name, line));
        }
        let Some(family) = &mut self.open else { return };
        family.has_samples = true;
        let suffix = family.suffix(sample.name).unwrap_or("");
        let mut judge = Judge { line, sample, family: family.name.as_str(), faults };
        judge.labels();
        let bound = judge.bound(family.metric_type(), suffix);
        judge.value(family.metric_type(), suffix);
        judge.exemplar(family.metric_type(), suffix, bound);
        self.summary.exemplars += usize::from(sample.exemplar.is_some());
        family.place(line, sample, suffix, bound, faults);
    }
}

impl Family {
    /// Puts a sample into its metric and point.
    fn place(
        &mut self,
        line: usize,
        sample: &Sample<'_>,
        suffix: &'static str,
        bound: Option<f64>,
        faults: &mut Vec<Fault>,
    ) {
        let metric_type = self.metric_type();
        let id = match metric_type {
            // Which labels are the metric's own and which the info's cannot be told.
            MetricType::Info => String::new(),
            MetricType::StateSet => identity(&sample.labels, &self.name),
            MetricType::Summary if suffix.is_empty() => identity(&sample.labels, "quantile"),
            MetricType::Histogram | MetricType::GaugeHistogram if suffix == "_bucket" => {
                identity(&sample.labels, "le")
            }
            _ => identity(&sample.labels, ""),
        };
        let is_same = self.metric.as_ref().is_some_and(|metric| metric.id == id);
        if !is_same {
            if let Some(before) = self.metric.take() {
                before.point.check(&self.name, faults);
            }
            if !self.metrics.insert(id.clone()) {
                faults.push(Fault::rule(line, Rule::Interleaved, sample.name));
            }
        }
        let metric = self.metric.get_or_insert_with(|| Metric {
            id,
            time: sample.time,
            samples: HashSet::new(),
            point: Point::new(metric_type, line),
        });
        if metric.time.is_some() != sample.time.is_some() {
            faults.push(Fault::rule(line, Rule::MixedTimestamps, sample.name));
        }
        let order = match (&metric.time, &sample.time) {
            (Some(before), Some(now)) => now.compare(before),
            _ => Some(std::cmp::Ordering::Equal),
        };
        // The points of an info may belong to different metrics, so their times need no order.
        if order == Some(std::cmp::Ordering::Less) && metric_type != MetricType::Info {
            faults.push(Fault::rule(line, Rule::TimestampsGoBack, sample.name));
        }
        if order != Some(std::cmp::Ordering::Equal) {
            let before = std::mem::replace(&mut metric.point, Point::new(metric_type, line));
            before.check(&self.name, faults);
            metric.samples.clear();
            metric.time = sample.time;
        }
        let is_new = metric.samples.insert(format!("{suffix}\0{}", identity(&sample.labels, "")));
        // Equal timestamps can be different ones that were rounded.
        if !is_new && sample.time.is_none() {
            faults.push(Fault::rule(line, Rule::DuplicateSample, sample.name));
        }
        if is_new {
            metric.point.add(line, suffix, sample.value, bound, &self.name, faults);
        }
    }
}

/// A label set as a string, without one label; empty values are no labels.
fn identity(labels: &[(&str, Cow<'_, str>)], without: &str) -> String {
    let mut sorted: Vec<(&str, &str)> = labels
        .iter()
        .map(|(name, value)| (*name, value.as_ref()))
        .filter(|(name, value)| *name != without && !value.is_empty())
        .collect();
    sorted.sort_unstable();
    let mut id = String::new();
    for (name, value) in sorted {
        // Lengths set the parts apart whatever they hold.
        id.push_str(&format!("{}:{name}{}:{value}", name.len(), value.len()));
    }
    id
}

/// One sample's own rules.
struct Judge<'a, 'f> {
    line: usize,
    sample: &'a Sample<'a>,
    family: &'a str,
    faults: &'f mut Vec<Fault>,
}

impl Judge<'_, '_> {
    fn fault(&mut self, rule: Rule, name: &str) {
        self.faults.push(Fault::rule(self.line, rule, name));
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.sample.labels.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_ref())
    }

    fn labels(&mut self) {
        let sample = self.sample;
        let exemplar = sample.exemplar.iter().map(|exemplar| &exemplar.labels);
        for labels in std::iter::once(&sample.labels).chain(exemplar) {
            let mut seen: HashMap<&str, ()> = HashMap::new();
            for (name, _) in labels {
                if seen.insert(name, ()).is_some() {
                    self.fault(Rule::DuplicateLabel, name);
                }
                if name.starts_with('_') {
                    self.fault(Rule::ReservedName, name);
                }
            }
        }
    }

    /// The bound of a bucket or the quantile, checked; and the labels that only such samples may have.
    fn bound(&mut self, metric_type: MetricType, suffix: &str) -> Option<f64> {
        let name = match metric_type {
            MetricType::Histogram | MetricType::GaugeHistogram => "le",
            MetricType::Summary => "quantile",
            MetricType::StateSet => {
                let family = self.family;
                if self.label(family).is_none() {
                    self.fault(Rule::MissingLabel, family);
                }
                return None;
            }
            _ => return None,
        };
        let needs = matches!(suffix, "" | "_bucket");
        let Some(text) = self.label(name) else {
            if needs {
                self.fault(Rule::MissingLabel, name);
            }
            return None;
        };
        if !needs {
            self.fault(Rule::ReservedLabel, name);
            return None;
        }
        let valid = number(text.as_bytes()).filter(|bound| match name {
            "le" => !bound.is_nan() && (*bound != f64::INFINITY || text == "+Inf"),
            _ => (0.0..=1.0).contains(bound),
        });
        if valid.is_none() {
            self.fault(Rule::InvalidBound, name);
        }
        valid
    }

    fn value(&mut self, metric_type: MetricType, suffix: &str) {
        let value = self.sample.value;
        let name = self.sample.name;
        let counter_like = matches!(suffix, "_total" | "_sum" | "_count" | "_bucket" | "_gcount");
        if (counter_like && (value.is_nan() || value < 0.0)) || (suffix == "_gsum" && value.is_nan()) {
            self.fault(Rule::CounterValue, name);
        } else if matches!(suffix, "_count" | "_bucket" | "_gcount") && value.fract() != 0.0 {
            // The fraction of an infinity is NaN, so infinities are no whole numbers either.
            self.fault(Rule::CountNotInteger, name);
        }
        if suffix == "_created" && !value.is_finite() {
            self.fault(Rule::CreatedValue, name);
        }
        match metric_type {
            MetricType::StateSet if value != 0.0 && value != 1.0 => self.fault(Rule::StateValue, name),
            MetricType::Info if value != 1.0 => self.fault(Rule::InfoValue, name),
            MetricType::Summary if suffix.is_empty() && value < 0.0 => self.fault(Rule::QuantileValue, name),
            _ => {}
        }
    }

    fn exemplar(&mut self, metric_type: MetricType, suffix: &str, bound: Option<f64>) {
        let Some(exemplar) = &self.sample.exemplar else { return };
        let name = self.sample.name;
        let allowed = match metric_type {
            MetricType::Counter => suffix == "_total",
            MetricType::Histogram | MetricType::GaugeHistogram => suffix == "_bucket",
            _ => false,
        };
        if !allowed {
            self.fault(Rule::ExemplarNotAllowed, name);
        }
        let chars: usize =
            exemplar.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if chars > EXEMPLAR_CHARS_MAX {
            self.fault(Rule::ExemplarTooLong, name);
        }
        if bound.is_some_and(|bound| exemplar.value > bound) {
            self.fault(Rule::ExemplarOutsideBucket, name);
        }
    }
}
