//! Any bytes as a decompressed question: no panic, an answer within its bounds, and both forms of it end.
#![no_main]

use std::sync::Arc;

use kymo_model::{Append, Batch, Labels, MemoryStore, Timestamp};
use kymo_remote::{ReadOptions, ReadRequest};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let options = ReadOptions {
        decompressed_bytes_max: 1 << 20,
        queries_max: 8,
        matchers_max: 8,
        samples_max: 1000,
        frame_bytes_max: 64,
        ..ReadOptions::default()
    };
    // As it is, which is mostly not Snappy at all.
    let _ = ReadRequest::from_snappy(data, &options);
    let Ok(body) = snap::raw::Encoder::new().compress_vec(data) else { return };
    let Ok(request) = ReadRequest::from_snappy(&body, &options) else { return };
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for second in 0..200 {
        let labels = Labels::from_pairs([("__name__", "a")]);
        batch.push(labels, Timestamp::from_millis(second * 1000), second as f64);
    }
    store.append(&batch).expect("a store in memory takes everything");
    if let Ok(answer) = request.answer(Arc::new(store), Labels::from_pairs([("b", "c")]), options) {
        for piece in answer {
            assert!(piece.map_or_else(|error| error.http_status() >= 400, |bytes| bytes.len() < 1 << 20));
        }
    }
});
