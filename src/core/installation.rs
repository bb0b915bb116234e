//! What is installed, as it is shipped: names, webhook entries, rights. A test holds `manifests/` against it, and
//! [`crate::core::doctor`] a cluster.

use crate::core::admission::review::{GROUP, RESOURCE, Webhook};
use crate::core::settings::AccountPattern;

/// Namespace that the overlays install into.
pub const NAMESPACE: &str = "hobbyfarm-session-webhook";
/// Name of both webhook configurations.
pub const CONFIGURATION: &str = "hobbyfarm-session-webhook";
/// Name of the Service.
pub const SERVICE: &str = "session-webhook";
/// Name of the Secret of `--tls self-managed`.
pub const SELF_MANAGED_SECRET: &str = "session-webhook-self-managed";
/// Name of the Lease of `--backfill` and `--audit-interval`.
pub const LEASE: &str = "session-webhook-backfill";
/// How many replicas there are at least, so that one may go.
pub const REPLICAS: usize = 2;
/// What the entries are asked about. Not `DELETE`: an outage would keep namespaces from going away.
pub const OPERATIONS: [&str; 2] = ["CREATE", "UPDATE"];
/// Of Sessions, whichever way their definition stores the status.
pub const RESOURCES: [&str; 2] = [RESOURCE, "sessions/status"];
/// Wherever they are: HobbyFarm's charts 0.1.0 and 0.3.2, and HobbyFarm 4, define Sessions that belong to no namespace.
pub const SCOPE: &str = "*";
/// The first Kubernetes version that keeps `matchConditions`.
pub const MATCH_CONDITIONS_SINCE: (u32, u32) = (1, 28);

/// The two kinds of webhook configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigurationKind {
    /// `MutatingWebhookConfiguration`.
    Mutating,
    /// `ValidatingWebhookConfiguration`.
    Validating,
}

impl ConfigurationKind {
    /// Both, in the order in which the API server asks them.
    pub const ALL: [Self; 2] = [Self::Mutating, Self::Validating];

    /// As `kubectl` takes it.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfiguration",
            Self::Validating => "validatingwebhookconfiguration",
        }
    }

    /// What its entries call.
    pub const fn webhook(self) -> Webhook {
        match self {
            Self::Mutating => Webhook::Mutate,
            Self::Validating => Webhook::Validate,
        }
    }
}

/// Whose requests an entry is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Everybody's; no `matchConditions`.
    All,
    /// Those of HobbyFarm's accounts and of [`GARBAGE_COLLECTORS`], which go on when no replica answers.
    HobbyFarmAndGarbageCollectors,
    /// All but those.
    Others,
}

/// One entry of a webhook configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookEntry {
    /// Where it stands.
    pub kind: ConfigurationKind,
    /// Its name.
    pub name: &'static str,
    /// Whose requests it is asked about.
    pub writers: Writers,
    /// What becomes of a request when no replica answers.
    pub failure_policy: &'static str,
    /// Whether HobbyFarm's keep-alives are spared the call: [`crate::core::policy_twin::keep_alive`].
    pub spares_keep_alives: bool,
    /// How long the API server waits for an answer. An answer takes milliseconds, and a replica with too much to do says 503
    /// at once. So where failures are ignored it is the least that there is: HobbyFarm's create meets two such entries, and
    /// waits for their sum when an endpoint hangs. Where a failure refuses a person's write, a slow answer is better than none.
    pub timeout_seconds: u8,
}

/// The entries, as they stand in the configurations.
pub const ENTRIES: [WebhookEntry; 3] = [
    WebhookEntry {
        kind: ConfigurationKind::Mutating,
        name: "mutate.session-webhook.hobbyfarm.io",
        writers: Writers::All,
        failure_policy: "Ignore",
        spares_keep_alives: true,
        timeout_seconds: 1,
    },
    WebhookEntry {
        kind: ConfigurationKind::Validating,
        name: "validate.session-webhook.hobbyfarm.io",
        writers: Writers::Others,
        failure_policy: "Fail",
        spares_keep_alives: false,
        timeout_seconds: 3,
    },
    WebhookEntry {
        kind: ConfigurationKind::Validating,
        name: "validate-hobbyfarm.session-webhook.hobbyfarm.io",
        writers: Writers::HobbyFarmAndGarbageCollectors,
        failure_policy: "Ignore",
        spares_keep_alives: true,
        timeout_seconds: 1,
    },
];

