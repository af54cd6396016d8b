//! Who may ask an agent what: every route of its table, with every kind of client.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sched::{CloneFlags, setns};
use nslab::lab::agents;
use nslab::lxd::server::{ROUTES, Right};
use rcgen::{CertificateParams, KeyPair};
use support::{in_box, inside, ok, sh, wait_for};
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring::{default_provider, sign};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error as TlsError, SignatureScheme, StreamOwned,
};

const ADDRESS: &str = "192.168.100.2:8443";

/// A certificate with a key; not always its own.
#[derive(Debug, Clone)]
struct Card(Option<(Vec<u8>, Vec<u8>)>);

impl Card {
    /// One that holds from so many seconds on, for so many.
    fn new(from: i64, seconds: i64) -> Self {
        let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let at = |seconds: i64| time::OffsetDateTime::from_unix_timestamp(now + seconds).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut wanted = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        (wanted.not_before, wanted.not_after) = (at(from), at(from + seconds));
        Self(Some((wanted.self_signed(&key).unwrap().der().to_vec(), key.serialize_der())))
    }

    fn certificate(&self) -> &[u8] {
        &self.0.as_ref().unwrap().0
    }

    /// The same certificate, as somebody shows it who has another key.
    fn copied(&self) -> Self {
        Self(Some((self.certificate().to_vec(), KeyPair::generate().unwrap().serialize_der())))
    }
}

/// Shows its certificate whatever the server likes.
#[derive(Debug)]
struct Shows(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// The server is the one that the test has started.
#[derive(Debug)]
struct Any;

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Asks from host-a: the status and everything after it, or why there is no answer.
fn ask(card: &Card, method: &str, path: &str, body: &str) -> Result<(u16, String), String> {
    let (card, method, path, body) = (card.clone(), method.to_owned(), path.to_owned(), body.to_owned());
    // The thread that enters the namespace dies there.
    let asking = move || {
        setns(File::open("/run/nslab/routed/netns/host-a").unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        let tcp = TcpStream::connect(ADDRESS).map_err(|error| error.to_string())?;
        tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let shown = card.0.map(|(certificate, key)| {
            let key = sign::any_supported_type(&PrivateKeyDer::try_from(key).unwrap()).unwrap();
            Arc::new(CertifiedKey::new(vec![CertificateDer::from(certificate)], key))
        });
        let config =
            ClientConfig::builder_with_provider(default_provider().into()).with_safe_default_protocol_versions().unwrap();
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Any));
        let config = config.with_client_cert_resolver(Arc::new(Shows(shown)));
        let tls = ClientConnection::new(Arc::new(config), ServerName::try_from("host-b").unwrap()).unwrap();
        let mut stream = StreamOwned::new(tls, tcp);
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        // Not everybody closes as TLS wants it; what came before counts.
        let read = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.map(|status| (status, answer)).ok_or_else(|| format!("{read:?}"))
    };
    std::thread::spawn(asking).join().unwrap()
}

/// What root asks by the socket.
fn by_socket(method: &str, path: &str, body: &str) -> String {
    let socket = agents::socket(&"routed".parse().unwrap(), &"host-b".parse().unwrap());
    let mut curl = Command::new("curl");
    curl.args(["-s", "--unix-socket", socket.to_str().unwrap(), "-X", method, "-d", body, &format!("http://x{path}")]);
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}

