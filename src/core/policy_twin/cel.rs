//! The table of who may write, a second time: as CEL expressions that a `ValidatingAdmissionPolicy` can carry.
//!
//! [`crate::core::admission::policy`] is the one that decides. This one is written from the contract, not from that code, so that each can
//! be held against the other, and so that the write guard holds where no webhook answers. It needs Kubernetes 1.30 (the
//! `variables` of a policy) and nothing that is not in CEL's own library: no optionals, no extension functions.
//!
//! What the API server leaves out of a request when it is empty (`userInfo.uid`, `subResource`) is asked for with `has`
//! first. Objects are wrapped in `dyn`, because the API server's type check knows no way to walk the fields of a typed one.

use std::fmt::Write;

use crate::core::admission::review::{GROUP, RESOURCE, STATUS};
use crate::core::admission::rule::Rule;
use crate::core::requester::Requester;
use crate::core::settings::{AccountPattern, Housekeeper, Impersonation, Settings};

/// The rules that refuse, in the order of the table.
const REFUSING: [Rule; 4] = [Rule::Impersonation, Rule::ManualCreate, Rule::ManualEdit, Rule::ManualStatusEdit];

/// A named expression, `spec.variables[]` of a policy; read by later ones as `variables.<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its expression, which no request that an API server sends makes fail.
    pub expression: String,
}

/// An expression that is true unless its rule refuses the request, `spec.validations[]` of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// The rule that refuses.
    pub rule: Rule,
    /// Its expression.
    pub expression: String,
}

/// The variables, in the order in which they build on each other. The last, `rule`, is the name of the first rule that
/// holds.
pub fn variables(settings: &Settings) -> Vec<Variable> {
    let who = [
        ("user", "has(request.userInfo.username) ? request.userInfo.username : ''".to_owned()),
        ("uid", "has(request.userInfo.uid) ? request.userInfo.uid : ''".to_owned()),
        ("groups", "has(request.userInfo.groups) ? request.userInfo.groups : []".to_owned()),
        ("subresource", "has(request.subResource) ? request.subResource : ''".to_owned()),
        ("guarded", guarded_expression()),
        // The own account first, however many there are: manifests/transformers/namespace puts another in its place.
        ("hobbyFarm", accounts(settings.own_service_account.iter().chain(&settings.service_accounts))),
        ("impersonation", impersonation(settings.impersonation).to_owned()),
        ("breakGlass", break_glass(settings)),
        ("housekeeper", housekeeper(&settings.housekeepers)),
    ];
    let what = CHANGE_VARIABLES.map(|(name, expression)| (name, expression.to_owned()));
    let all = who.into_iter().chain(what).chain([("rule", RULE_EXPRESSION.to_owned())]);
    all.map(|(name, expression)| Variable { name, expression }).collect()
}

/// One validation for each rule that refuses; a request passes when all are true.
pub fn validations() -> [Validation; 4] {
    REFUSING.map(|rule| Validation { rule, expression: format!("variables.rule != {}", string_literal(rule.name())) })
}

/// What the request does. `null` counts as absent, for a whole part and for an entry of the metadata.
const CHANGE_VARIABLES: [(&str, &str); 8] = [
    ("update", "variables.guarded && request.operation == 'UPDATE'"),
    ("new", "variables.update ? dyn(object) : dyn({'metadata': {}})"),
    ("old", "variables.update ? dyn(oldObject) : dyn({'metadata': {}})"),
    (
        "changedParts",
        "(variables.new.map(key, key) + variables.old.map(key, key)).filter(key, key != 'metadata' && \
         (key in variables.new ? variables.new[key] : null) != (key in variables.old ? variables.old[key] : null))",
    ),
    (
        "changedMetadata",
        "(variables.new.metadata.map(key, key) + variables.old.metadata.map(key, key)).filter(key, \
         !(key in ['managedFields', 'resourceVersion', 'generation']) && \
         (key in variables.new.metadata ? variables.new.metadata[key] : null) != \
         (key in variables.old.metadata ? variables.old.metadata[key] : null))",
    ),
    (
        "finalizers",
        "has(variables.new.metadata.finalizers) && variables.new.metadata.finalizers != null ? \
         variables.new.metadata.finalizers : []",
    ),
    (
        "oldFinalizers",
        "has(variables.old.metadata.finalizers) && variables.old.metadata.finalizers != null ? \
         variables.old.metadata.finalizers : []",
    ),
    ("deleting", "has(variables.old.metadata.deletionTimestamp) && variables.old.metadata.deletionTimestamp != null"),
];

/// The first rule that holds.
const RULE_EXPRESSION: &str = "\
    !variables.guarded ? 'NotGuarded' : \
    variables.hobbyFarm ? (variables.impersonation ? 'Impersonation' : 'HobbyFarm') : \
    variables.breakGlass ? 'BreakGlass' : \
    !variables.update ? 'ManualCreate' : \
    size(variables.changedParts) == 0 && size(variables.changedMetadata) == 0 ? 'NoChange' : \
    variables.housekeeper && size(variables.changedParts) == 0 && \
    variables.changedMetadata.all(key, key in ['finalizers', 'ownerReferences']) ? 'Housekeeping' : \
    variables.deleting && size(variables.changedParts) == 0 && \
    variables.changedMetadata.all(key, key == 'finalizers') && \
    variables.finalizers.all(finalizer, finalizer in variables.oldFinalizers) && \
    variables.oldFinalizers.exists(finalizer, !(finalizer in variables.finalizers)) ? 'Release' : \
    variables.subresource == 'status' ? 'ManualStatusEdit' : 'ManualEdit'";

