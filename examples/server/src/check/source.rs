//! Source: the bytes of a file, or of standard input for `-`. Never more than a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use kymo_scrape::config::Config;

use crate::output::Fault;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What `-` is called in messages.
const STDIN: &str = "standard input";

/// The name of a file in messages.
pub(crate) fn shown(path: &str) -> &str {
    if path == "-" { STDIN } else { path }
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read_bytes(path: &str) -> Result<Vec<u8>, Fault> {
    let fault = |error: io::Error| Fault::whole(shown(path), format_args!("cannot be read: {error}"));
    let mut bytes = Vec::new();
    let taken = if path == "-" {
        io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    taken.map_err(fault)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Fault::whole(shown(path), format_args!("expected at most {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// The same as text, without a byte order mark.
pub(crate) fn read_text(path: &str) -> Result<String, Fault> {
    let bytes = read_bytes(path)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let line_start = bytes[..valid].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            let line = bytes[..valid].iter().filter(|b| **b == b'\n').count() + 1;
            let column = String::from_utf8_lossy(&bytes[line_start..valid]).chars().count() + 1;
            let message = format!("expected UTF-8, found the byte 0x{:02x}", bytes[valid]);
            Err(Fault::at(shown(path), bytes, line, column, message))
        }
    }
}

/// The files that a pattern names, as `rule_files` of a configuration names them.
pub(crate) fn matching(pattern: &str) -> Vec<PathBuf> {
    let mut config = Config::default();
    config.rule_files.push(PathBuf::from(pattern));
    config.rule_paths()
}
