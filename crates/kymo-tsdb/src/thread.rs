//! The ready-made maintenance thread, for embedders that have no place of their own to call maintenance from.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use kymo_model::StoreError;

use crate::db::Db;
use crate::maintain::Maintained;

/// A running maintenance thread; dropping it stops the thread and waits for it.
#[derive(Debug)]
pub struct MaintenanceThread {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Db {
    /// Starts a thread that calls [`Db::maintain`] with the time of the database's clock, and hands each outcome to
    /// `report`. It ends with the returned guard or with the database.
    pub fn spawn_maintenance(
        &self,
        every: Duration,
        mut report: impl FnMut(Result<Maintained, StoreError>) + Send + 'static,
    ) -> io::Result<MaintenanceThread> {
        let db = self.clone();
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new().name("kymo-maintain".to_owned()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                if db.shared().ensure_open().is_err() {
                    break;
                }
                report(db.maintain(db.options().clock.now()));
            }
        })?;
        Ok(MaintenanceThread { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for MaintenanceThread {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed when it happened.
            let _ = thread.join();
        }
    }
}
