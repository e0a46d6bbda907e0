//! Families: what was last said about each metric family. Bounded by the bytes of all texts together; what does not fit is
//! refused, families that are known go on.

use std::collections::BTreeMap;

use kymo_model::{FamilyMetadata, Metadata};

/// No name, unit or help is longer.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What a family takes besides its texts, about.
const FAMILY_BYTES: usize = size_of::<(String, Metadata)>() + 16;

#[derive(Debug, Default)]
pub(crate) struct Families {
    by_name: BTreeMap<String, Metadata>,
    bytes: usize,
    bytes_max: usize,
}

/// What becomes of something that is said about a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It was said before.
    Known,
    Changed,
    /// There is no room for it.
    Refused,
}

fn bytes_of(name: &str, metadata: &Metadata) -> usize {
    name.len() + metadata.unit.len() + metadata.help.len() + FAMILY_BYTES
}

impl Families {
    pub(crate) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes
    }

    /// What would become of it, when `more_bytes` are taken before it. Gives the bytes it adds.
    pub(crate) fn judge(&self, family: &FamilyMetadata, more_bytes: usize) -> (Said, usize) {
        let FamilyMetadata { name, metadata } = family;
        let known = self.by_name.get(name);
        if known == Some(metadata) {
            return (Said::Known, 0);
        }
        let longest = name.len().max(metadata.unit.len()).max(metadata.help.len());
        let before = known.map_or(0, |known| bytes_of(name, known));
        let added = bytes_of(name, metadata).saturating_sub(before);
        let too_many = added > 0 && self.bytes + more_bytes + added > self.bytes_max;
        if name.is_empty() || longest > TEXT_BYTES_MAX || too_many {
            return (Said::Refused, 0);
        }
        (Said::Changed, added)
    }

    /// Takes what was judged to be a change.
    pub(crate) fn put(&mut self, family: FamilyMetadata) {
        let FamilyMetadata { name, metadata } = family;
        self.bytes += bytes_of(&name, &metadata);
        let before = self.by_name.get(&name).map_or(0, |before| bytes_of(&name, before));
        self.bytes -= before;
        self.by_name.insert(name, metadata);
    }

    /// Takes what the log says, as far as there is room.
    pub(crate) fn replay(&mut self, family: FamilyMetadata) {
        if self.judge(&family, 0).0 == Said::Changed {
            self.put(family);
        }
    }

    /// All of them, or one, in order of name.
    pub(crate) fn list(&self, metric: Option<&str>) -> Vec<FamilyMetadata> {
        let family = |(name, metadata): (&String, &Metadata)| FamilyMetadata {
            name: name.clone(),
            metadata: metadata.clone(),
        };
        match metric {
            Some(name) => self.by_name.get_key_value(name).map(family).into_iter().collect(),
            None => self.by_name.iter().map(family).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, help: &str) -> FamilyMetadata {
        FamilyMetadata {
            name: name.to_owned(),
            metadata: Metadata { help: help.to_owned(), ..Metadata::default() },
        }
    }

    #[test]
    fn bounded_by_bytes() {
        let mut families = Families::default();
        families.set_bytes_max(2 * FAMILY_BYTES + 10);
        for (name, help, said) in [
            ("a", "1234", Said::Changed),
            ("a", "1234", Said::Known),
            ("b", "1234", Said::Changed),
            ("c", "", Said::Refused),
            ("b", "12345", Said::Refused),
            ("a", "1", Said::Changed),
            ("b", "1234567", Said::Changed),
            ("", "", Said::Refused),
        ] {
            let family = family(name, help);
            let (found, _) = families.judge(&family, 0);
            assert_eq!(found, said, "{name} {help}");
            families.replay(family);
        }
        assert_eq!(families.list(None), [family("a", "1"), family("b", "1234567")]);
        assert_eq!((families.list(Some("b")).len(), families.list(Some("c")).len()), (1, 0));
        assert_eq!(families.heap_bytes(), 2 * FAMILY_BYTES + 10);
        families.set_bytes_max(usize::MAX);
        assert_eq!(families.judge(&family("d", &"x".repeat(TEXT_BYTES_MAX + 1)), 0).0, Said::Refused);
    }
}
