//! What reading an object came to.

/// What reading an object came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation<T> {
    /// It exists.
    Found(T),
    /// It does not exist.
    Absent,
    /// It could not be read.
    Unknown(Unobservable),
}

impl<T> Observation<T> {
    /// What was read.
    pub const fn found(&self) -> Option<&T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// The same observation of something else that is read from it.
    pub fn map<U>(self, read: impl FnOnce(T) -> U) -> Observation<U> {
        match self {
            Self::Found(found) => Observation::Found(read(found)),
            Self::Absent => Observation::Absent,
            Self::Unknown(reason) => Observation::Unknown(reason),
        }
    }
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unobservable {
    /// This right is missing: `get secrets/x in namespace y`.
    Forbidden(String),
    /// Another error, as it is shown.
    Failed(String),
}
