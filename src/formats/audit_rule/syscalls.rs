//! Sets of system calls.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Arch, Perms, names};

/// A set of system calls, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Syscalls {
    /// Every one.
    All,
    /// These; none at all in a rule of the task list.
    Only(BTreeSet<u16>),
}

/// Words of the kernel's system call mask.
pub(super) const MASK_WORDS: usize = 64;
/// The top bits of the mask stand for classes of calls; the kernel turns them into the calls and clears them.
const CLASS_BITS: usize = 16;
/// System call numbers that a rule can name.
pub(super) const MAX_SYSCALLS: usize = MASK_WORDS * 32 - CLASS_BITS;

impl Syscalls {
    /// Reads the kernel's mask.
    pub(super) fn from_mask(mask: &[u32; MASK_WORDS]) -> Self {
        if full(mask) {
            return Syscalls::All;
        }
        let set = |number: &usize| mask[number / 32] & (1 << (number % 32)) != 0;
        Syscalls::Only((0..MAX_SYSCALLS).filter(set).filter_map(|number| u16::try_from(number).ok()).collect())
    }

    /// The kernel's mask, as the kernel lists it.
    pub(super) fn mask(&self) -> [u32; MASK_WORDS] {
        let mut mask = [0; MASK_WORDS];
        let mut set = |number: usize| mask[number / 32] |= 1 << (number % 32);
        match self {
            Syscalls::All => (0..MAX_SYSCALLS).for_each(&mut set),
            Syscalls::Only(numbers) => numbers.iter().map(|n| usize::from(*n)).filter(|n| *n < MAX_SYSCALLS).for_each(&mut set),
        }
        mask
    }

    /// Whether a system call number is among them.
    pub fn contains(&self, number: u16) -> bool {
        match self {
            Syscalls::All => true,
            Syscalls::Only(numbers) => numbers.contains(&number),
        }
    }

    /// Whether these can be what a version of auditctl makes of `written` for a rule with these perms.
    pub(super) fn may_replace(&self, written: &Syscalls, perms: Perms, arch: Arch) -> bool {
        let has = |name| names::syscall_number(arch, name).is_some_and(|number| self.contains(number));
        let typical = [(Perms::READ, "openat"), (Perms::WRITE, "openat"), (Perms::EXEC, "execve"), (Perms::ATTR, "fchmodat")];
        let with_perms = typical.into_iter().filter(|(perm, _)| perms.contains(*perm)).all(|(_, name)| has(name));
        with_perms
            && match written {
                Syscalls::All => true,
                Syscalls::Only(numbers) => numbers.iter().all(|number| self.contains(*number)),
            }
    }
}

/// Whether every call is in a mask, whatever its class bits. Most rules have such a mask, so this is told without a set.
fn full(mask: &[u32; MASK_WORDS]) -> bool {
    let (last, words) = (mask[MASK_WORDS - 1], &mask[..MASK_WORDS - 1]);
    let calls = u32::MAX >> CLASS_BITS;
    words.iter().all(|word| *word == u32::MAX) && last & calls == calls
}
