//! Classic BPF (`bpf(4)`, `linux/filter.h`): an assembler with labels, whose jumps reach as far as they must.

use libc::sock_filter;

/// The kernel takes so many instructions (`BPF_MAXINSNS`).
pub(super) const LONGEST: usize = 4096;

/// Bytes of an accepted frame that are kept: more than any frame has.
const KEPT: u32 = 0x4_0000;

const LOAD_WORD: u16 = 0x20;
pub(super) const LOAD_HALF: u16 = 0x28;
pub(super) const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
const JUMP_SET: u16 = 0x45;
pub(super) const RETURN: u16 = 0x06;

/// A place in the program that is jumped to, always forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

#[derive(Debug)]
enum Step {
    Plain(u16, u32),
    Branch { code: u16, value: u32, yes: Label, no: Label },
    Mark(Label),
}

/// A program being written.
#[derive(Debug, Default)]
pub(super) struct Program {
    steps: Vec<Step>,
    labels: usize,
}

impl Program {
    /// A new label, to be marked later.
    pub(super) fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    /// Puts the label here.
    pub(super) fn mark(&mut self, label: Label) {
        self.steps.push(Step::Mark(label));
    }

    /// Loads four bytes.
    pub(super) fn word(&mut self, at: u32) {
        self.steps.push(Step::Plain(LOAD_WORD, at));
    }

    /// Loads two bytes.
    pub(super) fn half(&mut self, at: u32) {
        self.steps.push(Step::Plain(LOAD_HALF, at));
    }

    /// Loads one byte.
    pub(super) fn byte(&mut self, at: u32) {
        self.steps.push(Step::Plain(LOAD_BYTE, at));
    }

    /// Keeps the length of the IPv4 header that begins there as the index.
    pub(super) fn index_header(&mut self, at: u32) {
        self.steps.push(Step::Plain(LOAD_HEADER_LENGTH, at));
    }

    /// Loads two bytes behind the index.
    pub(super) fn half_indexed(&mut self, at: u32) {
        self.steps.push(Step::Plain(LOAD_HALF_INDEXED, at));
    }

    /// Keeps only these bits of what was loaded.
    pub(super) fn and(&mut self, mask: u32) {
        self.steps.push(Step::Plain(AND, mask));
    }

    /// Whether what was loaded is the value.
    pub(super) fn equal(&mut self, value: u32, yes: Label, no: Label) {
        self.steps.push(Step::Branch { code: JUMP_EQUAL, value, yes, no });
    }

    /// Whether what was loaded has one of these bits.
    pub(super) fn has(&mut self, bits: u32, yes: Label, no: Label) {
        self.steps.push(Step::Branch { code: JUMP_SET, value: bits, yes, no });
    }

    /// Goes on elsewhere.
    pub(super) fn jump(&mut self, to: Label) {
        self.steps.push(Step::Branch { code: JUMP, value: 0, yes: to, no: to });
    }

    /// Ends the program: frames that reach `yes` pass.
    pub(super) fn finish(mut self, yes: Label, no: Label) -> Vec<sock_filter> {
        self.mark(yes);
        self.steps.push(Step::Plain(RETURN, KEPT));
        self.mark(no);
        self.steps.push(Step::Plain(RETURN, 0));
        self.assemble()
    }

    fn assemble(&self) -> Vec<sock_filter> {
        // A conditional jump reaches 255 instructions far; a way that is longer leads over a jump behind it, which moves
        // what follows: repeated until nothing moves.
        let mut far = vec![[false; 2]; self.steps.len()];
        loop {
            let (starts, labels) = self.places(&far);
            let mut moved = false;
            for (at, step) in self.steps.iter().enumerate() {
                let Step::Branch { code, yes, no, .. } = step else { continue };
                for (way, label) in [yes, no].into_iter().enumerate() {
                    if *code != JUMP && !far[at][way] && labels[label.0] - starts[at] > usize::from(u8::MAX) {
                        far[at][way] = true;
                        moved = true;
                    }
                }
            }
            if !moved {
                return self.emit(&far, &starts, &labels);
            }
        }
    }

    /// Where each step begins, and where each label is.
    fn places(&self, far: &[[bool; 2]]) -> (Vec<usize>, Vec<usize>) {
        let (mut at, mut starts, mut labels) = (0, Vec::with_capacity(far.len()), vec![0; self.labels]);
        for (step, far) in self.steps.iter().zip(far) {
            starts.push(at);
            match step {
                Step::Mark(label) => labels[label.0] = at,
                _ => at += 1 + far.iter().filter(|far| **far).count(),
            }
        }
        (starts, labels)
    }

    fn emit(&self, far: &[[bool; 2]], starts: &[usize], labels: &[usize]) -> Vec<sock_filter> {
        // Jumps count from the next instruction.
        let distance = |place: usize, to: &Label| labels[to.0].saturating_sub(place + 1);
        let long = |place: usize, to: &Label| sock_filter {
            code: JUMP,
            jt: 0,
            jf: 0,
            k: u32::try_from(distance(place, to)).unwrap_or(u32::MAX),
        };
        let mut program = Vec::new();
        for ((step, far), &at) in self.steps.iter().zip(far).zip(starts) {
            match step {
                Step::Mark(_) => {}
                Step::Plain(code, k) => program.push(sock_filter { code: *code, jt: 0, jf: 0, k: *k }),
                Step::Branch { code: JUMP, yes, .. } => program.push(long(at, yes)),
                Step::Branch { code, value, yes, no } => {
                    let mut behind = Vec::new();
                    let [jt, jf] = [(yes, far[0]), (no, far[1])].map(|(label, far)| {
                        let reach = if far { behind.len() } else { distance(at, label) };
                        if far {
                            behind.push(long(at + 1 + behind.len(), label));
                        }
                        u8::try_from(reach).unwrap_or(u8::MAX)
                    });
                    program.push(sock_filter { code: *code, jt, jf, k: *value });
                    program.extend(behind);
                }
            }
        }
        program
    }
}
