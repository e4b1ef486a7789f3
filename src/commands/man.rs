//! `harden man`: the man pages, from the same source as `--help`.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::{Cli, Common};
use crate::commands::{Ending, output, text_only};
use crate::error::{Error, Result};

/// What `--help` has no room for.
const SECTIONS: &str = include_str!("../../templates/man.roff");

/// Prints the page of all, or of one command.
pub fn run(common: &Common, of: &[String]) -> Result<Ending> {
    text_only(common, "a man page")?;
    let page = page(of)?;
    output::bytes_out(common, &page)?;
    Ok(Ending::Done)
}

fn page(of: &[String]) -> Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    for name in of {
        let found = command.find_subcommand(name).cloned();
        command = found
            .ok_or_else(|| Error::usage(format!("there is no command `{}`", of.join(" "))).help("harden --help lists them"))?;
    }
    let title = command.get_display_name().unwrap_or("harden").to_uppercase();
    let source = concat!("harden ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).title(title).section("1").source(source).manual("Docker host hardening");
    let mut page = Vec::new();
    let written = match of {
        [] => whole(&man, &mut page),
        _ => man.render(&mut page),
    };
    written.map_err(|error| Error::failure(format!("cannot render the man page: {error}")))?;
    Ok(page)
}

/// The page of `harden` itself.
fn whole(man: &Man, page: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_subcommands_section(page)?;
    man.render_options_section(page)?;
    page.extend_from_slice(SECTIONS.as_bytes());
    man.render_version_section(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command, as it is typed.
    fn commands(command: &clap::Command, path: &[String], all: &mut Vec<Vec<String>>) {
        all.push(path.to_vec());
        for sub in command.get_subcommands() {
            commands(sub, &[path, &[sub.get_name().to_owned()]].concat(), all);
        }
    }

    #[test]
    fn every_command_has_a_page_that_is_roff() {
        let mut all = Vec::new();
        commands(&Cli::command(), &[], &mut all);
        assert!(all.len() > 20, "{all:?}");
        for of in all {
            let text = String::from_utf8(page(&of).unwrap()).unwrap();
            let name = [&["harden".to_owned()][..], &of].concat().join("-");
            assert!(text.contains(&format!(".TH {} 1 ", name.to_uppercase())), "{of:?}: {text}");
            assert!(text.contains(".SH NAME\n") && text.contains(".SH SYNOPSIS\n"), "{of:?}");
            for line in text.lines() {
                assert!(!line.starts_with('\''), "{of:?}: {line}");
                let request = line.strip_prefix('.').map(|rest| rest.split(' ').next().unwrap_or_default());
                let known = ["TH", "SH", "TP", "PP", "IP", "RS", "RE", "B", "I", "BR", "nf", "fi", "br", "ie", "el"];
                assert!(request.is_none_or(|request| known.contains(&request)), "{of:?}: {line}");
                assert!(
                    line.starts_with(".ie ") || line.starts_with(".el ") || !line.contains(" -o "),
                    "an unescaped dash: {line}"
                );
            }
        }
    }

    #[test]
    fn the_first_page_has_what_help_has_no_room_for() {
        let text = String::from_utf8(page(&[]).unwrap()).unwrap();
        for section in ["\"EXIT STATUS\"", "FILES", "ENVIRONMENT", "EXAMPLES", "SUBCOMMANDS", "OPTIONS"] {
            assert_eq!(text.matches(&format!(".SH {section}\n")).count(), 1, "{section}");
        }
        // What the examples use is there.
        for line in SECTIONS.lines().filter(|line| line.starts_with("harden ")) {
            let line = line.replace("\\-", "-");
            assert!(<Cli as clap::Parser>::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_command_that_is_none() {
        let error = page(&["baseline".into(), "sett".into()]).unwrap_err();
        assert_eq!(error.to_string(), "there is no command `baseline sett`\n  help: harden --help lists them");
    }
}
