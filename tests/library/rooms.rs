//! The house: rooms in the order of the data's way, imports one way, no circle of files.
//!
//! Reads the `use` lines and paths of `src` and `tools` as text. Within a crate a path names the file
//! that it takes from (`crate::show::table::Table`), so that the text tells the whole graph.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms of `src`, from the one that knows nobody to the one that knows all.
const ROOMS: [&str; 12] = [
    "error",
    "machine",
    "show",
    "files",
    "pictures",
    "network",
    "training",
    "model",
    "inside",
    "quick_looks",
    "lab",
    "lib",
];

/// Which files each file of a crate imports from.
type Imports = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The paths behind each `crate::` of a source text, `crate::a::{b, c::d}` as two.
fn paths_in(text: &str) -> Vec<Vec<String>> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut paths = Vec::new();
    for (place, _) in code.match_indices("crate::") {
        let is_whole = !code[..place].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if is_whole {
            let mut rest = &code[place + "crate::".len()..];
            branches(&mut rest, &[], &mut paths);
        }
    }
    paths
}

/// Reads one path, or a group of them in braces, off the beginning of `rest`.
fn branches(rest: &mut &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let mut path = before.to_vec();
    loop {
        *rest = rest.trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            *rest = group;
            loop {
                *rest = rest.trim_start_matches([' ', '\n', ',']);
                if rest.is_empty() {
                    return;
                }
                if let Some(after) = rest.strip_prefix('}') {
                    *rest = after;
                    return;
                }
                branches(rest, &path, paths);
            }
        }
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '*';
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end == 0 {
            break;
        }
        path.push(rest[..end].to_owned());
        *rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(after) => *rest = after,
            None => break,
        }
    }
    // `a as b` inside a group: what follows the name is no path of its own.
    if let Some(after) = rest.strip_prefix(" as ") {
        *rest = after.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    }
    paths.push(path);
}

/// The file that a path leads to, as far as its words are modules.
fn file_of(src: &Path, path: &[String]) -> Option<PathBuf> {
    let mut folder = src.to_owned();
    let mut found = None;
    for word in path {
        let file = folder.join(format!("{word}.rs"));
        let room = folder.join(word).join("mod.rs");
        if file.is_file() {
            found = Some(file);
        } else if room.is_file() {
            found = Some(room);
        } else {
            break;
        }
        folder.push(word);
    }
    found
}

fn imports_of(src: &Path) -> Imports {
    let mut imports = Imports::new();
    for file in rust_files(src) {
        let text = std::fs::read_to_string(&file).unwrap();
        let targets = paths_in(&text).into_iter().filter_map(|path| {
            let target = file_of(src, &path)?;
            (target != file).then_some(target)
        });
        imports.insert(file.clone(), targets.collect());
    }
    imports
}

/// A row of files each of which imports the next, and the last the first.
fn circle(imports: &Imports) -> Option<Vec<PathBuf>> {
    fn visit(
        file: &Path,
        imports: &Imports,
        way: &mut Vec<PathBuf>,
        done: &mut BTreeSet<PathBuf>,
    ) -> Option<Vec<PathBuf>> {
        if let Some(start) = way.iter().position(|earlier| earlier == file) {
            return Some(way[start..].to_vec());
        }
        if !done.insert(file.to_owned()) {
            return None;
        }
        way.push(file.to_owned());
        let next = imports.get(file).into_iter().flatten();
        let found = next
            .clone()
            .find_map(|next| visit(next, imports, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    let mut files = imports.keys();
    files.find_map(|file| visit(file, imports, &mut Vec::new(), &mut done))
}

fn assert_no_circle(src: &Path, imports: &Imports) {
    if let Some(files) = circle(imports) {
        let names = files.iter().map(|file| shown(src, file));
        panic!(
            "these files import in a circle: {}",
            names.collect::<Vec<_>>().join(" -> ")
        );
    }
}

fn shown(src: &Path, file: &Path) -> String {
    file.strip_prefix(src).unwrap().display().to_string()
}

/// The first folder or file name below `src`: the room.
fn room_of(src: &Path, file: &Path) -> String {
    let first = file.strip_prefix(src).unwrap().components().next().unwrap();
    let name = first.as_os_str().to_string_lossy();
    name.trim_end_matches(".rs").to_owned()
}

#[test]
fn imports_lead_from_the_lab_down_to_the_errors() {
    let src = root().join("src");
    let imports = imports_of(&src);
    let floor = |room: &str| ROOMS.iter().position(|name| *name == room);
    let mut wrong = Vec::new();
    for (file, targets) in &imports {
        let room = room_of(&src, file);
        let Some(own) = floor(&room) else {
            panic!("{room} is no room that this test knows");
        };
        for target in targets.iter().filter(|_| room != "lib") {
            let other = room_of(&src, target);
            if floor(&other).is_none_or(|other| other > own) {
                wrong.push(format!("{} -> {other}", shown(&src, file)));
            }
            // Through a room's front the text would not tell which file is meant.
            if target.ends_with("mod.rs") {
                wrong.push(format!(
                    "{} names {other} without a file in it",
                    shown(&src, file)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_no_circle(&src, &imports);
    assert!(
        imports.values().map(BTreeSet::len).sum::<usize>() > 100,
        "the imports were not found"
    );
}

/// Each room's `mod.rs` says which rooms it imports: `//! Imports: error, machine.`
#[test]
fn each_room_says_what_it_imports() {
    let src = root().join("src");
    let mut said = BTreeMap::new();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, targets) in imports_of(&src) {
        let room = room_of(&src, &file);
        let others = targets.iter().map(|target| room_of(&src, target));
        used.entry(room.clone())
            .or_default()
            .extend(others.filter(|other| *other != room));
        if file == src.join(&room).join("mod.rs") {
            let text = std::fs::read_to_string(&file).unwrap();
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("//! Imports: "));
            let line = line.unwrap_or_else(|| panic!("{room}/mod.rs has no line of imports"));
            let rooms = line.trim_end_matches('.').split(", ").map(str::to_owned);
            said.insert(room, rooms.collect::<BTreeSet<_>>());
        }
    }
    assert_eq!(said.len(), ROOMS.len() - 2, "all rooms but error and lib");
    for (room, said) in said {
        assert_eq!(said, used[&room], "{room}/mod.rs");
    }
}

#[test]
fn no_files_of_a_tool_import_in_a_circle() {
    for tool in std::fs::read_dir(root().join("tools")).unwrap() {
        let src = tool.unwrap().path().join("src");
        if src.is_dir() {
            assert_no_circle(&src, &imports_of(&src));
        }
    }
}

#[test]
fn paths_are_read_from_every_way_of_writing_them() {
    let text = "use crate::a::{self, b::{C, D}, e as f};\nlet x = crate::g::h(1);\n// crate::not\n";
    let paths = paths_in(text)
        .iter()
        .map(|path| path.join("::"))
        .collect::<Vec<_>>();
    assert_eq!(paths, ["a::self", "a::b::C", "a::b::D", "a::e", "g::h"]);
    let there = [("a", "b"), ("b", "c"), ("c", "b")];
    let there = there.map(|(file, target)| (file.into(), BTreeSet::from([target.into()])));
    let found = circle(&BTreeMap::from(there)).unwrap();
    assert_eq!(found, ["b", "c"].map(PathBuf::from));
}
