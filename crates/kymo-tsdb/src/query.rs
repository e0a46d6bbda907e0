//! Query: the database as the border's `Queryable`.

use std::sync::Arc;

use kymo_model::{Estimate, Matcher, Queryable, Selector, SeriesSet, StoreError, TimeRange};

use crate::db::Db;

impl Queryable for Db {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        self.shared().ensure_open()?;
        Ok(SeriesSet::new(Arc::new(self.shared().head.select(wanted)?)))
    }

    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        self.shared().ensure_open()?;
        self.shared().head.estimate(wanted).map(Some)
    }

    fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, StoreError> {
        self.shared().ensure_open()?;
        Ok(self.shared().head.label_names(matchers, range))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<String>, StoreError> {
        self.shared().ensure_open()?;
        Ok(self.shared().head.label_values(name, matchers, range))
    }
}
