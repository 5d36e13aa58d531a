//! As much HTTP/1.1 as the ledger's control routes and the health checks need: one request per
//! connection, on loopback. The end-to-end tests read answers by the same rules over tokio; the code stands here again
//! because xtask must build in seconds, before anything of ours does, and so imports none of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long a connection may take to be made, and the server to send the next bytes.
const WAIT_MS: u64 = 10_000;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// `GET http://{address}{path}`; `Err` says what went wrong.
pub fn get(address: &str, path: &str) -> Result<Response, String> {
    send(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"),
    )
}

/// `POST http://{address}{path}` with a JSON body; `Err` says what went wrong.
pub fn post(address: &str, path: &str, json: &str) -> Result<Response, String> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        json.len()
    );
    send(address, &(head + json))
}

fn send(address: &str, request: &str) -> Result<Response, String> {
    let told = |error: std::io::Error| format!("{address}: {error}");
    let address: SocketAddr = address
        .parse()
        .map_err(|error| format!("{address}: {error}"))?;
    let wait = Duration::from_millis(WAIT_MS);
    let mut stream = TcpStream::connect_timeout(&address, wait).map_err(told)?;
    stream.set_read_timeout(Some(wait)).map_err(told)?;
    stream.set_write_timeout(Some(wait)).map_err(told)?;
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut bytes = Vec::new();
    let mut limited = stream.take(ANSWER_BYTES_MAX);
    limited.read_to_end(&mut bytes).map_err(told)?;
    parse(&bytes).ok_or_else(|| format!("{address}: not a whole HTTP answer"))
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let body = &bytes[end + 4..];
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        lines.clone().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let body = if header("transfer-encoding").is_some_and(|value| value == "chunked") {
        unchunk(body)?
    } else if let Some(length) = header("content-length") {
        body.get(..length.parse().ok()?)?.to_vec()
    } else {
        body.to_vec()
    };
    Some(Response {
        status,
        body: String::from_utf8(body).ok()?,
    })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::{Response, parse};

    fn check(answer: &str, expected: Option<(u16, &str)>) {
        let expected = expected.map(|(status, body)| Response {
            status,
            body: body.to_owned(),
        });
        assert_eq!(parse(answer.as_bytes()), expected, "{answer:?}");
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Some((200, "ok")),
        );
        check("HTTP/1.1 503 No\r\n\r\nwhy", Some((503, "why")));
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n",
            Some((200, "abcd")),
        );
        check("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut", None);
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
            None,
        );
        check("HTTP/1.1 200", None);
        check("", None);
    }
}
