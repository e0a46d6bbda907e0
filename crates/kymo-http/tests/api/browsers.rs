//! What browsers see: origins, pages, redirects, prefixes.

use kymo_http::{WebOptions, mount, router};
use kymo_model::Regex;

use crate::client::{Answer, api, ask};

#[tokio::test]
async fn browsers_of_other_origins() {
    let only = |pattern: &str| {
        let cors_origin = Regex::new(pattern).expect("a pattern");
        router(api().web(WebOptions { cors_origin, ..WebOptions::default() }))
    };
    let origin = [("origin", "http://a.com")];
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    // Any path below the API, also one that is not there.
    for path in ["/api/v1/query", "/api/v1/nothing"] {
        let answer = ask(only(".*"), "OPTIONS", path, &origin).await;
        assert_eq!(
            (answer.status, answer.text(), allowed(&answer)),
            (204, "", Some("*".to_owned())),
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("Accept, Authorization, Content-Type, Origin")
        );
        assert_eq!(answer.header("access-control-expose-headers"), Some("Date"));
    }
    let pattern = "https?://(a|b)\\.com";
    for (path, found) in [
        ("/api/v1/query?query=1", Some("http://a.com")),
        ("/api/v1/query?query=sum(", Some("http://a.com")),
        ("/federate?match[]=up", None),
    ] {
        assert_eq!(allowed(&ask(only(pattern), "GET", path, &origin).await).as_deref(), found, "{path}");
    }
    let other = ask(only(pattern), "GET", "/api/v1/labels", &[("origin", "http://c.com")]).await;
    assert_eq!((allowed(&other), other.header("access-control-expose-headers")), (None, Some("Date")));
    let none = ask(only(pattern), "GET", "/api/v1/labels", &[]).await;
    assert_eq!((none.header("access-control-expose-headers"), none.header("vary")), (None, Some("Origin")));
}

#[tokio::test]
async fn pages_and_other_paths() {
    let external = || {
        let web = WebOptions {
            external_path: "/p".to_owned(),
            page_title: "<T>".to_owned(),
            ..WebOptions::default()
        };
        router(api().web(web))
    };
    for (method, path, status, location) in [
        ("GET", "/", 302, Some("/p/query")),
        ("GET", "/graph?g0.expr=up", 302, Some("/p/query?g0.expr=up")),
        ("GET", "/query", 200, None),
        ("GET", "/targets", 200, None),
        ("GET", "/nothing", 404, None),
        ("GET", "/api/v1/nothing", 404, None),
        ("HEAD", "/-/healthy", 200, None),
        ("HEAD", "/-/ready", 200, None),
        ("GET", "/-/reload", 405, None),
        ("GET", "/-/quit", 405, None),
        ("DELETE", "/-/ready", 405, None),
        ("POST", "/-/quit", 403, None),
        ("GET", "/api/v1/write", 405, None),
        ("GET", "/api/v1/admin/tsdb/snapshot", 405, None),
    ] {
        let answer = ask(external(), method, path, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (status, location), "{method} {path}");
    }
    let page = ask(external(), "GET", "/query", &[]).await;
    assert!(
        page.text().contains("<title>&lt;T&gt;</title>") && page.text().contains("/p/api/v1"),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn a_router_below_a_prefix() {
    for (path, status, location) in [
        ("/", 302, Some("/pfx")),
        ("/pfx", 301, Some("/pfx/")),
        ("/pfx/", 302, Some("/query")),
        ("/pfx/-/ready", 200, None),
        ("/pfx/api/v1/query?query=1", 200, None),
        ("/-/ready", 404, None),
        ("/pfxx/-/ready", 404, None),
        ("/api/v1/query?query=1", 404, None),
    ] {
        let answer = ask(mount(router(api()), "/pfx"), "GET", path, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (status, location), "{path}");
    }
    assert_eq!(ask(mount(router(api()), "/"), "GET", "/-/ready", &[]).await.status, 200);
}
