//! Sentences about plans: the comments of a script.

use crate::report::plan::{Place, Plan, Purpose, What};

pub(super) fn script(plan: &Plan) -> Vec<String> {
    let lab = &plan.lab;
    match plan.purpose {
        Purpose::Build => vec![
            format!("El laboratorio {lab} a mano: lo que hace `nslab up {lab}`, con los comandos de clase."),
            "Ejecútelo como root donde no haya un laboratorio con ese nombre en marcha.".to_owned(),
            "Lo deshace `ip -all netns delete`, o un reinicio.".to_owned(),
        ],
        Purpose::BuildOnLxd => vec![
            format!("El laboratorio {lab} en hosts con LXD, como en clase. Cada host ejecuta su parte, como root"),
            "(--role HOST escribe una sola).".to_owned(),
            "Las redes entre los hosts son cosa del hipervisor: una Internal Network de VirtualBox, donde los adaptadores"
                .to_owned(),
            "necesitan Modo promiscuo: Permitir todo en cuanto tienen un bridge encima.".to_owned(),
        ],
        Purpose::Preview => vec![format!("Lo que `nslab up` haría ahora con {lab}.")],
        Purpose::ByHand => vec![format!("Lo que se ha hecho a mano en {lab}.")],
    }
}

pub(super) fn place(place: &Place) -> String {
    match place {
        Place::Lab => "Todo el laboratorio".to_owned(),
        Place::Networks => "Las redes entre los hosts".to_owned(),
        Place::Host(host) => format!("{host} y sus contenedores"),
    }
}

pub(super) fn step(what: What) -> &'static str {
    match what {
        What::Namespaces => "Un network namespace por máquina: sus propios interfaces, rutas y vecinos.",
        What::Sysctls => "Si reenvía paquetes, y con qué rigor comprueba de dónde vienen.",
        What::Bridges => "Bridges: un switch dentro del kernel.",
        What::VethPairs => "Pares de veth: un cable con dos extremos, cada uno en su máquina.",
        What::Links => "Otros interfaces.",
        What::LinkLocal => "Sin direcciones IPv6 link-local automáticas: todo lo que hay está descrito.",
        What::Macs => "Direcciones MAC que se pueden leer: 02:HOST:CONTENEDOR:INTERFAZ, en dos bytes, dos bytes y uno.",
        What::Mtus => "Cuántos bytes puede llevar una trama.",
        What::Stp => "El protocolo spanning tree, donde los bridges forman un bucle.",
        What::Ports => "Los cables, enchufados a los bridges.",
        What::Isolation => "Puertos que no reciben más que lo que va dirigido a ellos.",
        What::Fdb => "Entradas de la tabla de direcciones MAC que no caducan.",
        What::Addresses => "Direcciones.",
        What::Up => "Los interfaces, activados.",
        What::Routes => "Rutas: adónde van los paquetes para otras redes.",
        What::HostNamespaces => "Namespaces hechos dentro del host.",
        What::Filters => "Tablas de filtrado: estas líneas escriben sus reglas, tal como las acepta `nft -f`.",
        What::Forwarding => "El host es un router.",
        What::Instances => "Contenedores. El perfil por defecto pone su eth0 en lxdbr0.",
        What::Devices => {
            "Se sacan de lxdbr0: un dispositivo con el mismo nombre ocupa el lugar del que trae el perfil.\n\
             (lxc profile device remove default eth0, antes de launch, lo hace para todos los que vengan después.)"
        }
        What::HostEnds => "Los extremos del host de los enlaces punto a punto.",
        What::InstanceAddresses => "Direcciones de los contenedores.",
        What::InstanceRoutes => "Rutas de los contenedores.",
        What::Remove => "Se quita lo que ya no se quiere.",
    }
}

pub(super) fn nothing(plan: &Plan) -> String {
    match plan.purpose {
        Purpose::ByHand => format!("No se ha hecho nada a mano en {}.", plan.lab),
        Purpose::Build | Purpose::BuildOnLxd | Purpose::Preview => {
            format!("Nada que hacer: {} está como se describe.", plan.lab)
        }
    }
}
