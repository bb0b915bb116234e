//! A plain TCP balancer, as a Service is: each new connection goes to the next ready replica, and stays there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The replicas that new connections go to.
#[derive(Clone, Default)]
pub(crate) struct Backends(Arc<Mutex<(usize, Vec<SocketAddr>)>>);

impl Backends {
    pub(crate) fn add(&self, backend: SocketAddr) {
        self.0.lock().unwrap().1.push(backend);
    }

    pub(crate) fn remove(&self, backend: SocketAddr) {
        self.0.lock().unwrap().1.retain(|other| *other != backend);
    }

    fn next(&self) -> Option<SocketAddr> {
        let mut inner = self.0.lock().unwrap();
        inner.0 += 1;
        inner.1.get(inner.0 % inner.1.len().max(1)).copied()
    }
}

/// Starts balancing; the port to connect to. It ends with the runtime.
pub(crate) async fn start(backends: Backends) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Some(backend) = backends.next() else { continue };
            tokio::spawn(async move {
                // A connection that fails is the client's to notice: nothing is tried again here.
                if let Ok(mut server) = TcpStream::connect(backend).await {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    port
}
