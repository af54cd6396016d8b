//! Commands over websockets, as a client of the API sees them. Needs root, for a box to work in.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use nslab::kernel::sandbox::{Paths, Spec, open};
use nslab::lxd::client::Exec;
use nslab::lxd::server::exec::{self, Cut, Outcome, order, record, run};
use nslab::lxd::server::streams::{Door, socket};
use support::{in_box, ok, wait_for};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

type Client = WebSocketStream<DuplexStream>;

fn request(script: &str, interactive: bool) -> Exec {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    Exec { command, interactive, width: 77, height: 22, ..Exec::default() }
}

fn start(request: &Exec) -> impl FnOnce() -> nslab::lxd::server::exec::Started + Send + 'static {
    let paths = Paths { lab: PathBuf::from("/run/nslab/bridged") };
    let spec = Spec {
        lab: "bridged".to_owned(),
        node: "host-a.a1".to_owned(),
        hostname: "a1".to_owned(),
        hosts: "127.0.0.1 localhost\n".to_owned(),
        is_host: false,
        real_root: false,
        clients: None,
    };
    let order = order(request).unwrap();
    move || open(&paths, &spec, &order)
}

/// Starts a command: the client's ends of its websockets, and what will come of it.
async fn begin(request: &Exec) -> (BTreeMap<&'static str, Client>, JoinHandle<Outcome>) {
    let (door, secrets, expected) = Door::new("me", exec::descriptors(request.interactive)).unwrap();
    let outcome = tokio::spawn(run(start(request), expected, request.interactive, Cut::default(), |_| ()));
    let mut clients = BTreeMap::new();
    for (name, secret) in secrets {
        let (ours, theirs) = tokio::io::duplex(16 << 10);
        door.enter(&secret, "me").unwrap().take(socket(theirs).await);
        clients.insert(name, WebSocketStream::from_raw_socket(ours, Role::Client, None).await);
    }
    (clients, outcome)
}

/// Everything up to the empty text message.
async fn all(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        match client.next().await.expect("the server closed first").unwrap() {
            Message::Binary(part) => bytes.extend(part),
            Message::Text(text) if text.is_empty() => return bytes,
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn piped(script: &str, typed: &[u8]) -> (Vec<u8>, Vec<u8>, Outcome) {
    let (mut clients, outcome) = begin(&request(script, false)).await;
    let (mut stdin, mut stdout, mut stderr) =
        (clients.remove("0").unwrap(), clients.remove("1").unwrap(), clients.remove("2").unwrap());
    let typed = typed.to_vec();
    let typing = async move {
        for part in typed.chunks(32 << 10) {
            stdin.send(Message::Binary(part.to_vec().into())).await.unwrap();
        }
        stdin.send(Message::Text("".into())).await.unwrap();
        stdin
    };
    let (_stdin, output, errors) = tokio::join!(typing, all(&mut stdout), all(&mut stderr));
    (output, errors, outcome.await.unwrap())
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), work).await.expect("it hangs") });
    runtime.shutdown_timeout(Duration::from_secs(5));
    done
}

fn code(code: i32) -> Outcome {
    Outcome { code: Some(code), failure: None }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn processes(words: &str) -> usize {
    let line = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(line);
    lines.filter(|line| String::from_utf8_lossy(line).replace('\0', " ").starts_with(words)).count()
}

/// Resident memory in KiB, and the most that there ever was.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn streams_stay_apart_and_arrive_whole() {
    in_box(|| {
        ok("up bridged");
        on_runtime(async {
            let (output, errors, outcome) = piped("cat; echo wrong >&2; exit 7", b"typed\n").await;
            assert_eq!((&output[..], &errors[..], outcome), (&b"typed\n"[..], &b"wrong\n"[..], code(7)));
            let three: Vec<u8> = (0..3_u32 << 20).map(|number| u8::try_from(number % 251).unwrap()).collect();
            let (output, _, outcome) = piped("cat", &three).await;
            assert!(output == three && outcome == code(0), "3 MB there and back: {} bytes, {outcome:?}", output.len());
            assert_eq!(piped("kill -TERM $$", b"").await.2, code(143));
            let refused = piped("exit 127", b"").await.2;
            assert_eq!(refused, Outcome { code: Some(127), failure: Some("Command not found".to_owned()) });
            let (output, _, _) = piped("sleep 77 & echo early", b"").await;
            assert_eq!(output, b"early\n", "it waits for a process that is left behind");
        });
    });
}

