//! What names of Keras, fastai and others are called in the crate: its own `#[doc(alias = ..)]`.
//!
//! rustdoc's search knows these names; rustc, which meets them in cells, knows only those that are spelled alike.

/// How many places are named for one word.
const MOST: usize = 3;

/// What an error of the compiler's begins with that is about a name that does not exist.
const BEGINNINGS: [&str; 5] = [
    "no method named ",
    "no function or associated item named ",
    "no field ",
    "cannot find ",
    "failed to resolve: ",
];

/// An item that is known by other names too.
#[derive(Debug, PartialEq)]
struct Item {
    names: Vec<String>,
    /// The type that it belongs to, or nothing.
    owner: Option<String>,
    name: String,
    /// The first sentence of its documentation.
    about: String,
}

/// What a reader should know who gets this message of the compiler, out of the texts of the crate's source.
pub fn explain(message: &str, texts: impl FnOnce() -> Vec<String>) -> Option<String> {
    if !BEGINNINGS.iter().any(|start| message.starts_with(start)) {
        return None;
    }
    // "no method named `verbose` found for struct `Fit` in the current scope"
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wanted = quoted.next()?;
    let owner = quoted.next().map(bare);
    let items: Vec<Item> = texts().iter().flat_map(|text| items(text)).collect();
    let known = items
        .iter()
        .filter(|item| item.names.iter().any(|name| name == wanted));
    let (its_own, others): (Vec<_>, Vec<_>) =
        known.partition(|item| owner.is_some() && item.owner.as_deref() == owner);
    let found = if its_own.is_empty() { others } else { its_own };
    let mut told = found.iter().take(MOST).map(|item| {
        let owner = item.owner.as_ref().map(|owner| format!("{owner}::"));
        let place = format!("`{}{}`", owner.unwrap_or_default(), item.name);
        (place, &item.about)
    });
    let (place, about) = told.next()?;
    let mut text = format!("`{wanted}` is called {place} here: {about}");
    for (place, about) in told {
        text += &format!(" Or {place}: {about}");
    }
    Some(text)
}

/// A type without what stands around its name: `&mut evcxr_transfer::Fit<'_>` is `Fit`.
fn bare(kind: &str) -> &str {
    let kind = kind.trim_start_matches('&').trim_start_matches("mut ");
    let kind = kind.split('<').next().unwrap_or_default();
    kind.rsplit("::").next().unwrap_or_default()
}

/// The items of a file that have other names. Reads what rustfmt writes.
fn items(text: &str) -> Vec<Item> {
    let mut found = Vec::new();
    let mut owner = None;
    let (mut about, mut names) = (Vec::new(), Vec::new());
    let mut is_in_alias = false;
    for line in text.lines() {
        let inner = line.trim_start();
        is_in_alias |= inner.starts_with("#[doc(alias");
        if is_in_alias {
            names.extend(inner.split('"').skip(1).step_by(2).map(str::to_owned));
            is_in_alias = !inner.ends_with(")]") && !inner.ends_with("\"]");
            continue;
        }
        if let Some(words) = inner.strip_prefix("///") {
            about.push(words.trim());
            continue;
        }
        if inner.starts_with("#[") {
            continue;
        }
        if let Some(block) = line.strip_prefix("impl") {
            owner = owner_of(block);
        } else if line.starts_with('}') {
            owner = None;
        }
        if let Some(name) = item_name(inner).filter(|_| !names.is_empty()) {
            found.push(Item {
                names: std::mem::take(&mut names),
                owner: owner.clone(),
                name,
                about: first_sentence(&about),
            });
        }
        about.clear();
        names.clear();
    }
    found
}

/// The type of a block: behind `impl`, `<'a> Photo<'a> {` or ` Trait for Photo {`.
fn owner_of(block: &str) -> Option<String> {
    let block = match block.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?.1,
        None => block,
    };
    let kind = block.rsplit(" for ").next()?.trim();
    let end = kind.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    Some(bare(&kind[..end.unwrap_or(kind.len())]).to_owned())
}

/// The name of the public item that a line begins.
fn item_name(line: &str) -> Option<String> {
    let line = line.strip_prefix("pub ")?;
    let line = line.strip_prefix("const ").unwrap_or(line);
    let kinds = ["fn ", "struct ", "enum ", "trait ", "type "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind));
    // A field is its name alone.
    let rest = rest.unwrap_or(line);
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(rest[..end].to_owned())
}

/// The first sentence, without the marks of a link.
fn first_sentence(lines: &[&str]) -> String {
    let paragraph: Vec<&str> = lines
        .iter()
        .copied()
        .take_while(|l| !l.is_empty())
        .collect();
    let text = paragraph.join(" ");
    let end = text.find(". ").map_or(text.len(), |place| place + 1);
    let mut plain = String::new();
    let mut rest = &text[..end];
    // "[`Fit`](crate::Fit)" and "[`Fit`]" are `Fit`.
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else {
            break;
        };
        plain.extend([before, "`", name, "`"]);
        let target = after
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "/// Options.\n#[doc(alias = \"TrainingArguments\")]\npub struct Fit {\n    epochs: usize,\n}\n\n\
        impl Fit {\n    /// Sets how [`Progress`](crate::Progress) is shown; `Progress::quiet()` is Keras' `verbose=0`. Then\n    \
        /// more.\n    #[doc(alias(\"verbose\", \"quiet\"))]\n    #[must_use]\n    \
        pub fn progress(mut self, progress: Progress) -> Self {\n        self\n    }\n\n    \
        /// Nothing else.\n    pub fn epochs(self) {}\n}\n\n\
        impl<'a> Work<'a> {\n    /// Of another type.\n    #[doc(alias(\n        \"verbose\",\n        \"tqdm\"\n    ))]\n    \
        pub fn bar(&self) {}\n}\n\n/// Lines.\n#[doc(alias = \"plt.plot\")]\npub fn plot_lines() {}\n";

    fn explained(message: &str) -> Option<String> {
        explain(message, || vec![SOURCE.to_owned()])
    }

    #[test]
    fn a_name_of_another_library_leads_to_ours_on_the_same_type_first() {
        let expected = "`verbose` is called `Fit::progress` here: Sets how `Progress` is shown; `Progress::quiet()` is \
                        Keras' `verbose=0`.";
        for kind in ["struct `Fit`", "reference `&mut evcxr_transfer::Fit`"] {
            let message =
                format!("no method named `verbose` found for {kind} in the current scope");
            assert_eq!(explained(&message).as_deref(), Some(expected));
        }
        let text =
            explained("no method named `verbose` found for struct `Lab` in the current scope");
        let text = text.unwrap();
        assert!(
            text.contains("`Fit::progress`") && text.contains("Or `Work::bar`"),
            "{text}"
        );
        let text = explained("cannot find type `TrainingArguments` in this scope").unwrap();
        assert_eq!(text, "`TrainingArguments` is called `Fit` here: Options.");
        assert_eq!(explained("cannot find function `plot` in this scope"), None);
        assert_eq!(explained("mismatched types `verbose`"), None);
    }

    #[test]
    fn the_owner_of_a_block_is_its_type() {
        for (block, owner) in [
            (" Fit {", "Fit"),
            ("<'a> Photo<'a> {", "Photo"),
            (" Show for crate::Grid<'_> {", "Grid"),
        ] {
            assert_eq!(owner_of(block).as_deref(), Some(owner), "{block}");
        }
    }
}
