//! Checks as they come in.

use super::facts::Obstacle;
use super::{Check, Id, Status};

/// The checks so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn into_checks(self) -> Vec<Check> {
        self.checks
    }

    pub(super) fn sound(&mut self, id: Id, text: impl Into<String>) {
        self.push(id, Status::Sound, text.into(), None);
    }

    pub(super) fn questionable(&mut self, id: Id, text: impl Into<String>, remedy: impl Into<String>) {
        self.push(id, Status::Questionable, text.into(), Some(remedy.into()));
    }

    pub(super) fn faulty(&mut self, id: Id, text: impl Into<String>, remedy: impl Into<String>) {
        self.push(id, Status::Faulty, text.into(), Some(remedy.into()));
    }

    /// What is said is the worst of several findings; what is the same of several is said once.
    pub(super) fn findings(&mut self, id: Id, sound: impl Into<String>, findings: Vec<Finding>) {
        let worst = if findings.iter().any(|finding| finding.status == Status::Faulty) {
            Status::Faulty
        } else {
            Status::Questionable
        };
        if findings.is_empty() {
            return self.sound(id, sound);
        }
        let mut told: Vec<(String, Vec<String>)> = Vec::new();
        let mut remedies: Vec<String> = Vec::new();
        for Finding { status: _, of, text, remedy } in findings.into_iter().filter(|finding| finding.status == worst) {
            match told.iter_mut().find(|(known, _)| *known == text) {
                Some((_, subjects)) => subjects.push(of),
                None => told.push((text, vec![of])),
            }
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        let line = |(text, subjects): (String, Vec<String>)| {
            if subjects.concat().is_empty() { text } else { format!("{}: {text}", subjects.join(", ")) }
        };
        let texts: Vec<_> = told.into_iter().map(line).collect();
        self.push(id, worst, texts.join("; "), Some(remedies.join("; ")));
    }

    pub(super) fn unknown(&mut self, id: Id, obstacle: &Obstacle) {
        let (text, remedy) = match obstacle {
            Obstacle::Forbidden(right) => (
                format!("could not look: this user may not {right}"),
                "grant the right, or run this as somebody who has it".to_owned(),
            ),
            Obstacle::Failed(reason) => {
                (format!("could not look: {reason}"), "try again; see the log of the API server".to_owned())
            }
        };
        self.push(id, Status::Unknown, text, Some(remedy));
    }

    pub(super) fn skipped(&mut self, id: Id, because: Id) {
        self.push(id, Status::Skipped, format!("not looked at, see {}", because.name()), None);
    }

    /// The first of these that is broken or could not be looked at.
    pub(super) fn obstacle(&self, among: &[Id]) -> Option<Id> {
        let in_the_way = |check: &&Check| {
            among.contains(&check.id) && matches!(check.status, Status::Faulty | Status::Unknown | Status::Skipped)
        };
        self.checks.iter().find(in_the_way).map(|check| check.id)
    }

    fn push(&mut self, id: Id, status: Status, text: String, remedy: Option<String>) {
        self.checks.push(Check { id, status, text, remedy });
    }
}

/// One of several things that a check has to say.
pub(super) struct Finding {
    status: Status,
    /// Of whom.
    of: String,
    text: String,
    remedy: String,
}

impl Finding {
    pub(super) fn faulty(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Faulty, of: String::new(), text: text.into(), remedy: remedy.into() }
    }

    pub(super) fn questionable(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Questionable, of: String::new(), text: text.into(), remedy: remedy.into() }
    }

    /// Says of whom this is: an entry or a replica.
    pub(super) fn of(self, subject: &str) -> Self {
        Self { of: subject.to_owned(), ..self }
    }
}
