//! Commands and files of a node for somebody who is not at this terminal. Needs root, for a box to work in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nslab::kernel::sandbox::{Attributes, Exit, Kind, Order, Paths, Refused, Screen, Session, Spec, Streams, files, open};
use support::{in_box, ok, run, wait_for};

fn paths() -> Paths {
    Paths { lab: PathBuf::from("/run/nslab/bridged") }
}

fn spec() -> Spec {
    Spec {
        lab: "bridged".to_owned(),
        node: "host-a.a1".to_owned(),
        hostname: "a1".to_owned(),
        hosts: "127.0.0.1 localhost\n".to_owned(),
        is_host: false,
        real_root: false,
        clients: None,
    }
}

fn order(script: &str) -> Order {
    Order { argv: ["sh", "-c", script].map(Into::into).to_vec(), ..Order::default() }
}

fn ready(fd: &OwnedFd, flags: PollFlags) {
    use std::os::fd::AsFd;
    poll(&mut [PollFd::new(fd.as_fd(), flags)], PollTimeout::NONE).unwrap();
}

/// Everything that is written to one end, to its very end.
fn all(from: OwnedFd) -> String {
    let (mut file, mut text) = (File::from(from.try_clone().unwrap()), Vec::new());
    let mut part = [0; 4096];
    loop {
        ready(&from, PollFlags::POLLIN);
        match file.read(&mut part) {
            Ok(0) => break,
            Ok(length) => text.extend(&part[..length]),
            Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(fault) if fault.raw_os_error() == Some(libc::EIO) => break,
            Err(fault) => panic!("{fault}"),
        }
    }
    String::from_utf8(text).unwrap()
}

fn exit(session: &mut Session) -> Exit {
    let mut exit = None;
    assert!(wait_for(10, || {
        exit = session.exit();
        exit.is_some()
    }));
    exit.unwrap()
}

/// Runs a command: its output, its errors, its end.
fn piped(order: &Order, typed: &str) -> (String, String, Exit) {
    let (mut session, streams) = open(&paths(), &spec(), order).unwrap();
    let Streams::Pipes { input, output, errors } = streams else { panic!("a terminal") };
    File::from(input).write_all(typed.as_bytes()).unwrap();
    (all(output), all(errors), exit(&mut session))
}

fn on_terminal(order: &Order, typed: &str) -> (String, Exit) {
    let order = Order { screen: Some(Screen { columns: 77, rows: 22 }), ..order.clone() };
    let (mut session, streams) = open(&paths(), &spec(), &order).unwrap();
    let Streams::Terminal(master) = streams else { panic!("no terminal") };
    File::from(master.try_clone().unwrap()).write_all(typed.as_bytes()).unwrap();
    (all(master), exit(&mut session))
}

