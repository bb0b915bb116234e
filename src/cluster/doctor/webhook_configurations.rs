//! The webhook configurations and the `ValidatingAdmissionPolicy` beside them.

use serde_json::Value;

use super::reader::{ObjectReader, Resource};
use crate::core::doctor::Observation;

const MUTATING: Resource =
    Resource::new("mutatingwebhookconfigurations", "admissionregistration.k8s.io", "MutatingWebhookConfiguration");
const VALIDATING: Resource =
    Resource::new("validatingwebhookconfigurations", "admissionregistration.k8s.io", "ValidatingWebhookConfiguration");
const POLICIES: Resource =
    Resource::new("validatingadmissionpolicies", "admissionregistration.k8s.io", "ValidatingAdmissionPolicy");
const BINDINGS: Resource = Resource::new(
    "validatingadmissionpolicybindings",
    "admissionregistration.k8s.io",
    "ValidatingAdmissionPolicyBinding",
);

impl ObjectReader {
    /// Mutating and validating.
    pub(super) async fn webhook_configurations(&self, name: &str) -> [Observation<Value>; 2] {
        [self.get(&MUTATING, None, name).await, self.get(&VALIDATING, None, name).await]
    }

    /// The policy of `session-webhook policy` and its binding.
    pub(super) async fn admission_policy(&self, name: &str) -> [Observation<Value>; 2] {
        [self.get(&POLICIES, None, name).await, self.get(&BINDINGS, None, name).await]
    }
}
