//! Echo requests between every ordered pair of nodes, all at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::key;
use super::packet::{self, Answer, Key};
use super::rounds::{self, Link, Memory};
use super::stations::{Station, Stations};
use crate::error::{Error, KernelError, Limit, Result};
use crate::kernel::echo::{Echo, Manner};
use crate::kernel::space::{self, Space};
use crate::kernel::{interrupted, open_files, thread};
use crate::lab::Step;
use crate::plan::NodeId;
use crate::report::ping::{Attempt, Family, Fault, Pair};

/// Bytes of payload.
const SIZE: usize = 16;
/// Requests on their way at once: each needs a place in the queues of the machine (`net.core.netdev_max_backlog` is 1000),
/// and a broadcast one for every port that it is flooded to.
const ON_THEIR_WAY: usize = 64;
/// How long nothing may come back before what is unanswered is tried again, in each pass. Together they outlast the second
/// after which the kernel repeats an ARP request that was lost.
const PASSES: [Duration; 3] = [Duration::from_millis(60), Duration::from_millis(250), Duration::from_secs(1)];

/// What became of all pairs.
#[derive(Debug)]
pub struct Outcome {
    /// The nodes, in the order of the lab.
    pub nodes: Vec<NodeId>,
    /// How many pairs there are.
    pub pairs: usize,
    /// The pairs that did not work, or only in part.
    pub failed: Vec<Pair>,
    /// Requests sent, those again included.
    pub pings: usize,
    /// The rounds of the family that needed most.
    pub rounds: usize,
    /// The least limit of the machine's neighbour tables that mattered.
    pub limit: u32,
}

/// One node to another by one family.
#[derive(Debug, Clone)]
struct Job {
    link: Link,
    address: IpAddr,
    /// Sent, and neither settled nor given up in this pass.
    flying: bool,
    answered: bool,
    fault: Option<Fault>,
}

/// A family's share of the work.
struct Mesh {
    family: Family,
    jobs: Vec<Job>,
    /// The place of a job by sender and receiver.
    places: Vec<Option<u32>>,
    members: usize,
    /// By sender.
    sockets: HashMap<usize, Echo>,
    key: Key,
    pings: usize,
}

/// Whether one member is to ping another.
pub type Wanted<'a> = &'a dyn Fn(&Station, &Station) -> bool;

/// Pings the wanted ordered pairs of `members`, by every family that both have, and tells how far it is.
///
/// # Errors
/// When a namespace or socket cannot be had, or a signal arrives.
pub fn all(stations: &Stations, members: &[&Station], wanted: Wanted, tell: &mut dyn FnMut(Step)) -> Result<Outcome> {
    run(stations, members, wanted, PASSES.len(), tell)
}

/// Like [`all`], without the patience for an ARP request that the kernel repeats after a second.
///
/// # Errors
/// As [`all`].
pub fn soon(stations: &Stations, members: &[&Station], wanted: Wanted) -> Result<Outcome> {
    run(stations, members, wanted, PASSES.len() - 1, &mut |_| {})
}

fn run(stations: &Stations, members: &[&Station], wanted: Wanted, passes: usize, tell: &mut dyn FnMut(Step)) -> Result<Outcome> {
    let pairs = pairs(members, wanted);
    let mut outcome = Outcome {
        nodes: members.iter().map(|member| member.id.clone()).collect(),
        pairs: pairs.len(),
        failed: Vec::new(),
        pings: 0,
        rounds: 0,
        limit: 0,
    };
    let mut meshes: Vec<Mesh> =
        [Family::Ipv4, Family::Ipv6].into_iter().map(|family| Mesh::new(family, members, &pairs)).collect();
    meshes.retain(|mesh| !mesh.jobs.is_empty());
    let of = meshes.iter().map(|mesh| mesh.jobs.len()).sum();
    let mut before = 0;
    for mesh in &mut meshes {
        mesh.open(members)?;
        mesh.run(stations, passes, &mut outcome, &mut |done| tell(Step { done: before + done, of }))?;
        before += mesh.jobs.len();
        outcome.pings += mesh.pings;
        mesh.sockets.clear();
    }
    outcome.failed = failed(members, &pairs, &meshes);
    Ok(outcome)
}

/// The places of senders and receivers; who is on another machine only receives.
fn pairs(members: &[&Station], wanted: Wanted) -> Vec<(usize, usize)> {
    let all = (0..members.len()).flat_map(|from| (0..members.len()).map(move |to| (from, to)));
    all.filter(|(from, to)| from != to && !members[*from].far && wanted(members[*from], members[*to])).collect()
}

fn system(tried: &str, errno: Errno) -> Error {
    Error::Kernel(KernelError { node: None, tried: tried.to_owned(), errno: errno as i32, said: None })
}

