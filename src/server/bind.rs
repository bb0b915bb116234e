//! Listening on an address.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel completes ahead of being accepted; it may allow fewer.
const BACKLOG: i32 = 1024;

/// The kernel was built or started without IPv6 (`EAFNOSUPPORT` of Linux).
const NO_SUCH_FAMILY: i32 = 97;

/// Listens. `[::]` takes both families, and IPv4 alone where the host has no IPv6.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    bind_with(address, bind_exactly)
}

fn bind_with<L>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<L>) -> io::Result<L> {
    let lacks_ipv6 =
        |error: &io::Error| error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_SUCH_FAMILY);
    match bind(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_ipv6(&error) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        result => result,
    }
}

fn bind_exactly(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Whatever the host's default is (`net.ipv6.bindv6only`).
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use rstest::rstest;

    use super::{NO_SUCH_FAMILY, bind_with};

    #[rstest]
    #[case::without_ipv6_in_the_kernel("[::]:8443", Error::from_raw_os_error(NO_SUCH_FAMILY), Some("0.0.0.0:8443"))]
    #[case::without_ipv6_addresses("[::]:8443", ErrorKind::AddrNotAvailable.into(), Some("0.0.0.0:8443"))]
    #[case::another_fault("[::]:8443", ErrorKind::AddrInUse.into(), None)]
    #[case::an_address_by_name("[::1]:8443", ErrorKind::AddrNotAvailable.into(), None)]
    fn both_families_become_ipv4_where_there_is_no_ipv6(
        #[case] address: &str,
        #[case] error: Error,
        #[case] fallback: Option<&str>,
    ) {
        let error = std::cell::Cell::new(Some(error));
        let result = bind_with(address.parse().unwrap(), |address| match error.take() {
            Some(error) => Err(error),
            None => Ok(address.to_string()),
        });
        assert_eq!(result.ok().as_deref(), fallback);
    }
}
