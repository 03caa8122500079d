//! PostgreSQL beside its plain work: several hosts, poolers, users with few rights, certificates, locks that others hold.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use level_party::{Db, ErrorKind, Options, Readable, WatchFrom, WatchItem};
use level_party_testkit::{ExecChild, Line, Lines, PATIENCE, Pooler, Postgres};
use serde_json::json;

use crate::faults::both;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

fn wait_until(mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < patience, "it does not come about");
    }
}

fn text(db: &Db, key: &str) -> Option<String> {
    let value = db.get(key).expect("read");
    value.map(|value| String::from_utf8(value).expect("text"))
}

#[test]
fn promoted_server_is_used_while_the_old_primary_runs() {
    let primary = Postgres::start(&[]);
    let standby = primary.standby("second");
    let before = Db::open(both(&primary, &standby)).unwrap();
    before.put("a", "old").unwrap();
    standby.promote();
    Db::open(standby.url()).unwrap().put("a", "new").unwrap();
    // Neither has seen the promoted server, and the old primary takes writes still.
    for url in [both(&primary, &standby), both(&standby, &primary)] {
        let fresh = Db::open(url).unwrap();
        assert_eq!(text(&fresh, "a").as_deref(), Some("new"));
        fresh.put("b", "new").unwrap();
    }
    assert!(primary.end_sessions() > 0);
    assert_eq!(text(&before, "a").as_deref(), Some("new"));
    before.put("a", "newer").unwrap();
    let old = "select convert_from(v, 'UTF8') from level_party.kv order by k";
    assert_eq!(primary.sql(old), "old\n");
    assert_eq!(standby.sql(old), "newer\nnew\n");
}

#[test]
fn stopped_primary_is_passed_over_for_the_promoted_server() {
    let primary = Postgres::start(&[]);
    let standby = primary.standby("second");
    let options = Db::options().timeout(Duration::from_secs(5));
    let db = options.clone().open(both(&primary, &standby)).unwrap();
    db.put("a", "1").unwrap();
    let behind =
        "select count(*) from pg_stat_replication where replay_lsn <> pg_current_wal_lsn()";
    wait_until(|| primary.sql(behind) == "0\n");
    primary.stop();
    standby.promote();
    wait_until(|| db.get("a").is_ok());
    db.put("a", "2").unwrap();
    let fresh = options.open(both(&primary, &standby)).unwrap();
    assert_eq!(text(&fresh, "a").as_deref(), Some("2"));
    primary.resume();
}

