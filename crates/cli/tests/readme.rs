//! The README's code compiles and runs: its Rust stands here word for word, and its shell lines are run.

const README: &str = include_str!("../../../README.md");

#[rustfmt::skip]
#[allow(unused_variables)]
async fn from_rust() -> level_party::Result<()> {
    use level_party::{AsyncReadable, BigEndian, Db, Prefix, Readable, Utf8, WatchFrom, WriteBatch};

    let db = Db::open("data")?;                          // in as many processes as you like, in any order
    db.put("a", "1")?;                                   // survives the death of any process; `put_sync` a loss of power too
    let value = db.get("a")?;                            // Option<Vec<u8>>
    db.write(WriteBatch::new().put("b", "2").delete("a"))?; // all of it or none
    for entry in db.range(Prefix("user/")) {             // one moment; goes on if the leader dies in the middle
        let (key, value) = entry?;
    }
    let before = db.snapshot()?;                         // holds over a change of leader
    let visits = db.transaction(|tx| {                   // any keys, atomic for all processes, tried again on conflict
        let n = tx.get("visits")?.map_or(0, |v| u64::from_be_bytes(v.try_into().unwrap())) + 1;
        tx.put("visits", n.to_be_bytes())?;
        Ok(n)
    })?;
    let watch = db.watch("a".."m", WatchFrom::Now)?;     // every process's changes, in order: `for item in watch` gives a change, or a gap
    let users = db.sublevel("users")?;                   // abstract-level's layout: shared with Node's level
    let by_id = users.typed::<BigEndian<u64>, Utf8>();   // keys and values with types
    let value = db.to_async().get("a").await?;           // the same as futures, on any runtime or none
    let status = db.status()?;                           // who leads, who follows, levels, pins
    Ok(())
}

#[test]
fn readme_rust_runs_to_its_end() {
    let place = tempfile::tempdir().expect("a directory");
    std::env::set_current_dir(place.path()).expect("entered");
    futures_lite::future::block_on(from_rust()).expect("it ends");
    assert!(place.path().join("data").is_dir());
}

/// The first block of the page in this language.
fn block(language: &str, containing: &str) -> String {
    let fence = format!("```{language}\n");
    let blocks = README.split(&fence).skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let mut blocks = blocks.filter(|block| block.contains(containing));
    blocks.next().expect("the README has the block").to_string()
}

#[test]
fn readme_rust_is_what_is_compiled_here() {
    let page = block("rust", "Db::open");
    assert!(page.lines().count() <= 20, "the API in twenty lines");
    let indented = |line: &str| match line.is_empty() {
        true => "\n".to_string(),
        false => format!("    {line}\n"),
    };
    let expected: String = page.lines().map(indented).collect();
    assert!(
        include_str!("readme.rs").contains(&expected),
        "from_rust() differs from the README, which has:\n{page}"
    );
}

#[test]
fn readme_has_three_lines_for_c_for_cpp_and_for_python() {
    let blocks = [
        block("sh", "crates/capi/install"),
        block("sh", "preload/install"),
        block("python", "level_party.open"),
    ];
    for block in blocks {
        assert_eq!(block.lines().count(), 3, "{block}");
    }
}

#[cfg(unix)]
#[test]
fn readme_shell_lines_do_what_they_say() {
    use std::path::Path;
    use std::process::Command;

    let place = tempfile::tempdir().expect("a directory");
    let entry = "{\"key\":\"user/a\",\"value\":\"1\"}\n";
    std::fs::write(place.path().join("packages.jsonl"), entry).expect("written");
    let program = Path::new(env!("CARGO_BIN_EXE_level-party"));
    let bin = program.parent().expect("a directory").display();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    let page = block("sh", "level-party put");
    // These stay until they are stopped, or are for another shell.
    let staying = ["watch", "top", "serve", "bench", "completions"];
    let mut run = 0;
    for line in page.lines() {
        if staying
            .iter()
            .any(|word| line.contains(&format!("level-party {word} ")))
        {
            continue;
        }
        let done = Command::new("sh")
            .args(["-c", line])
            .current_dir(place.path())
            .env("PATH", &path)
            .output()
            .expect("a shell");
        let words = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{line}: {words}");
        run += 1;
    }
    assert!(run >= 6, "{run} lines were run");
}
