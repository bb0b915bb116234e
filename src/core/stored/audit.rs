//! Every stored Session judged: the rules of `/validate`, the repairs of `/mutate`, and what only shows beside others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::SignedDuration;

use crate::core::admission::normalize::{
    Timeouts, certain_instant, describe_value, is_unparsable, is_usable, normalize, usable_instant,
};
use crate::core::admission::rule::Rule;
use crate::core::admission::validate;
use crate::core::session::managed_fields::hand_edits;
use crate::core::session::raw_object::Scalar;
use crate::core::session::timestamp::Instant;
use crate::core::session::{Field, Session, Status, detect_dialect};
use crate::core::settings::{Dialect, Settings};
use crate::core::stored::backfill::{KeepAlive, keep_alive};
use crate::core::stored::finding::{Finding, FindingKind, SessionFinding};
use crate::core::text::quote;

/// As long as Kubernetes allows.
const LONGEST_NAME: usize = 253;

/// What a Session may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// `spec.user`.
    User,
    /// `spec.course`.
    Course,
    /// `spec.scenario`.
    Scenario,
    /// `spec.vm_claim`.
    VirtualMachineClaim,
}

impl Reference {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::User, Self::Course, Self::Scenario, Self::VirtualMachineClaim];

    /// The resource, as the API server names it.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Course => "courses",
            Self::Scenario => "scenarios",
            Self::VirtualMachineClaim => "virtualmachineclaims",
        }
    }

    /// The kind, as the API server names it.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Course => "Course",
            Self::Scenario => "Scenario",
            Self::VirtualMachineClaim => "VirtualMachineClaim",
        }
    }

    /// The field of a Session that names it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::User => "spec.user",
            Self::Course => "spec.course",
            Self::Scenario => "spec.scenario",
            Self::VirtualMachineClaim => "spec.vm_claim",
        }
    }

    /// The names that a Session has of these; none where the field is empty.
    pub fn names(self, session: &Session<'_>) -> Vec<String> {
        match session.spec(self.path().trim_start_matches("spec.")) {
            Scalar::Text(name) if !name.is_empty() => vec![name.into_owned()],
            Scalar::Other(list) => {
                let names: Vec<Option<String>> = serde_json::from_str(list).unwrap_or_default();
                names.into_iter().flatten().filter(|name| !name.is_empty()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The objects of one kind, by namespace and name, each with its `keepalive_duration` where it has one.
type Objects = HashMap<String, HashMap<String, Option<String>>>;

/// What Sessions name, as far as it could be looked at. What could not is taken to exist.
#[derive(Debug, Default)]
pub struct ReferencedObjects(BTreeMap<Reference, Objects>);

impl ReferencedObjects {
    /// Says that objects of this kind could be looked at.
    pub fn mark_listed(&mut self, reference: Reference) {
        self.0.entry(reference).or_default();
    }

    /// Adds an object, or says what duration it has.
    pub fn add(&mut self, reference: Reference, namespace: &str, name: String, keepalive_duration: Option<String>) {
        let objects = self.0.entry(reference).or_default();
        match objects.get_mut(namespace) {
            Some(names) => drop(names.insert(name, keepalive_duration)),
            None => drop(objects.insert(namespace.to_owned(), HashMap::from([(name, keepalive_duration)]))),
        }
    }

    /// The Course and the Scenario of a Session that has not finished, as far as they exist: their `keepalive_duration` counts.
    pub fn with_duration(&self, session: &Session<'_>) -> Vec<(Reference, String)> {
        if session.is_being_deleted() || session.field(Field::Finished).as_flag() == Some(true) {
            return Vec::new();
        }
        let namespace = namespace_of(session);
        let named = [Reference::Course, Reference::Scenario]
            .into_iter()
            .filter_map(|reference| Some((reference, reference.names(session).pop()?)));
        named.filter(|(reference, name)| self.holds(*reference, &namespace, name)).collect()
    }

    fn holds(&self, reference: Reference, namespace: &str, name: &str) -> bool {
        let names = self.0.get(&reference).and_then(|objects| objects.get(namespace));
        names.is_some_and(|names| names.contains_key(name))
    }

    fn is_missing(&self, reference: Reference, namespace: &str, name: &str) -> bool {
        self.0.contains_key(&reference) && !self.holds(reference, namespace, name)
    }

    fn duration(&self, reference: Reference, namespace: &str, session: &Session<'_>) -> Option<&str> {
        let name = reference.names(session).pop()?;
        self.0.get(&reference)?.get(namespace)?.get(&name)?.as_deref()
    }

    fn keep_alive(&self, namespace: &str, session: &Session<'_>) -> KeepAlive {
        let [course, scenario] =
            [Reference::Course, Reference::Scenario].map(|reference| self.duration(reference, namespace, session));
        keep_alive(course, scenario)
    }
}

/// Where a Session is; empty where it belongs to no namespace.
pub fn namespace_of(session: &Session<'_>) -> String {
    text_of(session, "namespace")
}

fn text_of(session: &Session<'_>, key: &str) -> String {
    match session.metadata(key) {
        Scalar::Text(text) => text.into_owned(),
        _ => String::new(),
    }
}

/// One audit: Sessions go in one by one, findings come out.
pub struct Audit<'a> {
    settings: &'a Settings,
    /// A younger Session may still wait for HobbyFarm's first status write.
    after: SignedDuration,
    /// What Sessions name. Durations may come in while it goes on, before the first Session that they count for.
    pub referenced: ReferencedObjects,
    now: Instant,
    /// Active Sessions by namespace, user and scenario, each by its creation (in whole seconds) and name, which tells those of one second apart.
    active: HashMap<[String; 3], BTreeSet<[String; 2]>>,
}

/// One Session on the table.
struct SessionAudit<'a> {
    session: &'a Session<'a>,
    namespace: &'a str,
    dialect: Dialect,
    is_young: bool,
    findings: Vec<Finding>,
}

impl<'a> Audit<'a> {
    /// An audit at the time `now` that has seen no Session yet.
    pub fn new(settings: &'a Settings, after: SignedDuration, referenced: ReferencedObjects, now: Instant) -> Self {
        Self { settings, after, referenced, now, active: HashMap::new() }
    }

    /// Judges one Session. One that is being deleted is what it should be.
    pub fn judge(&mut self, session: &Session<'_>) -> Vec<SessionFinding> {
        if session.is_being_deleted() {
            return Vec::new();
        }
        let (namespace, name) = (namespace_of(session), text_of(session, "name"));
        let created = certain_instant(&session.metadata("creationTimestamp"));
        let mut judged = SessionAudit {
            session,
            namespace: &namespace,
            dialect: self.settings.dialect.unwrap_or_else(|| detect_dialect(session, None)),
            is_young: created.is_some_and(|created| created.plus(self.after) > self.now),
            findings: Vec::new(),
        };
        judged.hand_edits();
        if matches!(session.status(), Status::Other) {
            judged.add(FindingKind::BadStatus, "status", "no object".to_owned());
        } else {
            judged.times();
            judged.rules();
            judged.not_normalized(self.timeouts(), self.now);
        }
        let finished = session.field(Field::Finished).as_flag() == Some(true);
        if !finished {
            let keep_alive = self.referenced.keep_alive(&namespace, session);
            judged.expired(&keep_alive, self.timeouts(), self.now);
            judged.references(&self.referenced, &keep_alive);
        }
        let is_over = judged.is_over(self.timeouts().pause, self.now) == Some(true);
        let findings = judged.findings;
        if !finished && !is_over && session.field(Field::Active).as_flag() == Some(true) {
            self.record_active([namespace.clone(), name.clone()], text_of(session, "creationTimestamp"), session);
        }
        let found = |finding| SessionFinding { namespace: namespace.clone(), name: name.clone(), finding };
        findings.into_iter().map(found).collect()
    }

    /// After the last Session: those that a newer one of the same user and scenario has made needless.
    pub fn duplicates(self) -> Vec<SessionFinding> {
        let mut duplicates = Vec::new();
        for ([namespace, user, _], mut sessions) in self.active {
            let Some([_, newest]) = sessions.pop_last() else { continue };
            for [_, name] in sessions {
                let value = format!("{} also has {}", quote(&user, LONGEST_NAME), quote(&newest, LONGEST_NAME));
                let finding = Finding { kind: FindingKind::Duplicate, field: "spec.scenario".to_owned(), value };
                duplicates.push(SessionFinding { namespace: namespace.clone(), name, finding });
            }
        }
        duplicates
    }

    fn record_active(&mut self, [namespace, name]: [String; 2], created: String, session: &Session<'_>) {
        let [user, scenario] = [Reference::User, Reference::Scenario].map(|reference| reference.names(session).pop());
        if let (Some(user), Some(scenario)) = (user, scenario) {
            self.active.entry([namespace, user, scenario]).or_default().insert([created, name]);
        }
    }

    const fn timeouts(&self) -> Timeouts {
        Timeouts { session: self.settings.session_timeout, pause: self.settings.pause_timeout }
    }
}

impl SessionAudit<'_> {
    fn add(&mut self, kind: FindingKind, field: &str, value: String) {
        self.findings.push(Finding { kind, field: field.to_owned(), value });
    }

    fn hand_edits(&mut self) {
        for edit in hand_edits(self.session) {
            let when = if edit.time.is_empty() { "some time" } else { &edit.time };
            self.add(FindingKind::HandEdit, &edit.fields.join(", "), format!("{} at {when}", edit.manager));
        }
    }

    /// The times that HobbyFarm needs. A young Session may lack them.
    fn times(&mut self) {
        for field in crate::core::stored::backfill::required_times(self.session, self.dialect) {
            let value = self.session.field(field);
            let kind = if value.is_empty() {
                if self.is_young {
                    continue;
                }
                FindingKind::MissingTime
            } else if is_unparsable(&value, self.dialect) {
                FindingKind::BadTime
            } else if is_usable(&value, self.dialect) {
                continue;
            } else {
                FindingKind::ForeignTime
            };
            self.add(kind, field.path(), describe_value(&value));
        }
    }

    /// What `/validate` would refuse or warn of, but for single times.
    fn rules(&mut self) {
        for cause in validate::status(self.session, None, self.dialect) {
            if cause.rule == Rule::BadFlag {
                let field = Field::FLAGS.into_iter().find(|field| field.path() == cause.field);
                let value = field.map(|field| describe_value(&self.session.field(field))).unwrap_or_default();
                self.add(FindingKind::BadFlag, cause.field, value);
            }
        }
        if validate::is_end_before_start(self.session, self.dialect) {
            let value = describe_value(&self.session.field(Field::EndTime));
            self.add(FindingKind::EndBeforeStart, Field::EndTime.path(), value);
        }
    }

    /// What `/mutate` would repair, beyond what is found already. Where times are missing all of it comes with them.
    fn not_normalized(&mut self, timeouts: Timeouts, now: Instant) {
        let lacks_times = self.is_young || self.findings.iter().any(|finding| finding.kind == FindingKind::MissingTime);
        for edit in normalize(self.session, self.dialect, timeouts, now) {
            let is_known = self.findings.iter().any(|finding| finding.field == edit.field.path());
            let is_missing = edit.rewritten.is_none();
            if !(is_known || is_missing && lacks_times) {
                let value = edit.rewritten.unwrap_or_else(|| describe_value(&self.session.field(edit.field)));
                self.add(FindingKind::NotNormalized, edit.field.path(), value);
            }
        }
    }

    /// Whether its time has come; `None` where HobbyFarm cannot tell. A pause keeps a Session until it runs out.
    fn is_over(&self, pause_timeout: SignedDuration, now: Instant) -> Option<bool> {
        let time = |field: Field| usable_instant(&self.session.field(field), self.dialect);
        let end = time(Field::EndTime)?;
        let is_paused = self.session.field(Field::Paused).as_flag() == Some(true);
        let pause = time(Field::pause_time(self.dialect)).filter(|_| is_paused).map(|pause| match self.dialect {
            Dialect::Documented => pause.plus(pause_timeout),
            Dialect::Gargantua => pause,
        });
        Some(pause.map_or(end, |pause| pause.max(end)) < now)
    }

    fn expired(&mut self, keep_alive: &KeepAlive, timeouts: Timeouts, now: Instant) {
        let grace = match keep_alive {
            KeepAlive::Lasts(duration) => *duration,
            KeepAlive::Unset | KeepAlive::Malformed(_) => timeouts.session,
        };
        if self.is_over(timeouts.pause, now.plus(-grace)) == Some(true) {
            let value = describe_value(&self.session.field(Field::EndTime));
            self.add(FindingKind::Expired, Field::EndTime.path(), value);
        }
    }

    fn references(&mut self, referenced: &ReferencedObjects, keep_alive: &KeepAlive) {
        for reference in Reference::ALL {
            for name in reference.names(self.session) {
                if referenced.is_missing(reference, self.namespace, &name) {
                    self.add(FindingKind::DanglingReference, reference.path(), quote(&name, LONGEST_NAME).to_string());
                }
            }
        }
        if let KeepAlive::Malformed(value) = keep_alive {
            let course = referenced.duration(Reference::Course, self.namespace, self.session);
            let is_of_course = course.is_some_and(|duration| !duration.is_empty());
            let reference = if is_of_course { Reference::Course } else { Reference::Scenario };
            let name = reference.names(self.session).pop().unwrap_or_default();
            let value = format!("{} has {value}", quote(&name, LONGEST_NAME));
            self.add(FindingKind::MalformedKeepAlive, reference.path(), value);
        }
    }
}
