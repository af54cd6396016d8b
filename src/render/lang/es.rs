//! Spanish, in the words of a networking lab at university.

mod agent;
mod capture;
mod causes;
mod check;
mod doctor;
mod errors;
mod filters;
mod findings;
mod graph;
mod halves;
mod instances;
mod interference;
mod labs;
mod macs;
mod nics;
mod ping;
mod plans;
mod remote;
mod role;
mod system;
mod topologies;
mod trace;

use super::{Beside, Failing, Mark, Message, Tongue, Way, Word};
use crate::error::Error;
use crate::problem::Problem;
use crate::render::escape::escape;
use crate::report::capture::Direction;
use crate::report::frame::Payload;
use crate::report::notice::{Notice, Question};
use crate::report::{doctor as health, instance, lab, macs as census, node, ping as pings, plan, topology};

/// Spanish.
pub(super) struct Spanish;

impl Tongue for Spanish {
    fn error(&self, error: &Error) -> Message {
        errors::error(error)
    }

    fn problem(&self, problem: &Problem) -> String {
        findings::problem(problem)
    }

    fn advice(&self, problem: &Problem) -> Option<String> {
        findings::advice(problem)
    }

    fn elsewhere(&self, line: usize) -> String {
        findings::elsewhere(line)
    }

    fn unshown(&self, number: usize) -> String {
        findings::unshown(number)
    }

    fn bug(&self, message: &str, place: &str) -> String {
        format!(
            "nslab: un fallo del propio nslab ({place}): {}\n  nslab status dice lo que hay; por favor, comunique esta línea.",
            escape(message)
        )
    }

    fn notice(&self, notice: &Notice) -> String {
        match notice {
            Notice::Listening(points) => capture::listening(points),
            Notice::PointsDown(points) => capture::down(points),
            Notice::PointsGone { points, left } => capture::gone(points, *left),
            Notice::Captured(end, file) => capture::end(end, file.as_deref()),
            Notice::KeptDefault { routes } => role::kept_default(routes),
            Notice::Agentless { host, why } => {
                format!("lxc no encuentra agente en {host}: {}. nslab agent start {host} dice más.", self.error(why).what)
            }
            Notice::Class { host } => format!(
                "aquí lxc maneja los contenedores de {host}. Todo nombre de imagen, también ubuntu:22.04, son los ficheros de esta máquina: no se descarga nada."
            ),
            Notice::Interference(found) => interference::message(found).what,
            Notice::OwnDescription { lab } => format!(
                "{lab} está en marcha con una descripción propia, que conserva; para la incluida: antes, nslab down {lab}."
            ),
            Notice::Assumed { lab, exact } => format!(
                "hay varios laboratorios en marcha; se toma {lab}. Nómbrelo exactamente con {exact}, o elija el laboratorio con NSLAB_LAB={lab}."
            ),
        }
    }

    fn question(&self, question: &Question) -> String {
        match question {
            Question::Certificate { address, fingerprint } => remote::question(address, fingerprint),
            Question::Reset { lab, by_hand } => {
                format!("¿Eliminar lo hecho a mano en {lab} ({})? [s/N]", count(*by_hand, "cosa", "cosas"))
            }
        }
    }

    fn is_yes(&self, answer: &str) -> bool {
        matches!(answer.trim().to_lowercase().as_str(), "s" | "si" | "sí" | "y" | "yes")
    }

