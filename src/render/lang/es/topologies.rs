//! What the built-in topologies teach; their files say it in English.

pub(super) fn summary(name: &str) -> Option<&'static str> {
    Some(match name {
        "bare" => "Hosts, un cable y contenedores sin configurar nada; los escenarios se hacen a mano.",
        "bare-lxd" => "Las VMs de clase, con NAT y lxdbr0 ya puestos; los escenarios empiezan aquí.",
        "bridged" => "Una LAN para todos los contenedores; por el cable van sus propias direcciones MAC.",
        "bridged-deny" => {
            "Como bridged, en una red con el modo promiscuo denegado: no cruza ningún ping; por qué falla en clase."
        }
        "bridged-hosts" => "Como bridged, con las direcciones de los hosts en sus bridges, nunca en los puertos.",
        "remote" => "Como routed, con un agente en cada host; desde host-a se controlan los contenedores de host-b.",
        "routed" => "Cada host enruta; por el cable solo van las direcciones MAC de los propios hosts.",
        "routed-router" => "Como routed, con dos routers entre los hosts; cada red lleva solo las MACs de sus vecinos.",
        "three-hosts" => "Tres hosts en una red, que es un switch y aprende las MACs de los contenedores.",
        _ => return None,
    })
}
