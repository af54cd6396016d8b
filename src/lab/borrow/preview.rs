//! What a lab would do to the machine's NICs.

use super::{Use, failed, refuse, settings, uses};
use crate::error::{Refusal, Result};
use crate::kernel::nic::{self, Nic, Object};
use crate::kernel::socket::Netlink;
use crate::plan::{Key, Ns, Op, Port, State, Value};
use crate::report::nic::{Change, Changes, Setting, Wiring};

/// The machine before and after.
pub fn preview(wanted: &State) -> Result<Changes> {
    let mut socket = Netlink::open().map_err(|errno| failed("socket", errno))?;
    let all = nic::survey(&mut socket).map_err(|errno| failed("ip addr", errno))?;
    let mut nics = Vec::new();
    for used in uses(wanted) {
        let Some(nic) = all.iter().find(|nic| nic.name == used.nic) else { continue };
        let reasons = refuse::reasons(&mut socket, nic, &used)?;
        let allow = reasons.iter().map(|why| Refusal::allow(why).map(crate::error::Allow::word)).collect();
        nics.push(Change { nic: nic.name.to_string(), now: now(nic), then: then(nic, &used, wanted), allow });
    }
    let settings = wanted.iter().filter_map(|(key, value)| match (key, value) {
        (Key::Sysctl(Ns::Root, setting), Value::Number(number)) => {
            let now = settings::get(setting.path().trim_start_matches("net/"))?;
            let then = number.to_string();
            (now != then).then(|| Setting { name: setting.name(), now, then })
        }
        _ => None,
    });
    Ok(Changes { settings: settings.collect(), nics })
}

fn texts<'a>(objects: impl Iterator<Item = &'a Object>) -> Vec<String> {
    objects.map(|object| object.text.clone()).collect()
}

fn now(nic: &Nic) -> Wiring {
    Wiring {
        up: nic.is_up(),
        mtu: nic.mtu,
        master: nic.master.clone(),
        addresses: texts(nic.addresses.iter()),
        routes: texts(nic.routes.iter()),
    }
}

fn then(nic: &Nic, used: &Use, wanted: &State) -> Wiring {
    let mut then = now(nic);
    let port = Port { ns: Ns::Root, dev: nic.name.clone() };
    then.up |= wanted.contains_key(&Key::Up(port.clone()));
    if let Some(Value::Number(mtu)) = wanted.get(&Key::Mtu(port.clone())) {
        then.mtu = *mtu;
    }
    if let Some(bridge) = &used.bridge {
        then.master = Some(bridge.to_string());
        let (from, to) = (format!("dev {}", nic.name), format!("dev {bridge}"));
        then.routes = then.routes.iter().map(|route| route.replace(&from, &to)).collect();
    }
    let own = wanted.keys().filter_map(|key| match key {
        Key::Addr(on, net) if *on == port => Some(net.to_string()),
        _ => None,
    });
    then.addresses.extend(own);
    then.addresses.sort();
    then.addresses.dedup();
    let routes = wanted.iter().filter(|(key, _)| matches!(key, Key::Route(Ns::Root, ..)));
    let line = |(key, value): (&Key, &Value)| Op::Add(key.clone(), value.clone()).to_string();
    let bare = |line: String| line.replace("ip route add ", "").replace("ip -6 route add ", "");
    let through = |route: &String| route.split(' ').any(|word| word == nic.name.as_str());
    then.routes.extend(routes.map(line).map(bare).filter(through));
    then
}
