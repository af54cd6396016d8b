//! The binary itself: static, and enough by itself in an empty root directory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::process::Command;

use support::{in_box, run, sh};

/// The release binary that `make test` built, or the one that cargo built for the tests.
fn binary() -> String {
    let path = std::env::var("NSLAB_RELEASE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_nslab").to_owned());
    println!("testing {path}");
    path
}

/// The types of an ELF file's program headers (`elf(5)`), for 64 bits of either byte order of this machine.
fn program_headers(elf: &[u8]) -> Vec<u32> {
    assert_eq!(&elf[..5], b"\x7fELF\x02", "no ELF file of 64 bits");
    let number = |at: usize, bytes: usize| {
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(&elf[at..at + bytes]);
        usize::try_from(u64::from_le_bytes(value)).unwrap()
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).map(|n| u32::try_from(number(table + n * size, 4)).unwrap()).collect()
}

#[test]
fn the_binary_is_static() {
    const PT_INTERP: u32 = 3;
    let types = program_headers(&fs::read(binary()).unwrap());
    assert!(!types.is_empty() && !types.contains(&PT_INTERP), "it asks for a dynamic loader: {types:?}");
    let shell = program_headers(&fs::read("/bin/sh").unwrap());
    assert!(shell.contains(&PT_INTERP), "this test cannot see a dynamic loader");
}

#[test]
fn in_an_empty_root_directory_a_lab_comes_up_and_goes() {
    in_box(|| {
        sh("mkdir /run/empty && mount -n -t tmpfs tmpfs /run/empty && mkdir /run/empty/proc /run/empty/sys /run/empty/run /run/empty/dev
            mount -n -t proc proc /run/empty/proc; mount -n -t sysfs sysfs /run/empty/sys; mount -n -t tmpfs tmpfs /run/empty/run
            touch /run/empty/dev/null; mount -n --bind /dev/null /run/empty/dev/null");
        fs::copy(binary(), "/run/empty/nslab").unwrap();
        let within = |words: &str| {
            let mut command = Command::new("chroot");
            command
                .args(["/run/empty", "/nslab"])
                .args(words.split(' '))
                .env_clear()
                .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
            run(&mut command).expect(0)
        };
        within("up bridged");
        assert!(within("status bridged").out.contains("bridged"));
        within("show a1");
        let answered = "nsenter --net=/run/empty/run/nslab/bridged/netns/host-a.a1 ip -o -4 addr show eth0";
        assert!(sh(answered).contains("inet 10."));
        within("down bridged");
        assert_eq!(sh("ls -A /run/empty/run"), "");
    });
}
