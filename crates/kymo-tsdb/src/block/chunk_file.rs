//! Chunk files: the samples of a block, in segments. A chunk is found by its reference: number of the segment and offset.
//!
//! ```text
//! segment   85 bd 40 dd   version 1   00 00 00   chunk...
//! chunk     length of data:unsigned   encoding:byte   data   crc32c(encoding, data):u32 BE
//! ```

use std::path::Path;

use kymo_chunk::Encoding;

use super::error::{BlockError, WriteBlockError};
use super::file::{BlockFile, CRC_BYTES, FileWriter};
use super::index::ChunkMeta;
use crate::frame::{Bytes, put_unsigned};
use crate::vfs::Vfs;

pub(super) const CHUNKS_DIR: &str = "chunks";

const MAGIC: [u8; 4] = [0x85, 0xbd, 0x40, 0xdd];

const HEADER: [u8; 8] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], 1, 0, 0, 0];

/// Length and encoding before the data.
const CHUNK_HEADER_BYTES_MAX: usize = 5 + 1;

/// What is read of the last chunk of a run, whose length is not known: nearly all chunks are shorter.
const CHUNK_BYTES_GUESS: usize = 1280;

/// Chunks of a series that lie this close together are read at once.
const RUN_BYTES_MAX: u64 = 1 << 20;

/// The name of a segment, from 0.
fn segment_name(index: usize) -> String {
    format!("{:06}", index + 1)
}

/// A chunk as it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkData {
    /// How its samples are encoded.
    pub encoding: Encoding,
    /// The encoded samples.
    pub data: Vec<u8>,
}

/// All segments of a block.
#[derive(Debug)]
pub(super) struct ChunkFiles {
    segments: Vec<BlockFile>,
}

impl ChunkFiles {
    /// No segment.
    pub(super) fn none() -> ChunkFiles {
        ChunkFiles { segments: Vec::new() }
    }

    pub(super) fn open(vfs: &dyn Vfs, dir: &Path) -> Result<ChunkFiles, BlockError> {
        let dir = dir.join(CHUNKS_DIR);
        let entries = vfs.list(&dir).map_err(BlockError::io("list", &dir))?;
        let count = entries.iter().filter(|entry| entry.name.parse::<u32>().is_ok()).count();
        let open = |index| BlockFile::open(vfs, &dir.join(segment_name(index)));
        Ok(ChunkFiles { segments: (0..count).map(open).collect::<Result<_, _>>()? })
    }

    pub(super) fn size(&self) -> u64 {
        self.segments.iter().map(BlockFile::size).sum()
    }

    /// What is wrong with the headers of the segments, of which nothing else depends.
    pub(super) fn check_headers(&self) -> Result<(), BlockError> {
        for segment in &self.segments {
            let header = segment.read(0, HEADER.len())?;
            if header[..5] != HEADER[..5] {
                let message = format!("expected a segment of chunks of version 1, found {header:02x?}");
                return Err(segment.damaged(0, message));
            }
        }
        Ok(())
    }

    fn place(&self, reference: u64, index: &Path) -> Result<(&BlockFile, u64), BlockError> {
        let (number, offset) = ((reference >> 32) as usize, reference & 0xffff_ffff);
        let segment = self.segments.get(number).ok_or_else(|| {
            let message = format!(
                "expected one of {} segments of chunks, found a reference to segment {}",
                self.segments.len(),
                number + 1
            );
            BlockError::damaged(index, 0, message)
        })?;
        if offset < HEADER.len() as u64 {
            let message = format!("expected a chunk behind the header, found a reference to offset {offset}");
            return Err(segment.damaged(offset, message));
        }
        Ok((segment, offset))
    }

    /// One chunk.
    pub(super) fn read(&self, reference: u64, index: &Path) -> Result<ChunkData, BlockError> {
        let (segment, offset) = self.place(reference, index)?;
        let bytes = segment.read_some(offset, CHUNK_BYTES_GUESS)?;
        parse(segment, offset, &bytes)
    }

