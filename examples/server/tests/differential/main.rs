//! Random queries on random samples, put to kymo's evaluator and to a real Prometheus, answers compared value by value.
//!
//! - `KYMO_DIFFERENTIAL_PROMETHEUS` names a binary; without it Debian's Prometheus is asked in the language that it knows. A
//!   version 3 is asked everything, native histograms and annotations included.
//! - `KYMO_DIFFERENTIAL_SEED` makes data and queries; it is printed.
//! - `KYMO_DIFFERENTIAL_EXPRESSIONS` is how many; each is asked at one instant and over one range.
//!
//! Result type, label sets, timestamps and whether there is an answer must be equal, values to 1e-9. Where an answer hangs on
//! the last bits of a sum that one side adds up differently, it is put aside: see [`answer::Answer::is_rounding`]. So it is where
//! Prometheus does not agree with itself: which of equal series `topk` and `limitk` take may hang on the order of a map. A query with
//! another answer is made as small as it can be with the answers still apart; it goes to `cases.promql` once the cause is known.

#[path = "../peers/mod.rs"]
mod peers;

mod answer;
mod asked;
mod dataset;
mod expression;
mod grammar;
mod stats;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kymo_model::MemoryStore;
use kymo_testkit::Random;

use answer::{Answer, Near};
use asked::{Peer, Times, evaluate};
use dataset::Disturbance;
use expression::{Expression, Kind};
use grammar::Grammar;

const SEED: u64 = 20_261_121;
const EXPRESSIONS: u64 = 5_000;
/// Differences that are made smaller and shown.
const SHOWN: usize = 12;
/// Parts of words that stand for functions whose results are rounded even for whole numbers.
const ROUNDING: [&str; 18] = [
    "sum",
    "exp",
    "ln",
    "log",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "deg",
    "rad",
    "avg",
    "quantile",
    "rate",
    "increase",
    "delta",
    " / ",
    " ^ ",
    "smoothing",
];
/// And those which give back what rounding leaves of equal values.
const CANCELLING: [&str; 3] = ["std", "deriv", "predict"];
const EXACT: Near = Near { relative: 1e-9, absolute: 0.0 };
const ROUNDED: Near = Near { relative: 1e-9, absolute: 1e-12 };
const CANCELLED: Near = Near { relative: 1e-6, absolute: 1e-12 };
/// How often Prometheus is asked whether it stays with an answer.
const ASKED_AGAIN: usize = 12;
/// Smaller queries tried for one difference.
const TRIES: usize = 400;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}: expected a number, found {text:?}")),
        Err(_) => default,
    }
}

/// Both sides of the comparison and what it found.
struct Comparison {
    peer: Peer,
    store: MemoryStore,
    disturbed: Vec<(Disturbance, MemoryStore)>,
    points: AtomicUsize,
    answers: AtomicUsize,
    refusals: AtomicUsize,
    roundings: AtomicUsize,
    /// Answers that Prometheus did not stay with.
    varying: AtomicUsize,
    differences: Mutex<Vec<(Expression, Times, String)>>,
}

