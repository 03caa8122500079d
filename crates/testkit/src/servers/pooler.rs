//! pgbouncer before a PostgreSQL server.

use std::os::unix::fs::chown;

use tempfile::TempDir;

use super::process::Process;
use super::{Postgres, STARTS, free_ports};

/// Debian's place of it.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A pooler. Dropping it ends it.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    _process: Process,
    _dir: TempDir,
}

impl Pooler {
    /// Starts it before `server`; `settings` are lines of its own, such as `pool_mode = transaction`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(server: &Postgres, settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut said = String::new();
        for _ in 0..STARTS {
            let port = free_ports(1)[0];
            let file = dir.path().join("pgbouncer.ini");
            let words = format!(
                "[databases]\nparty = host=127.0.0.1 port={} user=party password='{}'\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n{}\n",
                server.port(),
                Postgres::PASSWORD,
                settings.join("\n"),
            );
            std::fs::write(&file, words).expect("a file");
            let account = super::postgres::account();
            if let Some(account) = account {
                let (user, group) = super::postgres::ids_of(account);
                for path in [dir.path(), &file] {
                    chown(path, Some(user), Some(group)).expect("it is ours to give");
                }
            }
            let args = [file.display().to_string()];
            let process = Process::start("pgbouncer", account, PROGRAM, &args);
            match process.wait_for_line("process up") {
                Ok(()) => {
                    return Pooler {
                        port,
                        _process: process,
                        _dir: dir,
                    };
                }
                Err(words) if words.contains("in use") => said = words,
                Err(words) => panic!("pgbouncer did not start; {words}"),
            }
        }
        panic!("each time another program took the port; {said}");
    }

    /// The database's URL through it.
    pub fn url(&self) -> String {
        format!("postgres://party@127.0.0.1:{}/party", self.port)
    }
}
