//! A table that is damaged while the engine is open: it is set aside, nothing else stands still.

use level_party_engine::{ErrorKind, Fs, MemFs, Options};

use crate::support::{contents, get, open, put, settle, sweep, tiny};

fn value(number: u64) -> Vec<u8> {
    // What does not compress, so that tables fill up.
    let mut rng = crate::support::Rng(number);
    (0..60).map(|_| rng.next() as u8).collect()
}

#[test]
fn compaction_sets_a_table_with_a_bad_block_aside() {
    let fs = MemFs::new();
    let engine = open(&fs, &tiny());
    for number in 0..400u64 {
        put(
            &engine,
            format!("bad/{number:04}").as_bytes(),
            &value(number),
        )
        .unwrap();
    }
    engine.compact_range(None, None).unwrap();
    settle(&engine, tiny().max_file_size);
    let level = engine
        .stats()
        .files_per_level
        .iter()
        .rposition(|n| *n > 0)
        .unwrap();
    let victim = engine.view().unwrap().version.level(level)[1].number;
    let name = format!("{victim:06}.ldb");
    fs.change(&name, |bytes| bytes[5] ^= 1).unwrap();

    // A compaction that must read it fails for who asked, and touches nothing.
    put(&engine, b"bad/0000", b"new").unwrap();
    put(&engine, b"bad/0399", b"new").unwrap();
    let error = engine.compact_range(None, None).unwrap_err();
    assert_eq!(
        (error.kind(), error.file()),
        (ErrorKind::Corruption, Some(name.as_str()))
    );

    // Written over again and again, until the tables above want to go where it is; beside it all goes on.
    for round in 0..20u64 {
        for number in 0..400u64 {
            let written = put(
                &engine,
                format!("good/{number:04}").as_bytes(),
                &value(round ^ number),
            );
            written.unwrap();
        }
        for number in 0..400u64 {
            put(
                &engine,
                format!("bad/{number:04}").as_bytes(),
                &value(round),
            )
            .unwrap();
        }
        engine.flush().unwrap();
    }
    assert_eq!(get(&engine, b"bad/0000").unwrap(), value(19));
    assert_eq!(get(&engine, b"good/0399").unwrap(), value(0x13 ^ 0x18f));
    let version = engine
        .view()
        .unwrap()
        .version
        .files()
        .map(|(_, f)| f.number)
        .collect::<Vec<_>>();
    assert!(version.contains(&victim), "it stays where it is");
    assert!(fs.exists(&name).unwrap());
    let told = engine.stats().background_error.unwrap();
    assert!(told.contains(&name), "{told}");
    // Mended, it is whole again: nothing of it was dropped.
    fs.change(&name, |bytes| bytes[5] ^= 1).unwrap();
    assert_eq!(contents(&engine).len(), 800);
}

#[test]
fn writes_go_on_where_level_zero_is_stuck() {
    let fs = MemFs::new();
    let options = Options {
        write_buffer_size: 8 << 10,
        ..tiny()
    };
    let engine = open(&fs, &options);
    for number in 0..300u64 {
        put(&engine, format!("{number:04}").as_bytes(), &value(number)).unwrap();
    }
    engine.compact_range(None, None).unwrap();
    sweep(&engine);
    let tables = crate::support::names(&fs, ".ldb");
    for table in &tables {
        fs.change(table, |bytes| bytes[5] ^= 1).unwrap();
    }
    let mut round = 0;
    let error = loop {
        let number = round % 300;
        match put(&engine, format!("{number:04}").as_bytes(), &value(round)) {
            Ok(_) => round += 1,
            Err(error) => break error,
        }
        assert!(round < 100_000, "the writers were never told");
    };
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(
        tables
            .iter()
            .any(|table| Some(table.as_str()) == error.file())
    );
    let told = engine.stats().background_error.unwrap();
    assert!(
        tables.iter().any(|table| told.contains(table.as_str())),
        "{told}"
    );
    // Every acknowledged write is there.
    let last = round - 1;
    assert_eq!(
        get(&engine, format!("{:04}", last % 300).as_bytes()).unwrap(),
        value(last)
    );
    engine.close().unwrap();
}