fn trust(card: &Card) -> String {
    let certificate = STANDARD.encode(card.certificate());
    by_socket("POST", "/1.0/certificates", &format!(r#"{{"type":"client","name":"x","certificate":"{certificate}"}}"#))
}

fn fingerprint(card: &Card) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, card.certificate());
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn lab() {
    sh("mount -t tmpfs tmpfs /var/lib");
    ok("up routed");
    ok("agent start host-b");
}

#[test]
fn every_route_is_for_whom_the_table_says_and_for_nobody_else() {
    in_box(|| {
        lab();
        let (good, short, revoked) = (Card::new(-60, 3600), Card::new(-60, 65), Card::new(-60, 3600));
        for card in [&good, &short, &revoked] {
            assert!(trust(card).contains("\"status_code\":200"), "{}", trust(card));
        }
        assert_eq!(ask(&short, "GET", "/1.0/instances", "").unwrap().0, 200);
        by_socket("DELETE", &format!("/1.0/certificates/{}", fingerprint(&revoked)), "");
        let early = Card::new(3600, 3600);
        assert!(trust(&early).contains("not valid for another 60 minutes: set the clocks"), "{}", trust(&early));
        let ahead = Card::new(300, 3600);
        assert!(trust(&ahead).contains("\"status_code\":200"), "a client whose clock is five minutes ahead: {}", trust(&ahead));
        assert_eq!(ask(&ahead, "GET", "/1.0/instances", "").unwrap().0, 200, "a client whose clock is five minutes ahead");
        assert!(trust(&Card::new(-3600, 60)).contains("has expired"), "{}", trust(&Card::new(-3600, 60)));
        assert!(
            wait_for(20, || ask(&short, "GET", "/1.0/instances", "").is_ok_and(|(status, _)| status == 403)),
            "it has expired"
        );
        let strangers = [
            ("nobody", Card(None)),
            ("an unknown one", Card::new(-60, 3600)),
            ("an expired one", short),
            ("a revoked one", revoked),
            ("one that does not hold yet", early),
        ];
        let mut asked = 0;
        for route in ROUTES {
            let path = route.path.replace("**", "nowhere").replace('*', "nowhere");
            let method = route.method.as_str();
            for (who, card) in &strangers {
                let (status, answer) = ask(card, method, &path, "").unwrap();
                let of = format!("{method} {path} by {who}: {answer}");
                match route.right {
                    Right::Trusted => {
                        assert_eq!(status, 403, "{of}");
                        let said = answer.split("\r\n\r\n").nth(1).unwrap();
                        assert!(said.is_empty() || said.contains("not authorized"), "{of}");
                    }
                    Right::Anybody => assert!(!answer.contains("host-b") && !answer.contains("api_extensions\":[\"e"), "{of}"),
                }
                asked += 1;
            }
            let (status, answer) = ask(&good, method, &path, "").unwrap();
            assert!(status != 403 && status < 500, "{method} {path} by a trusted one: {answer}");
        }
        assert_eq!(asked, ROUTES.len() * strangers.len());
        // What there is not is not told to them either.
        for (who, card) in &strangers {
            for (method, path) in
                [("GET", "/1.0/nowhere"), ("TRACE", "/1.0/instances"), ("GET", "/1.0/../1.0/instances"), ("GET", "//")]
            {
                let (status, _) = ask(card, method, path, "").unwrap();
                assert!([400, 403].contains(&status), "{method} {path} by {who}: {status}");
            }
        }
        ok("down");
    });
}

#[test]
fn a_copied_certificate_opens_nothing() {
    in_box(|| {
        lab();
        let good = Card::new(-60, 3600);
        trust(&good);
        assert_eq!(ask(&good, "GET", "/1.0/instances", "").unwrap().0, 200);
        let copied = ask(&good.copied(), "GET", "/1.0/instances", "");
        assert!(copied.is_err(), "{copied:?}");
        ok("down");
    });
}

#[test]
fn a_token_is_good_once_and_a_wrong_one_is_told_no_more() {
    in_box(|| {
        lab();
        let token = ok("agent token --name host-a host-b").out;
        let token: serde_json::Value = serde_json::from_slice(&STANDARD.decode(token.trim()).unwrap()).unwrap();
        let secret = token["secret"].as_str().unwrap();
        let body = |secret: &str| {
            let token = STANDARD.encode(
                serde_json::json!({"client_name": "host-a", "fingerprint": token["fingerprint"],
                "addresses": token["addresses"], "secret": secret, "expires_at": token["expires_at"]})
                .to_string(),
            );
            format!(r#"{{"type":"client","password":"{token}"}}"#)
        };
        let says = |card: &Card, body: &str| {
            let (status, answer) = ask(card, "POST", "/1.0/certificates", body).unwrap();
            (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
        };
        let wrong = says(&Card::new(-60, 3600), &body(&"0".repeat(secret.len())));
        assert_eq!(wrong.0, 403, "{wrong:?}");
        let good = Card::new(-60, 3600);
        let first = says(&good, &body(secret));
        assert_eq!(first.0, 201, "{first:?}");
        assert_eq!(ask(&good, "GET", "/1.0/instances", "").unwrap().0, 200);
        let used = says(&Card::new(-60, 3600), &body(secret));
        assert_eq!(used, wrong, "a used token is told like a wrong one");
        // Who guesses on is not heard for a while.
        let guesses: Vec<u16> = (0..6).map(|_| says(&Card::new(-60, 3600), &body("x")).0).collect();
        assert!(guesses.contains(&429), "{guesses:?}");
        ok("down");
    });
}

#[test]
fn a_token_is_good_as_long_as_the_agent_is_configured_to_say() {
    in_box(|| {
        lab();
        let lxc =
            |words: &str| inside("routed", "host-b", &format!("HOME=/run/me LXD_DIR=/run/nslab/routed/agent/host-b lxc {words}"));
        lxc("config set core.remote_token_expiry=soon").expect(1);
        lxc("config set core.remote_token_expiry=1S").expect(0);
        assert_eq!(lxc("config get core.remote_token_expiry").expect(0).out.trim(), "1S");
        let token = ok("agent token --name host-a host-b").out;
        let told: serde_json::Value = serde_json::from_slice(&STANDARD.decode(token.trim()).unwrap()).unwrap();
        let until =
            time::OffsetDateTime::parse(told["expires_at"].as_str().unwrap(), &time::format_description::well_known::Rfc3339);
        let left = until.unwrap() - time::OffsetDateTime::now_utc();
        assert!(left <= time::Duration::seconds(1), "{left}");
        assert!(wait_for(20, || !by_socket("GET", "/1.0/operations", "").contains("/1.0/operations/")), "it still waits");
        let body = format!(r#"{{"type":"client","password":"{}"}}"#, token.trim());
        let late = ask(&Card::new(-60, 3600), "POST", "/1.0/certificates", &body).unwrap();
        assert_eq!(late.0, 403, "{late:?}");

        lxc("config unset core.remote_token_expiry").expect(0);
        let body = format!(r#"{{"type":"client","password":"{}"}}"#, ok("agent token --name host-a host-b").out.trim());
        assert_eq!(ask(&Card::new(-60, 3600), "POST", "/1.0/certificates", &body).unwrap().0, 201);
        ok("down");
    });
}

#[test]
fn a_command_whose_client_is_cut_off_does_not_run_on_and_neither_does_the_client() {
    in_box(|| {
        lab();
        let env = [("HOME", "/run/me"), ("LXD_CONF", "/run/me")];
        sh("mkdir -p /run/me");
        let nslab = env!("CARGO_BIN_EXE_nslab");
        // nslab has the key and the remotes of the host's lxc.
        let token = ok("agent token --name host-a host-b").out;
        inside("routed", "host-a", &format!("HOME=/run/me LXD_CONF=/run/me lxc remote add t {} </dev/null", token.trim()))
            .expect(0);
        let terminal = format!("exec script -qec '{nslab} exec t:b1 sleep 4713' /dev/null");
        let mut clients: Vec<_> = ["exec lxc exec t:b1 -- sleep 4711", &format!("exec {nslab} exec t:b1 sleep 4712"), &terminal]
            .map(|words| {
                let mut client = Command::new("ip");
                client.args(["netns", "exec", "routed.host-a", "sh", "-c", words]).envs(env);
                client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
            })
            .into();
        let runs = |of: &str| ok("ps b1").out.contains(&format!("sleep {of}"));
        assert!(wait_for(20, || ["4711", "4712", "4713"].iter().all(|of| runs(of))), "{}", ok("ps b1").out);
        // Neither end hears of it: the links stay up, and what is sent is lost.
        for host in ["host-a", "host-b"] {
            let drop = "add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }";
            sh(&format!("ip netns exec routed.{host} nft '{drop}'"));
        }
        assert!(wait_for(60, || !ok("ps b1").out.contains("sleep 471")), "{}", ok("ps b1").out);
        for client in &mut clients[1..] {
            assert!(wait_for(60, || client.try_wait().unwrap().is_some()), "nslab waits for a server that is gone");
        }
        // The stock client's own affair.
        let _ = clients[0].kill();
        let _ = clients[0].wait();
        ok("down");
    });
}

#[test]
fn a_revoked_clients_sessions_end_with_what_they_run() {
    in_box(|| {
        lab();
        let token = ok("agent token --name host-a host-b").out;
        let home = "HOME=/run/me LXD_CONF=/run/me";
        sh("mkdir -p /run/me");
        inside("routed", "host-a", &format!("{home} lxc remote add t {} </dev/null", token.trim())).expect(0);
        let mut client = Command::new("ip")
            .args(["netns", "exec", "routed.host-a", "lxc", "exec", "t:b1", "--", "sleep", "4711"])
            .envs([("HOME", "/run/me"), ("LXD_CONF", "/run/me")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        assert!(wait_for(20, || ok("ps b1").out.contains("sleep 4711")));
        let known = by_socket("GET", "/1.0/certificates", "");
        let print = known.split("/1.0/certificates/").nth(1).unwrap().split('"').next().unwrap().to_owned();
        ok(&format!("agent trust remove host-b {print}"));
        assert!(wait_for(10, || client.try_wait().unwrap().is_some()), "the client still has its session");
        assert!(wait_for(10, || !ok("ps b1").out.contains("sleep 4711")), "what it ran still runs");
        ok("down");
    });
}
