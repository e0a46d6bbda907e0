//! Text functions of templates: escaping, titles, hosts and links.

use std::net::{IpAddr, Ipv6Addr};

/// Go's `template.HTMLEscapeString`.
pub(super) fn html_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

/// Go's `template.JSEscapeString`.
pub(super) fn js_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c < ' ' || c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Go's `url.QueryEscape`.
pub(super) fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(b as char),
            b' ' => out.push('+'),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// Go's `strings.Title`: the first letter of every word large.
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        let starts = if before.is_ascii() {
            !before.is_ascii_alphanumeric() && before != '_'
        } else {
            !before.is_alphanumeric() && before.is_whitespace()
        };
        if starts {
            out.extend(c.to_uppercase())
        } else {
            out.push(c)
        }
        before = c;
    }
    out
}

/// Go's `net.SplitHostPort`, where it succeeds.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let colon = text.rfind(':')?;
    let (host, port) = (&text[..colon], &text[colon + 1..]);
    if let Some(inside) = host.strip_prefix('[') {
        let inside = inside.strip_suffix(']')?;
        let plain = !inside.contains(['[', ']']) && !port.contains(['[', ']']);
        return plain.then_some((inside, port));
    }
    let plain = !host.contains([':', '[', ']']) && !port.contains(['[', ']']);
    plain.then_some((host, port))
}

pub(super) fn strip_port(text: &str) -> String {
    split_host_port(text).map_or(text, |(host, _)| host).to_owned()
}

/// The first part of a host name, with the port; addresses stay whole.
pub(super) fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() || host.parse::<Ipv6Addr>().is_ok() {
        return text.to_owned();
    }
    let short = host.split('.').next().unwrap_or(host);
    if port.is_empty() { short.to_owned() } else { format!("{short}:{port}") }
}

/// The path of a URL: what comes behind the host, up to `?` or `#`.
pub(super) fn url_path(url: &str) -> &str {
    let rest = url.split(['?', '#']).next().unwrap_or("");
    match rest.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, port, domain) in [
            ("localhost:9090", "localhost", "localhost:9090"),
            ("a.b.c:80", "a.b.c", "a:80"),
            ("a.b.c", "a.b.c", "a"),
            ("1.2.3.4:80", "1.2.3.4", "1.2.3.4:80"),
            ("[::1]:80", "::1", "[::1]:80"),
            ("::1", "::1", "::1"),
            ("", "", ""),
        ] {
            assert_eq!((strip_port(text).as_str(), strip_domain(text).as_str()), (port, domain), "{text}");
        }
        assert_eq!(url_path("http://h:1/a/b?c"), "/a/b");
        assert_eq!(url_path("http://h:1"), "");
        assert_eq!(title("aa bb-cc d_d"), "Aa Bb-Cc D_d");
    }
}
