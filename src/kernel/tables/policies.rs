//! Policies of `IPsec`: which packets may pass a namespace.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::OnceLock;

use ipnet::IpNet;
use nix::errno::Errno;

use crate::kernel::netlink::{Netlink, attributes, find, ip, number, push};

/// `XFRM_MSG_GETPOLICY`, `XFRM_MSG_GETDEFAULT` (`linux/xfrm.h`)
const GET_POLICY: u16 = 0x15;
const GET_DEFAULT: u16 = 0x28;
/// `struct xfrm_selector` and `xfrm_userpolicy_info` (`linux/xfrm.h`): addresses, ports, lifetimes, priority, index, direction.
const SELECTOR: usize = 56;
const INFO: usize = 168;
/// `XFRMA_TMPL`, and what the kernel asks for beside the index: `XFRMA_MARK`, `XFRMA_POLICY_TYPE`, `XFRMA_IF_ID`.
const TEMPLATES: u16 = 5;
const NAMED: [u16; 3] = [MARK, 21, 31];
const MARK: u16 = 16;

/// What packets do that a policy is for; by its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Course {
    In,
    Out,
    Forward,
}

impl Course {
    /// As `ip xfrm policy` writes it.
    fn word(self) -> &'static str {
        ["in", "out", "fwd"][self as usize]
    }
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    course: Course,
    from: IpNet,
    to: IpNet,
    /// The lower comes first.
    priority: u32,
    blocks: bool,
    /// It asks for more than addresses: another protocol than ICMP, ports, an interface, a mark.
    strange: bool,
    /// As `ip xfrm policy` takes it.
    pub words: String,
    /// As the kernel is told which.
    pub named: Vec<u8>,
}

/// All of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// In the kernel's order.
    pub all: Vec<Policy>,
    /// What no policy is for is dropped: 1 of what comes in, 2 of what is forwarded, 4 of what goes out.
    pub default: u8,
}

impl Policies {
    /// Those of the namespace of this thread; none where the kernel has none.
    pub(in crate::kernel) fn read() -> Result<Self, (&'static str, Errno)> {
        if !has_ipsec() {
            return Ok(Self::default());
        }
        let mut socket = Netlink::xfrm().map_err(|errno| ("socket(NETLINK_XFRM)", errno))?;
        let all = socket.dump(GET_POLICY, &[0; 64], |_, body| policy(body)).map_err(|errno| ("ip xfrm policy show", errno))?;
        // `struct xfrm_userpolicy_default`: in, forwarded, out; 1 is to block. An older kernel knows no such thing.
        let told = socket.ask(GET_DEFAULT, &[0; 4]).ok().flatten().map_or_else(Vec::new, |(_, defaults)| defaults);
        let default = (0..3).filter(|way| told.get(*way) == Some(&1)).fold(0, |bits, way| bits | 1 << way);
        Ok(Self { all, default })
    }

    /// What drops an echo request or its reply, as `ip xfrm policy` writes it.
    pub fn blocks(&self, course: Course, from: IpAddr, to: IpAddr) -> Option<String> {
        let fits = |policy: &&Policy| {
            policy.course == course && !policy.strange && policy.from.contains(&from) && policy.to.contains(&to)
        };
        if let Some(policy) = self.all.iter().filter(fits).min_by_key(|policy| policy.priority) {
            return policy.blocks.then(|| policy.words.clone());
        }
        let bit = [1, 4, 2][course as usize];
        (self.default & bit != 0).then(|| format!("default {} block", course.word()))
    }

    /// Those that are left without what [`Self::blocks`] told.
    #[must_use]
    pub fn without(&self, words: &str) -> Self {
        let all = self.all.iter().filter(|policy| policy.words != words).cloned().collect();
        Self { all, default: if words.starts_with("default ") { 0 } else { self.default } }
    }
}

/// To ask would load the module.
fn has_ipsec() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let sockets = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap_or_default();
        sockets.lines().any(|line| line.split_whitespace().nth(1) == Some("6"))
    })
}

fn policy(body: &[u8]) -> Option<Policy> {
    let word = |at: usize| number(body.get(at..)?);
    let family = u16::from_ne_bytes(body.get(40..42)?.try_into().ok()?);
    let length = if i32::from(family) == libc::AF_INET6 { 16 } else { 4 };
    let net = |at: usize, prefix: usize| IpNet::new(ip(body.get(at..at + length)?)?, *body.get(prefix)?).ok();
    let (to, from) = (net(0, 42)?, net(16, 43)?);
    let (index, direction, action) = (word(156)?, *body.get(160)?, *body.get(161)?);
    // Those of single sockets have other directions.
    let course = *[Course::In, Course::Out, Course::Forward].get(usize::from(direction))?;
    let (protocol, priority, blocks) = (*body.get(44)?, word(152)?, action == 1);
    let echo = [0, libc::IPPROTO_ICMP, libc::IPPROTO_ICMPV6].contains(&i32::from(protocol));
    let marked = find(body, INFO, MARK).is_some_and(|mark| mark.iter().any(|byte| *byte != 0));
    // The ports with their masks, the interface.
    let strange = !echo || marked || body.get(32..40)?.iter().chain(body.get(48..52)?).any(|byte| *byte != 0);
    let mut words = format!("src {from} dst {to}");
    if protocol != 0 {
        let _ = write!(words, " proto {protocol}");
    }
    let _ = write!(words, " dir {} action {}", course.word(), if blocks { "block" } else { "allow" });
    if priority != 0 {
        let _ = write!(words, " priority {priority}");
    }
    for template in find(body, INFO, TEMPLATES).unwrap_or_default().chunks_exact(64) {
        let number_at = |at: usize| template.get(at..).and_then(number).unwrap_or(0);
        let address = |at: usize| template.get(at..at + length).and_then(ip);
        let (Some(to), Some(from)) = (address(0), address(28)) else { continue };
        let protocol = match template[20] {
            50 => "esp",
            51 => "ah",
            _ => "comp",
        };
        let mode = if template[48] == 0 { "transport" } else { "tunnel" };
        let _ = write!(words, " tmpl src {from} dst {to} proto {protocol} reqid {} mode {mode}", number_at(44));
    }
    // `struct xfrm_userpolicy_id`
    let mut named = body.get(..SELECTOR)?.to_vec();
    named.extend_from_slice(&index.to_ne_bytes());
    named.extend_from_slice(&[direction, 0, 0, 0]);
    for (kind, value) in attributes(body, INFO).filter(|(kind, _)| NAMED.contains(kind)) {
        push(&mut named, kind, value);
    }
    Some(Policy { course, from, to, priority, blocks, strange, words, named })
}
