//! What the two halves of a lab say to each other on a borrowed NIC: one Ethernet frame each way.

/// The EtherType of both: local experimental 1 (IEEE 802, table of EtherTypes).
pub const ETHERTYPE: u16 = 0x88b5;

const MAGIC: &[u8; 4] = b"nsl2";
const VERSION: u8 = 1;
/// The longest text of a field, in bytes.
const LONGEST: usize = 64;

/// Whether a half asks or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Who else is here?
    Question,
    /// I am; the nonce is the question's.
    Answer,
}

/// What a half says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Half {
    /// Question or answer.
    pub kind: Kind,
    /// Ties an answer to its question.
    pub nonce: u64,
    /// The wall clock, in seconds since 1970.
    pub clock: u64,
    /// The NIC's MTU, in bytes.
    pub mtu: u32,
    /// The NIC's MAC address.
    pub mac: [u8; 6],
    /// A digest of the whole topology.
    pub topology: [u8; 32],
    /// A digest of the machine-id, never the id itself.
    pub machine: [u8; 32],
    /// The lab's name.
    pub lab: String,
    /// The host that this machine plays.
    pub role: String,
    /// The machine's hostname.
    pub hostname: String,
    /// The version of its nslab.
    pub nslab: String,
}

/// What keeps two halves from being one lab, or deserves a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discord {
    /// Both play the same host.
    Role,
    /// They are halves of labs with different names.
    Lab,
    /// Their topologies differ.
    Topology,
    /// Their NICs have the same MAC address, as those of a cloned machine have.
    Mac,
    /// They have the same machine-id.
    Machine,
    /// They have the same hostname.
    Hostname,
    /// Their NICs have different MTUs.
    Mtu,
    /// Their clocks are a day or more apart.
    Clock,
}

impl Half {
    /// The payload of its frame; texts are cut at 64 bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        out.push(u8::from(self.kind == Kind::Answer));
        out.extend(self.nonce.to_be_bytes());
        out.extend(self.clock.to_be_bytes());
        out.extend(self.mtu.to_be_bytes());
        out.extend(self.mac);
        out.extend(self.topology);
        out.extend(self.machine);
        for text in [&self.lab, &self.role, &self.hostname, &self.nslab] {
            let mut end = text.len().min(LONGEST);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            out.push(u8::try_from(end).unwrap_or_default());
            out.extend(&text.as_bytes()[..end]);
        }
        out
    }

    /// Reads a payload; none where it is not one of this version, or is cut. Ethernet's padding behind it is passed over.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut rest = payload.strip_prefix(MAGIC.as_slice())?;
        let [VERSION] = take(&mut rest)? else { return None };
        let kind = match take(&mut rest)? {
            [0] => Kind::Question,
            [1] => Kind::Answer,
            _ => return None,
        };
        Some(Self {
            kind,
            nonce: u64::from_be_bytes(take(&mut rest)?),
            clock: u64::from_be_bytes(take(&mut rest)?),
            mtu: u32::from_be_bytes(take(&mut rest)?),
            mac: take(&mut rest)?,
            topology: take(&mut rest)?,
            machine: take(&mut rest)?,
            lab: text(&mut rest)?,
            role: text(&mut rest)?,
            hostname: text(&mut rest)?,
            nslab: text(&mut rest)?,
        })
    }

    /// What is wrong between this half and another, the worst first.
    #[must_use]
    pub fn discords(&self, other: &Self) -> Vec<Discord> {
        [
            (self.lab != other.lab, Discord::Lab),
            (self.role == other.role, Discord::Role),
            (self.topology != other.topology, Discord::Topology),
            (self.mac == other.mac, Discord::Mac),
            (self.machine == other.machine, Discord::Machine),
            (self.hostname == other.hostname, Discord::Hostname),
            (self.mtu != other.mtu, Discord::Mtu),
            (self.clock.abs_diff(other.clock) >= 86_400, Discord::Clock),
        ]
        .into_iter()
        .filter_map(|(so, discord)| so.then_some(discord))
        .collect()
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let [length] = take(rest)?;
    let (head, tail) = rest.split_at_checked(usize::from(length)).filter(|(head, _)| head.len() <= LONGEST)?;
    *rest = tail;
    String::from_utf8(head.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(role: &str) -> Half {
        let byte = role.as_bytes()[0];
        Half {
            kind: Kind::Question,
            nonce: 7,
            clock: 1_800_000_000,
            mtu: 1500,
            mac: [2, 0, 0, 0, 0, byte],
            topology: [9; 32],
            machine: [byte; 32],
            lab: "bridged".to_owned(),
            role: role.to_owned(),
            hostname: format!("vm-{role}"),
            nslab: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_padding_does_not_matter() {
        for kind in [Kind::Question, Kind::Answer] {
            let said = Half { kind, ..half("a") };
            let mut bytes = said.encode();
            assert_eq!(Half::decode(&bytes), Some(said.clone()));
            bytes.extend([0; 30]);
            assert_eq!(Half::decode(&bytes), Some(said));
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_not_read() {
        let bytes = half("a").encode();
        for end in 0..bytes.len() {
            assert_eq!(Half::decode(&bytes[..end]), None, "{end}");
        }
        for (at, wrong) in [(0, b'x'), (4, 2), (5, 2), (96, 65), (97, 0xff)] {
            let mut bytes = bytes.clone();
            bytes[at] = wrong;
            assert_eq!(Half::decode(&bytes), None, "{at}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = Half { hostname: format!("x{}", "ñ".repeat(60)), ..half("a") };
        let read = Half::decode(&long.encode()).expect("a half");
        assert_eq!(read.hostname, format!("x{}", "ñ".repeat(31)));
    }

    #[test]
    fn two_halves_of_one_lab_agree_and_each_discord_is_told() {
        let (a, b) = (half("a"), half("b"));
        assert_eq!(a.discords(&b), []);
        let wrong = Half { nonce: 1, ..a.clone() };
        assert_eq!(a.discords(&wrong), [Discord::Role, Discord::Mac, Discord::Machine, Discord::Hostname]);
        let other = Half { lab: "x".into(), topology: [1; 32], mtu: 9000, clock: b.clock + 86_400, ..b };
        assert_eq!(a.discords(&other), [Discord::Lab, Discord::Topology, Discord::Mtu, Discord::Clock]);
    }
}
