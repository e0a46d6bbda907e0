//! Times and durations as Go prints them. UTC only, as everywhere in Prometheus.

const NS_PER_SECOND: i64 = 1_000_000_000;

/// A time split into its parts.
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) nanosecond: u32,
    /// 0 is Sunday.
    pub(super) weekday: u32,
    /// 1 is the first of January.
    pub(super) year_day: u32,
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Nanoseconds since the Unix epoch to calendar parts.
pub(super) fn civil(ns: i64) -> Civil {
    let seconds = ns.div_euclid(NS_PER_SECOND);
    let days = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400) as u32;
    let (year, month, day) = date_of(days);
    Civil {
        year,
        month,
        day,
        hour: of_day / 3600,
        minute: of_day / 60 % 60,
        second: of_day % 60,
        nanosecond: ns.rem_euclid(NS_PER_SECOND) as u32,
        weekday: (days + 4).rem_euclid(7) as u32,
        year_day: (days - days_of(year, 1, 1) + 1) as u32,
    }
}

/// Days since 1970-01-01 to year, month, day. Years are counted from March, in eras of 400 years.
fn date_of(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * from_march + 2) / 5 + 1) as u32;
    let month = (if from_march < 10 { from_march + 3 } else { from_march - 9 }) as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date.
pub(crate) fn days_of(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `2015-10-27 18:29:03.412 +0000 UTC`
pub(super) fn format_time(ns: i64) -> String {
    let t = civil(ns);
    let mut out =
        format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", t.year, t.month, t.day, t.hour, t.minute, t.second);
    push_fraction(&mut out, i64::from(t.nanosecond), 9);
    out.push_str(" +0000 UTC");
    out
}

/// `.5` for 500,000,000 of 9 digits; nothing for 0.
fn push_fraction(out: &mut String, value: i64, digits: usize) {
    if value != 0 {
        let text = format!("{value:0digits$}");
        out.push('.');
        out.push_str(text.trim_end_matches('0'));
    }
}

/// `1h2m3.5s`, as Go's `time.Duration` prints.
pub(crate) fn format_duration_ns(ns: i64) -> String {
    if ns == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    if ns < 0 {
        out.push('-');
    }
    let magnitude = ns.unsigned_abs();
    if magnitude < NS_PER_SECOND as u64 {
        let (unit, digits, divisor) = match magnitude {
            0..1_000 => ("ns", 0, 1),
            1_000..1_000_000 => ("µs", 3, 1_000),
            _ => ("ms", 6, 1_000_000),
        };
        out.push_str(&(magnitude / divisor).to_string());
        push_fraction(&mut out, (magnitude % divisor) as i64, digits);
        out.push_str(unit);
        return out;
    }
    let seconds = magnitude / NS_PER_SECOND as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        out.push_str(&format!("{hours}h"));
    }
    if seconds >= 60 {
        out.push_str(&format!("{minutes}m"));
    }
    out.push_str(&(seconds % 60).to_string());
    push_fraction(&mut out, (magnitude % NS_PER_SECOND as u64) as i64, 9);
    out.push('s');
    out
}

/// `Format` of Go's `time.Time`, with the parts of the reference time that make sense in UTC.
pub(super) fn format_layout(ns: i64, layout: &str) -> String {
    let t = civil(ns);
    let month = MONTHS[t.month as usize - 1];
    let weekday = WEEKDAYS[t.weekday as usize];
    let hour12 = (t.hour + 11) % 12 + 1;
    // Longer ones first, because shorter ones are their beginnings.
    let parts: [(&str, String); 28] = [
        ("January", month.to_owned()),
        ("Monday", weekday.to_owned()),
        ("2006", format!("{:04}", t.year)),
        ("Z07:00", "Z".to_owned()),
        ("-07:00", "+00:00".to_owned()),
        ("-0700", "+0000".to_owned()),
        ("Z0700", "Z".to_owned()),
        ("Jan", month[..3].to_owned()),
        ("Mon", weekday[..3].to_owned()),
        ("MST", "UTC".to_owned()),
        ("-07", "+00".to_owned()),
        ("002", format!("{:03}", t.year_day)),
        ("01", format!("{:02}", t.month)),
        ("02", format!("{:02}", t.day)),
        ("03", format!("{hour12:02}")),
        ("04", format!("{:02}", t.minute)),
        ("05", format!("{:02}", t.second)),
        ("06", format!("{:02}", t.year.rem_euclid(100))),
        ("15", format!("{:02}", t.hour)),
        ("_2", format!("{:2}", t.day)),
        ("PM", if t.hour >= 12 { "PM" } else { "AM" }.to_owned()),
        ("pm", if t.hour >= 12 { "pm" } else { "am" }.to_owned()),
        (".000000000", format!(".{:09}", t.nanosecond)),
        (".000", format!(".{:03}", t.nanosecond / 1_000_000)),
        ("1", t.month.to_string()),
        ("2", t.day.to_string()),
        ("3", hour12.to_string()),
        ("4", t.minute.to_string()),
    ];
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        if let Some((part, text)) = parts.iter().find(|(part, _)| rest.starts_with(part)) {
            out.push_str(text);
            rest = &rest[part.len()..];
        } else if let Some(tail) = rest.strip_prefix('5') {
            out.push_str(&t.second.to_string());
            rest = tail;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        for (ns, expected) in [
            (0, "1970-01-01 00:00:00 +0000 UTC"),
            (1_445_970_543_412_000_000, "2015-10-27 18:29:03.412 +0000 UTC"),
            (-1, "1969-12-31 23:59:59.999999999 +0000 UTC"),
            (951_782_400_000_000_000, "2000-02-29 00:00:00 +0000 UTC"),
        ] {
            assert_eq!(format_time(ns), expected);
        }
        for (ns, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (60_000_000_000, "1m0s"),
            (3_723_500_000_000, "1h2m3.5s"),
            (-90_000_000_000, "-1m30s"),
        ] {
            assert_eq!(format_duration_ns(ns), expected);
        }
        let t = 1_445_970_543_412_000_000;
        for (layout, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2015-10-27T18:29:03Z"),
            ("Mon Jan _2 15:04:05 2006", "Tue Oct 27 18:29:03 2015"),
            ("3:04PM", "6:29PM"),
        ] {
            assert_eq!(format_layout(t, layout), expected);
        }
    }
}
