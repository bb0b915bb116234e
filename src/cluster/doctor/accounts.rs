//! HobbyFarm's service accounts: whether they exist, and what RBAC lets them write.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::Value;

use super::reader::{ObjectReader, Resource, describe_right, unobserved};
use crate::core::admission::review::{GROUP, RESOURCE, STATUS};
use crate::core::doctor::{HobbyFarmAccount, Observation, WriteRights};
use crate::core::settings::AccountPattern;

const SERVICE_ACCOUNTS: Resource = Resource::new("serviceaccounts", "", "ServiceAccount");
const NAMESPACES: Resource = Resource::new("namespaces", "", "Namespace");

impl ObjectReader {
    /// The labels of HobbyFarm's namespaces, where an entry selects namespaces by them.
    pub(super) async fn hobbyfarm_namespaces(
        &self,
        accounts: &[AccountPattern],
        configurations: &[Observation<Value>; 2],
    ) -> Vec<(String, Observation<BTreeMap<String, String>>)> {
        let selects = |configuration: &Value| {
            let entries = configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten();
            let selector = |entry: &Value| {
                entry.get("namespaceSelector").and_then(Value::as_object).is_some_and(|s| !s.is_empty())
            };
            entries.into_iter().any(selector)
        };
        if !configurations.iter().filter_map(Observation::found).any(selects) {
            return Vec::new();
        }
        let names: BTreeSet<_> = accounts.iter().map(AccountPattern::namespace).filter(|name| *name != "*").collect();
        let mut namespaces = Vec::new();
        for name in names {
            let labels = self.get(&NAMESPACES, None, name).await.map(|namespace| labels(&namespace));
            namespaces.push((name.to_owned(), labels));
        }
        namespaces
    }

    /// The account of each pattern; of one with a wildcard, those that exist and may write.
    pub(super) async fn accounts(&self, patterns: &[AccountPattern]) -> Observation<Vec<HobbyFarmAccount>> {
        let mut all = Vec::new();
        for pattern in patterns {
            let found =
                if pattern.is_wildcard() { self.accounts_matching(pattern).await } else { self.account(pattern).await };
            match found {
                Observation::Found(accounts) => all.extend(accounts),
                Observation::Absent => {}
                Observation::Unknown(reason) => return Observation::Unknown(reason),
            }
        }
        Observation::Found(all)
    }

    async fn account(&self, pattern: &AccountPattern) -> Observation<Vec<HobbyFarmAccount>> {
        let (namespace, name) = (pattern.namespace(), pattern.name());
        let rights = match self.get(&SERVICE_ACCOUNTS, Some(namespace), name).await {
            Observation::Found(_) => match self.write_rights(namespace, name).await {
                Observation::Found(rights) => Some(rights),
                Observation::Absent => None,
                Observation::Unknown(reason) => return Observation::Unknown(reason),
            },
            Observation::Absent => None,
            Observation::Unknown(reason) => return Observation::Unknown(reason),
        };
        Observation::Found(vec![HobbyFarmAccount { name: pattern.to_string(), rights }])
    }

    async fn accounts_matching(&self, pattern: &AccountPattern) -> Observation<Vec<HobbyFarmAccount>> {
        let namespace = (!pattern.admits_every_namespace()).then(|| pattern.namespace());
        let accounts = match self.list(&SERVICE_ACCOUNTS, namespace, ListParams::default()).await {
            Observation::Found(accounts) => accounts,
            Observation::Absent => Vec::new(),
            Observation::Unknown(reason) => return Observation::Unknown(reason),
        };
        let mut all = Vec::new();
        for account in &accounts {
            let part =
                |key: &str| account.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or_default();
            let (namespace, name) = (part("namespace"), part("name"));
            if pattern.name() != "*" && pattern.name() != name {
                continue;
            }
            match self.write_rights(namespace, name).await {
                Observation::Found(rights) if rights.any() => {
                    all.push(HobbyFarmAccount { name: format!("{namespace}/{name}"), rights: Some(rights) });
                }
                Observation::Found(_) | Observation::Absent => {}
                Observation::Unknown(reason) => return Observation::Unknown(reason),
            }
        }
        Observation::Found(all)
    }

    /// What an account may do with Sessions of its own namespace.
    async fn write_rights(&self, namespace: &str, name: &str) -> Observation<WriteRights> {
        let mut allowed = Vec::new();
        for (verb, subresource) in [("create", None), ("update", None), ("update", Some(STATUS))] {
            match self.is_allowed(namespace, name, verb, subresource).await {
                Observation::Found(is_allowed) => allowed.push(is_allowed),
                Observation::Absent => allowed.push(false),
                Observation::Unknown(reason) => return Observation::Unknown(reason),
            }
        }
        let mut allowed = allowed.into_iter();
        let mut next = || allowed.next().unwrap_or(false);
        Observation::Found(WriteRights { create: next(), update: next(), update_status: next() })
    }

    async fn is_allowed(
        &self,
        namespace: &str,
        name: &str,
        verb: &str,
        subresource: Option<&str>,
    ) -> Observation<bool> {
        let groups = vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ];
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(RESOURCE.to_owned()),
            subresource: subresource.map(str::to_owned),
            verb: Some(verb.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ResourceAttributes::default()
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{namespace}:{name}")),
                groups: Some(groups),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        match api.create(&PostParams::default(), &review).await {
            Ok(answer) => Observation::Found(answer.status.is_some_and(|status| status.allowed)),
            Err(error) => {
                unobserved(&error, || describe_right("create", "subjectaccessreviews.authorization.k8s.io", None))
            }
        }
    }
}

fn labels(namespace: &Value) -> BTreeMap<String, String> {
    let labels = namespace.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
