//! Any bytes as a decompressed request: no panic, memory within the bounds, and the same answer with a warm cache.
#![no_main]

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Mutex;

use kymo_model::{Append, Appended, Batch, Labels, RowSeries, SeriesHandle, StoreError};
use kymo_remote::{Options, ReceiveError, WriteReceiver, Written};

/// Takes everything and hands out handles.
#[derive(Default)]
struct Handles(Mutex<HashMap<Labels, SeriesHandle>>);

impl Append for Handles {
    fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        let mut outcome = Appended { appended: batch.len(), ..Appended::default() };
        let mut known = self.0.lock().unwrap();
        for (row, entry) in batch.rows().iter().enumerate() {
            if let RowSeries::Labels(labels) = &entry.series {
                let next = SeriesHandle::new(NonZeroU64::new(known.len() as u64 + 1).unwrap());
                outcome.handles.push((row, *known.entry(labels.clone()).or_insert(next)));
            }
        }
        Ok(outcome)
    }
}

fn shown(answer: Result<Written, ReceiveError>) -> String {
    match answer {
        Ok(written) => format!("{written:?}"),
        Err(error) => {
            assert!(error.http_status() >= 400);
            format!("{error}")
        }
    }
}

/// A Snappy block of literals only.
fn literals(data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut len = data.len();
    while len >= 0x80 {
        body.push(len as u8 | 0x80);
        len >>= 7;
    }
    body.push(len as u8);
    for chunk in data.chunks(60) {
        body.push((chunk.len() as u8 - 1) << 2);
        body.extend_from_slice(chunk);
    }
    body
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let options = Options { decompressed_bytes_max: 1 << 20, ..Options::default() };
    let receiver = WriteReceiver::new(options);
    let store = Handles::default();
    // As it is, which is mostly not Snappy at all.
    let _ = receiver.receive(data, &store);
    let body = literals(data);
    let cold = shown(receiver.receive(&body, &store));
    let warm = shown(receiver.receive(&body, &store));
    assert_eq!(cold, warm);
});
