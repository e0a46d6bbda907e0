//! Secret: text that is never printed, logged or serialised by accident.

use std::fmt;

/// What stands in the place of a secret wherever a configuration is shown.
pub const SECRET_MASK: &str = "<secret>";

/// Text whose `Debug` is a mask and that has no `Display` and no `Serialize`.
///
/// ```
/// use kymo_scrape::config::Secret;
/// let password = Secret::new("hunter2");
/// assert_eq!(format!("{password:?}"), "<secret>");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SECRET_MASK)
    }
}
