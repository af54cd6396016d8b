//! What is done to agents, and what goes wrong with them.

use nslab::commands::agent::Outcome;
use nslab::error::AgentFault;

use super::word;

every!(agent_faults: AgentFault {
    AgentFault::Taken(..) => [AgentFault::Taken(word("host-b"), word("192.168.100.2:8443"))],
    AgentFault::Failed(..) => [
        AgentFault::Failed(word("host-b"), word("x")),
        AgentFault::Failed(word("host-b"), String::new()),
    ],
    AgentFault::Stopped(_) => [AgentFault::Stopped(word("host-b"))],
    AgentFault::Silent(_) => [AgentFault::Silent(word("host-b"))],
    AgentFault::NothingKept(_) => [AgentFault::NothingKept(word("routed"))],
    AgentFault::Nowhere(_) => [AgentFault::Nowhere(word("host-b"))],
});

every!(agent_outcomes: Outcome {
    Outcome::Started { .. } => [
        Outcome::Started { host: word("host-b"), addresses: vec![word("192.168.100.2:8443")], socket: word("/run/x") },
        Outcome::Started { host: word("host-b"), addresses: Vec::new(), socket: word("/run/x") },
    ],
    Outcome::Running { .. } => [Outcome::Running { host: word("host-b"), addresses: Vec::new(), socket: word("/run/x") }],
    Outcome::Stopped { .. } => [Outcome::Stopped { host: word("host-b") }],
    Outcome::NotRunning { .. } => [Outcome::NotRunning { host: word("host-b") }],
    Outcome::Removed { .. } => [Outcome::Removed { host: word("host-b"), fingerprint: "ab".repeat(32) }],
    Outcome::Forgotten { .. } => [Outcome::Forgotten { lab: word("routed") }],
});
