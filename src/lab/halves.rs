//! The halves of a lab that are on other machines: asked, answered by the process that watches a NIC, and what their answers prove of
//! the network between them.

mod frame;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use frame::{ETHERTYPE, Frame, Half, Message, Received, ends};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::journal::Journal;
use super::paths::failed;
use crate::error::{Error, Result};
use crate::kernel::interrupted;
use crate::kernel::netlink::Netlink;
use crate::kernel::netns::MACHINE;
use crate::kernel::nic::{Nic, survey};
use crate::kernel::packet::{Buffer, Tap};
use crate::name::{IfName, LabName, Mac, NodeName};
use crate::report::lab::{Answer, Frames, Halves, Mismatch, Way};

/// A day, in seconds.
const DAY: u64 = 86_400;

/// Who plays the rest of a lab of which this machine has a half, as far as it can be asked on the half's NICs; waits so long
/// for those that do not answer. None for a whole lab.
///
/// # Errors
/// At Ctrl-C; where nothing can be asked, nobody answers.
pub fn others(journal: &Journal, patience: Duration) -> Result<Option<Halves>> {
    let (Some(role), Some(whole)) = (&journal.topology.role, &journal.whole) else { return Ok(None) };
    let names = |hosts: Vec<&NodeName>| -> Vec<String> { hosts.into_iter().map(ToString::to_string).collect() };
    let mut discoveries = Vec::new();
    for (described, nic) in &role.nics {
        match ask(journal, nic, patience, whole.beside(&role.host, described).len()) {
            Ok(discovery) => discoveries.extend(discovery),
            Err(error @ Error::Signal(_)) => return Err(error),
            Err(_) => {}
        }
    }
    let mut neighbours: Vec<&NodeName> = role.nics.keys().flat_map(|nic| whole.beside(&role.host, nic)).collect();
    neighbours.sort();
    neighbours.dedup();
    let hosts = whole.hosts.iter().map(|host| &host.name).filter(|name| **name != role.host).collect();
    Ok(Some(judge(&discoveries, &names(neighbours), &names(hosts))))
}

/// What was learned on all NICs; `neighbours` are the hosts that the file has on them, `hosts` all but this machine's own.
fn judge(discoveries: &[Discovery], neighbours: &[String], hosts: &[String]) -> Halves {
    let mut found = Halves::default();
    let mut lost = Vec::new();
    for discovery in discoveries {
        for other in &discovery.others {
            let Half { role, lab, hostname, mac, nslab, .. } = other.half.clone();
            let nic = discovery.nic.to_string();
            found.answers.push(Answer { host: role, lab, hostname, mac: mac.to_string(), nic, version: nslab });
            found.findings.extend(mismatches(discovery, &other.half, hosts));
            if other.half.mac != discovery.me.mac && other.half.lab == discovery.me.lab {
                lost.extend(missing(discovery, other, other.here, Way::In));
                lost.extend(missing(discovery, other, other.there, Way::Out));
            }
        }
    }
    let mut notes: Vec<Mismatch>;
    (notes, found.findings) = found.findings.into_iter().partition(Mismatch::is_note);
    found.findings.append(&mut lost);
    found.findings.append(&mut notes);
    let ours = |host: &&String| {
        discoveries
            .iter()
            .flat_map(|discovery| discovery.others.iter().map(move |other| (discovery, other)))
            .any(|(discovery, other)| other.half.role == **host && other.half.lab == discovery.me.lab)
    };
    found.silent = neighbours.iter().filter(|host| !ours(host)).cloned().collect();
    found
}

