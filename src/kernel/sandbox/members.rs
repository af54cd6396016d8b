//! The processes of a session, those included that descend from its leader.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use crate::kernel::sys::process;

/// Ends the processes of a session and those that descend from its leader, as a terminal that closes would end them, and those that
/// do not mind by force.
pub(super) fn end(leader: i32, grace: Duration) {
    let mut known = HashSet::from([leader]);
    for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGKILL] {
        let handles: Vec<_> = members(leader, &mut known).into_iter().filter_map(|pid| process::handle(pid).ok()).collect();
        for handle in &handles {
            let _ = process::send(handle, signal);
            // A stopped process hears nothing.
            let _ = process::send(handle, libc::SIGCONT);
        }
        let until = Instant::now() + grace;
        if handles.iter().all(|handle| process::wait_end_until(handle, until)) {
            break;
        }
    }
}

/// The processes that live in a session, and those that descend from one that is known.
pub(super) fn members(leader: i32, known: &mut HashSet<i32>) -> Vec<i32> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        all.extend(family(pid).map(|(parent, session)| (pid, (parent, session))));
    }
    // Who is gone has given its number back.
    known.retain(|pid| *pid == leader || all.contains_key(pid));
    loop {
        let joins = |(pid, (parent, session)): (&i32, &(i32, i32))| {
            (!known.contains(pid) && (*session == leader || known.contains(parent))).then_some(*pid)
        };
        let new: Vec<i32> = all.iter().filter_map(joins).collect();
        if new.is_empty() {
            return known.iter().copied().filter(|pid| all.contains_key(pid)).collect();
        }
        known.extend(new);
    }
}

/// The parent and the session of a process that lives.
fn family(pid: i32) -> Option<(i32, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc_pid_stat(5): state, ppid, pgrp, session are fields 3 to 6.
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    Some((parent, fields.nth(1)?.parse().ok()?))
}
