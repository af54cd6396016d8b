//! The half that answers: a part of the process that watches the NIC, asleep until somebody asks.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::frame::{Frame, Message};
use super::{EVERYBODY, Half, Heard, incoming, look, send, tap, try_all};
use crate::error::Result;
use crate::kernel::packet::Tap;
use crate::kernel::socket::Netlink;
use crate::lab::Journal;
use crate::name::{IfName, LabName};
use crate::report::half::Frames;

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
    heard: VecDeque<(u64, Heard)>,
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
        Ok(Some(Self { lab, nic, tap, heard: VecDeque::new(), since: Instant::now(), spent: 0 }))
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
        let Ok(Some(journal)) = Journal::read(&self.lab) else { return };
        let Ok(Some(nic)) = look(netlink, &self.nic) else { return };
        let Some(half) = Half::here(&journal, &nic) else { return };
        try_all(&self.tap, nonce, &half, from);
        let heard = self.heard.iter().find(|(known, _)| *known == nonce).map(|(_, heard)| *heard).unwrap_or_default();
        let source = half.mac;
        send(&self.tap, &Frame::answer(nonce, half, heard).on_the_wire(source, EVERYBODY, 0));
    }

    fn note(&mut self, nonce: u64, trial: Frames) {
        if let Some((_, heard)) = self.heard.iter_mut().find(|(known, _)| *known == nonce) {
            heard.add(trial);
            return;
        }
        let mut heard = Heard::default();
        heard.add(trial);
        self.heard.push_front((nonce, heard));
        self.heard.truncate(MEMORY);
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
