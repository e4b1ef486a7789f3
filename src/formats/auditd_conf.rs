//! `/etc/audit/auditd.conf`: `name = value` lines; names count in any case, the last line of a name wins.

/// The value of a setting and its line; `None` where it is not set.
pub fn get(text: &str, name: &str) -> Option<(String, usize)> {
    let setting = |(index, line): (usize, &str)| {
        let line = line.trim();
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        key.trim().eq_ignore_ascii_case(name).then(|| (value.trim().to_owned(), index + 1))
    };
    text.lines().enumerate().filter_map(setting).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let text = "# max_log_file = 1\nMax_Log_File = 8\nnum_logs=5 \nmax_log_file = 16\nspace_left_action =\nnonsense\n";
        for (name, expected) in [
            ("max_log_file", Some(("16", 4))),
            ("num_logs", Some(("5", 3))),
            ("space_left_action", Some(("", 5))),
            ("log_file", None),
        ] {
            assert_eq!(get(text, name), expected.map(|(value, line)| (value.to_owned(), line)), "{name}");
        }
    }
}