#[test]
fn host_that_takes_connections_and_is_silent_is_passed_over() {
    let server = Postgres::start(&[]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.port().to_string();
    let two = format!("{},127.0.0.1:{port}", silent.local_addr().unwrap().port());
    let db = Db::open(server.url().replace(&port, &two)).unwrap();
    db.put("a", "1").unwrap();
    assert_eq!(text(&db, "a").as_deref(), Some("1"));
}

/// A session of `psql` that ran `statement`.
fn session(server: &Postgres, name: &str, statement: &str) -> Child {
    let mut psql = server.session(name).spawn().expect("psql");
    let lines = Lines::of(psql.stdout.take().expect("piped"));
    let input = psql.stdin.as_mut().expect("piped");
    writeln!(input, "{statement}; select 'done';").expect("it reads");
    loop {
        match lines.next_within(PATIENCE) {
            Line::Text(text) if text == "done" => return psql,
            Line::Text(_) => {}
            end => panic!("{statement}: {end:?}"),
        }
    }
}

#[test]
fn writer_that_waits_for_a_session_is_told_which() {
    let server = Postgres::start(&[]);
    let open = |timeout| {
        Db::options()
            .timeout(Duration::from_secs(timeout))
            .open(server.url())
    };
    let (db, other) = (open(3).unwrap(), open(60).unwrap());
    db.put("a", "1").unwrap();
    let lock = "begin; select from level_party.meta for update";
    let mut psql = session(&server, "report", lock);
    let pid = server.sql("select pid from pg_stat_activity where application_name = 'report'");
    std::thread::scope(|threads| {
        // It stands in the queue before, and is not the one to name.
        threads.spawn(|| other.put("b", "1").unwrap());
        let is_waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        wait_until(|| server.sql(is_waiting) != "0\n");
        let late = threads.spawn(|| db.put("a", "2").unwrap_err());
        let queued = db.put("a", "3").unwrap_err();
        let status = db.status().unwrap();
        let trouble = format!("{:?}", status.last_trouble);
        for told in [
            late.join().unwrap().to_string(),
            queued.to_string(),
            trouble,
        ] {
            for part in [pid.trim(), "report", "127.0.0.1", "idle in transaction"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
        drop(psql.stdin.take());
        psql.wait().unwrap();
    });
    db.put("a", "4").unwrap();
}

#[test]
fn clients_stopped_in_large_writes_hold_no_others_up() {
    let server = Postgres::start(&[]);
    let db = Db::options().timeout(PATIENCE).open(server.url()).unwrap();
    let mut clients: Vec<ExecChild> = (0..3)
        .map(|_| ExecChild::spawn(PROGRAM, server.url()))
        .collect();
    let value = "x".repeat(2 << 20);
    let mut random = fastrand::Rng::with_seed(7);
    let mut longest = Duration::from_millis(1);
    for round in 0..crate::faults::rounds() * 4 {
        let begun = Instant::now();
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(&json!({"op": "put", "key": format!("big/{n}"), "value": value}));
        }
        for client in &mut clients {
            // Any moment of such a write.
            std::thread::sleep(longest.mul_f64(random.f64() / 3.0));
            client.pause();
        }
        for n in 0..20 {
            db.put(format!("small/{n}"), round.to_string()).unwrap();
        }
        for client in &mut clients {
            client.resume();
            assert_eq!(client.answer()["ok"], true);
        }
        longest = if round == 0 { begun.elapsed() } else { longest };
    }
}

/// One message of PostgreSQL's protocol.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind], &length[..], body].concat()
}

/// Reads messages until one of this kind.
fn read_until(socket: &mut TcpStream, kind: u8) {
    loop {
        let mut head = [0; 5];
        socket.read_exact(&mut head).expect("the server answers");
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        socket.read_exact(&mut body).expect("the server answers");
        assert_ne!(head[0], b'E', "{}", String::from_utf8_lossy(&body));
        if head[0] == kind {
            return;
        }
    }
}

#[test]
fn client_that_stopped_before_its_sync_is_ended_by_a_writer() {
    let server = Postgres::start(&[]);
    server.add_rule("host all party 127.0.0.1/32 trust");
    let db = Db::options().timeout(PATIENCE).open(server.url()).unwrap();
    db.put("a", "1").unwrap();
    server.sql("insert into level_party.session (id) values (decode(repeat('07', 16), 'hex'))");
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let startup = b"\0\x03\0\0user\0party\0database\0party\0\0";
    let length = (startup.len() as u32 + 4).to_be_bytes();
    socket.write_all(&[&length, &startup[..]].concat()).unwrap();
    read_until(&mut socket, b'Z');
    let call = format!(
        "\0SELECT \"level_party\".write(decode(repeat('07', 16), 'hex'), 1, 1, 0, false{})\0\0\0",
        ", '{}'".repeat(12)
    );
    let parse = message(b'P', call.as_bytes());
    let bind = message(b'B', &[0; 8]);
    let execute = message(b'E', &[0; 5]);
    // A flush has the server tell what it did so far; a sync would end the transaction.
    let flush = message(b'H', &[]);
    socket
        .write_all(&[parse, bind, execute, flush].concat())
        .unwrap();
    read_until(&mut socket, b'C');
    db.put("a", "2").expect("the other was ended");
    assert_eq!(
        socket.read(&mut [0; 5]).map_or(0, |read| read.min(1)),
        1,
        "it is told why"
    );
    assert_eq!(server.sql("select count(*) from level_party.commits where session = decode(repeat('07', 16), 'hex')"), "0\n");
}

#[test]
fn transaction_pooler_is_refused_and_a_session_pooler_is_not() {
    let server = Postgres::start(&[]);
    let modes = [
        "pool_mode = transaction",
        "pool_mode = transaction\nserver_round_robin = 1",
        "pool_mode = transaction\ndefault_pool_size = 1",
        "pool_mode = statement",
    ];
    for mode in modes {
        let pooler = Pooler::start(&server, &[mode]);
        let refused = Db::open(pooler.url()).expect_err(mode);
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{mode}: {refused}");
        assert!(
            refused.message().contains("pool_mode = session"),
            "{refused}"
        );
    }
    let pooler = Pooler::start(&server, &["pool_mode = session"]);
    let db = Db::open(pooler.url()).unwrap();
    let mut watch = db.watch(.., WatchFrom::Now).unwrap();
    db.put("a", "1").unwrap();
    assert_eq!(text(&db, "a").as_deref(), Some("1"));
    let told = watch.next_timeout(PATIENCE).unwrap();
    assert!(matches!(told, Some(WatchItem::Change(_))), "{told:?}");
}

#[test]
fn founder_whose_commit_lost_its_connection_knows_its_work() {
    let server = Postgres::start(&[]);
    // Its commit waits for a standby that is not there.
    server.set("synchronous_standby_names", "nobody");
    let options = || Db::options().error_if_exists(true);
    std::thread::scope(|threads| {
        let founder = threads.spawn(|| options().open(server.url()));
        let commit = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        wait_until(|| server.sql(commit) == "1\n");
        assert!(server.end_sessions() >= 1);
        server.set("synchronous_standby_names", "");
        founder.join().unwrap().expect("it is its own database");
    });
    let other = options().open(server.url()).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::AlreadyExists, "{other}");
}

