//! Echo requests between every ordered pair of nodes, all at once.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::rounds::{self, Link, Memory};
use super::stations::{Station, Stations};
use super::{Answer, Key, answer, key, request};
use crate::error::{Error, Limit, Result};
use crate::kernel::netns::{self, Space};
use crate::kernel::sockets::{Echo, Manner};
use crate::kernel::{interrupted, joined, open_files, processors, thread};
use crate::plan::NodeId;
use crate::report::lab::Progress;
use crate::report::probe::{Attempt, Family, Fault, Pair};

/// Bytes of payload.
const SIZE: usize = 16;
/// Requests on their way at once: each needs a place in the queues of the machine (`net.core.netdev_max_backlog` is 1000),
/// and a broadcast one for every port that it is flooded to.
const ON_THEIR_WAY: usize = 64;
/// How long a signal may wait.
const TICK: Duration = Duration::from_millis(100);
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

/// A ping from one member to another by one family.
#[derive(Debug, Clone)]
struct Job {
    link: Link,
    address: IpAddr,
    /// Sent, and neither settled nor given up in this pass.
    flying: bool,
    answered: bool,
    fault: Option<Fault>,
}

/// A family's share of the work: the jobs of every member, in the order of their receivers.
struct Mesh {
    family: Family,
    jobs: Vec<Vec<Job>>,
}

/// A member that sends.
struct Sender<'a> {
    echo: Echo,
    jobs: &'a mut [Job],
    /// Requests on their way.
    waiting: usize,
}

/// What became of a round, or of a share of it.
#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    sent: usize,
    /// An answer came after the first pass's patience.
    late: bool,
}

/// Whether one member is to ping another.
pub type Wanted<'a> = &'a dyn Fn(&Station, &Station) -> bool;

/// Pings the wanted ordered pairs of `members`, by every family that both have, and reports how far it is.
///
/// # Errors
/// When a namespace or socket cannot be had, or a signal arrives.
pub fn all(stations: &Stations, members: &[&Station], wanted: Wanted, report: &mut dyn FnMut(Progress)) -> Result<Outcome> {
    run(stations, members, wanted, PASSES.len(), report)
}

/// Like [`all`], without the patience for an ARP request that the kernel repeats after a second.
///
/// # Errors
/// As [`all`].
pub fn soon(stations: &Stations, members: &[&Station], wanted: Wanted) -> Result<Outcome> {
    run(stations, members, wanted, PASSES.len() - 1, &mut |_| {})
}

fn run(
    stations: &Stations,
    members: &[&Station],
    wanted: Wanted,
    passes: usize,
    report: &mut dyn FnMut(Progress),
) -> Result<Outcome> {
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
    let all = meshes.iter().map(Mesh::size).sum();
    let mut before = 0;
    for mesh in meshes.iter_mut().filter(|mesh| mesh.size() > 0) {
        mesh.run(members, stations, passes, &mut outcome, &mut |done| report(Progress { done: before + done, total: all }))?;
        before += mesh.size();
    }
    outcome.failed = failed(members, &pairs, &meshes);
    Ok(outcome)
}

/// The places of senders and receivers; who is on another machine only receives.
fn pairs(members: &[&Station], wanted: Wanted) -> Vec<(usize, usize)> {
    let all = (0..members.len()).flat_map(|from| (0..members.len()).map(move |to| (from, to)));
    all.filter(|(from, to)| from != to && !members[*from].remote && wanted(members[*from], members[*to])).collect()
}

