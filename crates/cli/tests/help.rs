//! What a newcomer reads first.

use level_party_testkit::run;

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");
const COMMANDS: [&str; 9] = [
    "get", "put", "del", "scan", "import", "export", "status", "exec", "demo",
];

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let help = run(PROGRAM, ["--help"]).success();
    for command in COMMANDS {
        let named = help
            .text()
            .lines()
            .any(|line| line.trim_start().starts_with(&format!("{command} ")));
        assert!(named, "{command} is missing in:\n{}", help.text());
    }
    assert!(
        help.text()
            .contains("Exit codes: 0 done, 1 not found or a difference, 2 wrong usage, 3")
    );
}

#[test]
fn each_command_has_help_of_its_own() {
    let has = |command: &str, words: &[&str]| {
        let help = run(PROGRAM, [command, "--help"]).success();
        for word in words {
            assert!(
                help.text().contains(word),
                "{command} --help lacks {word:?}:\n{}",
                help.text()
            );
        }
    };
    for command in COMMANDS.into_iter().filter(|command| *command != "demo") {
        has(
            command,
            &[
                "Usage: level-party",
                "The LevelDB directory",
                "--retry",
                "--timeout",
                "--open-timeout",
            ],
        );
    }
    has("get", &["<KEY>...", "--raw", "--json"]);
    has("put", &["<KEY> <VALUE>...", "--sync", "--create"]);
    has("del", &["<KEY>...", "--sync"]);
    has(
        "scan",
        &[
            "--gt ",
            "--gte ",
            "--lt ",
            "--lte ",
            "--prefix ",
            "--reverse",
            "--limit ",
            "--keys",
            "--values",
            "--json",
        ],
    );
    has("import", &["[FILE]", "--sync", "--create", "base64"]);
    has("export", &["[FILE]", "--prefix", "base64"]);
    has("status", &["--json"]);
    has("exec", &["--sync", "--create", "docs/EXEC.md"]);
    has("demo", &["[DIR]", "--seconds", "--kills"]);
}

#[test]
fn the_version_is_the_crates() {
    let version = run(PROGRAM, ["--version"]).success();
    assert_eq!(
        version.text(),
        format!("level-party {}\n", env!("CARGO_PKG_VERSION"))
    );
}
