//! SeriesSpool: the series of a block on their way to its index. They wait in a file, with provisional numbers of symbols, until all
//! symbols are known.

use std::path::{Path, PathBuf};

use kymo_model::Labels;

use super::super::error::WriteBlockError;
use super::super::file::FileWriter;
use super::super::index::{ChunkMeta, INDEX_FILE};
use super::index;
use super::symbols::SymbolsWriter;
use crate::frame::put_unsigned;
use crate::vfs::Vfs;

/// The file they wait in.
const SPOOL_FILE: &str = "series.tmp";

#[derive(Debug)]
pub(in super::super) struct SeriesSpool {
    dir: PathBuf,
    file: FileWriter,
    symbols: SymbolsWriter,
    last_labels: Option<Labels>,
    scratch: Vec<u8>,
}

impl SeriesSpool {
    /// For an index in `dir`, which must be there.
    pub(in super::super) fn create(vfs: &dyn Vfs, dir: &Path) -> Result<SeriesSpool, WriteBlockError> {
        Ok(SeriesSpool {
            dir: dir.to_owned(),
            file: FileWriter::create(vfs, dir.join(SPOOL_FILE))?,
            symbols: SymbolsWriter::default(),
            last_labels: None,
            scratch: Vec::new(),
        })
    }

    /// Do these labels come after those before?
    pub(in super::super) fn check_order(&self, labels: &Labels) -> Result<(), WriteBlockError> {
        match self.last_labels.as_ref().filter(|before| *before >= labels) {
            None => Ok(()),
            Some(before) => {
                Err(WriteBlockError::SeriesOrder { before: before.to_string(), found: labels.to_string() })
            }
        }
    }

    /// Adds a series and where its chunks are.
    pub(in super::super) fn add(
        &mut self,
        labels: &Labels,
        chunks: &[ChunkMeta],
    ) -> Result<(), WriteBlockError> {
        self.scratch.clear();
        put_unsigned(&mut self.scratch, labels.len() as u64);
        for label in labels {
            let (name, value) = self.symbols.label(label.name, label.value);
            put_unsigned(&mut self.scratch, name.into());
            put_unsigned(&mut self.scratch, value.into());
        }
        index::put_chunks(&mut self.scratch, chunks);
        let length = self.scratch.len();
        // The length in front, so that entries can be read one by one.
        self.file.push(&(length as u32).to_be_bytes())?;
        self.file.push(&self.scratch)?;
        self.last_labels = Some(labels.clone());
        Ok(())
    }

    /// Writes the index, makes it durable, and removes what waited.
    pub(in super::super) fn finish(
        mut self,
        vfs: &dyn Vfs,
        postings_per_pass_max: usize,
    ) -> Result<(), WriteBlockError> {
        let index = FileWriter::create(vfs, self.dir.join(INDEX_FILE))?;
        index::write(index, &mut self.file, &self.symbols, postings_per_pass_max)?;
        let spool = self.dir.join(SPOOL_FILE);
        drop(self.file);
        vfs.remove(&spool).map_err(WriteBlockError::io("remove", &spool))
    }
}
