//! As much of `PromQL` as it takes to tell the selectors of a query from everything else. Whether the query is one, Prometheus says.

/// A metric's name, and the labels that the query speaks of: matched, grouped or joined by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) labels: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Other(char),
}

impl Token {
    /// `rate(…)`, `sum by (…) (…)`.
    fn follows_a_function(&self) -> bool {
        match self {
            Self::Word(word) => matches!(word.as_str(), "by" | "without"),
            Self::Other(other) => *other == '(',
        }
    }
}

const AGGREGATIONS: [&str; 4] = ["by", "without", "on", "ignoring"];
const WORDS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];

/// The selectors of a query. Labels that it groups by count for each of them.
pub(crate) fn selectors(query: &str) -> Vec<Selector> {
    let tokens = tokens(query);
    let mut selectors = Vec::new();
    let mut grouped = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let next = tokens.get(index + 1);
        match &tokens[index] {
            Token::Word(word) if AGGREGATIONS.contains(&word.as_str()) => {
                index = closing(&tokens, index + 1, &mut grouped, |_| true);
            }
            Token::Word(word) if WORDS.contains(&word.as_str()) || next.is_some_and(Token::follows_a_function) => {}
            Token::Word(word) if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                let mut labels = Vec::new();
                if next == Some(&Token::Other('{')) {
                    let is_label = |following: Option<&Token>| matches!(following, Some(Token::Other('=' | '!')));
                    index = closing(&tokens, index + 1, &mut labels, is_label);
                }
                selectors.push(Selector { metric: word.clone(), labels });
            }
            // A range or a step: no name stands in it.
            Token::Other('[') => index = closing(&tokens, index, &mut Vec::new(), |_| false),
            _ => {}
        }
        index += 1;
    }
    for selector in &mut selectors {
        selector.labels.extend(grouped.iter().cloned());
    }
    selectors
}

/// The index of the bracket that closes the one at `open`; the words between go to `words` where what follows them is right.
fn closing(tokens: &[Token], open: usize, words: &mut Vec<String>, is_right: impl Fn(Option<&Token>) -> bool) -> usize {
    let mut index = open + 1;
    while !matches!(tokens[index], Token::Other(')' | '}' | ']')) {
        if let Token::Word(word) = &tokens[index]
            && is_right(tokens.get(index + 1))
        {
            words.push(word.clone());
        }
        index += 1;
    }
    index
}

fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = query.chars().peekable();
    while let Some(first) = characters.next() {
        match first {
            '"' => while characters.next().is_some_and(|c| c != '"') {},
            // Grafana's own variables stand for numbers and strings.
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$') => {
                let mut word = c.to_string();
                while let Some(c) = characters.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.')) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            c if c.is_whitespace() => {}
            c => tokens.push(Token::Other(c)),
        }
    }
    tokens
}

#[test]
fn selectors_are_told_from_functions_labels_and_numbers() {
    let query = r#"histogram_quantile(0.99, sum by (le, webhook) (rate(a_bucket{namespace=~"$n", code!="5 b{c=d}"}[$__rate_interval])))
        > 1e3 unless on (namespace) max_over_time(b[1d:5m] offset 15m) == bool c"#;
    let labels = |labels: &[&str]| labels.iter().map(ToString::to_string).collect::<Vec<_>>();
    let selector = |metric: &str, names: &[&str]| Selector { metric: metric.to_owned(), labels: labels(names) };
    assert_eq!(
        selectors(query),
        [
            selector("a_bucket", &["namespace", "code", "le", "webhook", "namespace"]),
            selector("b", &["le", "webhook", "namespace"]),
            selector("c", &["le", "webhook", "namespace"]),
        ]
    );
}
