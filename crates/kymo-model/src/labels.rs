//! Labels: sorted by name, no empty values, one allocation, hash carried. Everywhere.
//!
//! All names and values lie in one string behind a reference count: for each label a character that is the name's length,
//! one that is the value's length, the name, the value. Lengths are characters so that the whole stays valid UTF-8 and
//! every part can be taken out as `&str` without checking it again and without `unsafe`. Cloning is one atomic increment;
//! equality compares the hash first.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use xxhash_rust::xxh3::xxh3_64;

use crate::{METRIC_NAME, Quoted, is_legacy_label_name, is_legacy_metric_name};

/// The longest name or value in bytes that [`Labels`] can hold. Stores have smaller limits of their own.
const PART_BYTES_MAX: usize = 0x10_0000;

/// The identity of a series: label names and values, sorted by name (by bytes), names distinct, no empty values.
///
/// A label with an empty value is the same as no label, as in Prometheus. The hash is stable across processes.
///
/// ```
/// use kymo_model::Labels;
/// let labels = Labels::from_pairs([("job", "node"), ("__name__", "up"), ("zone", "")]);
/// assert_eq!(labels.to_string(), r#"up{job="node"}"#);
/// assert_eq!(labels.get("job"), Some("node"));
/// assert_eq!(labels.len(), 2);
/// ```
#[derive(Clone)]
pub struct Labels {
    text: Arc<str>,
    hash: u64,
}

/// One label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value, never empty inside [`Labels`].
    pub value: &'a str,
}

impl Labels {
    /// No labels.
    pub fn empty() -> Labels {
        static EMPTY: OnceLock<Labels> = OnceLock::new();
        EMPTY.get_or_init(|| Labels::from_text("")).clone()
    }

    /// From names and values in any order. Empty values are left out; of a name that comes twice the last one counts.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
        let mut pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        // Stable, so that of equal names the last one given is the last one here.
        pairs.sort_by_key(|(name, _)| *name);
        let mut text =
            String::with_capacity(pairs.iter().map(|(name, value)| name.len() + value.len() + 2).sum());
        for (at, (name, value)) in pairs.iter().enumerate() {
            let given_again = pairs.get(at + 1).is_some_and(|(next, _)| next == name);
            if !given_again && !value.is_empty() {
                push_label(&mut text, name, value);
            }
        }
        Labels::from_text(&text)
    }

    /// From names and values that are already sorted by name, distinct and not empty: one pass, one allocation.
    ///
    /// `scratch` is overwritten; keep it between calls. Returns `None` when the pairs are not as promised, so that a
    /// caller with bytes from outside can fall back to [`Labels::from_pairs`].
    pub fn from_sorted<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        scratch: &mut String,
    ) -> Option<Labels> {
        scratch.clear();
        let mut last = "";
        for (name, value) in pairs {
            if name <= last || value.is_empty() {
                return None;
            }
            push_label(scratch, name, value);
            last = name;
        }
        Some(Labels::from_text(scratch))
    }

    fn from_text(text: &str) -> Labels {
        Labels { text: Arc::from(text), hash: xxh3_64(text.as_bytes()) }
    }

    /// Are these the same labels, known without looking at them? No says nothing: they may be equal all the same.
    ///
    /// ```
    /// use kymo_model::Labels;
    /// let labels = Labels::from_pairs([("job", "node")]);
    /// assert!(labels.clone().is_shared_with(&labels));
    /// assert!(!Labels::from_pairs([("job", "node")]).is_shared_with(&labels));
    /// ```
    pub fn is_shared_with(&self, other: &Labels) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }

    /// The hash of all names and values (xxh3, 64 bits).
    pub fn hash64(&self) -> u64 {
        self.hash
    }

    /// The labels in order of name.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.text }
    }

    /// The value of a label, `None` where the series has no such label.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.iter().find(|label| label.name >= name)?;
        (found.name == name).then_some(found.value)
    }

    /// The metric name, if there is one.
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// How many labels, the metric name included.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// These labels without some.
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Labels {
        self.filtered(|name| !drop(name))
    }

    /// These labels without the metric name.
    pub fn without_metric_name(&self) -> Labels {
        if self.metric_name().is_none() { self.clone() } else { self.filtered(|name| name != METRIC_NAME) }
    }

    /// Only those labels whose name `keep` wants.
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Labels {
        let mut text = String::with_capacity(self.text.len());
        for label in self.iter().filter(|label| keep(label.name)) {
            push_label(&mut text, label.name, label.value);
        }
        Labels::from_text(&text)
    }

    /// A builder that starts with these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|l| (l.name.to_owned(), l.value.to_owned())).collect() }
    }

    /// Bytes on the heap behind these labels, shared by all clones.
    pub fn heap_bytes(&self) -> usize {
        self.text.len() + 2 * size_of::<usize>()
    }
}

fn push_label(text: &mut String, name: &str, value: &str) {
    text.push(length_char(name.len()));
    text.push(length_char(value.len()));
    text.push_str(name);
    text.push_str(value);
}

/// Lengths below the surrogates are their own character, those above are moved past them.
fn length_char(len: usize) -> char {
    assert!(len <= PART_BYTES_MAX, "label part of {len} bytes, expected at most {PART_BYTES_MAX}");
    let code = if len < 0xD800 { len } else { len + 0x800 };
    char::from_u32(code as u32).expect("BUG: lengths up to the maximum are characters")
}

fn char_length(c: char) -> usize {
    let code = c as usize;
    if code < 0xD800 { code } else { code - 0x800 }
}