fn refusal(order: &Order) -> Refused {
    open(&paths(), &spec(), order).unwrap_err()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn processes(words: &str) -> usize {
    let line = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(line);
    lines.filter(|line| String::from_utf8_lossy(line).replace('\0', " ").starts_with(words)).count()
}

#[test]
fn a_command_has_streams_user_directory_and_environment_of_its_own() {
    in_box(|| {
        ok("up bridged");
        let before = descriptors();
        let told = piped(&order("cat; echo wrong >&2; hostname; exit 7"), "typed\n");
        assert_eq!(told, ("typed\na1\n".to_owned(), "wrong\n".to_owned(), Exit::Code(7)));
        let somebody = Order { user: 1000, group: 100, cwd: Some("/usr".into()), ..order("id -u; id -G; pwd; echo $HOME") };
        assert_eq!(piped(&somebody, "").0, "1000\n100\n/usr\n\n");
        let named = Order { env: vec![("A".to_owned(), "b c".to_owned())], ..order("echo $A $HOME $USER $LANG; id -G") };
        assert_eq!(piped(&named, "").0, "b c /root root C.UTF-8\n0\n");
        assert_eq!(piped(&order("kill -TERM $$"), "").2, Exit::Signal(libc::SIGTERM));
        let missing = Order { argv: vec!["no-such-command".into()], ..Order::default() };
        assert!(matches!(refusal(&missing), Refused::NotFound));
        let data = Order { argv: vec!["/etc/passwd".into()], ..Order::default() };
        assert!(matches!(refusal(&data), Refused::NotExecutable));
        let nowhere = Order { cwd: Some("/no/such".into()), ..order("true") };
        assert!(matches!(refusal(&nowhere), Refused::Directory(_)));
        assert_eq!(descriptors(), before, "a descriptor leaks");
    });
}

#[test]
fn a_terminal_controls_and_loses_nothing_at_the_end() {
    in_box(|| {
        ok("up bridged");
        let (text, _) = on_terminal(&order("stty size; tty; echo up >/dev/tty; ps -o sid= -p $$"), "");
        assert!(text.starts_with("22 77\r\n/dev/pts/") && text.contains("up\r\n"), "{text:?}");
        let (text, end) = on_terminal(&order("sleep 99"), "\x03");
        assert_eq!(end, Exit::Signal(libc::SIGINT), "{text:?}");
        let somebody = Order { user: 1000, group: 1000, ..order("echo mine >$(tty)") };
        assert!(on_terminal(&somebody, "").0.contains("mine"));
        for round in 0..200 {
            let (text, _) = on_terminal(&order("seq 1 3000; echo got-it"), "");
            assert!(text.ends_with("\r\n3000\r\ngot-it\r\n") && text.lines().count() == 3001, "round {round}");
        }
    });
}

#[test]
fn what_is_killed_leaves_nothing_but_daemons() {
    in_box(|| {
        ok("up bridged");
        let before = descriptors();
        for script in
            ["sleep 991 & sleep 991", "(sleep 991; true) & (setsid sleep 991; true) & trap '' TERM HUP; sleep 991; true"]
        {
            let (session, streams) = open(&paths(), &spec(), &order(script)).unwrap();
            assert!(wait_for(5, || processes("sleep 991") >= 2));
            drop(streams);
            drop(session);
            assert!(wait_for(5, || processes("sleep 991") == 0), "{script}: something lives");
        }
        assert!(wait_for(5, || processes("nslab: init of") == 0), "a sandbox stays");
        piped(&order("setsid sleep 992 >/dev/null 2>&1 </dev/null & exit 0"), "");
        assert!(wait_for(5, || processes("sleep 992") == 1), "a daemon is gone");
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn many_commands_start_at_once_in_one_container() {
    in_box(|| {
        ok("up bridged");
        let before = descriptors();
        std::thread::scope(|scope| {
            for number in 0..64 {
                scope.spawn(move || assert_eq!(piped(&order(&format!("echo {number}")), "").0, format!("{number}\n")));
            }
        });
        assert_eq!(descriptors(), before);
        assert!(wait_for(5, || processes("nslab: init of") == 0));
    });
}

#[test]
fn files_are_those_of_the_private_layer_and_no_path_leads_out() {
    in_box(|| {
        ok("up bridged");
        let tree = |work: &dyn Fn(&nslab::kernel::sandbox::Tree)| files(&paths(), &spec(), |tree| work(tree)).unwrap();
        tree(&|tree| {
            let mine = Attributes { mode: Some(0o640), user: Some(12), group: Some(34), ..Attributes::default() };
            let mut file = tree.write(Path::new("/srv/own"), OFlag::O_TRUNC, mine).unwrap();
            file.write_all(b"first\n").unwrap();
            let mut file = tree.write(Path::new("srv/own"), OFlag::O_APPEND, Attributes::default()).unwrap();
            file.write_all(b"second\n").unwrap();
            tree.make_directory(Path::new("/tmp/made"), Attributes { mode: Some(0o1777), ..Attributes::default() }).unwrap();
            tree.make_link(Path::new("/srv/out"), OsStr::new("../../../../srv/own"), Attributes::default()).unwrap();
            tree.make_link(Path::new("/srv/up"), OsStr::new("../../.."), Attributes::default()).unwrap();
        });
        assert!(!Path::new("/srv/own").exists(), "it is on the machine");
        let told = run(std::process::Command::new(env!("CARGO_BIN_EXE_nslab")).args([
            "exec",
            "a1",
            "sh",
            "-c",
            "cat /srv/own; stat -c '%a %u %g' /srv/own /tmp/made; readlink /srv/out",
        ]));
        assert_eq!(told.out, "first\nsecond\n640 12 34\n1777 0 0\n../../../../srv/own\n");
        fs::write("/run/secret", "the machine's").unwrap();
        tree(&|tree| {
            let text = |path: &str| {
                let mut text = String::new();
                tree.read(Path::new(path))?.read_to_string(&mut text)?;
                Ok::<_, std::io::Error>(text)
            };
            assert_eq!(text("/srv/out").unwrap(), "first\nsecond\n");
            assert_eq!(text("../../../srv/up/srv/own").unwrap(), "first\nsecond\n");
            assert_eq!(text("etc/hosts").unwrap(), "127.0.0.1 localhost\n");
            for path in
                ["/run/secret", "../../run/secret", "/srv/up/run/secret", "/proc/1/root/run/secret", "/proc/self/root/run/secret"]
            {
                text(path).expect_err(path);
            }
            assert_eq!(tree.look(Path::new("/srv/out")).unwrap().kind, Kind::Symlink);
            let fault = tree.read(Path::new("/dev/zero")).unwrap_err();
            assert_eq!(fault.raw_os_error(), Some(Errno::EPERM as i32));
            assert!(tree.list(Path::new("/srv")).unwrap().contains(&"own".into()));
            tree.remove(Path::new("/srv/out")).unwrap();
            tree.remove(Path::new("/tmp/made")).unwrap();
            assert!(text("/srv/out").is_err() && text("/srv/own").is_ok());
            assert_eq!(tree.real(Path::new("/srv/up/srv")).unwrap(), Path::new("/srv"));
            tree.remove(Path::new("/srv/..")).unwrap_err();
        });
        assert!(wait_for(5, || processes("nslab: init of") == 0), "a sandbox stays");
    });
}
