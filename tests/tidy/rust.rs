//! Rust as text: knows comments, literals, paths and braces, enough for code that rustfmt has formatted; no grammar.

/// The same lines with comments, strings and characters blanked.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let after_word = code.chars().next_back().is_some_and(is_word);
        let blanked = blanked_length(rest, after_word);
        let (taken, left) = rest.split_at(blanked.unwrap_or(next.len_utf8()));
        match blanked {
            Some(_) => code.extend(taken.chars().map(|c| if c == '\n' { c } else { ' ' })),
            None => code.push_str(taken),
        }
        rest = left;
    }
    code
}

/// The bytes of the comment or literal that begins here, if one does.
fn blanked_length(rest: &str, after_word: bool) -> Option<usize> {
    let raw = rest.trim_start_matches(['b', 'c']);
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if !after_word && (raw.starts_with("r\"") || raw.starts_with("r#")) {
        return raw_string_length(raw).map(|length| rest.len() - raw.len() + length);
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return Some(1 + closed_by('"', inside));
    }
    let inside = rest.strip_prefix('\'')?;
    let is_character = inside.starts_with('\\') || inside.chars().nth(1) == Some('\'');
    is_character.then(|| 1 + closed_by('\'', inside))
}

fn block_comment_length(rest: &str) -> usize {
    let (mut open, mut taken) = (0_usize, 0);
    for (at, pair) in rest.as_bytes().windows(2).enumerate() {
        match pair {
            b"/*" if at >= taken => open += 1,
            b"*/" if at >= taken => open -= 1,
            _ => continue,
        }
        taken = at + 2;
        if open == 0 {
            return taken;
        }
    }
    rest.len()
}

/// `None` for a raw identifier.
fn raw_string_length(raw: &str) -> Option<usize> {
    let hashes = raw.chars().skip(1).take_while(|c| *c == '#').count();
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = 1 + hashes;
    let inside = raw.get(begin..)?.strip_prefix('"')?;
    Some(begin + 1 + inside.find(&end).map_or(inside.len(), |at| at + end.len()))
}

fn closed_by(quote: char, inside: &str) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    inside.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `super::super::x` written as `crate::x` where that many lead to the crate.
pub(crate) fn rooted(code: &str, depth: usize) -> String {
    let up = "super::".repeat(depth.max(1));
    let rooted = if depth == 0 { code.to_owned() } else { code.replace(&up, "crate::") };
    rooted.replace("crate::super::", "crate::")
}

/// The lines, from 1, that use this crate or path of two.
pub(crate) fn lines_naming(code: &str, name: &str) -> Vec<usize> {
    let (root, child) = name.split_once("::").map_or((name, None), |(root, child)| (root, Some(child)));
    let (stem, open_end) = root.strip_suffix('*').map_or((root, false), |stem| (stem, true));
    let uses = code.match_indices(stem).filter(|(at, _)| {
        let (before, rest) = code.split_at(*at);
        let rest = rest.strip_prefix(stem).unwrap_or_default();
        let rest = if open_end { rest.trim_start_matches(is_word) } else { rest };
        match child {
            Some(child) => !before.ends_with(is_word) && children(rest).contains(&child),
            None => names_crate(before, rest),
        }
    });
    let mut lines: Vec<usize> = uses.map(|(at, _)| 1 + code.split_at(at).0.matches('\n').count()).collect();
    lines.dedup();
    lines
}

/// Whether what stands between the two texts is a crate and not a field, a module or part of a word.
fn names_crate(before: &str, rest: &str) -> bool {
    let is_root =
        !before.ends_with(|c: char| is_word(c) || c == '.') && (!before.ends_with("::") || is_global(before));
    let is_used = before.ends_with("use ") || before.ends_with("extern crate ");
    is_root && (rest.starts_with("::") || is_used && (rest.starts_with(';') || rest.starts_with(" as ")))
}

/// `::x` but not `y::x`.
fn is_global(before: &str) -> bool {
    before.strip_suffix("::").is_some_and(|before| !before.ends_with(|c: char| is_word(c) || c == '>'))
}

/// Of `::a::b` it is `a`; of `::{a::b, c}`, `a` and `c`.
fn children(rest: &str) -> Vec<&str> {
    let Some(path) = rest.strip_prefix("::") else {
        return Vec::new();
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![first_word(path)];
    };
    let mut open = 0_usize;
    let mut found = vec![first_word(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => break,
            '}' => open -= 1,
            ',' if open == 0 => found.push(first_word(group.split_at(at + 1).1)),
            _ => {}
        }
    }
    found
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    text.split(|c: char| !is_word(c)).next().unwrap_or_default()
}

/// Where each function begins, from 1, and how many lines it has, signature and braces included.
pub(crate) fn functions(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut rest = code;
    for line in 1.. {
        let end = rest.find('\n').unwrap_or(rest.len());
        if begins_function(rest.split_at(end).0) {
            found.push((line, function_length(rest)));
        }
        match rest.get(end + 1..) {
            Some(next) => rest = next,
            None => break,
        }
    }
    found
}

fn begins_function(line: &str) -> bool {
    const BEFORE: [&str; 5] = ["const", "async", "unsafe", "extern", "default"];
    let is_before = |word: &&str| BEFORE.contains(word) || word.starts_with("pub") || word.ends_with(')');
    let mut words = line.split_whitespace().skip_while(is_before);
    words.next() == Some("fn")
}

fn function_length(rest: &str) -> usize {
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
        let is_end = braces == 0 && (c == '}' || c == ';' && brackets == 0);
        if is_end {
            return 1 + rest.split_at(at).0.matches('\n').count();
        }
    }
    rest.lines().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank() {
        for (text, code) in [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"a\\\"{\")", "f(      )"),
            ("f(r#\"a\"b\"#)", "f(        )"),
            ("f(b'{', '\\'', 'é')", "f(b   ,     ,    )"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("r#type = bar\"x\"", "r#type = bar   "),
            ("\"a\n}\"b", "  \n  b"),
        ] {
            assert_eq!(code_only(text), code, "{text}");
        }
    }

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        for (text, found) in [
            ("fn a() {}\n", vec![(1, 1)]),
            ("x\npub(crate) async fn a(\n    b: [u8; 2],\n) -> C {\n    d();\n}\n", vec![(2, 5)]),
            ("trait T {\n    fn a(&self);\n    fn b(\n        &self,\n    );\n}\n", vec![(2, 1), (3, 3)]),
            ("fn a() {\n    fn b() {\n    }\n}\n", vec![(1, 4), (2, 2)]),
            ("let f: fn() = g;\n// fn x() {\n", vec![]),
            ("const fn a() {\n}", vec![(1, 2)]),
            ("pub(in x) unsafe extern \"C\" fn a() {\n}", vec![(1, 2)]),
        ] {
            assert_eq!(functions(&code_only(text)), found, "{text}");
        }
    }
}