#[test]
fn nothing_is_lost_at_the_end_of_two_hundred_sessions() {
    in_box(|| {
        ok("up bridged");
        on_runtime(async {
            for round in 0..200 {
                let (mut clients, outcome) = begin(&request("read a; seq 1 2000; echo got-$a", true)).await;
                let mut screen = clients.remove("0").unwrap();
                // The end of what is typed does not end the session.
                screen.send(Message::Text("".into())).await.unwrap();
                screen.send(Message::Binary(b"x\n".to_vec().into())).await.unwrap();
                let text = String::from_utf8(all(&mut screen).await).unwrap();
                assert!(text.ends_with("\r\n2000\r\ngot-x\r\n") && text.lines().count() == 2002, "{round}: {text:?}");
                assert_eq!(outcome.await.unwrap(), code(0));
            }
        });
    });
}

#[test]
fn control_resizes_signals_and_its_end_kills() {
    in_box(|| {
        ok("up bridged");
        // The first runtime opens what every later one shares.
        on_runtime(piped("true", b""));
        let before = descriptors();
        on_runtime(async {
            let script = "stty size; trap 'stty size; exit 5' WINCH; while :; do sleep 0.05; done";
            let (mut clients, outcome) = begin(&request(script, true)).await;
            let resize = r#"{"command":"window-resize","args":{"height":"30","width":"99"},"signal":0}"#;
            tokio::time::sleep(Duration::from_millis(300)).await;
            clients.get_mut("control").unwrap().send(Message::Text(resize.into())).await.unwrap();
            let text = String::from_utf8(all(clients.get_mut("0").unwrap()).await).unwrap();
            assert_eq!((text.as_str(), outcome.await.unwrap()), ("22 77\r\n30 99\r\n", code(5)));

            let (mut clients, outcome) = begin(&request("exec sleep 994", false)).await;
            let signal = r#"{"command":"signal","args":null,"signal":15}"#;
            clients.get_mut("control").unwrap().send(Message::Text(signal.into())).await.unwrap();
            assert_eq!(outcome.await.unwrap(), code(143));

            for interactive in [false, true] {
                let script = "trap '' HUP TERM; (sleep 994; true) & sleep 994; true";
                let (clients, outcome) = begin(&request(script, interactive)).await;
                // Not blocking: the runtime has one thread.
                for _ in 0..500 {
                    if processes("sleep 994") == 2 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert_eq!(processes("sleep 994"), 2);
                drop(clients);
                assert_eq!(outcome.await.unwrap().code, Some(137));
                assert_eq!(processes("sleep 994"), 0, "something of a client that is gone runs");
            }
        });
        assert!(wait_for(5, || descriptors() == before && processes("nslab: init of") == 0), "something leaks");
    });
}

#[test]
fn a_slow_reader_costs_no_memory_and_many_commands_leave_nothing() {
    in_box(|| {
        ok("up bridged");
        // The first runtime opens what every later one shares.
        on_runtime(piped("true", b""));
        let before = descriptors();
        on_runtime(async {
            piped("true", b"").await;
            let most = memory();
            let (mut clients, outcome) = begin(&request("head -c 1000000000 /dev/zero", false)).await;
            let (mut stdout, mut length) = (clients.remove("1").unwrap(), 0);
            tokio::time::sleep(Duration::from_millis(500)).await;
            loop {
                match stdout.next().await.unwrap().unwrap() {
                    Message::Binary(part) => length += part.len(),
                    Message::Text(_) => break,
                    _ => {}
                }
            }
            assert_eq!((length, outcome.await.unwrap()), (1_000_000_000, code(0)));
            assert!(memory() - most < 8 << 10, "{} KiB more", memory() - most);
            drop(clients);
            for _ in 0..4 {
                let one = |number: usize| async move {
                    let (output, _, outcome) = piped(&format!("echo {number}"), b"").await;
                    assert_eq!((output, outcome), (format!("{number}\n").into_bytes(), code(0)));
                };
                futures::future::join_all((0..64).map(one)).await;
            }
        });
        assert!(wait_for(15, || descriptors() == before && processes("nslab: init of") == 0), "something leaks");
    });
}

#[test]
fn who_does_not_connect_gets_no_command_and_a_recorded_one_needs_nobody() {
    in_box(|| {
        ok("up bridged");
        on_runtime(async {
            let request = request("touch /tmp/ran", false);
            let (_door, _secrets, expected) = Door::new("me", exec::descriptors(request.interactive)).unwrap();
            let cut = Cut::default();
            let outcome = tokio::spawn(run(start(&request), expected, false, cut.clone(), |_| ()));
            cut.cut();
            assert_eq!(outcome.await.unwrap().code, None);
            let (outcome, [output, errors]) =
                record(start(&self::request("ls /tmp/ran; echo out; echo err >&2; exit 5", false)), Cut::default()).await;
            assert_eq!((outcome, output), (code(5), b"out\n".to_vec()));
            assert!(errors.ends_with(b"err\n") && errors.starts_with(b"ls: "));
        });
    });
}
