//! Frames from dice: well-formed ones of many kinds, with few addresses and ports so that filters meet them, and damaged ones.
#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, unreachable_pub)]

/// `SplitMix64`: small, and the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides.max(1) as u64).unwrap()
    }

    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.roll(most + 1)).map(|_| self.byte()).collect()
    }
}

/// The number of a seed from the environment, or from the clock; printed, so that a failure can be had again.
#[allow(clippy::print_stdout)]
pub fn seed() -> u64 {
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let seed = std::env::var("FRAMES_SEED").map_or_else(|_| now(), |text| text.parse().unwrap());
    println!("FRAMES_SEED={seed}");
    seed
}

pub const MACS: [[u8; 6]; 5] = [[2, 0, 1, 0, 1, 0], [2, 0, 1, 0, 2, 0], [2, 0, 2, 0, 1, 0], [0xff; 6], [0x33, 0x33, 0, 0, 0, 1]];
const V4: [[u8; 4]; 6] = [[10, 0, 0, 11], [10, 0, 0, 12], [10, 0, 1, 21], [192, 168, 100, 1], [8, 8, 8, 8], [10, 0, 0, 255]];
const PORTS: [u16; 5] = [53, 80, 443, 5353, 40000];

fn v6(dice: &mut Dice) -> [u8; 16] {
    let mut address = [0; 16];
    address[0..2].copy_from_slice(&[0xfd, 0]);
    address[7] = dice.pick(&[0, 1]);
    address[15] = dice.pick(&[0x11, 0x12, 0x21]);
    if dice.roll(5) == 0 {
        address[0..2].copy_from_slice(&[0xfe, 0x80]);
    }
    address
}

/// A well-formed frame.
pub fn frame(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = [dice.pick(&MACS), dice.pick(&MACS)].concat();
    for _ in 0..dice.pick(&[0, 0, 0, 0, 0, 0, 1, 2]) {
        bytes.extend(dice.pick(&[[0x81, 0x00], [0x88, 0xa8]]));
        bytes.extend([dice.byte(), dice.byte()]);
    }
    let (kind, payload) = match dice.roll(10) {
        0 | 1 => (dice.pick(&[0x0806, 0x0806, 0x0806, 0x8035]), arp(dice)),
        2..=5 => (0x0800, ipv4(dice, 0)),
        6..=8 => (0x86dd, ipv6(dice, 0)),
        _ => (dice.pick(&[0x0027, 0x88cc, 0x8847, 0x1234]), dice.bytes(60)),
    };
    bytes.extend(u16::to_be_bytes(kind));
    bytes.extend(payload);
    bytes
}

fn arp(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, dice.pick(&[1, 2])];
    for _ in 0..2 {
        bytes.extend(dice.pick(&MACS));
        bytes.extend(dice.pick(&V4));
    }
    bytes
}

fn ipv4(dice: &mut Dice, depth: u8) -> Vec<u8> {
    let options: Vec<u8> = match dice.roll(5) {
        0 => [&[7, 39, dice.pick(&[4, 8, 12, 40])][..], &[10; 36], &[0]].concat(),
        1 => vec![1; 4 * dice.roll(11)],
        _ => Vec::new(),
    };
    let (protocol, body) = transport(dice, false, depth);
    let length = u16::try_from(20 + options.len() + body.len()).unwrap_or(u16::MAX);
    let cut: u16 = dice.pick(&[0, 0, 0, 0, 0x4000, 0x2000, 0x20b9, 0x00b9]);
    let mut bytes = vec![0x45 + u8::try_from(options.len() / 4).unwrap(), 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0x12, 0x34]);
    bytes.extend(cut.to_be_bytes());
    bytes.extend([dice.pick(&[1, 63, 64]), protocol, 0, 0]);
    bytes.extend(dice.pick(&V4));
    bytes.extend(dice.pick(&V4));
    bytes.extend(options);
    bytes.extend(body);
    bytes
}

fn ipv6(dice: &mut Dice, depth: u8) -> Vec<u8> {
    let (protocol, mut body) = transport(dice, true, depth);
    let mut next = protocol;
    match dice.roll(8) {
        0 => {
            body = [&[next, 0, 0, dice.pick(&[0, 1, 8, 9]), 0, 0, 0, 7][..], &body].concat();
            next = 44;
        }
        1 => {
            body = [&[next, 0, 1, 4, 0, 0, 0, 0][..], &body].concat();
            next = dice.pick(&[0, 60]);
        }
        _ => {}
    }
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend([next, dice.pick(&[1, 64, 255])]);
    bytes.extend(v6(dice));
    bytes.extend(v6(dice));
    bytes.extend(body);
    bytes
}

fn transport(dice: &mut Dice, six: bool, depth: u8) -> (u8, Vec<u8>) {
    let (from, to) = (dice.pick(&PORTS).to_be_bytes(), dice.pick(&PORTS).to_be_bytes());
    let ports = [from, to].concat();
    match dice.roll(8) {
        0 | 1 => (17, [ports, vec![0, 12, 0, 0], dice.bytes(30)].concat()),
        2 | 3 => (6, [ports, vec![0, 0, 0, 1, 0, 0, 0, 2, 0x50, dice.byte(), 0xff, 0, 0, 0, 0, 0], dice.bytes(30)].concat()),
        4 => (132, [ports, dice.bytes(30)].concat()),
        5 => (dice.pick(&[2, 47, 89, 59]), dice.bytes(30)),
        _ if six => (58, icmpv6(dice, depth)),
        _ => (1, icmp(dice, depth)),
    }
}

fn icmp(dice: &mut Dice, depth: u8) -> Vec<u8> {
    let kind = dice.pick(&[0, 8, 3, 5, 11, 13]);
    let mut bytes = vec![kind, dice.pick(&[0, 1, 3, 4]), 0, 0, 0, 7, dice.byte(), dice.byte()];
    if depth < 4 && [3, 5, 11].contains(&kind) {
        bytes.extend(ipv4(dice, depth + 1));
    } else {
        bytes.extend(dice.bytes(56));
    }
    bytes
}

fn icmpv6(dice: &mut Dice, depth: u8) -> Vec<u8> {
    let kind = dice.pick(&[1, 2, 3, 128, 129, 133, 134, 135, 136, 137]);
    let mut bytes = vec![kind, 0, 0, 0, 0, 0, 5, dice.byte()];
    match kind {
        1..=3 if depth < 4 => bytes.extend(ipv6(dice, depth + 1)),
        135 | 136 => {
            bytes.extend(v6(dice));
            bytes.extend([kind - 134, 1]);
            bytes.extend(dice.pick(&MACS));
        }
        _ => bytes.extend(dice.bytes(56)),
    }
    bytes
}

/// Damages a frame.
pub fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len().max(1));
        match dice.roll(5) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] ^= 1 << dice.roll(8),
            2 if !bytes.is_empty() => bytes[at] = dice.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            3 => bytes.extend(dice.bytes(40)),
            _ => {
                let end = (at + dice.roll(9)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
        }
    }
}
