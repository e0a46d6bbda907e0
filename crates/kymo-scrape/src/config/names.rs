//! Names: which names of metrics and labels a job takes, and how it asks targets to escape others.

use kymo_model::NameScheme;

use super::reader::{Fields, Reader};

/// `metric_name_escaping_scheme`: what targets are asked to do with names that are not of the old kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// `allow-utf-8`
    AllowUtf8,
    /// `underscores`
    Underscores,
    /// `dots`
    Dots,
    /// `values`
    Values,
}

impl Escaping {
    /// The word in the file and in the `Accept` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Escaping::AllowUtf8 => "allow-utf-8",
            Escaping::Underscores => "underscores",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
        }
    }

    /// What follows from a scheme of names alone.
    pub(crate) const fn of(scheme: NameScheme) -> Escaping {
        match scheme {
            NameScheme::Utf8 => Escaping::AllowUtf8,
            NameScheme::Legacy => Escaping::Underscores,
        }
    }
}

/// The word in the file.
pub(crate) const fn scheme_word(scheme: NameScheme) -> &'static str {
    match scheme {
        NameScheme::Utf8 => "utf8",
        NameScheme::Legacy => "legacy",
    }
}

pub(crate) fn read_scheme(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<NameScheme> {
    let key = "metric_name_validation_scheme";
    match fields.text(reader, key)?.as_str() {
        "" => None,
        "utf8" => Some(NameScheme::Utf8),
        "legacy" => Some(NameScheme::Legacy),
        other => {
            let message = format!(
                "unknown scrape config name validation method specified, must be either '', 'legacy' or 'utf8', got {other}"
            );
            fields.fault_at(reader, key, message);
            None
        }
    }
}

pub(crate) fn read_escaping(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Escaping> {
    let key = "metric_name_escaping_scheme";
    match fields.text(reader, key)?.as_str() {
        "" => None,
        "allow-utf-8" => Some(Escaping::AllowUtf8),
        "underscores" => Some(Escaping::Underscores),
        "dots" => Some(Escaping::Dots),
        "values" => Some(Escaping::Values),
        other => {
            let message = format!(
                "unknown scrape config name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or 'values', got {other:?}"
            );
            fields.fault_at(reader, key, message);
            None
        }
    }
}
