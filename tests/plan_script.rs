//! The script that `nslab plan` prints, typed into a shell, makes exactly the lab that `nslab up` makes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Wiring, in_box, ok, run, sh, shipped, wait_for};

/// Pins the namespaces that `ip netns add` made where nslab has its own, with a link in their old place.
fn pins(lab: &str) {
    let directory = format!("/run/nslab/{lab}/netns");
    fs::create_dir_all(&directory).unwrap();
    for entry in fs::read_dir("/run/netns").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(node) = name.strip_prefix(&format!("{lab}.")) else { continue };
        let pin = Path::new(&directory).join(node);
        fs::write(&pin, "").unwrap();
        let (name, pin) = (format!("/run/netns/{name}"), pin.display());
        sh(&format!("mount --bind {name} {pin}; umount {name}; rm {name}; ln -s {pin} {name}"));
    }
}

/// What the plan of a topology makes, typed; and the lab's name.
fn by_hand(topology: &str) -> (String, Wiring) {
    let script = ok(&format!("plan {topology}")).out;
    let lab = ok(&format!("--format json plan {topology}")).json()["lab"].as_str().unwrap().to_owned();
    fs::write("/run/plan.sh", script).unwrap();
    run(Command::new("sh").args(["-e", "/run/plan.sh"])).expect(0);
    pins(&lab);
    let wiring = settled(&lab);
    sh(&format!("for pin in /run/nslab/{lab}/netns/*; do umount $pin; done; rm -r /run/nslab; rm /run/netns/*"));
    (lab, wiring)
}

/// The wiring once it stays the same: a script is told of a carrier up to a second late.
fn settled(lab: &str) -> Wiring {
    let (mut wiring, mut since) = (Wiring::look(lab), Instant::now());
    let still = wait_for(20, || {
        let now = Wiring::look(lab);
        if now != wiring {
            (wiring, since) = (now, Instant::now());
        }
        !wiring.is_converging() && since.elapsed() > Duration::from_millis(1500)
    });
    assert!(still, "the lab made by {lab}'s script does not come to rest");
    wiring
}

fn same(topology: &str) {
    let (lab, typed) = by_hand(topology);
    ok(&format!("up {topology}"));
    typed.assert_same(&settled(&lab), &format!("nslab up {topology} instead of its plan by hand"));
    ok(&format!("down {lab}"));
}

#[test]
fn the_script_makes_what_up_makes_for_every_topology() {
    in_box(|| shipped().iter().for_each(|topology| same(topology)));
}

#[test]
fn the_script_makes_what_up_makes_for_every_good_file() {
    in_box(|| {
        let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/good")).unwrap();
        let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() > 2, "tests/good has too little: {files:?}");
        for file in &files {
            same(file.to_str().unwrap());
        }
    });
}
