//! Bad topology files: what is said about each. The cases are the files of `tests/bad`, the sentences stand beside them;
//! `NSLAB_BLESS=1 cargo test --test bad_input` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nslab::check::KINDS;
use nslab::error::{Error, FileFault};
use nslab::problem::Problem;
use nslab::render::lang::Lang;
use nslab::render::{self, Style};
use nslab::topology;

/// The bar is 100 ms for a release build; a debug build on a busy machine is some ten times slower.
const PATIENCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 100 });

fn cases() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir("tests/bad").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() > 30);
    files
}

fn said(error: &Error) -> String {
    render::error(error, Style { lang: Lang::En, colour: false, width: None, unicode: true })
}

#[test]
fn every_bad_file_is_refused_with_the_words_beside_it() {
    let mut wrong = Vec::new();
    for file in cases() {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let error = topology::parse(&name, &text, KINDS).expect_err(&name);
        assert_eq!(error.exit_code(), 2, "{name}");
        let golden = file.with_extension("txt");
        let said = said(&error);
        if std::env::var_os("NSLAB_BLESS").is_some() {
            fs::write(&golden, &said).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("{name}: now says\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_bad_file_is_judged_at_once_and_nothing_unprintable_is_said() {
    for file in cases() {
        let text = fs::read_to_string(&file).unwrap();
        let start = Instant::now();
        let error = topology::parse("lab.yaml", &text, KINDS).expect_err("a bad file");
        let said = said(&error);
        let took = start.elapsed();
        assert!(took < PATIENCE, "{}: {took:?}", file.display());
        let unprintable = said.chars().find(|&c| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c));
        assert_eq!(unprintable, None, "{}", file.display());
        let longest = said.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest < 250, "{}: a line of {longest} characters", file.display());
    }
}

#[test]
fn findings_stand_in_the_order_of_the_file_and_point_into_it() {
    for file in cases() {
        let text = fs::read_to_string(&file).unwrap();
        let Err(Error::Topology { findings, .. }) = topology::parse("lab.yaml", &text, KINDS) else {
            panic!("{}", file.display())
        };
        assert!(findings.is_sorted_by_key(|finding| finding.at.start), "{}", file.display());
        for finding in findings {
            for at in [Some(finding.at.clone()), finding.other.clone()].into_iter().flatten() {
                assert!(text.get(at).is_some(), "{}: {finding:?}", file.display());
            }
        }
    }
}

fn fault(path: &Path) -> FileFault {
    match topology::read(path, KINDS) {
        Err(Error::File { why, .. }) => why,
        other => panic!("{}: {other:?}", path.display()),
    }
}

#[test]
fn what_is_no_text_file_is_not_read() {
    let folder = std::env::temp_dir().join(format!("nslab-bad-input-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let fifo = folder.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let huge = file("huge", b"");
    fs::File::options().write(true).open(&huge).unwrap().set_len(2 << 30).unwrap();
    let utf16: Vec<u8> = "name: lab".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let just_too_long = vec![b'#'; (1 << 20) + 1];
    let faults = [
        (fault(&folder), FileFault::NotAFile),
        (fault(&fifo), FileFault::NotAFile),
        (fault(Path::new("/dev/zero")), FileFault::NotAFile),
        (fault(&huge), FileFault::TooLong(2 << 30)),
        (fault(&file("long", &just_too_long)), FileFault::TooLong((1 << 20) + 1)),
        (fault(&file("utf16", &utf16)), FileFault::NotText),
        (fault(&file("nul", b"name: lab\0")), FileFault::NotText),
        (fault(&file("elf", b"\x7fELF\xff\xfe")), FileFault::NotText),
        (fault(&folder.join("missing")), FileFault::Read { errno: nix::libc::ENOENT, user: None }),
    ];
    fs::remove_dir_all(&folder).unwrap();
    for (found, expected) in faults {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_file_of_the_longest_size_is_judged_in_time() {
    let numbered = |count: usize, item: &str| (0..count).map(|i| item.replace('#', &i.to_string())).collect::<Vec<_>>().concat();
    let files = [
        ("keys", numbered(50_000, "k#: {}\n")),
        ("list", "- x\n".repeat(260_000)),
        ("flow", format!("hosts: {{{}}}", "a: {},".repeat(120_000))),
        ("open", "{".repeat(1 << 20)),
        ("nested", "a: ".repeat(1 << 18)),
        ("hosts", format!("name: lab\nhosts: {{ {} }}", numbered(30_000, "h#:,"))),
        ("containers", format!("name: lab\nhosts: {{ h: {{ containers: {{ {} }} }} }}", numbered(20_000, "c#:,"))),
        ("text", format!("name: \"{}\"", "x".repeat(1 << 20))),
        ("comment", "#\n".repeat(1 << 19)),
    ];
    for (name, text) in files {
        let start = Instant::now();
        let error = topology::parse("lab.yaml", &text, KINDS).expect_err(name);
        let said = said(&error);
        assert!(said.len() < 20_000, "{name}");
        let took = start.elapsed();
        // Each is hundreds of times larger than any file that a person writes.
        assert!(took < 4 * PATIENCE, "{name}: {took:?}");
    }
}

#[test]
fn legal_corner_cases_are_accepted() {
    let lab = |body: &str| format!("name: lab\nnetworks: {{ net-1: {{}}, net-2: {{}} }}\nhosts:\n{body}");
    let cases = [
        ("an empty host", "  host-a:\n  host-b: {}\n".to_owned()),
        ("/31 and /32", "  host-a: { nics: { eth0: { network: net-1, address: [10.0.0.0/31, 10.9.9.9/32] } } }\n".to_owned()),
        (
            "/127 and /128",
            "  host-a: { nics: { eth0: { network: net-1, address: [\"fd00::/127\", \"fd01::/128\"] } } }\n".to_owned(),
        ),
        (
            "one private address in two unconnected networks",
            "  host-a: { nics: { eth0: { network: net-1, address: 10.0.2.15/24 } }, gateway: 10.0.2.2 }\n  \
             host-b: { nics: { eth0: { network: net-2, address: 10.0.2.15/24 } }, gateway: 10.0.2.2 }\n"
                .to_owned(),
        ),
        (
            "a gateway behind an on-link route",
            "  host-a:\n    nics: { eth0: { network: net-1, address: 10.0.0.1/32 } }\n    gateway: 169.254.1.1\n    \
             routes: [ { to: 169.254.1.1/32, dev: eth0 } ]\n"
                .to_owned(),
        ),
        (
            "a loop with STP",
            "  host-a:\n    nics: { eth0: { network: net-1 }, eth1: { network: net-1 } }\n    \
             bridges: { br0: { ports: [eth0, eth1], stp: true } }\n"
                .to_owned(),
        ),
        (
            "1023 ports",
            "  host-a: { bridges: { br0: }, containers: { c: { count: 1023, nics: { eth0: { bridge: br0 } } } } }\n".to_owned(),
        ),
        (
            "two subnets on one interface",
            "  host-a: { bridges: { br0: { address: [10.0.0.1/24, 10.0.0.2/24, 10.0.1.1/24] } } }\n".to_owned(),
        ),
        ("one name on both hosts", "  host-a: { containers: { c1: } }\n  host-b: { containers: { c1: } }\n".to_owned()),
    ];
    for (what, body) in cases {
        let text = lab(&body);
        if let Err(error) = topology::parse("lab.yaml", &text, KINDS) {
            panic!("{what}:\n{}", said(&error));
        }
    }
}

#[test]
fn nothing_follows_from_a_mistake_but_the_mistake() {
    let text = "name: lab\nnetworks: { net-1: {} }\nhosts:\n  host-a:\n    nics: { eth0: { network: net-1, address: 10.0.0.1/33 } }\n    \
                gateway: 10.0.0.2\n    bridges: { br0: { ports: [eth0] } }\n";
    let Err(Error::Topology { findings, .. }) = topology::parse("lab.yaml", text, KINDS) else { panic!() };
    assert!(matches!(&findings.as_slice(), [one] if matches!(one.problem, Problem::NotAPrefix { .. })), "{findings:?}");
}

/// As root, the caller is the user behind `sudo`; otherwise the one who runs the test.
#[test]
fn a_file_that_the_caller_may_not_read_is_not_shown() {
    use std::os::unix::fs::PermissionsExt;
    let file = std::env::temp_dir().join(format!("nslab-secret-{}.yaml", std::process::id()));
    fs::write(&file, "secret: hunter2\n").unwrap();
    let validate = |mode: u32| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nslab"));
        let output = command.arg("validate").arg(&file).env("SUDO_UID", "65534").env("SUDO_GID", "65534").output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    // Owner and group are root's where root runs this: neither is the caller's right.
    let hidden = [0o000, 0o200].map(&validate);
    let of_root = nix::unistd::geteuid().is_root().then(|| [0o600, 0o640].map(&validate));
    let shown = validate(0o644);
    fs::remove_file(&file).unwrap();
    for (code, said) in hidden.into_iter().chain(of_root.into_iter().flatten()) {
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("cannot read") && said.contains("Permission denied") && !said.contains("secret:"), "{said}");
    }
    assert!(shown.1.contains("unknown key \"secret\""), "{}", shown.1);
}
