#!/usr/bin/env python3
"""Records what a real systemd makes of unit files and environment files: the answers that tests of src/formats expect.

Run as root on a machine with systemd, gcc, setpriv and unshare installed (systemd need not be PID 1). To add a case, add
its object to answers.json without the last two fields and record again:

    ./record.py answers.json > new.json && mv new.json answers.json

Fields: "name"; "unit", a unit file; "files", environment files by their name under /run/env/; "drop_in", a drop-in;
"commands", the argument lists in the order run, empty when systemd refused the unit; "environment", that of the first
command without what the manager itself sets. Text is Latin-1, one character a byte.

Each unit runs once under a private `systemd --user`, with /usr/sbin/dockerd replaced (in a private mount namespace) by
a program that writes down its arguments and environment.
"""
import json, os, shutil, signal, subprocess, sys, tempfile, time

PROGRAM = r'''
#include <stdio.h>
extern char **environ;
static void hex(FILE *f, const char *s) { fputc(' ', f); fputc('x', f); for (; *s; s++) fprintf(f, "%02x", (unsigned char)*s); }
int main(int argc, char **argv) {
  FILE *f = fopen("out", "a");
  fputc('A', f); for (int i = 0; i < argc; i++) hex(f, argv[i]);
  fputs("\nE", f); for (char **e = environ; *e; e++) hex(f, *e);
  fputc('\n', f); return fclose(f);
}
'''
MANAGER = {"HOME", "LANG", "LOGNAME", "USER", "SHELL", "PATH", "PWD", "XDG_RUNTIME_DIR", "INVOCATION_ID", "SYSTEMD_EXEC_PID",
           "MANAGERPID", "QT_ACCESSIBILITY", "JOURNAL_STREAM", "SYSTEMD_UNIT_PATH", "MANAGERPIDFDID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"}
INNER = r'''
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && cp -r "$1/env" /run/env && chmod -R a+rX /run/env
mount --bind "$1/program" /usr/sbin/dockerd
exec setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH=/usr/bin:/bin HOME="$1/home" XDG_RUNTIME_DIR="$1/run" \
  SYSTEMD_UNIT_PATH="$1/units" /lib/systemd/systemd --user --unit=all.target
'''


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text.encode("latin-1"))


def prepare(top, cases):
    for folder in ("env", "home", "run", "out"):
        os.makedirs(f"{top}/{folder}")
    write(f"{top}/program.c", PROGRAM)
    subprocess.run(["gcc", "-o", f"{top}/program", f"{top}/program.c"], check=True)
    for target in ("basic", "shutdown", "default", "sysinit"):
        write(f"{top}/units/{target}.target", "[Unit]\nDescription=stub\n")
    wants = "".join(f"Wants={case['name']}.service\n" for case in cases)
    write(f"{top}/units/all.target", "[Unit]\n" + wants)
    for case in cases:
        unit = f"{top}/units/{case['name']}.service"
        write(unit, case["unit"])
        write(f"{unit}.d/99.conf", f"[Service]\nType=oneshot\nWorkingDirectory={top}/out/{case['name']}\n")
        if "drop_in" in case:
            write(f"{unit}.d/50.conf", case["drop_in"])
        os.makedirs(f"{top}/out/{case['name']}")
        for name, text in case.get("files", {}).items():
            write(f"{top}/env/{name}", text)
    subprocess.run(["chmod", "-R", "a+rX", top], check=True)
    subprocess.run(["chown", "-R", "nobody", f"{top}/home", f"{top}/run", f"{top}/out"], check=True)
    os.chmod(f"{top}/run", 0o700)


def own_cgroups(number):
    made = []
    for tree in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if os.path.exists(f"{tree}/cgroup.procs"):
            made.append(f"{tree}/harden-record-{number}")
            os.makedirs(made[-1], exist_ok=True)
            subprocess.run(["chown", "-R", "nobody", made[-1]], check=True)
    return made


def run(top, groups):
    def enter():
        for group in groups:
            write(f"{group}/cgroup.procs", str(os.getpid()))
    log = open(f"{top}/log", "wb")
    manager = subprocess.Popen(["unshare", "-m", "sh", "-c", INNER, "sh", top], preexec_fn=enter, stdout=log, stderr=log)
    quiet, before = 0, None
    while quiet < 10:
        time.sleep(0.3)
        now = sum(os.path.exists(f"{top}/out/{name}/out") for name in os.listdir(f"{top}/out"))
        quiet, before = (quiet + 1 if now == before else 0), now
    manager.kill()
    manager.wait()


def texts(fields):
    return [bytes.fromhex(field[1:]).decode("latin-1") for field in fields]


def collect(top, case):
    commands, environment = [], {}
    try:
        lines = open(f"{top}/out/{case['name']}/out").read().splitlines()
    except FileNotFoundError:
        lines = []
    for line in lines:
        kind, *fields = line.split(" ")
        if kind == "A":
            commands.append(texts(fields))
        elif not environment:
            environment = dict(pair.split("=", 1) for pair in texts(fields))
    return {**case, "commands": commands, "environment": {k: v for k, v in environment.items() if k not in MANAGER}}


def main():
    cases = json.load(open(sys.argv[1]))
    top = tempfile.mkdtemp(prefix="record-")
    os.chmod(top, 0o755)
    groups = own_cgroups(os.getpid())
    prepare(top, cases)
    run(top, groups)
    answers = [collect(top, case) for case in cases]
    print("[\n" + ",\n".join(json.dumps(answer) for answer in answers) + "\n]")
    sys.stderr.write(open(f"{top}/log", errors="replace").read())
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                for pid in open(f"{folder}/cgroup.procs"):
                    os.kill(int(pid), signal.SIGKILL)
                time.sleep(0.05)
                os.rmdir(folder)
            except OSError as error:
                sys.stderr.write(f"{folder}: {error}\n")
    shutil.rmtree(top)


main()
