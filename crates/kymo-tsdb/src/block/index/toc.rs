//! Table of contents: where the sections of an index are. The last bytes of the file.

use super::super::error::BlockError;
use super::super::file::{BlockFile, CRC_BYTES};

pub(in super::super) const MAGIC: [u8; 4] = [0xba, 0xaa, 0xd7, 0x00];

/// Magic and version.
const HEADER_BYTES: usize = MAGIC.len() + 1;

/// Six offsets and a checksum.
const TOC_BYTES: usize = 6 * 8 + CRC_BYTES;

/// Where the sections are. Two that are no longer used, of label indices, are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Toc {
    pub(in super::super) version: u8,
    pub(in super::super) symbols: u64,
    pub(in super::super) series: u64,
    /// Where something else begins behind the series.
    pub(in super::super) series_end: u64,
    pub(in super::super) postings: u64,
    pub(in super::super) postings_table: u64,
}

impl Toc {
    pub(in super::super) fn read(file: &BlockFile) -> Result<Toc, BlockError> {
        let header = file.read(0, HEADER_BYTES)?;
        if header[..4] != MAGIC {
            return Err(
                file.damaged(0, format!("expected an index, found a file that begins with {header:02x?}"))
            );
        }
        let version = header[4];
        if !(1..=3).contains(&version) {
            return Err(BlockError::Version {
                path: file.path().to_owned(),
                expected: "an index of version 1 to 3",
                found: version.into(),
            });
        }
        let Some(start) = file.size().checked_sub(TOC_BYTES as u64) else {
            return Err(
                file.damaged(0, format!("expected {TOC_BYTES} bytes of contents, found {}", file.size()))
            );
        };
        let bytes = file.read(start, TOC_BYTES)?;
        file.check_crc(start, &bytes)?;
        let offset = |at: usize| u64::from_be_bytes(bytes[8 * at..8 * at + 8].try_into().unwrap_or_default());
        let sections = [0, 1, 2, 3, 4, 5].map(offset);
        if let Some(at) = sections.iter().position(|offset| *offset > start) {
            let message =
                format!("expected sections before the contents at {start}, found one at {}", sections[at]);
            return Err(file.damaged(start + 8 * at as u64, message));
        }
        let [symbols, series, label_indices, label_table, postings, postings_table] = sections;
        let behind = [label_indices, label_table, postings, postings_table];
        let series_end = behind.into_iter().filter(|offset| *offset >= series).min().unwrap_or(start);
        Ok(Toc { version, symbols, series, series_end, postings, postings_table })
    }

    pub(in super::super) fn to_bytes(self) -> Vec<u8> {
        let Toc { symbols, series, series_end, postings, postings_table, .. } = self;
        let sections = [symbols, series, series_end, postings_table, postings, postings_table];
        let mut out: Vec<u8> = sections.iter().flat_map(|offset| offset.to_be_bytes()).collect();
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    /// What the number of a series is to be multiplied with to have its offset.
    pub(in super::super) fn series_factor(self) -> u64 {
        if self.version == 1 { 1 } else { super::SERIES_ALIGNMENT }
    }
}