/// What two halves say of themselves that does not go together.
fn mismatches(discovery: &Discovery, other: &Half, hosts: &[String]) -> Vec<Mismatch> {
    let me = &discovery.me;
    let nic = || discovery.nic.to_string();
    let host = || other.role.clone();
    if me.lab != other.lab {
        let (here, there, hostname) = (me.lab.clone(), other.lab.clone(), other.hostname.clone());
        return vec![Mismatch::Lab { here, there, hostname, host: host() }];
    }
    let version = me.nslab != other.nslab;
    let days = me.clock.abs_diff(other.clock) / DAY;
    let cases = [
        (me.role == other.role).then(|| Mismatch::Role {
            lab: me.lab.clone(),
            host: host(),
            hostname: other.hostname.clone(),
            free: hosts.to_vec(),
        }),
        (me.mac == other.mac).then(|| Mismatch::Mac { nic: nic(), mac: me.mac.to_string(), host: host() }),
        // Another version may describe the same file in other facts.
        (me.topology != other.topology && !version).then(|| Mismatch::File { lab: me.lab.clone(), host: host() }),
        (me.mtu != other.mtu).then(|| Mismatch::Mtu { nic: nic(), here: me.mtu, there: other.mtu, host: host() }),
        version.then(|| Mismatch::Version { host: host(), here: me.nslab.clone(), there: other.nslab.clone() }),
        (me.machine == other.machine && me.machine != [0; 32]).then(|| Mismatch::Machine { host: host() }),
        (me.hostname == other.hostname).then(|| Mismatch::Hostname { hostname: me.hostname.clone(), host: host() }),
        (days > 0).then(|| Mismatch::Clock { host: host(), days }),
    ];
    cases.into_iter().flatten().collect()
}

/// The trials that did not arrive; where not even plain ones do, the others prove nothing.
fn missing(discovery: &Discovery, other: &Other, received: Received, way: Way) -> Vec<Mismatch> {
    let (from, to) = match way {
        Way::In => (&other.half, &discovery.me),
        Way::Out => (&discovery.me, &other.half),
    };
    let sent = if received.has(Frames::Plain) { &Frames::ALL[..] } else { &[Frames::Plain] };
    let lost = sent.iter().filter(|trial| ends(**trial, from, to).is_some() && !received.has(**trial));
    let host = &other.half.role;
    lost.map(|&frames| Mismatch::Lost {
        frames,
        way,
        nic: discovery.nic.to_string(),
        host: host.clone(),
        mtu: discovery.me.mtu.min(other.half.mtu),
    })
    .collect()
}

/// Frames wait here until they are read, in bytes of the kernel's memory.
const QUEUE: usize = 256 << 10;
/// The destination of questions and answers: even two NICs with the same address hear each other.
const EVERYBODY: Mac = Mac([0xff; 6]);

/// How often a trial is sent before it counts as one that does not pass.
const ROUNDS: usize = 3;
/// How often a question is asked while nobody answers, at least.
const ASKED: u32 = 3;
/// How long a half that has answered once may take to answer again, at least.
const AGAIN: Duration = Duration::from_millis(250);
/// How many times as long as its first answer took: a busy machine is not called deaf.
const SLOWER: u32 = 4;

/// Another half that has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// What it says of itself.
    pub half: Half,
    /// What it has heard of this one.
    pub there: Received,
    /// What this one has heard of it.
    pub here: Received,
    /// In which round it was heard last.
    pub(super) round: usize,
}

impl Other {
    fn is_complete(&self, me: &Half) -> bool {
        self.there.is_whole(me, &self.half) && self.here.is_whole(&self.half, me)
    }
}

/// What was learned on one NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The NIC.
    pub nic: IfName,
    /// This machine's half.
    pub me: Half,
    /// Those that answered.
    pub others: Vec<Other>,
}

