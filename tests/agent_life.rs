//! Agents that a topology asks for, and those that are there by need.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{Machine, in_box, nslab, ok, run, sh, wait_for};

/// A lab whose host-b has an agent, or not.
fn file(agent: bool) -> &'static str {
    let text = format!(
        "name: two\nnetworks: {{ wire: {{}} }}\nhosts:\n  host-a: {{ nics: {{ e0: {{ network: wire, address: 10.0.0.1/24 }} }} }}\n  \
         host-b: {{ agent: {agent}, nics: {{ e0: {{ network: wire, address: 10.0.0.2/24 }} }}, containers: {{ b1: {{}} }} }}\n"
    );
    std::fs::write("/run/two.yaml", text).unwrap();
    "/run/two.yaml"
}

fn agents() -> usize {
    run(Command::new("pgrep").args(["-f", "nslab serve-agent two"])).out.lines().count()
}

#[test]
fn up_starts_the_agent_that_a_topology_asks_for_and_down_ends_it() {
    in_box(|| {
        let up = format!("up {}", file(true));
        let before = Machine::look();
        ok(&up);
        assert_eq!(sh("ip netns exec two.host-b ss -Hltn | awk '{print $4}'").trim(), "10.0.0.2:8443");
        assert!(ok("status").out.contains("Agents that run: host-b."));
        assert!(ok(&up).out.contains("already up"));
        assert_eq!(agents(), 1);

        sh("pkill -9 -f '[s]erve-agent two'");
        assert!(wait_for(5, || nslab("status").code == 1));
        let said = nslab("status").out;
        assert!(said.contains("drifted") && said.contains("should run and do not: host-b"), "{said}");
        assert!(ok(&up).out.contains("as described again"));
        assert_eq!(agents(), 1);
        ok("status");

        let without = format!("up {}", file(false));
        assert!(ok(&without).out.contains("was changed"));
        assert_eq!(agents(), 0);
        assert!(ok(&format!("up {}", file(true))).out.contains("was changed"));
        assert_eq!(agents(), 1);
        ok("down");
        assert_eq!(agents(), 0);
        before.assert_unchanged("agent: true, up and down");
    });
}

#[test]
fn an_agent_that_cannot_listen_undoes_up_and_says_who_is_in_its_way() {
    in_box(|| {
        ok(&format!("up {}", file(false)));
        sh("ip netns exec two.host-b python3 -c 'import socket,time
s = socket.create_server((\"10.0.0.2\", 8443)); time.sleep(60)' >/dev/null 2>&1 &");
        assert!(wait_for(5, || sh("ip netns exec two.host-b ss -Hltn").contains(":8443")));
        let failed = nslab(&format!("up {}", file(true)));
        assert_eq!(failed.code, 4, "{}", failed.err);
        assert!(failed.err.contains("cannot listen at 10.0.0.2:8443"), "{}", failed.err);
        assert_eq!(agents(), 0);
        assert!(ok("status").out.contains("as described"));
        ok("down");
    });
}
