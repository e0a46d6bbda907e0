//! Notifications: the few things an operator should see at once, as a list and as a stream of server-sent events.
//!
//! Source: Prometheus `util/notifications` and its two endpoints: a subscriber first gets what holds now, then every change;
//! a notification that ends is sent once more as not active. Too many subscribers are answered with 204.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use kymo_model::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::Api;
use crate::json::{self, Answer};
use crate::status::time_json;

/// How many changes wait for a subscriber that reads slowly; more are lost to it.
const WAITING_MAX: usize = 10;

/// What an operator should see at once.
///
/// ```
/// let notifications = kymo_http::Notifications::default();
/// notifications.begin("Configuration reload has failed.");
/// assert_eq!(notifications.texts(), ["Configuration reload has failed."]);
/// notifications.end("Configuration reload has failed.");
/// assert!(notifications.texts().is_empty());
/// ```
#[derive(Clone)]
pub struct Notifications {
    state: Arc<Mutex<Board>>,
    subscribers_max: usize,
}

#[derive(Default)]
struct Board {
    active: Vec<Notification>,
    subscribers: Vec<mpsc::Sender<Notification>>,
    closed: bool,
}

#[derive(Clone)]
struct Notification {
    text: String,
    since: Timestamp,
    active: bool,
}

impl Default for Notifications {
    fn default() -> Notifications {
        Notifications::new(16)
    }
}

impl Notifications {
    /// For at most so many subscribers at once.
    pub fn new(subscribers_max: usize) -> Notifications {
        Notifications { state: Arc::default(), subscribers_max }
    }

    /// Something holds from now on.
    pub fn begin(&self, text: &str) {
        let mut board = self.lock();
        let notification = Notification { text: text.to_owned(), since: crate::query::now(), active: true };
        match board.active.iter_mut().find(|one| one.text == text) {
            Some(known) => known.since = notification.since,
            None => board.active.push(notification.clone()),
        }
        board.tell(&notification);
    }

    /// It holds no longer.
    pub fn end(&self, text: &str) {
        let mut board = self.lock();
        if let Some(at) = board.active.iter().position(|one| one.text == text) {
            let mut notification = board.active.remove(at);
            notification.active = false;
            board.tell(&notification);
        }
    }

    /// What holds now, oldest first.
    pub fn texts(&self) -> Vec<String> {
        self.lock().active.iter().map(|one| one.text.clone()).collect()
    }

    /// Ends every stream, and allows no new ones: the server stops, and waits for none of them.
    pub fn close(&self) {
        let mut board = self.lock();
        board.closed = true;
        board.subscribers.clear();
    }

    fn subscribe(&self) -> Option<mpsc::Receiver<Notification>> {
        let mut board = self.lock();
        board.subscribers.retain(|subscriber| !subscriber.is_closed());
        if board.closed || board.subscribers.len() >= self.subscribers_max {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX.max(board.active.len()));
        for one in &board.active {
            // There is room for all of them.
            let _ = sender.try_send(one.clone());
        }
        board.subscribers.push(sender);
        Some(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Board {
    fn tell(&mut self, notification: &Notification) {
        self.subscribers.retain(|subscriber| {
            !matches!(subscriber.try_send(notification.clone()), Err(mpsc::error::TrySendError::Closed(_)))
        });
    }
}

impl Notification {
    fn json(&self) -> Value {
        json!({"text": self.text, "date": time_json(Some(self.since)), "active": self.active})
    }
}

pub(crate) async fn list(State(api): State<Api>) -> Response {
    let all: Vec<Value> = api.notifications.lock().active.iter().map(Notification::json).collect();
    json::respond(Ok(Answer::of(&all)))
}

pub(crate) async fn live(State(api): State<Api>) -> Response {
    let Some(changes) = api.notifications.subscribe() else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::new(Events(changes))).into_response()
}

/// A stream of server-sent events; it ends with the server.
struct Events(mpsc::Receiver<Notification>);

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = |one: Notification| Ok(Frame::data(Bytes::from(format!("data: {}\n\n", one.json()))));
        self.0.poll_recv(context).map(|next| next.map(event))
    }
}
