//! The chart's `config` takes the program's options, all but those that another value of the chart decides.

use std::fs;

use clap::{Arg, ArgAction};
use serde_json::{Map, Value, json};

use crate::helm::{assert_refused, chart};

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

/// With `UPDATE_CHART=1` in the environment the schema is renewed instead.
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
    let expected = json!({
        "duration": duration(false),
        "durationOrZero": duration(true),
        "options": {"type": "object", "additionalProperties": false, "properties": properties},
    });

    let file = chart().join("values.schema.json");
    let text = fs::read_to_string(&file).unwrap();
    if std::env::var_os("UPDATE_CHART").is_some() {
        let (before, _) = text.split_once("\n  \"definitions\": ").unwrap();
        let pretty = serde_json::to_string_pretty(&expected).unwrap().replace('\n', "\n  ");
        fs::write(&file, format!("{before}\n  \"definitions\": {pretty}\n}}\n")).unwrap();
    } else {
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["definitions"], expected, "UPDATE_CHART=1 cargo test --test chart renews the schema");
    }
}

fn schema(option: &Arg) -> Value {
    let help = option.get_help().unwrap().to_string();
    let words: Vec<_> = option.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let name = option.get_long().unwrap();
    let value_name = option.get_value_names().map(|names| names[0].to_string()).unwrap_or_default();
    let one = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] if value_name == "DURATION" => duration(takes(name, "0s")),
        [] if value_name == "COUNT" => json!({"type": "integer", "minimum": i32::from(!takes(name, "0"))}),
        [] if value_name == "BYTES" => json!({"type": ["integer", "string"], "pattern": "^[0-9]+((Ki|Mi|Gi)B?)?$"}),
        [] if !takes(name, "No_Name") => json!({"type": "string", "minLength": 1}),
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

/// What the schema takes for a duration. The program takes spaces as well.
const DURATION: &str = "^([0-9]+([.][0-9]+)?(h|m|s|ms))+$";

/// Regular expressions of Go have no way to say "but not zero": that is a second one.
fn duration(or_zero: bool) -> Value {
    let mut schema = json!({"type": "string", "pattern": DURATION});
    if !or_zero {
        schema["allOf"] = json!([{"pattern": "[1-9]"}]);
    }
    schema
}

/// Whether the program takes this value.
fn takes(option: &str, value: &str) -> bool {
    let arguments = ["session-webhook", "serve", &format!("--{option}={value}")];
    session_webhook::cli::command().try_get_matches_from(arguments).is_ok()
}

#[test]
fn a_duration_of_the_schema_is_one_of_the_program() {
    let pattern = regex::Regex::new(DURATION).unwrap();
    for text in ["30s", "1h30m", "1.5h", "250ms", "1h30m5s", "0.5s"] {
        assert!(pattern.is_match(text), "{text}");
        assert!(takes("session-timeout", text), "{text}");
    }
    for text in ["", "5", "soon", "-5m", "5m ago", "1d", "h"] {
        assert!(!pattern.is_match(text), "{text}");
    }
    for text in ["0s", "0m", "0.0h"] {
        assert!(!takes("session-timeout", text) && takes("backfill-after", text), "{text}");
    }
}

#[test]
fn what_the_chart_decides_is_refused_among_extra_arguments() {
    let helpers = fs::read_to_string(chart().join("templates/_helpers.tpl")).unwrap();
    assert!(helpers.contains(&format!("\n{}\n", DECIDED_BY_THE_CHART.join(" "))), "session-webhook.decided");
    for (arguments, named) in [
        ("extraArgs={--mode=warn}", "--mode"),
        ("extraArgs={--listen=0.0.0.0:1}", "--listen"),
        ("config.session-timeout=9m,extraArgs={--session-timeout=5m}", "--session-timeout"),
        ("extraEnv[0].name=SESSION_WEBHOOK_MODE,extraEnv[0].value=warn", "SESSION_WEBHOOK_MODE"),
        ("extraEnv[0].name=POD_NAMESPACE,extraEnv[0].value=x", "POD_NAMESPACE"),
    ] {
        assert_refused(&["--set", arguments], &[&format!("{named} is set by")]);
    }
}
