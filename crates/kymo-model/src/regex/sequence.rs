//! Sequence: literal text with gaps of any characters in it, `foo.*bar`. What most patterns of matchers expand to.

/// A place in the text of a [`Sequence`] where any characters may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    at: usize,
    /// How many characters at least.
    chars_min: u32,
}

/// Literal text with gaps. Gaps stand in order of place, at most one at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    text: String,
    gaps: Vec<Gap>,
    /// `^` was met: nothing may come before.
    starts: bool,
    /// `$` was met: nothing may come after.
    ends: bool,
}

impl Sequence {
    pub(super) fn literal(text: &str) -> Sequence {
        Sequence { text: text.to_owned(), ..Sequence::default() }
    }

    pub(super) fn gap(chars_min: u32) -> Sequence {
        Sequence { gaps: vec![Gap { at: 0, chars_min }], ..Sequence::default() }
    }

    pub(super) fn start() -> Sequence {
        Sequence { starts: true, ..Sequence::default() }
    }

    pub(super) fn end() -> Sequence {
        Sequence { ends: true, ..Sequence::default() }
    }

    /// Bytes of text and gaps; never zero.
    pub(super) fn weight(&self) -> usize {
        1 + self.text.len() + 8 * self.gaps.len()
    }

    /// What is matched before the first gap.
    pub(super) fn head(&self) -> &str {
        &self.text[..self.gaps.first().map_or(self.text.len(), |gap| gap.at)]
    }

    /// The one text that matches, if there is only one.
    pub(super) fn into_literal(self) -> Result<String, Sequence> {
        if self.gaps.is_empty() { Ok(self.text) } else { Err(self) }
    }

    fn can_be_empty(&self) -> bool {
        self.text.is_empty() && self.gaps.iter().all(|gap| gap.chars_min == 0)
    }

    fn emptied(&self) -> Option<Sequence> {
        let anchors = Sequence { starts: self.starts, ends: self.ends, ..Sequence::default() };
        self.can_be_empty().then_some(anchors)
    }

    /// Appends another sequence; `false` when nothing can match both one after the other.
    pub(super) fn append(&mut self, next: &Sequence) -> bool {
        let mut next = next.clone();
        if next.starts {
            match self.emptied() {
                Some(empty) => *self = empty,
                None => return false,
            }
        }
        if self.ends {
            match next.emptied() {
                Some(empty) => next = empty,
                None => return false,
            }
        }
        self.starts |= next.starts;
        self.ends |= next.ends;
        let offset = self.text.len();
        self.text.push_str(&next.text);
        for gap in next.gaps {
            let at = gap.at + offset;
            match self.gaps.last_mut() {
                Some(last) if last.at == at => last.chars_min = last.chars_min.saturating_add(gap.chars_min),
                _ => self.gaps.push(Gap { at, chars_min: gap.chars_min }),
            }
        }
        true
    }

    /// Does the whole of `text` match? Each piece between two gaps is taken as early as it comes, which leaves the most room
    /// to those after it.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let Some(first) = self.gaps.first() else {
            return text == self.text;
        };
        let Some(mut rest) = text.strip_prefix(&self.text[..first.at]) else {
            return false;
        };
        for (index, gap) in self.gaps.iter().enumerate() {
            let Some(after_gap) = skip_chars(rest, gap.chars_min) else {
                return false;
            };
            let Some(next) = self.gaps.get(index + 1) else {
                return after_gap.ends_with(&self.text[gap.at..]);
            };
            let piece = &self.text[gap.at..next.at];
            let Some(found) = after_gap.find(piece) else {
                return false;
            };
            rest = &after_gap[found + piece.len()..];
        }
        unreachable!("BUG: the last gap returns");
    }
}

fn skip_chars(text: &str, chars: u32) -> Option<&str> {
    let mut iter = text.chars();
    for _ in 0..chars {
        iter.next()?;
    }
    Some(iter.as_str())
}
