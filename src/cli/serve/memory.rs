//! The memory limit of the container, and what of it request bodies may have.

use std::path::Path;

use crate::config::ByteSize;
use crate::server::{Limits, MAX_BODY};

/// Where a container runtime mounts the control groups.
const CGROUP: &str = "/sys/fs/cgroup";

/// A body, what it is parsed into, and the rest of the process: a quarter of the limit for bodies leaves room for all.
const SHARE: u64 = 4;

/// No limit that anybody has set is as large; version 1 writes such a number for none.
const UNLIMITED: u64 = 1 << 60;

/// Bounds the bytes of request bodies by the container's memory limit; a warning where that is less than was asked for.
pub(super) fn bound_by_container(limits: &mut Limits) -> Option<String> {
    let limit = memory_limit(Path::new(CGROUP))?;
    let (bytes, warning) = bound(limits.bytes, limit);
    limits.bytes = bytes;
    warning
}

fn bound(wanted: usize, limit: u64) -> (usize, Option<String>) {
    let share = usize::try_from(limit / SHARE).unwrap_or(usize::MAX);
    if wanted <= share {
        return (wanted, None);
    }
    let bytes = share.max(MAX_BODY);
    let of = |bytes: usize| ByteSize(bytes);
    let limit = ByteSize(usize::try_from(limit).unwrap_or(usize::MAX));
    let text = if share < MAX_BODY {
        format!(
            "the container's memory limit {limit} leaves less than {} for request bodies, which the largest review needs: raise it to {}",
            of(MAX_BODY),
            of(MAX_BODY * 4)
        )
    } else {
        format!(
            "--max-bytes-in-flight {} is more than a quarter of the container's memory limit {limit}: {} is used",
            of(wanted),
            of(bytes)
        )
    };
    (bytes, Some(text))
}

/// The limit of this process's control group, version 2 or 1; none where there is none.
#[expect(clippy::disallowed_methods, reason = "the shell reads what the kernel tells of its container")]
fn memory_limit(cgroup: &Path) -> Option<u64> {
    let files = ["memory.max", "memory/memory.limit_in_bytes"];
    let text = files.iter().find_map(|file| std::fs::read_to_string(cgroup.join(file)).ok())?;
    text.trim().parse().ok().filter(|limit| *limit < UNLIMITED)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{MAX_BODY, bound, memory_limit};

    const MI: usize = 1 << 20;

    #[rstest]
    #[case::as_shipped(128 * MI, 512, 128 * MI, "")]
    #[case::plenty(128 * MI, 4096, 128 * MI, "")]
    #[case::half(128 * MI, 256, 64 * MI, "64Mi is used")]
    #[case::small(128 * MI, 64, MAX_BODY, "raise it to 128Mi")]
    fn bodies_have_a_quarter_of_the_memory(
        #[case] wanted: usize,
        #[case] limit: u64,
        #[case] bytes: usize,
        #[case] told: &str,
    ) {
        let (found, warning) = bound(wanted, limit << 20);
        assert_eq!(found, bytes);
        assert_eq!(warning.is_some(), !told.is_empty());
        assert!(warning.unwrap_or_default().contains(told));
    }

    #[rstest]
    #[case::version_2("memory.max", "268435456\n", Some(256 << 20))]
    #[case::version_2_without("memory.max", "max\n", None)]
    #[case::version_1("memory/memory.limit_in_bytes", "67108864\n", Some(64 << 20))]
    #[case::version_1_without("memory/memory.limit_in_bytes", "9223372036854771712\n", None)]
    #[case::nothing("other", "1", None)]
    fn both_versions_of_control_groups_are_read(#[case] file: &str, #[case] text: &str, #[case] limit: Option<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        assert_eq!(memory_limit(folder.path()), limit);
    }
}
