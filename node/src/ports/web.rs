//! What the adapters that speak HTTP share: one client over the node's one TLS stack, and answers within bounds.
//!
//! Redirects are not followed and no proxy is looked for: a request goes where the configuration says, or nowhere.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Response, Url};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// A client with these times for opening a connection and for a whole call, in milliseconds; opens no connection yet.
///
/// # Errors
/// What the TLS or HTTP stack said.
pub(super) fn client(connect_timeout_ms: u64, call_timeout_ms: u64) -> Result<Client, String> {
    Client::builder()
        .tls_backend_preconfigured(tls()?)
        .connect_timeout(Duration::from_millis(connect_timeout_ms))
        .timeout(Duration::from_millis(call_timeout_ms))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("stellara-node/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| told(&error))
}

/// The operating system's trust, over the one TLS stack of the node.
fn tls() -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let refused = |error: rustls::Error| error.to_string();
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_platform_verifier()
        .map_err(refused)?
        .with_no_client_auth())
}

/// The address of a web server.
///
/// # Errors
/// What does not fit.
pub(super) fn base(text: &str) -> Result<Url, String> {
    let base = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
        return Err(format!("its scheme is {}", base.scheme()));
    }
    Ok(base)
}

/// The address of a path under a base.
pub(super) fn url(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut()
        .expect("the address was checked to be a base")
        .pop_if_empty()
        .extend(path);
    url
}

/// The whole body of an answer.
///
/// # Errors
/// When it is longer than `bytes_max`, or ends early.
pub(super) async fn body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(format!("answer is longer than {bytes_max} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How long the server asks to wait, when it says so in seconds.
pub(super) fn retry_after_ms(response: &Response) -> Option<u64> {
    let seconds: u64 = header(response, "retry-after")?.parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

/// A header's text.
pub(super) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// An error with its causes, which the HTTP client keeps apart.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The first characters of a foreign text, enough to find it and too few to flood a log.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
