//! Names and numbers of the audit interface: fields, architectures, system calls, record types, error numbers.

use super::FieldId;

/// What a machine's `b64` and `b32` mean, and whose system call numbers apply where a rule names no architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86-64, which also runs i386 programs.
    X86_64,
    /// 64-bit ARM, which may also run 32-bit ARM programs.
    Aarch64,
}

impl Machine {
    /// The machine that this program was built for.
    pub fn native() -> Self {
        if cfg!(target_arch = "aarch64") { Machine::Aarch64 } else { Machine::X86_64 }
    }

    /// The 64-bit and the 32-bit architecture whose programs run here.
    pub fn arches(self) -> [Arch; 2] {
        match self {
            Machine::X86_64 => [Arch::X86_64, Arch::I386],
            Machine::Aarch64 => [Arch::Aarch64, Arch::Arm],
        }
    }
}

/// Architectures whose system calls are known by name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// `AUDIT_ARCH_X86_64`.
    X86_64,
    /// `AUDIT_ARCH_I386`.
    I386,
    /// `AUDIT_ARCH_AARCH64`.
    Aarch64,
    /// `AUDIT_ARCH_ARM`, with the big-endian number that auditctl writes for it.
    Arm,
}

impl Arch {
    const ALL: [Arch; 4] = [Arch::X86_64, Arch::I386, Arch::Aarch64, Arch::Arm];

    /// The number in the kernel's `arch` field.
    pub fn code(self) -> u32 {
        match self {
            Arch::X86_64 => 0xC000_003E,
            Arch::I386 => 0x4000_0003,
            Arch::Aarch64 => 0xC000_00B7,
            Arch::Arm => 0x4000_0028,
        }
    }

    /// The architecture of a kernel number, where it is one of these.
    pub fn from_code(code: u32) -> Option<Self> {
        Arch::ALL.into_iter().find(|arch| arch.code() == code)
    }
}

/// Kernel numbers of architectures that auditctl knows by name but whose system calls are not listed here.
const FOREIGN: [(&str, u32); 5] =
    [("ppc64le", 0xC000_0015), ("ppc64", 0x8000_0015), ("ppc", 0x14), ("s390x", 0x8000_0016), ("s390", 0x16)];

/// The kernel number of `-F arch=NAME`; `None` where auditctl knows no such architecture.
pub(super) fn arch_code(name: &str, machine: Machine) -> Option<u32> {
    let name = name.to_ascii_lowercase();
    let known = match name.as_str() {
        "b64" => Some(machine.arches()[0]),
        "b32" => Some(machine.arches()[1]),
        "x86_64" => Some(Arch::X86_64),
        "i386" | "i486" | "i586" | "i686" => Some(Arch::I386),
        "aarch64" | "armv8l" => Some(Arch::Aarch64),
        "arm" | "armeb" | "armv5tejl" | "armv7l" => Some(Arch::Arm),
        _ => None,
    };
    known.map(Arch::code).or_else(|| FOREIGN.iter().find(|(foreign, _)| *foreign == name).map(|(_, code)| *code))
}

/// Whether auditctl takes this number after `-F arch=`.
pub(super) fn is_arch_code(code: u32) -> bool {
    Arch::from_code(code).is_some() || FOREIGN.iter().any(|(_, known)| *known == code)
}

/// What to write after `-F arch=` for a kernel number, on a machine of the same family.
pub(super) fn arch_name(code: u32) -> String {
    match Arch::from_code(code) {
        Some(Arch::X86_64) => "b64".into(),
        Some(Arch::I386) => "b32".into(),
        Some(Arch::Aarch64) => "aarch64".into(),
        Some(Arch::Arm) => "arm".into(),
        None => format!("0x{code:X}"),
    }
}

/// Lines `name column…` of an embedded table.
fn rows(table: &'static str) -> impl Iterator<Item = std::str::SplitAsciiWhitespace<'static>> {
    table.lines().filter(|line| !line.starts_with('#')).map(str::split_ascii_whitespace)
}

/// A system call with its number on each of [`Arch::ALL`].
struct Syscall {
    name: &'static str,
    numbers: [Option<u16>; 4],
}

/// The table, sorted by name; read once.
fn syscalls() -> &'static [Syscall] {
    static TABLE: std::sync::OnceLock<Vec<Syscall>> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| {
        let read = |mut row: std::str::SplitAsciiWhitespace<'static>| {
            let name = row.next()?;
            let mut number = || row.next().and_then(|number| number.parse().ok());
            Some(Syscall { name, numbers: [number(), number(), number(), number()] })
        };
        rows(include_str!("syscalls.txt")).filter_map(read).collect()
    })
}

