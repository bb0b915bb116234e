//! Flags, environment and file: one definition, a fixed precedence, errors that name the place.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use jiff::SignedDuration;
use rstest::rstest;
use session_webhook::config::{ConfigArg, ConfigError, LogArgs, PolicyArgs, ServeArgs, matches};
use session_webhook::core::settings::{Mode, Settings};
use tempfile::TempDir;

#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Subcommand)]
enum Sub {
    /// All options
    Serve {
        #[command(flatten)]
        config: ConfigArg,
        #[command(flatten)]
        server: Box<ServeArgs>,
        #[command(flatten)]
        policy: Box<PolicyArgs>,
        #[command(flatten)]
        logs: LogArgs,
    },
    /// Some of them
    Review {
        #[command(flatten)]
        config: ConfigArg,
        #[command(flatten)]
        policy: Box<PolicyArgs>,
        files: Vec<PathBuf>,
    },
}

/// Parses a command line (words), with these variables and this file.
fn parse(line: &str, variables: &[(&str, &str)], file: Option<&str>) -> Result<Sub, ConfigError> {
    let directory = TempDir::new().unwrap();
    let mut arguments: Vec<OsString> = format!("session-webhook {line}").split_whitespace().map(Into::into).collect();
    if let Some(content) = file {
        let path = directory.path().join("config.yaml");
        fs::write(&path, content).unwrap();
        arguments.insert(2, format!("--config={}", path.display()).into());
    }
    let environment = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
    let matches = matches(&Program::command(), arguments, &environment)?;
    Ok(Program::from_arg_matches(&matches).unwrap().command)
}

fn settings(line: &str, variables: &[(&str, &str)], file: Option<&str>) -> Settings {
    match parse(line, variables, file).unwrap() {
        Sub::Serve { policy, .. } | Sub::Review { policy, .. } => policy.settings(),
    }
}

