//! The version of an API server.

use std::fmt;

use crate::control_plane::kubernetes_versions;
use crate::writer::Writer;

/// Such as `v1.37.2`.
pub(crate) struct Version(String);

impl Version {
    /// What the server says of itself.
    pub(crate) async fn of(reader: &Writer) -> Self {
        Self(reader.client.apiserver_version().await.unwrap().git_version)
    }

    /// Whether it is this version, such as `1.30`, or a later one.
    pub(crate) fn is_at_least(&self, version: &str) -> bool {
        minor(self.0.trim_start_matches('v')) >= minor(version)
    }

    /// Whether it is as new as the newest that is tested: what takes long is done there.
    pub(crate) fn is_newest_tested(&self) -> bool {
        let [.., newest] = kubernetes_versions::TESTED;
        self.is_at_least(newest)
    }
}

fn minor(version: &str) -> u32 {
    let mut parts = version.split('.');
    assert_eq!(parts.next(), Some("1"), "{version}");
    parts.next().unwrap().parse().unwrap()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