    fn word(&self, word: Word) -> &'static str {
        match word {
            Word::Address => "DIRECCIÓN",
            Word::Age => "EDAD",
            Word::Broadcasts => "A TODOS",
            Word::Frames => "TRAMAS",
            Word::Owner => "DUEÑO",
            Word::Why => "MOTIVO",
            Word::Addresses => "Direcciones",
            Word::Allows => "PERMITE",
            Word::Bridge => "BRIDGE",
            Word::Command => "COMANDO",
            Word::Containers => "CONTENEDORES",
            Word::Dev => "INTERFAZ",
            Word::FdbTitle => "Tabla de direcciones MAC de los bridges",
            Word::Features => "Lo que puede este kernel",
            Word::Findings => "Lo que puede estorbar",
            Word::Harmless => "Lo que llama la atención y no estorba",
            Word::From => "ORIGEN",
            Word::Hosts => "HOSTS",
            Word::Inside => "DENTRO",
            Word::Kind => "TIPO",
            Word::Lab => "LABORATORIO",
            Word::Labs => "Laboratorios en marcha",
            Word::Learned => "aprendida",
            Word::Leftovers => "Lo que quedó de antes",
            Word::Limit => "LÍMITE",
            Word::Limits => "Límites",
            Word::Links => "Interfaces",
            Word::Mac => "MAC",
            Word::Metric => "MÉTRICA",
            Word::Mtu => "MTU",
            Word::Name => "NOMBRE",
            Word::Neighbours => "Vecinos",
            Word::No => "no",
            Word::Node => "NODO",
            Word::None => "-",
            Word::Own => "propia",
            Word::Peer => "OTRO EXTREMO",
            Word::Pid => "PID",
            Word::Fingerprint => "HUELLA",
            Word::Remote => "REMOTO",
            Word::Port => "PUERTO",
            Word::Routes => "Rutas",
            Word::Since => "EN MARCHA DESDE (UTC)",
            Word::State => "ESTADO",
            Word::Static => "estática",
            Word::Summary => "QUÉ ENSEÑA",
            Word::Table => "TABLA",
            Word::To => "DESTINO",
            Word::Topologies => "Topologías",
            Word::Try => "pruebe",
            Word::Unknown => "?",
            Word::Unlimited => "sin límite",
            Word::User => "USUARIO",
            Word::Value => "VALOR",
            Word::Via => "SIGUIENTE SALTO",
            Word::Works => "FUNCIONA",
            Word::Yes => "sí",
        }
    }

    fn size(&self, hosts: usize, containers: usize) -> String {
        format!("{}, {}", count(hosts, "host", "hosts"), count(containers, "contenedor", "contenedores"))
    }

    fn home(&self, home: &lab::Home) -> Vec<String> {
        labs::home(home)
    }

    fn up(&self, up: &lab::Up) -> Vec<String> {
        labs::up(up, &self.size(up.hosts, up.containers))
    }

    fn down(&self, down: &lab::Down) -> Vec<String> {
        labs::down(down)
    }

    fn not_understood(&self, typed: &str) -> String {
        format!("no se entiende {}", quoted(typed))
    }

    fn lab_for_container(&self, word: &str) -> String {
        format!("{} es un laboratorio entero, y este comando toma uno de sus nodos", quoted(word))
    }

    fn nothing_up(&self) -> String {
        "No hay ningún laboratorio en marcha.".to_owned()
    }

    fn machine(&self, changes: &crate::report::nic::Changes) -> Vec<String> {
        nics::changes(changes)
    }

    fn keep(&self, keep: &lab::Keep) -> String {
        nics::kept(keep)
    }

    fn reset(&self, reset: &lab::Reset) -> String {
        labs::reset(reset)
    }

    fn instances(&self, changes: &instance::Changes) -> Vec<String> {
        instances::changes(changes)
    }

    fn status(&self, status: &lab::Status) -> Vec<String> {
        labs::status(status, &self.size(status.hosts, status.containers))
    }

    fn missing(&self) -> &'static str {
        "Para dejarlo como se describe:"
    }

    fn foreign(&self, status: &lab::Status) -> Vec<String> {
        labs::foreign(status)
    }

    fn by_hand(&self) -> &'static str {
        "Hecho a mano:"
    }

    fn script(&self, plan: &plan::Plan) -> Vec<String> {
        plans::script(plan)
    }

    fn place(&self, place: &plan::Place) -> String {
        plans::place(place)
    }

    fn step(&self, what: plan::What) -> &'static str {
        plans::step(what)
    }

    fn nothing_to_do(&self, plan: &plan::Plan) -> String {
        plans::nothing(plan)
    }

    fn summary(&self, name: &str) -> Option<&'static str> {
        topologies::summary(name)
    }

    fn valid(&self, file: &topology::File) -> String {
        format!("{}: correcto, {}", escape(&file.file), self.size(file.hosts, file.containers))
    }

    fn node(&self, node: &node::Node) -> String {
        labs::node(node)
    }

    fn no_processes(&self) -> String {
        "No hay ningún proceso.".to_owned()
    }

    fn rights(&self, rights: health::Rights) -> &'static str {
        doctor::rights(rights)
    }

    fn ability(&self, ability: health::Ability) -> &'static str {
        doctor::ability(ability)
    }

    fn limit(&self, limit: health::LimitName) -> &'static str {
        doctor::limit(limit)
    }

    fn allows(&self, containers: u64) -> String {
        format!("unos {containers} contenedores")
    }

    fn finding(&self, finding: &health::Finding) -> Message {
        doctor::finding(finding)
    }

    fn interference(&self, found: &crate::report::interference::Interference) -> Message {
        interference::message(found)
    }

    fn leftover(&self, leftover: &health::Leftover) -> Message {
        doctor::leftover(leftover)
    }

    fn unseen(&self, unseen: health::Unseen) -> String {
        doctor::unseen(unseen)
    }

    fn check(&self) -> &dyn super::check::Checking {
        self
    }

    fn trace(&self) -> &dyn super::trace::Tracing {
        self
    }

    fn payload(&self, vlan: Option<u16>, payload: &Payload) -> String {
        capture::payload(vlan, payload)
    }

    fn direction(&self, direction: Direction) -> &'static str {
        match direction {
            Direction::In => "entra",
            Direction::Out => "sale",
        }
    }

    fn group(&self, everybody: bool) -> &'static str {
        if everybody { "todos" } else { "multicast" }
    }

    fn graph(&self) -> &dyn super::graph::Drawing {
        self
    }

    fn verdict(&self, report: &health::Doctor) -> String {
        doctor::verdict(report)
    }

    fn ping_start(&self, start: &pings::Start) -> String {
        ping::start(start)
    }

    fn ping_event(&self, start: &pings::Start, event: &pings::Event) -> String {
        ping::event(start, event)
    }

    fn recorded(&self, way: Way) -> &'static str {
        ping::recorded(way)
    }

    fn recorded_note(&self, full: bool) -> Vec<String> {
        ping::recorded_note(full)
    }

    fn ping_end(&self, ping: &pings::Ping) -> Vec<String> {
        ping::end(ping)
    }

    fn marks(&self, marks: &[Mark]) -> String {
        ping::marks(marks)
    }

    fn failing(&self, group: &Failing) -> String {
        ping::failing(group)
    }

    fn matrix_end(&self, matrix: &pings::Matrix) -> Vec<String> {
        ping::matrix_end(matrix)
    }

    fn network(&self, lab: &census::Census, network: &census::Network) -> Vec<String> {
        macs::network(lab, network)
    }

    fn no_network(&self, lab: &census::Census) -> String {
        format!("{} no tiene ninguna red entre hosts.", escape(&lab.lab))
    }

    fn reason(&self, reason: census::Reason) -> &'static str {
        macs::reason(reason)
    }

    fn reasons(&self, lab: &census::Census, network: &census::Network) -> Vec<String> {
        macs::reasons(lab, network)
    }

    fn forwarding_table(&self, kind: census::Kind) -> &'static str {
        macs::forwarding_table(kind)
    }

    fn growth(&self, bridged: bool, routed: bool) -> &'static str {
        macs::growth(bridged, routed)
    }

    fn lesson(&self, lab: &census::Census, network: &census::Network) -> Vec<String> {
        macs::lesson(lab, network)
    }

    fn more(&self, number: usize) -> String {
        format!("... y {number} más (--format json las tiene todas)")
    }

    fn remote(&self, outcome: &crate::report::remote::Outcome) -> String {
        remote::outcome(outcome)
    }

    fn agent(&self, outcome: &crate::report::agent::Outcome) -> String {
        agent::outcome(outcome)
    }

    fn nobody_trusted(&self, host: &str) -> String {
        agent::nobody(host)
    }

    fn agent_state(&self, running: bool) -> &'static str {
        agent::state(running)
    }

    fn no_remotes(&self) -> String {
        remote::no_remotes()
    }

    fn no_instances(&self, remote: &str) -> String {
        remote::no_instances(remote)
    }

    fn beside(&self, row: Beside) -> &'static str {
        macs::beside(row)
    }
}

