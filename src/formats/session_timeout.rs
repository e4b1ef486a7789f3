//! `TMOUT` in the start-up files of shells: after how many idle seconds a shell ends, as far as plain assignments tell.

/// What one file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Each value that is assigned, as it is written, with its line.
    pub values: Vec<(String, usize)>,
    /// Whether a user can no longer change it afterwards.
    pub readonly: bool,
}

/// Reads one file.
pub fn parse(text: &str) -> Said {
    let mut said = Said::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        for command in line.split([';', '&', '|']).take_while(|_| !line.starts_with('#')) {
            let words: Vec<&str> = command.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
            let declares = words.first().is_some_and(|word| ["readonly", "declare", "typeset", "export"].contains(word));
            let marks = words.first() == Some(&"readonly")
                || (declares && words.iter().any(|word| word.starts_with('-') && word.contains('r')));
            let mentions = |word: &&&str| **word == "TMOUT" || word.starts_with("TMOUT=");
            for word in words.iter().filter(mentions).filter(|word| declares || words.first() == Some(word)) {
                if let Some(value) = word.strip_prefix("TMOUT=") {
                    said.values.push((value.trim_matches(['"', '\'']).to_owned(), index + 1));
                }
                said.readonly |= marks;
            }
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments() {
        for (text, values, readonly) in [
            ("", vec![], false),
            ("TMOUT=600", vec![("600", 1)], false),
            ("# TMOUT=600\nTMOUT=900 # idle\nreadonly TMOUT\nexport TMOUT", vec![("900", 2)], true),
            ("readonly TMOUT=600 ; export TMOUT", vec![("600", 1)], true),
            ("typeset -xr TMOUT=\"600\"", vec![("600", 1)], true),
            ("declare -x TMOUT='600'", vec![("600", 1)], false),
            ("TMOUT=600; readonly TMOUT; export TMOUT", vec![("600", 1)], true),
            ("TMOUT=${TMOUT:-900}", vec![("${TMOUT:-900}", 1)], false),
            ("TMOUT=0\n\nTMOUT=300", vec![("0", 1), ("300", 3)], false),
            ("echo TMOUT=5\nMY_TMOUT=5\nunset TMOUT", vec![], false),
        ] {
            let values = values.into_iter().map(|(value, line)| (value.to_owned(), line)).collect();
            assert_eq!(parse(text), Said { values, readonly }, "{text:?}");
        }
    }
}