/// The shipped entry of this name.
pub fn entry(name: &str) -> Option<&'static WebhookEntry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// The controllers that take finalizers and owners off what is deleted, by their user names. A service account comes with a uid; the
/// last one is that of a controller manager without `--use-service-account-credentials`, and of a certificate.
pub const GARBAGE_COLLECTORS: [&str; 3] = [
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:kube-controller-manager",
];

/// The user names of these accounts; none where a pattern stands for many.
pub fn users(accounts: &[AccountPattern]) -> Option<Vec<String>> {
    let user = |account: &AccountPattern| {
        let name = format!("system:serviceaccount:{}:{}", account.namespace(), account.name());
        (!account.is_wildcard()).then_some(name)
    };
    accounts.iter().map(user).collect()
}

/// The expression of `matchConditions` that selects these writers, where HobbyFarm's users are `users`.
pub fn match_expression(writers: Writers, users: &[String]) -> Option<String> {
    let [accounts @ .., manager] = GARBAGE_COLLECTORS;
    let list: Vec<_> = users.iter().map(String::as_str).chain(accounts).map(|user| format!("'{user}'")).collect();
    let selected = format!(
        "has(request.userInfo.uid) && request.userInfo.username in [{}] || request.userInfo.username == '{manager}'",
        list.join(", ")
    );
    match writers {
        Writers::All => None,
        Writers::HobbyFarmAndGarbageCollectors => Some(selected),
        Writers::Others => Some(format!("!({selected})")),
    }
}

/// What the webhook's own account may do: a rule of a shipped role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RbacRule {
    /// API group.
    pub group: &'static str,
    /// Resources.
    pub resources: &'static [&'static str],
    /// Only the object of the name that the option says.
    pub named: bool,
    /// Verbs.
    pub verbs: &'static [&'static str],
}

/// `serve --backfill`, in the namespaces that it looks after.
pub const BACKFILL: [RbacRule; 4] = [
    RbacRule { group: GROUP, resources: &[RESOURCE], named: false, verbs: &["get", "list", "watch", "patch"] },
    RbacRule { group: GROUP, resources: &["sessions/status"], named: false, verbs: &["patch"] },
    RbacRule { group: GROUP, resources: &["courses", "scenarios"], named: false, verbs: &["get"] },
    RbacRule { group: "events.k8s.io", resources: &["events"], named: false, verbs: &["create", "patch"] },
];

/// `serve --audit-interval`, in the namespaces that it looks at.
pub const AUDIT: [RbacRule; 2] = [
    RbacRule { group: GROUP, resources: &[RESOURCE], named: false, verbs: &["list"] },
    RbacRule {
        group: GROUP,
        resources: &["users", "courses", "scenarios", "virtualmachineclaims"],
        named: false,
        verbs: &["get", "list"],
    },
];

/// `serve --backfill` and `--audit-interval`, in their own namespace: [`LEASE`]. A create cannot be limited by name.
pub const BACKFILL_LEASE: [RbacRule; 2] = [
    RbacRule { group: "coordination.k8s.io", resources: &["leases"], named: true, verbs: &["get", "update"] },
    RbacRule { group: "coordination.k8s.io", resources: &["leases"], named: false, verbs: &["create"] },
];

/// `serve --tls self-managed`, in its own namespace: [`SELF_MANAGED_SECRET`]. A create cannot be limited by name.
pub const SELF_MANAGED: [RbacRule; 2] = [
    RbacRule { group: "", resources: &["secrets"], named: true, verbs: &["get", "patch"] },
    RbacRule { group: "", resources: &["secrets"], named: false, verbs: &["create"] },
];

/// `serve --tls self-managed`, on the two configurations: [`CONFIGURATION`].
pub const SELF_MANAGED_CONFIGURATIONS: [RbacRule; 1] = [RbacRule {
    group: "admissionregistration.k8s.io",
    resources: &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
    named: true,
    verbs: &["get", "patch"],
}];
