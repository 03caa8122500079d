//! The servers that remotes are tested with start, die, stop and come back as the tests need it (`ci/remote`).

use level_party_testkit::{Etcd, Postgres, Proxy, Wire};

#[test]
fn etcd_elects_another_leader_and_takes_the_killed_one_back() {
    let mut etcd = Etcd::start(3);
    let first = etcd.leader(None);
    etcd.kill(first);
    let second = etcd.leader(None);
    assert_ne!(second, first);
    etcd.start_node(first);
    assert_ne!(etcd.leader(None), first);
    etcd.put("a", "1");
    assert_eq!(etcd.count_prefix("a"), 1);
    etcd.delete_prefix("a");
    assert_eq!(etcd.count_prefix("a"), 0);
    let revision = etcd.revision();
    etcd.compact(revision);
    assert_eq!(etcd.revision(), revision);
}

#[test]
fn etcd_elects_another_leader_while_one_is_stopped() {
    let etcd = Etcd::start(3);
    let first = etcd.leader(None);
    etcd.stop(first);
    assert_ne!(etcd.leader(Some(first)), first);
    etcd.resume(first);
}

#[test]
fn etcd_with_tls_starts_and_names_its_authority() {
    let etcd = Etcd::start_with(1, &[], true);
    assert!(etcd.authority().is_some_and(std::path::Path::exists));
    assert!(etcd.url().starts_with("etcd://127.0.0.1:"));
}

#[test]
fn postgres_keeps_rows_over_kills_and_shut_downs() {
    let mut server = Postgres::start(&[]);
    assert!(server.url().contains("@127.0.0.1:"));
    server.sql("create table t (n int); insert into t values (1)");
    server.kill();
    server.start_again();
    server.sql("insert into t values (2)");
    server.shut_down();
    server.start_again();
    assert_eq!(server.sql("select n from t order by n"), "1\n2\n");
    assert!(!server.kill_a_backend());
    assert_eq!(server.end_sessions(), 0);
    assert!(server.authority().exists());
}

#[test]
fn postgres_answers_again_after_a_stop() {
    let server = Postgres::start(&[]);
    server.stop();
    server.resume();
    assert_eq!(server.sql("select 1"), "1\n");
}

#[test]
fn standby_is_promoted_and_writes() {
    let mut primary = Postgres::start(&[]);
    let standby = primary.standby("second");
    primary.set("synchronous_standby_names", "second");
    primary.sql("create table t (n int); insert into t values (1)");
    primary.kill();
    standby.promote();
    standby.sql("insert into t values (2)");
    assert_eq!(standby.sql("select n from t order by n"), "1\n2\n");
}

#[test]
fn proxy_drops_the_answer_to_a_commit_of_postgres() {
    let server = Postgres::start(&[]);
    server.sql("create table t (n int)");
    let proxy = Proxy::start(([127, 0, 0, 1], server.port()).into(), Wire::Postgres);
    let url = format!(
        "postgres://party@127.0.0.1:{}/party?sslmode=disable",
        proxy.address().port()
    );
    // Two statements: when the first is told, the session has begun, and only the second one's answer is dropped.
    let mut psql = std::process::Command::new("psql");
    psql.env("PGPASSWORD", Postgres::PASSWORD)
        .args(["-X", "-q", "-t", "-A", "-d", &url])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    let mut psql = psql.spawn().expect("psql");
    let mut stdin = psql.stdin.take().expect("piped");
    let told = level_party_testkit::Lines::of(psql.stdout.take().expect("piped"));
    std::io::Write::write_all(&mut stdin, b"select 'begun';\n").expect("it reads");
    assert_eq!(
        told.next_within(level_party_testkit::PATIENCE),
        level_party_testkit::Line::Text("begun".into())
    );
    proxy.drop_next_answer();
    std::io::Write::write_all(&mut stdin, b"insert into t values (1);\n").expect("it reads");
    drop(stdin);
    let status = psql.wait().expect("it ends");
    assert!(!status.success(), "{status}");
    assert_eq!(proxy.dropped(), 1);
    assert_eq!(server.sql("select n from t"), "1\n");
}
