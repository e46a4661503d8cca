//! The style, kept by a test: knows what a file may hold and how long it may be; reads text only, and runs no rule itself.
//!
//! A failure lists every offending line and what is allowed there. Which layer may know which is in [`arrows`].

mod arrows;
mod deployment;
mod rust;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 60;
const ARCHITECTURE_LINES_MAX: usize = 150;
const LENGTH_REASON: &str = "reason for length:";

/// Folders of Rust, and the build script. What does not exist yet is not looked for.
const RUST: [&str; 6] = ["src", "engine/src", "migrations/src", "tests", "benches", "build.rs"];
/// The other folders that must be finished.
const NOT_RUST: [&str; 5] = ["proto", "scripts", ".ci", "helm", "fuzz/fuzz_targets"];
/// Folders that no one wrote by hand.
const NOT_OURS: [&str; 3] = ["target", "node_modules", ".git"];
/// Words that promise work instead of doing it, spelt so that this file has none of them.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!")];
/// Places that exist on one machine only, spelt in the same way.
const ONE_MACHINE: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];

struct Source {
    path: String,
    text: String,
}

#[test]
fn the_layers_know_only_what_is_below_them() {
    report(&rust_files(), arrows::broken);
}

#[test]
fn every_file_says_first_what_it_knows() {
    report(&rust_files(), first_line);
}

#[test]
fn no_file_is_too_long() {
    report(&rust_files(), file_length);
}

#[test]
fn no_function_is_too_long() {
    report(&rust_files(), function_lengths);
}

#[test]
fn nothing_is_left_for_later() {
    report(&rust_files(), unfinished);
    report(&read(&NOT_RUST), unfinished);
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    report(&read(&["."]), one_machine);
}

#[test]
fn the_architecture_page_is_short() {
    let page = read(&["ARCHITECTURE.md"]);
    assert!(!page.is_empty(), "ARCHITECTURE.md is missing");
    report(&page, architecture_length);
}

#[test]
fn every_decision_is_in_the_index() {
    report(&read(&["docs/decisions"]), decision_names);
    let decisions = read(&["docs/decisions"]);
    let index = decisions.iter().find(|file| file.path == "docs/decisions/README.md");
    if let Some(index) = index {
        report(&decisions, |file| not_in_index(file, &index.text));
    }
}

fn first_line(file: &Source) -> Vec<String> {
    let first = file.text.lines().next().unwrap_or_default();
    let said = first.strip_prefix("//!").is_some_and(|said| !said.trim().is_empty());
    fault(said, file, 1, "the first line is `//!` and what the file knows")
}

fn file_length(file: &Source) -> Vec<String> {
    let lines = file.text.lines().count();
    let excused = file.text.lines().next().is_some_and(|first| first.contains(LENGTH_REASON));
    let what = format!(
        "{FILE_LINES_MAX} lines are allowed, or `{LENGTH_REASON} …` in the first line; it has {lines}"
    );
    fault(lines <= FILE_LINES_MAX || excused, file, lines, &what)
}

/// Under tests/, a comment with the reason in the line before the function excuses it.
fn function_lengths(file: &Source) -> Vec<String> {
    let code = rust::code_only(&file.text);
    let excused = |line: usize| {
        let before = file.text.lines().nth(line.wrapping_sub(2)).unwrap_or_default().trim_start();
        is_in(&file.path, "tests") && before.starts_with("//") && before.contains(LENGTH_REASON)
    };
    let long = rust::functions(&code)
        .into_iter()
        .filter(|&(line, length)| length > FUNCTION_LINES_MAX && !excused(line));
    let said = long.map(|(line, length)| {
        format!("{}:{line}: {FUNCTION_LINES_MAX} lines are allowed in a function; it has {length}", file.path)
    });
    said.collect()
}

fn unfinished(file: &Source) -> Vec<String> {
    containing(file, &UNFINISHED, "finish it, or file an issue")
}

fn one_machine(file: &Source) -> Vec<String> {
    containing(file, &ONE_MACHINE, "name a path that every machine has")
}

fn architecture_length(file: &Source) -> Vec<String> {
    let lines = file.text.lines().count();
    let what = format!("{ARCHITECTURE_LINES_MAX} lines are allowed; it has {lines}");
    fault(lines <= ARCHITECTURE_LINES_MAX, file, lines, &what)
}

fn decision_names(file: &Source) -> Vec<String> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let number = name.split('-').next().unwrap_or_default();
    let numbered = number.len() == 4 && number.chars().all(|digit| digit.is_ascii_digit());
    fault(
        name == "README.md" || numbered && name.ends_with(".md"),
        file,
        1,
        "a decision is called `NNNN-title.md`",
    )
}

fn not_in_index(file: &Source, index: &str) -> Vec<String> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let linked = name == "README.md" || index.contains(&format!("]({name})"));
    fault(linked, file, 1, "docs/decisions/README.md links to each decision, and not to this one")
}