impl Comparison {
    /// How two answers differ, rounding aside.
    fn difference(&self, query: &str, times: Times) -> Option<String> {
        let theirs = self.peer.ask(query, times);
        let ours = evaluate(&self.store, query, times, self.peer.whole);
        let tally = if matches!(ours, Answer::Data(_)) { &self.answers } else { &self.refusals };
        tally.fetch_add(1, Ordering::Relaxed);
        self.points.fetch_add(ours.points(), Ordering::Relaxed);
        let contains = |parts: &[&str]| parts.iter().any(|part| query.contains(part));
        let (disturbance, near) = match () {
            () if contains(&CANCELLING) => (Disturbance::Single, CANCELLED),
            () if contains(&ROUNDING) => (Disturbance::Whole, ROUNDED),
            () => (Disturbance::Continuous, EXACT),
        };
        let difference = theirs.difference(&ours, near)?;
        let disturbed = self.disturbed.iter().filter(|(kind, _)| *kind == disturbance);
        let disturbed = disturbed.map(|(_, store)| evaluate(store, query, times, self.peer.whole));
        if theirs.is_rounding(&ours, near, &disturbed.collect::<Vec<_>>()) {
            self.roundings.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let choices = ["topk", "bottomk", "limitk", "limit_ratio"];
        let choices = choices.iter().map(|word| query.matches(word).count()).sum::<usize>();
        let varies = |again: Answer| theirs.difference(&again, near).is_some();
        // Of a series without one of the labels and one with it, `sort_by_label` takes either for the larger one. `limitk` and
        // `limit_ratio` leave an order that is that of a heap.
        let unordered = query.contains("sort_by_label") || (query.contains("limit") && choices > 1);
        if choices > 0 && (unordered || (0..ASKED_AGAIN).any(|_| varies(self.peer.ask(query, times)))) {
            self.varying.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(difference)
    }

    fn check(&self, expression: Expression, times: Times) {
        let Some(difference) = self.difference(&expression.to_string(), times) else { return };
        let mut differences = self.differences.lock().expect("nobody panicked with it");
        differences.push((expression, times, difference));
    }

    /// The same difference with less around it.
    fn smaller(
        &self,
        mut expression: Expression,
        times: Times,
        mut difference: String,
    ) -> (Expression, String) {
        let mut tries = 0;
        'smaller: loop {
            for simpler in expression.simplifications() {
                tries += 1;
                if tries > TRIES {
                    return (expression, difference);
                }
                if let Some(still) = self.difference(&simpler.to_string(), times) {
                    (expression, difference) = (simpler, still);
                    continue 'smaller;
                }
            }
            return (expression, difference);
        }
    }
}

/// An instant and a range that no sample and no edge of a subquery lies on: half a second past a full one.
fn times(random: &mut Random) -> [Times; 2] {
    let mut moment = || {
        let asked = dataset::ASKED_SECONDS;
        dataset::BEGIN_MS + 1000 * (asked.start + random.below(asked.end - asked.start)) as i64 + 500
    };
    let (at, a, b) = (moment(), moment(), moment());
    let step = [15_000, 30_000, 61_000, 120_000][random.below(4) as usize];
    let (start, end) = (a.min(b), a.max(b));
    // Prometheus evaluates subqueries up to the end of the query and not of its last step: there are errors that nobody asked for.
    let end = end - (end - start) % step;
    [Times::Instant(at), Times::Range { start, end, step }]
}

#[test]
fn random_queries_are_answered_as_prometheus_does() {
    let seed = number("KYMO_DIFFERENTIAL_SEED", SEED);
    let expressions = number("KYMO_DIFFERENTIAL_EXPRESSIONS", EXPRESSIONS);
    println!("KYMO_DIFFERENTIAL_SEED={seed} KYMO_DIFFERENTIAL_EXPRESSIONS={expressions}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(peer) = Peer::start(dir.path()) else { return };
    let series = dataset::series(seed, peer.whole);
    for request in dataset::requests(&series) {
        let answer = peers::push(peer.port(), &request).expect("an answer");
        assert_eq!(answer.status / 100, 2, "{}", answer.text());
    }
    let comparison = Comparison {
        peer,
        store: dataset::store(&series),
        disturbed: [Disturbance::Continuous, Disturbance::Whole, Disturbance::Single]
            .into_iter()
            .flat_map(|kind| (0..24).map(move |seed| (kind, seed)))
            .map(|(kind, seed)| (kind, dataset::disturbed(&series, seed, kind)))
            .collect(),
        points: AtomicUsize::new(0),
        answers: AtomicUsize::new(0),
        refusals: AtomicUsize::new(0),
        roundings: AtomicUsize::new(0),
        varying: AtomicUsize::new(0),
        differences: Mutex::new(Vec::new()),
    };
    for case in include_str!("cases.promql").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let mut random = Random::new(seed);
        for times in (0..4).flat_map(|_| times(&mut random)) {
            comparison.check(Expression::new(Kind::Vector).text(case), times);
        }
    }
    let comparison = &comparison;
    let next = &AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get().min(4)) {
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= expressions {
                        break;
                    }
                    let mut random = Random::new(seed.wrapping_add(number.wrapping_mul(0x9E37_79B9)));
                    let expression = Grammar::new(random.next(), comparison.peer.whole).query();
                    for times in times(&mut random) {
                        comparison.check(expression.clone(), times);
                    }
                }
            });
        }
    });
    report(comparison, expressions);
}

/// Prints what was compared; panics with what differs.
fn report(comparison: &Comparison, expressions: u64) {
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (answers, refusals) = (count(&comparison.answers), count(&comparison.refusals));
    let (points, roundings) = (count(&comparison.points), count(&comparison.roundings));
    let varying = count(&comparison.varying);
    let mut found = comparison.differences.lock().expect("nobody panicked with it");
    found.sort_by_key(|(expression, ..)| expression.to_string().len());
    println!(
        "{expressions} expressions: {answers} answers with {points} points and {refusals} refusals compared, \
         {roundings} put aside as rounding and {varying} as varying, {} different",
        found.len()
    );
    let mut text = String::new();
    for (expression, times, difference) in found.iter().take(SHOWN) {
        let (smaller, difference) = comparison.smaller(expression.clone(), *times, difference.clone());
        let _ = write!(
            text,
            "\n{smaller}\n    {times:?}\n    prometheus / kymo: {difference}\n    from {expression}\n"
        );
    }
    assert!(found.is_empty(), "{} answers differ, some made small:\n{text}", found.len());
    // The test must not pass by comparing nothing.
    assert!(answers * 10 > refusals * 20, "only {answers} answers to {refusals} refusals");
    assert!(points > 8 * expressions as usize, "only {points} points");
    assert!(
        (roundings + varying) * 40 < answers,
        "{roundings} + {varying} of {answers} answers were put aside"
    );
}