/// The number of a system call, whatever the case of its name.
pub(crate) fn syscall_number(arch: Arch, name: &str) -> Option<u16> {
    let name = name.to_ascii_lowercase();
    let at = syscalls().binary_search_by(|call| call.name.cmp(&name)).ok()?;
    syscalls()[at].numbers[arch as usize]
}

/// The name of a system call.
pub(crate) fn syscall_name(arch: Arch, number: u16) -> Option<&'static str> {
    syscalls().iter().find(|call| call.numbers[arch as usize] == Some(number)).map(|call| call.name)
}

/// io_uring operations that can be audited, newest version of auditctl.
const URING: [(&str, u16); 21] = [
    ("sendmsg", 9),
    ("recvmsg", 10),
    ("accept", 13),
    ("connect", 16),
    ("fallocate", 17),
    ("openat", 18),
    ("close", 19),
    ("openat2", 28),
    ("shutdown", 34),
    ("renameat", 35),
    ("unlinkat", 36),
    ("mkdirat", 37),
    ("symlinkat", 38),
    ("linkat", 39),
    ("msg_ring", 40),
    ("fsetxattr", 41),
    ("setxattr", 42),
    ("fgetxattr", 43),
    ("getxattr", 44),
    ("uring_cmd", 46),
    ("sendmsg_zc", 48),
];

/// The number of an io_uring operation.
pub(super) fn uring_number(name: &str) -> Option<u16> {
    URING.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

/// The number of a record type: a name in any case, or `UNKNOWN[1399]`.
pub(super) fn record_type(name: &str) -> Option<u32> {
    let bracketed = || name.strip_prefix("UNKNOWN[")?.strip_suffix(']')?.parse().ok();
    record_type_rows().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| number).or_else(bracketed)
}

/// The name of a record type.
pub(crate) fn record_type_name(number: u32) -> Option<&'static str> {
    record_type_rows().find(|(_, known)| *known == number).map(|(name, _)| name)
}

fn record_type_rows() -> impl Iterator<Item = (&'static str, u32)> {
    rows(include_str!("record_types.txt")).filter_map(|mut row| Some((row.next()?, row.next()?.parse().ok()?)))
}

/// The number of an error name with or without a minus, as in `exit=-EACCES`.
pub(super) fn errno(name: &str) -> Option<i32> {
    let (sign, name) = name.strip_prefix('-').map_or((1, name), |rest| (-1, rest));
    let name = match name.to_ascii_uppercase().as_str() {
        "EWOULDBLOCK" => "EAGAIN".to_owned(),
        "EDEADLOCK" => "EDEADLK".to_owned(),
        other => other.to_owned(),
    };
    (1..=133).find(|number| format!("{:?}", nix::errno::Errno::from_raw(*number)) == name).map(|number| sign * number)
}

/// Kinds of files after `-F filetype=`.
const FILE_TYPES: [(&str, u32); 7] = [
    ("block", 0x6000),
    ("character", 0x2000),
    ("dir", 0x4000),
    ("fifo", 0x1000),
    ("file", 0x8000),
    ("link", 0xA000),
    ("socket", 0xC000),
];

