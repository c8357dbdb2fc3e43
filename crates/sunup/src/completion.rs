//! `sunup --completion SHELL`: a script by which a shell completes the command lines of all
//! applets. The script asks `sunup --complete WORD...` what may stand in the place of the
//! last word: so what is offered is always that of the tables, and of the services there are.

use model::options::{awaits_value, letters_and_names};

use crate::applet::{APPLETS, sv};
use crate::{called, say};

/// For each shell: its name, and a script in which `@` stands for the names of all applets.
const SCRIPTS: [(&str, &str); 3] = [("bash", BASH), ("zsh", ZSH), ("fish", FISH)];

/// `read` undoes backslashes. What readline takes for the word begins behind the last of
/// its word breaks, such as the `@` of an instance.
const BASH: &str = r#"# bash completion for sunup
_sunup() {
    local line=${COMP_LINE:0:COMP_POINT} word last
    local -a words
    IFS=$' \t' read -a words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    last=${words[${#words[@]}-1]}
    last=${last%"${last##*[@:=]}"}
    COMPREPLY=()
    while IFS= read -r word; do
        printf -v word %q "${word#"$last"}"
        COMPREPLY+=("$word")
    done < <(PATH=$PATH:/usr/sbin:/sbin sunup --complete "${words[@]}" 2>/dev/null)
}
complete -o default -F _sunup @
"#;

const ZSH: &str = r#"#compdef @
_sunup() {
    local -a found
    found=("${(@f)$(PATH=$PATH:/usr/sbin:/sbin sunup --complete \
        "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    found=("${(@)found:#}")
    if (( $#found )); then compadd -- "${found[@]}"; else _files; fi
}
if [[ $funcstack[1] == _sunup ]]; then _sunup "$@"; else compdef _sunup @; fi
"#;

const FISH: &str = r#"# fish completion for sunup
function __sunup_complete
    set -lx PATH $PATH /usr/sbin /sbin
    sunup --complete (commandline -opc) (commandline -ct | string unescape) 2>/dev/null
end
# That of fish itself, which it loads when it is first asked, is for others.
complete -C "sv " >/dev/null
complete -e -c sv
for name in @
    complete -c $name -a '(__sunup_complete)'
end
complete -c sv -f
"#;

/// Prints the script of a shell; returns the exit code.
pub fn print(shell: Option<&[u8]>) -> u8 {
    let mut scripts = SCRIPTS.iter();
    let Some((_, script)) = scripts.find(|(name, _)| Some(name.as_bytes()) == shell) else {
        say::line("sunup", "--completion: say bash, zsh or fish");
        return 100;
    };
    let mut names = String::from("sunup");
    for applet in APPLETS {
        names.extend([" ", applet.spec.name]);
    }
    // An `@` with something behind it is the shell's own.
    for line in script.lines() {
        let marked = line.strip_suffix('@').map(|line| (line, ""));
        let marked = marked.or_else(|| Some((line.strip_suffix("@; fi")?, "; fi")));
        match marked {
            Some((line, end)) => say::print(&[line, &names, end, "\n"].concat()),
            None => say::print(&[line, "\n"].concat()),
        }
    }
    0
}

/// Prints what may stand in the place of the last word, a line each.
pub fn complete(words: &[Vec<u8>]) -> u8 {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let Some((current, before)) = words.split_last() else {
        return 0;
    };
    let mut lines = Vec::new();
    for word in candidates(before, current) {
        // What a line cannot hold cannot be offered.
        if word.starts_with(current) && !word.iter().any(u8::is_ascii_control) {
            lines.extend(word);
            lines.push(b'\n');
        }
    }
    say::print_bytes(&lines);
    0
}

fn candidates(before: &[&[u8]], current: &[u8]) -> Vec<Vec<u8>> {
    let Some((name, mut after)) = before.split_first() else {
        return Vec::new();
    };
    let mut name = called::base_name(name);
    if name == b"sunup" {
        match after.split_first() {
            None => return first_words(),
            Some((word, [])) if *word == b"--completion" => {
                return SCRIPTS.map(|(shell, _)| shell.as_bytes().to_vec()).to_vec();
            }
            Some((applet, rest)) => (name, after) = (applet, rest),
        }
    }
    if name == b"sv" {
        return sv::complete::words(after, current);
    }
    let mut applets = APPLETS.iter();
    match applets.find(|applet| applet.spec.name.as_bytes() == name) {
        Some(applet) if current.starts_with(b"-") && !awaits_value(applet.spec, after) => {
            letters_and_names(applet.spec)
        }
        _ => Vec::new(),
    }
}

fn first_words() -> Vec<Vec<u8>> {
    let own = ["--list", "--install", "--completion", "--version", "--help"];
    let names = APPLETS.iter().map(|applet| applet.spec.name).chain(own);
    names.map(|name| name.as_bytes().to_vec()).collect()
}
