//! Forks, mounts by handle and processes by handle: the calls that nix does not wrap.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::NixPath;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::ForkResult;

type Result<T> = std::result::Result<T, Errno>;

fn number(returned: i64) -> Result<i32> {
    let returned = Errno::result(returned)?;
    i32::try_from(returned).map_err(|_| Errno::EOVERFLOW)
}

fn descriptor(returned: i64) -> Result<OwnedFd> {
    let fd = number(returned)?;
    // SAFETY: the kernel has just given this descriptor to this call alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A copy of what is mounted at a path and below, attached nowhere yet.
///
/// A copy of a shared mount is its peer. Recursive, because mounts that a user namespace locks cannot be left out.
pub fn copy_of_mounts(path: &Path) -> Result<OwnedFd> {
    let at_recursive = u32::try_from(libc::AT_RECURSIVE).unwrap_or_default();
    let flags = libc::OPEN_TREE_CLONE | u32::try_from(libc::O_CLOEXEC).unwrap_or_default() | at_recursive;
    // SAFETY: the path is a C string for the time of the call.
    descriptor(path.with_nix_path(|path| unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?)
}

/// Attaches a copy of mounts at a path.
pub fn attach(mounts: &impl AsFd, path: &Path) -> Result<()> {
    let from = c"".as_ptr();
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: both paths are C strings for the time of the call.
    let done = path.with_nix_path(|path| unsafe {
        libc::syscall(libc::SYS_move_mount, mounts.as_fd().as_raw_fd(), from, libc::AT_FDCWD, path.as_ptr(), flags)
    })?;
    number(done).map(drop)
}

/// What to change of a copy of mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nobody writes to it.
    ReadOnly,
    /// What is mounted in the original appears here, never the other way round.
    Slave,
    /// Nothing appears anywhere else.
    Private,
    /// It begins a peer group.
    Shared,
}

/// Changes every mount of a copy. Flags that a user namespace locks stay as they are.
pub fn change(mounts: &impl AsFd, change: Change) -> Result<()> {
    let (set, propagation) = match change {
        Change::ReadOnly => (libc::MOUNT_ATTR_RDONLY, 0),
        Change::Slave => (0, libc::MS_SLAVE),
        Change::Private => (0, libc::MS_PRIVATE),
        Change::Shared => (0, libc::MS_SHARED),
    };
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation, userns_fd: 0 };
    let (path, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH | libc::AT_RECURSIVE);
    let size = size_of::<libc::mount_attr>();
    // SAFETY: the structure and its size belong together and live for the time of the call.
    number(unsafe {
        libc::syscall(libc::SYS_mount_setattr, mounts.as_fd().as_raw_fd(), path, flags, &raw const attributes, size)
    })
    .map(drop)
}

/// Mounts a directory on itself, shared with later copies of it, but with nothing that is there now.
///
/// Nobody ever sees it half done.
pub fn mount_alone(path: &Path) -> Result<()> {
    let mounts = copy_of_mounts(path)?;
    change(&mounts, Change::Private)?;
    change(&mounts, Change::Shared)?;
    attach(&mounts, path)
}

/// A handle of a process: it never names another one that got its number later.
pub fn handle(pid: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers.
    descriptor(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// The number of the process at the other end of a socket of this machine.
pub fn peer(socket: &impl AsFd) -> Option<i32> {
    getsockopt(socket, sockopt::PeerCredentials).ok().map(|whose| whose.pid())
}

/// Sends a signal to the process behind a handle.
pub fn send(process: &impl AsFd, signal: i32) -> Result<()> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo asks the kernel to fill in an ordinary one.
    number(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_fd().as_raw_fd(), signal, nothing, 0) }).map(drop)
}

/// Runs a function in a copy of this process that shares nothing with it, and ends the copy with what it returns.
///
/// Returns the copy's pid.
pub fn fork(child: impl FnOnce() -> i32) -> Result<nix::unistd::Pid> {
    // SAFETY: glibc's fork leaves its own locks usable in the child; nslab has no thread here that holds another one.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: ends the copy at once, without the exit handlers of the original.
            unsafe { libc::_exit(code) }
        }
    }
}