fn message(line: &str, variables: &[(&str, &str)], file: Option<&str>) -> String {
    let Err(error) = parse(line, variables, file) else { panic!("accepted") };
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn without_anything_the_defaults_are_the_cores() {
    assert_eq!(settings("serve", &[], None), Settings::default());
    assert_eq!(settings("review", &[], None), Settings::default());
}

#[rstest]
#[case::flag_over_all("serve --mode audit", Some("warn"), Some("mode: enforce"), Mode::Audit)]
#[case::variable_over_file("serve", Some("warn"), Some("mode: audit"), Mode::Warn)]
#[case::file_over_default("serve", None, Some("mode: audit"), Mode::Audit)]
#[case::variable_over_default("serve", Some("audit"), None, Mode::Audit)]
#[case::flag_equal_to_the_default("serve --mode enforce", Some("warn"), Some("mode: audit"), Mode::Enforce)]
#[case::empty_variable_is_none("serve", Some(""), Some("mode: audit"), Mode::Audit)]
#[case::empty_file("serve", Some("audit"), Some("# nothing yet\n"), Mode::Audit)]
fn a_flag_wins_over_a_variable_over_the_file(
    #[case] line: &str,
    #[case] variable: Option<&str>,
    #[case] file: Option<&str>,
    #[case] expected: Mode,
) {
    let variables: Vec<_> = variable.map(|value| ("SESSION_WEBHOOK_MODE", value)).into_iter().collect();
    assert_eq!(settings(line, &variables, file).mode, expected);
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("config.yaml");
    fs::write(&path, "mode: audit").unwrap();
    let variables = [("SESSION_WEBHOOK_CONFIG", path.to_str().unwrap())];
    assert_eq!(settings("serve", &variables, None).mode, Mode::Audit);
}

#[rstest]
#[case::flags("serve --service-account a/b --service-account c/*", None, None)]
#[case::variable("serve", Some("a/b, c/*"), None)]
#[case::list("serve", None, Some("service-account:\n  - a/b\n  - c/*\n"))]
fn a_repeatable_option_replaces_its_default(
    #[case] line: &str,
    #[case] variable: Option<&str>,
    #[case] file: Option<&str>,
) {
    let variables: Vec<_> = variable.map(|value| ("SESSION_WEBHOOK_SERVICE_ACCOUNT", value)).into_iter().collect();
    let accounts = settings(line, &variables, file).service_accounts;
    assert_eq!(accounts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a/b", "c/*"]);
}

#[test]
fn only_the_environment_splits_at_commas() {
    let group = "cn=admins,dc=example";
    let file = format!("break-glass-group: \"{group}\"");
    assert_eq!(settings("serve", &[], Some(&file)).break_glass_groups, [group]);
    assert_eq!(settings(&format!("serve --break-glass-group {group}"), &[], None).break_glass_groups, [group]);
}

#[test]
fn the_words_of_yaml_1_1_stay_words() {
    use session_webhook::core::settings::Invariants;
    assert_eq!(settings("serve", &[], Some("invariants: off")).invariants, Invariants::Off);
}

#[test]
fn one_file_serves_both_subcommands() {
    let file = "listen: 0.0.0.0:9443\nsession-timeout: 1h30m\n";
    let expected = SignedDuration::from_mins(90);
    assert_eq!(settings("serve", &[], Some(file)).session_timeout, expected);
    assert_eq!(settings("review", &[], Some(file)).session_timeout, expected);
}

#[test]
fn what_the_user_typed_behind_a_double_dash_stays_there() {
    let Sub::Review { files, policy, .. } = parse("review -- --mode", &[], Some("mode: audit")).unwrap() else {
        panic!("another subcommand")
    };
    assert_eq!(files, [PathBuf::from("--mode")]);
    assert_eq!(policy.settings().mode, Mode::Audit);
}

#[rstest]
#[case::misspelt("mdoe: warn", &["config.yaml", "mdoe", "did you mean \"mode\""])]
#[case::underscore("session_timeout: 5m", &["session_timeout", "did you mean \"session-timeout\""])]
#[case::nothing_like_it("zzz: 1", &["config.yaml", "zzz", "unknown key"])]
#[case::itself("config: other.yaml", &["config", "unknown key"])]
#[case::help("help: true", &["help", "unknown key"])]
#[case::bad_choice("mode: loud", &["config.yaml", "mode", "loud", "enforce, warn, audit"])]
#[case::bad_duration("session-timeout: 0s", &["session-timeout", "0s", "above zero"])]
#[case::bad_number("pause-timeout: 5", &["pause-timeout", "5", "1h30m"])]
#[case::bad_account("service-account: [a/b, nobody]", &["service-account", "nobody", "namespace/name"])]
#[case::wildcard("own-service-account: a/*", &["own-service-account", "a/*", "without a wildcard"])]
#[case::bad_address("listen: here", &["listen", "here", "0.0.0.0:8443"])]
#[case::bad_level("log-level: loud", &["log-level", "loud", "debug"])]
#[case::list_for_one("mode: [warn, audit]", &["mode", "one value"])]
#[case::name_like_a_number("break-glass-user: 0123", &["break-glass-user", "quotes"])]
#[case::name_like_a_boolean("break-glass-group: [sre, true]", &["break-glass-group", "quotes"])]
#[case::mapping("mode: { a: b }", &["config.yaml", "mode", "expected"])]
#[case::null("mode:", &["config.yaml", "mode", "expected"])]
#[case::twice("mode: warn\nmode: audit", &["config.yaml", "mode"])]
#[case::no_mapping("hello", &["config.yaml", "mapping"])]
#[case::no_yaml("a: [", &["config.yaml"])]
fn a_senseless_file_is_an_error_that_names_it(#[case] file: &str, #[case] words: &[&str]) {
    let message = message("serve", &[], Some(file));
    for word in words {
        assert!(message.contains(word), "{word} is missing in {message}");
    }
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[rstest]
#[case("SESSION_WEBHOOK_MODE", "loud", "enforce, warn, audit")]
#[case("SESSION_WEBHOOK_PAUSE_TIMEOUT", "-5m", "a duration such as")]
#[case("SESSION_WEBHOOK_SERVICE_ACCOUNT", "a/b,", "namespace/name")]
#[case("SESSION_WEBHOOK_BREAK_GLASS_USER", "cn=a,ou=b", "--break-glass-user")]
fn a_senseless_variable_is_an_error_that_names_it(#[case] variable: &str, #[case] value: &str, #[case] accepted: &str) {
    let message = message("serve", &[(variable, value)], None);
    for word in [variable, value.trim_end_matches("a/b,").trim_end_matches("cn=a,ou=b"), accepted] {
        assert!(message.contains(word), "{word} is missing in {message}");
    }
}

#[test]
fn limits_that_no_request_fits_in_are_refused() {
    for line in ["serve --max-connections 0", "serve --max-requests-in-flight 0", "serve --max-bytes-in-flight 31Mi"] {
        let Ok(Sub::Serve { server, .. }) = parse(line, &[], None) else { panic!("another subcommand") };
        assert!(server.limits().is_err(), "{line}");
    }
}

#[rstest]
#[case("serve", 1)]
#[case("serve --service-account a/b", 0)]
#[case("serve --service-account a/default", 1)]
#[case("serve --service-account */b", 1)]
#[case("serve --service-account */*", 2)]
fn an_account_pattern_that_is_too_wide_is_doubted(#[case] line: &str, #[case] doubts: usize) {
    let Ok(Sub::Serve { policy, .. }) = parse(line, &[], None) else { panic!("another subcommand") };
    assert_eq!(policy.warnings().len(), doubts, "{:?}", policy.warnings());
}

fn program() -> Command {
    let mut command = Command::cargo_bin("session-webhook").unwrap();
    command.env_clear();
    command
}

#[test]
fn the_help_names_each_option_and_its_variable() {
    let output = program().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let options = "listen ops-listen tls tls-cert tls-key config mode dialect service-account own-service-account \
                   break-glass-user break-glass-group housekeeper impersonation invariants session-timeout pause-timeout \
                   log-format log-level";
    for option in options.split_whitespace() {
        assert!(help.contains(&format!("--{option} ")), "--{option} is missing");
        let variable = format!("SESSION_WEBHOOK_{}", option.to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{variable} is missing");
    }
    assert!(help.contains("Examples:"));
}

#[test]
fn each_option_has_a_variable_of_its_name_that_no_service_can_set() {
    let command = Program::command();
    let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
    for arg in arguments.filter(|arg| arg.get_long().is_some()) {
        let long = arg.get_long().unwrap();
        let variable = arg.get_env().and_then(|name| name.to_str()).unwrap_or_else(|| panic!("--{long} has none"));
        assert_eq!(variable, format!("SESSION_WEBHOOK_{}", long.to_uppercase().replace('-', "_")));
        // What the kubelet sets in each pod for a Service named session-webhook.
        assert!(!["port", "service-host", "service-port"].iter().any(|taken| long.starts_with(taken)), "--{long}");
    }
}

#[test]
fn bad_configuration_ends_the_program_with_2() {
    for arguments in [
        &["serve", "--mode", "loud"][..],
        &["serve", "--config", "/nonexistent"],
        &["serve", "--client-name", "apiserver"],
        &["serve", "--tls-name", "no name"],
        &["serve", "--tls-min-version", "1.1"],
        &["swerve"],
        &[],
    ] {
        let output = program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_missing_certificate_ends_the_program_with_1_and_the_way_out() {
    let output = program().args(["serve", "--tls-cert", "/nonexistent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("/nonexistent") && text.contains("--tls self-signed"), "{text}");
}

#[test]
fn the_version_tells_the_commit() {
    let output = program().arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("session-webhook ") && text.trim_end().ends_with(')'), "{text}");
}

#[rstest]
fn completions_are_printed(#[values("bash", "zsh", "fish")] shell: &str) {
    let output = program().args(["completions", shell]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("ops-listen"));
}

#[rstest]
#[case::misspelt("SESSION_WEBHOOK_BACKFIL", Some("SESSION_WEBHOOK_BACKFILL"))]
#[case::of_nothing("SESSION_WEBHOOK_XYZZY", Some("is no option"))]
#[case::an_option("SESSION_WEBHOOK_MODE", None)]
#[case::of_another_program("WEBHOOK_MODE", None)]
#[case::service_host("SESSION_WEBHOOK_SERVICE_HOST", None)]
#[case::service_port("SESSION_WEBHOOK_SERVICE_PORT_HTTPS", None)]
#[case::port("SESSION_WEBHOOK_PORT", None)]
#[case::port_address("SESSION_WEBHOOK_PORT_443_TCP_ADDR", None)]
#[case::another_service("SESSION_WEBHOOK_METRICS_PORT_8080_TCP_PROTO", None)]
fn a_variable_that_is_no_option_is_told(#[case] name: &str, #[case] told: Option<&str>) {
    let warnings = session_webhook::config::unknown_variables(&session_webhook::cli::command(), &[name.to_owned()]);
    match told {
        Some(text) => assert!(warnings.len() == 1 && warnings[0].contains(text), "{warnings:?}"),
        None => assert_eq!(warnings, Vec::<String>::new()),
    }
}
