//! What somebody types who is here for the first time: `make demo` and `make install`, what `up` advises, words of other tools.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Machine, fails, in_box, limit, nslab, ok, run, sh, shipped};

const NSLAB: &str = env!("CARGO_BIN_EXE_nslab");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The lines that are to be typed: those that begin with `nslab`, also behind `sudo`, `Try:` and blanks.
fn advised(said: &str) -> Vec<String> {
    let line = |line: &str| {
        let line = line.trim_start().trim_start_matches("Try: ").trim_start_matches("Pruebe: ").trim_start_matches("try: ");
        line.trim_start_matches("sudo ").strip_prefix("nslab ").map(str::to_owned)
    };
    said.lines().filter_map(line).collect()
}

#[test]
fn an_exercise_ends_with_its_commands_and_each_of_them_works() {
    in_box(|| {
        for (name, lang) in [("bare", "en"), ("bare-lxd", "es")] {
            let up = ok(&format!("--lang {lang} up {name}"));
            let lines = advised(&up.out);
            assert!(up.out.trim_end().ends_with(lines.last().unwrap().as_str()), "{up}");
            let wanted = [
                "shell host-a",
                "shell host-b",
                "check --against bridged --watch",
                "check --against routed --watch",
                "plan bridged",
                "plan routed",
            ];
            assert_eq!(lines, wanted, "{up}");
            assert_eq!(advised(&ok(&format!("--lang {lang} up {name}")).out), wanted, "told again where it is up already");
            let home = ok(&format!("--lang {lang}"));
            assert!(wanted.iter().all(|line| advised(&home.out).contains(&(*line).to_owned())), "{home}");
            for line in lines {
                let (words, code) = match line.strip_prefix("shell ") {
                    Some(host) => (format!("exec {host} true"), 0),
                    None => (line.replace(" --watch", ""), i32::from(line.starts_with("check"))),
                };
                nslab(&words).expect(code);
            }
            // Beside another lab they name theirs.
            ok("--quiet up bridged");
            let beside = advised(&ok(&format!("up {name}")).out);
            assert!(
                beside[0] == format!("shell {name}/host-a") && beside[2].starts_with(&format!("check {name} ")),
                "{beside:?}"
            );
            ok(&format!("exec {name}/host-a true"));
            ok("--quiet down --all");
        }
    });
}

#[test]
fn up_advises_a_ping_between_the_containers_farthest_apart_and_it_is_answered() {
    in_box(|| {
        for name in shipped().into_iter().filter(|name| !name.starts_with("bare")) {
            let up = ok(&format!("up {name}"));
            let lines = advised(&up.out);
            let far = if name == "three-hosts" { "ping a1 c1" } else { "ping a1 b1" };
            assert_eq!(lines, [far], "{up}");
            // Its network lets no container through: that is what it teaches.
            nslab(&format!("{far} -c 1")).expect(i32::from(name == "bridged-deny"));
            ok("--quiet down");
        }
    });
}

#[test]
fn an_exercise_names_topologies_that_there_are() {
    in_box(|| {
        fs::write("/run/own.yaml", "name: own\nhosts: { h: {} }\nexercise: ./target.yaml\n").unwrap();
        assert!(ok("up /run/own.yaml").out.contains("check --against ./target.yaml --watch"));
        ok("--quiet down");
        fs::write("/run/own.yaml", "name: own\nhosts: { h: {} }\nexercise: [bridged, rooted]\n").unwrap();
        let refused = fails(2, "up /run/own.yaml");
        assert!(refused.err.contains("\"rooted\"") && refused.err.contains("\"routed\""), "{refused}");
    });
}

#[test]
fn words_of_other_tools_lead_to_the_command_here_and_touch_nothing() {
    in_box(|| {
        ok("--quiet up bridged");
        let machine = Machine::look();
        for (typed, advice) in [
            ("traceroute a1 b1", "nslab trace a1 b1"),
            ("topology show bridged", "nslab topology bridged"),
            ("topologies", "nslab topology"),
            ("destroy bridged", "nslab down bridged"),
            ("remove a1", "nslab delete a1"),
            ("ssh a1", "nslab shell a1"),
            ("tcpdump host-a", "nslab capture host-a"),
            ("start bridged", "nslab up bridged"),
            ("stop bridged", "nslab down bridged"),
            ("delete bridged", "nslab down bridged"),
            ("show bridged", "nslab status bridged"),
            ("bridged", "nslab up bridged"),
            ("up", "nslab up bridged"),
            ("ping b1", "nslab ping b1 a1"),
            ("exec host-a", "nslab exec host-a ip addr"),
            ("shell a1 ls /", "nslab exec a1 ls /"),
            ("version", "nslab --version"),
            ("help ls", "nslab list"),
        ] {
            for lang in ["en", "es"] {
                let ran = fails(2, &format!("--lang {lang} {typed}"));
                let first = ran
                    .err
                    .lines()
                    .find(|line| {
                        line.contains("nslab ")
                            && line.contains(": ")
                            && line.starts_with("  ")
                            && !line.contains("Usage")
                            && !line.contains("Uso")
                    })
                    .unwrap_or_default();
                let word = if lang == "es" { "pruebe:" } else { "try:" };
                assert!(ran.out.is_empty() && first.trim() == format!("{word} {advice}"), "{typed}: {ran}");
                assert_eq!(ran.err.lines().next().unwrap().contains("cannot") || first.contains("try"), lang == "en", "{ran}");
            }
        }
        // What a lab and a node are called alike is the node's.
        assert!(fails(2, "frobnicate").err.contains("unrecognized subcommand"));
        assert!(fails(2, "up --frobnicate bridged").err.contains("--frobnicate"));
        machine.assert_unchanged("words of other tools");
        ok("status bridged");
        ok("--quiet down");
    });
}

