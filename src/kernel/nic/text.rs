//! Addresses, routes and rules as `ip` writes them, as far as a person needs to know them apart.

use std::collections::HashMap;

use super::attributes::{self, find, ip, number};
use super::put::{self, IFADDR, RTMSG};

/// `10.0.0.1/24`, `10.0.0.1 peer 10.0.0.2/32`
pub fn address(body: &[u8]) -> String {
    let prefix = body.get(1).copied().unwrap_or_default();
    let (own, far) = (put::local(body), find(body, IFADDR, put::IFA_ADDRESS).and_then(ip));
    match (own, far) {
        (Some(own), Some(far)) if own != far => format!("{own} peer {far}/{prefix}"),
        (Some(own), _) => format!("{own}/{prefix}"),
        _ => String::new(),
    }
}

/// `default via 10.0.2.2 dev eth0 metric 100 table 7`
pub fn route(body: &[u8], names: &HashMap<u32, String>) -> String {
    let get = |kind| find(body, RTMSG, kind);
    let prefix = body.get(1).copied().unwrap_or_default();
    let mut said = vec![match get(put::RTA_DST).and_then(ip) {
        Some(to) => format!("{to}/{prefix}"),
        None => "default".to_owned(),
    }];
    if let Some(via) = get(put::RTA_GATEWAY).and_then(ip) {
        said.push(format!("via {via}"));
    }
    if let Some(dev) = get(put::RTA_OIF).and_then(number) {
        said.push(format!("dev {}", names.get(&dev).cloned().unwrap_or_else(|| dev.to_string())));
    }
    for (hop, via) in put::hops(body) {
        let dev = names.get(&hop).cloned().unwrap_or_else(|| hop.to_string());
        said.push(via.map_or_else(|| format!("nexthop dev {dev}"), |via| format!("nexthop via {via} dev {dev}")));
    }
    if let Some(from) = get(put::RTA_PREFSRC).and_then(ip) {
        said.push(format!("src {from}"));
    }
    if let Some(metric) = get(put::RTA_PRIORITY).and_then(number) {
        said.push(format!("metric {metric}"));
    }
    let table = Some(put::table(body)).filter(|table| *table != crate::plan::MAIN_TABLE);
    said.extend(table.map(|table| format!("table {table}")));
    said.join(" ")
}

/// `from all iif eth0 lookup 7`
pub fn rule(body: &[u8]) -> String {
    let get = |kind| find(body, RTMSG, kind);
    let mut said = vec![match get(put::FRA_SRC).and_then(ip) {
        Some(from) => format!("from {from}/{}", body.get(2).copied().unwrap_or_default()),
        None => "from all".to_owned(),
    }];
    if let Some(to) = get(put::FRA_DST).and_then(ip) {
        said.push(format!("to {to}/{}", body.get(1).copied().unwrap_or_default()));
    }
    for (word, kind) in [("iif", put::FRA_IIFNAME), ("oif", put::FRA_OIFNAME)] {
        if let Some(name) = get(kind) {
            said.push(format!("{word} {}", attributes::text(name)));
        }
    }
    said.push(format!("lookup {}", get(put::FRA_TABLE).and_then(number).unwrap_or_default()));
    said.join(" ")
}