/// Asks on a NIC who plays the rest of the lab; waits so long for the first answer of each of `expected` halves. None where
/// the lab has no half on this machine or the NIC is gone.
///
/// # Errors
/// When the kernel refuses a packet socket, or at Ctrl-C.
pub fn ask(journal: &Journal, nic: &IfName, patience: Duration, expected: usize) -> Result<Option<Discovery>> {
    let mut netlink = Netlink::open().map_err(|errno| failed("socket", errno))?;
    let Some(now) = look(&mut netlink, nic)? else { return Ok(None) };
    let Some(me) = Half::here(journal, &now) else { return Ok(None) };
    let mut asking = Asking { tap: tap(&now)?, nonce: nonce()?, me, others: Vec::new(), round: 0, again: AGAIN };
    for round in 1..=ROUNDS {
        asking.round = round;
        if round == 1 {
            asking.first(patience, expected)?;
        } else {
            asking.again()?;
        }
        if asking.others.is_empty() || (round > 1 && asking.others.iter().all(|other| other.is_complete(&asking.me))) {
            break;
        }
    }
    Ok(Some(Discovery { nic: nic.clone(), me: asking.me, others: asking.others }))
}

struct Asking {
    tap: Tap,
    nonce: u64,
    me: Half,
    others: Vec<Other>,
    round: usize,
    /// How long an answer is waited for after the first.
    again: Duration,
}

impl Asking {
    fn first(&mut self, patience: Duration, expected: usize) -> Result<()> {
        let began = Instant::now();
        for _ in 0..ASKED {
            self.question();
            let until = Instant::now() + patience / ASKED;
            self.hear(until, |asking| asking.others.len() >= expected)?;
            if self.others.len() >= expected {
                self.again = AGAIN.max(SLOWER * began.elapsed());
                break;
            }
        }
        Ok(())
    }

    fn again(&mut self) -> Result<()> {
        for other in &self.others {
            try_all(&self.tap, self.nonce, &self.me, &other.half);
        }
        self.question();
        self.hear(Instant::now() + self.again, |asking| asking.others.iter().all(|other| other.round == asking.round))
    }

    fn question(&self) {
        send(&self.tap, &Frame::question(self.nonce, self.me.clone()).on_the_wire(self.me.mac, EVERYBODY, 0));
    }

    /// Takes in what comes until it is enough or the time is over.
    fn hear(&mut self, until: Instant, enough: impl Fn(&Self) -> bool) -> Result<()> {
        while !enough(self) {
            interrupted()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // A NIC that has gone down is ready at once, and says so once.
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.tap.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("poll", errno)),
            }
            for frame in incoming(&mut self.tap) {
                if frame.nonce == self.nonce {
                    self.take(frame.message);
                }
            }
        }
        Ok(())
    }

    /// A trial comes before the answer that it belongs to, and counts once its sender has a name.
    fn take(&mut self, message: Message) {
        match message {
            Message::Answer(half, there) => match self.others.iter_mut().find(|other| other.half.is_the_same(&half)) {
                Some(other) => (other.there, other.round) = (there, self.round),
                None => self.others.push(Other { half, there, here: Received::default(), round: self.round }),
            },
            Message::Trial(trial, sender) => {
                self.others.iter_mut().filter(|other| other.half.mac == sender).for_each(|other| other.here.add(trial));
            }
            Message::Question(_) => {}
        }
    }
}

impl Half {
    /// Two answers of one machine.
    fn is_the_same(&self, other: &Self) -> bool {
        (self.mac, self.machine, &self.lab, &self.role, &self.hostname)
            == (other.mac, other.machine, &other.lab, &other.role, &other.hostname)
    }
}

fn nonce() -> Result<u64> {
    let mut bytes = [0; 8];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes).map_err(|_| failed("getrandom", Errno::EIO))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Questions that are answered in a second: a storm of them gets no storm of answers.
const ALLOWANCE: u32 = 20;
/// Questions whose trials are remembered.
const MEMORY: usize = 16;

/// Answers on one NIC.
#[derive(Debug)]
pub struct Answerer {
    lab: LabName,
    nic: IfName,
    tap: Tap,
    received: VecDeque<(u64, Received)>,
    since: Instant,
    spent: u32,
}