/// As [`fork`], with the copy as the first process of a new PID namespace. To be called from a process without other threads.
///
/// Who unshares a PID namespace instead has its later children there as well, and in a user namespace no way back.
pub fn fork_first(child: impl FnOnce() -> i32) -> Result<nix::unistd::Pid> {
    let flags = libc::c_long::from(libc::CLONE_NEWPID | libc::SIGCHLD);
    // SAFETY: without a stack of its own the copy goes on with its copy of this one, as after fork; there is no other thread
    // whose locks it could miss.
    match number(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })? {
        0 => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: ends the copy at once, without the exit handlers of the original.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(nix::unistd::Pid::from_raw(pid)),
    }
}

/// Closes every descriptor but these.
pub fn close_all_but(kept: &mut [RawFd]) {
    kept.sort_unstable();
    let mut from = 0;
    for &fd in kept.iter() {
        if fd > from {
            close_range(from, fd - 1, 0);
        }
        from = fd + 1;
    }
    close_range(from, i32::MAX, 0);
}

fn close_range(first: i32, last: i32, flags: u32) {
    let (first, last) = (first.unsigned_abs(), last.unsigned_abs());
    // SAFETY: callers name descriptors that nobody uses afterwards, or only mark them close-on-exec.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
}

/// Puts `/dev/null` in the place of stdin, stdout and stderr.
pub fn silence() -> Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null").map_err(|error| errno(&error))?;
    for standard in 0..=2 {
        // SAFETY: replaces a standard descriptor that nothing in this process owns.
        Errno::result(unsafe { libc::dup2(null.as_raw_fd(), standard) })?;
    }
    if null.as_raw_fd() <= 2 {
        std::mem::forget(null);
    }
    Ok(())
}

/// Puts `/dev/null` in the place of stdin.
pub fn silence_input() -> Result<()> {
    let null = File::open("/dev/null").map_err(|error| errno(&error))?;
    // SAFETY: replaces a standard descriptor that nothing in this process owns.
    Errno::result(unsafe { libc::dup2(null.as_raw_fd(), 0) }).map(drop)
}

/// A terminal that closes, and Ctrl-C in it, no longer end this process.
pub fn ignore_terminal() {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGPIPE] {
        // SAFETY: no handler is installed.
        let _ = unsafe { sigaction(signal, &ignore) };
    }
}

/// Gives every signal its default action, but the ignored SIGHUP that `nohup` passes on; only calls that a signal
/// handler may make.
fn default_signals() {
    for number in 1..=31 {
        // SAFETY: null pointers ask for nothing, and an all-zero sigaction is a valid one to be filled in.
        unsafe {
            let mut now: libc::sigaction = std::mem::zeroed();
            libc::sigaction(number, std::ptr::null(), &raw mut now);
            if number != libc::SIGHUP || now.sa_sigaction != libc::SIG_IGN {
                libc::signal(number, libc::SIG_DFL);
            }
        }
    }
}

/// The signals of the init of a sandbox: its children need no reaping, nothing is blocked.
pub fn init_signals() -> Result<()> {
    default_signals();
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    unsafe { sigaction(Signal::SIGCHLD, &ignore) }?;
    SigSet::empty().thread_set_mask()
}

/// Makes sure that this process can wait for its children, whatever its caller ignores.
pub fn keep_children() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    let _ = unsafe { sigaction(Signal::SIGCHLD, &default) };
}

