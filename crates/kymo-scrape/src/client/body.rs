//! Body: bytes of a response as they come, decompressed on the way, never more than the limit in memory.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use super::error::FetchError;

/// Collects a body up to a limit of decompressed bytes.
pub(super) struct BodySink {
    kind: Kind,
    limit: u64,
}

enum Kind {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl BodySink {
    pub(super) fn new(gzip: bool, limit: u64, expected_bytes: usize) -> BodySink {
        let capacity = expected_bytes.min(usize::try_from(limit).unwrap_or(usize::MAX));
        let bounded = Bounded { bytes: Vec::with_capacity(capacity), limit, exceeded: false };
        let kind =
            if gzip { Kind::Gzip(Box::new(MultiGzDecoder::new(bounded))) } else { Kind::Plain(bounded) };
        BodySink { kind, limit }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        let (outcome, exceeded) = match &mut self.kind {
            Kind::Plain(bounded) => (bounded.write_all(chunk), bounded.exceeded),
            Kind::Gzip(decoder) => {
                let outcome = decoder.write_all(chunk);
                (outcome, decoder.get_ref().exceeded)
            }
        };
        self.judge(outcome, exceeded)
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, FetchError> {
        if let Kind::Gzip(decoder) = &mut self.kind {
            let outcome = decoder.try_finish();
            let exceeded = decoder.get_ref().exceeded;
            self.judge(outcome, exceeded)?;
        }
        match self.kind {
            Kind::Plain(bounded) => Ok(bounded.bytes),
            Kind::Gzip(mut decoder) => Ok(std::mem::take(&mut decoder.get_mut().bytes)),
        }
    }

    fn judge(&self, outcome: std::io::Result<()>, exceeded: bool) -> Result<(), FetchError> {
        if exceeded {
            return Err(FetchError::BodyLimit { limit: self.limit });
        }
        outcome.map_err(|e| FetchError::Body(format!("gzip: {e}")))
    }
}

struct Bounded {
    bytes: Vec<u8>,
    limit: u64,
    exceeded: bool,
}

impl Write for Bounded {
    fn write(&mut self, chunk: &[u8]) -> std::io::Result<usize> {
        if (self.bytes.len() + chunk.len()) as u64 > self.limit {
            self.exceeded = true;
            return Err(std::io::Error::other("too many bytes"));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(chunk.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn collect(gzip: bool, limit: u64, bytes: &[u8]) -> Result<Vec<u8>, FetchError> {
        let mut sink = BodySink::new(gzip, limit, 0);
        for chunk in bytes.chunks(7) {
            sink.push(chunk)?;
        }
        sink.finish()
    }

    #[test]
    fn the_limit_counts_decompressed_bytes() {
        let text = vec![b'x'; 100_000];
        assert_eq!(collect(false, 100_000, &text).unwrap(), text);
        assert_eq!(collect(true, 100_000, &gzip(&text)).unwrap(), text);
        for (compressed, bytes) in [(false, text.clone()), (true, gzip(&text))] {
            let error = collect(compressed, 99_999, &bytes).unwrap_err();
            assert!(matches!(error, FetchError::BodyLimit { limit: 99_999 }), "{error}");
        }
    }

    #[test]
    fn broken_gzip_is_an_error() {
        let whole = gzip(b"some text that is long enough");
        assert!(collect(true, 1000, b"not gzip at all, certainly").is_err());
        assert!(collect(true, 1000, &whole[..whole.len() - 6]).is_err());
        assert_eq!(collect(true, 1000, &[whole.clone(), whole].concat()).unwrap().len(), 58);
    }
}
