//! Dates: the Gregorian calendar in UTC, as far as Go's `time` goes. Used by `hour()`, `day_of_week()` and their kin.

/// A second, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    /// 0 is Sunday.
    pub(crate) weekday: u32,
    /// 1 to 366.
    pub(crate) year_day: u32,
}

const DAY: i128 = 86_400;
/// Go counts seconds since 292277022400 years before the epoch in 64 bits that wrap; this is the epoch in that count.
const GO_EPOCH: u64 = 9_223_372_028_715_321_600;

impl Civil {
    /// From seconds since the epoch. Wraps where Go wraps, so that absurd inputs give the same absurd dates.
    pub(crate) fn from_unix(seconds: i64) -> Civil {
        let since_epoch = i128::from((seconds as u64).wrapping_add(GO_EPOCH)) - i128::from(GO_EPOCH);
        let days = since_epoch.div_euclid(DAY);
        let second_of_day = since_epoch.rem_euclid(DAY) as u32;
        // Days since 0000-03-01, in eras of 400 years, so that the leap day ends the year.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = (of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
        let year = (year_of_era + era * 400 + i128::from(month <= 2)) as i64;
        let before_month: u32 = (1..month).map(|m| days_in_month(year, m)).sum();
        Civil {
            year,
            month,
            day,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            weekday: (days + 4).rem_euclid(7) as u32,
            year_day: before_month + day,
        }
    }

    /// From a float, truncated as Go on amd64 does: what does not fit is the smallest integer.
    pub(crate) fn from_float(seconds: f64) -> Civil {
        let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&seconds);
        Civil::from_unix(if fits { seconds as i64 } else { i64::MIN })
    }
}

/// 28 to 31.
pub(crate) fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        let check = |seconds: i64, expected: (i64, u32, u32, u32, u32)| {
            let c = Civil::from_unix(seconds);
            assert_eq!((c.year, c.month, c.day, c.weekday, c.year_day), expected, "{seconds}");
        };
        check(0, (1970, 1, 1, 4, 1));
        check(951_782_400, (2000, 2, 29, 2, 60));
        check(1_230_767_999, (2008, 12, 31, 3, 366));
        check(-1, (1969, 12, 31, 3, 365));
        check(-62_135_596_800, (1, 1, 1, 1, 1));
        let c = Civil::from_unix(1_136_239_445);
        assert_eq!((c.hour, c.minute, c.second), (22, 4, 5));
    }

    #[test]
    fn absurd_inputs_do_not_panic() {
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 9.3e18, i64::MAX as f64] {
            Civil::from_float(seconds);
        }
        Civil::from_unix(i64::MAX);
        Civil::from_unix(i64::MIN);
    }
}
