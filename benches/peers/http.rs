//! A small HTTP client: one request, one connection, no encodings, so that the client's cost is the same for every server.

use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn get(port: u16, path: &str) -> Result<Reply> {
    send(port, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"), b"")
}

/// A body of remote write 1.0.
pub(crate) fn write(port: u16, body: &[u8]) -> Result<Reply> {
    let head = format!(
        "POST /api/v1/write HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n\
         Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    send(port, &head, body)
}

fn send(port: u16, head: &str, body: &[u8]) -> Result<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let bad = || Error::other("expected an HTTP answer");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(bad)?;
    let status =
        std::str::from_utf8(&bytes[..end]).ok().and_then(|head| head.split(' ').nth(1)?.parse().ok());
    Ok(Reply { status: status.ok_or_else(bad)?, body: bytes.split_off(end + 4) })
}

/// Percent-encodes a query parameter.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => (b as char).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}
