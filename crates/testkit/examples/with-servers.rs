//! Runs a command beside PostgreSQL and etcd on loopback, and ends them with it: `with-servers COMMAND ARGS...`.
//!
//! The command finds in its environment
//! - `LEVEL_PARTY_POSTGRES` and `LEVEL_PARTY_ETCD`: the URLs, without TLS,
//! - `LEVEL_PARTY_POSTGRES_CA`: the file of the authority that signed the certificate of PostgreSQL, for TLS on the same port,
//! - `LEVEL_PARTY_ETCD_TLS` and `LEVEL_PARTY_ETCD_CA`: another etcd, of one node, that speaks TLS alone, and its authority.

use std::process::{Command, ExitCode};

use level_party_testkit::{Etcd, Postgres};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(program) = args.next() else {
        eprintln!("with-servers COMMAND ARGS...: no command was given");
        return ExitCode::from(2);
    };
    let (postgres, etcd) = (Postgres::start(&[]), Etcd::start(3));
    let etcd_tls = Etcd::start_with(1, &[], true);
    let authority = etcd_tls.authority().expect("it speaks TLS");
    let status = Command::new(program)
        .args(args)
        .env("LEVEL_PARTY_POSTGRES", postgres.url())
        .env("LEVEL_PARTY_POSTGRES_CA", postgres.authority())
        .env("LEVEL_PARTY_ETCD", etcd.url())
        .env("LEVEL_PARTY_ETCD_TLS", etcd_tls.url())
        .env("LEVEL_PARTY_ETCD_CA", authority)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("with-servers: the command failed: {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("with-servers: the command could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}
