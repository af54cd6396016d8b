//! `/1.0/instances/NAME/exec`, `console`, `files`, `sftp` and `logs`.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};

use crate::kernel::sandbox::{self, Order};
use crate::lab;
use crate::lxd::server::agent::Agent;
use crate::lxd::server::answer::{Answer, Fault, Reply, octets, sync, whole};
use crate::lxd::server::command::{Console, Request};
use crate::lxd::server::exec::{self, Cut, Outcome, Started};
use crate::lxd::server::files::{self, Place};
use crate::lxd::server::operations::{New, Operation, Status};
use crate::lxd::server::request::{Call, upgraded};
use crate::lxd::server::sftp;
use crate::lxd::server::streams::{Door, Expected};
use crate::plan::NodeId;
use crate::topology::Run;

/// The sandbox of an instance that is there, and how it is.
fn place(agent: &Agent, name: &str) -> Result<(Place, Run), Fault> {
    let (_lock, journal) = lab::hold(&agent.lab)?;
    let found = journal.topology.hosts.iter().find(|host| host.name == agent.host);
    let container = found.and_then(|host| host.containers.iter().find(|container| container.name.as_str() == name));
    let container = container.ok_or_else(|| Fault::missing("Instance"))?;
    let node = NodeId::Container(agent.host.clone(), container.name.clone());
    let spec = lab::agents::spec(&agent.lab, &node, journal.described(), false, None);
    Ok((Place { paths: lab::paths::sandboxes(&agent.lab), spec }, container.instance.run))
}

/// As [`place`], of one that runs or is frozen.
async fn up(call: &Call) -> Result<(Place, Run), Fault> {
    let name = call.word(0).to_owned();
    call.look(move |agent| {
        let (place, run) = place(agent, &name)?;
        let pin = place.paths.lab.join("netns").join(&place.spec.node);
        if pin.exists() { Ok((place, run)) } else { Err(Fault::bad("Instance is not running")) }
    })
    .await
}

/// Where files are, also those of one that is frozen.
async fn there(call: &Call) -> Result<Place, Fault> {
    Ok(up(call).await?.0)
}

/// Where a command can begin.
async fn running(call: &Call) -> Result<Place, Fault> {
    let (place, run) = up(call).await?;
    if run == Run::Frozen { Err(Fault::bad("Instance is frozen")) } else { Ok(place) }
}

fn start(place: Place, order: Order) -> impl FnOnce() -> Started + Send + 'static {
    move || sandbox::open(&place.paths, &place.spec, &order)
}

fn end(operation: &Operation, outcome: Outcome, more: Map<String, Value>) {
    let mut told = more;
    told.extend(outcome.code.map(|code| ("return".to_owned(), code.into())));
    operation.note(told);
    match outcome.failure {
        None => operation.end(Status::Success, ""),
        Some(failure) => operation.end(Status::Failure, failure),
    }
}

