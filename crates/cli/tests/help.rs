//! What a newcomer reads first: every command's help, word for word as in `tests/help/`, and the pages made of it.

use std::path::Path;

use level_party_testkit::run;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

/// The commands as the help lists them.
fn commands() -> Vec<String> {
    let help = run(PROGRAM, ["--help"]).success();
    let list = help.text().split("Commands:\n").nth(1).expect("a list");
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_string).collect()
}

/// Compares with a committed file; with `UPDATE_HELP=1` in the environment it writes the file instead.
fn same_as_file(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/help")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_HELP").is_some() {
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        std::fs::write(&file, text).expect("written");
    }
    let committed = std::fs::read_to_string(&file).expect("a committed file");
    assert!(
        committed == text,
        "{name}: the help differs from tests/help/{name}.txt; UPDATE_HELP=1 writes it anew. It is now:\n{text}"
    );
}

#[test]
fn the_help_is_what_was_committed() {
    same_as_file("level-party", run(PROGRAM, ["--help"]).success().text());
    let commands = commands();
    for name in &commands {
        if name != "help" {
            let help = run(PROGRAM, [name.as_str(), "--help"]).success();
            same_as_file(name, help.text());
        }
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        assert!(
            name == "level-party" || commands.iter().any(|command| *command == name),
            "tests/help/{name}.txt is of no command"
        );
    }
}

#[test]
fn each_command_that_opens_a_database_says_how() {
    for name in commands() {
        if [
            "help",
            "demo",
            "completions",
            "man",
            "destroy",
            "repair",
            "run",
        ]
        .contains(&name.as_str())
        {
            continue;
        }
        let help = run(PROGRAM, [name.as_str(), "--help"]).success();
        for word in [
            "Usage: level-party",
            "--retry",
            "--timeout",
            "--open-timeout",
        ] {
            assert!(help.text().contains(word), "{name} --help lacks {word:?}");
        }
    }
}

#[test]
fn each_command_that_reports_does_so_in_json_too() {
    // These speak JSON as they are, draw a screen, or print what is for other programs anyway.
    let others = ["export", "exec", "run", "top", "completions", "man"];
    for name in commands().iter().filter(|name| *name != "help") {
        let help = run(PROGRAM, [name.as_str(), "--help"]).success();
        let has = help.text().contains("--json");
        assert_eq!(has, !others.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let page = run(PROGRAM, ["man"]).success();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let words = run(PROGRAM, ["completions", shell]).success();
        for name in commands() {
            assert!(words.text().contains(&name), "{shell} lacks {name}");
        }
    }
    for name in commands().iter().filter(|name| *name != "help") {
        let linked = format!("level\\-party\\-{name}(1)");
        assert!(page.text().contains(&linked), "the page lacks {linked}");
        let own = run(PROGRAM, ["man", name.as_str()]).success();
        assert!(own.text().contains(".SH SYNOPSIS"), "{name}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    run(
        PROGRAM,
        ["man".as_ref(), "--out".as_ref(), dir.path().as_os_str()],
    )
    .success();
    assert!(dir.path().join("level-party-scan.1").exists());
    let pages = std::fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(
        pages,
        commands().len(),
        "one of each command but help, and the program's own"
    );
}

#[test]
fn the_version_is_the_crates() {
    let version = run(PROGRAM, ["--version"]).success();
    assert_eq!(
        version.text(),
        format!("level-party {}\n", env!("CARGO_PKG_VERSION"))
    );
}
