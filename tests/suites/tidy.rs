//! House rules that the compiler and clippy do not know.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All files below a directory with this ending, not looking into `target`.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "target" && name != ".git" {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

fn sources() -> Vec<PathBuf> {
    files(&root().join("crates"), ".rs")
}

/// Whether a file is nothing but a test.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

/// The names of the dependencies that a crate's manifest lists, without those for its tests.
fn dependencies(name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let (_, rest) = text.split_once("[dependencies]").unwrap_or(("", ""));
    let section = rest.split("\n[").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|word| !word.is_empty() && !word.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn arrows_between_crates_point_one_way() {
    const OURS: [&str; 6] = [
        "machine",
        "auth",
        "mailstore",
        "pop3d",
        "imapd",
        "pillarbox",
    ];
    const EDGE: [&str; 5] = ["tokio", "rustls", "tokio-rustls", "socket2", "ureq"];
    let allowed: [(&str, &[&str]); 5] = [
        ("machine", &[]),
        ("auth", &[]),
        ("mailstore", &[]),
        ("pop3d", &["machine", "auth", "mailstore"]),
        ("imapd", &["machine", "auth", "mailstore"]),
    ];
    for (name, arrows) in allowed {
        for dependency in dependencies(name) {
            let dependency = dependency.as_str();
            let forbidden = OURS.contains(&dependency) && !arrows.contains(&dependency);
            assert!(
                !forbidden && !EDGE.contains(&dependency),
                "{name} must not use {dependency}"
            );
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! "),
            "{}: starts without a module comment",
            path.display()
        );
    }
}

#[test]
fn the_clock_is_read_in_one_place() {
    for path in files(&root().join("crates"), ".rs") {
        if path.ends_with("pillarbox/src/source.rs") || is_test(&path) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in (1..).zip(code.lines()) {
            let reads = line.contains("Instant::now") || line.contains("SystemTime::now");
            // tokio's clock runs the timers; a test can stop it.
            let reads = reads && !line.contains("tokio::time::Instant::now");
            let comment = line.trim_start().starts_with("//");
            assert!(
                !reads || comment,
                "{}:{number}: time is an argument",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = ["todo", "unimplemented"].map(|word| format!("{word}!("));
    for path in sources()
        .into_iter()
        .chain(files(&root().join("tests"), ".rs"))
    {
        let text = fs::read_to_string(&path).unwrap();
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{}: {mark}", path.display());
        }
        for (number, line) in (1..).zip(text.lines()) {
            let place = format!("{}:{number}", path.display());
            assert!(
                !line.ends_with([' ', '\t']),
                "{place}: white space at the end of the line"
            );
            assert!(
                !line.contains(concat!("#[ig", "nore")),
                "{place}: an ignored test"
            );
        }
    }
}

/// Each file of the crates as `docs/clients.md` names it, with how often it says `Interop:`.
fn lenient_places() -> BTreeMap<String, usize> {
    let crates = root().join("crates");
    let mut places = BTreeMap::new();
    for path in sources().into_iter().filter(|path| !is_test(path)) {
        let text = fs::read_to_string(&path).unwrap();
        let comments = text
            .lines()
            .filter(|line| line.trim_start().starts_with("//"));
        let count = comments.filter(|line| line.contains("Interop:")).count();
        if count > 0 {
            let name = path.strip_prefix(&crates).unwrap().to_str().unwrap();
            places.insert(name.to_owned(), count);
        }
    }
    places
}

#[test]
fn whatever_is_done_for_a_client_is_in_the_table_of_clients() {
    let page = fs::read_to_string(root().join("docs/clients.md")).unwrap();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        if let Some(place) = cells.get(3).filter(|cell| cell.contains(".rs")) {
            *told.entry(place.trim_matches('`').to_owned()).or_default() += 1;
        }
    }
    assert_eq!(told, lenient_places());
}

#[test]
fn tests_do_not_sleep() {
    let sleep = concat!("thread::", "sleep");
    for path in sources()
        .into_iter()
        .chain(files(&root().join("tests"), ".rs"))
    {
        let text = fs::read_to_string(&path).unwrap();
        let tests = if is_test(&path) {
            Some(text.as_str())
        } else {
            text.split("#[cfg(test)]").nth(1)
        };
        let sleeps = tests.is_some_and(|code| code.contains(sleep));
        assert!(
            !sleeps,
            "{}: wait for an event instead of sleeping",
            path.display()
        );
    }
}

#[test]
fn every_local_link_in_the_documents_leads_somewhere() {
    for path in files(&root(), ".md") {
        let text = fs::read_to_string(&path).unwrap();
        for piece in text.split("](").skip(1) {
            let target = piece.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let linked = path.parent().unwrap().join(target);
            assert!(
                linked.exists(),
                "{}: {target} does not exist",
                path.display()
            );
        }
    }
}
