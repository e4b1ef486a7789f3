//! One line of a rules file, as `auditctl -R` takes it.
//!
//! What is refused here is refused there, by auditctl itself or by the kernel, and the load of all rules stops at that line. Where
//! versions of auditctl differ the newest counts, with a warning.

use std::path::Path;

use super::line::{Control, Env, Line, PathState, Problem};
use super::names::{self, Arch};
use super::number::{number_of, unsigned};
use super::options::{Opt, Options, words};
use super::syscalls::{MASK_WORDS, MAX_SYSCALLS};
use super::{Action, Field, FieldId, KEY_SEPARATOR, List, MAX_FIELDS, MAX_KEY, Rule, Syscalls, lossy};

/// Reads one line, without its newline. Never panics, whatever the bytes.
pub fn parse_line(line: &[u8], env: &Env) -> Line {
    let text = line.split(|byte| *byte == 0).next().unwrap_or_default();
    match text.iter().find(|byte| **byte != b' ') {
        None => return Line::Blank,
        Some(b'#') => return Line::Comment,
        Some(_) => {}
    }
    let words = match words(line) {
        Ok(words) => words,
        Err(problem) => return Line::Bad(problem),
    };
    let mut request = Request::new(env);
    match request.read(&words) {
        Ok(()) => request.finish(),
        Err(problem) => Line::Bad(problem),
    }
}

/// How reading a line goes on after an option.
#[derive(PartialEq)]
enum Flow {
    On,
    /// Further words are an error.
    Last,
    /// Further words are ignored.
    Return,
}

/// A rule in the making, with what auditctl remembers while it reads a line.
pub(super) struct Request<'e> {
    pub(super) env: &'e Env<'e>,
    pub(super) add: Option<List>,
    prepend: bool,
    pub(super) delete: Option<List>,
    pub(super) action: Option<Action>,
    /// `-a`, `-A` or `-d` was given.
    list_given: bool,
    /// There is something to send.
    pub(super) send: bool,
    exclude: bool,
    pub(super) syscall_added: bool,
    pub(super) perm_added: bool,
    pub(super) exe_added: bool,
    pub(super) fstype_added: bool,
    /// The architecture whose system call names count, once it is known.
    pub(super) arch: Option<u32>,
    all_before_perm: bool,
    pub(super) mask: [u32; MASK_WORDS],
    pub(super) fields: Vec<Field>,
    keys: Vec<u8>,
    controls: Vec<Control>,
    pub(super) warnings: Vec<String>,
}

