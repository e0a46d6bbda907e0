//! Manifest: what a checkpoint stands for. Written twice, at its end, where the chunk files are known.
//!
//! ```text
//! manifest    kind:byte  records  wal_from  next_id  next_chunk_file  has_block:byte  block:16 if it has one  count  file...
//! file        number, minus the one before minus 1   bytes   has_range:byte   range:signed if it has one
//! version 1   kind:byte  wal_from  chunk_file  chunk_file_bytes  next_id
//! ```

use crate::block::Ulid;
use crate::frame::{Bytes, put_signed, put_unsigned};
use crate::wal::RecordKind;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The first segment of the log that is replayed over the checkpoint.
    pub(crate) wal_from: u64,
    /// No series has this id or a higher one.
    pub(crate) next_id: u32,
    /// How many records the checkpoint has, both manifests included; version 1 does not say.
    pub(crate) records: Option<u64>,
    /// A block that is a part of the database since this checkpoint.
    pub(crate) block: Option<Ulid>,
    pub(crate) files: Listed,
}

/// Which chunk files belong to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// These, in order of number. No file had the number `next` or a higher one.
    Each { files: Vec<ListedFile>, next: u32 },
    /// Version 1: all up to the number `last`, and of that so many bytes.
    UpTo { last: u64, last_bytes: u64 },
}

/// A chunk file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListedFile {
    pub(crate) number: u32,
    /// How much of it belongs to the database.
    pub(crate) bytes: u64,
    /// In which two hours all its chunks lie.
    pub(crate) range: Option<i64>,
}

impl Manifest {
    /// Appends the payload, of version 2.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let Listed::Each { files, next } = &self.files else {
            panic!("BUG: a manifest of version 1 is only read");
        };
        out.push(RecordKind::Manifest as u8);
        put_unsigned(out, self.records.unwrap_or(0));
        put_unsigned(out, self.wal_from);
        put_unsigned(out, u64::from(self.next_id));
        put_unsigned(out, u64::from(*next));
        out.push(u8::from(self.block.is_some()));
        if let Some(block) = self.block {
            let number = u128::from(block.time_ms()) << 80 | block.entropy();
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_unsigned(out, files.len() as u64);
        let mut next = 0;
        for file in files {
            put_unsigned(out, u64::from(file.number) - next);
            put_unsigned(out, file.bytes);
            out.push(u8::from(file.range.is_some()));
            if let Some(range) = file.range {
                put_signed(out, range);
            }
            next = u64::from(file.number) + 1;
        }
    }

    /// Reads what follows the kind; `None` when it is no manifest.
    pub(crate) fn read(mut bytes: Bytes<'_>) -> Option<Manifest> {
        let records = Some(bytes.unsigned()?);
        let wal_from = bytes.unsigned()?;
        let next_id = u32::try_from(bytes.unsigned()?).ok()?;
        let next_file = u32::try_from(bytes.unsigned()?).ok()?;
        let block = match bytes.byte()? {
            0 => None,
            1 => {
                let number = u128::from_le_bytes(bytes.take(16)?.try_into().ok()?);
                Some(Ulid::new((number >> 80) as u64, number))
            }
            _ => return None,
        };
        let (mut files, mut next) = (Vec::new(), 0u64);
        for _ in 0..bytes.count()? {
            let number = u32::try_from(next.checked_add(bytes.unsigned()?)?).ok()?;
            next = u64::from(number) + 1;
            let size = bytes.unsigned()?;
            let range = match bytes.byte()? {
                0 => None,
                1 => Some(bytes.signed()?),
                _ => return None,
            };
            files.push(ListedFile { number, bytes: size, range });
        }
        let files = Listed::Each { files, next: next_file };
        bytes.0.is_empty().then_some(Manifest { wal_from, next_id, records, block, files })
    }

    /// The same for version 1.
    pub(crate) fn read_v1(mut bytes: Bytes<'_>) -> Option<Manifest> {
        let wal_from = bytes.unsigned()?;
        let files = Listed::UpTo { last: bytes.unsigned()?, last_bytes: bytes.unsigned()? };
        let next_id = u32::try_from(bytes.unsigned()?).ok()?;
        Some(Manifest { wal_from, next_id, records: None, block: None, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_manifest_comes_back(
            numbers: [u64; 2],
            ids: [u32; 2],
            block: Option<u128>,
            listed in proptest::collection::btree_map(0u32.., (any::<u64>(), any::<Option<i64>>()), 0..9),
        ) {
            let block = block.map(|number| Ulid::new((number >> 80) as u64, number));
            let files = listed.iter().map(|(number, (bytes, range))| {
                ListedFile { number: *number, bytes: *bytes, range: *range }
            });
            let manifest = Manifest {
                wal_from: numbers[0],
                next_id: ids[0],
                records: Some(numbers[1]),
                block,
                files: Listed::Each { files: files.collect(), next: ids[1] },
            };
            let mut out = Vec::new();
            manifest.put(&mut out);
            let (kind, bytes) = RecordKind::of(&out).unwrap();
            prop_assert_eq!(kind, RecordKind::Manifest);
            prop_assert_eq!(Manifest::read(bytes), Some(manifest));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = (Manifest::read(Bytes(&bytes)), Manifest::read_v1(Bytes(&bytes)));
        }
    }
}