/// The pairs of which some ping was not answered, or that have no family in common.
fn failed(members: &[&Station], pairs: &[(usize, usize)], meshes: &[Mesh]) -> Vec<Pair> {
    let mut failed = Vec::new();
    for &(from, to) in pairs {
        let jobs: Vec<(Family, &Job)> = meshes.iter().filter_map(|mesh| Some((mesh.family, mesh.job(from, to)?))).collect();
        if jobs.is_empty() || jobs.iter().any(|(_, job)| !job.answered) {
            let attempt = |(family, job): (Family, &Job)| Attempt {
                family,
                address: job.address,
                answered: job.answered,
                fault: job.fault.filter(|_| !job.answered),
            };
            let attempts = jobs.into_iter().map(attempt).collect();
            failed.push(Pair { from: members[from].id.to_string(), to: members[to].id.to_string(), attempts });
        }
    }
    failed
}

impl Mesh {
    fn new(family: Family, members: &[&Station], pairs: &[(usize, usize)]) -> Self {
        let count = members.len();
        let mut mesh = Self {
            family,
            jobs: Vec::new(),
            places: vec![None; count * count],
            members: count,
            sockets: HashMap::new(),
            key: key(),
            pings: 0,
        };
        for &(from, to) in pairs {
            let (sender, receiver) = (members[from], members[to]);
            // A sender without an address of the family has not got it.
            if sender.reachable(family).next().is_none() {
                continue;
            }
            // An address that the sender has too would be answered by the sender itself.
            let own = |address: &IpAddr| sender.reachable(family).any(|(_, net)| net.addr() == *address);
            let addresses = || receiver.reachable(family).map(|(_, net)| net.addr()).filter(|address| !own(address));
            let near = addresses().find(|address| sender.is_near(*address));
            let Some(address) = near.or_else(|| addresses().next()) else { continue };
            mesh.places[from * count + to] = u32::try_from(mesh.jobs.len()).ok();
            let link = Link { from, to, near: near.is_some() };
            mesh.jobs.push(Job { link, address, flying: false, answered: false, fault: None });
        }
        mesh
    }

    fn job(&self, from: usize, to: usize) -> Option<&Job> {
        let place = (*self.places.get(from * self.members + to)?)?;
        self.jobs.get(place as usize)
    }

    /// A socket in every member that is here.
    fn open(&mut self, members: &[&Station]) -> Result<()> {
        if open_files(2 * members.len() + 64) < members.len() + 64 {
            return Err(Error::Machine(Limit::OpenFiles));
        }
        let family = self.family;
        let open = |(at, member): (usize, &&Station)| {
            let _here = Space::open(&member.pin, &member.id)?;
            let socket =
                Echo::here(family, Manner::default()).map_err(|(tried, errno)| space::error(&member.id, tried, errno))?;
            Ok((at, socket))
        };
        let here = || members.iter().enumerate().filter(|(_, member)| !member.far);
        self.sockets = thread(|| here().map(open).collect::<Result<_>>())??;
        Ok(())
    }

    fn run(&mut self, stations: &Stations, passes: usize, outcome: &mut Outcome, tell: &mut dyn FnMut(usize)) -> Result<()> {
        let mut memory = Memory::of(&stations.all, self.family)?;
        let room = memory.room()?;
        let budget = rounds::budget(room);
        for (pass, patience) in PASSES.into_iter().take(passes).enumerate() {
            let open: Vec<usize> = (0..self.jobs.len()).filter(|place| self.jobs[*place].is_open()).collect();
            if open.is_empty() {
                break;
            }
            let links: Vec<Link> = open.iter().map(|place| self.jobs[*place].link).collect();
            let rounds = rounds::plan(&links, budget);
            let several = rounds.len() > 1 || outcome.rounds > 1;
            outcome.rounds = outcome.rounds.max(rounds.len());
            if several {
                outcome.limit = room.limit;
            }
            let (mut patience, mut done) = (patience, self.jobs.len() - open.len());
            for round in rounds {
                let round: Vec<usize> = round.into_iter().map(|at| open[at]).collect();
                let late = self.round(&round, patience);
                if several {
                    memory.restore()?;
                }
                // Where waiting brought nothing once, it need not be waited so long in every round.
                if !late? {
                    patience = PASSES[0];
                }
                done += round.len();
                if pass == 0 {
                    tell(done);
                }
            }
        }
        Ok(())
    }

