//! Free ports for processes that must be told where to listen. Invariant: one test process
//! gives a port away once. The ports lie below those that the system hands out for outgoing
//! connections, so a port that is free now is not taken by chance before it is used.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

const PORT_MIN: u32 = 12_000;
const PORTS: u32 = 20_000;

/// A port that nobody uses at this address, neither over TCP nor over UDP.
///
/// # Panics
/// When there is none.
pub fn free_port(ip: IpAddr) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test processes that run at the same time begin in different places.
    let first = std::process::id().wrapping_mul(61);
    for _ in 0..PORTS {
        let place = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORT_MIN + place % PORTS).expect("the range ends below 65536");
        if TcpListener::bind((ip, port)).is_ok() && UdpSocket::bind((ip, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free at {ip}");
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_port_is_free_and_given_once() {
        let ip = Ipv4Addr::LOCALHOST.into();
        let (one, two) = (super::free_port(ip), super::free_port(ip));
        assert_ne!(one, two);
        TcpListener::bind((ip, one)).unwrap();
        TcpListener::bind((ip, two)).unwrap();
    }
}
