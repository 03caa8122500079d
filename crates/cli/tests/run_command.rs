//! `run`: what is loaded into which program, and what is refused. That programs share a database so is `ci/preload`'s.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_level-party");

struct Place {
    dir: tempfile::TempDir,
    library: PathBuf,
}

/// A directory with a file that is named as the library; no linker takes it, and says so.
fn place() -> Place {
    let dir = tempfile::tempdir().expect("a directory");
    let library = dir.path().join("library.so");
    fs::write(&library, "no library").expect("written");
    let library = fs::canonicalize(library).expect("there");
    Place { dir, library }
}

fn run(place: &Place, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("run").arg("--library").arg(&place.library);
    command.args(arguments).current_dir(place.dir.path());
    command
        .env_remove("LD_PRELOAD")
        .env_remove("LEVEL_PARTY_ONLY");
    command.output().expect("it runs")
}

fn program(place: &Place, name: &str, contents: &[u8], mode: u32) -> PathBuf {
    let path = place.dir.path().join(name);
    fs::write(&path, contents).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    path
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn program_gets_library_directories_arguments_and_its_exit_code() {
    let place = place();
    let shown = "echo \"$LD_PRELOAD|$LEVEL_PARTY_ONLY|$0|$1\"; exit 7";
    let run = run(
        &place,
        &[
            "--only", "a", "--only", "/b", "--", "sh", "-c", shown, "x", "--y",
        ],
    );
    assert_eq!(run.status.code(), Some(7));
    let here = fs::canonicalize(place.dir.path()).expect("there");
    let expected = format!(
        "{}|{}/a:/b|x|--y\n",
        place.library.display(),
        here.display()
    );
    assert_eq!(String::from_utf8_lossy(&run.stdout), expected);
}

#[test]
fn library_is_loaded_first_and_shares_every_directory() {
    let place = place();
    let mut command = Command::new(PROGRAM);
    command.args([
        "run",
        "--",
        "sh",
        "-c",
        "echo \"$LD_PRELOAD|${LEVEL_PARTY_ONLY-none}\"",
    ]);
    command.env("LEVEL_PARTY_PRELOAD", &place.library);
    command
        .env("LD_PRELOAD", "other.so")
        .env("LEVEL_PARTY_ONLY", "x");
    let output = command.output().expect("it runs");
    let expected = format!("{}:other.so|none\n", place.library.display());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn programs_into_which_nothing_is_loaded_are_refused() {
    let place = place();
    let own = fs::read(PROGRAM).expect("read");
    let mut fixed = vec![0_u8; 64];
    fixed[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let fixed = program(&place, "fixed", &fixed, 0o755);
    let script = format!("#!{}\n", fixed.display());
    let cases = [
        (
            program(&place, "setuid", &own, 0o4755),
            "it is setuid or setgid",
        ),
        (fixed, "it is linked statically"),
        (
            program(&place, "script", script.as_bytes(), 0o755),
            "reads it: it is linked statically",
        ),
        (Path::new("/nowhere/at-all").to_path_buf(), "No such file"),
        (PathBuf::from("no-such-program-anywhere"), "in PATH"),
    ];
    for (path, why) in cases {
        let output = run(&place, &["--", path.to_str().expect("text")]);
        assert_eq!(output.status.code(), Some(2), "{}", path.display());
        assert!(
            said(&output).contains(why),
            "{}: {}",
            path.display(),
            said(&output)
        );
    }
}

#[test]
fn missing_library_is_named_with_what_makes_it() {
    let mut command = Command::new(PROGRAM);
    command
        .args(["run", "--", "true"])
        .env_remove("LEVEL_PARTY_PRELOAD");
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("preload/install"),
        "{}",
        said(&output)
    );
    let place = place();
    for (arguments, library, why) in [
        (&["--library", "none.so"][..], "", "none.so"),
        (&["--only", "a:b"][..], "library.so", "colon"),
    ] {
        let mut command = Command::new(PROGRAM);
        command.arg("run").args(arguments).args(["--", "true"]);
        command.env("LEVEL_PARTY_PRELOAD", place.dir.path().join(library));
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(why), "{}", said(&output));
    }
}