    /// Pings some pairs once; whether an answer came after the first pass's patience.
    fn round(&mut self, places: &[usize], patience: Duration) -> Result<bool> {
        let mut buffer = vec![0; 2048];
        let mut waiting: Vec<usize> = vec![0; self.members];
        let (mut on_their_way, mut late, mut heard_last) = (0, false, Instant::now());
        let mut next = places.iter();
        loop {
            interrupted()?;
            while on_their_way < ON_THEIR_WAY
                && let Some(&place) = next.next()
            {
                let from = self.jobs[place].link.from;
                if self.send(place) {
                    waiting[from] += 1;
                    on_their_way += 1;
                    heard_last = Instant::now();
                }
                // On one kernel the answer is mostly there when the call returns.
                on_their_way -= self.hear(from, &mut waiting[from], &mut buffer)?;
            }
            if on_their_way == 0 {
                if next.len() == 0 {
                    return Ok(late);
                }
                continue;
            }
            let quiet = heard_last.elapsed();
            if quiet >= patience {
                // What is left counts as lost for now; its place is free.
                (on_their_way, heard_last) = (0, Instant::now());
                waiting.fill(0);
                for place in places {
                    self.jobs[*place].flying = false;
                }
                continue;
            }
            let ready = self.wait(&waiting, patience.saturating_sub(quiet))?;
            let mut heard = 0;
            for from in ready {
                heard += self.hear(from, &mut waiting[from], &mut buffer)?;
            }
            if heard > 0 {
                late |= quiet >= PASSES[0];
                heard_last = Instant::now();
                on_their_way = on_their_way.saturating_sub(heard);
            }
        }
    }

    /// Sends one request; whether the kernel took it.
    fn send(&mut self, place: usize) -> bool {
        let job = &mut self.jobs[place];
        let number = u16::try_from(job.link.to).unwrap_or(u16::MAX);
        let message = packet::request(self.family, self.key, number, SIZE);
        self.pings += 1;
        let sent = self.sockets[&job.link.from].send(job.address, 0, &message);
        job.fault = sent.err().map(|errno| Fault::Unsent { errno: errno as i32 });
        job.flying = sent.is_ok();
        job.flying
    }

    /// The members that wait and have something to read.
    fn wait(&self, waiting: &[usize], at_most: Duration) -> Result<Vec<usize>> {
        let who: Vec<usize> = (0..waiting.len()).filter(|member| waiting[*member] > 0).collect();
        let mut fds: Vec<PollFd> =
            who.iter().map(|member| PollFd::new(self.sockets[member].as_fd(), PollFlags::POLLIN)).collect();
        let timeout = PollTimeout::try_from(at_most + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) => {
                Ok(who.into_iter().zip(&fds).filter(|(_, fd)| fd.any().unwrap_or(false)).map(|(member, _)| member).collect())
            }
            Err(Errno::EINTR) => Ok(Vec::new()),
            Err(errno) => Err(system("poll", errno)),
        }
    }

    /// Takes what is there for a member; how many of its requests are settled by it.
    fn hear(&mut self, from: usize, waiting: &mut usize, buffer: &mut [u8]) -> Result<usize> {
        let mut settled = 0;
        while *waiting > 0 {
            let received = self.sockets[&from].receive(buffer).map_err(|errno| system("recvmsg", errno))?;
            let Some(heard) = received else { break };
            let bytes = &buffer[..heard.length.min(buffer.len())];
            let answer = match self.family {
                Family::Ipv4 => packet::read4(bytes, self.key),
                Family::Ipv6 => packet::read6(bytes, heard.hop_limit, self.key),
            };
            let new = answer.is_some_and(|answer| self.settle(from, &answer, heard.from));
            settled += usize::from(new);
            *waiting -= usize::from(new);
        }
        Ok(settled)
    }

    /// Whether an answer settles a request that was open.
    fn settle(&mut self, from: usize, answer: &Answer, by: IpAddr) -> bool {
        let number = match answer {
            Answer::Reply { sequence, .. } | Answer::Error { sequence, .. } => usize::from(*sequence),
        };
        let place = self.places.get(from * self.members + number).filter(|_| number < self.members).copied().flatten();
        let Some(job) = place.and_then(|place| self.jobs.get_mut(place as usize)) else { return false };
        match answer {
            // Only the address itself can answer for it.
            Answer::Reply { .. } if by == job.address => job.answered = true,
            Answer::Error { to, fault, .. } if *to == job.address && !matches!(fault, Fault::Redirect { .. }) => {
                job.fault = Some(*fault);
            }
            _ => return false,
        }
        std::mem::take(&mut job.flying)
    }
}

impl Job {
    /// Whether trying again makes sense: routers repeat themselves, full queues do not.
    fn is_open(&self) -> bool {
        let again = |errno: i32| matches!(Errno::from_raw(errno), Errno::ENOBUFS | Errno::EAGAIN | Errno::ENOMEM);
        !self.answered
            && match self.fault {
                None | Some(Fault::HostUnreachable) => true,
                Some(Fault::Unsent { errno }) => again(errno),
                Some(_) => false,
            }
    }
}