impl Answerer {
    /// Listens on a NIC of the machine that a lab borrows; none where there is no such NIC.
    ///
    /// # Errors
    /// When the kernel refuses a packet socket.
    pub fn open(lab: &LabName, nic: &IfName, netlink: &mut Netlink) -> Result<Option<Self>> {
        let Some(now) = look(netlink, nic)? else { return Ok(None) };
        let (lab, nic, tap) = (lab.clone(), nic.clone(), tap(&now)?);
        Ok(Some(Self { lab, nic, tap, received: VecDeque::new(), since: Instant::now(), spent: 0 }))
    }

    /// Answers what has come in, without waiting. `false` when the NIC is gone.
    pub fn serve(&mut self, netlink: &mut Netlink) -> bool {
        for Frame { nonce, message } in incoming(&mut self.tap) {
            match message {
                Message::Trial(trial, _) => self.note(nonce, trial),
                Message::Question(from) if self.may() => self.answer(nonce, &from, netlink),
                Message::Question(_) | Message::Answer(..) => {}
            }
        }
        !self.tap.is_gone()
    }

    fn answer(&self, nonce: u64, from: &Half, netlink: &mut Netlink) {
        // A half that does not know itself is silent.
        let Ok(Some(journal)) = Journal::read(&self.lab) else { return };
        let Ok(Some(nic)) = look(netlink, &self.nic) else { return };
        let Some(half) = Half::here(&journal, &nic) else { return };
        try_all(&self.tap, nonce, &half, from);
        let received = self.received.iter().find(|(known, _)| *known == nonce).map(|(_, received)| *received).unwrap_or_default();
        let source = half.mac;
        send(&self.tap, &Frame::answer(nonce, half, received).on_the_wire(source, EVERYBODY, 0));
    }

    fn note(&mut self, nonce: u64, trial: Frames) {
        if let Some((_, received)) = self.received.iter_mut().find(|(known, _)| *known == nonce) {
            received.add(trial);
            return;
        }
        let mut received = Received::default();
        received.add(trial);
        self.received.push_front((nonce, received));
        self.received.truncate(MEMORY);
    }

    fn may(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.spent) = (Instant::now(), 0);
        }
        self.spent += 1;
        self.spent <= ALLOWANCE
    }
}

impl AsFd for Answerer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tap.as_fd()
    }
}

/// A packet socket on a NIC of the machine that hears what halves say, and nothing else.
fn tap(nic: &Nic) -> Result<Tap> {
    // As `tcpdump -d ether proto 0x88b5` has it.
    let program = [
        libc::sock_filter { code: 0x28, jt: 0, jf: 0, k: 12 },
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: u32::from(ETHERTYPE) },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 },
    ];
    Tap::open(MACHINE.as_ref(), Some(nic.index), &program, Buffer::Queue(QUEUE)).map_err(|(tried, errno)| failed(&tried, errno))
}

/// The NIC as it is now.
fn look(netlink: &mut Netlink, name: &IfName) -> Result<Option<Nic>> {
    let nics = survey(netlink).map_err(|errno| failed("ip addr", errno))?;
    Ok(nics.into_iter().find(|nic| nic.name == *name))
}

/// Sends a frame; one for which there is no room or no carrier is lost, as on any network.
fn send(tap: &Tap, frame: &[u8]) {
    let _ = nix::unistd::write(tap.as_fd(), frame);
}

/// Sends every trial that one half has for the other.
fn try_all(tap: &Tap, nonce: u64, from: &Half, to: &Half) {
    for trial in Frames::ALL {
        let Some((source, destination)) = ends(trial, from, to) else { continue };
        let room = if trial == Frames::Full { from.mtu.min(to.mtu) } else { 0 };
        send(tap, &Frame::trial(nonce, trial, from.mac).on_the_wire(source, destination, room));
    }
}

