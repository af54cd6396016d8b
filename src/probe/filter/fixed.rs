//! What nslab's own probes listen with: programs that are always the same, and so need no language.

use libc::sock_filter;

use super::bpf::{JUMP_EQUAL, LOAD_BYTE, LOAD_HALF, RETURN};

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// ICMP, and `ICMPv6` without extension headers.
pub fn icmp() -> Vec<sock_filter> {
    vec![
        instruction(LOAD_HALF, 0, 0, 12),
        instruction(JUMP_EQUAL, 0, 2, 0x0800),
        instruction(LOAD_BYTE, 0, 0, 23),
        instruction(JUMP_EQUAL, 4, 3, 1),
        instruction(JUMP_EQUAL, 0, 2, 0x86dd),
        instruction(LOAD_BYTE, 0, 0, 20),
        instruction(JUMP_EQUAL, 1, 0, 58),
        instruction(RETURN, 0, 0, 0),
        instruction(RETURN, 0, 0, u32::MAX),
    ]
}

/// ARP, ICMP, `ICMPv6`, and parts of IPv6 packets that were cut.
pub fn icmp_and_resolution() -> Vec<sock_filter> {
    vec![
        instruction(LOAD_HALF, 0, 0, 12),
        instruction(JUMP_EQUAL, 8, 0, 0x0806),
        instruction(JUMP_EQUAL, 0, 2, 0x0800),
        instruction(LOAD_BYTE, 0, 0, 23),
        instruction(JUMP_EQUAL, 5, 4, 1),
        instruction(JUMP_EQUAL, 0, 3, 0x86dd),
        instruction(LOAD_BYTE, 0, 0, 20),
        instruction(JUMP_EQUAL, 2, 0, 58),
        instruction(JUMP_EQUAL, 1, 0, 44),
        instruction(RETURN, 0, 0, 0),
        instruction(RETURN, 0, 0, u32::MAX),
    ]
}
