//! Ulid: the name of a block. 48 bits of time and 80 of chance, in 26 letters that sort as the numbers do.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

/// Crockford's digits: no I, L, O, U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// How many letters.
const LETTERS: usize = 26;

/// The name of a block.
///
/// ```
/// use kymo_tsdb::block::Ulid;
/// let ulid: Ulid = "01M7Y4C8KQ5BADXB1JK2X435QE".parse().unwrap();
/// assert_eq!(ulid.to_string(), "01M7Y4C8KQ5BADXB1JK2X435QE");
/// assert_eq!(Ulid::new(ulid.time_ms(), ulid.entropy()), ulid);
/// assert!("chunks_head".parse::<Ulid>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(u128);

/// A text that names no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a ULID of 26 letters and digits, found `{found}`")]
pub struct UlidError {
    /// The text.
    pub found: String,
}

impl Ulid {
    /// From a time, of which 48 bits are kept, and chance, of which 80 are.
    pub const fn new(time_ms: u64, entropy: u128) -> Ulid {
        Ulid(((time_ms & 0xffff_ffff_ffff) as u128) << 80 | entropy & ((1 << 80) - 1))
    }

    /// A new one, different from all others.
    pub fn generate(time_ms: u64) -> Ulid {
        // The standard library's source of chance for its tables.
        let chance = || u128::from(RandomState::new().hash_one(time_ms));
        Ulid::new(time_ms, chance() << 64 | chance())
    }

    /// When it was made.
    pub const fn time_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// The part that is chance.
    pub const fn entropy(self) -> u128 {
        self.0 & ((1 << 80) - 1)
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters = [0; LETTERS];
        for (place, letter) in letters.iter_mut().enumerate() {
            *letter = DIGITS[(self.0 >> (5 * (LETTERS - 1 - place)) & 31) as usize];
        }
        f.write_str(std::str::from_utf8(&letters).expect("BUG: the digits are ASCII"))
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ulid {
    type Err = UlidError;

    fn from_str(text: &str) -> Result<Ulid, UlidError> {
        let digit = |letter: u8| DIGITS.iter().position(|digit| *digit == letter);
        let mut digits = text.bytes().map(|letter| digit(letter.to_ascii_uppercase()));
        let whole = text.len() == LETTERS && digits.clone().next().flatten().is_some_and(|first| first < 8);
        let number = digits.try_fold(0u128, |number, digit| Some(number << 5 | digit? as u128));
        number.filter(|_| whole).map(Ulid).ok_or_else(|| UlidError { found: text.to_owned() })
    }
}
