//! Test parts of kymo: faulty disk, clock, generators, naive model store. Not published.
//!
//! Everything here is deterministic: what a test does follows from one seed, which it prints.
//!
//! ```
//! use kymo_testkit::{SimClock, SimDisk};
//! use kymo_tsdb::{Db, Options};
//!
//! let disk = SimDisk::new(1);
//! let options = Options { vfs: disk.vfs(), clock: SimClock::at_ms(1_000).shared(), ..Options::default() };
//! let db = Db::open("/data", options).unwrap();
//! db.close().unwrap();
//! assert!(disk.calls() > 0);
//! ```

#![forbid(unsafe_code)]

mod random;

mod clock;
mod disk;

mod generate;
mod histograms;
mod model;

mod report;

pub use clock::SimClock;
pub use disk::{Crash, Fault, Moment, SimDisk};
pub use generate::{SampleStream, ValueShape, series_labels};
pub use histograms::any_histogram;
pub use model::{Mismatch, ModelStore};
pub use random::Random;
pub use report::{report, setting};