/// Makes the command start with default signals, none blocked, and no descriptor but 0, 1 and 2; in front of its
/// terminal, in a process group of its own, where asked.
pub fn start_clean(command: &mut Command, in_front: bool) {
    let clean = move || {
        if in_front {
            take_terminal();
        }
        default_signals();
        SigSet::empty().thread_set_mask()?;
        // Marked rather than closed: std still tells through a descriptor of its own that exec failed.
        close_range(3, i32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        Ok(())
    };
    // SAFETY: the closure makes only async-signal-safe calls and allocates nothing.
    unsafe { command.pre_exec(clean) };
}

/// Makes the command start as the leader of a session of its own, without supplementary groups; its standard input becomes
/// its controlling terminal where asked.
pub fn start_session(command: &mut Command, controlling: bool) {
    let session = move || {
        // SAFETY: plain numbers and a null list; who may not drop groups has none to drop.
        unsafe {
            libc::setgroups(0, std::ptr::null());
            Errno::result(libc::setsid())?;
            if controlling {
                Errno::result(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes only async-signal-safe calls and allocates nothing.
    unsafe { command.pre_exec(session) };
}

/// Locks a file for this open file, copies of its descriptor in other processes included: until the last of them is closed.
pub fn lock_until_closed(file: &impl AsFd) -> Result<()> {
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::flock(file.as_fd().as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}

/// Tells a terminal how large its window is.
pub fn resize(terminal: &impl AsFd, columns: u16, rows: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads the structure during the call.
    Errno::result(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }).map(drop)
}

/// Puts characters into a terminal as if they were typed.
///
/// A kernel since 6.2 lets root of the machine alone do that.
pub fn type_ahead(terminal: &impl AsFd, text: &[u8]) -> Result<()> {
    text.iter().try_for_each(|byte| {
        // SAFETY: the kernel reads the one byte during the call.
        Errno::result(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSTI, std::ptr::from_ref(byte)) }).map(drop)
    })
}

fn take_terminal() {
    // SAFETY: plain numbers. SIGTTOU is ignored, or the group would stop for asking.
    unsafe {
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
        libc::setpgid(0, 0);
        let _ = (0..=2).any(|terminal| libc::tcsetpgrp(terminal, libc::getpid()) == 0);
    }
}

/// Waits for one of the signals, which must be blocked. Tells whether a process sent it, not the kernel.
pub fn wait_signal(signals: &SigSet) -> Result<(i32, bool)> {
    // SAFETY: the kernel fills in the structure; an all-zero one is valid.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let signal = Errno::result(libc::sigwaitinfo(signals.as_ref(), &raw mut info))?;
        Ok((signal, info.si_code <= 0))
    }
}

/// Shows `text` as this process's command line. Its arguments and environment are lost; only for a process that
/// needs neither any more.
pub fn set_title(text: &str) -> Result<()> {
    let line = std::fs::read_to_string("/proc/self/stat").map_err(|error| errno(&error))?;
    // proc_pid_stat(5): arg_start, arg_end, env_start, env_end are fields 48 to 51.
    let fields: Vec<usize> =
        line.rsplit(") ").next().unwrap_or_default().split(' ').skip(45).take(4).filter_map(|field| field.parse().ok()).collect();
    let &[start, arguments_end, variables, end] = fields.as_slice() else { return Err(Errno::EINVAL) };
    let end = if variables == arguments_end { end } else { arguments_end };
    let room = end.saturating_sub(start);
    if start == 0 || room < 2 {
        return Err(Errno::EINVAL);
    }
    let length = text.len().min(room - 1);
    // SAFETY: the kernel says that this writable memory of the stack holds the arguments and environment, and this
    // process reads neither again.
    unsafe {
        let to = std::ptr::with_exposed_provenance_mut::<u8>(start);
        std::ptr::write_bytes(to, 0, room);
        std::ptr::copy_nonoverlapping(text.as_ptr(), to, length);
    }
    Ok(())
}

/// Gives memory that this process has freed back to the kernel.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: glibc locks its own heap.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The error number of a failed call of the standard library.
pub fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Waits until one of the processes has ended, at most so long (-1: for ever).
pub fn wait_end(process: &impl AsFd, milliseconds: i32) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::NONE)) {
            Err(Errno::EINTR) => {}
            Ok(number) => return number > 0,
            Err(_) => return false,
        }
    }
}

/// Waits until a process has ended, at most until then.
pub fn wait_end_until(process: &impl AsFd, until: Instant) -> bool {
    let rest = until.saturating_duration_since(Instant::now()).as_millis();
    wait_end(process, i32::try_from(rest).unwrap_or(i32::MAX))
}

/// A number that tells one mount from another.
pub fn mount_id(path: &Path) -> Result<u64> {
    // SAFETY: an all-zero statx is a valid one to be filled in; the path is a C string for the time of the call.
    path.with_nix_path(|path| unsafe {
        let mut stat: libc::statx = std::mem::zeroed();
        let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
        Errno::result(libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, libc::STATX_MNT_ID, &raw mut stat))?;
        Ok(stat.stx_mnt_id)
    })?
}

/// Standard input, output or errors.
pub fn standard(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the standard library opens the three where the caller has closed them, and nslab never closes them.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// How wide the terminal is that a stream is; none for anything else, and where nobody told it.
pub fn columns(stream: &impl AsFd) -> Option<u16> {
    size(stream).map(|(columns, _)| columns).filter(|&columns| columns > 0)
}

/// How many columns and rows the terminal has that a stream is; none for anything else.
pub fn size(stream: &impl AsFd) -> Option<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel fills in the structure.
    let done = unsafe { libc::ioctl(stream.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (done == 0).then_some((size.ws_col, size.ws_row))
}
