//! Why a capture filter makes no sense.

/// What is wrong in a capture filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterFault {
    /// No word of filters; the one that was probably meant.
    Keyword(Option<String>),
    /// Something else belongs there.
    Expected(Awaited),
    /// A bracket is not closed.
    NotClosed,
    /// There is no such node; what it could be.
    NoNode(Vec<String>),
    /// The node has no such interface; what it could be.
    NoInterface(Vec<String>),
    /// Several nodes bear the name.
    Ambiguous(Vec<String>),
    /// What is named has no address of the family.
    NoAddress,
    /// What is named has no MAC address.
    NoMac,
    /// A MAC address without `ether` before `host`.
    MacWithoutEther,
    /// A prefix after `host`.
    NetAsHost,
    /// No prefix.
    Net,
    /// Bits are set behind the prefix; without them it would be this one.
    HostBits(ipnet::IpNet),
    /// No number of a port.
    Port,
    /// A protocol before `host`, `net` or `port` that has none.
    Modifier(String, &'static str),
    /// It becomes more than the kernel takes: instructions, or words.
    TooLong(usize),
    /// No frame passes.
    Never,
}

/// What belongs at a place in a capture filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Awaited {
    Condition,
    Connective,
    Address,
    Net,
    Port,
    Mac,
    /// What can follow `ether`.
    Ether,
}
