//! Records: what the two files of columns are made of. Each has a checksum, so damage costs one record.
//!
//! ```text
//! file     b5 c0 1d 85   version 1   00 00 00   record…
//! record   length of body:unsigned   kind:byte   body   crc32c(kind, body):u32 BE
//! times    kind 10: a column of timestamps
//! values   kind 11: offset of its record of times:unsigned   first sample in it:unsigned   a column of values
//! chunk    kind 1 to 6: a chunk of this encoding
//! ```

use std::path::PathBuf;

use kymo_chunk::Encoding;

use super::super::error::{BlockError, WriteBlockError};
use super::super::file::{BlockFile, CRC_BYTES, FileWriter};
use crate::frame::{Bytes, put_unsigned};
use crate::vfs::Vfs;

const HEADER: [u8; 8] = [0xb5, 0xc0, 0x1d, 0x85, 1, 0, 0, 0];

const KIND_TIMES: u8 = 0x10;
const KIND_VALUES: u8 = 0x11;

/// What is read of a record whose length is not known: most are shorter.
pub(super) const RECORD_BYTES_GUESS: usize = 4096;

/// The longest record: a chunk or column of the most samples, every number a special case, is far below.
const BODY_BYTES_MAX: usize = 64 << 20;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Times,
    Values,
    Chunk(Encoding),
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Kind::Times => KIND_TIMES,
            Kind::Values => KIND_VALUES,
            Kind::Chunk(encoding) => encoding.to_byte(),
        }
    }
}

/// A record, as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) body: &'a [u8],
}

/// Begins a file.
pub(super) fn create(vfs: &dyn Vfs, path: PathBuf) -> Result<FileWriter, WriteBlockError> {
    let mut file = FileWriter::create(vfs, path)?;
    file.push(&HEADER)?;
    Ok(file)
}

/// Appends a record; where it is.
pub(super) fn push(
    file: &mut FileWriter,
    kind: Kind,
    body: &[u8],
    scratch: &mut Vec<u8>,
) -> Result<u64, WriteBlockError> {
    if body.len() > BODY_BYTES_MAX {
        let (what, max, found) = ("a column", BODY_BYTES_MAX as u64, body.len() as u64);
        return Err(WriteBlockError::TooLarge { what, max, found });
    }
    let offset = file.position();
    scratch.clear();
    put_unsigned(scratch, body.len() as u64);
    let checked = scratch.len();
    scratch.push(kind.to_byte());
    scratch.extend_from_slice(body);
    let crc = crc32c::crc32c(&scratch[checked..]);
    scratch.extend_from_slice(&crc.to_be_bytes());
    file.push(scratch)?;
    Ok(offset)
}

/// Is this a file of records that can be read here?
pub(super) fn check_header(file: &BlockFile) -> Result<(), BlockError> {
    let header = file.read(0, HEADER.len())?;
    if header[..4] != HEADER[..4] || header[5..] != HEADER[5..] {
        return Err(file.damaged(0, format!("expected a file of cold columns, found {header:02x?}")));
    }
    if header[4] != HEADER[4] {
        let found = header[4].into();
        let path = file.path().to_owned();
        return Err(BlockError::Version { path, expected: "cold columns of version 1", found });
    }
    Ok(())
}

/// The record at an offset, of which `bytes` are the first ones; if they are too few it is read into `owned`.
pub(super) fn read<'a>(
    file: &BlockFile,
    offset: u64,
    bytes: &'a [u8],
    owned: &'a mut Vec<u8>,
) -> Result<Record<'a>, BlockError> {
    let mut rest = Bytes(bytes);
    let length = rest.unsigned().and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| *length <= BODY_BYTES_MAX) else {
        return Err(file.damaged(offset, "expected the length of a column, found no such number"));
    };
    let whole = 1 + length + CRC_BYTES;
    let checked: &[u8] = match rest.0.get(..whole) {
        Some(checked) => checked,
        None => {
            *owned = file.read(offset + (bytes.len() - rest.0.len()) as u64, whole)?;
            owned
        }
    };
    file.check_crc(offset, checked)?;
    let kind =
        match checked[0] {
            KIND_TIMES => Kind::Times,
            KIND_VALUES => Kind::Values,
            byte => Kind::Chunk(Encoding::from_byte(byte).map_err(|_| {
                file.damaged(offset, format!("expected a column or a chunk, found kind {byte}"))
            })?),
        };
    Ok(Record { kind, body: &checked[1..=length] })
}

/// The record at an offset.
pub(super) fn read_at<'a>(
    file: &BlockFile,
    offset: u64,
    bytes: &'a mut Vec<u8>,
    owned: &'a mut Vec<u8>,
) -> Result<Record<'a>, BlockError> {
    *bytes = file.read_some(offset, RECORD_BYTES_GUESS)?;
    read(file, offset, bytes, owned)
}

/// The parts of a column of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValuesColumn<'a> {
    /// Where its timestamps are.
    pub(super) times: u64,
    /// Which of those its first sample has.
    pub(super) start: usize,
    /// The column.
    pub(super) values: &'a [u8],
}

impl<'a> ValuesColumn<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<ValuesColumn<'a>> {
        let mut bytes = Bytes(body);
        let times = bytes.unsigned()?;
        let start = usize::try_from(bytes.unsigned()?).ok()?;
        Some(ValuesColumn { times, start, values: bytes.0 })
    }

    pub(super) fn begin(times: u64, start: usize, body: &mut Vec<u8>) {
        body.clear();
        put_unsigned(body, times);
        put_unsigned(body, start as u64);
    }
}
