//! DiskRoom: a number of bytes stays free on the disk. What would leave less is refused before it is written.
//!
//! The disk is asked once a second, and before each write while there seems to be too little; in between, what was written here is
//! counted. Without a reserve nothing is asked at all.

use std::path::Path;

use kymo_model::{StoreError, StoreErrorKind};

use crate::options::Options;

/// After so long the disk is asked again: others write to it, too.
const LOOK_MS: u64 = 1000;

#[derive(Debug)]
pub(crate) struct DiskRoom {
    reserve_bytes: u64,
    /// What is believed to be free, and when the disk was asked.
    free: Option<(u64, u64)>,
    /// Writes that were refused.
    pub(crate) refused: u64,
}

impl DiskRoom {
    pub(crate) fn new(reserve_bytes: u64) -> DiskRoom {
        DiskRoom { reserve_bytes, free: None, refused: 0 }
    }

    /// An error unless so many bytes can be written to a directory and leave what is reserved.
    pub(crate) fn claim(&mut self, bytes: u64, options: &Options, dir: &Path) -> Result<(), StoreError> {
        if self.reserve_bytes == 0 {
            return Ok(());
        }
        let now_ms = options.clock.monotonic_ms();
        let wanted = self.reserve_bytes.saturating_add(bytes);
        let known = self.free.filter(|(free, asked_ms)| *free >= wanted && now_ms < asked_ms + LOOK_MS);
        let (free, asked_ms) = match known {
            Some(known) => known,
            // A disk that cannot say it is full soon enough when it is.
            None => (options.vfs.free_bytes(dir).unwrap_or(u64::MAX), now_ms),
        };
        if free < wanted {
            self.free = None;
            self.refused += 1;
            let reserve = self.reserve_bytes;
            let message = format!(
                "expected {reserve} bytes to stay free behind a record of {bytes}, found {free} free ({})",
                dir.display()
            );
            return Err(StoreError::new(StoreErrorKind::Full, message));
        }
        self.free = Some((free - bytes, asked_ms));
        Ok(())
    }
}
