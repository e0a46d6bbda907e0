//! `kymo tsdb import prometheus`: blocks out of what a Prometheus left in its data directory, and what could not be read of it.

use std::path::Path;
use std::sync::Arc;

use kymo_tsdb::prometheus::{ImportError, ImportOptions, import_prometheus};
use kymo_tsdb::{OsVfs, Vfs};

use super::blocks_out::tell;
use crate::output::{Verdict, complain, say};
use crate::progress::Progress;

pub(super) fn run(dir: &Path, memory_bytes_max: usize) -> Result<Verdict, ImportError> {
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let progress = Progress::work(dir.display().to_string());
    let options = ImportOptions { memory_bytes_max, ..ImportOptions::default() };
    let report = import_prometheus(&vfs, dir, &options, &mut |now| progress.tell(now))?;
    drop(progress);
    for damage in &report.damaged {
        complain(format_args!("damaged: {damage}"));
    }
    let more = report.damaged_total - report.damaged.len() as u64;
    let left_out = [
        (more, "more damaged places"),
        (report.orphans, "samples or chunks of series that are not known"),
        (report.invalid_histograms, "histograms that make no sense"),
        (report.exemplars_skipped, "exemplars: repeated, late, too long or of series that are not known"),
        (report.metadata_skipped, "descriptions of metrics: of series that are not known, or too many"),
        (report.float_starts_dropped, "start timestamps of floats, which blocks have no place for"),
    ];
    for (count, what) in left_out.into_iter().filter(|(count, _)| *count > 0) {
        complain(format_args!("left out: {count} {what}"));
    }
    report.blocks.iter().for_each(tell);
    say(format!("{} series, {} samples in {} blocks", report.series, report.samples(), report.blocks.len()));
    if report.exemplars + report.metadata > 0 {
        say(format!(
            "{} exemplars and metadata of {} metric families wait for kymo to be started on the directory",
            report.exemplars, report.metadata
        ));
    }
    if let Some(moved_to) = &report.moved_to {
        say(format!("what was imported is in {} now", moved_to.display()));
    }
    Ok(Verdict::good_if(!report.has_loss()))
}
