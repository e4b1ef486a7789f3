//! Lines of `/etc/group` and `/etc/gshadow`: taking members out, every other byte kept.

/// The file without these members of one group. In gshadow its administrators go too, who could put themselves back.
pub fn without(bytes: &[u8], group: &str, members: &[String]) -> Vec<u8> {
    bytes.split_inclusive(|&byte| byte == b'\n').flat_map(|line| line_without(line, group, members)).collect()
}

fn line_without(line: &[u8], group: &str, members: &[String]) -> Vec<u8> {
    let end = line.len() - line.iter().rev().take_while(|byte| b"\r\n".contains(byte)).count();
    let (text, ending) = line.split_at(end);
    let fields: Vec<&[u8]> = text.split(|&byte| byte == b':').collect();
    let [name, password, third, list] = fields.as_slice() else { return line.to_vec() };
    if *name != group.as_bytes() {
        return line.to_vec();
    }
    // The third field is a number in group, and the administrators in gshadow.
    let third = list_without(third, members);
    let list = list_without(list, members);
    [&[*name, *password, third.as_slice(), list.as_slice()].join(&b':'), ending].concat()
}

fn list_without(list: &[u8], members: &[String]) -> Vec<u8> {
    let names: Vec<&[u8]> = list.split(|&byte| byte == b',').collect();
    let goes = |name: &&[u8]| members.iter().any(|member| member.as_bytes() == name.trim_ascii());
    if !names.iter().any(goes) {
        return list.to_vec();
    }
    names.into_iter().filter(|name| !goes(name)).collect::<Vec<_>>().join(&b',')
}

/// The text with every password hidden.
pub fn masked(text: &str) -> String {
    let line = |line: &str| {
        let mut fields: Vec<&str> = line.splitn(3, ':').collect();
        if let Some(password) = fields.get_mut(1).filter(|password| !["", "x", "!", "*", "!*", "!!"].contains(password)) {
            *password = "***";
        }
        fields.join(":")
    };
    text.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_go_and_the_rest_stays() {
        for (line, members, expected) in [
            ("docker:x:998:bob,bobby\n", &["bob"][..], "docker:x:998:bobby\n"),
            ("docker:x:998:bobby\n", &["bob"], "docker:x:998:bobby\n"),
            ("docker:x:998:bob", &["bob"], "docker:x:998:"),
            ("docker:x:998: bob , al\r\n", &["bob"], "docker:x:998: al\r\n"),
            ("docker:x:998:bob,al,bob\n", &["bob"], "docker:x:998:al\n"),
            ("docker:!:bob:bob,al\n", &["bob"], "docker:!::al\n"),
            ("dockers:x:998:bob\n", &["bob"], "dockers:x:998:bob\n"),
            ("#docker:x:998:bob\ndocker:x:998:bob\n+::: \n", &["bob"], "#docker:x:998:bob\ndocker:x:998:\n+::: \n"),
            ("docker:x:998\n", &["bob"], "docker:x:998\n"),
        ] {
            let members: Vec<String> = members.iter().map(|name| name.to_string()).collect();
            assert_eq!(String::from_utf8(without(line.as_bytes(), "docker", &members)).unwrap(), expected, "{line:?}");
        }
    }

    #[test]
    fn passwords_are_hidden() {
        assert_eq!(masked("docker:!:bob:al\nops:$6$x$y:al:\n\nx\n"), "docker:!:bob:al\nops:***:al:\n\nx\n");
    }

    proptest! {
        #[test]
        fn other_bytes_are_kept(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            prop_assert_eq!(without(&bytes, "docker", &["nobody-here".into()]), bytes);
        }
    }
}
