//! The script that `nslab plan` prints, typed into a shell, makes exactly the lab that `nslab up` makes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Wiring, in_box, ok, run, sh, shipped, wait_for};

/// The lab's namespaces through the names that `ip netns` knows, wherever they are pinned.
fn pins(lab: &str) {
    // The wiring is read through nslab's own pins: the script has none, so its namespaces are shown in their place.
    let directory = format!("/run/nslab/{lab}/netns");
    fs::create_dir_all(&directory).unwrap();
    for entry in fs::read_dir("/run/netns").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(node) = name.strip_prefix(&format!("{lab}.")) else { continue };
        let pin = Path::new(&directory).join(node);
        fs::write(&pin, "").unwrap();
        sh(&format!("mount --bind /run/netns/{name} {}", pin.display()));
    }
}

fn by_hand(topology: &str) -> Wiring {
    let script = ok(&format!("plan {topology}")).out;
    fs::write("/run/plan.sh", script).unwrap();
    run(Command::new("sh").args(["-e", "/run/plan.sh"])).expect(0);
    pins(topology);
    let wiring = settled(topology);
    sh(&format!("for pin in /run/nslab/{topology}/netns/*; do umount $pin; done; rm -r /run/nslab; ip -all netns delete"));
    wiring
}

/// The wiring once it stays the same: a script is told of a carrier up to a second late.
fn settled(lab: &str) -> Wiring {
    let (mut wiring, mut since) = (Wiring::look(lab), Instant::now());
    let still = wait_for(20, || {
        let now = Wiring::look(lab);
        if now != wiring {
            (wiring, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(1500)
    });
    assert!(still, "the lab made by {lab}'s script does not come to rest");
    wiring
}

#[test]
fn the_script_makes_what_up_makes_for_every_topology() {
    in_box(|| {
        for topology in shipped() {
            let typed = by_hand(&topology);
            ok(&format!("up {topology}"));
            typed.assert_same(&Wiring::look(&topology), &format!("nslab up {topology} instead of its plan by hand"));
            ok(&format!("down {topology}"));
        }
    });
}
