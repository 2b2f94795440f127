//! The reports of days and weeks in the store: each in the place of its number modulo how many are kept, so that old ones are written over.

use super::reports::{DAYS_KEPT, Day, WEEKS_KEPT, Week};
use super::roster::Upstream;
use crate::calendar::{Period, first_day_of, week_of};
use crate::store::{Store, StoreError};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn day_key(number: i64) -> String {
    format!("upstream.report.day.{}", number.rem_euclid(DAYS_KEPT))
}

fn week_key(number: i64) -> String {
    format!("upstream.report.week.{}", number.rem_euclid(WEEKS_KEPT))
}

async fn read<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>, StoreError> {
    let corrupt = |_| StoreError::Corrupt { kind: store.kind(), what: "a report of the feeds" };
    store.value(key).await?.map(|bytes| serde_json::from_slice(&bytes).map_err(corrupt)).transpose()
}

async fn write<T: Serialize>(store: &dyn Store, key: &str, value: &T) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value).expect("maps with texts for keys are always JSON, and memory does not fail to be written to");
    store.put_value(key, Bytes::from(bytes)).await
}

pub async fn day(store: &dyn Store, number: i64) -> Result<Option<Day>, StoreError> {
    Ok(read(store, &day_key(number)).await?.filter(|day: &Day| day.number == number))
}

pub async fn week(store: &dyn Store, number: i64) -> Result<Option<Week>, StoreError> {
    Ok(read(store, &week_key(number)).await?.filter(|week: &Week| week.number == number))
}

/// The report of a week, of the days that are known.
pub async fn make_week(store: &dyn Store, number: i64, today: Option<Day>) -> Result<Week, StoreError> {
    let mut days = Vec::new();
    let first = first_day_of(number);
    for day_number in first..first + 7 {
        match &today {
            Some(today) if today.number == day_number => days.push(today.clone()),
            _ => days.extend(day(store, day_number).await?),
        }
    }
    let before = week(store, number - 1).await?;
    Ok(Week::of(number, &days, before.as_ref()))
}

/// Writes the report of the week before `today`, unless it is there or there is nothing to say.
async fn finish_week(store: &dyn Store, today: i64) -> Result<(), StoreError> {
    let number = week_of(today) - 1;
    if week(store, number).await?.is_some() {
        return Ok(());
    }
    let week = make_week(store, number, None).await?;
    if week.days > 0 { write(store, &week_key(number), &week).await } else { Ok(()) }
}

impl Upstream {
    /// Writes the days that are over, and the present one as it is. Gives back those that could not be written.
    pub(super) async fn save_days(&self, mut finished: Vec<Day>) -> Vec<Day> {
        let Some(store) = self.store() else { return Vec::new() };
        let saved = async {
            while let Some(day) = finished.first() {
                write(&*store, &day_key(day.number), day).await?;
                finished.remove(0);
            }
            if let Some(today) = self.today() {
                write(&*store, &day_key(today.number), &today).await?;
                finish_week(&*store, today.number).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = saved.await {
            log::warn!("the reports of the feeds could not be stored: {error}");
        }
        finished
    }

    /// The report of a day, so many days ago; 0: today's as it is.
    pub async fn day_report(&self, back: u32) -> Result<Option<Day>, StoreError> {
        self.day_numbered(Period::Day.at(self.wall_ms()) - i64::from(back)).await
    }

    async fn day_numbered(&self, number: i64) -> Result<Option<Day>, StoreError> {
        match (self.today().filter(|day| day.number == number), self.store()) {
            (Some(today), _) => Ok(Some(today)),
            (None, Some(store)) => day(&*store, number).await,
            (None, None) => Ok(None),
        }
    }

    /// The report of a week, so many weeks ago; 0: the present one of the days that are known.
    pub async fn week_report(&self, back: u32) -> Result<Option<Week>, StoreError> {
        self.week_numbered(Period::Week.at(self.wall_ms()) - i64::from(back)).await
    }

    async fn week_numbered(&self, number: i64) -> Result<Option<Week>, StoreError> {
        let Some(store) = self.store() else { return Ok(None) };
        let is_over = number < Period::Week.at(self.wall_ms());
        if is_over { week(&*store, number).await } else { make_week(&*store, number, self.today()).await.map(Some) }
    }

    /// What stands out of a day or a week, in the shape of a week's report.
    pub async fn digest(&self, period: Period, number: i64) -> Result<Option<Week>, StoreError> {
        match period {
            Period::Week => self.week_numbered(number).await,
            Period::Day => {
                let before = self.day_numbered(number - 1).await?;
                Ok(self.day_numbered(number).await?.map(|day| Week::of_day(&day, before.as_ref())))
            }
        }
    }
}
