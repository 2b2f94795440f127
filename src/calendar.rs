//! Days and weeks of UTC, counted: what reports are about.
//!
//! Called by whoever reports. Pure: the time is handed in. Deliberately absent: time zones. A report of a day is about the same hours wherever its
//! hub stands.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The day of a time, counted from 1970.
pub fn day_of(wall_ms: i64) -> i64 {
    wall_ms.div_euclid(DAY_MS)
}

/// The hour of the day of a time, from 0 to 23.
pub fn hour_of(wall_ms: i64) -> usize {
    (wall_ms.rem_euclid(DAY_MS) / HOUR_MS) as usize
}

/// The week of a day. 1970 began on a Thursday, and weeks begin on Mondays.
pub fn week_of(day: i64) -> i64 {
    (day + 3).div_euclid(7)
}

/// The Monday of a week.
pub fn first_day_of(week: i64) -> i64 {
    week * 7 - 3
}

/// Year, month, day (Howard Hinnant's algorithm for the Gregorian calendar, "civil from days").
pub fn date_of(day: i64) -> String {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time to the minute, as people write it.
pub fn minute_of(wall_ms: i64) -> String {
    let minutes = wall_ms.rem_euclid(DAY_MS) / 60_000;
    format!("{} {:02}:{:02} UTC", date_of(day_of(wall_ms)), minutes / 60, minutes % 60)
}

/// What a report is about. Days are those of UTC, weeks begin on Mondays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    Day,
    Week,
}

impl Period {
    pub const ALL: [Self; 2] = [Self::Day, Self::Week];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == text)
    }

    /// The one in which a time is.
    pub fn at(self, wall_ms: i64) -> i64 {
        match self {
            Self::Day => day_of(wall_ms),
            Self::Week => week_of(day_of(wall_ms)),
        }
    }

    /// Its first day, and how many it has.
    pub fn days(self, number: i64) -> (i64, i64) {
        match self {
            Self::Day => (number, 1),
            Self::Week => (first_day_of(number), 7),
        }
    }

    /// From the first to the second, which is not in it any more, Unix milliseconds.
    pub fn span(self, number: i64) -> (i64, i64) {
        let (first, days) = self.days(number);
        (first.saturating_mul(DAY_MS), (first + days).saturating_mul(DAY_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_weeks_of_the_calendar() {
        for (date, day) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-11-21", 20_778), ("1969-12-31", -1), ("2100-03-01", 47_541)] {
            assert_eq!(date_of(day), date);
        }
        assert_eq!(day_of(20_778 * DAY_MS + DAY_MS - 1), 20_778);
        assert_eq!((hour_of(-1), hour_of(20_778 * DAY_MS + 5 * HOUR_MS)), (23, 5));
        assert_eq!(minute_of(20_778 * DAY_MS + 5 * HOUR_MS + 119_999), "2026-11-21 05:01 UTC");
        // The 16th of November 2026 is a Monday.
        let monday = 20_773;
        assert_eq!((date_of(first_day_of(week_of(monday))).as_str(), week_of(monday - 1) + 1), ("2026-11-16", week_of(monday)));
        assert_eq!(week_of(monday + 6), week_of(monday));
    }

    #[test]
    fn a_period_is_where_its_times_are() {
        for period in Period::ALL {
            for number in [-1, 0, 2_968, 20_778] {
                let (from, to) = period.span(number);
                assert_eq!((period.at(from), period.at(to - 1), period.at(to)), (number, number, number + 1), "{period:?}");
            }
            assert_eq!(Period::parse(period.as_str()), Some(period));
        }
        assert_eq!(Period::parse("month"), None);
    }
}
