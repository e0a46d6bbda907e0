//! The samples both servers get: a small shop on a small cluster, made from formulas, so that every run pushes the same.
//!
//! Timestamps are odd milliseconds and every question is asked at an even one. Windows of Prometheus 2.42 include their
//! left end and those of Prometheus 3 do not; no sample ever lies on one.

use kymo_model::{Labels, STALE_NAN};
use kymo_remote::RequestEncoder;

/// The first sample is around here: 2023-11-14T22:00:00Z.
pub(crate) const BEGIN_MS: i64 = 1_699_999_200_000;
/// From one sample of a series to the next.
pub(crate) const INTERVAL_MS: i64 = 15_000;
/// How many samples a series without gaps has: 95 minutes.
pub(crate) const POINTS: i64 = 380;

/// One series: the sample at each index, `None` for a gap.
pub(crate) struct Series {
    pub(crate) labels: Labels,
    jitter_ms: i64,
    value: Box<dyn Fn(i64) -> Option<f64>>,
}

impl Series {
    /// Its sample at an index.
    pub(crate) fn sample(&self, index: i64) -> Option<(i64, f64)> {
        (self.value)(index).map(|value| (BEGIN_MS + index * INTERVAL_MS + self.jitter_ms, value))
    }
}

/// Collects series.
#[derive(Default)]
struct Dataset {
    series: Vec<Series>,
}

impl Dataset {
    fn add(&mut self, name: &str, labels: &[(&str, &str)], value: impl Fn(i64) -> Option<f64> + 'static) {
        let pairs = [("__name__", name)].into_iter().chain(labels.iter().copied());
        // Series are not scraped at the same moment; the offset is odd and below 14 s.
        let jitter_ms = 1 + 2 * ((self.series.len() as i64 * 2_654_435) % 6_900);
        self.series.push(Series { labels: Labels::from_pairs(pairs), jitter_ms, value: Box::new(value) });
    }

    fn gauge(&mut self, name: &str, labels: &[(&str, &str)], value: impl Fn(i64) -> f64 + 'static) {
        self.add(name, labels, move |index| Some(value(index)));
    }

    /// Rises by a varying amount around `step`; starts again from 0 at each multiple of `resets`, when that is not 0.
    fn counter(&mut self, name: &str, labels: &[(&str, &str)], start: f64, step: f64, resets: i64) {
        self.add(name, labels, move |index| {
            let (from, base) = match resets {
                0 => (0, start),
                every if index < every => (0, start),
                every => (index - index % every, 0.0),
            };
            Some(base + (from..=index).map(|i| step * (1.0 + noise(i) * 0.5)).sum::<f64>())
        });
    }

    /// Classic buckets, a sum and a count; `weights` are observations per bucket and interval.
    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], bounds: &[&str], weights: &[f64]) {
        let mut below = 0.0;
        for (bound, weight) in bounds.iter().zip(weights) {
            below += weight;
            let with_bound: Vec<(&str, &str)> = labels.iter().copied().chain([("le", *bound)]).collect();
            self.counter(&format!("{name}_bucket"), &with_bound, below * 10.0, below, 0);
        }
        self.counter(&format!("{name}_count"), labels, below * 10.0, below, 0);
        self.counter(&format!("{name}_sum"), labels, below * 3.3, below * 0.33, 0);
    }
}

/// Between -1 and 1, looks random, is not.
fn noise(index: i64) -> f64 {
    let mixed = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    mixed as f64 / f64::from(1u32 << 23) - 1.0
}

/// Every series, in order of labels. Prometheus answers in that order, kymo in the order in which series were created; where
/// it is the same, most sums are too. (Which of equal values `topk` keeps changed in 2.44, so there are none at its edge.)
pub(crate) fn series() -> Vec<Series> {
    let mut data = Dataset::default();
    machines(&mut data);
    cluster(&mut data);
    requests(&mut data);
    shop(&mut data);
    oddities(&mut data);
    data.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    data.series
}

fn machines(data: &mut Dataset) {
    for (n, instance) in ["node-1:9100", "node-2:9100", "node-3:9100"].into_iter().enumerate() {
        let n = n as f64;
        let labels = [("instance", instance), ("job", "node")];
        data.gauge("node_memory_MemTotal_bytes", &labels, move |_| (8.0 + n) * 1_073_741_824.0);
        data.gauge("node_memory_MemAvailable_bytes", &labels, move |i| 2e9 + 3e8 * n + 1e8 * noise(i));
        data.gauge("up", &labels, move |i| f64::from(u8::from(n < 2.0 || i % 40 > 5)));
        for cpu in ["0", "1"] {
            for (mode, share) in [("idle", 12.1), ("user", 1.7), ("system", 0.9), ("iowait", 0.3)] {
                let labels = [("instance", instance), ("job", "node"), ("cpu", cpu), ("mode", mode)];
                data.counter("node_cpu_seconds_total", &labels, 40_000.0, share + 0.01 * n, 0);
            }
        }
    }
    for (n, (server, region)) in [("web1", "eu"), ("web2", "eu"), ("db1", "us")].into_iter().enumerate() {
        let labels = [("server", server), ("region", region)];
        data.gauge("cpu_usage", &labels, move |i| 40.0 + 13.7 * n as f64 + 20.0 * noise(i + n as i64));
    }
}

