//! A database inside a service: a counter of one's own, stored, and the Prometheus API mounted beside one's own routes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::{Router, routing::get};
use kymo::http::{Api, router};
use kymo::model::{Append, Batch, Labels, Timestamp};
use kymo::promql::Engine;
use kymo::tsdb::{Db, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("kymo-embed-{}", std::process::id()));
    let db = Arc::new(Db::open(&dir, Options::default())?);

    // The service counts something, each time it is asked. Appending is synchronous: bridge once, at the edge.
    let series = Labels::from_pairs([("__name__", "hello_total"), ("service", "greeter")]);
    let store = Arc::clone(&db);
    let hello = move || async move {
        let done = tokio::task::spawn_blocking(move || {
            let mut batch = Batch::new();
            batch.push(series, now(), 1.0);
            store.append(&batch).map(|outcome| outcome.appended)
        });
        format!("hello, {} sample stored\n", done.await.map_or(0, |stored| stored.unwrap_or(0)))
    };

    let app = Router::new()
        .route("/hello", get(hello))
        .nest("/prometheus", router(Api::new(db.clone(), Engine::default())));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });

    print!("{}", ask(address, "/hello").await?);
    println!("{}", ask(address, "/prometheus/api/v1/query?query=sum(hello_total)").await?);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// A small HTTP client, so that the example shows its own answers.
async fn ask(address: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}
