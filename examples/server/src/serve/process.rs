//! The process' own figures, read from `/proc` where there is one.

use std::fs;

/// What the operating system says about this process; `None` where it does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcessFigures {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<f64>,
    pub(crate) virtual_bytes: Option<f64>,
    pub(crate) open_fds: Option<f64>,
    pub(crate) max_fds: Option<f64>,
    pub(crate) threads: Option<f64>,
}

/// Linux' unit of CPU time in `/proc/self/stat`, fixed in its interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;

impl ProcessFigures {
    pub(crate) fn read() -> ProcessFigures {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let field = |name: &str| -> Option<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let max_fds = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        ProcessFigures {
            cpu_seconds: cpu_seconds(),
            resident_bytes: field("VmRSS:").map(|kib| kib * 1024.0),
            virtual_bytes: field("VmSize:").map(|kib| kib * 1024.0),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64),
            max_fds: max_fds.and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
            threads: field("Threads:"),
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name is in parentheses and may hold anything; the fields after it are plain.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| -> Option<f64> { fields.get(index)?.parse().ok() };
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}
