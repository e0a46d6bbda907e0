//! Remote write 1.0, receiver side: bounded bodies to batches.
