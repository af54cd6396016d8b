//! What is the same for every host: the one project, the one image, no storage pool, no cluster.

use serde_json::{Map, Value, json};

use crate::lxd::server::answer::{Answer, Fault, sync, tagged, working};
use crate::lxd::server::call::Call;
use crate::lxd::server::clock::NEVER;
use crate::lxd::server::identity::fingerprint;
use crate::lxd::server::operations::{New, Status};
use crate::lxd::server::secret::{hex, random};

/// The one image: the machine's own root file system.
pub const IMAGE: &str = "host";

/// Names that people give to images of distributions: each means the one image.
const DISTRIBUTIONS: [&str; 20] = [
    "almalinux",
    "alpine",
    "alt",
    "amazonlinux",
    "archlinux",
    "busybox",
    "centos",
    "debian",
    "devuan",
    "fedora",
    "gentoo",
    "kali",
    "mint",
    "nixos",
    "openeuler",
    "opensuse",
    "oracle",
    "rockylinux",
    "ubuntu",
    "voidlinux",
];

/// The fingerprint of the one image.
pub fn image_fingerprint() -> String {
    fingerprint(b"nslab: the machine's own root file system")
}

/// Whether a name means the one image: `host`, or a distribution's as in `ubuntu/22.04`.
pub fn is_image(name: &str) -> bool {
    let first = name.split([':', '/', '-']).next().unwrap_or_default().to_ascii_lowercase();
    name == IMAGE || DISTRIBUTIONS.contains(&first.as_str())
}

fn described() -> Value {
    json!({"auto_update": false, "properties": {"description": "This machine's own files", "os": "nslab",
            "architecture": std::env::consts::ARCH},
        "public": false, "expires_at": NEVER, "profiles": ["default"], "aliases": [{"name": IMAGE, "description": ""}],
        "architecture": std::env::consts::ARCH, "cached": false, "filename": IMAGE, "fingerprint": image_fingerprint(),
        "size": 0, "type": "container", "created_at": NEVER, "last_used_at": NEVER, "uploaded_at": NEVER})
}

fn alias_of(name: &str) -> Value {
    json!({"name": name, "description": "", "target": image_fingerprint(), "type": "container"})
}

/// `GET /1.0/images`
pub async fn images(call: Call) -> Answer {
    if call.recursion() > 0 { sync([described()]) } else { sync([format!("/1.0/images/{}", image_fingerprint())]) }
}

/// Refuses what is not the beginning of the one image's fingerprint.
fn known(prefix: &str) -> Result<(), Fault> {
    if prefix.len() >= 4 && image_fingerprint().starts_with(prefix) { Ok(()) } else { Err(Fault::missing("Image")) }
}

/// `GET /1.0/images/FINGERPRINT`
pub async fn image(call: Call) -> Answer {
    known(call.word(0))?;
    let told = described();
    tagged(&told, &told["properties"])
}

/// `POST /1.0/images/FINGERPRINT/secret`: what a client hands to another server, to fetch the image with. An agent has the image already and
/// asks for none.
pub async fn secret(call: Call) -> Answer {
    known(call.word(0))?;
    let told = Map::from_iter([("secret".to_owned(), Value::from(hex(&random::<32>()?)))]);
    let client = call.client.name().to_owned();
    let new = New { class: "token", description: "Executing operation", metadata: told, client, ..New::default() };
    let operation = call.agent.operations.begin(new)?;
    let answer = working(&operation);
    operation.end(Status::Success, "");
    answer
}

/// `GET /1.0/images/aliases`
pub async fn aliases(call: Call) -> Answer {
    if call.recursion() > 0 { sync([alias_of(IMAGE)]) } else { sync([format!("/1.0/images/aliases/{IMAGE}")]) }
}

/// `GET /1.0/images/aliases/NAME`
pub async fn alias(call: Call) -> Answer {
    if is_image(call.word(0)) { sync(alias_of(call.word(0))) } else { Err(Fault::missing("Image alias")) }
}

fn default_project() -> Value {
    json!({"config": {"features.images": "true", "features.networks": "true", "features.profiles": "true",
            "features.storage.volumes": "true"},
        "description": "Default project", "name": "default", "used_by": ["/1.0/profiles/default"]})
}

/// `GET /1.0/projects`
pub async fn projects(call: Call) -> Answer {
    if call.recursion() > 0 { sync([default_project()]) } else { sync(["/1.0/projects/default"]) }
}

/// `GET /1.0/projects/default`
pub async fn project(call: Call) -> Answer {
    if call.word(0) == "default" { sync(default_project()) } else { Err(Fault::missing("Project")) }
}

/// `GET /1.0/storage-pools`
pub async fn pools(_: Call) -> Answer {
    sync(Vec::<Value>::new())
}

/// `GET /1.0/cluster`
pub async fn cluster(_: Call) -> Answer {
    sync(json!({"server_name": "", "enabled": false, "member_config": []}))
}