/// Takes a length off the front; one-byte lengths, nearly all of them, without decoding a character.
fn take_length(text: &str) -> Option<(usize, &str)> {
    let first = *text.as_bytes().first()?;
    if first < 0x80 {
        return Some((first as usize, &text[1..]));
    }
    let mut chars = text.chars();
    let c = chars.next()?;
    Some((char_length(c), chars.as_str()))
}

/// The labels of a series in order of name.
#[derive(Clone, Debug)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = Label<'a>;

    fn next(&mut self) -> Option<Label<'a>> {
        let (name_len, rest) = take_length(self.rest)?;
        let (value_len, rest) = take_length(rest)?;
        let (name, rest) = rest.split_at(name_len);
        let (value, rest) = rest.split_at(value_len);
        self.rest = rest;
        Some(Label { name, value })
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = Label<'a>;
    type IntoIter = LabelsIter<'a>;

    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Labels) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Label by label: name, then value; the one that ends first is smaller. Prometheus' order of series.
impl Ord for Labels {
    fn cmp(&self, other: &Labels) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl Default for Labels {
    fn default() -> Labels {
        Labels::empty()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As PromQL writes it: `name{a="b"}`, `{a="b"}`, names that need it in quotes.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let bare = name.filter(|name| is_legacy_metric_name(name));
        if let Some(name) = bare {
            f.write_str(name)?;
            if self.len() == 1 {
                return Ok(());
            }
        }
        f.write_str("{")?;
        let mut first = true;
        if let (Some(name), None) = (name, bare) {
            write!(f, "{}", Quoted(name))?;
            first = false;
        }
        for label in self.iter().filter(|label| label.name != METRIC_NAME) {
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            if is_legacy_label_name(label.name) {
                write!(f, "{}={}", label.name, Quoted(label.value))?;
            } else {
                write!(f, "{}={}", Quoted(label.name), Quoted(label.value))?;
            }
        }
        f.write_str("}")
    }
}

/// Puts labels together: set, remove, build.
///
/// ```
/// use kymo_model::LabelsBuilder;
/// let mut builder = LabelsBuilder::new();
/// builder.set("job", "api").set("zone", "a").remove("zone");
/// assert_eq!(builder.build().to_string(), r#"{job="api"}"#);
/// ```
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// No labels.
    pub fn new() -> LabelsBuilder {
        LabelsBuilder::default()
    }

    /// Sets a label, replacing an earlier value; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut LabelsBuilder {
        if value.is_empty() {
            return self.remove(name);
        }
        match self.pairs.iter_mut().find(|(n, _)| n == name) {
            Some((_, v)) => value.clone_into(v),
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes a label if it is there.
    pub fn remove(&mut self, name: &str) -> &mut LabelsBuilder {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The labels so far, in the order in which they were first set.
    pub fn iter(&self) -> impl Iterator<Item = Label<'_>> {
        self.pairs.iter().map(|(name, value)| Label { name, value })
    }

    /// The labels, sorted.
    pub fn build(&mut self) -> Labels {
        self.pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let mut text = String::with_capacity(self.pairs.iter().map(|(n, v)| n.len() + v.len() + 2).sum());
        for (name, value) in &self.pairs {
            push_label(&mut text, name, value);
        }
        Labels::from_text(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_of_long_and_short_parts() {
        for len in [1, 127, 128, 2047, 2048, 0xD7FF, 0xD800, 0xD801, 0x10_0000] {
            let value = "é".repeat(len / 2) + if len % 2 == 1 { "x" } else { "" };
            let labels = Labels::from_pairs([("b", value.as_str()), ("a", "1")]);
            assert_eq!(labels.get("b"), Some(value.as_str()));
            assert_eq!(labels.get("a"), Some("1"));
        }
    }

    #[test]
    fn equality_hash_and_order() {
        let a = Labels::from_pairs([("a", "1"), ("b", "2")]);
        let b = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", "")]);
        assert_eq!(a, b);
        assert_eq!(a.hash64(), b.hash64());
        let shorter = Labels::from_pairs([("a", "1")]);
        assert!(shorter < a);
        assert!(Labels::from_pairs([("a", "2")]) > a);
        assert_eq!(a.without(|n| n == "b"), shorter);
    }

    #[test]
    fn of_equal_names_the_last_counts() {
        let labels = Labels::from_pairs([("b", "1"), ("a", "1"), ("b", "2"), ("a", "")]);
        assert_eq!(labels, Labels::from_pairs([("b", "2")]));
        assert_eq!((labels.get("a"), labels.get("b"), labels.get("c")), (None, Some("2"), None));
    }

    #[test]
    fn sorted_input_is_checked() {
        let mut scratch = String::new();
        assert!(Labels::from_sorted([("a", "1"), ("a", "2")], &mut scratch).is_none());
        assert!(Labels::from_sorted([("b", "1"), ("a", "2")], &mut scratch).is_none());
        assert!(Labels::from_sorted([("a", "")], &mut scratch).is_none());
        let sorted = Labels::from_sorted([("a", "1"), ("b", "2")], &mut scratch).unwrap();
        assert_eq!(sorted, Labels::from_pairs([("b", "2"), ("a", "1")]));
    }

    #[test]
    fn display_quotes_what_needs_it() {
        let labels = Labels::from_pairs([("__name__", "http.requests"), ("le.x", "a\"b\n")]);
        assert_eq!(labels.to_string(), r#"{"http.requests", "le.x"="a\"b\n"}"#);
        assert_eq!(Labels::from_pairs([("__name__", "up")]).to_string(), "up");
        assert_eq!(Labels::empty().to_string(), "{}");
    }
}
