//! `nslab launch`

use std::collections::BTreeMap;
use std::time::Instant;

use clap_complete::engine::ArgValueCompleter;

use super::far::Far;
use super::run::{Context, Place, Run};
use super::{complete, instances};
use crate::error::{Result, WrongValue};
use crate::lab::instances::{Options, launch};
use crate::lxd::client::New;
use crate::report::instance::{Changes, Done};
use crate::topology::Keys;

/// Make a container on a host of a lab that is up, and start it
///
/// Like `lxc launch`: its files are the machine's own under a private writable layer, eth0 is plugged into the host's bridge
/// (lxdbr0 where there is one) and has a free address of its subnet. It goes with the lab, or with `nslab delete`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab launch host-a/a3\n  sudo nslab launch host-a/a3 --device eth0,nictype=bridged,parent=br0\n  sudo nslab launch host-b/b3 --device eth0,nictype=p2p,host_name=veth-b3\n  nslab launch host-b:b3"
)]
pub struct Launch {
    /// Its name: [LAB/][HOST/]NAME, where the host may be left out when there is only one; or REMOTE:NAME
    #[arg(value_name = "CONTAINER", add = ArgValueCompleter::new(complete::hosts))]
    container: String,
    /// The image, on a remote that has others than nslab's own
    #[arg(long, value_name = "IMAGE", default_value = "host")]
    image: String,
    /// A device: its name and its keys, as `lxc config device add` takes them
    #[arg(long, short, value_name = "NAME,KEY=VALUE,...", value_parser = device)]
    device: Vec<(String, Keys)>,
    /// Plug eth0 into this bridge of the host
    #[arg(long, short, value_name = "BRIDGE")]
    network: Option<String>,
    /// A key of its configuration
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,
    /// Delete it when it stops
    #[arg(long, short)]
    ephemeral: bool,
    /// Do not start it
    #[arg(long)]
    stopped: bool,
}

fn pair(text: &str) -> std::result::Result<(String, String), WrongValue> {
    let (key, value) = text.split_once('=').ok_or_else(|| WrongValue::Pair(text.to_owned()))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn device(text: &str) -> std::result::Result<(String, Keys), WrongValue> {
    let (name, keys) = text.split_once(',').ok_or_else(|| WrongValue::Device(text.to_owned()))?;
    let mut keys: Keys = keys.split(',').map(pair).collect::<std::result::Result<_, _>>()?;
    keys.entry("type".to_owned()).or_insert_with(|| "nic".to_owned());
    Ok((name.to_owned(), keys))
}

impl Run for Launch {
    type Out = Changes;

    fn place(&self) -> Place {
        instances::place(std::slice::from_ref(&self.container))
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        if let Some(far) = Far::of(&self.container)? {
            return launch_there(&self, &far);
        }
        crate::kernel::sys::note_signals();
        let site = instances::site(&self.container, context)?;
        let start = Instant::now();
        let mut devices: BTreeMap<String, Keys> = self.device.into_iter().collect();
        if let Some(network) = self.network {
            let keys = [("type", "nic"), ("name", "eth0"), ("network", network.as_str())];
            devices.insert("eth0".to_owned(), keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        }
        let config = self.config.into_iter().collect();
        let options = Options { config, devices, ephemeral: self.ephemeral, stopped: self.stopped, bare: false };
        let launched = launch(&site, &options)?;
        let done = if self.stopped { Done::Made } else { Done::Launched };
        let mut change = instances::change(&site, done, launched.operations, start);
        change.nics = Some(instances::cards(&launched.nics));
        Ok(Changes { containers: vec![change], errors: Vec::new() })
    }
}

fn launch_there(wanted: &Launch, far: &Far) -> Result<Changes> {
    let start = Instant::now();
    let mut devices = serde_json::json!({});
    for (name, keys) in &wanted.device {
        devices[name] = serde_json::json!(keys);
    }
    if let Some(network) = &wanted.network {
        devices["eth0"] = far.nic(network)?;
        devices["eth0"]["name"] = "eth0".into();
    }
    let config = wanted.config.iter().cloned().collect();
    let new = New { image: &wanted.image, config, devices, ephemeral: wanted.ephemeral, ..New::default() };
    let name = far.launch(&new, wanted.stopped)?;
    let done = if wanted.stopped { Done::Made } else { Done::Launched };
    Ok(Changes { containers: vec![far.change(&name, done, start)], errors: Vec::new() })
}
