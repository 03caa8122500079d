//! Finds the library and the program, says what keeps the one from being loaded into the other, and becomes the program.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::elf::{Loader, loader};
use crate::failure::{Failure, Result};

const NAME: &str = "liblevel_party_preload.so";
const VARIABLE: &str = "LEVEL_PARTY_PRELOAD";

/// The library that is loaded.
pub fn library(named: Option<PathBuf>) -> Result<PathBuf> {
    let named = named.or_else(|| env::var_os(VARIABLE).map(PathBuf::from));
    let found = match named {
        Some(named) => named,
        None => beside_program().ok_or_else(|| {
            Failure::Usage(format!(
                "{NAME} is neither beside this program nor in ../lib\nhint: `preload/install PREFIX` of level-party's sources makes it; --library or {VARIABLE} says where it is"
            ))
        })?,
    };
    let path = fs::canonicalize(&found)
        .map_err(|error| Failure::Usage(format!("cannot load {}: {error}", found.display())))?;
    // What LD_PRELOAD has between its entries.
    match path
        .as_os_str()
        .as_bytes()
        .iter()
        .any(|byte| b" :".contains(byte))
    {
        true => Err(Failure::Usage(format!(
            "cannot load {}: its path has a space or a colon",
            path.display()
        ))),
        false => Ok(path),
    }
}

fn beside_program() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let directory = program.parent()?;
    let places = [directory.join(NAME), directory.join("../lib").join(NAME)];
    places.into_iter().find(|place| place.is_file())
}

/// The directories whose databases are shared, as the library reads them. `None`: all.
pub fn chosen(only: &[PathBuf]) -> Result<Option<OsString>> {
    let mut list = OsString::new();
    for directory in only {
        let full = std::path::absolute(directory);
        let full = full.map_err(|error| Failure::Usage(format!("--only: {error}")))?;
        if full.as_os_str().as_bytes().contains(&b':') {
            return Err(Failure::Usage(format!(
                "--only {}: its path has a colon, which stands between directories",
                directory.display()
            )));
        }
        if !list.is_empty() {
            list.push(":");
        }
        list.push(full);
    }
    Ok((!only.is_empty()).then_some(list))
}

/// Becomes the program, with the library loaded before its own.
pub fn become_program(program: &[OsString], library: &Path, only: Option<OsString>) -> Result<()> {
    let Some((name, arguments)) = program.split_first() else {
        return Err(Failure::Usage("no program is named".into()));
    };
    let path = find(name)?;
    if let Some(why) = what_keeps_it_out(&path) {
        return Err(Failure::Usage(format!(
            "{} can't share its databases: {why}",
            path.display()
        )));
    }
    let mut preload = library.as_os_str().to_owned();
    if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    let mut command = Command::new(&path);
    command
        .arg0(name)
        .args(arguments)
        .env("LD_PRELOAD", preload);
    match only {
        Some(only) => command.env("LEVEL_PARTY_ONLY", only),
        None => command.env_remove("LEVEL_PARTY_ONLY"),
    };
    // It comes back only where that failed.
    let error = command.exec();
    Err(Failure::Usage(format!(
        "cannot run {}: {error}",
        path.display()
    )))
}

/// The program's file, as a shell finds it.
fn find(name: &OsStr) -> Result<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let paths = env::var_os("PATH").unwrap_or_default();
    let is_program = |path: &PathBuf| {
        fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let mut found = env::split_paths(&paths).map(|directory| directory.join(name));
    found
        .find(is_program)
        .ok_or_else(|| Failure::Usage(format!("there is no program {} in PATH", name.display())))
}

/// Why nothing is loaded into the program; `None`: nothing that can be seen. What can't be read is left to the system,
/// which says what is wrong when the program is run.
fn what_keeps_it_out(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    if meta.permissions().mode() & 0o6000 != 0 {
        return Some(
            "it is setuid or setgid, and the system loads nothing into such a program".into(),
        );
    }
    match loader(path).ok()? {
        Loader::Glibc | Loader::Unknown => None,
        Loader::None => Some("it is linked statically, and nothing can be loaded into it".into()),
        Loader::Other(name) => Some(format!(
            "it is loaded by {name}, of another C library than this program's"
        )),
        // Of a script what matters is who reads it.
        Loader::Script(interpreter) => match loader(&interpreter).ok()? {
            Loader::Script(_) => None,
            _ => what_keeps_it_out(&interpreter)
                .map(|why| format!("{} reads it: {why}", interpreter.display())),
        },
    }
}