/// The whole language, native histograms included, needs no peer for this: a range query gives at each step what an instant query
/// gives then. One slides over windows, the other does not.
#[test]
fn ranges_are_made_of_instants() {
    let seed = number("KYMO_DIFFERENTIAL_SEED", SEED);
    let expressions = number("KYMO_DIFFERENTIAL_EXPRESSIONS", EXPRESSIONS) / 4;
    println!("KYMO_DIFFERENTIAL_SEED={seed}");
    let series = dataset::series(seed, true);
    let stores = Stores {
        store: dataset::store(&series),
        disturbed: (0..3).map(|n| dataset::disturbed(&series, n, Disturbance::Single)).collect(),
    };
    let (mut points, mut faults) = (0, Vec::new());
    for number in 0..expressions {
        let mut random = Random::new(seed.wrapping_sub(number));
        let expression = Grammar::new(random.next(), true).query();
        let [_, Times::Range { start, step, .. }] = times(&mut random) else { continue };
        if let Err(fault) = consistent(&stores, &expression.to_string(), start, step, &mut points) {
            let mut smallest = (expression, fault);
            while let Some(smaller) = smallest.0.simplifications().into_iter().find_map(|simpler| {
                let fault = consistent(&stores, &simpler.to_string(), start, step, &mut 0).err()?;
                Some((simpler, fault))
            }) {
                smallest = smaller;
            }
            faults.push(format!("{}\n    from {start} by {step}: {}", smallest.0, smallest.1));
        }
    }
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
    assert!(points > 20 * expressions as usize, "only {points} points");
}

/// The samples, and what rounding may make of them.
struct Stores {
    store: MemoryStore,
    disturbed: Vec<MemoryStore>,
}

fn consistent(stores: &Stores, query: &str, start: i64, step: i64, points: &mut usize) -> Result<(), String> {
    const STEPS: i64 = 12;
    let times = Times::Range { start, end: start + step * (STEPS - 1), step };
    let range = evaluate(&stores.store, query, times, true);
    match &range {
        Answer::Data(_) => {}
        Answer::Malformed(message) if query.contains(['@', '<', '>', '=']) || message.contains("bool") => {
            return Ok(());
        }
        Answer::Malformed(message) => return Err(message.clone()),
        // Some step had no answer.
        Answer::Failed(_) => return Ok(()),
    }
    // The first and last step mean something else to an instant query, and so does which of equal series comes first.
    if ["start()", "end()", "limit", "topk", "bottomk"].iter().any(|word| query.contains(word)) {
        return Ok(());
    }
    *points += range.points();
    let sampled = [0, 1, STEPS / 2, STEPS - 1].map(|n| start + n * step);
    sampled.into_iter().try_for_each(|at| {
        let [range, instant] =
            [range.at(at), evaluate(&stores.store, query, Times::Instant(at), true).at(at)];
        let Some(difference) = range.difference(&instant, CANCELLED) else { return Ok(()) };
        let disturbed =
            stores.disturbed.iter().map(|store| evaluate(store, query, Times::Instant(at), true).at(at));
        match range.is_rounding(&instant, CANCELLED, &disturbed.collect::<Vec<_>>()) {
            true => Ok(()),
            false => Err(format!("at {at}: range / instant: {difference}")),
        }
    })
}

/// The comparison can fail: answers that differ by little, in a label, in a time, in kind are told apart, rounding is not.
#[test]
fn differences_are_noticed() {
    let series = dataset::series(SEED, true);
    let store = dataset::store(&series);
    let disturbed = [dataset::disturbed(&series, 0, Disturbance::Continuous)];
    let (start, end) = (dataset::BEGIN_MS + 600_500, dataset::BEGIN_MS + 1_200_500);
    let times = Times::Range { start, end, step: 30_000 };
    let ask = |query: &str| evaluate(&store, query, times, true);
    for (query, other, differs) in [
        ("g_load", "g_load", false),
        ("g_load", "g_load * 1.00000001", true),
        ("g_load", "g_load offset 30s", true),
        ("g_load", "g_load{job=\"a\"}", true),
        ("g_load{job=\"a\"}", "g_load", true),
        ("sum(g_load)", "sum by (job) (g_load)", true),
        ("g_count > 1", "g_count > 2", true),
        ("g_load", "g_load +", true),
        ("g_load", "g_load + on (job) g_load", true),
        ("nh_latency", "nh_latency * 1.00000001", true),
        ("nh_latency", "histogram_count(nh_latency)", true),
        ("rate(c_requests_total[5m])", "rate(c_requests_total[5m]) * (1 + 1e-12)", false),
    ] {
        let (theirs, ours) = (ask(query), ask(other));
        let difference = theirs.difference(&ours, EXACT);
        assert_eq!(difference.is_some(), differs, "{query} and {other}: {difference:?}");
        let disturbed: Vec<Answer> =
            disturbed.iter().map(|store| evaluate(store, other, times, true)).collect();
        assert_eq!(theirs.is_rounding(&ours, EXACT, &disturbed), !differs, "{query} and {other}");
    }
}