fn guarded_expression() -> String {
    format!(
        "request.operation in ['CREATE', 'UPDATE'] && request.resource.group == {} && request.resource.resource == {} && \
         variables.subresource in ['', {}]",
        string_literal(GROUP),
        string_literal(RESOURCE),
        string_literal(STATUS)
    )
}

const fn impersonation(setting: Impersonation) -> &'static str {
    match setting {
        Impersonation::Deny => "variables.uid == ''",
        Impersonation::Allow => "false",
    }
}

fn break_glass(settings: &Settings) -> String {
    let users = in_list("variables.user", &settings.break_glass_users);
    let groups = (!settings.break_glass_groups.is_empty())
        .then(|| format!("variables.groups.exists(group, {})", in_list("group", &settings.break_glass_groups)));
    any_of([Some(users).filter(|_| !settings.break_glass_users.is_empty()), groups].into_iter().flatten())
}

/// A user name that is one of a service account, or of nobody, stands for no housekeeper: those are meant by patterns.
fn housekeeper(housekeepers: &[Housekeeper]) -> String {
    let patterns = housekeepers.iter().filter_map(|housekeeper| match housekeeper {
        Housekeeper::Account(pattern) => Some(pattern),
        Housekeeper::User(_) => None,
    });
    let users: Vec<_> = housekeepers
        .iter()
        .filter_map(|housekeeper| match housekeeper {
            Housekeeper::User(name) => matches!(Requester::parse(name), Requester::User(_)).then_some(name),
            Housekeeper::Account(_) => None,
        })
        .collect();
    let users = (!users.is_empty()).then(|| in_list("variables.user", &users));
    any_of([accounts(patterns)].into_iter().filter(|accounts| accounts != "false").chain(users))
}

/// Whether the user is one of these service accounts: exact names as a list, others as one regular expression each.
fn accounts<'a>(patterns: impl Iterator<Item = &'a AccountPattern>) -> String {
    let (some, one): (Vec<_>, Vec<_>) = patterns.partition(|pattern| pattern.is_wildcard());
    let names: Vec<_> =
        one.iter().map(|pattern| format!("{ACCOUNT}{}:{}", pattern.namespace(), pattern.name())).collect();
    let names = (!names.is_empty()).then(|| in_list("variables.user", &names));
    let expressions = some.iter().map(|pattern| {
        // The dot is the one character of a Kubernetes name that means something in a regular expression.
        let part = |part: &str| if part == "*" { "[^:]+".to_owned() } else { part.replace('.', "[.]") };
        let whole = format!("^{ACCOUNT}{}:{}$", part(pattern.namespace()), part(pattern.name()));
        format!("variables.user.matches({})", string_literal(&whole))
    });
    any_of(names.into_iter().chain(expressions))
}

/// What the name of a service account begins with.
const ACCOUNT: &str = "system:serviceaccount:";

fn in_list(value: &str, names: &[impl AsRef<str>]) -> String {
    let names: Vec<_> = names.iter().map(|name| string_literal(name.as_ref())).collect();
    format!("{value} in [{}]", names.join(", "))
}

fn any_of(expressions: impl Iterator<Item = String>) -> String {
    let expressions: Vec<_> = expressions.collect();
    if expressions.is_empty() { "false".to_owned() } else { expressions.join(" || ") }
}

/// A CEL string literal. Whatever could end it, or be read in two ways, is escaped.
pub(in crate::core) fn string_literal(text: &str) -> String {
    let mut literal = String::from("'");
    for character in text.chars() {
        if character.is_ascii_graphic() && !matches!(character, '\'' | '\\') || character == ' ' {
            literal.push(character);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(literal, "\\U{:08X}", u32::from(character));
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::{in_list, string_literal, validations, variables};
    use crate::core::admission::rule::Rule;
    use crate::core::settings::Settings;

    #[test]
    fn a_name_cannot_end_its_literal() {
        assert_eq!(string_literal(r"o'brien\"), r"'o\U00000027brien\U0000005C'");
        assert_eq!(string_literal("two\nlines\u{202e}"), r"'two\U0000000Alines\U0000202E'");
        assert_eq!(in_list("variables.user", &["a", "b c"]), "variables.user in ['a', 'b c']");
    }

    #[test]
    fn the_defaults_read_as_documented() {
        let variables = variables(&Settings::default());
        let expression =
            |name: &str| variables.iter().find(|variable| variable.name == name).map(|v| v.expression.as_str());
        assert_eq!(
            expression("hobbyFarm"),
            Some("variables.user.matches('^system:serviceaccount:hobbyfarm-system:[^:]+$')")
        );
        assert_eq!(expression("breakGlass"), Some("false"));
        assert_eq!(
            expression("housekeeper"),
            Some(
                "variables.user.matches('^system:serviceaccount:kube-system:[^:]+$') || \
                 variables.user in ['system:kube-controller-manager']"
            )
        );
    }

    #[test]
    fn a_variable_reads_only_those_before_it() {
        let variables = variables(&Settings::default());
        for (index, variable) in variables.iter().enumerate() {
            for word in variable.expression.split("variables.").skip(1) {
                let name = word.split(|c: char| !c.is_ascii_alphanumeric()).next();
                let known = variables.iter().take(index).any(|before| Some(before.name) == name);
                assert!(known, "{} reads {name:?}", variable.name);
            }
        }
    }

    #[test]
    fn each_refusing_rule_has_its_validation() {
        let refusing: Vec<_> = Rule::ALL.iter().copied().filter(|rule| rule.is_manual()).collect();
        assert_eq!(validations().map(|validation| validation.rule).to_vec(), refusing);
    }
}
