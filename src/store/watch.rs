//! Finds out that the store is down, and that it is back, also while nobody calls it.

use super::Store;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks. With the store's deadline on top, trouble is known after seven seconds at the latest.
const LOOK: Duration = Duration::from_secs(4);

/// Runs until it is dropped. What it learns is in [`Store::state`], the log and the metrics.
pub async fn watch(store: Arc<dyn Store>) {
    loop {
        // The outcome is noted where every call's is.
        let _ = store.ping().await;
        tokio::time::sleep(LOOK).await;
    }
}
