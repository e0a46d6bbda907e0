//! Reader: takes a tree of YAML apart by key, and notes every fault with its place instead of stopping at the first.
//!
//! Types follow go-yaml, which Prometheus reads its file with: any scalar is text where text is wanted, an absent or
//! empty value is the default.

use kymo_model::parse_duration;

use super::fault::{FAULTS_MAX, Fault};
use crate::yaml::{Node, Place, Value, parse};

/// The file that is being read, what is wrong with it, and what people should know.
pub(crate) struct Reader {
    file: String,
    source: String,
    faults: Vec<Fault>,
    omitted: usize,
    warnings: Vec<Fault>,
}

impl Reader {
    pub(crate) fn new(file: &str, source: &str) -> Reader {
        Reader {
            file: file.to_owned(),
            source: source.to_owned(),
            faults: Vec::new(),
            omitted: 0,
            warnings: Vec::new(),
        }
    }

    /// The tree of the file; `None`, and a fault, when it is not YAML.
    pub(crate) fn parse(&mut self) -> Option<Node> {
        match parse(&self.source) {
            Ok(parsed) => {
                for (key, place) in parsed.duplicate_keys {
                    self.fault(place, "", format!("key {key:?} is already set in this mapping"));
                }
                if let Some(place) = parsed.second_document {
                    self.warn(place, "", "only the first document of the file is read".to_owned());
                }
                Some(parsed.root)
            }
            Err(fault) => {
                self.fault(fault.place, "", fault.message);
                None
            }
        }
    }

    pub(crate) fn fault(&mut self, place: Place, path: &str, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::new(&self.file, &self.source, place, path, message.into()));
        } else {
            self.omitted += 1;
        }
    }

    pub(crate) fn warn(&mut self, place: Place, path: &str, message: impl Into<String>) {
        if self.warnings.len() < FAULTS_MAX {
            self.warnings.push(Fault::new(&self.file, &self.source, place, path, message.into()));
        }
    }

    /// Faults in order of place, how many were left out, warnings.
    pub(crate) fn finish(mut self) -> (Vec<Fault>, usize, Vec<Fault>) {
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        self.warnings.sort_by_key(|fault| (fault.line, fault.column));
        (self.faults, self.omitted, self.warnings)
    }

    /// The items of a list; an absent value is an empty list.
    pub(crate) fn items<'n>(&mut self, node: &'n Node, path: &str) -> Vec<(&'n Node, String)> {
        match &node.value {
            Value::Null => Vec::new(),
            Value::Seq(items) => {
                items.iter().enumerate().map(|(at, item)| (item, format!("{path}[{at}]"))).collect()
            }
            _ => {
                self.fault(node.place, path, format!("expected a list, found {}", node.describe()));
                Vec::new()
            }
        }
    }

    pub(crate) fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::Null => Some(String::new()),
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => {
                self.fault(node.place, path, format!("expected text, found {}", node.describe()));
                None
            }
        }
    }

    pub(crate) fn texts(&mut self, node: &Node, path: &str) -> Vec<String> {
        let items = self.items(node, path);
        items.into_iter().filter_map(|(item, path)| self.text(item, &path)).collect()
    }

    pub(crate) fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        let parsed = match &node.value {
            Value::Null => Some(false),
            Value::Scalar { text, plain: true } => parse_boolean(text),
            _ => None,
        };
        if parsed.is_none() {
            self.fault(node.place, path, format!("expected true or false, found {}", node.describe()));
        }
        parsed
    }

    pub(crate) fn unsigned(&mut self, node: &Node, path: &str) -> Option<u64> {
        let parsed = match &node.value {
            Value::Null => Some(0),
            Value::Scalar { text, plain: true } => parse_unsigned(text),
            _ => None,
        };
        if parsed.is_none() {
            let found = node.describe();
            self.fault(node.place, path, format!("expected a whole number of at least 0, found {found}"));
        }
        parsed
    }

    /// A bound that is 0 where a negative number is written.
    pub(crate) fn bound(&mut self, node: &Node, path: &str) -> Option<u64> {
        match &node.value {
            Value::Scalar { text, plain: true }
                if text.strip_prefix('-').is_some_and(|rest| parse_unsigned(rest).is_some()) =>
            {
                Some(0)
            }
            _ => self.unsigned(node, path),
        }
    }

    pub(crate) fn float(&mut self, node: &Node, path: &str) -> Option<f64> {
        let parsed = match &node.value {
            Value::Null => Some(0.0),
            Value::Scalar { text, plain: true } => text.parse::<f64>().ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.fault(node.place, path, format!("expected a number, found {}", node.describe()));
        }
        parsed
    }

    /// Milliseconds of a duration. An empty value counts as 0, which is the default.
    pub(crate) fn duration(&mut self, node: &Node, path: &str) -> Option<i64> {
        if matches!(node.value, Value::Null) {
            return Some(0);
        }
        let text = self.text(node, path)?;
        match parse_duration(&text) {
            Ok(ms) => Some(ms),
            Err(e) => {
                self.fault(node.place, path, e.to_string());
                None
            }
        }
    }

    /// A mapping of text to text, in order of the file.
    pub(crate) fn text_map(&mut self, node: &Node, path: &str) -> Vec<(String, String, Place)> {
        let mut out = Vec::new();
        for entry in Fields::entries(self, node, path) {
            let path = join(path, &entry.key);
            if let Some(text) = self.text(&entry.node, &path) {
                out.push((entry.key.clone(), text, entry.node.place));
            }
        }
        out
    }
}