/// `tests/demo.sh` with this nslab, in a locale.
fn demo(locale: &str) -> Command {
    let mut command = Command::new("sh");
    command.args([&format!("{ROOT}/tests/demo.sh"), NSLAB]).env("LANG", locale).env_remove("LC_ALL").env_remove("LC_MESSAGES");
    command.env_remove("SUDO_UID");
    command
}

#[test]
fn the_demo_shows_what_there_is_in_both_languages_and_leaves_nothing() {
    in_box(|| {
        let machine = Machine::look();
        for (locale, words) in [
            (
                "en_US.UTF-8",
                [" 0% packet loss", "Seen on every segment", "A switch in the place", "50 of 50", "Cure:", "What to type next"],
            ),
            (
                "es_ES.UTF-8",
                [
                    " 0% packet loss",
                    "en todos los segmentos",
                    "Un switch en el lugar",
                    "50 de 50",
                    "Remedio:",
                    "Qué teclear ahora",
                ],
            ),
        ] {
            let shown = run(&mut demo(locale)).expect(0).out;
            let mut rest = shown.as_str();
            for word in words {
                rest = rest.split_once(word).unwrap_or_else(|| panic!("{word}:\n{shown}")).1;
            }
            assert!(rest.contains("make install") && rest.contains("nslab up bare") && rest.contains(NSLAB), "{rest}");
            assert!(shown.lines().filter(|line| !line.contains(NSLAB)).all(|line| line.chars().count() <= 80), "{shown}");
            assert!(!shown.contains("No such") && ok("list").out.contains("No lab is up"), "{shown}");
            machine.assert_unchanged("the demo");
            assert_eq!(sh("ls -A /var/lib"), "", "the demo left what clients of agents would need");
        }
    });
}

#[test]
fn the_demo_leaves_nothing_when_it_is_stopped_or_a_step_fails_and_touches_no_lab_called_demo() {
    in_box(|| {
        ok("--quiet up routed --name demo");
        let up = || nslab("--format json list").out.matches("\"lab\":").count();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let out = fs::File::create("/run/demo.txt").unwrap();
            let mut child = demo("C").stdout(out).stderr(Stdio::null()).process_group(0).spawn().unwrap();
            let began = Instant::now();
            while up() < 2 {
                assert!(
                    began.elapsed() < limit(20_000) && child.try_wait().unwrap().is_none(),
                    "{}",
                    fs::read_to_string("/run/demo.txt").unwrap()
                );
                std::thread::sleep(Duration::from_millis(5));
            }
            // As a terminal does: to all that run there.
            kill(Pid::from_raw(-child.id().cast_signed()), signal).unwrap();
            let ended = child.wait().unwrap();
            assert!(!ended.success(), "{signal}: {ended}");
            assert_eq!(up(), 1, "{signal}");
        }
        // A step that fails: nslab itself, but for one command.
        let broken = format!("#!/bin/sh\ncase $1 in trace) exit 5;; esac\nexec {NSLAB} \"$@\"\n");
        fs::write("/run/broken", broken).unwrap();
        run(Command::new("chmod").args(["+x", "/run/broken"])).expect(0);
        run(Command::new("sh").args([&format!("{ROOT}/tests/demo.sh"), "/run/broken"])).expect(5);
        assert_eq!(up(), 1);
        ok("status demo");
        ok("--quiet down demo");
    });
}

#[test]
fn make_install_needs_no_rust_once_it_is_built() {
    let make = Path::new("/usr/bin/make");
    assert!(make.exists(), "the tests need make");
    let place = std::env::temp_dir().join(format!("nslab-install-{}", std::process::id()));
    let tree = place.join("tree");
    fs::create_dir_all(tree.join("target")).unwrap();
    fs::copy(format!("{ROOT}/Makefile"), tree.join("Makefile")).unwrap();
    let installs = |wanted: i32| {
        let mut command = Command::new(make);
        command.arg("install").arg(format!("DESTDIR={}", place.join("dest").display())).current_dir(&tree);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let ran = run(&mut command);
        assert_eq!(ran.code, wanted, "{ran}");
        ran
    };
    let without = installs(2);
    assert!(without.err.contains("there is no cargo here"), "{without}");
    fs::copy(NSLAB, tree.join("target/nslab")).unwrap();
    let ran = installs(0);
    assert!(!ran.err.contains("rustc") && !ran.err.contains("cargo"), "{ran}");
    let installed = place.join("dest/usr/local/bin/nslab");
    let version = run(Command::new(installed).arg("--version")).expect(0);
    assert!(version.out.contains(env!("CARGO_PKG_VERSION")), "{version}");
    assert!(place.join("dest/usr/local/share/man/man1/nslab.1").exists());
    fs::remove_dir_all(&place).unwrap();
}
