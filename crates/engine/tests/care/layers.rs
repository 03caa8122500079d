//! The engine's sources are layers: a module uses those of its own layer and of the layers below, and no circle.
//!
//! It reads every path that begins with `crate::`, outside of comments and unit tests. A method that one module gives
//! another's type is called without a path, and not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// From the lowest to the highest. Each is a folder and a file of its name in `src`.
const LAYERS: [&str; 6] = ["base", "read", "follow", "commit", "lead", "engine"];
/// Where the layers meet, and what is there for tests alone.
const APART: [&str; 3] = ["lib", "planted", "testing"];

/// A module directly below a layer, with all that is in its folder. The public face is one module.
type Module = (usize, String);

/// What is wrong with these sources, each a path below `src` and a text. Also gives how many arrows were seen.
fn faults(sources: &[(String, String)]) -> (Vec<String>, usize) {
    let mut arrows: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    let mut faults = Vec::new();
    for (path, text) in sources {
        let steps: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        let is_test = |step: &&str| ["tests", "models"].contains(step);
        if APART.contains(&steps[0]) || steps.iter().any(is_test) {
            continue;
        }
        let Some(from) = module(&steps) else {
            faults.push(format!("{path}: it is in no layer"));
            continue;
        };
        let code = code(text);
        // What goes out of the module this way is not seen below.
        let inside = steps.len().saturating_sub(2);
        if steps[0] != "engine" && code.contains(&"super::".repeat(inside + 1)) {
            faults.push(format!("{path}: it leaves its module by `super`"));
        }
        for used in paths(&code) {
            let steps: Vec<&str> = used.split("::").collect();
            match module(&steps) {
                Some(to) if to.0 > from.0 => {
                    faults.push(format!("{path}: {used} is in a higher layer"));
                }
                Some(to) if to != from => {
                    arrows.entry(from.clone()).or_default().insert(to);
                }
                Some(_) => {}
                None if steps[0] == "planted" => {}
                None => faults.push(format!("{path}: crate::{used} names no module of a layer")),
            }
        }
    }
    let seen = arrows.values().map(BTreeSet::len).sum();
    faults.extend(circle(arrows));
    (faults, seen)
}

/// The module that a path leads to or through.
fn module(steps: &[&str]) -> Option<Module> {
    let layer = LAYERS.iter().position(|layer| *layer == steps[0])?;
    match (steps[0], steps.get(1)) {
        ("engine", _) => Some((layer, String::new())),
        (_, Some(name)) if !name.is_empty() => Some((layer, (*name).to_owned())),
        // The layer's own file has its modules' names and nothing else.
        (_, _) => None,
    }
}

/// A text without comments, and without the unit tests at its end.
fn code(text: &str) -> String {
    let end = text.find(")]\nmod tests {");
    let lines = text[..end.unwrap_or(text.len())].lines();
    let code = lines.map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// What is named behind each `crate::`.
fn paths(code: &str) -> impl Iterator<Item = &str> {
    let is_in_path = |at: char| at.is_alphanumeric() || "_:".contains(at);
    code.split("crate::").skip(1).map(move |behind| {
        let end = behind.find(|at| !is_in_path(at)).unwrap_or(behind.len());
        &behind[..end]
    })
}

/// Takes away every module that uses none of those left, until none is left or all are in circles or above them.
fn circle(mut arrows: BTreeMap<Module, BTreeSet<Module>>) -> Option<String> {
    loop {
        let users: BTreeSet<Module> = arrows.keys().cloned().collect();
        for used in arrows.values_mut() {
            used.retain(|module| users.contains(module));
        }
        let before = arrows.len();
        arrows.retain(|_, used| !used.is_empty());
        if arrows.len() == before {
            break;
        }
    }
    // Whoever is left uses somebody who is left, so a walk comes back to where it was.
    let mut walk = vec![arrows.keys().next()?];
    loop {
        let next = arrows[walk[walk.len() - 1]].iter().next()?;
        if let Some(at) = walk.iter().position(|module| *module == next) {
            let names = walk[at..].iter().chain([&next]);
            let names: Vec<String> = names
                .map(|(layer, name)| format!("{}::{name}", LAYERS[*layer]))
                .collect();
            return Some(format!("a circle: {}", names.join(" -> ")));
        }
        walk.push(next);
    }
}

fn collect(folder: &Path, src: &Path, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("the sources are readable").path();
        if path.is_dir() {
            collect(&path, src, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(src).expect("it was found there");
            let steps: Vec<_> = below.iter().map(|step| step.to_string_lossy()).collect();
            let text = fs::read_to_string(&path).expect("sources are text");
            // A checkout may have other line ends.
            sources.push((steps.join("/"), text.replace('\r', "")));
        }
    }
}

#[test]
fn engine_layers_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&src, &src, &mut sources);
    let is_head = |(path, _): &(String, String)| {
        let name = path.trim_end_matches(".rs");
        name != "engine" && LAYERS.contains(&name)
    };
    let (heads, modules): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_head);
    assert_eq!(heads.len(), LAYERS.len() - 1, "a layer has no file");
    for (path, text) in &heads {
        let lines = code(text);
        let mut lines = lines.lines().filter(|line| !line.trim().is_empty());
        let names_modules = lines.all(|line| line.starts_with("pub(crate) mod "));
        assert!(names_modules, "{path} has more than its modules' names");
    }
    let (faults, arrows) = faults(&modules);
    assert_eq!(faults, Vec::<String>::new());
    assert!(arrows > 100, "only {arrows} arrows were found");
}

/// What is wrong with these sources.
fn found(sources: &[(&str, &str)]) -> Vec<String> {
    let owned = |(path, text): &(&str, &str)| (path.to_string(), text.to_string());
    faults(&sources.iter().map(owned).collect::<Vec<_>>()).0
}

#[test]
fn arrow_up_is_found_in_use_and_in_path() {
    let sources = [
        ("read/view.rs", "use crate::commit::shared::Shared;"),
        ("base/fs/std.rs", "fn f(v: &crate::read::view::View) {}"),
        (
            "lead/flush.rs",
            "use crate::read::view::View; // crate::engine::Engine",
        ),
        (
            "base/bell.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}",
        ),
    ];
    let expected = [
        "read/view.rs: commit::shared::Shared is in a higher layer",
        "base/fs/std.rs: read::view::View is in a higher layer",
    ];
    assert_eq!(found(&sources), expected);
}

#[test]
fn circle_of_modules_in_one_layer_is_found() {
    let sources = [
        (
            "read/a.rs",
            "use crate::read::b::B;\nuse crate::base::fs::Fs;",
        ),
        ("read/b/deeper.rs", "use crate::read::c::C;"),
        ("read/c.rs", "use crate::read::b::B;"),
    ];
    assert_eq!(found(&sources), ["a circle: read::b -> read::c -> read::b"]);
}

#[test]
fn path_around_the_layers_is_found() {
    let sources = [
        ("base/options.rs", "use crate::{Error, Result};"),
        ("base/fs.rs", "use super::error::Error;"),
        ("base/fs/std.rs", "use super::Fs;"),
        ("read/view.rs", "use crate::base::{error::Error, fs::Fs};"),
        ("loose.rs", ""),
    ];
    let expected = [
        "base/options.rs: crate:: names no module of a layer",
        "base/fs.rs: it leaves its module by `super`",
        "read/view.rs: crate::base:: names no module of a layer",
        "loose.rs: it is in no layer",
    ];
    assert_eq!(found(&sources), expected);
}
