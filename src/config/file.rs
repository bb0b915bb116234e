//! The `--config` file: a YAML mapping from long flag names to values.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::Command;
use serde::Deserialize;

use super::{CONFIG, ConfigError};

/// A configuration of this program is some hundred bytes; more is not one.
const MAX_FILE: u64 = 1 << 20;

/// The long names of all options that a file may set, of any subcommand.
pub(super) fn options(command: &Command) -> Vec<String> {
    let mut names: Vec<String> = command
        .get_subcommands()
        .flat_map(Command::get_arguments)
        .filter(|arg| arg.get_env().is_some() && arg.get_id() != CONFIG)
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::FileUnreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        let message = format!("more than {MAX_FILE} bytes are no configuration");
        return Err(ConfigError::FileMalformed { path: path.to_owned(), message });
    }
    Ok(text)
}

/// Reads the text of a file: the values of each key. Unknown keys are an error, whatever their value.
pub(super) fn read(
    path: &Path,
    text: &str,
    options: &[String],
) -> Result<BTreeMap<String, Vec<FileValue>>, ConfigError> {
    let malformed = |message: String| ConfigError::FileMalformed { path: path.to_owned(), message };
    // `off` is one of this program's own words, so booleans are `true` and `false` alone, as in YAML 1.2.
    let yaml = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let content: Option<BTreeMap<String, Value>> = serde_saphyr::from_str_with_options(text, yaml)
        .map_err(|error| malformed(format!("expected a YAML mapping from option to value: {error}")))?;

    let mut settings = BTreeMap::new();
    for (key, value) in content.unwrap_or_default() {
        if !options.contains(&key) {
            let hint = closest(&key, options).map(|name| format!(", did you mean {name:?}?")).unwrap_or_default();
            return Err(ConfigError::UnknownKey { path: path.to_owned(), key, hint });
        }
        let values = value.into_values().ok_or_else(|| {
            malformed(format!(
                "key {key:?}: expected a text, a number or a list of them; leave the key out for its default"
            ))
        })?;
        settings.insert(key, values);
    }
    Ok(settings)
}

/// One value of a key.
pub(super) struct FileValue {
    /// As it would be typed.
    pub(super) text: String,
    /// Not so for what YAML takes for a number or a boolean, of which the spelling is lost: `0123` has become `123`.
    pub(super) is_text: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Boolean(bool),
    Integer(i64),
    Fraction(f64),
    Text(String),
    List(Vec<Value>),
    Other(serde::de::IgnoredAny),
}

impl Value {
    /// One for a scalar, one for each item of a list, nothing for a mapping or null.
    fn into_values(self) -> Option<Vec<FileValue>> {
        match self {
            Self::List(items) => {
                let items: Option<Vec<_>> = items.into_iter().map(Self::into_scalar).collect();
                items.filter(|items| !items.is_empty())
            }
            scalar => scalar.into_scalar().map(|text| vec![text]),
        }
    }

    fn into_scalar(self) -> Option<FileValue> {
        let (text, is_text) = match self {
            Self::Boolean(value) => (value.to_string(), false),
            Self::Integer(value) => (value.to_string(), false),
            Self::Fraction(value) => (value.to_string(), false),
            Self::Text(text) => (text, true),
            Self::List(_) | Self::Other(_) => return None,
        };
        Some(FileValue { text, is_text })
    }
}

/// The option that `key` is most likely a misspelling of.
pub(super) fn closest<'a>(key: &str, options: &'a [String]) -> Option<&'a str> {
    let key = key.trim_start_matches('-').replace('_', "-");
    let (score, name) = options
        .iter()
        .map(|name| (strsim::jaro_winkler(&key, name), name.as_str()))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (score > 0.8).then_some(name)
}
