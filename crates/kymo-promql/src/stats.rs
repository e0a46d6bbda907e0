//! QueryStats: what a query cost, counted while it runs.

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct QueryStats {
    /// How often the store was asked.
    pub selects: u64,
    /// Series that the store gave, over all selects.
    pub series: u64,
    /// Samples read from the store, each once per read.
    pub samples_read: u64,
    /// Samples that the steps looked at, as upstream's `totalQueryableSamples`.
    pub total_queryable_samples: u64,
    /// Most samples held in memory at once.
    pub peak_samples: u64,
    /// Most bytes of columns and rows held in memory at once.
    pub peak_bytes: u64,
}
