//! HobbyFarm's accounts: whether they exist, and what they may.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::Value;

use super::look::{Looker, Resource, missed, right};
use crate::core::admission::review::{GROUP, RESOURCE, STATUS};
use crate::core::doctor::{Account, Look, WritingRights};
use crate::core::settings::AccountPattern;

const SERVICE_ACCOUNTS: Resource = Resource::new("serviceaccounts", "", "ServiceAccount");

impl Looker {
    /// Each account that the patterns stand for. With a wildcard those that exist and may write.
    pub(super) async fn accounts(&self, patterns: &[AccountPattern]) -> Look<Vec<Account>> {
        let mut all = Vec::new();
        for pattern in patterns {
            let found = if pattern.is_wildcard() { self.matching(pattern).await } else { self.account(pattern).await };
            match found {
                Look::Found(accounts) => all.extend(accounts),
                Look::Absent => {}
                Look::Unknown(obstacle) => return Look::Unknown(obstacle),
            }
        }
        Look::Found(all)
    }

    async fn account(&self, pattern: &AccountPattern) -> Look<Vec<Account>> {
        let (namespace, name) = (pattern.namespace(), pattern.name());
        let rights = match self.get(&SERVICE_ACCOUNTS, Some(namespace), name).await {
            Look::Found(_) => match self.rights(namespace, name).await {
                Look::Found(rights) => Some(rights),
                Look::Absent => None,
                Look::Unknown(obstacle) => return Look::Unknown(obstacle),
            },
            Look::Absent => None,
            Look::Unknown(obstacle) => return Look::Unknown(obstacle),
        };
        Look::Found(vec![Account { name: pattern.to_string(), rights }])
    }

    async fn matching(&self, pattern: &AccountPattern) -> Look<Vec<Account>> {
        let namespace = (!pattern.admits_every_namespace()).then(|| pattern.namespace());
        let accounts = match self.list(&SERVICE_ACCOUNTS, namespace, ListParams::default()).await {
            Look::Found(accounts) => accounts,
            Look::Absent => Vec::new(),
            Look::Unknown(obstacle) => return Look::Unknown(obstacle),
        };
        let mut all = Vec::new();
        for account in &accounts {
            let part =
                |key: &str| account.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or_default();
            let (namespace, name) = (part("namespace"), part("name"));
            if pattern.name() != "*" && pattern.name() != name {
                continue;
            }
            match self.rights(namespace, name).await {
                Look::Found(rights) if rights.any() => {
                    all.push(Account { name: format!("{namespace}/{name}"), rights: Some(rights) });
                }
                Look::Found(_) | Look::Absent => {}
                Look::Unknown(obstacle) => return Look::Unknown(obstacle),
            }
        }
        Look::Found(all)
    }

    /// What an account may do with Sessions of its own namespace.
    async fn rights(&self, namespace: &str, name: &str) -> Look<WritingRights> {
        let mut may = Vec::new();
        for (verb, subresource) in [("create", None), ("update", None), ("update", Some(STATUS))] {
            match self.may(namespace, name, verb, subresource).await {
                Look::Found(allowed) => may.push(allowed),
                Look::Absent => may.push(false),
                Look::Unknown(obstacle) => return Look::Unknown(obstacle),
            }
        }
        let mut may = may.into_iter();
        let mut next = || may.next().unwrap_or(false);
        Look::Found(WritingRights { create: next(), update: next(), update_status: next() })
    }

    async fn may(&self, namespace: &str, name: &str, verb: &str, subresource: Option<&str>) -> Look<bool> {
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
            Ok(answer) => Look::Found(answer.status.is_some_and(|status| status.allowed)),
            Err(error) => missed(&error, || right("create", "subjectaccessreviews.authorization.k8s.io", None)),
        }
    }
}
