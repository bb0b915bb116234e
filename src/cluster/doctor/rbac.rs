//! Roles and bindings.

use kube::api::ListParams;

use super::reader::{ObjectReader, Resource};
use crate::core::doctor::{Observation, Rbac};

const RBAC: &str = "rbac.authorization.k8s.io";
const CLUSTER_ROLES: Resource = Resource::new("clusterroles", RBAC, "ClusterRole");
const ROLES: Resource = Resource::new("roles", RBAC, "Role");
const CLUSTER_ROLE_BINDINGS: Resource = Resource::new("clusterrolebindings", RBAC, "ClusterRoleBinding");
const ROLE_BINDINGS: Resource = Resource::new("rolebindings", RBAC, "RoleBinding");

impl ObjectReader {
    /// All roles and bindings.
    pub(super) async fn rbac(&self) -> Observation<Rbac> {
        let mut all = Vec::new();
        for resource in [CLUSTER_ROLES, ROLES, CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS] {
            match self.list(&resource, None, ListParams::default()).await {
                Observation::Found(objects) => all.push(objects),
                Observation::Absent => return Observation::Absent,
                Observation::Unknown(reason) => return Observation::Unknown(reason),
            }
        }
        let mut all = all.into_iter();
        let mut next = || all.next().unwrap_or_default();
        Observation::Found(Rbac {
            cluster_roles: next(),
            roles: next(),
            cluster_role_bindings: next(),
            role_bindings: next(),
        })
    }
}