fn system(tried: &str, errno: Errno) -> Error {
    Error::kernel(None, tried, errno)
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
        let mut jobs = vec![Vec::new(); members.len()];
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
            let link = Link { from, to, near: near.is_some() };
            jobs[from].push(Job { link, address, flying: false, answered: false, fault: None });
        }
        Self { family, jobs }
    }

    fn size(&self) -> usize {
        self.jobs.iter().map(Vec::len).sum()
    }

    fn job(&self, from: usize, to: usize) -> Option<&Job> {
        let jobs = self.jobs.get(from)?;
        Some(&jobs[find(jobs, to)?])
    }

    fn run(
        &mut self,
        members: &[&Station],
        stations: &Stations,
        passes: usize,
        outcome: &mut Outcome,
        report: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let (family, all) = (self.family, self.size());
        let mut memory = Memory::read(&stations.all, family)?;
        let room = memory.room()?;
        let budget = rounds::budget(room);
        let mut senders = self.senders(members)?;
        let key = key();
        for (pass, patience) in PASSES.into_iter().take(passes).enumerate() {
            let open: Vec<(usize, usize)> = (0..senders.len())
                .flat_map(|sender| (0..senders[sender].jobs.len()).map(move |job| (sender, job)))
                .filter(|(sender, job)| senders[*sender].jobs[*job].is_open())
                .collect();
            if open.is_empty() {
                break;
            }
            let links: Vec<Link> = open.iter().map(|(sender, job)| senders[*sender].jobs[*job].link).collect();
            let rounds = rounds::plan(&links, budget);
            let several = rounds.len() > 1 || outcome.rounds > 1;
            outcome.rounds = outcome.rounds.max(rounds.len());
            if several {
                outcome.limit = room.limit;
            }
            let (mut patience, mut done) = (patience, all - open.len());
            for round in rounds {
                let jobs: Vec<(usize, usize)> = round.into_iter().map(|at| open[at]).collect();
                let ended = shared((family, key), &mut senders, &jobs, patience);
                if several {
                    memory.restore()?;
                }
                let ended = ended?;
                outcome.pings += ended.sent;
                // Where waiting brought nothing once, it need not be waited so long in every round.
                if !ended.late {
                    patience = PASSES[0];
                }
                done += jobs.len();
                if pass == 0 {
                    report(done);
                }
            }
        }
        Ok(())
    }

    /// Those who have something to send, each with a socket.
    fn senders(&mut self, members: &[&Station]) -> Result<Vec<Sender<'_>>> {
        if open_files(2 * members.len() + 64) < members.len() + 64 {
            return Err(Error::Machine(Limit::OpenFiles));
        }
        let family = self.family;
        let each = members.iter().zip(&mut self.jobs).filter(|(_, jobs)| !jobs.is_empty());
        thread(|| {
            let opened = each.map(|(member, jobs)| {
                let _here = Space::open(&member.pin, &member.id)?;
                let echo = Echo::here(family, Manner::default());
                let echo = echo.map_err(|(tried, errno)| netns::error(&member.id, tried, errno))?;
                Ok(Sender { echo, jobs, waiting: 0 })
            });
            opened.collect()
        })?
    }
}

/// The place of the job for a receiver.
fn find(jobs: &[Job], to: usize) -> Option<usize> {
    jobs.binary_search_by_key(&to, |job| job.link.to).ok()
}

/// Pings some pairs once, by sender and job in ascending order. What a ping costs is the kernel's work on the thread that
/// sends it, most of all where it is to ask every port of a bridge for a MAC address: several threads share the senders.
fn shared(
    (family, key): (Family, Key),
    senders: &mut [Sender<'_>],
    jobs: &[(usize, usize)],
    patience: Duration,
) -> Result<Ended> {
    let threads = processors().min(jobs.len() / ON_THEIR_WAY).max(1);
    let share = |senders: &mut [Sender<'_>], first, jobs| {
        Share { family, key, senders, first, ended: Ended::default() }.run(jobs, patience)
    };
    if threads == 1 {
        return share(senders, 0, jobs);
    }
    std::thread::scope(|scope| {
        let (mut senders, mut jobs, mut first, mut running) = (senders, jobs, 0, Vec::with_capacity(threads));
        for left in (1..=threads).rev() {
            // Up to the next sender after a fair share.
            let Some(&(last, _)) = jobs.get((jobs.len() / left).saturating_sub(1)) else { break };
            let (these, later) = jobs.split_at(jobs.partition_point(|(sender, _)| *sender <= last));
            let (own, others) = senders.split_at_mut(last + 1 - first);
            let begins = first;
            running.push(std::thread::Builder::new().spawn_scoped(scope, move || share(own, begins, these)));
            (senders, jobs, first) = (others, later, last + 1);
        }
        let ended: Vec<Result<Ended>> = running.into_iter().map(joined).collect();
        ended.into_iter().try_fold(Ended::default(), |all, ended| {
            let ended = ended?;
            Ok(Ended { sent: all.sent + ended.sent, late: all.late || ended.late })
        })
    })
}

/// The senders of one thread.
struct Share<'a, 'b> {
    family: Family,
    key: Key,
    senders: &'a mut [Sender<'b>],
    /// The number of the first of them.
    first: usize,
    ended: Ended,
}

