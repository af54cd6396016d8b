//! A link that moves from one namespace to another.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use super::space::{self, Pins, Space};
use super::thread::thread;
use super::verbs;
use crate::error::Result;
use crate::name::IfName;
use crate::plan::Ns;

/// Moves a link to another namespace, under a name that it has there, and up; false where there is no such link.
///
/// # Errors
/// When a namespace is not there, or the kernel refuses.
pub fn move_link(pins: &Pins, (from, name): (&Ns, &IfName), (to, called): (&Ns, &IfName)) -> Result<bool> {
    let tried = |ns: &Ns, errno: Errno| space::error_in(ns, &format!("ip link set {name} netns ... name {called}"), errno);
    let moved = thread(|| {
        let mut near = Space::enter(pins, from)?;
        let index = near.index(name);
        if index == 0 {
            return Ok(false);
        }
        let far = File::open(pins.at(to)).map_err(|error| tried(to, super::sys::process::errno(&error)))?;
        let (payload, flags) = verbs::carry(index, far.as_raw_fd(), called);
        send(&mut near, payload, flags).map_err(|errno| tried(from, errno))?;
        Ok(true)
    })??;
    if moved {
        thread(|| {
            let mut there = Space::enter(pins, to)?;
            let (payload, flags) = verbs::set_up(there.index(called), true);
            send(&mut there, payload, flags).map_err(|errno| tried(to, errno))
        })??;
    }
    Ok(moved)
}

fn send(space: &mut Space, payload: netlink_packet_route::RouteNetlinkMessage, flags: u16) -> std::result::Result<(), Errno> {
    let mut refusals = space.socket.push(payload, flags, 0)?;
    refusals.extend(space.socket.flush()?);
    refusals.first().map_or(Ok(()), |refusal| Err(refusal.errno))
}
