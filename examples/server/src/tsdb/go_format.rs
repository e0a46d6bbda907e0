//! Durations, sizes, times and tables, printed as promtool prints them.

/// As Go prints a `time.Duration` of milliseconds: `1h50m0.033s`.
pub(super) fn duration(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
    if ms < 1000 {
        return format!("{sign}{ms}ms");
    }
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let fraction = match ms % 1000 {
        0 => String::new(),
        fraction => format!(".{fraction:03}").trim_end_matches('0').to_owned(),
    };
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}{fraction}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}{fraction}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

/// In powers of 1024: `14KiB864B`.
pub(super) fn bytes(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    let units = ["EiB", "PiB", "TiB", "GiB", "MiB", "KiB", "B"];
    let parts =
        units.iter().enumerate().map(|(at, unit)| (bytes >> (10 * (units.len() - 1 - at)) & 1023, unit));
    parts.filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}

/// Whole seconds in UTC: `2020-09-13 12:26:39 +0000 UTC`.
pub(super) fn time(ms: i64) -> String {
    jiff::Timestamp::from_second(ms / 1000)
        .map_or_else(|_| ms.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string())
}

/// Rows of cells as a table: columns at least 13 wide, two blanks apart, the last one as it is.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    const COLUMN_CHARS_MIN: usize = 13;
    const GAP_CHARS: usize = 2;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        (longest + GAP_CHARS).max(COLUMN_CHARS_MIN)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| match widths.get(column) {
            Some(width) if column + 1 < row.len() => format!("{cell:<width$}"),
            _ => cell.clone(),
        });
        cells.collect::<String>()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go() {
        let check = |ms, wanted: &str| assert_eq!(duration(ms), wanted);
        check(0, "0s");
        check(5, "5ms");
        check(1_000, "1s");
        check(61_500, "1m1.5s");
        check(6_600_033, "1h50m0.033s");
        check(-7_200_000, "-2h0m0s");
        assert_eq!([0, 1, 1024, 15_200, 3 << 30].map(bytes), ["0B", "1B", "1KiB", "14KiB864B", "3GiB"]);
        assert_eq!(time(1_600_000_000_999), "2020-09-13 12:26:40 +0000 UTC");
    }
}
