//! The checks so far, and the findings of one check.

use super::check::{Check, CheckId, Status};
use super::facts::Facts;
use super::observation::Unobservable;

/// The checks so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn into_checks(self) -> Vec<Check> {
        self.checks
    }

    pub(super) fn sound(&mut self, id: CheckId, text: impl Into<String>) {
        self.push(id, Status::Sound, text.into(), None);
    }

    pub(super) fn questionable(&mut self, id: CheckId, text: impl Into<String>, remedy: impl Into<String>) {
        self.push(id, Status::Questionable, text.into(), Some(remedy.into()));
    }

    pub(super) fn faulty(&mut self, id: CheckId, text: impl Into<String>, remedy: impl Into<String>) {
        self.push(id, Status::Faulty, text.into(), Some(remedy.into()));
    }

    /// The worst of several findings, or sound where there are none. What is the same of several subjects is said once.
    pub(super) fn worst_of(&mut self, id: CheckId, sound: impl Into<String>, findings: Vec<Finding>) {
        if findings.is_empty() {
            return self.sound(id, sound);
        }
        let faulty = findings.iter().any(|finding| finding.status == Status::Faulty);
        let worst = if faulty { Status::Faulty } else { Status::Questionable };
        let mut texts: Vec<(String, Vec<String>)> = Vec::new();
        let mut remedies: Vec<String> = Vec::new();
        for Finding { status: _, subject, text, remedy } in
            findings.into_iter().filter(|finding| finding.status == worst)
        {
            match texts.iter_mut().find(|(known, _)| *known == text) {
                Some((_, subjects)) => subjects.push(subject),
                None => texts.push((text, vec![subject])),
            }
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        let line = |(text, subjects): (String, Vec<String>)| {
            if subjects.concat().is_empty() { text } else { format!("{}: {text}", subjects.join(", ")) }
        };
        let lines: Vec<_> = texts.into_iter().map(line).collect();
        self.push(id, worst, lines.join("; "), Some(remedies.join("; ")));
    }

    pub(super) fn unknown(&mut self, id: CheckId, reason: &Unobservable) {
        let (text, remedy) = match reason {
            Unobservable::Forbidden(right) => (
                format!("could not look: this user may not {right}"),
                "grant the right, or run this as somebody who has it".to_owned(),
            ),
            Unobservable::Failed(reason) => {
                (format!("could not look: {reason}"), "try again; see the log of the API server".to_owned())
            }
        };
        self.push(id, Status::Unknown, text, Some(remedy));
    }

    pub(super) fn skipped(&mut self, id: CheckId, because: CheckId) {
        self.push(id, Status::Skipped, format!("not looked at, see {}", because.name()), None);
    }

    /// The first of these checks that is faulty, unknown or skipped itself.
    pub(super) fn first_unsound(&self, among: &[CheckId]) -> Option<CheckId> {
        let is_unsound = |check: &&Check| {
            among.contains(&check.id) && matches!(check.status, Status::Faulty | Status::Unknown | Status::Skipped)
        };
        self.checks.iter().find(is_unsound).map(|check| check.id)
    }

    /// The check that tells why there are no entries, if there are none.
    pub(super) fn no_entries(&self, facts: &Facts) -> Option<CheckId> {
        let configurations = [CheckId::ValidatingConfiguration, CheckId::MutatingConfiguration];
        facts.entries().next().is_none().then(|| self.first_unsound(&configurations)).flatten()
    }

    fn push(&mut self, id: CheckId, status: Status, text: String, remedy: Option<String>) {
        self.checks.push(Check { id, status, text, remedy });
    }
}

/// One of several faults or hints of a check.
pub(super) struct Finding {
    status: Status,
    /// The entry or replica that it is about; empty where there is only one.
    subject: String,
    text: String,
    remedy: String,
}

impl Finding {
    pub(super) fn faulty(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Faulty, subject: String::new(), text: text.into(), remedy: remedy.into() }
    }

    pub(super) fn questionable(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Questionable, subject: String::new(), text: text.into(), remedy: remedy.into() }
    }

    /// Names the entry or replica that this is about.
    pub(super) fn about(self, subject: &str) -> Self {
        Self { subject: subject.to_owned(), ..self }
    }
}