/// A number with its noun.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A foreign word in quotation marks.
fn quoted(word: &str) -> String {
    format!("«{}»", escape(word))
}

/// `a`, `a y b`, `a, b y c`; before the sound of an i it is `e`.
fn and(words: &[String]) -> String {
    let sounds_like_i = |word: &str| word.starts_with('i') || word.starts_with("hi");
    joined(words, |last| if sounds_like_i(last) { "e" } else { "y" })
}

/// `a`, `a o b`, `a, b o c`; before the sound of an o it is `u`.
fn or(words: &[String]) -> String {
    let sounds_like_o = |word: &str| word.starts_with('o') || word.starts_with("ho");
    joined(words, |last| if sounds_like_o(last) { "u" } else { "o" })
}

fn joined(words: &[String], between: impl Fn(&str) -> &'static str) -> String {
    match words {
        [] => "nada".to_owned(),
        [one] => one.clone(),
        [start @ .., last] => format!("{} {} {last}", start.join(", "), between(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::{and, or};

    #[test]
    fn words_are_joined_as_they_sound() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(and(&words("host-a host-b host-c")), "host-a, host-b y host-c");
        assert_eq!(and(&words("host-a internal")), "host-a e internal");
        assert_eq!(or(&words("br0 br1")), "br0 o br1");
        assert_eq!(or(&words("br0 host-br")), "br0 u host-br");
    }
}