/// The frames that have come in, without waiting.
fn incoming(tap: &mut Tap) -> Vec<Frame> {
    let mut frames = Vec::new();
    // An interface that has gone down says so once, and is listened at as before.
    let _ = tap.read(&mut |seen| {
        if !seen.outgoing && frames.len() < 256 {
            frames.extend(Frame::read(seen.bytes));
        }
    });
    frames
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::frame::tests::half;
    use super::*;

    fn all() -> Received {
        let mut received = Received::default();
        for trial in Frames::ALL {
            received.add(trial);
        }
        received
    }

    fn discovery(other: Half, there: Received, here: Received) -> Discovery {
        let others = vec![Other { half: other, there, here, round: 1 }];
        Discovery { nic: "enp0s8".parse().unwrap(), me: half("a"), others }
    }

    fn judged(other: Half, there: Received, here: Received) -> Halves {
        judge(&[discovery(other, there, here)], &["b".to_owned()], &["b".to_owned(), "c".to_owned()])
    }

    fn what(halves: &Halves) -> Vec<String> {
        let json = serde_json::to_value(&halves.findings).unwrap();
        json.as_array().unwrap().iter().map(|finding| finding["what"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn two_halves_of_one_lab_agree() {
        let halves = judged(half("b"), all(), all());
        assert_eq!((halves.findings, halves.silent, halves.answers.len()), (vec![], vec![], 1));
        let nobody = Discovery { nic: "enp0s8".parse().unwrap(), me: half("a"), others: vec![] };
        assert_eq!(judge(&[nobody], &["b".to_owned()], &[]).silent, ["b"]);
    }

    #[test]
    fn each_mismatch_is_reported_and_the_worst_first() {
        let clone =
            judged(Half { hostname: "vm-a".into(), machine: half("a").machine, mac: half("a").mac, ..half("b") }, all(), all());
        assert_eq!(what(&clone), ["mac", "machine", "hostname"]);
        let twice = judged(Half { role: "a".into(), ..half("b") }, all(), all());
        assert_eq!(what(&twice), ["role"]);
        assert_eq!(twice.silent, ["b"], "the other half is still to come");
        let apart = Half { topology: [1; 32], mtu: 9000, clock: half("b").clock + DAY, ..half("b") };
        assert_eq!(what(&judged(apart.clone(), all(), all())), ["file", "mtu", "clock"]);
        assert_eq!(what(&judged(Half { nslab: "9".into(), ..apart }, all(), all())), ["mtu", "version", "clock"]);
        let nameless = |role: &str| Half { machine: [0; 32], ..half(role) };
        let discovery = Discovery { me: nameless("a"), ..discovery(nameless("b"), all(), all()) };
        assert_eq!(judge(&[discovery], &[], &[]).findings, [], "machines without an id are not clones for that");
        let stranger = judged(Half { lab: "monday".into(), mtu: 9000, ..half("b") }, Received::default(), Received::default());
        assert_eq!((what(&stranger), stranger.silent), (vec!["lab".to_owned()], vec!["b".to_owned()]));
    }

    #[test]
    fn what_did_not_arrive_is_told_with_its_direction() {
        let without = |trial: Frames| Received(all().0 & !(1 << trial.number()));
        let lost = |halves: Halves| -> Vec<(Frames, Way)> {
            let each = halves.findings.into_iter();
            each.map(|finding| match finding {
                Mismatch::Lost { frames, way, .. } => (frames, way),
                other => panic!("{other:?}"),
            })
            .collect()
        };
        assert_eq!(lost(judged(half("b"), without(Frames::ToGuest), all())), [(Frames::ToGuest, Way::Out)]);
        assert_eq!(lost(judged(half("b"), all(), without(Frames::FromGuest))), [(Frames::FromGuest, Way::In)]);
        assert_eq!(lost(judged(half("b"), without(Frames::Full), without(Frames::Full))).len(), 2);
        assert_eq!(lost(judged(half("b"), Received::default(), all())), [(Frames::Plain, Way::Out)]);
        let routed = judged(Half { guest: None, ..half("b") }, without(Frames::ToGuest), without(Frames::FromGuest));
        assert_eq!(lost(routed), [], "a half without a bridge has nobody to send to");
    }
}
