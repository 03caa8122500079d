//! What the README shows compiles and runs: its Rust stands here word for word, its shell lines are run.

const README: &str = include_str!("../../../README.md");

/// Not called: the watch in it waits for ever. What its calls do is tested elsewhere; that they exist is tested by the compiler.
#[rustfmt::skip]
#[allow(dead_code, unused_variables, clippy::never_loop, clippy::let_unit_value)]
async fn from_rust() -> level_party::Result<()> {
    let db = level_party::Db::open("data")?;             // in as many processes as you like, in any order
    db.put("a", "1")?;
    let value = db.get("a")?;                            // Option<Vec<u8>>
    db.batch().put("b", "2").delete("a").sync(true).write()?;
    for entry in db.range("a".."m") {                    // one moment; goes on if the leader dies in the middle
        let (key, value) = entry?;
    }
    let before = db.snapshot()?;                         // holds over a change of leader
    let visits: u64 = db.transaction(|tx| {              // any keys, atomic for all processes, tried again on conflict
        let n = tx.get("visits")?.map_or(0, |v| u64::from_be_bytes(v.try_into().unwrap())) + 1;
        tx.put("visits", n.to_be_bytes())?;
        Ok::<_, level_party::Error>(n)
    })?;
    for item in db.watch("user/".."user0", level_party::WatchFrom::Now)? { /* every process's changes, in order */ }
    let users = db.sublevel("users")?;                   // abstract-level's layout: shared with Node's level
    let by_id = users.typed::<level_party::BigEndian<u64>, level_party::Utf8>();
    let value = db.to_async().get("a").await?;           // the same as futures, on any runtime or none
    let status = db.status()?;                           // who leads, who follows, levels, pins
    let db = level_party::Db::options().retry(false).open("data")?; // what a leader was asked to do ends with ConnectionLost instead
    Ok(())
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
fn the_readmes_rust_is_what_is_compiled_here() {
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

#[cfg(unix)]
#[test]
fn the_readmes_shell_lines_do_what_they_say() {
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
