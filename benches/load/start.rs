//! From exec to ready, with a certificate on disk.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::server::{Certificate, WEBHOOK, free_address, webhook_command};

/// How long each of so many starts took until `/readyz` answered with 200, sorted, in milliseconds.
pub(crate) fn times(certificate: &Certificate, count: usize) -> Vec<f64> {
    let mut times: Vec<_> = (0..count)
        .map(|_| {
            let ops = free_address();
            let mut command = webhook_command(Path::new(WEBHOOK), certificate, &format!("--ops-listen={ops}"));
            command.arg("--listen=127.0.0.1:0").stderr(Stdio::null());
            let began = Instant::now();
            let mut child = command.spawn().unwrap();
            while !is_ready(ops) {
                std::thread::sleep(Duration::from_micros(100));
            }
            let taken = began.elapsed();
            drop(child.kill());
            drop(child.wait());
            taken.as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn is_ready(ops: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(ops)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
