//! Listening: the sockets of `--web.listen-address`, each as Go reads it.

use std::net::SocketAddr;

use tokio::net::TcpListener;

/// A listener for every address; the error names the one that cannot be had.
pub(crate) async fn listen_on(addresses: &[String]) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), String> {
    let (mut listeners, mut bound) = (Vec::new(), Vec::new());
    for address in addresses {
        let failed = |error| format!("cannot listen on {address}: {error}");
        let listener = listen(address).await.map_err(failed)?;
        bound.push(listener.local_addr().map_err(failed)?);
        listeners.push(listener);
    }
    Ok((listeners, bound))
}

/// `:9090` is every address of the machine, as in Go.
async fn listen(address: &str) -> std::io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else { return TcpListener::bind(address).await };
    match TcpListener::bind(format!("[::]:{port}")).await {
        Ok(listener) => Ok(listener),
        // A machine without IPv6; if it is something else, it is so here too.
        Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
    }
}
