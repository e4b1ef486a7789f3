//! dockerd: its unit, its process, its configuration, its API.

use super::Observer;
use crate::fact::{Fact, Layout};
use crate::host::process;
use crate::kinds::effective::{self, DEFAULT_CONFIG_FILE, INIT_SCRIPT, SERVICE, SOCKET};
use crate::kinds::{self, restart, supervisor};

/// Programs whose presence means that Docker is installed.
const DOCKERD: [&str; 4] =
    ["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd", "/snap/docker/current/bin/dockerd"];

impl Observer<'_> {
    /// dockerd: its unit, its process, its configuration, its API.
    pub(super) fn docker(&mut self) {
        self.find_dockerd();
        let pending = self.host.ask_engine(&self.facts.daemon.process);
        self.facts.daemon.installed = self.docker_installed();
        let answer = pending.wait();
        (self.facts.daemon.api, self.facts.daemon.version) = (answer.api, answer.version);
        self.layout_of_answer(answer.product, self.host.endpoint_is_given());
        if let Some(version) = &self.host.docker_version {
            self.facts.daemon.version = Fact::Known(version.clone());
        }
        self.facts.daemon.config_at_start = self.host.config_at_start(&self.facts);
        self.effective = None;
        restart::observe(self);
    }

    /// dockerd's unit, process and configuration file, and the socket to ask it at.
    pub(super) fn find_dockerd(&mut self) {
        self.unit(SERVICE);
        let init = !effective::starts_units(&self.facts);
        if init || self.facts.units.get(SERVICE).is_some_and(Fact::is_absent) {
            self.stat(INIT_SCRIPT);
        }
        // With docker.socket systemd may be the one who listens, whatever the flags say: a connection would start Docker.
        self.unit(SOCKET);
        // Where it would be, had it been started by its unit.
        let config = self.effective().0.unit.as_ref().and_then(|(_, flags)| flags.config_file.clone());
        self.read_config(config.unwrap_or_else(|| DEFAULT_CONFIG_FILE.into()));
        let others = self.socket_of_others().is_some();
        let (effective, facts) = self.effective();
        let has_unit = !matches!(facts.units.get(SOCKET), Some(Fact::Absent));
        let activated = effective.socket_activated() || (has_unit && effective::starts_units(facts));
        // A link to somebody else's socket is not connected to either: that would start them.
        let activated = activated || others;
        let sockets = if activated { Vec::new() } else { effective.docker_sockets(facts) };
        let pidfile = effective.configured("pidfile").and_then(|path| path.as_str().map(str::to_owned));
        self.facts.daemon.process = self.host.find_dockerd(pidfile.as_deref(), &sockets);
        self.effective = None;
        self.layout_of_process();
        let of_layout = kinds::layout::config_file(&self.facts.daemon.layout.kind);
        let running = self.effective().0.running.as_ref().map(|flags| flags.config_file.clone());
        if running.is_some() || self.facts.daemon.layout.kind != Layout::Rootful {
            let config = running.flatten().or_else(|| of_layout.ok());
            self.read_config(config.unwrap_or_else(|| DEFAULT_CONFIG_FILE.into()));
        }
        let (effective, facts) = self.effective();
        let sockets = effective.listening_sockets(facts);
        self.host.dockerd_listens_on(&sockets);
        if init {
            supervisor::observe(self);
        }
    }

    pub(super) fn read_config(&mut self, path: String) {
        if !path.starts_with('/') {
            let why = format!("dockerd was started with the relative path --config-file {path}; give it an absolute one");
            self.facts.files.insert(path.clone(), Fact::Unknown(why));
        }
        self.read(&path);
        self.facts.daemon.config_file = path;
        self.effective = None;
    }

    pub(super) fn docker_installed(&mut self) -> Fact<String> {
        match &self.facts.daemon.process {
            Fact::Known(process) => return Fact::Known(process.exe.clone()),
            Fact::Unknown(_) | Fact::Absent => {}
        }
        if let Some(Fact::Known(unit)) = [SERVICE, kinds::layout::SNAP_SERVICE]
            .iter()
            .find_map(|name| self.facts.units.get(*name).filter(|unit| unit.known().is_some()))
        {
            return Fact::Known(unit.fragment.clone());
        }
        let mut doubt = None;
        let config = self.facts.daemon.config_file.clone();
        for path in DOCKERD.into_iter().chain([config.as_str()]) {
            self.stat(path);
            match self.facts.files.get(path) {
                Some(Fact::Known(_)) => return Fact::Known(path.to_owned()),
                Some(Fact::Unknown(why)) => doubt = Some(why.clone()),
                _ => {}
            }
        }
        doubt.map_or(Fact::Absent, Fact::Unknown)
    }

    /// `PATH` of the running dockerd.
    pub fn search_path(&mut self) {
        let process = &self.facts.daemon.process;
        self.facts.daemon.search_path = Some(process.known().map_or(Fact::Absent, |process| process::search_path(process.pid)));
    }
}
