//! The life of an agent's process.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{UnixDatagram, UnixListener};
use tokio::signal::unix::{SignalKind, signal};

use super::answer::Fault;
use super::listen::IN_USE;
use super::{Agent, identity, serve};
use crate::error::{Error, Result};
use crate::kernel::sys::process;
use crate::lab::{Phase, agents, load};
use crate::name::{LabName, NodeName};

/// Serves until it is told to end. Whoever started it hears on its standard input when it is ready.
///
/// # Errors
/// When it cannot begin.
pub fn stand(lab: &LabName, host: &NodeName) -> Result<()> {
    let _ = nix::unistd::setsid();
    process::ignore_terminal();
    let failed = |error: std::io::Error| Error::Internal(error.to_string());
    let mut starter = UnixStream::from(process::standard(0).try_clone_to_owned().map_err(failed)?);
    process::silence_input().map_err(|errno| failed(errno.into()))?;
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let result = runtime.block_on(async {
        let agent = match begin(lab, host).await {
            Ok(agent) => agent,
            Err(fault) => {
                let taken = fault.text.strip_suffix(IN_USE).filter(|_| fault.code == 409);
                let words = taken.map_or_else(|| fault.text.clone(), |at| format!("{}{at}", agents::TAKEN));
                let _ = starter.write_all(words.as_bytes());
                return Err(Error::Internal(fault.text));
            }
        };
        let mut ended = signal(SignalKind::terminate()).map_err(failed)?;
        let _ = starter.write_all(agents::READY.as_bytes());
        drop(starter);
        ended.recv().await;
        for operation in agent.operations.all() {
            operation.cut();
        }
        let _ = std::fs::remove_file(agents::socket(lab, host));
        Ok(())
    });
    runtime.shutdown_background();
    result
}

async fn begin(lab: &LabName, host: &NodeName) -> std::result::Result<Arc<Agent>, Fault> {
    let agent = Arc::new(Agent::open(lab.clone(), host.clone())?);
    let address = agent.config.address();
    match agent.listen(address.as_deref()).await {
        // An address that somebody gave the host by hand goes with the lab; root on this machine is served all the same.
        Err(fault) if address.is_some() && fault.code == 400 => {}
        listens => listens?,
    }
    let (path, handoff) = (agents::socket(lab, host), agents::handoff(lab, host));
    for path in [&path, &handoff] {
        let _ = std::fs::remove_file(path);
    }
    // The directory lets root alone in, before the socket's own mode does.
    let listener = UnixListener::bind(&path).map_err(|error| Fault::from(identity::failed("listen on", &path, &error)))?;
    let own = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
    own.map_err(|error| Fault::from(identity::failed("chmod", &path, &error)))?;
    // Whoever takes the lab down says so before it looks for agents: one of the two sees the other.
    if load(lab)?.phase == Phase::Going {
        let _ = std::fs::remove_file(&path);
        return Err(Fault::missing("Lab"));
    }
    let handed = UnixDatagram::bind(&handoff).map_err(|error| Fault::from(identity::failed("listen on", &handoff, &error)))?;
    tokio::spawn(serve::local(Arc::clone(&agent), listener));
    tokio::spawn(serve::handed(Arc::clone(&agent), handed));
    Ok(agent)
}
