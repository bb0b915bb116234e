//! Roles and bindings, read as who may do what where.

use std::fmt;

use serde_json::Value;

use super::entries::string_at;
use super::facts::Rbac;

/// A rule that is bound to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
    /// None: all.
    pub(super) names: Vec<String>,
    /// None: everywhere.
    pub(super) namespace: Option<String>,
    /// The role that it stands in.
    role: String,
}

/// To whom something is granted. A service account is a user, by its user name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    User(String),
    Group(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => match name.strip_prefix("system:serviceaccount:") {
                Some(account) => write!(f, "service account {}", account.replacen(':', "/", 1)),
                None => write!(f, "user {name}"),
            },
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

impl Grant {
    /// Whether it allows something, of whatever name.
    pub(super) fn allows(&self, group: &str, resource: &str, verb: &str) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|known| known == "*" || known == word);
        let of_all = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        has(&self.groups, group)
            && has(&self.verbs, verb)
            && (has(&self.resources, resource) || of_all.is_some_and(|all| self.resources.contains(&all)))
    }

    /// Whether it is good for the object of this name, or for any.
    pub(super) fn allows_name(&self, name: Option<&str>) -> bool {
        self.names.is_empty() || name.is_some_and(|name| self.names.iter().any(|known| known == name))
    }

    /// Whether it holds in this namespace, or everywhere.
    pub(super) fn reaches(&self, namespace: Option<&str>) -> bool {
        self.namespace.is_none() || self.namespace.as_deref() == namespace
    }

    /// Each group, resource and verb.
    pub(super) fn group_resource_verb_triples(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.groups.iter().flat_map(move |group| {
            self.resources.iter().flat_map(move |resource| {
                self.verbs.iter().map(move |verb| (group.as_str(), resource.as_str(), verb.as_str()))
            })
        })
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let (verbs, resources, groups) = (self.verbs.join(","), self.resources.join(","), self.groups.join(","));
        let group = if groups.is_empty() { String::new() } else { format!(" of {groups}") };
        format!("{verbs} {resources}{group} ({})", self.role)
    }
}

/// All grants, each with those whom it is for.
pub(super) fn grants_to_all(rbac: &Rbac) -> Vec<(Subject, Grant)> {
    let everywhere = rbac.cluster_role_bindings.iter().map(|binding| (binding, None));
    let somewhere = rbac.role_bindings.iter().map(|binding| (binding, string_at(binding, "/metadata/namespace")));
    let mut all = Vec::new();
    for (binding, namespace) in everywhere.chain(somewhere) {
        let grants = grants(rbac, binding, namespace);
        for subject in list(binding, "subjects").iter().filter_map(|subject| self::subject(subject, namespace)) {
            all.extend(grants.iter().map(|grant| (subject.clone(), grant.clone())));
        }
    }
    all
}

/// What is granted to a service account itself, or to all those of its namespace.
pub(super) fn grants_of(rbac: &Rbac, namespace: &str, name: &str) -> Vec<Grant> {
    let own = [
        Subject::User(format!("system:serviceaccount:{namespace}:{name}")),
        Subject::Group(format!("system:serviceaccounts:{namespace}")),
    ];
    let all = grants_to_all(rbac).into_iter();
    all.filter(|(subject, _)| own.contains(subject)).map(|(_, grant)| grant).collect()
}

fn grants(rbac: &Rbac, binding: &Value, namespace: Option<&str>) -> Vec<Grant> {
    let kind = string_at(binding, "/roleRef/kind").unwrap_or_default();
    let name = string_at(binding, "/roleRef/name").unwrap_or_default();
    let candidates = if kind == "ClusterRole" { &rbac.cluster_roles } else { &rbac.roles };
    let is_it = |role: &&Value| {
        string_at(role, "/metadata/name") == Some(name)
            && (kind == "ClusterRole" || string_at(role, "/metadata/namespace") == namespace)
    };
    let rules = candidates.iter().find(is_it).map(|role| list(role, "rules")).unwrap_or_default();
    let grant = |rule: &Value| Grant {
        groups: strings_in(rule, "apiGroups"),
        resources: strings_in(rule, "resources"),
        verbs: strings_in(rule, "verbs"),
        names: strings_in(rule, "resourceNames"),
        namespace: namespace.map(str::to_owned),
        role: format!("{kind} {name}"),
    };
    // Rules about paths grant nothing on objects.
    rules.into_iter().map(grant).filter(|grant| !grant.resources.is_empty()).collect()
}

fn subject(subject: &Value, namespace: Option<&str>) -> Option<Subject> {
    let name = string_at(subject, "/name")?;
    match string_at(subject, "/kind")? {
        "ServiceAccount" => {
            let namespace = string_at(subject, "/namespace").or(namespace)?;
            Some(Subject::User(format!("system:serviceaccount:{namespace}:{name}")))
        }
        "User" => Some(Subject::User(name.to_owned())),
        "Group" => Some(Subject::Group(name.to_owned())),
        _ => None,
    }
}

fn list<'a>(object: &'a Value, key: &str) -> Vec<&'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten().collect()
}

fn strings_in(rule: &Value, key: &str) -> Vec<String> {
    list(rule, key).into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
