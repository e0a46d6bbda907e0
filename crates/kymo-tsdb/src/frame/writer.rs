//! Writing frames: a record is put together in a buffer and gets its header last, when its place is known.

use super::{FILE_HEADER_BYTES, FileId, RECORD_HEADER_BYTES, RECORD_MAGIC, VERSION};

/// The header of a file.
pub(crate) fn header_bytes(file: FileId) -> [u8; FILE_HEADER_BYTES] {
    let mut header = [0; FILE_HEADER_BYTES];
    header[..8].copy_from_slice(&file.kind.magic());
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Fills in the header of the record that begins at `start` in the buffer and ends with it, for its place in a file.
pub(crate) fn finish_record(buffer: &mut [u8], file: FileId, offset: u64) {
    let (header, payload) = buffer.split_at_mut(RECORD_HEADER_BYTES);
    header[..4].copy_from_slice(&RECORD_MAGIC);
    header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[8..12].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let crc = file.place_crc(offset, &header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
}