    /// Chunks of one series, which lie behind one another: with one read for those that are close together.
    pub(super) fn read_run(
        &self,
        chunks: &[ChunkMeta],
        index: &Path,
        mut each: impl FnMut(&ChunkMeta, Result<ChunkData, BlockError>),
    ) {
        let mut rest = chunks;
        while let Some(first) = rest.first() {
            let close = |chunk: &ChunkMeta| {
                (first.reference..first.reference.saturating_add(RUN_BYTES_MAX)).contains(&chunk.reference)
                    && chunk.reference >> 32 == first.reference >> 32
            };
            let run = rest.iter().position(|chunk| !close(chunk)).unwrap_or(rest.len());
            let (run, behind) = rest.split_at(run.max(1));
            rest = behind;
            let Ok((segment, start)) = self.place(first.reference, index) else {
                run.iter().for_each(|chunk| each(chunk, self.read(chunk.reference, index)));
                continue;
            };
            let last = run.last().map_or(first.reference, |chunk| chunk.reference);
            let length = (last - first.reference) as usize + CHUNK_BYTES_GUESS;
            match segment.read_some(start, length) {
                Ok(bytes) => {
                    for chunk in run {
                        let at = (chunk.reference - first.reference) as usize;
                        each(chunk, parse(segment, start + at as u64, bytes.get(at..).unwrap_or(&[])));
                    }
                }
                Err(_) => run.iter().for_each(|chunk| each(chunk, self.read(chunk.reference, index))),
            }
        }
    }
}

/// The chunk at an offset, of which `bytes` are the first ones; if they are too few it is read anew.
fn parse(segment: &BlockFile, offset: u64, bytes: &[u8]) -> Result<ChunkData, BlockError> {
    let mut rest = Bytes(bytes);
    let length = rest.unsigned().and_then(|length| usize::try_from(length).ok());
    let header_bytes = bytes.len() - rest.0.len();
    let Some(length) = length.filter(|_| header_bytes < CHUNK_HEADER_BYTES_MAX) else {
        return Err(segment.damaged(offset, "expected the length of a chunk, found no number"));
    };
    let whole = length.saturating_add(1 + CRC_BYTES);
    let owned;
    let body = match rest.0.get(..whole) {
        Some(body) => body,
        None => {
            owned = segment.read(offset + header_bytes as u64, whole)?;
            &owned
        }
    };
    segment.check_crc(offset, body)?;
    let encoding =
        Encoding::from_byte(body[0]).map_err(|error| segment.damaged(offset, error.to_string()))?;
    Ok(ChunkData { encoding, data: body[1..=length].to_vec() })
}

/// Writes segments, one after the other.
#[derive(Debug)]
pub(super) struct ChunkFileWriter {
    open: Option<FileWriter>,
    segments: usize,
    segment_bytes_max: u64,
    scratch: Vec<u8>,
}

impl ChunkFileWriter {
    pub(super) fn new(segment_bytes_max: u64) -> ChunkFileWriter {
        ChunkFileWriter { open: None, segments: 0, segment_bytes_max, scratch: Vec::new() }
    }

    /// Adds a chunk; its reference.
    pub(super) fn push(
        &mut self,
        vfs: &dyn Vfs,
        dir: &Path,
        encoding: Encoding,
        data: &[u8],
    ) -> Result<u64, WriteBlockError> {
        let chunk_bytes = (CHUNK_HEADER_BYTES_MAX + data.len() + CRC_BYTES) as u64;
        let full = |file: &FileWriter| file.position() + chunk_bytes > self.segment_bytes_max;
        if let Some(file) = self.open.take_if(|file| full(file)) {
            file.finish()?;
        }
        if self.open.is_none() {
            let path = dir.join(CHUNKS_DIR).join(segment_name(self.segments));
            let mut file = FileWriter::create(vfs, path)?;
            file.push(&HEADER)?;
            self.segments += 1;
            self.open = Some(file);
        }
        let number = (self.segments - 1) as u64;
        let file = self.open.as_mut().expect("BUG: one was just opened");
        let reference = number << 32 | file.position();
        self.scratch.clear();
        put_unsigned(&mut self.scratch, data.len() as u64);
        let body = self.scratch.len();
        self.scratch.push(encoding.to_byte());
        self.scratch.extend_from_slice(data);
        let crc = crc32c::crc32c(&self.scratch[body..]);
        self.scratch.extend_from_slice(&crc.to_be_bytes());
        file.push(&self.scratch)?;
        Ok(reference)
    }

    /// Makes everything durable.
    pub(super) fn finish(self) -> Result<(), WriteBlockError> {
        match self.open {
            Some(file) => file.finish().map(drop),
            None => Ok(()),
        }
    }
}
