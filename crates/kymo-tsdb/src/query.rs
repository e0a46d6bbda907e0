//! Query: the database as the border's `Queryable`.

use std::sync::Arc;

use kymo_model::{Matcher, Queryable, Selector, SeriesSet, StoreError, TimeRange};

use crate::db::Db;

impl Queryable for Db {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        self.shared().ensure_open()?;
        let head = &self.shared().head;
        Ok(match wanted.hints.newest_only {
            true => SeriesSet::new(Arc::new(head.select_newest(wanted)?)),
            false => SeriesSet::new(Arc::new(head.select(wanted)?)),
        })
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