/// The number of a kind of file.
pub(super) fn file_type(name: &str) -> Option<u32> {
    FILE_TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

/// The name of a kind of file.
pub(super) fn file_type_name(number: u32) -> Option<&'static str> {
    FILE_TYPES.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

/// debugfs, by its superblock's magic number.
pub(crate) const DEBUGFS: u32 = 0x6462_6720;
/// tracefs, by its superblock's magic number.
pub(crate) const TRACEFS: u32 = 0x7472_6163;

/// The number of a file system's name after `-F fstype=`.
pub(super) fn filesystem_type(name: &str) -> Option<u32> {
    match name.to_ascii_lowercase().as_str() {
        "debugfs" => Some(DEBUGFS),
        "tracefs" => Some(TRACEFS),
        _ => None,
    }
}

/// Field names as `auditctl` prints them.
const FIELDS: [(&str, FieldId); 45] = [
    ("pid", FieldId::PID),
    ("uid", FieldId::UID),
    ("euid", FieldId(2)),
    ("suid", FieldId(3)),
    ("fsuid", FieldId(4)),
    ("gid", FieldId::GID),
    ("egid", FieldId(6)),
    ("sgid", FieldId(7)),
    ("fsgid", FieldId::FSGID),
    ("auid", FieldId::AUID),
    ("pers", FieldId::PERS),
    ("arch", FieldId::ARCH),
    ("msgtype", FieldId::MSGTYPE),
    ("subj_user", FieldId::SUBJ_USER),
    ("subj_role", FieldId(14)),
    ("subj_type", FieldId(15)),
    ("subj_sen", FieldId(16)),
    ("subj_clr", FieldId::SUBJ_CLR),
    ("ppid", FieldId::PPID),
    ("obj_user", FieldId::OBJ_USER),
    ("obj_role", FieldId(20)),
    ("obj_type", FieldId(21)),
    ("obj_lev_low", FieldId(22)),
    ("obj_lev_high", FieldId::OBJ_LEV_HIGH),
    ("sessionid", FieldId::SESSIONID),
    ("fstype", FieldId::FSTYPE),
    ("devmajor", FieldId::DEVMAJOR),
    ("devminor", FieldId::DEVMINOR),
    ("inode", FieldId::INODE),
    ("exit", FieldId::EXIT),
    ("success", FieldId::SUCCESS),
    ("path", FieldId::PATH),
    ("perm", FieldId::PERM),
    ("dir", FieldId::DIR),
    ("filetype", FieldId::FILETYPE),
    ("obj_uid", FieldId::OBJ_UID),
    ("obj_gid", FieldId::OBJ_GID),
    ("field_compare", FieldId::COMPARE),
    ("exe", FieldId::EXE),
    ("saddr_fam", FieldId::SADDR_FAM),
    ("a0", FieldId::ARG0),
    ("a1", FieldId(201)),
    ("a2", FieldId(202)),
    ("a3", FieldId::ARG3),
    ("key", FieldId::KEY),
];

/// The field of a name, in any case; `loginuid` is `auid`.
pub(super) fn field(name: &str) -> Option<FieldId> {
    let name = if name.eq_ignore_ascii_case("loginuid") { "auid" } else { name };
    FIELDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, id)| *id)
}

/// The name of a field.
pub(super) fn field_name(id: FieldId) -> Option<&'static str> {
    FIELDS.iter().find(|(_, known)| *known == id).map(|(name, _)| *name)
}

/// The pairs that `-C` can compare, in the order of their kernel numbers, which start at 1.
const COMPARISONS: [(&str, &str); 25] = [
    ("uid", "obj_uid"),
    ("gid", "obj_gid"),
    ("euid", "obj_uid"),
    ("egid", "obj_gid"),
    ("auid", "obj_uid"),
    ("suid", "obj_uid"),
    ("sgid", "obj_gid"),
    ("fsuid", "obj_uid"),
    ("fsgid", "obj_gid"),
    ("uid", "auid"),
    ("uid", "euid"),
    ("uid", "fsuid"),
    ("uid", "suid"),
    ("auid", "fsuid"),
    ("auid", "suid"),
    ("auid", "euid"),
    ("euid", "suid"),
    ("euid", "fsuid"),
    ("suid", "fsuid"),
    ("gid", "egid"),
    ("gid", "fsgid"),
    ("gid", "sgid"),
    ("egid", "fsgid"),
    ("egid", "sgid"),
    ("sgid", "fsgid"),
];

/// The kernel number of comparing two fields, in either order.
pub(super) fn comparison(left: FieldId, right: FieldId) -> Option<u32> {
    let (left, right) = (field_name(left)?, field_name(right)?);
    let found = COMPARISONS.iter().position(|pair| *pair == (left, right) || *pair == (right, left))?;
    u32::try_from(found).ok().map(|index| index + 1)
}

/// The two fields that a comparison number compares.
pub(super) fn comparison_names(number: u32) -> Option<(&'static str, &'static str)> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    COMPARISONS.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_system_calls_is_sorted_and_whole() {
        assert_eq!(syscalls().len(), 481);
        assert!(syscalls().is_sorted_by(|left, right| left.name < right.name));
        assert_eq!(syscall_number(Arch::X86_64, "OpenAt"), Some(257));
        assert_eq!(Arch::ALL.map(|arch| syscall_number(arch, "execveat")), [Some(322), Some(358), Some(281), Some(387)]);
        assert_eq!(syscall_number(Arch::Aarch64, "open"), None);
        assert_eq!(syscall_name(Arch::I386, 2), Some("fork"));
    }

    #[test]
    fn record_types_and_errors_have_numbers() {
        assert_eq!(record_type("cwd"), Some(1307));
        assert_eq!(record_type("UNKNOWN[1399]"), Some(1399));
        assert_eq!(record_type_name(1300), Some("SYSCALL"));
        assert_eq!(
            ["EPERM", "-eacces", "EWOULDBLOCK", "EDEADLOCK", "ENOTSUP"].map(errno),
            [Some(1), Some(-13), Some(11), Some(35), None]
        );
    }
}
