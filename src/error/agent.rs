//! Why an agent cannot be started or asked.

/// What is in the way of the agent of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFault {
    /// Somebody else listens where it would: the host, the address with its port.
    Taken(String, String),
    /// It ended before it was ready: the host, its words.
    Failed(String, String),
    /// It does not run: the host.
    Stopped(String),
    /// It runs and does not answer: the host.
    Silent(String),
    /// It listens nowhere on the network, so a token would be of no use: the host.
    Nowhere(String),
    /// Nothing is kept of a lab's agents: the lab.
    NothingKept(String),
}

impl AgentFault {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(..) => 1,
            Self::NothingKept(_) => 2,
            Self::Stopped(_) | Self::Silent(_) | Self::Nowhere(_) => 3,
            Self::Taken(..) => 4,
        }
    }
}