impl Share<'_, '_> {
    fn run(mut self, jobs: &[(usize, usize)], patience: Duration) -> Result<Ended> {
        let mut buffer = vec![0; 2048];
        let (mut on_their_way, mut heard_last) = (0, Instant::now());
        let mut next = jobs.iter();
        loop {
            interrupted()?;
            while on_their_way < ON_THEIR_WAY
                && let Some(&(sender, job)) = next.next()
            {
                let sender = sender - self.first;
                if self.send(sender, job) {
                    on_their_way += 1;
                    heard_last = Instant::now();
                }
                // On one kernel the answer is mostly there when the call returns.
                on_their_way -= self.hear(sender, &mut buffer)?;
            }
            if on_their_way == 0 {
                if next.len() == 0 {
                    return Ok(self.ended);
                }
                continue;
            }
            let quiet = heard_last.elapsed();
            if quiet >= patience {
                // What is left counts as lost for now; its place is free.
                (on_their_way, heard_last) = (0, Instant::now());
                for sender in self.senders.iter_mut() {
                    sender.waiting = 0;
                    sender.jobs.iter_mut().for_each(|job| job.flying = false);
                }
                continue;
            }
            let mut heard = 0;
            for sender in self.wait(patience.saturating_sub(quiet))? {
                heard += self.hear(sender, &mut buffer)?;
            }
            if heard > 0 {
                self.ended.late |= quiet >= PASSES[0];
                heard_last = Instant::now();
                on_their_way -= heard;
            }
        }
    }

    /// Sends one request; whether the kernel took it.
    fn send(&mut self, sender: usize, job: usize) -> bool {
        let Sender { echo, jobs, waiting } = &mut self.senders[sender];
        let job = &mut jobs[job];
        let number = u16::try_from(job.link.to).unwrap_or(u16::MAX);
        let sent = echo.send(job.address, 0, &request(self.family, self.key, number, SIZE));
        job.fault = sent.err().map(|errno| Fault::Unsent { errno: errno as i32 });
        job.flying = sent.is_ok();
        *waiting += usize::from(job.flying);
        self.ended.sent += 1;
        job.flying
    }

    /// The senders that wait and have something to read.
    fn wait(&self, at_most: Duration) -> Result<Vec<usize>> {
        let who: Vec<usize> = (0..self.senders.len()).filter(|sender| self.senders[*sender].waiting > 0).collect();
        let sockets = who.iter().map(|sender| self.senders[*sender].echo.as_fd());
        // A signal may have come to another thread.
        let ready = crate::probe::wait(sockets, Some(at_most.min(TICK))).map_err(|errno| system("poll", errno))?;
        Ok(who.into_iter().zip(ready).filter(|(_, ready)| *ready).map(|(sender, _)| sender).collect())
    }

    /// Takes what is there for a sender; how many of its requests are settled by it.
    fn hear(&mut self, sender: usize, buffer: &mut [u8]) -> Result<usize> {
        let key = self.key;
        let sender = &mut self.senders[sender];
        let before = sender.waiting;
        while sender.waiting > 0 {
            let received = sender.echo.receive(buffer).map_err(|errno| system("recvmsg", errno))?;
            let Some(heard) = received else { break };
            if let Some((_, answer)) = answer(&heard, buffer, key.magic).filter(|(id, _)| *id == key.id) {
                sender.settle(&answer, heard.from);
            }
        }
        Ok(before - sender.waiting)
    }
}

impl Sender<'_> {
    /// Notes an answer to a request.
    fn settle(&mut self, answer: &Answer, by: IpAddr) {
        let (Answer::Reply { sequence, .. } | Answer::Error { sequence, .. }) = answer;
        let Some(place) = find(self.jobs, usize::from(*sequence)) else { return };
        let job = &mut self.jobs[place];
        match answer {
            // Only the address itself can answer for it.
            Answer::Reply { .. } if by == job.address => job.answered = true,
            Answer::Error { to, fault, .. } if *to == job.address && !matches!(fault, Fault::Redirect { .. }) => {
                job.fault = Some(*fault);
            }
            Answer::Reply { .. } | Answer::Error { .. } => return,
        }
        self.waiting -= usize::from(std::mem::take(&mut job.flying));
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
