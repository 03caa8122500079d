//! A PostgreSQL server on loopback, or two of them as primary and standby.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use super::process::{Process, run, send};
use super::{Certificates, STARTS, free_ports};

/// Debian's place of the server's own programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// The account that the server runs as, where the tests run as root: it refuses to be root.
const ACCOUNT: &str = "postgres";
/// What a server says when it takes connections.
const READY: &str = "ready to accept";

/// A server with a role `party` and a database of the same name. Dropping it ends it.
#[derive(Debug)]
pub struct Postgres {
    dir: TempDir,
    port: u16,
    process: Option<Process>,
    certificates: Certificates,
}

impl Postgres {
    /// The password of the role `party`: with characters that a URL must encode.
    pub const PASSWORD: &'static str = "pass word/%";
    /// The same as it stands in a URL.
    const ENCODED: &'static str = "pass%20word%2F%25";

    /// Makes a server and starts it; returns when it answers. `settings` are lines of `postgresql.conf`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(settings: &[&str]) -> Self {
        let mut server = Self::in_new_directory();
        let words = server.dir.path().join("password");
        std::fs::write(&words, Self::PASSWORD).expect("a file");
        let (data, words) = (server.data(), words.display().to_string());
        server.own();
        run(server.program("initdb").arg("-D").arg(&data).args([
            "--no-sync",
            "--auth=scram-sha-256",
            "--username=party",
            "--encoding=UTF8",
            "--locale=C",
            "--pwfile",
            &words,
        ]));
        let mut lines = vec![
            "listen_addresses = '127.0.0.1'".to_owned(),
            format!(
                "unix_socket_directories = '{}'",
                server.dir.path().display()
            ),
            "ssl = on".into(),
            format!(
                "ssl_cert_file = '{}'",
                server.certificates.certificate.display()
            ),
            format!("ssl_key_file = '{}'", server.certificates.key.display()),
        ];
        lines.extend(settings.iter().map(|line| (*line).to_owned()));
        server.add_settings(&lines);
        server.begin_on_a_free_port();
        server.sql_in("postgres", "create database party");
        server
    }

    /// A standby that follows this server, made of a copy of it. It names itself `name` to the primary.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn standby(&self, name: &str) -> Self {
        let mut standby = Self::in_new_directory();
        standby.own();
        let source = format!(
            "host=127.0.0.1 port={} user=party application_name={name}",
            self.port
        );
        let mut copy = standby.program("pg_basebackup");
        copy.env("PGPASSWORD", Self::PASSWORD)
            .args([
                "--write-recovery-conf",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--no-sync",
                "-D",
            ])
            .arg(standby.data())
            .args(["-d", &source]);
        run(&mut copy);
        standby.add_settings(&[
            format!(
                "unix_socket_directories = '{}'",
                standby.dir.path().display()
            ),
            format!(
                "ssl_cert_file = '{}'",
                standby.certificates.certificate.display()
            ),
            format!("ssl_key_file = '{}'", standby.certificates.key.display()),
        ]);
        standby.begin_on_a_free_port();
        standby
    }

    /// The database's URL for level-party, without TLS.
    pub fn url(&self) -> String {
        format!(
            "postgres://party:{}@127.0.0.1:{}/party",
            Self::ENCODED,
            self.port
        )
    }

    /// The same for another role, whose password is one word.
    pub fn url_of(&self, role: &str, password: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/party", self.port)
    }

    /// A session of `psql`, which makes the statements of its standard input and tells its rows.
    pub fn session(&self, name: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.env("PGPASSWORD", Self::PASSWORD)
            .env("PGAPPNAME", name)
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"])
            .arg("-d")
            .arg(format!(
                "host=127.0.0.1 port={} user=party dbname=party",
                self.port
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        psql
    }

    /// Lets the role `name` in by a certificate alone; gives one for it, and its key.
    ///
    /// # Panics
    /// If there is no such role.
    pub fn let_in_by_certificate(&self, name: &str) -> (PathBuf, PathBuf) {
        let files = self.certificates.client(name);
        self.add_rule(&format!("hostssl all {name} 127.0.0.1/32 cert"));
        let authority = self.certificates.authority.display().to_string();
        self.set("ssl_ca_file", &authority);
        files
    }

    /// Puts a line before those of `pg_hba.conf`.
    ///
    /// # Panics
    /// If the server does not read it.
    pub fn add_rule(&self, rule: &str) {
        let rules = self.data().join("pg_hba.conf");
        let before = std::fs::read_to_string(&rules).expect("initdb made it");
        std::fs::write(&rules, format!("{rule}\n{before}")).expect("written");
        self.sql("select pg_reload_conf()");
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What a client that speaks TLS trusts.
    pub fn authority(&self) -> &Path {
        &self.certificates.authority
    }

    /// Makes one statement by `psql`, and gives its rows, one a line, fields divided by `|`.
    ///
    /// # Panics
    /// If it fails.
    pub fn sql(&self, statement: &str) -> String {
        self.sql_in("party", statement)
    }

    /// Changes a setting, in force for whatever begins after this.
    ///
    /// # Panics
    /// If the server refuses it.
    pub fn set(&self, setting: &str, value: &str) {
        self.sql(&format!("alter system set {setting} = '{value}'"));
        self.sql("select pg_reload_conf()");
    }

    /// Kills the server whole, as `kill -9` of the postmaster does: its backends end when they notice.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end(Signal::KILL);
        }
    }

    /// Ends the server in order; its sessions are cut off.
    pub fn shut_down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end(Signal::INT);
        }
    }

    /// Starts it again on the same port; returns when it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        if let Err(words) = self.begin() {
            panic!("PostgreSQL did not start again; {words}");
        }
    }

    /// Kills one backend of the database as `kill -9` does, on which the server ends all others and recovers. `false`: there
    /// was none.
    pub fn kill_a_backend(&self) -> bool {
        let pids = self.sql(
            "select pid from pg_stat_activity where datname = 'party' and pid <> pg_backend_pid() and backend_type = \
             'client backend' limit 1",
        );
        let pid = pids.trim().parse().ok();
        if let Some(pid) = pid {
            send(pid, Signal::KILL);
        }
        pid.is_some()
    }

    /// Ends all sessions of the database, as an administrator does; how many.
    pub fn end_sessions(&self) -> usize {
        let ended = self.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'party' and pid <> pg_backend_pid() \
             and backend_type = 'client backend'",
        );
        ended.lines().count()
    }

    /// Stops the postmaster and all its children as they stand (`SIGSTOP`).
    pub fn stop(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.signal_all(Signal::CONT);
    }

    /// Makes a standby the primary; returns when it writes.
    pub fn promote(&self) {
        assert_eq!(self.sql("select pg_promote(true)").trim(), "t");
    }

    fn in_new_directory() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let certificates = Certificates::make(dir.path());
        Postgres {
            dir,
            port: 0,
            process: None,
            certificates,
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Gives the directory to the account that the server runs as.
    fn own(&self) {
        let Some(account) = account() else { return };
        let (user, group) = ids_of(account);
        let files = std::fs::read_dir(self.dir.path()).expect("a directory");
        let paths = files.map(|file| file.expect("a file").path());
        for path in paths.chain([self.dir.path().to_owned()]) {
            chown(&path, Some(user), Some(group)).expect("it is ours to give");
        }
    }

    /// A program of the server's package, run as the server's account.
    fn program(&self, name: &str) -> Command {
        let mut command = match account() {
            Some(account) => {
                let mut setpriv = Command::new("setpriv");
                setpriv.args(["--reuid", account, "--regid", account, "--clear-groups"]);
                setpriv.arg(format!("{PROGRAMS}/{name}"));
                setpriv
            }
            None => Command::new(format!("{PROGRAMS}/{name}")),
        };
        command.current_dir(self.dir.path());
        command
    }

    fn add_settings(&self, lines: &[String]) {
        use std::io::Write;
        let path = self.data().join("postgresql.auto.conf");
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .expect("initdb made it");
        for line in lines {
            writeln!(file, "{line}").expect("written");
        }
    }

    fn begin_on_a_free_port(&mut self) {
        let mut said = String::new();
        for _ in 0..STARTS {
            self.port = free_ports(1)[0];
            match self.begin() {
                Ok(()) => return,
                Err(words) if words.contains("Address already in use") => said = words,
                Err(words) => panic!("PostgreSQL did not start; {words}"),
            }
        }
        panic!("each time another program took the port; {said}");
    }

    fn begin(&mut self) -> Result<(), String> {
        let args = [
            "-D".to_owned(),
            self.data().display().to_string(),
            "-p".into(),
            self.port.to_string(),
        ];
        let process = Process::start(
            "PostgreSQL",
            account(),
            &format!("{PROGRAMS}/postgres"),
            &args,
        );
        process.wait_for_line(READY)?;
        self.process = Some(process);
        self.sql_in("postgres", "select 1");
        Ok(())
    }

    fn sql_in(&self, database: &str, statement: &str) -> String {
        let port = self.port.to_string();
        let to = [
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "party",
            "-d",
            database,
        ];
        run(Command::new("psql")
            .env("PGPASSWORD", Self::PASSWORD)
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"])
            .args(to)
            .args(["-c", statement]))
    }

    fn signal_all(&self, signal: Signal) {
        let process = self.process.as_ref().expect("the server was killed");
        let pid = process.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
            .expect("Linux tells");
        // The postmaster first, so that it starts no other child meanwhile.
        process.signal(signal);
        for child in children.split_whitespace() {
            send(child.parse().expect("a pid"), signal);
        }
    }
}

/// The account to run the server as, where this process must not be its user.
pub(super) fn account() -> Option<&'static str> {
    geteuid().is_root().then_some(ACCOUNT)
}

/// The numbers of an account and its group.
pub(super) fn ids_of(account: &str) -> (u32, u32) {
    let id = |flag: &str| {
        let said = run(Command::new("id").args([flag, account]));
        said.trim().parse().expect("a number")
    };
    (id("-u"), id("-g"))
}
