//! Chunk files: the samples of a block, in segments. A chunk is found by its reference: number of the segment and offset.
//!
//! ```text
//! segment   85 bd 40 dd   version 1   00 00 00   chunk...
//! chunk     length of data:unsigned   encoding:byte   data   crc32c(encoding, data):u32 BE
//! ```

use std::path::Path;
use std::sync::Arc;

use kymo_chunk::Encoding;

use super::ahead::{Window, Windows, last_of_neighbours};
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

/// The part of a reference that says where in the segment.
const OFFSET: u64 = 0xffff_ffff;

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
        let (number, offset) = ((reference >> 32) as usize, reference & OFFSET);
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
        let mut owned = Vec::new();
        let (encoding, data) = parse(segment, offset, &bytes, &mut owned)?;
        Ok(ChunkData { encoding, data: data.to_vec() })
    }

    /// Chunks of one series, which lie behind one another: with one read for those that are close together, and for those in
    /// `next`, which will be wanted then.
    pub(super) fn read_run(
        &self,
        (chunks, next): (&[ChunkMeta], &[ChunkMeta]),
        windows: &Windows,
        index: &Path,
        mut each: impl FnMut(&ChunkMeta, Result<(Encoding, &[u8]), BlockError>),
    ) {
        let mut owned = Vec::new();
        let mut rest = chunks;
        while let Some(first) = rest.first() {
            let close = |chunk: &ChunkMeta| {
                (first.reference..first.reference.saturating_add(RUN_BYTES_MAX)).contains(&chunk.reference)
                    && chunk.reference >> 32 == first.reference >> 32
            };
            let run = rest.iter().position(|chunk| !close(chunk)).unwrap_or(rest.len());
            let (run, behind) = rest.split_at(run.max(1));
            rest = behind;
            let last = run.last().map_or(first.reference, |chunk| chunk.reference);
            let next = if rest.is_empty() { next } else { &[] };
            let window = self.window((first.reference, last), next, windows, index);
            for chunk in run {
                // What cannot be read at once may be readable one by one.
                let read = match &window {
                    Ok((segment, window)) => {
                        let bytes = window.from(chunk.reference);
                        parse(segment, chunk.reference & OFFSET, bytes, &mut owned)
                    }
                    Err(_) => self.read(chunk.reference, index).map(|ChunkData { encoding, data }| {
                        owned = data;
                        (encoding, &*owned)
                    }),
                };
                each(chunk, read);
            }
        }
    }

    /// The bytes of the chunks from the first to the last of a run, and of some of those that will be wanted next.
    fn window(
        &self,
        (first, last): (u64, u64),
        next: &[ChunkMeta],
        windows: &Windows,
        index: &Path,
    ) -> Result<(&BlockFile, Arc<Window>), BlockError> {
        let (segment, start) = self.place(first, index)?;
        if let Some(window) = windows.find(first, last) {
            return Ok((segment, window));
        }
        let end = last_of_neighbours(first, last, next);
        let bytes = segment.read_some(start, (end - first) as usize + CHUNK_BYTES_GUESS)?;
        let window = Arc::new(Window { start: first, last: end, bytes });
        if end > last {
            windows.keep(window.clone());
        }
        Ok((segment, window))
    }
}

/// The chunk at an offset, of which `bytes` are the first ones; if they are too few it is read anew, into `owned`.
fn parse<'b>(
    segment: &BlockFile,
    offset: u64,
    bytes: &'b [u8],
    owned: &'b mut Vec<u8>,
) -> Result<(Encoding, &'b [u8]), BlockError> {
    let mut rest = Bytes(bytes);
    let length = rest.unsigned().and_then(|length| usize::try_from(length).ok());
    let header_bytes = bytes.len() - rest.0.len();
    let Some(length) = length.filter(|_| header_bytes < CHUNK_HEADER_BYTES_MAX) else {
        return Err(segment.damaged(offset, "expected the length of a chunk, found no number"));
    };
    let whole = length.saturating_add(1 + CRC_BYTES);
    let body = match rest.0.get(..whole) {
        Some(body) => body,
        None => {
            *owned = segment.read(offset + header_bytes as u64, whole)?;
            owned
        }
    };
    segment.check_crc(offset, body)?;
    let encoding =
        Encoding::from_byte(body[0]).map_err(|error| segment.damaged(offset, error.to_string()))?;
    Ok((encoding, &body[1..=length]))
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
