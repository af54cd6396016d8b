//! The commands in English and Spanish on labs that are up; JSON is the same in both.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;

use support::{Ran, in_box, inside, nslab, ok, run};

const BAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad/a8-gateways.yaml");

/// Runs nslab with these variables alone to tell the language.
fn with(locale: &[(&str, &str)], words: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nslab"));
    for name in ["LC_ALL", "LC_MESSAGES", "LANG", "NSLAB_LAB"] {
        command.env_remove(name);
    }
    run(command.args(words.split_whitespace()).envs(locale.iter().copied()))
}

/// What is said to people in Spanish, by the option and by the locale, and what in English; each with this exit code.
#[track_caller]
fn says(words: &str, code: i32, spanish: &[&str], english: &str) {
    let all = |ran: Ran| format!("{}{}", ran.out, ran.err);
    for ran in [with(&[], &format!("--lang es {words}")), with(&[("LANG", "es_ES.UTF-8")], words)] {
        let text = all(ran.expect(code));
        for part in spanish {
            assert!(text.contains(part), "no {part:?} in nslab {words}:\n{text}");
        }
        assert!(!text.contains(english), "nslab {words}:\n{text}");
    }
    let forced = with(&[("LC_ALL", "es_ES.UTF-8")], &format!("{words} --lang en"));
    for ran in [with(&[], words), with(&[("LANG", "C.UTF-8")], words), forced] {
        let text = all(ran.expect(code));
        assert!(text.contains(english) && !text.contains(spanish[0]), "nslab {words}:\n{text}");
    }
}

#[test]
fn people_are_told_in_their_language() {
    in_box(|| {
        says("show a1", 2, &["no hay ningún nodo «a1»", "pruebe: nslab up bridged"], "there is no node");
        says("list", 0, &["No hay ningún laboratorio en marcha."], "No lab is up.");
        let up = ok("--lang es up bridged");
        assert!(up.out.contains("bridged está en marcha: 2 hosts, 4 contenedores") && up.out.contains("Pruebe: "), "{up}");
        says("up bridged", 0, &["ya estaba en marcha, tal como se describe"], "is already up");
        says("status", 0, &["tal como se describe", "No hay nada hecho a mano"], "as described");
        says(
            "show host-a",
            0,
            &["Tabla de direcciones MAC de los bridges", "OTRO EXTREMO", "es un host de bridged"],
            "OTHER END",
        );
        says("trace a1 b1", 0, &["La petición: ", "puenteada sin cambios por br0", "Respondido en"], "The request: ");
        says("ping a1 b1 -c 1", 0, &["tiempo=", "1 respondidos", "desde a1"], "1 answered");
        says("ping --all", 0, &["12 con respuesta"], "12 answered");
        says("macs", 0, &["DUEÑO", "los bridges de host-a y host-b pasan las tramas", "un solo dominio"], "OWNER");
    });
}

#[test]
fn what_is_broken_is_told_in_their_language() {
    in_box(|| {
        ok("up bridged");
        inside("bridged", "host-a", "ip link set enp0s8 nomaster").expect(0);
        says("trace a1 b1", 1, &["Sin respuesta: la petición no pasa de", "Causa: ", "Remedio: sudo nslab exec"], "No answer: ");
        says("ping a1 b1 -c 1", 1, &["0 respondidos", "Pruebe: nslab trace a1"], "0 answered");
        says("ping --all", 1, &["X sin respuesta"], "X no answer");
        says("status", 1, &["se ha desviado", "Para dejarlo como se describe:"], "has drifted");
        says("show a9", 2, &["no hay ningún nodo «a9»", "¿quería decir «a1»?"], "did you mean");
        says("up bridgd", 2, &["no hay ninguna topología «bridgd»", "pruebe: "], "there is no topology");
        says(&format!("up {BAD}"), 2, &["no describe un laboratorio", "no está en ninguna subred"], "does not describe a lab");
        says("up ./none.yaml", 2, &["no se puede leer ./none.yaml: no existe el fichero"], "cannot read");
        says("capture a1 host 10.0.0.300", 2, &["no es una dirección"], "is no address");
        says("plan routed", 0, &["# ---- host-a y sus contenedores ----"], "and its containers");
        says("doctor", 0, &["Los laboratorios funcionan aquí."], "Labs work here.");
        let down = ok("--lang es down");
        assert!(down.out.contains("bridged está desmontado"), "{down}");
        says("down bridged", 0, &["nada que hacer"], "nothing to do");
    });
}

/// Whatever differs from one run to the next: every number.
fn without_numbers(text: &str) -> String {
    let mut last = ' ';
    let kept = text.chars().map(|c| if c.is_ascii_digit() || c == '.' { '0' } else { c });
    kept.filter(|&c| std::mem::replace(&mut last, c) != '0' || c != '0').collect()
}

#[test]
fn json_is_the_same_in_both_languages() {
    in_box(|| {
        ok("up bridged");
        ok("ping --all");
        let bad = format!("validate {BAD}");
        let same =
            ["plan routed", "plan bridged --as lxc", "topology", "topology bridged", "list", "status", "show a1", "down x"];
        for words in same.into_iter().chain([bad.as_str()]) {
            let [english, spanish] = ["en", "es"].map(|lang| nslab(&format!("--format json --lang {lang} {words}")));
            assert!(english.out.len() > 2, "{english}");
            // A neighbour's state changes by itself.
            let states = |ran: &Ran| ran.out.replace("\"stale\"", "\"reachable\"").replace("\"delay\"", "\"reachable\"");
            let strip = |ran: &Ran| if words == "down x" { without_numbers(&ran.out) } else { states(ran) };
            assert_eq!((english.code, strip(&english)), (spanish.code, strip(&spanish)), "{words}");
        }
        for words in ["trace a1 b1", "macs", "ping a1 b1 -c 1", "ping --all", "doctor", "up bridged", "capture all --for 200ms"] {
            let [english, spanish] = ["en", "es"].map(|lang| nslab(&format!("--format json --lang {lang} {words}")));
            assert!(english.out.len() > 2, "{english}");
            assert_eq!(without_numbers(&english.out), without_numbers(&spanish.out), "{words}");
        }
    });
}

#[test]
fn a_question_takes_the_answers_of_its_language() {
    in_box(|| {
        ok("up bridged");
        let answer = |lang: &str, word: &str| {
            inside("bridged", "host-a.a1", "ip link add mine type bridge 2>/dev/null; true").expect(0);
            let line = format!("echo {word} | script -qec '{} --lang {lang} reset' /dev/null", env!("CARGO_BIN_EXE_nslab"));
            run(Command::new("sh").args(["-c", &line])).expect(0).out
        };
        assert!(answer("es", "no").contains("¿Eliminar lo hecho a mano en bridged (1 cosa)? [s/N]"));
        for yes in ["s", "sí", "SI", "yes"] {
            assert!(answer("es", yes).contains("vuelve a ser como se describe"), "{yes}");
        }
        assert!(answer("en", "s").contains("stays as it is"));
        ok("down");
    });
}
