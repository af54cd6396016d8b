//! Tables of iptables as it was before nftables, which the kernel traces only into its log.

use std::fs::File;
use std::path::Path;

/// The names of such tables in the namespace pinned there, of both families; mostly none.
pub fn tables(pin: &Path) -> Vec<String> {
    let Ok(namespace) = File::open(pin) else { return Vec::new() };
    // The thread that enters the namespace dies there.
    let read = || {
        nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET).ok()?;
        let lists = ["ip_tables_names", "ip6_tables_names"].map(|list| {
            // A kernel without them has no such file.
            std::fs::read_to_string(format!("/proc/thread-self/net/{list}")).unwrap_or_default()
        });
        Some(lists.concat().lines().map(str::to_owned).collect())
    };
    std::thread::scope(|scope| scope.spawn(read).join()).ok().flatten().unwrap_or_default()
}
