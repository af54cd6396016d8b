//! Against a packet filter: the rule that drops goes, or one that accepts comes before the policy.

use super::Cures;
use crate::plan::quoted;
use crate::report::trace::Cause;

/// The tables that `iptables` and `ip6tables` make, and their chains with a hook.
const TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];
const CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

impl Cures<'_> {
    pub(super) fn filtered(&mut self, cause: &Cause) {
        let Cause::Filtered { node, family, table, chain, rule, number, .. } = cause else { return };
        let program = match family.as_str() {
            "ip" => Some("iptables"),
            "ip6" => Some("ip6tables"),
            _ => None,
        };
        let program = program.filter(|_| TABLES.contains(&table.as_str()) && CHAINS.contains(&chain.as_str()));
        let place = format!("{family} {} {}", quoted(table), quoted(chain));
        let of_table = if table == "filter" { String::new() } else { format!(" -t {table}") };
        let command = match (program, rule, number) {
            (Some(program), Some(_), Some(number)) => format!("{program}{of_table} -D {chain} {number}"),
            (Some(program), None, _) => format!("{program}{of_table} -P {chain} ACCEPT"),
            (_, Some(handle), _) => format!("nft delete rule {place} handle {handle}"),
            (None, None, _) => format!("nft add rule {place} meta l4proto '{{ icmp, icmpv6 }}' accept"),
        };
        self.run(node, &command);
    }
}
