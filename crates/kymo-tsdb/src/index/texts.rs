//! Texts: distinct texts, gathered in any order and given out sorted. Between an index and who asks it for values.
//!
//! They lie behind one another until they are given out: to let go of a million strings of their own, in the order of a hash
//! table, takes longer than whoever gave up wants to wait.

use kymo_model::{CancelToken, Pulse, StoreError};

/// So many are gathered before the first look for those that are there more than once.
const GATHERED_MIN: usize = 64 * 1024;

/// Texts on their way out.
#[derive(Debug)]
pub(crate) struct Texts<'c> {
    text: String,
    /// Where each begins and ends in `text`.
    places: Vec<(usize, usize)>,
    /// How many may be gathered until those that are there more than once are let go.
    gathered_max: usize,
    cancel: &'c CancelToken,
    pulse: Pulse,
}

impl<'c> Texts<'c> {
    /// None yet.
    pub(crate) fn new(cancel: &'c CancelToken) -> Texts<'c> {
        let (text, places, pulse) = (String::new(), Vec::new(), cancel.pulse());
        Texts { text, places, gathered_max: GATHERED_MIN, cancel, pulse }
    }

    /// Adds one, which may be there already.
    pub(crate) fn push(&mut self, text: &str) -> Result<(), StoreError> {
        // Neighbours often agree.
        if self.places.last().is_some_and(|(start, end)| self.text[*start..*end] == *text) {
            return Ok(());
        }
        if self.places.len() >= self.gathered_max {
            self.order()?;
            self.gathered_max = GATHERED_MIN.max(2 * self.places.len());
        }
        let start = self.text.len();
        self.text.push_str(text);
        self.places.push((start, self.text.len()));
        Ok(())
    }

    /// Sorts them, and leaves each once.
    fn order(&mut self) -> Result<(), StoreError> {
        let (text, pulse) = (&self.text, &mut self.pulse);
        let of = |place: &(usize, usize)| &text[place.0..place.1];
        self.cancel.sort_by(&mut self.places, |a, b| of(a).cmp(of(b)))?;
        self.places.dedup_by(|later, kept| of(later) == of(kept));
        let bytes = self.places.iter().map(|(start, end)| end - start).sum();
        let mut left = String::with_capacity(bytes);
        for place in &mut self.places {
            pulse.tick(16)?;
            let start = left.len();
            left.push_str(&text[place.0..place.1]);
            *place = (start, left.len());
        }
        self.text = left;
        Ok(())
    }

    /// All of them.
    pub(crate) fn sorted(mut self) -> Result<Vec<String>, StoreError> {
        self.order()?;
        let mut all = Vec::with_capacity(self.places.len());
        for (start, end) in &self.places {
            self.pulse.tick(16)?;
            all.push(self.text[*start..*end].to_owned());
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kymo_model::CancelReason;

    #[test]
    fn each_once_and_in_order() {
        for distinct in [1, 3, 1_000, 70_000, 200_000] {
            let cancel = CancelToken::new();
            let mut texts = Texts::new(&cancel);
            for number in 0..300_000u64 {
                let number = number * 7919 % distinct;
                texts.push(&format!("{number:07}")).unwrap();
                assert!(texts.places.len() <= GATHERED_MIN.max(2 * distinct as usize));
            }
            let expected = (0..distinct).map(|number| format!("{number:07}"));
            assert!(texts.sorted().unwrap().into_iter().eq(expected), "{distinct}");
        }
        let cancel = CancelToken::new();
        let mut texts = Texts::new(&cancel);
        ["", "b", "", "a", "a", "b"].iter().for_each(|text| texts.push(text).unwrap());
        assert_eq!(texts.sorted().unwrap(), ["", "a", "b"]);
        assert!(Texts::new(&cancel).sorted().unwrap().is_empty());
    }

    #[test]
    fn nobody_waits_for_them() {
        let cancel = CancelToken::new();
        let mut texts = Texts::new(&cancel);
        texts.push("a").unwrap();
        cancel.cancel(CancelReason::Canceled);
        assert!(texts.sorted().is_err());
        let mut texts = Texts::new(&cancel);
        let stopped = (0..2 * GATHERED_MIN).position(|number| texts.push(&number.to_string()).is_err());
        assert_eq!(stopped, Some(GATHERED_MIN));
    }
}
