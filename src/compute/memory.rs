//! How much memory this process may use.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory that are free for this process, page cache included: what the system has available, and
/// no more than the limit of its control group. `None` where the system does not tell.
pub(crate) fn available_memory() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_meminfo(&text));
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let limits = group.iter().flat_map(|text| limit_files(text));
    let limits = limits.filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    system.into_iter().chain(limits).min()
}

fn of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Bytes of address space that this process may still take, where it has a limit (`ulimit -v`).
pub(crate) fn available_address_space() -> Option<u64> {
    let limit = of_limits(&fs::read_to_string("/proc/self/limits").ok()?)?;
    let taken = of_status(&fs::read_to_string("/proc/self/status").ok()?)?;
    Some(limit.saturating_sub(taken))
}

fn of_limits(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn of_status(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The files with the limits of a process's control groups, by the text of its `/proc/self/cgroup`: those
/// of version 2 from its group up to the root, and that of version 1.
fn limit_files(text: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|part| Path::new(root).join(part).join(name)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_linux_are_read() {
        let text = "MemTotal:       24572896 kB\nMemFree: 5 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(of_meminfo(text), Some(23_000_000 * 1024));
        assert_eq!(of_meminfo("MemFree: 5 kB\n"), None);
        let text =
            "Limit   Soft Limit  Hard Limit  Units\nMax address space  {}  unlimited  bytes\n";
        assert_eq!(of_limits(&text.replace("{}", "1048576")), Some(1 << 20));
        assert_eq!(of_limits(&text.replace("{}", "unlimited")), None);
        assert_eq!(of_status("Name: x\nVmSize:\t    2048 kB\n"), Some(2 << 20));
        let files = limit_files("12:cpu:/x\n4:memory:/a\n0::/user/me\n");
        let expected = [
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/user/me/memory.max",
            "/sys/fs/cgroup/user/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_system_tells() {
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
