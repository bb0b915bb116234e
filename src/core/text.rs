//! Text from a request on its way to a client or a log.

use std::borrow::Cow;
use std::fmt;

/// Longest part of a name in a log line or an answer, characters; Kubernetes names have 253 at most, user names any number.
pub const LONGEST_NAME: usize = 256;

/// Text in quotes, as [`quote`] says. Writes itself.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a> {
    text: &'a str,
    longest: usize,
}

/// `text` in double quotes, fit for one line of a message and no longer than `longest` characters between the quotes.
///
/// Control, invisible and bidirectional characters are escaped, since a message reaches terminals as it is. So is `%`,
/// since HobbyFarm uses the text of a refusal as a format string. What is too long ends in `…`.
pub const fn quote(text: &str, longest: usize) -> Quoted<'_> {
    Quoted { text, longest }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        f.write_str(&escape_and_truncate(self.text, self.longest, "'"))?;
        f.write_str("\"")
    }
}

/// Namespace and name of an object as people write them; the name alone where it belongs to no namespace.
pub fn qualified<'a>(namespace: &str, name: &'a str) -> Cow<'a, str> {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}

/// `text` without quotes around it, and those within as they are; otherwise as [`quote`].
pub fn sanitize_line(text: &str, longest: usize) -> Cow<'_, str> {
    escape_and_truncate(text, longest, "'\"")
}

fn escape_and_truncate<'a>(text: &'a str, longest: usize, unescaped: &str) -> Cow<'a, str> {
    if text.len() <= longest && text.bytes().all(is_plain) {
        return text.into();
    }
    let (mut line, mut length) = (String::with_capacity(text.len().min(longest)), 0);
    for character in text.chars() {
        let before = line.len();
        match character {
            '%' => line.extend(character.escape_unicode()),
            _ if unescaped.contains(character) => line.push(character),
            _ => line.extend(character.escape_debug()),
        }
        length += line.get(before..).unwrap_or_default().chars().count();
        if length > longest {
            line.truncate(before);
            line.push('…');
            break;
        }
    }
    line.into()
}

/// Whether a character stands for itself wherever it is: most text is made of such alone.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b'"' | b'\'' | b'\\')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{quote, sanitize_line};

    #[rstest]
    #[case::plain("alice", r#""alice""#)]
    #[case::quote_and_backslash(r#"a"b\c"#, r#""a\"b\\c""#)]
    #[case::newline("a\nb", r#""a\nb""#)]
    #[case::terminal_escape("\u{1b}[31m", r#""\u{1b}[31m""#)]
    #[case::right_to_left_override("a\u{202e}b", r#""a\u{202e}b""#)]
    #[case::isolate("a\u{2066}b", r#""a\u{2066}b""#)]
    #[case::left_to_right_mark("a\u{200e}b", r#""a\u{200e}b""#)]
    #[case::zero_width_space("a\u{200b}b", r#""a\u{200b}b""#)]
    #[case::format_directive("100%s", r#""100\u{25}s""#)]
    #[case::letters_of_other_scripts("Zoë 李", r#""Zoë 李""#)]
    #[case::apostrophe("O'Neill", r#""O'Neill""#)]
    fn what_came_from_a_request_is_escaped(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(quote(text, 100).to_string(), expected);
    }

    #[test]
    fn a_line_keeps_its_quotes() {
        assert_eq!(sanitize_line("expected \"a\" in 'b'\n100%", 100), "expected \"a\" in 'b'\\n100\\u{25}");
    }

    #[test]
    fn what_is_too_long_is_cut() {
        assert_eq!(quote("abcdef", 3).to_string(), "\"abc…\"");
        assert_eq!(quote("ab\u{202e}", 5).to_string(), "\"ab…\"");
    }
}