/// Begins an operation whose websockets serve a command.
fn serve(call: &Call, descriptors: &[&'static str], mut new: New) -> Result<(Arc<Operation>, Expected, Cut), Fault> {
    let (door, secrets, expected) = Door::new(call.client.name(), descriptors)?;
    let cut = Cut::default();
    new.class = "websocket";
    new.instances = vec![format!("/1.0/instances/{}", call.word(0))];
    call.client.name().clone_into(&mut new.client);
    new.entrance = Some(door);
    new.metadata.insert("fds".to_owned(), json!(secrets));
    let cutting = cut.clone();
    new.cancel = Some(Box::new(move || cutting.cut()));
    Ok((call.agent.operations.begin(new)?, expected, cut))
}

/// `POST /1.0/instances/NAME/exec`
pub async fn exec(mut call: Call) -> Answer {
    let request: Request = call.json().await?;
    let order = request.order().map_err(Fault::bad)?;
    let place = running(&call).await?;
    let mut new = New { description: "Executing command", ..New::default() };
    new.metadata.insert("command".to_owned(), json!(request.command));
    new.metadata.insert("environment".to_owned(), json!(request.environment));
    new.metadata.insert("interactive".to_owned(), json!(request.interactive));
    call.agent.bus.lifecycle("instance-exec", &format!("/1.0/instances/{}", call.word(0)));
    if !request.wait_for_websocket {
        return recorded(&call, new, place, order, request.record_output);
    }
    let (operation, expected, cut) = serve(&call, request.descriptors(), new)?;
    let ours = Arc::clone(&operation);
    tokio::spawn(async move {
        let outcome = exec::run(start(place, order), expected, request.interactive, cut, |_| ()).await;
        end(&ours, outcome, Map::new());
    });
    operation.answer()
}

/// Without websockets: what the command writes can be asked for afterwards.
fn recorded(call: &Call, mut new: New, place: Place, order: Order, keep: bool) -> Answer {
    let cut = Cut::default();
    let cutting = cut.clone();
    new.class = "task";
    new.instances = vec![format!("/1.0/instances/{}", call.word(0))];
    call.client.name().clone_into(&mut new.client);
    new.cancel = Some(Box::new(move || cutting.cut()));
    let operation = call.agent.operations.begin(new)?;
    let (ours, agent, instance) = (Arc::clone(&operation), Arc::clone(&call.agent), call.word(0).to_owned());
    let order = Order { screen: None, ..order };
    tokio::spawn(async move {
        let (outcome, outputs) = exec::record(start(place, order), cut).await;
        let mut more = Map::new();
        if keep {
            let mut paths = Map::new();
            for ((descriptor, kind), output) in [("1", "stdout"), ("2", "stderr")].into_iter().zip(outputs) {
                let name = format!("exec_{}.{kind}", ours.id());
                paths.insert(descriptor.to_owned(), format!("/1.0/instances/{instance}/logs/{name}").into());
                agent.logs.keep(&instance, &name, output);
            }
            more.insert("output".to_owned(), paths.into());
        }
        end(&ours, outcome, more);
    });
    operation.answer()
}

/// `POST /1.0/instances/NAME/console`
pub async fn console(mut call: Call) -> Answer {
    let request: Console = call.json().await?;
    let order = request.order().map_err(Fault::bad)?;
    let place = running(&call).await?;
    let new = New { description: "Showing console", ..New::default() };
    let (operation, expected, cut) = serve(&call, Console::DESCRIPTORS, new)?;
    let (ours, agent, instance) = (Arc::clone(&operation), Arc::clone(&call.agent), call.word(0).to_owned());
    tokio::spawn(async move {
        let note = move |part: &[u8]| agent.logs.show(&instance, part);
        let outcome = exec::run(start(place, order), expected, true, cut, note).await;
        // Who detaches ends the shell: no failure.
        let failure = outcome.failure.filter(|_| outcome.code.is_none());
        end(&ours, Outcome { code: None, failure }, Map::new());
    });
    operation.answer()
}

fn bytes(text: Vec<u8>) -> Reply {
    octets(whole(text))
}

/// `GET /1.0/instances/NAME/console`
pub async fn console_log(call: Call) -> Answer {
    there(&call).await?;
    Ok(bytes(call.agent.logs.shown(call.word(0))))
}

/// `DELETE /1.0/instances/NAME/console`
pub async fn clear_console(call: Call) -> Answer {
    there(&call).await?;
    call.agent.logs.clear(call.word(0));
    sync(Value::Null)
}

/// `GET /1.0/instances/NAME/logs`
pub async fn logs(call: Call) -> Answer {
    let path = |name: &String| format!("/1.0/instances/{}/logs/{name}", call.word(0));
    sync(call.agent.logs.names(call.word(0)).iter().map(path).collect::<Vec<_>>())
}

/// `GET /1.0/instances/NAME/logs/FILE`
pub async fn log(call: Call) -> Answer {
    let found = call.agent.logs.kept(call.word(0), call.word(1));
    found.map(bytes).ok_or_else(|| Fault::missing("Log file"))
}

/// `DELETE /1.0/instances/NAME/logs/FILE`
pub async fn forget_log(call: Call) -> Answer {
    let forgotten = call.agent.logs.forget(call.word(0), call.word(1));
    if forgotten { sync(Value::Null) } else { Err(Fault::missing("Log file")) }
}

/// Any method of `/1.0/instances/NAME/files`
pub async fn file(call: Call) -> Answer {
    let place = there(&call).await?;
    let path = call.asked("path").unwrap_or_default().to_owned();
    let (head, body) = call.request.into_parts();
    files::answer(&place, &head.method, &path, &head.headers, body).await
}

/// `GET /1.0/instances/NAME/sftp`
pub async fn sftp(mut call: Call) -> Answer {
    let place = there(&call).await?;
    upgraded(&mut call, "sftp", move |pipe| sftp::serve(place, TokioIo::new(pipe)))
}
