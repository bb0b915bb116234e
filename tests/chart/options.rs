//! The chart's `config` takes the program's options, all but those that another value of the chart decides.

use std::fs;

use clap::{Arg, ArgAction};
use serde_json::{Map, Value, json};

use crate::helm::chart;

/// Decided by other values, or fixed because other objects rely on it.
const DECIDED_BY_THE_CHART: [&str; 18] = [
    "audit-interval",
    "backfill",
    "backfill-after",
    "backfill-lease",
    "backfill-unparsable",
    "break-glass-group",
    "break-glass-user",
    "config",
    "listen",
    "mode",
    "ops-listen",
    "own-service-account",
    "service-account",
    "tls",
    "tls-secret",
    "tls-service",
    "watch-namespace",
    "webhook-configuration",
];

/// With `UPDATE_CHART=1` in the environment the schema is mended instead.
#[test]
fn config_takes_the_options_that_no_other_value_decides() {
    let command = session_webhook::cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let options: Vec<_> = serve.get_arguments().filter(|arg| arg.get_env().is_some()).collect();
    for name in DECIDED_BY_THE_CHART {
        assert!(options.iter().any(|arg| arg.get_long() == Some(name)), "there is no option {name}");
    }
    let mut properties = Map::new();
    for option in options {
        let name = option.get_long().unwrap();
        if !DECIDED_BY_THE_CHART.contains(&name) {
            properties.insert(name.to_owned(), schema(option));
        }
    }
    let expected = json!({"options": {"type": "object", "additionalProperties": false, "properties": properties}});

    let file = chart().join("values.schema.json");
    let text = fs::read_to_string(&file).unwrap();
    if std::env::var_os("UPDATE_CHART").is_some() {
        let (before, _) = text.split_once("\n  \"definitions\": ").unwrap();
        let pretty = serde_json::to_string_pretty(&expected).unwrap().replace('\n', "\n  ");
        fs::write(&file, format!("{before}\n  \"definitions\": {pretty}\n}}\n")).unwrap();
    } else {
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["definitions"], expected, "UPDATE_CHART=1 cargo test --test chart mends the schema");
    }
}

fn schema(option: &Arg) -> Value {
    let help = option.get_help().unwrap().to_string();
    let words: Vec<_> = option.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let one = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => json!({"type": ["string", "number"]}),
        ["true", "false"] => json!({"type": "boolean"}),
        _ => json!({"enum": words}),
    };
    let mut schema = match option.get_action() {
        ArgAction::Append => json!({"anyOf": [one.clone(), {"type": "array", "items": one, "minItems": 1}]}),
        _ => one,
    };
    schema["description"] = json!(help);
    schema
}
