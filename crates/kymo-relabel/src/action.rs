//! Action: what a rule does. The words of prometheus.yml, read without regard to case.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a relabelling rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Action {
    /// Writes a template, filled from a match, to a label.
    #[default]
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Drops where the source differs from the target label.
    KeepEqual,
    /// Drops where the source equals the target label.
    DropEqual,
    /// Writes the MD5 of the source, modulo a number.
    HashMod,
    /// Copies labels whose name matches to names made from a template.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Writes the source in lower case.
    Lowercase,
    /// Writes the source in upper case.
    Uppercase,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 11] = [
        Action::Replace,
        Action::Keep,
        Action::Drop,
        Action::KeepEqual,
        Action::DropEqual,
        Action::HashMod,
        Action::LabelMap,
        Action::LabelDrop,
        Action::LabelKeep,
        Action::Lowercase,
        Action::Uppercase,
    ];

    /// The word in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Replace => "replace",
            Action::Keep => "keep",
            Action::Drop => "drop",
            Action::KeepEqual => "keepequal",
            Action::DropEqual => "dropequal",
            Action::HashMod => "hashmod",
            Action::LabelMap => "labelmap",
            Action::LabelDrop => "labeldrop",
            Action::LabelKeep => "labelkeep",
            Action::Lowercase => "lowercase",
            Action::Uppercase => "uppercase",
        }
    }

    /// From the word in a configuration, in any case.
    ///
    /// ```
    /// use kymo_relabel::Action;
    /// assert_eq!(Action::parse("LabelMap"), Some(Action::LabelMap));
    /// assert_eq!(Action::parse("rename"), None);
    /// ```
    pub fn parse(word: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.as_str().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Action> for &'static str {
    fn from(action: Action) -> &'static str {
        action.as_str()
    }
}

impl TryFrom<String> for Action {
    type Error = UnknownAction;

    fn try_from(word: String) -> Result<Action, UnknownAction> {
        Action::parse(&word).ok_or(UnknownAction(word))
    }
}

/// A word that is none of the eleven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown relabel action {0:?}")]
pub struct UnknownAction(String);
