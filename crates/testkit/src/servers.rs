//! Servers of other projects, each in a directory of its own on loopback: started, killed and stopped by tests.
//!
//! What it promises: a start returns when the server has answered a question; nothing waits by sleeping; each server ends with
//! this process, also where that was killed (`PR_SET_PDEATHSIG`), and its directory goes when it is dropped.
//! What it must not know: the clients under test. It asks PostgreSQL by `psql`, and etcd by its HTTP gateway.
//!
//! Debian's packages `postgresql-15`, `pgbouncer`, `etcd-server`, `openssl` and `util-linux` are needed; `ci/remote` installs them.

mod certificates;
mod etcd;
mod http;
mod pooler;
mod postgres;
mod process;

pub use certificates::Certificates;
pub use etcd::Etcd;
pub use pooler::Pooler;
pub use postgres::Postgres;

use std::net::TcpListener;

/// Ports of loopback that nobody listened on a moment ago. Another program may take one before the server does, so a server
/// that finds its port taken is started with others.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let port = |listener: &TcpListener| listener.local_addr().expect("its address").port();
    listeners.iter().map(port).collect()
}

/// How often a server is started with other ports when one was taken.
const STARTS: usize = 5;