fn cluster(data: &mut Dataset) {
    for (n, (namespace, pod, node)) in [
        ("default", "api-7d9f", "node-1"),
        ("default", "web-55c8", "node-2"),
        ("shop", "orders-6b7c", "node-1"),
        ("shop", "payments-9f4d", "node-3"),
        ("kube-system", "coredns-5d78", "node-2"),
    ]
    .into_iter()
    .enumerate()
    {
        let n = n as f64;
        data.gauge("kube_pod_info", &[("namespace", namespace), ("pod", pod), ("node", node)], |_| 1.0);
        let pod_labels = [("namespace", namespace), ("pod", pod), ("container", "app")];
        data.counter("kube_pod_container_status_restarts_total", &pod_labels, 3.0 + n, 0.02 * n, 0);
        if n > 2.0 {
            let labels =
                [("namespace", namespace), ("pod", pod), ("container", "app"), ("reason", "OOMKilled")];
            data.gauge("kube_pod_container_status_last_terminated_reason", &labels, |_| 1.0);
        }
        let labels = [("namespace", namespace), ("pod", pod), ("node", node), ("resource", "cpu")];
        data.gauge("kube_pod_container_resource_requests", &labels, move |_| 0.25 + 0.1 * n);
        for (container, image) in
            [("app", "registry.example/app:1"), ("sidecar", "registry.example/mesh:2"), ("", "")]
        {
            let labels = [("namespace", namespace), ("pod", pod), ("container", container), ("image", image)];
            let labels: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            data.gauge("container_memory_working_set_bytes", &labels, move |i| {
                5e7 + 1e6 * n * (i % 17) as f64
            });
            let share = container.len() as f64 * 0.013;
            data.counter("container_cpu_usage_seconds_total", &labels, 900.0, 0.7 + 0.3 * n + share, 0);
        }
        let labels = [("namespace", namespace), ("persistentvolumeclaim", pod)];
        data.gauge("kubelet_volume_stats_capacity_bytes", &labels, |_| 1e10);
        data.gauge("kubelet_volume_stats_used_bytes", &labels, move |i| 1e9 * (n + 1.0) + 1e6 * i as f64);
    }
    for node in ["node-1", "node-2", "node-3"] {
        for (resource, unit, amount) in [("cpu", "core", 4.0), ("memory", "byte", 8e9)] {
            let labels = [("node", node), ("resource", resource), ("unit", unit)];
            data.gauge("kube_node_status_allocatable", &labels, move |_| amount);
        }
    }
    for (n, deployment) in ["api", "web", "orders"].into_iter().enumerate() {
        let labels = [("namespace", "default"), ("deployment", deployment)];
        data.gauge("kube_deployment_spec_replicas", &labels, move |_| n as f64);
        data.gauge("kube_deployment_status_replicas_available", &labels, move |i| {
            n as f64 - f64::from(i % 9 == 0)
        });
    }
}

