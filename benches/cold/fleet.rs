//! A fleet of instances with 1,000 series each, as node_exporter, an application and a kubelet would have them: 500 counters (128 of
//! hundredths, some nearly idle), 200 gauges of one to three decimals, 100 constants, 150 histogram buckets, 50 full-mantissa reals.
//!
//! All series of an instance have one timestamp per scrape, up to 4 ms off. A process restarts now and then.

use kymo_model::Labels;

const INTERVAL_MS: i64 = 15_000;
pub(crate) const START_MS: i64 = 1_699_999_200_000;

const LE: [&str; 15] = [
    "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30",
    "+Inf",
];
/// How many of a histogram's observations fall into each bucket.
const LE_WEIGHT: [i64; 15] = [1, 3, 8, 16, 30, 40, 34, 24, 14, 8, 4, 2, 1, 0, 0];

/// splitmix64.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// From -n to n.
    fn around(&mut self, n: i64) -> i64 {
        self.below(2 * n as u64 + 1) as i64 - n
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Counter,
    IdleCounter,
    Hundredths,
    Gauge(u32),
    Constant,
    Bucket(usize),
    Real,
}

impl Kind {
    pub(crate) const CLASSES: [&str; 5] = ["counter", "gauge", "constant", "bucket", "real"];

    pub(crate) fn class(self) -> usize {
        match self {
            Kind::Counter | Kind::IdleCounter | Kind::Hundredths => 0,
            Kind::Gauge(_) => 1,
            Kind::Constant => 2,
            Kind::Bucket(_) => 3,
            Kind::Real => 4,
        }
    }
}

/// A series with its samples' values; times are its instance's.
pub(crate) struct Member {
    pub(crate) labels: Labels,
    pub(crate) kind: Kind,
    pub(crate) instance: usize,
    pub(crate) values: Vec<f64>,
    random: Random,
    state: i64,
    rate: i64,
}

pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    pub(crate) times: Vec<Vec<i64>>,
}

