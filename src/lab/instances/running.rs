//! Whether a container runs.

use std::time::Duration;

use super::{Site, fault, now, paths, physical};
use crate::error::{Error, InstanceFault, Left, Result};
use crate::kernel::sandbox;
use crate::lab::change::change;
use crate::topology::Run;

/// Longer than anybody waits: a hundred years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What is in the way of a container that runs, is stopped or is paused.
fn is(site: &Site, run: Run) -> InstanceFault {
    match run {
        Run::Running => InstanceFault::Running(site.word()),
        Run::Stopped => InstanceFault::Stopped(site.word()),
        Run::Frozen => InstanceFault::Frozen(site.word()),
    }
}

/// Brings a stopped container back, with its NICs as they were; a paused one goes on.
///
/// # Errors
/// `Running` where it runs; those of `up`.
pub fn start(site: &Site) -> Result<usize> {
    let (was, operations) = change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        let instance = &mut host.containers[at].instance;
        if instance.run == Run::Running {
            return fault(is(site, Run::Running));
        }
        let own = instance.devices.clone();
        physical::check(host, site, &own)?;
        let instance = &mut host.containers[at].instance;
        let was = std::mem::take(&mut instance.run);
        if was == Run::Stopped {
            instance.last_used_at = Some(now());
        }
        Ok(was)
    })?;
    physical::enter(site, &site.load()?.instance.devices)?;
    if was == Run::Frozen {
        sandbox::thaw(&paths(&site.lab), &[site.node().to_string()])?;
    }
    Ok(operations)
}

/// Ends every process of a container and takes its links away; an ephemeral one goes with its files. Processes are asked to
/// end, and killed after the grace; without one they may take as long as they want.
///
/// # Errors
/// `Stopped` where it is; `Left` where a process does not even die of a kill.
pub fn stop(site: &Site, grace: Option<Duration>) -> Result<usize> {
    let before = site.load()?.instance;
    if before.run == Run::Stopped {
        return fault(is(site, Run::Stopped));
    }
    // Before the lab is locked: others go on working in it meanwhile.
    end(site, grace.unwrap_or(FOREVER))?;
    physical::leave(site, &before.devices)?;
    let (gone, operations) = change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        host.containers[at].instance.run = Run::Stopped;
        let ephemeral = host.containers[at].instance.ephemeral;
        if ephemeral {
            host.containers.remove(at);
        }
        Ok(ephemeral)
    })?;
    if gone {
        sandbox::forget(&paths(&site.lab), &site.node().to_string())?;
    }
    Ok(operations)
}

fn end(site: &Site, grace: Duration) -> Result<()> {
    let (_, left) = sandbox::end(&paths(&site.lab), &[site.node().to_string()], grace)?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::Left(left.into_iter().map(|process| Left::Process(process.pid, process.command)).collect()))
}

/// Stops a container that runs, and starts it: an ephemeral one stays, too.
///
/// # Errors
/// `Stopped` where it does not run; those of [`stop`] and [`start`].
pub fn restart(site: &Site, grace: Option<Duration>) -> Result<usize> {
    let before = site.load()?.instance;
    if before.run == Run::Stopped {
        return fault(is(site, Run::Stopped));
    }
    end(site, grace.unwrap_or(FOREVER))?;
    physical::leave(site, &before.devices)?;
    let ((), down) = change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        host.containers[at].instance.run = Run::Stopped;
        Ok(())
    })?;
    start(site).map(|up| down + up)
}

/// Lets every process of a container stand still.
///
/// # Errors
/// `Stopped` and `Frozen` where it does not run.
pub fn pause(site: &Site) -> Result<()> {
    change(&site.lab, |topology| {
        let (host, at) = site.find(topology)?;
        let run = &mut host.containers[at].instance.run;
        if *run != Run::Running {
            return fault(is(site, *run));
        }
        *run = Run::Frozen;
        Ok(())
    })?;
    sandbox::freeze(&paths(&site.lab), &[site.node().to_string()])
}

/// Lets the processes of a paused container go on.
///
/// # Errors
/// `Running` and `Stopped` where it is not paused.
pub fn resume(site: &Site) -> Result<()> {
    let run = site.load()?.instance.run;
    if run == Run::Frozen { start(site).map(drop) } else { fault(is(site, run)) }
}
