//! Gorilla chunks, bit for bit as Prometheus writes them: appender, iterator, batch decoder.