impl<'e> Request<'e> {
    fn new(env: &'e Env<'e>) -> Self {
        Self {
            env,
            add: None,
            prepend: false,
            delete: None,
            action: None,
            list_given: false,
            send: false,
            exclude: false,
            syscall_added: false,
            perm_added: false,
            exe_added: false,
            fstype_added: false,
            arch: None,
            all_before_perm: false,
            mask: [0; MASK_WORDS],
            fields: Vec::new(),
            keys: Vec::new(),
            controls: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn read(&mut self, words: &[Vec<u8>]) -> Result<(), Problem> {
        let mut options = Options::new(words);
        let mut any = false;
        let mut flow = Flow::On;
        while flow == Flow::On {
            let Some(option) = options.next() else { break };
            any = true;
            flow = match option {
                Opt::Flag(letter) => self.flag(letter, &mut options)?,
                Opt::With(letter, argument) => self.with_argument(letter, argument, &options)?,
                Opt::Long(name, argument) => self.long(name, argument)?,
                Opt::Invalid(word) => {
                    return Err(Problem::auditctl(format!(
                        "`{}` is no option of auditctl, or its argument is missing",
                        lossy(word)
                    )));
                }
            };
        }
        // Such a command ends the line: a rule before it is not sent.
        self.send &= flow == Flow::On;
        self.syscall_added &= flow == Flow::On;
        if flow == Flow::Return {
            return Ok(());
        }
        if options.has_leftover() || (!any && words.first().is_none_or(|word| word != b"--")) {
            return Err(Problem::auditctl(
                "a word without an option before it: auditctl splits at each space, knows no quotes and no comments at the end of a \
                 line; write a space within a word as `\\ `",
            ));
        }
        self.add_keys()
    }

    fn flag(&mut self, letter: char, options: &mut Options) -> Result<Flow, Problem> {
        match letter {
            'i' => self.controls.push(Control::IgnoreErrors),
            'c' => self.controls.push(Control::ContinueThroughErrors),
            'D' => {
                let key = self.one_key(options, "-D takes nothing, or `-k` and a key")?;
                self.controls.push(Control::DeleteAll(key));
            }
            's' if options.total() > 2 || (options.is_first() && !matches!(options.following(), None | Some(b"-i"))) => {
                return Err(Problem::auditctl("-s takes nothing but -i"));
            }
            'l' if options.total() == 2 && options.following() == Some(b"-i") => options.drop_last(1),
            'l' => {
                self.one_key(options, "-l takes nothing, or `-k` and a key")?;
            }
            't' => {
                self.controls.push(Control::Other);
                return Ok(Flow::Return);
            }
            'h' => return Err(Problem::auditctl("-h in a rules file is an error")),
            _ => {}
        }
        if letter == 's' && options.is_first() {
            options.drop_last(options.total() - 1);
        }
        if matches!(letter, 's' | 'l' | 'v') {
            self.controls.push(Control::Other);
        }
        Ok(Flow::Last)
    }

    /// The key of `-D -k KEY`, which must be the whole line.
    fn one_key(&self, options: &mut Options, expected: &str) -> Result<Option<String>, Problem> {
        match options.total() {
            1 => Ok(None),
            3 if options.following() == Some(b"-k") => {
                let key = options.word(2).map(lossy);
                options.drop_last(2);
                Ok(key)
            }
            _ => Err(Problem::auditctl(expected)),
        }
    }

    fn with_argument(&mut self, letter: char, argument: &[u8], options: &Options) -> Result<Flow, Problem> {
        match letter {
            'a' | 'A' => self.append(argument, letter == 'A')?,
            'd' => {
                self.delete = self.keywords(argument, self.delete, "-d")?;
                self.send = true;
            }
            'w' => self.watch(argument)?,
            'W' => {
                self.delete = Some(List::Exit);
                self.watched_path(argument)?;
            }
            'S' => self.syscalls(argument)?,
            'F' => self.condition(argument)?,
            'C' => self.comparison(argument, self.list())?,
            'p' => self.watch_perms(argument)?,
            'k' => self.key_option(argument)?,
            'e' | 'f' => {
                let value = [b"0", b"1", b"2"].iter().position(|known| *known == argument).and_then(|n| u32::try_from(n).ok());
                let value =
                    value.ok_or_else(|| Problem::auditctl(format!("-{letter} takes 0, 1 or 2, not `{}`", lossy(argument))))?;
                self.controls.push(if letter == 'e' { Control::Enabled(value) } else { Control::Failure(value) });
            }
            'b' => self.controls.push(Control::Backlog(unsigned(argument, "-b")?)),
            'r' => self.controls.push(Control::Rate(unsigned(argument, "-r")?)),
            'm' => {
                if options.total() > 2 || argument.iter().any(|byte| !(32..128).contains(byte)) {
                    return Err(Problem::auditctl("-m takes one word of printable ASCII and stands alone"));
                }
                self.controls.push(Control::Other);
                return Ok(Flow::Return);
            }
            'q' => {
                self.equivalent(argument)?;
                return Ok(Flow::Return);
            }
            _ => return Err(Problem::auditctl("-R in a rules file: files do not nest")),
        }
        Ok(Flow::On)
    }

    fn long(&mut self, name: &str, argument: &[u8]) -> Result<Flow, Problem> {
        match name {
            "backlog_wait_time" => {
                let value = unsigned(argument, "--backlog_wait_time")?;
                if value > MOST_WAIT_TIME {
                    return Err(Problem::kernel(format!("--backlog_wait_time {value}: the kernel refuses so long a time")));
                }
                self.controls.push(Control::BacklogWaitTime(value));
                Ok(Flow::On)
            }
            "signal" => Err(Problem::unmodelled("--signal: audit 3.0.9 does not know it, later versions signal auditd")),
            _ => {
                self.controls.push(Control::Other);
                Ok(Flow::Return)
            }
        }
    }

    /// `-a`, `-A`.
    fn append(&mut self, argument: &[u8], prepend: bool) -> Result<(), Problem> {
        if self.syscall_added && argument.windows(4).any(|part| part == b"task") {
            return Err(Problem::auditctl("rules of the task list look at no system calls: leave out -S and -w"));
        }
        self.add = self.keywords(argument, self.add, if prepend { "-A" } else { "-a" })?;
        self.prepend |= prepend;
        self.send = true;
        Ok(())
    }

    /// `LIST,ACTION` or `ACTION,LIST`; `list` is what `-w` may have set before.
    fn keywords(&mut self, argument: &[u8], list: Option<List>, option: &str) -> Result<Option<List>, Problem> {
        if std::mem::replace(&mut self.list_given, true) {
            return Err(Problem::auditctl("a line adds or deletes one rule: only one of -a, -A and -d"));
        }
        let bad = || {
            Problem::auditctl(format!(
                "`{option} {}`: expected an action (always, never) and a list (task, exit, user, exclude, filesystem, io_uring) in \
                 lower case with a comma and no space between",
                lossy(argument)
            ))
        };
        let words: Vec<&[u8]> = argument.split(|byte| *byte == b',').collect();
        let &[first, second] = words.as_slice() else { return Err(bad()) };
        let list_of = |word: &[u8]| List::ALL.into_iter().find(|list| list.name().as_bytes() == word);
        let action_of =
            |word: &[u8]| [Action::Never, Action::Always].into_iter().find(|action| action.name().as_bytes() == word);
        let list = match action_of(first) {
            Some(action) if list.is_none() => {
                self.action = Some(action);
                list_of(second)
            }
            Some(_) => None,
            None => {
                self.action = Some(action_of(second).ok_or_else(bad)?);
                list_of(first)
            }
        };
        let list = list.ok_or_else(bad)?;
        self.exclude |= list == List::Exclude;
        if list == List::IoUring {
            self.warnings.push("audit 3.0.9 (Debian 12) is built without io_uring and stops loading here".into());
        }
        Ok(Some(list))
    }

    pub(super) fn list(&self) -> Option<List> {
        self.add.or(self.delete)
    }

    /// auditctl keeps one field free.
    pub(super) fn room(&self) -> Result<(), Problem> {
        if self.fields.len() < MAX_FIELDS - 1 {
            return Ok(());
        }
        Err(Problem::auditctl(format!("too many fields: a rule takes {}", MAX_FIELDS - 1)))
    }

    /// `-S`
    fn syscalls(&mut self, argument: &[u8]) -> Result<(), Problem> {
        let list = self.list();
        if matches!(list, Some(List::Task | List::User | List::Filesystem)) || self.exclude {
            let list = list.unwrap_or(List::Exclude).name();
            return Err(Problem::auditctl(format!("rules of the {list} list look at no system calls: leave out -S")));
        }
        let uring = list == Some(List::IoUring);
        let arch = self.arch.unwrap_or(self.env.machine.arches()[0].code());
        for name in argument.split(|byte| *byte == b',').filter(|name| !name.is_empty()) {
            if name == b"all" {
                self.mask = [u32::MAX; MASK_WORDS];
                self.all_before_perm |= !self.perm_added || self.fields.iter().all(|field| field.id != FieldId::PERM);
                continue;
            }
            let number = if uring { uring_number(name)? } else { self.syscall_number(name, arch)? };
            self.mask[number / 32] |= 1 << (number % 32);
        }
        if !uring {
            if self.arch.is_none() && argument != b"all" {
                let note = "-S without `-F arch=`: the numbers of 64-bit system calls are applied to 32-bit programs too";
                self.warnings.push(note.into());
            }
            self.arch = Some(arch);
        }
        self.syscall_added = true;
        Ok(())
    }

    fn syscall_number(&mut self, name: &[u8], arch: u32) -> Result<usize, Problem> {
        let text = lossy(name);
        let unknown = || Problem::auditctl(format!("`{text}` is no system call of this architecture"));
        let number = match Arch::from_code(arch) {
            Some(arch) => names::syscall_number(arch, &text).map(u64::from),
            None if name[0].is_ascii_digit() => None,
            None => {
                return Err(Problem::unmodelled(format!(
                    "the system calls of arch {} are not known to harden",
                    names::arch_name(arch)
                )));
            }
        };
        let number = number.or_else(|| name[0].is_ascii_digit().then(|| number_of(name))).ok_or_else(unknown)?;
        let number = usize::try_from(number).ok().filter(|number| *number < MASK_WORDS * 32).ok_or_else(unknown)?;
        if number >= MAX_SYSCALLS {
            return Err(Problem::unmodelled(format!("-S {text}: the kernel takes this number for a class of system calls")));
        }
        if number > NEWEST_OLD_SYSCALL && !name[0].is_ascii_digit() {
            self.warnings.push(format!("audit 3.0.9 (Debian 12) does not know the system call {text} and stops loading here"));
        }
        Ok(number)
    }

    /// `-F`
    fn condition(&mut self, argument: &[u8]) -> Result<(), Problem> {
        let list = self.list().ok_or_else(|| Problem::auditctl("-F must come after -a, -A, -d or -w"))?;
        match argument.strip_prefix(b"key=") {
            Some(key) => self.key(key),
            None => self.field(argument, list),
        }
    }

    /// `-k`
    fn key_option(&mut self, key: &[u8]) -> Result<(), Problem> {
        let anchored = self.syscall_added || self.perm_added || self.exe_added || self.fstype_added;
        if !anchored || self.list().is_none() {
            return Err(Problem::auditctl("-k must come after -w, -S, or -F with path, dir, perm, exe or fstype"));
        }
        self.key(key)
    }

    fn key(&mut self, key: &[u8]) -> Result<(), Problem> {
        let separator = usize::from(!self.keys.is_empty());
        if self.keys.len() + separator + key.len() > MAX_KEY {
            return Err(Problem::auditctl(format!("the keys of a rule may have {MAX_KEY} bytes together")));
        }
        if separator == 1 {
            self.keys.push(KEY_SEPARATOR);
        }
        self.keys.extend_from_slice(key);
        Ok(())
    }

    /// All keys become one field, the last one.
    fn add_keys(&mut self) -> Result<(), Problem> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let pair = [b"key=", self.keys.as_slice()].concat();
        // Without a list auditctl takes the keys for the user list's.
        self.field(&pair, self.list().unwrap_or(List::User))
    }

    /// `-q MOUNT,SUBTREE`
    fn equivalent(&mut self, argument: &[u8]) -> Result<(), Problem> {
        let parts: Vec<&[u8]> = argument.split(|byte| *byte == b',').collect();
        let &[mount, subtree] = parts.as_slice() else {
            return Err(Problem::auditctl("-q takes two paths with a comma between"));
        };
        if subtree.is_empty() || self.syscall_added {
            return Err(Problem::auditctl("-q takes two paths with a comma between, and stands alone"));
        }
        for path in [mount, subtree] {
            if !matches!((self.env.path_state)(as_path(path)), PathState::Dir | PathState::Other) {
                return Err(Problem::kernel(format!("-q: `{}` is not there", lossy(path))));
            }
        }
        self.controls.push(Control::Other);
        Ok(())
    }

    fn finish(mut self) -> Line {
        if !self.send {
            return match self.syscall_added {
                true => Line::Bad(Problem::auditctl("-S needs a list: write `-a always,exit` before it")),
                false => Line::Control(self.controls),
            };
        }
        let (Some(list), Some(action)) = (self.list(), self.action) else {
            return Line::Bad(Problem::auditctl("no list and no action: write `-a always,exit`"));
        };
        if list != List::Task && !self.syscall_added {
            self.mask = [u32::MAX; MASK_WORDS];
        }
        let rule = Rule {
            list,
            action,
            prepended: self.prepend,
            syscalls: Syscalls::from_mask(&self.mask),
            fields: std::mem::take(&mut self.fields),
        };
        if self.add.is_none() {
            self.controls.push(Control::Delete(rule));
            return Line::Control(self.controls);
        }
        if let Err(problem) = rule.check_kernel(self.env) {
            return Line::Bad(problem);
        }
        if !self.controls.is_empty() {
            return Line::Bad(Problem::unmodelled("a rule and another command on one line: give each its own line"));
        }
        self.warn_of_versions(&rule);
        Line::Rule { rule, warnings: self.warnings }
    }

    fn warn_of_versions(&mut self, rule: &Rule) {
        let Some(arch) = rule.first(FieldId::ARCH).and_then(|field| field.value.number()) else { return };
        if rule.perms().is_none() {
            return;
        }
        if !self.all_before_perm {
            self.warnings.push(
                "from audit 3.1.3 on, `-F arch=` with perm and without `-S all` before it loads a list of system calls that depends on \
                 the version; execveat, fchmodat2, setxattrat and removexattrat are missing from it"
                    .into(),
            );
        }
        if !self.env.machine.arches().iter().any(|native| native.code() == arch) {
            let name = names::arch_name(arch);
            self.warnings
                .push(format!("arch {name} is not this machine's: audit 4.0 before 4.0.4 may refuse it together with perm"));
        }
    }
}

/// The longest backlog wait time that some kernel takes: ten minutes of a clock that ticks 1000 times a second.
const MOST_WAIT_TIME: u32 = 600_000;

/// The newest system call that audit 3.0.9 knows by name.
const NEWEST_OLD_SYSCALL: usize = 450;

fn uring_number(name: &[u8]) -> Result<usize, Problem> {
    let number = names::uring_number(&lossy(name)).map(u64::from);
    let number = number.or_else(|| name[0].is_ascii_digit().then(|| number_of(name)));
    let number = number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number < MAX_SYSCALLS);
    number.ok_or_else(|| Problem::auditctl(format!("`{}` is no io_uring operation that can be audited", lossy(name))))
}

pub(super) fn as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