fn rust_files() -> Vec<Source> {
    let mut files = read(&RUST);
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

/// Every text file below the given places of the repository.
fn read(places: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting: Vec<PathBuf> = places.iter().map(|place| root.join(place)).collect();
    let mut files = Vec::new();
    while let Some(path) = waiting.pop() {
        if let Ok(entries) = std::fs::read_dir(&path) {
            let inside = entries.flatten().map(|entry| entry.path());
            waiting.extend(inside.filter(|path| !NOT_OURS.iter().any(|name| path.ends_with(name))));
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(Source { path, text });
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn report(files: &[Source], check: impl Fn(&Source) -> Vec<String>) {
    let mut said = String::new();
    for fault in files.iter().flat_map(check) {
        let _ = writeln!(said, "{fault}");
    }
    assert!(said.is_empty(), "\n{said}");
}

fn fault(holds: bool, file: &Source, line: usize, what: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![format!("{}:{line}: {what}", file.path)] }
}

fn containing(file: &Source, words: &[&str], instead: &str) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    let found = lines
        .flat_map(|(at, line)| words.iter().filter(|word| line.contains(**word)).map(move |word| (at, word)));
    found.map(|(at, word)| format!("{}:{}: `{word}`: {instead}", file.path, at + 1)).collect()
}

/// `src/app` holds `src/app.rs` and all of `src/app/`.
fn is_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    fn long_function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_without_a_first_line_is_found() {
        assert!(first_line(&file("src/app.rs", "//! Knows how to begin.\n")).is_empty());
        for text in ["", "use x;\n", "//!\n", "// Knows.\n", "\n//! Late.\n"] {
            assert_eq!(first_line(&file("src/app.rs", text)).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_long_file_is_found_unless_it_says_why() {
        let lines = "x\n".repeat(FILE_LINES_MAX);
        assert!(file_length(&file("src/app.rs", &lines)).is_empty());
        let longer = format!("//! Knows.\n{lines}");
        assert!(file_length(&file("src/app.rs", &longer)).concat().starts_with("src/app.rs:401: 400 lines"));
        let excused = format!("//! Knows (reason for length: a table).\n{lines}");
        assert!(file_length(&file("src/app.rs", &excused)).is_empty());
    }

    #[test]
    fn a_long_function_is_found_and_only_a_test_may_say_why() {
        let (short, long) = (long_function(FUNCTION_LINES_MAX), long_function(FUNCTION_LINES_MAX + 1));
        assert!(function_lengths(&file("src/app.rs", &short)).is_empty());
        assert!(function_lengths(&file("src/app.rs", &long)).concat().starts_with("src/app.rs:1: 60 lines"));
        let marked = format!("// reason for length: one story\n{long}");
        assert_eq!(function_lengths(&file("src/app.rs", &marked)).len(), 1);
        assert!(function_lengths(&file("tests/it/app.rs", &marked)).is_empty());
    }

    #[test]
    fn unfinished_work_is_found_wherever_it_stands() {
        for word in UNFINISHED {
            let text = format!("fn a() {{}} // {word} later\nfine\n{word}()\n");
            let found = unfinished(&file("src/app.rs", &text));
            assert_eq!(found.len(), 2, "{word}");
            assert!(found.concat().contains("src/app.rs:3: "), "{word}");
        }
    }

    #[test]
    fn a_place_of_one_machine_is_found() {
        for place in ONE_MACHINE {
            assert_eq!(one_machine(&file("README.md", &format!("see {place}x"))).len(), 1, "{place}");
        }
        assert!(one_machine(&file("README.md", "see docs/work.md and network/x")).is_empty());
    }

    #[test]
    fn a_long_architecture_page_is_found() {
        let lines = "x\n".repeat(ARCHITECTURE_LINES_MAX);
        assert!(architecture_length(&file("ARCHITECTURE.md", &lines)).is_empty());
        assert_eq!(architecture_length(&file("ARCHITECTURE.md", &(lines + "x\n"))).len(), 1);
    }

    #[test]
    fn a_decision_outside_the_index_is_found() {
        let decision = file("docs/decisions/0002-one-door.md", "");
        assert!(not_in_index(&decision, "- [One door](0002-one-door.md)").is_empty());
        assert_eq!(not_in_index(&decision, "- One door 0002-one-door.md").len(), 1);
        assert!(decision_names(&decision).is_empty());
        assert_eq!(decision_names(&file("docs/decisions/two.md", "")).len(), 1);
    }

    #[test]
    fn every_fault_is_reported() {
        let files = [file("src/a.rs", "x"), file("src/b.rs", "x")];
        let failed = std::panic::catch_unwind(|| report(&files, first_line));
        let said = failed.err().and_then(|said| said.downcast::<String>().ok());
        assert!(said.is_some_and(|said| said.contains("src/a.rs:1: ") && said.contains("src/b.rs:1: ")));
    }

    #[test]
    fn a_place_is_a_file_or_a_folder() {
        assert!(
            is_in("src/app.rs", "src/app")
                && is_in("src/app/build.rs", "src/app")
                && is_in("src/app.rs", "src")
        );
        assert!(!is_in("src/apple.rs", "src/app") && !is_in("engine/src/app.rs", "src"));
    }
}