fn requests(data: &mut Dataset) {
    let mut n = 0;
    for (job, service) in [("api", "auth"), ("web", "storefront"), ("backend", "billing")] {
        for (method, handler) in [("GET", "/"), ("GET", "/metrics"), ("POST", "/orders")] {
            for (status, share) in [("200", 40.0), ("404", 2.5), ("500", 1.25), ("503", 0.0)] {
                n += 1;
                let instance = if n % 2 == 0 { "10.0.0.1:8080" } else { "10.0.0.2:8080" };
                let labels = [
                    ("job", job),
                    ("service", service),
                    ("method", method),
                    ("handler", handler),
                    ("status", status),
                    ("instance", instance),
                ];
                let resets = if job == "backend" { 90 + n % 7 } else { 0 };
                data.counter("http_requests_total", &labels, 10_000.0, share + n as f64 * 0.01, resets);
            }
        }
        let bounds = ["0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];
        let weights = [n as f64, 20.0, 9.0, 4.0, 2.0, 1.0, 0.5];
        data.histogram(
            "http_request_duration_seconds",
            &[("service", service), ("job", job)],
            &bounds,
            &weights,
        );
    }
}

fn shop(data: &mut Dataset) {
    for (status, step) in [("success", 6.0), ("failed", 0.75)] {
        data.counter(
            "orders_total",
            &[("status", status)],
            5_000.0,
            step,
            if status == "failed" { 120 } else { 0 },
        );
    }
    for currency in ["KRW", "EUR"] {
        data.counter("payment_amount_total", &[("currency", currency)], 1e6, 19_900.5, 0);
    }
    for instance in ["a", "b"] {
        data.gauge("active_users", &[("instance", instance)], |i| (42 + i % 11) as f64);
    }
    for (product, stock) in [("laptop", 120.0), ("mouse", 30.0), ("키보드", 49.0)] {
        data.gauge("inventory_stock", &[("product", product)], move |i| stock - (i % 25) as f64);
    }
    let bounds = ["0.005", "0.05", "0.5", "1", "+Inf"];
    data.histogram(
        "api_response_time_seconds",
        &[("endpoint", "/order")],
        &bounds,
        &[3.0, 11.0, 6.0, 1.0, 0.25],
    );
    data.histogram("api_response_time_seconds", &[("endpoint", "/idle")], &bounds, &[0.0; 5]);
}

/// What real data has on a bad day.
fn oddities(data: &mut Dataset) {
    data.gauge("odd_values", &[("kind", "nan")], |i| if i % 10 == 3 { f64::NAN } else { i as f64 });
    data.gauge("odd_values", &[("kind", "always_nan")], |_| f64::NAN);
    data.gauge("odd_values", &[("kind", "inf")], |i| if i % 20 == 7 { f64::INFINITY } else { -(i as f64) });
    data.gauge("odd_values", &[("kind", "minus_inf")], |i| if i % 20 == 9 { f64::NEG_INFINITY } else { 0.5 });
    data.gauge("odd_values", &[("kind", "zero")], |i| if i % 2 == 0 { 0.0 } else { -0.0 });
    data.gauge("odd_values", &[("kind", "tiny")], |i| 5e-324 * (i % 4) as f64);
    data.gauge("odd_values", &[("kind", "huge")], |i| 1.7e308 * noise(i));
    data.gauge("odd_values", &[("kind", "precise")], |i| 0.1 + i as f64 / 3.0);
    // Silent for ten minutes, then back.
    data.add("gappy", &[("g", "hole")], |i| (!(100..140).contains(&i)).then_some(1000.0 + i as f64));
    data.add("gappy", &[("g", "rare")], |i| (i % 13 == 0).then_some(1000.0 + 3.0 * i as f64));
    data.add("gappy", &[("g", "late")], |i| (i > 200).then_some(1000.0 + i as f64));
    data.add("gappy", &[("g", "once")], |i| (i == 240).then_some(7.0));
    // Ends with a marker, comes back, ends again.
    data.add("stopping", &[("s", "twice")], |i| match i {
        0..150 | 200..300 => Some(500.0 + i as f64),
        150 | 300 => Some(STALE_NAN),
        _ => None,
    });
    data.add("stopping", &[("s", "once")], |i| match i {
        0..250 => Some(2.0 * i as f64 + 300.0),
        250 => Some(STALE_NAN),
        _ => None,
    });
    data.add("stopping", &[("s", "blinks")], |i| Some(if i % 6 == 5 { STALE_NAN } else { (i / 6) as f64 }));
    data.counter("resets_total", &[("every", "31")], 800.0, 2.5, 31);
    data.counter("resets_total", &[("every", "7")], 800.0, 2.5, 7);
    data.gauge("steps", &[("x", "1")], |i| (i / 8) as f64);
    data.gauge("steps", &[("x", "2")], |i| ((i * i) % 23) as f64 - 11.0);
    data.gauge("angle", &[], |i| (i % 40) as f64 / 20.0 - 1.0);
    data.gauge("moment", &[("of", "data")], |i| (BEGIN_MS / 1000 + i * 86_400 * 3) as f64);
    for (version, instances) in [("1.0", &["a", "b"][..]), ("2.0-rc.1", &["c"])] {
        for instance in instances {
            data.gauge(
                "build_info",
                &[("version", version), ("instance", instance), ("zone", "z-1")],
                |_| 1.0,
            );
        }
    }
    for (n, instance) in ["a", "b", "c", "d"].into_iter().enumerate() {
        for device in ["sda", "sdb"] {
            let labels = [("instance", instance), ("device", device)];
            data.gauge("disk_bytes", &labels, move |i| 1e6 * (n + device.len()) as f64 + i as f64);
        }
    }
    for path in ["/a b", "/\"quoted\"", "/back\\slash", "/경로"] {
        let labels: &[_] =
            if path == "/a b" { &[("path", path), ("only_here", "x")] } else { &[("path", path)] };
        data.gauge("strange_labels", labels, |i| i as f64);
    }
}

/// The whole set as remote-write requests in order of time, as a sender would.
pub(crate) fn requests_in_order(series: &[Series]) -> Vec<RequestEncoder> {
    const POINTS_PER_REQUEST: i64 = 20;
    let batch = |from: i64| {
        let mut request = RequestEncoder::new();
        for one in series {
            let samples: Vec<(i64, f64)> = (from..(from + POINTS_PER_REQUEST).min(POINTS))
                .filter_map(|index| one.sample(index))
                .collect();
            if !samples.is_empty() {
                request.series(&one.labels, &samples);
            }
        }
        request
    };
    (0..POINTS).step_by(POINTS_PER_REQUEST as usize).map(batch).collect()
}
