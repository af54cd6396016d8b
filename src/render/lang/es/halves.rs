//! Las mitades de un laboratorio que están en otras máquinas, en palabras.

use crate::render::escape::escape;
use crate::report::half::{Answer, Discord, Frames, Halves, Way};

/// Quién contesta, y qué falla entre esas máquinas y esta.
pub(super) fn told(halves: &Halves) -> Vec<String> {
    let mut lines: Vec<String> = halves.partners().map(answer).collect();
    let silent = |host: &String| {
        format!("Ninguna máquina contesta aún por {host}: levante allí esa mitad, con --role {host}, en la misma red interna.")
    };
    lines.extend(halves.silent.iter().map(silent));
    lines.extend(halves.findings.iter().flat_map(finding));
    lines
}

fn answer(answer: &Answer) -> String {
    let Answer { host, hostname, mac, nic, .. } = answer;
    format!("De {} hace la máquina {}, que contesta por {} desde {mac}.", escape(host), escape(hostname), escape(nic))
}

fn finding(finding: &Discord) -> Vec<String> {
    match finding {
        Discord::Role { lab, host, hostname, free } => {
            let (host, lab, hostname) = (escape(host), escape(lab), escape(hostname));
            let free = free.first().map_or_else(|| "HOST".to_owned(), |free| escape(free).into_owned());
            vec![
                format!("! También la máquina {hostname} hace de {host}: cada dirección IP y MAC está dos veces."),
                format!("  En una de las dos: sudo nslab down {lab}, y de nuevo up con --role {free}"),
            ]
        }
        Discord::Lab { here, there, hostname, host } => {
            let (here, there) = (escape(here), escape(there));
            vec![
                format!("! La máquina {} hace de {} en un laboratorio {there}, no en {here}.", escape(hostname), escape(host)),
                format!("  Si ha de ser uno solo: allí nslab down y up con --name {here}; si no, use dos redes."),
            ]
        }
        Discord::Mac { nic, mac, host } => vec![
            format!(
                "! {} tiene la dirección MAC {mac}, igual que la tarjeta de la máquina de {}: es un clon.",
                escape(nic),
                escape(host)
            ),
            "  Apague una de las máquinas y dé a su adaptador otra; en VirtualBox:".to_owned(),
            "  VBoxManage modifyvm VM --macaddress2 auto".to_owned(),
        ],
        Discord::File { lab, host } => vec![
            format!("! La máquina de {} tiene levantado {} desde otro fichero, u otro estado de él.", escape(host), escape(lab)),
            "  Copie un mismo fichero a las dos máquinas y levántelo en ambas.".to_owned(),
        ],
        Discord::Mtu { nic, here, there, host } => {
            let nic = escape(nic);
            vec![
                format!(
                    "! {nic} tiene una MTU de {here} bytes y la tarjeta de la máquina de {} de {there}: los paquetes grandes se pierden.",
                    escape(host)
                ),
                "  nslab down en ambas, dé a las dos tarjetas la misma, y up:".to_owned(),
                format!("  sudo ip link set {nic} mtu {}", here.min(there)),
            ]
        }
        Discord::Lost { frames, way, nic, host, mtu } => lost(*frames, *way, &escape(nic), &escape(host), *mtu),
        Discord::Version { host, here, there } => {
            let there = escape(there);
            vec![format!(
                "  La máquina de {} tiene nslab {there} y esta {here}: no se sabe si los ficheros difieren.",
                escape(host)
            )]
        }
        Discord::Machine { host } => vec![
            format!("  La máquina de {} tiene el mismo machine-id que esta, como un clon. En una de las dos:", escape(host)),
            "  sudo rm /etc/machine-id && sudo systemd-machine-id-setup && sudo reboot".to_owned(),
        ],
        Discord::Hostname { hostname, host } => vec![
            format!("  La máquina de {} también se llama {}. En una de las dos:", escape(host), escape(hostname)),
            "  sudo hostnamectl set-hostname NOMBRE".to_owned(),
        ],
        Discord::Clock { host, days } => {
            let days = if *days == 1 { "un día".to_owned() } else { format!("{days} días") };
            vec![format!("  El reloj de la máquina de {} se aparta {days} o más del de esta.", escape(host))]
        }
    }
}

fn lost(frames: Frames, way: Way, nic: &str, host: &str, mtu: u32) -> Vec<String> {
    let (to, of_sender, of_receiver) = match way {
        Way::In => (format!("de la máquina de {host} a {nic}"), format!("la máquina de {host}"), "esta máquina".to_owned()),
        Way::Out => (format!("de {nic} a la máquina de {host}"), "esta máquina".to_owned(), format!("la máquina de {host}")),
    };
    match frames {
        Frames::Plain => vec![
            format!("! Las difusiones pasan {to}; las tramas para su propia dirección MAC, no."),
            "  Algo entre las máquinas filtra, o una tercera tarjeta tiene allí esa dirección MAC.".to_owned(),
        ],
        Frames::ToGuest => vec![
            format!("! Las tramas para contenedores no pasan {to}: sus direcciones MAC no son la de la tarjeta."),
            format!("  Haga que el adaptador de {of_receiver} las acepte; en VirtualBox:"),
            "  VBoxManage controlvm VM nicpromisc2 allow-all".to_owned(),
            "  VMware: modo promiscuo: aceptar. Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On".to_owned(),
        ],
        Frames::FromGuest => vec![
            format!("! Las tramas de contenedores no pasan {to}: sus direcciones MAC no son la de la tarjeta."),
            format!("  Haga que el adaptador de {of_sender} las envíe; VMware: transmisiones falsificadas: aceptar."),
            "  Hyper-V: Set-VMNetworkAdapter -MacAddressSpoofing On".to_owned(),
        ],
        Frames::Full => vec![
            format!("! Las tramas con {mtu} bytes de carga, una MTU entera, no pasan {to}; las menores sí."),
            "  Algo entre las máquinas tiene una MTU menor. nslab down en ambas, una menor en las dos tarjetas, y up:".to_owned(),
            format!("  sudo ip link set {nic} mtu 1400"),
        ],
    }
}
