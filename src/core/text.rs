//! Text from a request on its way to a client or a log.

use std::fmt::Write;

/// `text` in double quotes, fit for one line of a message and no longer than `longest` characters between the quotes.
///
/// Control, invisible and bidirectional characters are escaped, since a message reaches terminals as it is. So is `%`,
/// since HobbyFarm uses the text of a refusal as a format string. What is too long ends in `…`.
pub fn quote(text: &str, longest: usize) -> String {
    let mut quoted = String::from('"');
    let mut length = 0;
    for character in text.chars() {
        let escaped = escape(character);
        length += escaped.chars().count();
        if length > longest {
            quoted.push('…');
            break;
        }
        quoted.push_str(&escaped);
    }
    quoted.push('"');
    quoted
}

fn escape(character: char) -> String {
    let mut escaped = String::new();
    // Writing to a String cannot fail.
    let _ = match character {
        '%' => write!(escaped, "{}", character.escape_unicode()),
        '\'' => write!(escaped, "'"),
        _ => write!(escaped, "{}", character.escape_debug()),
    };
    escaped
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::quote;

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
        assert_eq!(quote(text, 100), expected);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        assert_eq!(quote("abcdef", 3), "\"abc…\"");
        assert_eq!(quote("ab\u{202e}", 5), "\"ab…\"");
    }
}