impl Fleet {
    pub(crate) fn scraped(instances: usize, scrapes: usize) -> Fleet {
        let mut fleet = Fleet { members: Vec::new(), times: Vec::new() };
        for instance in 0..instances {
            let mut random = Random(42 ^ (instance as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
            let offset = random.below(INTERVAL_MS as u64) as i64;
            let first = fleet.members.len();
            add_members(instance, &mut fleet.members);
            let mut times = Vec::with_capacity(scrapes);
            for scrape in 0..scrapes as i64 {
                times.push(START_MS + scrape * INTERVAL_MS + offset + random.around(4));
                let restarted = random.below(5000) == 0;
                step(&mut fleet.members[first..], restarted);
            }
            fleet.times.push(times);
        }
        fleet.members.sort_by(|a, b| a.labels.cmp(&b.labels));
        fleet
    }
}

fn add_members(instance: usize, members: &mut Vec<Member>) {
    let address = format!("10.0.{}.{}:9100", instance / 250, instance % 250 + 1);
    let zone = format!("zone-{}", instance % 3);
    let mut add = |kind: Kind, name: &str, job: &str, more: &[(&str, &str)]| {
        let own = [("__name__", name), ("instance", &*address), ("job", job), ("zone", &*zone)];
        let labels = Labels::from_pairs(own.into_iter().chain(more.iter().copied()));
        let mut random = Random(42 ^ (members.len() as u64 + 1).wrapping_mul(0xa24b_aed4_963e_e407));
        // Rates are spread over orders of magnitude.
        let most = [30, 1_000, 20_000, 300_000][random.below(4) as usize];
        let (state, rate) = match kind {
            Kind::Hundredths => (random.below(50_000_000), 1 + random.below(1500)),
            Kind::Counter | Kind::IdleCounter => (random.below(most * 20_000), 1 + random.below(most)),
            Kind::Gauge(places) => {
                (random.below(100 * 10u64.pow(places)), 1 + random.below(5 * 4u64.pow(places)))
            }
            Kind::Constant if name.ends_with("_info") => (1, 0),
            Kind::Constant => ((1 + random.below(1 << 20)) << 12, 0),
            Kind::Bucket(_) => (0, 4 + random.below(8)),
            Kind::Real => (1 + random.below(1000), 0),
        };
        let (state, rate, values) = (state as i64, rate as i64, Vec::new());
        members.push(Member { labels, kind, instance, values, random, state, rate });
    };
    let numbered = |prefix: &str, number: usize| format!("{prefix}{number}");
    for cpu in 0..16 {
        for mode in ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"] {
            let cpu = cpu.to_string();
            add(Kind::Hundredths, "node_cpu_seconds_total", "node", &[("cpu", &cpu), ("mode", mode)]);
        }
    }
    for name in [
        "receive_bytes",
        "receive_packets",
        "receive_errs",
        "transmit_bytes",
        "transmit_packets",
        "transmit_errs",
    ] {
        for device in ["eth0", "eth1", "lo", "docker0", "veth0", "veth1", "veth2", "veth3"] {
            let kind = if name.ends_with("errs") { Kind::IdleCounter } else { Kind::Counter };
            add(kind, &format!("node_network_{name}_total"), "node", &[("device", device)]);
        }
    }
    for name in ["reads_completed", "writes_completed", "read_bytes", "written_bytes", "io_time_milliseconds"]
    {
        for device in ["nvme0n1", "nvme1n1", "sda", "sdb", "dm-0", "dm-1"] {
            let kind = if device == "sdb" { Kind::IdleCounter } else { Kind::Counter };
            add(kind, &format!("node_disk_{name}_total"), "node", &[("device", device)]);
        }
    }
    for handler in 0..10 {
        let handler = numbered("/api/v1/handler", handler);
        for code in ["200", "302", "404", "500", "503"] {
            for method in ["GET", "POST"] {
                let kind = if (code, method) == ("503", "POST") { Kind::IdleCounter } else { Kind::Counter };
                add(
                    kind,
                    "http_requests_total",
                    "app",
                    &[("code", code), ("handler", &handler), ("method", method)],
                );
            }
        }
        for (number, le) in LE.iter().enumerate() {
            let labels = [("handler", &*handler), ("le", *le)];
            add(Kind::Bucket(number), "http_request_duration_seconds_bucket", "app", &labels);
        }
    }
    let pod = |number: usize| {
        let chance = Random((instance * 977 + number) as u64).next() & 0xff_ffff;
        (format!("ns-{}", number % 12), format!("app-{number:02}-{chance:06x}"))
    };
    for number in 0..60 {
        let (namespace, pod) = pod(number);
        let labels = [("namespace", &*namespace), ("pod", &*pod)];
        let counter = if number % 10 == 9 { Kind::IdleCounter } else { Kind::Counter };
        for name in ["receive", "transmit"] {
            add(counter, &format!("container_network_{name}_bytes_total"), "kubelet", &labels);
        }
        add(counter, "container_fs_writes_total", "kubelet", &labels);
        add(Kind::Gauge(3), "container_cpu_load_ratio", "kubelet", &labels);
        add(Kind::Gauge(2), "container_memory_usage_mib", "kubelet", &labels);
        let uid = format!("{:016x}", Random((instance * 7919 + number) as u64).next());
        add(Kind::Constant, "kube_pod_info", "kubelet", &[labels[0], labels[1], ("uid", &uid)]);
        let queue = numbered("queue-", number);
        add(Kind::Gauge(1), "queue_utilization_percent", "app", &[("queue", &queue)]);
    }
    for number in 0..20 {
        let (device, resource) = (numbered("/dev/sd", number), numbered("resource-", number));
        add(Kind::Constant, "node_filesystem_size_bytes", "node", &[("device", &device), ("fstype", "ext4")]);
        add(Kind::Constant, "kube_node_status_allocatable", "kubelet", &[("resource", &resource)]);
        let sensor = numbered("temp", number);
        add(Kind::Gauge(1), "node_hwmon_temp_celsius", "node", &[("sensor", &sensor)]);
    }
    for number in 0..14 {
        let container = numbered("c", number);
        add(Kind::Counter, "container_fs_reads_total", "kubelet", &[("container", &container)]);
    }
    for number in 0..50 {
        let channel = number.to_string();
        add(Kind::Real, "app_signal_level", "app", &[("channel", &channel)]);
    }
}

/// One scrape of an instance.
fn step(members: &mut [Member], restarted: bool) {
    let mut cumulative = 0;
    for member in members {
        let Member { kind, values, random, state, rate, .. } = member;
        if restarted && matches!(kind, Kind::Counter | Kind::IdleCounter | Kind::Hundredths | Kind::Bucket(_))
        {
            *state = 0;
        }
        values.push(match *kind {
            Kind::Counter => {
                *state += *rate + random.around(*rate / 8 + 1).max(-*rate);
                *state as f64
            }
            Kind::IdleCounter => {
                *state += i64::from(random.below(32) == 0);
                *state as f64
            }
            Kind::Hundredths => {
                *state += (*rate + random.around(*rate / 8 + 1)).max(0);
                *state as f64 / 100.0
            }
            Kind::Gauge(places) => {
                let scale = 10i64.pow(places);
                if random.below(3) > 0 {
                    *state = (*state + random.around(*rate)).clamp(0, 100 * scale);
                }
                *state as f64 / scale as f64
            }
            Kind::Constant => *state as f64,
            Kind::Bucket(number) => {
                if number == 0 {
                    cumulative = 0;
                }
                let mean = *rate * LE_WEIGHT[number] / 8;
                *state += match mean {
                    0 => i64::from(random.below(64) == 0),
                    _ => (mean + random.around(mean / 3 + 1)).max(0),
                };
                cumulative += *state;
                cumulative as f64
            }
            Kind::Real => *state as f64 * (1.0 + 0.1 * (random.unit() + random.unit() + random.unit() - 1.5)),
        });
    }
}