#[test]
fn user_who_may_only_select_reads_and_is_told_what_writing_needs() {
    let server = Postgres::start(&[]);
    let db = Db::open(server.url()).unwrap();
    db.put("a", "1").unwrap();
    server.sql("create role ada login password 'word'");
    let url = server.url_of("ada", "word");
    let refused = Db::open(&url).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    assert!(refused.message().contains("USAGE"), "{refused}");
    // As docs/REMOTE.md has them.
    server.sql("grant usage on schema level_party to ada");
    server.sql("grant select on all tables in schema level_party to ada");
    let reader = Db::open(&url).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let mut watch = reader.watch(.., WatchFrom::Now).unwrap();
    db.put("a", "2").unwrap();
    assert_eq!(text(&reader, "a").as_deref(), Some("2"));
    assert_eq!(snapshot.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(reader.iter().count(), 1);
    let told = watch.next_timeout(PATIENCE).unwrap();
    assert!(matches!(told, Some(WatchItem::Change(_))), "{told:?}");
    let refused = reader.put("a", "3").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    assert!(
        refused.message().contains("INSERT, UPDATE and DELETE"),
        "{refused}"
    );
    server.sql("grant insert, update, delete on all tables in schema level_party to ada");
    reader.put("a", "3").unwrap();
    assert_eq!(text(&db, "a").as_deref(), Some("3"));
    let elsewhere = Db::open(format!("{url}?schema=hers")).unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::PermissionDenied, "{elsewhere}");
    assert!(elsewhere.message().contains("CREATE"), "{elsewhere}");
}

#[test]
fn certificate_for_another_name_or_of_nobody_ends_the_opening() {
    let server = Postgres::start(&["listen_addresses = '127.0.0.1,127.0.0.2'"]);
    let authority = server.authority().display();
    // With all the time of an opening: nothing is tried again.
    let refused = |url: String| {
        Options::default()
            .open_timeout(PATIENCE * 10)
            .open(url)
            .unwrap_err()
    };
    let named = server.url().replace("127.0.0.1", "127.0.0.2");
    let cases = [
        (
            format!("{named}?sslrootcert={authority}"),
            "not for the name",
        ),
        (
            format!("{}?sslmode=verify-full", server.url()),
            "not trusted",
        ),
    ];
    for (url, words) in cases {
        let error = refused(url);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn client_with_a_certificate_is_let_in_and_its_key_is_checked() {
    use std::os::unix::fs::PermissionsExt;
    let server = Postgres::start(&[]);
    server.sql("create role ada login; grant create on database party to ada");
    let (certificate, key) = server.let_in_by_certificate("ada");
    let authority = server.authority().display();
    let base = server.url_of("ada", "").replace(":@", "@");
    let base = format!("{base}?schema=hers&sslrootcert={authority}");
    let with = |certificate: &Path, key: &Path| {
        let (certificate, key) = (certificate.display(), key.display());
        Db::open(format!("{base}&sslcert={certificate}&sslkey={key}"))
    };
    let db = with(&certificate, &key).unwrap();
    db.put("a", "1").unwrap();
    assert_eq!(text(&db, "a").as_deref(), Some("1"));
    let none = Db::open(&base).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::PermissionDenied, "{none}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open_key = with(&certificate, &key).unwrap_err();
    assert_eq!(open_key.kind(), ErrorKind::PermissionDenied, "{open_key}");
    assert!(open_key.message().contains("chmod 600"), "{open_key}");
    let missing = with(&certificate, Path::new("/none/there")).unwrap_err();
    assert!(missing.message().contains("/none/there"), "{missing}");
}
