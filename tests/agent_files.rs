//! Files of an instance by HTTP and by SFTP, as the clients of the API use them. Needs root, for a box to work in.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::PathBuf;
use std::process::Command;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use nslab::kernel::sandbox::{Paths, Spec};
use nslab::lxd::server::api::sessions::on_file;
use nslab::lxd::server::decoded;
use nslab::lxd::server::sftp::{Place, serve};
use russh_sftp::client::SftpSession;
use support::{in_box, ok, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn place() -> Place {
    let spec = Spec {
        lab: "bridged".to_owned(),
        node: "host-a.a1".to_owned(),
        hostname: "a1".to_owned(),
        hosts: "127.0.0.1 localhost\n".to_owned(),
        is_host: false,
        real_root: false,
        clients: None,
    };
    Place { paths: Paths { lab: PathBuf::from("/run/nslab/bridged") }, spec }
}

async fn ask(method: Method, path: &str, headers: &[(&'static str, &'static str)], body: &[u8]) -> (u16, HeaderMap, Vec<u8>) {
    let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    let body = Full::new(Bytes::copy_from_slice(body));
    let path = decoded(path, true).unwrap();
    let answer = on_file(&place(), &method, &path, &headers, body).await.unwrap_or_else(|fault| fault.reply());
    let (head, body) = answer.into_parts();
    (head.status.as_u16(), head.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn inside(script: &str) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_nslab")).args(["exec", "a1", "sh", "-c", script])).out
}

#[test]
fn files_go_there_and_back_by_http() {
    in_box(|| {
        ok("up bridged");
        let three: Vec<u8> = (0..3_u32 << 20).map(|number| u8::try_from(number % 251).unwrap()).collect();
        on_runtime(async {
            let own = [("x-lxd-mode", "0640"), ("x-lxd-uid", "12"), ("x-lxd-gid", "34"), ("x-lxd-type", "file")];
            assert_eq!(ask(Method::POST, "%2Fsrv%2Fbig", &own, &three).await.0, 200);
            let (code, headers, body) = ask(Method::GET, "srv%2Fbig", &[], b"").await;
            assert!(code == 200 && body == three, "{code}, {} bytes", body.len());
            for (name, value) in [("mode", "0640"), ("uid", "12"), ("gid", "34"), ("type", "file")] {
                for family in ["x-lxd-", "x-incus-"] {
                    assert_eq!(headers[format!("{family}{name}")], value, "{family}{name}");
                }
            }
            let (code, headers, body) = ask(Method::HEAD, "srv%2Fbig", &[], b"").await;
            assert_eq!((code, headers["x-lxd-type"].as_bytes(), body.len()), (200, &b"file"[..], 0));
            assert_eq!(ask(Method::POST, "%2Fsrv%2Fnote", &[], b"one\n").await.0, 200);
            assert_eq!(ask(Method::POST, "%2Fsrv%2Fnote", &[("x-lxd-write", "append")], b"two\n").await.0, 200);
            assert_eq!(ask(Method::POST, "%2Fsrv%2Fdir", &[("x-lxd-type", "directory")], b"").await.0, 200);
            assert_eq!(ask(Method::POST, "%2Fsrv%2Fdir", &[("x-lxd-type", "directory")], b"").await.0, 200);
            assert_eq!(ask(Method::POST, "%2Fsrv%2Flink", &[("x-incus-type", "symlink")], b"../../../srv/note").await.0, 200);
            let (_, headers, body) = ask(Method::GET, "srv", &[], b"").await;
            let listed: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(listed["metadata"], serde_json::json!(["big", "dir", "link", "note"]));
            assert_eq!(headers["x-lxd-type"], "directory");
            let (_, headers, body) = ask(Method::GET, "srv%2Flink", &[], b"").await;
            assert_eq!((headers["x-lxd-type"].as_bytes(), &body[..]), (&b"symlink"[..], &b"../../../srv/note"[..]));
        });
        assert_eq!(inside("cat /srv/note; cat /srv/link; wc -c </srv/big"), "one\ntwo\none\ntwo\n3145728\n");
        inside("mkfifo /srv/pipe");
        std::fs::write("/run/secret", "the machine's").unwrap();
        on_runtime(async {
            for (path, code) in [
                ("srv%2Fnone", 404),
                ("srv%2Fpipe", 400),
                ("run%2Fsecret", 404),
                ("..%2F..%2Frun%2Fsecret", 404),
                ("proc%2Fself%2Froot%2Frun%2Fsecret", 404),
                ("proc%2F1%2Froot%2Frun%2Fsecret", 400),
                ("", 400),
            ] {
                assert_eq!(ask(Method::GET, path, &[], b"").await.0, code, "{path}");
            }
            assert_eq!(ask(Method::POST, "srv%2Fnew", &[("x-lxd-uid", "4294967295")], b"").await.0, 400);
            assert_eq!(ask(Method::DELETE, "srv%2Flink", &[], b"").await.0, 200);
            assert_eq!(ask(Method::DELETE, "srv%2Fdir", &[], b"").await.0, 200);
            assert_eq!(ask(Method::DELETE, "srv%2Fdir", &[], b"").await.0, 404);
        });
        assert_eq!(inside("ls /srv"), "big\nnote\npipe\n");
    });
}

#[test]
fn files_go_there_and_back_by_sftp() {
    in_box(|| {
        ok("up bridged");
        on_runtime(async {
            let (near, far) = tokio::io::duplex(64 << 10);
            let served = tokio::spawn(serve(place(), far));
            let session = SftpSession::new(near).await.unwrap();
            session.create_dir("/srv/dir").await.unwrap();
            let three = vec![7; 3 << 20];
            let mut file = session.create("/srv/dir/big").await.unwrap();
            file.write_all(&three).await.unwrap();
            file.shutdown().await.unwrap();
            let mut back = Vec::new();
            session.open("srv/dir/big").await.unwrap().read_to_end(&mut back).await.unwrap();
            assert!(back == three, "{} bytes", back.len());
            assert_eq!(session.canonicalize("/srv/../srv/dir").await.unwrap(), "/srv/dir");
            let names: Vec<String> = session.read_dir("/srv/dir").await.unwrap().map(|entry| entry.file_name()).collect();
            assert_eq!(names, ["big"]);
            assert_eq!(session.metadata("/srv/dir/big").await.unwrap().size, Some(3 << 20));
            session.rename("/srv/dir/big", "/srv/moved").await.unwrap();
            session.remove_dir("/srv/dir").await.unwrap();
            std::fs::write("/run/secret", "the machine's").unwrap();
            for path in ["/run/secret", "../../run/secret", "/proc/1/root/run/secret", "/dev/zero", "/srv/none"] {
                assert!(session.open(path).await.is_err(), "{path}");
            }
            session.close().await.unwrap();
            drop(session);
            tokio::time::timeout(std::time::Duration::from_secs(10), served).await.expect("it serves on").unwrap();
        });
        assert_eq!(inside("ls /srv; stat -c %s /srv/moved"), "moved\n3145728\n");
    });
}
