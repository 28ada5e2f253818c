//! Dates and times read back from text, worked out anew.

/// Microseconds of a day.
pub const DAY: i128 = 86_400_000_000;

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; year 0 is 1 BC.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Whether the calendar has the day.
pub fn exists(year: i64, month: i64, day: i64) -> bool {
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    (1..=12).contains(&month) && day >= 1 && days(year, month, day) < next
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Year, month and day of `YYYY-MM-DD`, the year with four digits or more.
pub fn parts(text: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() < 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    Some((number(year)?, number(month)?, number(day)?))
}

/// Days since the epoch of a date that there is.
pub fn date(text: &str) -> Option<i64> {
    let (year, month, day) = parts(text)?;
    exists(year, month, day).then(|| days(year, month, day))
}

/// Microseconds of `HH:MM:SS[.f]`, hours up to 99; the fraction of one to six digits.
pub fn time(text: &str) -> Option<i128> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) if (1..=6).contains(&fraction.len()) => (clock, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let fields: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = fields.as_slice() else { return None };
    if [hour, minute, second].iter().any(|part| part.len() != 2) {
        return None;
    }
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let micros = number(&format!("{fraction:0<6}"))?;
    let fits = minute < 60 && second < 60;
    fits.then(|| i128::from(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros))
}

/// Microseconds since the epoch of `YYYY-MM-DDTHH:MM:SS[.f]`.
pub fn instant(text: &str) -> Option<i128> {
    let (day, clock) = text.split_once('T')?;
    Some(i128::from(date(day)?) * DAY + time(clock).filter(|time| *time < DAY)?)
}

/// Whether BigQuery has the day.
pub fn in_range(days: i64) -> bool {
    (self::days(1, 1, 1)..=self::days(9999, 12, 31)).contains(&days)
}

/// Whether BigQuery has the instant.
pub fn instant_in_range(micros: i128) -> bool {
    i64::try_from(micros.div_euclid(DAY)).is_ok_and(in_range)
}
