//! A small HTTP client: one request, one connection, no encodings, so that the client's cost is the same for every server.

use std::cell::Cell;
use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

thread_local! {
    /// Memory for the next reply. Large ones are read into memory that was used before, so that no server waits for the client's
    /// kernel to find some.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// At least so much is asked for at once.
const READ_BYTES: usize = 1 << 20;

pub(crate) struct Reply {
    pub(crate) status: u16,
    bytes: Vec<u8>,
    body: Range<usize>,
}

impl Reply {
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.body.clone()]
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.bytes));
    }
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
    let (mut bytes, mut read) = (SPARE.take(), 0);
    loop {
        if bytes.len() - read < READ_BYTES {
            bytes.resize((2 * bytes.len()).max(2 * READ_BYTES), 0);
        }
        match stream.read(&mut bytes[read..])? {
            0 => break,
            more => read += more,
        }
    }
    let bad = || Error::other("expected an HTTP answer");
    let end = bytes[..read].windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(bad)?;
    let head = std::str::from_utf8(&bytes[..end]).ok();
    let status = head.and_then(|head| head.split(' ').nth(1)?.parse().ok()).ok_or_else(bad)?;
    Ok(Reply { status, bytes, body: end + 4..read })
}

/// Percent-encodes a query parameter.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => (b as char).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}
