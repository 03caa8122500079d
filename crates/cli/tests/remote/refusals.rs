//! What a server refuses: the table of docs/REMOTE.md, checked against PostgreSQL and etcd.

use level_party::{Compression, Db, ErrorKind, Lead, Options, WriteBatch};
use level_party_testkit::{Etcd, Postgres};

const PAGE: &str = include_str!("../../../../docs/REMOTE.md");

/// Rows of the page's table of refusals: what is called, and what the server of this column answers.
fn table(server: &str) -> Vec<(String, String)> {
    let section = PAGE
        .split("## What a server refuses")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("the section");
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let mut rows = rows.map(|line| -> Vec<&str> {
        let cells = line.trim_matches('|').split('|');
        cells.map(str::trim).collect()
    });
    let heads = rows.next().expect("a head");
    let column = heads.iter().position(|head| *head == server);
    let column = column.expect("a column of the server");
    rows.map(|cells| (cells[0].to_owned(), cells[column].to_owned()))
        .collect()
}

fn named(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn postgres_refuses_calls_as_the_table_says() {
    check("PostgreSQL", &Postgres::start(&[]).url());
}

#[test]
fn etcd_refuses_calls_as_the_table_says() {
    check("etcd", &Etcd::start(1).url());
}

fn check(server: &str, url: &str) {
    let db = Db::open(url).expect("opened");
    let dir = tempfile::tempdir().expect("a directory");
    let mut checked = 0;
    for (calls, answer) in table(server) {
        for call in named(&calls) {
            let refused = match call {
                "verify" => db.verify().map(drop),
                "checkpoint" => db.checkpoint(dir.path().join("copy")).map(drop),
                "compact_range" => db.compact_range(..),
                "yield_leadership" => db.yield_leadership().map(drop),
                "acknowledge_losses" => db.acknowledge_losses().map(drop),
                "Db::repair" => Db::repair(url).map(drop),
                "Db::destroy" => Db::destroy(url).map(drop),
                "property" => {
                    assert_eq!(db.property("leveldb.stats").unwrap(), None);
                    checked += 1;
                    continue;
                }
                option => match options(option).open(url) {
                    Err(error) => {
                        assert!(error.message().contains(option), "{error}");
                        Err(error)
                    }
                    Ok(_) => panic!("{option} was ignored"),
                },
            };
            let kind = refused.expect_err(call).kind();
            assert!(
                answer.contains(kind.as_str()),
                "{call}: {kind} is not {answer}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 18, "{checked} calls");
    assert!(!dir.path().join("copy").exists());
}

fn options(name: &str) -> Options {
    let options = Db::options();
    match name {
        "comparator" => options.comparator(Backwards),
        "lead" => options.lead(Lead::Never),
        "compression" => options.compression(Compression::None),
        "write_buffer_size" => options.write_buffer_size(1 << 20),
        "block_size" => options.block_size(1 << 10),
        "max_file_size" => options.max_file_size(1 << 20),
        "bloom_bits_per_key" => options.bloom_bits_per_key(10),
        "block_cache_bytes" => options.block_cache_bytes(0),
        "map_tables" => options.map_tables(true),
        "watch_history_bytes" => options.watch_history_bytes(0),
        other => panic!("the page names {other}, which is not checked"),
    }
}

struct Backwards;

impl level_party::Comparator for Backwards {
    fn name(&self) -> &'static str {
        "test.Backwards"
    }
    fn compare(&self, a: &[u8], b: &[u8]) -> std::cmp::Ordering {
        b.cmp(a)
    }
}

#[test]
fn keys_and_passwords_and_missing_databases_are_told_apart() {
    let server = Postgres::start(&[]);
    let db = Db::open(server.url()).expect("opened");
    let most = db.limits().key_bytes;
    // Bytes that no index can compress.
    let mut seed = 7_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let key: Vec<u8> = (0..=most).map(|_| random()).collect();
    db.put(&key[..most], "longest").unwrap();
    db.write(WriteBatch::new().put("a", "1").delete(&key[..most]))
        .unwrap();
    let error = db.put(&key, "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains(&most.to_string()), "{error}");
    assert!(
        !format!("{error} {error:?} {db:?}").contains("pass"),
        "{error:?} {db:?}"
    );

    let wrong = server.url().replace("%2F%25", "xyzzy");
    let error = Db::open(&wrong).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(!format!("{error} {error:?}").contains("xyzzy"), "{error:?}");

    let missing = format!("{}?schema=none", server.url());
    let error = Db::options()
        .create_if_missing(false)
        .open(&missing)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = Db::options()
        .error_if_exists(true)
        .open(server.url())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    let viewer = Db::options()
        .reject_writes(true)
        .open(server.url())
        .unwrap();
    assert_eq!(viewer.put("a", "").unwrap_err().kind(), ErrorKind::ReadOnly);
    let status = db.status().unwrap();
    let told = status.server.expect("a server");
    assert!(told.product.starts_with("PostgreSQL 15"), "{told:?}");
    assert!(
        !told.synchronous_standby && !format!("{told:?}").contains("pass"),
        "{told:?}"
    );
    db.close().unwrap();
    assert_eq!(db.put("a", "").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn certificates_are_checked() {
    let server = Postgres::start(&[]);
    let authority = server.authority().display();
    let by_name = server.url().replace("127.0.0.1", "localhost");
    let good = format!("{by_name}?sslmode=verify-full&sslrootcert={authority}");
    Db::open(&good)
        .expect("its authority is known")
        .put("a", "1")
        .unwrap();
    let unknown = format!("{by_name}?sslmode=verify-full");
    let refused = Db::options()
        .open_timeout(std::time::Duration::from_secs(1))
        .open(&unknown)
        .unwrap_err();
    assert!(
        refused.message().to_lowercase().contains("certificate"),
        "{refused}"
    );
}
