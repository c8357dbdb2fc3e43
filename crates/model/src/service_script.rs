//! The scripts that `sv new` writes.

use alloc::vec::Vec;

/// `run`, or `setup` of a oneshot: becomes this command, as this user.
pub fn run(command: &[&[u8]], user: Option<&[u8]>) -> Vec<u8> {
    let mut script = b"#!/bin/sh\nexec 2>&1\nexec".to_vec();
    if let Some(user) = user {
        script.extend_from_slice(b" chpst -u ");
        quote(user, &mut script);
    }
    for word in command {
        script.push(b' ');
        quote(word, &mut script);
    }
    script.push(b'\n');
    script
}

/// `log/run`, by which svlogd keeps the log in a directory for each service. `name` is that of
/// a template, too, whose instances learn theirs from where they run; `None`: the log is kept
/// in the service directory, where an ordinary user may write.
pub fn log_run(name: Option<&[u8]>) -> Vec<u8> {
    let mut script = b"#!/bin/sh\n".to_vec();
    let mut dir = Vec::new();
    match name {
        None => dir.extend_from_slice(b"main"),
        Some(name) if name.ends_with(b"@") => {
            script.extend_from_slice(b"name=${PWD%/log}\n");
            dir.extend_from_slice(b"\"/var/log/${name##*/}\"");
        }
        Some(name) => quote(&[b"/var/log/", name].concat(), &mut dir),
    }
    for part in [
        b"mkdir -p ",
        &dir[..],
        b" || exit 1\nexec svlogd -tt ",
        &dir,
        b"\n",
    ] {
        script.extend_from_slice(part);
    }
    script
}

/// Adds a word as the shell reads it.
fn quote(word: &[u8], script: &mut Vec<u8>) {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+:,./-".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        script.extend_from_slice(word);
        return;
    }
    script.push(b'\'');
    for byte in word {
        match byte {
            b'\'' => script.extend_from_slice(b"'\\''"),
            byte => script.push(*byte),
        }
    }
    script.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(script: Vec<u8>) -> alloc::string::String {
        alloc::string::String::from_utf8(script).unwrap()
    }

    #[test]
    fn words_are_quoted_where_the_shell_would_read_more_into_them() {
        let words: [&[u8]; 8] = [
            b"/usr/bin/web",
            b"-g",
            b"daemon off;",
            b"",
            b"it's",
            b"A=b",
            b"$x\n`y`",
            b"~",
        ];
        assert_eq!(
            text(run(&words, Some(b"www:www"))),
            "#!/bin/sh\nexec 2>&1\nexec chpst -u www:www /usr/bin/web -g 'daemon off;' '' \
             'it'\\''s' 'A=b' '$x\n`y`' '~'\n"
        );
        assert_eq!(
            text(run(&[b"web"], None)),
            "#!/bin/sh\nexec 2>&1\nexec web\n"
        );
        assert!(run(&[b"\xff"], None).ends_with(b"exec '\xff'\n"));
    }

    #[test]
    fn a_log_has_a_directory_of_its_own() {
        assert_eq!(
            text(log_run(Some(b"web"))),
            "#!/bin/sh\nmkdir -p /var/log/web || exit 1\nexec svlogd -tt /var/log/web\n"
        );
        assert_eq!(
            text(log_run(Some(b"a b"))),
            "#!/bin/sh\nmkdir -p '/var/log/a b' || exit 1\nexec svlogd -tt '/var/log/a b'\n"
        );
        assert_eq!(
            text(log_run(Some(b"getty@"))),
            "#!/bin/sh\nname=${PWD%/log}\nmkdir -p \"/var/log/${name##*/}\" || exit 1\n\
             exec svlogd -tt \"/var/log/${name##*/}\"\n"
        );
        assert_eq!(
            text(log_run(None)),
            "#!/bin/sh\nmkdir -p main || exit 1\nexec svlogd -tt main\n"
        );
    }
}