/// A mapping whose keys are taken one after the other; what is left at the end is unknown.
pub(crate) struct Fields<'n> {
    entries: &'n [crate::yaml::Entry],
    taken: Vec<bool>,
    asked: Vec<&'static str>,
    pub(crate) path: String,
    pub(crate) place: Place,
}

impl<'n> Fields<'n> {
    /// The keys of a mapping; a fault, and none, when it is something else.
    pub(crate) fn open(reader: &mut Reader, node: &'n Node, path: &str) -> Fields<'n> {
        let entries = Fields::entries(reader, node, path);
        Fields {
            entries,
            taken: vec![false; entries.len()],
            asked: Vec::new(),
            path: path.to_owned(),
            place: node.place,
        }
    }

    fn entries(reader: &mut Reader, node: &'n Node, path: &str) -> &'n [crate::yaml::Entry] {
        match &node.value {
            Value::Null => &[],
            Value::Map(entries) => entries,
            _ => {
                reader.fault(node.place, path, format!("expected a mapping, found {}", node.describe()));
                &[]
            }
        }
    }

    /// Every key, for mappings whose keys are names.
    pub(crate) fn all(&self) -> &'n [crate::yaml::Entry] {
        self.entries
    }

    /// The value of a key, if it is there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        self.taken[at] = true;
        Some(&self.entries[at].node)
    }

    /// The place of a key, for faults about it being there.
    pub(crate) fn key_place(&self, key: &str) -> Option<Place> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_place)
    }

    /// The path of a key.
    pub(crate) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Notes a fault at a key, or at the mapping when the key is not there.
    pub(crate) fn fault_at(&self, reader: &mut Reader, key: &str, message: impl Into<String>) {
        match self.entries.iter().find(|entry| entry.key == key) {
            Some(entry) => reader.fault(entry.node.place, &self.path_of(key), message),
            None => reader.fault(self.place, &self.path, message),
        }
    }

    pub(crate) fn text(&mut self, reader: &mut Reader, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        reader.text(node, &self.path_of(key))
    }

    pub(crate) fn texts(&mut self, reader: &mut Reader, key: &'static str) -> Option<Vec<String>> {
        let node = self.take(key)?;
        Some(reader.texts(node, &self.path_of(key)))
    }

    pub(crate) fn boolean(&mut self, reader: &mut Reader, key: &'static str) -> Option<bool> {
        let node = self.take(key)?;
        reader.boolean(node, &self.path_of(key))
    }

    pub(crate) fn unsigned(&mut self, reader: &mut Reader, key: &'static str) -> Option<u64> {
        let node = self.take(key)?;
        reader.unsigned(node, &self.path_of(key))
    }

    pub(crate) fn float(&mut self, reader: &mut Reader, key: &'static str) -> Option<f64> {
        let node = self.take(key)?;
        reader.float(node, &self.path_of(key))
    }

    /// Milliseconds; 0 counts as not set, as in Prometheus.
    pub(crate) fn duration(&mut self, reader: &mut Reader, key: &'static str) -> Option<i64> {
        let node = self.take(key)?;
        reader.duration(node, &self.path_of(key)).filter(|ms| *ms != 0)
    }

    /// Notes every key that was not asked for.
    pub(crate) fn finish(self, reader: &mut Reader) {
        for (entry, taken) in self.entries.iter().zip(&self.taken) {
            if !taken {
                let near = nearest(&entry.key, &self.asked);
                let hint = near.map(|key| format!(", did you mean `{key}`?")).unwrap_or_default();
                let message = format!("unknown key `{}`{hint}", entry.key);
                reader.fault(entry.key_place, &join(&self.path, &entry.key), message);
            }
        }
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Booleans of YAML 1.1, which go-yaml reads.
fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
        _ => None,
    }
}

fn parse_unsigned(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text).replace('_', "");
    if let Some(hex) = digits.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    if let Some(octal) = digits.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok();
    }
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        // Whole numbers may be written as floats: 1e6.
        let value = digits.parse::<f64>().ok()?;
        let whole = value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value);
        return whole.then_some(value as u64);
    }
    digits.parse().ok()
}

/// The known key that is closest to a misspelt one, when it is close.
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    const KEY_CHARS_MAX: usize = 64;
    if key.chars().count() > KEY_CHARS_MAX {
        return None;
    }
    known
        .iter()
        .map(|candidate| (edit_distance(key, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len() / 3)
        .map(|(_, candidate)| candidate)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
