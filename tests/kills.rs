//! Killed, stopped or failing anywhere: the machine or the lab is made whole again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{Machine, Wiring, canaries, count_faults, in_box, nslab_at, ok, shipped};

/// One module per shipped topology, so that they run side by side.
macro_rules! topologies {
    ($($module:ident $name:literal),+) => {
        $(mod $module {
            #[test]
            fn killed_at_any_point_of_up_it_is_healed_by_down_and_by_up() {
                super::in_box(|| super::killed_in_up($name));
            }
            #[test]
            fn killed_at_any_point_of_down_it_is_healed_by_down_and_by_up() {
                super::in_box(|| super::killed_in_down($name));
            }
            #[test]
            fn a_signal_at_any_point_of_up_is_undone_before_it_ends() {
                super::in_box(|| super::signalled_in_up($name));
            }
            #[test]
            fn an_error_or_a_panic_at_any_point_of_up_is_undone() {
                super::in_box(|| super::failing_in_up($name));
            }
            #[test]
            fn an_error_or_a_panic_at_any_point_of_down_is_healed_by_down() {
                super::in_box(|| super::failing_in_down($name));
            }
        })+
        #[test]
        fn every_shipped_topology_is_killed() {
            let mut here = vec![$($name),+];
            here.sort_unstable();
            assert_eq!(here, shipped());
        }
    };
}
include!(concat!(env!("OUT_DIR"), "/topologies.rs"));

/// What the machine looks like without the lab, and the lab as `up` makes it undisturbed.
struct Before {
    machine: Machine,
    lab: Wiring,
    up_points: u32,
    down_points: u32,
}

fn before(name: &str) -> Before {
    canaries();
    let machine = Machine::look();
    let up_points = count_faults(&format!("up {name}"));
    let lab = Wiring::look(name);
    let down_points = count_faults(&format!("down {name}"));
    machine.assert_unchanged("up and down");
    assert!(up_points > 10 && down_points > 1, "too few points: {up_points} of up, {down_points} of down");
    Before { machine, lab, up_points, down_points }
}

fn killed_in_up(name: &str) {
    let before = before(name);
    let (up, down) = (format!("up {name}"), format!("down {name}"));
    for point in 1..=before.up_points {
        let kill = format!("kill@{point}");
        nslab_at(&kill, &up).expect(137);
        ok(&down);
        before.machine.assert_unchanged(&format!("{kill} of up, then down"));
        nslab_at(&kill, &up).expect(137);
        ok(&up);
        before.lab.assert_same(&Wiring::look(name), &format!("{kill} of up, then up"));
        ok(&format!("status {name}"));
        ok(&down);
    }
    before.machine.assert_unchanged("everything");
}

fn killed_in_down(name: &str) {
    let before = before(name);
    let (up, down) = (format!("up {name}"), format!("down {name}"));
    for point in 1..=before.down_points {
        let kill = format!("kill@{point}");
        ok(&up);
        nslab_at(&kill, &down).expect(137);
        ok(&down);
        before.machine.assert_unchanged(&format!("{kill} of down, then down"));
        ok(&up);
        nslab_at(&kill, &down).expect(137);
        ok(&up);
        before.lab.assert_same(&Wiring::look(name), &format!("{kill} of down, then up"));
        ok(&down);
    }
    before.machine.assert_unchanged("everything");
}

fn signalled_in_up(name: &str) {
    let before = before(name);
    let signals = [("INT", 130), ("TERM", 143), ("HUP", 129)];
    // The three take one path through the code: all at every point of two topologies, by turns in the others.
    let all = ["bridged", "routed"].contains(&name);
    for point in 1..=before.up_points {
        for (nth, (signal, code)) in signals.into_iter().enumerate() {
            if all || nth == point as usize % signals.len() {
                let fault = format!("signal:{signal}@{point}");
                nslab_at(&fault, &format!("up {name}")).expect(code);
                before.machine.assert_unchanged(&format!("{fault} of up"));
            }
        }
    }
}

const ERRORS: [&str; 5] = ["ENOMEM", "ENOSPC", "EBUSY", "EPERM", "EMFILE"];

fn failing_in_up(name: &str) {
    let before = before(name);
    for point in 1..=before.up_points {
        let error = ERRORS[point as usize % ERRORS.len()];
        for fault in [format!("errno:{error}@{point}"), format!("panic@{point}")] {
            let ran = nslab_at(&fault, &format!("up {name}"));
            assert!([1, 3].contains(&ran.code), "{ran}");
            assert!(!ran.err.is_empty(), "it failed in silence: {ran}");
            before.machine.assert_unchanged(&format!("{fault} of up\n{ran}"));
        }
    }
}

fn failing_in_down(name: &str) {
    let before = before(name);
    for point in 1..=before.down_points {
        let error = ERRORS[point as usize % ERRORS.len()];
        for fault in [format!("errno:{error}@{point}"), format!("panic@{point}")] {
            ok(&format!("up {name}"));
            let ran = nslab_at(&fault, &format!("down {name}"));
            assert!([0, 1, 3, 5].contains(&ran.code), "{ran}");
            ok(&format!("down {name}"));
            before.machine.assert_unchanged(&format!("{fault} of down, then down\n{ran}"));
        }
    }
}

#[test]
fn down_without_a_name_takes_what_an_up_left_that_was_killed_at_its_beginning() {
    in_box(|| {
        let before = Machine::look();
        for point in 1..=24 {
            nslab_at(&format!("kill@{point}"), "up bridged").expect(137);
            ok("down");
            before.assert_unchanged(&format!("up killed at point {point}, and down without a name"));
        }
    });
}
