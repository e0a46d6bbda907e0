//! `/read`: remote read. The question is bounded before it is read; the answer is sent while it is made, a few pieces ahead
//! of the client at most.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::{mpsc, oneshot};

use crate::api::{Api, RemoteReadAnswer, RemoteReadError};
use crate::body;

/// How many pieces of an answer wait for the client.
const PIECES_AHEAD: usize = 2;

pub(crate) async fn read(State(api): State<Api>, request: Request<Body>) -> Response {
    let Some(reader) = api.remote_read.clone() else {
        return (StatusCode::NOT_FOUND, "this server does not answer remote read\n").into_response();
    };
    let Ok(turn) = api.read_slots.clone().acquire_owned().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "server is stopping\n").into_response();
    };
    let body = match body::read(request.into_body(), api.limits.read_body_bytes_max, api.limits.body_timeout)
        .await
    {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let (head, headed) = oneshot::channel();
    let (pieces, arriving) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        // Held until the last piece is made.
        let _turn = turn;
        answer(reader.read(&body), head, &pieces);
    });
    match headed.await {
        Ok(Ok(head)) => respond(head, arriving),
        Ok(Err(error)) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, error.message + "\n").into_response()
        }
        Err(_) => {
            tracing::error!("remote read failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "remote read failed; the server's log says why\n")
                .into_response()
        }
    }
}

/// What is known of an answer before its second piece.
struct Head {
    content_type: &'static str,
    content_encoding: Option<&'static str>,
    first: Option<Vec<u8>>,
}

/// Makes the answer piece by piece. Ends early when nobody waits for it any more.
fn answer(
    asked: Result<RemoteReadAnswer, RemoteReadError>,
    head: oneshot::Sender<Result<Head, RemoteReadError>>,
    pieces: &mpsc::Sender<Result<Bytes, RemoteReadError>>,
) {
    let begun = asked.and_then(|mut answer| {
        let first = answer.pieces.next().transpose()?;
        let RemoteReadAnswer { content_type, content_encoding, pieces } = answer;
        Ok((Head { content_type, content_encoding, first }, pieces))
    });
    let rest = match begun {
        Ok((found, rest)) => head.send(Ok(found)).is_ok().then_some(rest),
        Err(error) => {
            // The client may have gone; then nobody is told.
            let _ = head.send(Err(error));
            None
        }
    };
    for piece in rest.into_iter().flatten() {
        if let Err(error) = &piece {
            tracing::warn!(%error, "a remote read was broken off");
        }
        let failed = piece.is_err();
        if pieces.blocking_send(piece.map(Bytes::from)).is_err() || failed {
            return;
        }
    }
}

fn respond(head: Head, arriving: mpsc::Receiver<Result<Bytes, RemoteReadError>>) -> Response {
    let mut response = Response::new(Body::new(Pieces { first: head.first.map(Bytes::from), arriving }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(head.content_type));
    if let Some(encoding) = head.content_encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// An answer on its way.
struct Pieces {
    first: Option<Bytes>,
    arriving: mpsc::Receiver<Result<Bytes, RemoteReadError>>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = RemoteReadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RemoteReadError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.arriving.poll_recv(context).map(|next| next.map(|piece| piece.map(Frame::data)))
    }
}
