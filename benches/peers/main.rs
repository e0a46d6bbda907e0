//! kymo and the servers it replaces, side by side: the same samples by remote write, the same questions over HTTP, in one run.
//!
//! `cargo bench -p kymo-benches --bench peers` runs everything with the `prometheus` and `victoria-metrics` found in `PATH`;
//! `-- shapes`, `-- fleet` and `-- scrape` run a part. The kymo that is measured is `KYMO_BIN`, or `target/release/kymo`, which
//! `cargo build --release -p kymo-server` makes; `-- alone` measures nothing else, and
//! `-- shapes now` asks before blocks are cut, and not again after that. Each server runs on one core (`KYMO_PEERS_CORES=2` gives more), answers are
//! compared value by value before a time is printed, and CPU time is the server's own: on a busy machine the better measure.
//! docs/performance.md has the figures.

mod answer;
mod fleet;
mod http;
mod scrape;
mod server;
mod shapes;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let (alone, wanted): (Vec<String>, Vec<String>) = wanted.into_iter().partition(|word| word == "alone");
    let (now, wanted): (Vec<String>, Vec<String>) = wanted.into_iter().partition(|word| word == "now");
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    let Some(kymo) = server::kymo() else {
        println!(
            "skipped: no kymo to measure; cargo build --release -p kymo-server makes one, KYMO_BIN names another"
        );
        return;
    };
    let peers = if alone.is_empty() { server::installed_peers() } else { Vec::new() };
    if peers.is_empty() && alone.is_empty() {
        println!("skipped: neither prometheus nor victoria-metrics is installed");
        return;
    }
    if wants("shapes") {
        shapes::run(&kymo, &peers, !now.is_empty());
    }
    if wants("fleet") {
        fleet::run(&kymo, &peers);
    }
    if wants("scrape") {
        scrape::run(&kymo, &peers);
    }
}
