//! Sockets for datagrams: a receive buffer as large as the system grants, and the kernel's count of what it dropped.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::UdpSocket;

/// The receive buffer that is asked for; the system may grant less (`net.core.rmem_max`).
const RECEIVE_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// The largest datagram there can be.
pub const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// How often the kernel's count of dropped datagrams is looked at.
pub const DROPS_EVERY: Duration = Duration::from_secs(10);
/// The reason under which datagrams are counted that the kernel dropped.
pub const DROPPED: &str = "socket buffer full";

/// Binds a socket and raises its receive buffer.
///
/// # Errors
/// A port in use, an address that is not this machine's.
pub async fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address).await?;
    if let Err(error) = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES) {
        tracing::warn!(%error, %address, "could not raise the receive buffer of a socket");
    }
    Ok(socket)
}

/// The kernel's count of datagrams that it dropped for one socket.
#[derive(Debug)]
pub struct Drops {
    inode: Option<String>,
    seen: u64,
}

impl Drops {
    /// Begins to count for a socket.
    pub fn of(socket: &UdpSocket) -> Self {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok();
        let name = link.and_then(|link| link.to_str().map(str::to_owned)).unwrap_or_default();
        let inode = name.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).map(str::to_owned);
        let mut drops = Self { inode, seen: 0 };
        drops.since_last();
        drops
    }

    /// How many datagrams were dropped since the last call.
    pub fn since_last(&mut self) -> u64 {
        let Some(inode) = &self.inode else { return 0 };
        let table = |name: &str| std::fs::read_to_string(name).unwrap_or_default();
        let all = table("/proc/self/net/udp") + &table("/proc/self/net/udp6");
        let Some(now) = dropped(&all, inode) else { return 0 };
        let since = now.saturating_sub(self.seen);
        self.seen = now;
        since
    }
}

/// The last column of the socket's row in `/proc/net/udp`.
fn dropped(table: &str, inode: &str) -> Option<u64> {
    let row = table.lines().find(|row| row.split_ascii_whitespace().nth(9) == Some(inode))?;
    row.split_ascii_whitespace().nth(12)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn datagrams_the_kernel_dropped_are_found_in_its_table() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert!(Drops::of(&socket).inode.is_some());
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
                     1234: 0100007F:05EA 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4242 2 0000000000000000 17\n";
        assert_eq!(dropped(table, "4242"), Some(17));
        assert_eq!(dropped(table, "1"), None);
    }
}
