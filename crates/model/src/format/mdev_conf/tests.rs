//! Golden lines of every form, and every mistake.

use super::*;
use alloc::string::ToString;
use alloc::vec;

fn one(line: &str) -> Rule {
    let (mut rules, mistakes) = decode(line.as_bytes());
    assert_eq!(
        (rules.len(), mistakes.len()),
        (1, 0),
        "{line}: {mistakes:?}"
    );
    rules.remove(0)
}

fn bare(name: &str) -> Rule {
    Rule {
        line: 1,
        go_on: false,
        conditions: vec![],
        which: Which::Name(name.into()),
        user: Id::Number(0),
        group: Some(Id::Number(0)),
        mode: 0o660,
        place: Place::Own,
        command: None,
    }
}

fn condition(variable: &str, ere: &str) -> Condition {
    Condition {
        variable: variable.into(),
        ere: ere.into(),
    }
}

#[test]
fn the_plain_rule() {
    assert_eq!(one("null 0:0 660"), bare("null"));
    assert_eq!(one("\t null\t0:0   0660 # why\n"), bare("null"));
    let rule = one("tty[0-9]* root:tty 620");
    assert_eq!(rule.user, Id::Name(b"root".to_vec()));
    assert_eq!(rule.group, Some(Id::Name(b"tty".to_vec())));
    assert_eq!(rule.mode, 0o620);
    let rule = one("tty bob 620");
    assert_eq!((rule.user, rule.group), (Id::Name(b"bob".to_vec()), None));
}

#[test]
fn which_devices() {
    let which = |text: &str| one(&alloc::format!("{text} 0:0 660"));
    assert!(which("-null").go_on);
    let number = |major, minors| Which::Number { major, minors };
    assert_eq!(which("@8,1").which, number(8, (1, 1)));
    assert_eq!(which("-@8,1-15").which, number(8, (1, 15)));
    assert_eq!(
        which("$MODALIAS=usb:.*").which,
        Which::Variable(condition("MODALIAS", "usb:.*"))
    );
    let rule = which("-SUBSYSTEM=block;DEVTYPE=disk;sd[a-z]");
    assert_eq!(
        rule.conditions,
        [
            condition("SUBSYSTEM", "block"),
            condition("DEVTYPE", "disk")
        ]
    );
    assert_eq!(rule.which, Which::Name(b"sd[a-z]".to_vec()));
    let rule = which("A=b;$C=d;e");
    assert_eq!(rule.conditions, [condition("A", "b")]);
    assert_eq!(rule.which, Which::Variable(condition("C", "d;e")));
    // If no name of a variable is before it, `;` belongs to the expression.
    assert_eq!(which("a;b").which, Which::Name(b"a;b".to_vec()));
    assert_eq!(which("[a=];b").which, Which::Name(b"[a=];b".to_vec()));
}

#[test]
fn where_and_what() {
    let rest = |text: &str| {
        let rule = one(&alloc::format!("x 0:0 660 {text}"));
        let command = rule.command.map(|c| {
            let text = alloc::string::String::from_utf8(c.text).unwrap();
            (c.when, text)
        });
        (rule.place, command)
    };
    let moved = |p: &str| Place::Moved(p.into());
    let run = |when, text: &str| Some((when, text.to_string()));
    assert_eq!(rest("=a/%1"), (moved("a/%1"), None));
    assert_eq!(rest("=/dev//a/"), (moved("a/"), None));
    assert_eq!(rest(">d/"), (Place::MovedAndLinked(b"d/".to_vec()), None));
    assert_eq!(rest("!"), (Place::Nowhere, None));
    assert_eq!(rest("! # no"), (Place::Nowhere, None));
    assert_eq!(rest("@a # b"), (Place::Own, run(When::Add, "a # b")));
    assert_eq!(
        rest("=y $ rm  x "),
        (moved("y"), run(When::Remove, "rm  x"))
    );
    assert_eq!(
        rest("! *echo \"$MDEV\""),
        (Place::Nowhere, run(When::Any, "echo \"$MDEV\""))
    );
}

#[test]
fn lines_join_and_mistakes_cost_only_themselves() {
    let text = b"# top\n\na 0:0 600 \\\n  =b\nbad\nc 0:0 600\nd 0:0 9\ne 0:0 600 \\";
    let (rules, mistakes) = decode(text);
    let lines: Vec<usize> = rules.iter().map(|r| r.line).collect();
    assert_eq!(lines, [3, 6, 8]);
    assert_eq!(rules[0].place, Place::Moved(b"b".to_vec()));
    let lines: Vec<usize> = mistakes.iter().map(|m| m.line).collect();
    assert_eq!(lines, [5, 7]);
}

#[test]
fn each_mistake_is_named() {
    for (line, reason) in [
        ("x", "a rule needs DEVICE USER[:GROUP] MODE"),
        ("x 0:0 # 660", "a rule needs DEVICE USER[:GROUP] MODE"),
        ("- 0:0 660", "the rule names no device"),
        ("A=b; 0:0 660", "the rule names no device"),
        ("@8 0:0 660", "@8: not @MAJOR,MINOR[-MINOR]"),
        ("@8,1-x 0:0 660", "@8,1-x: not @MAJOR,MINOR[-MINOR]"),
        ("@8,1,2 0:0 660", "@8,1,2: not @MAJOR,MINOR[-MINOR]"),
        ("$MOD 0:0 660", "$MOD: not $VARIABLE=REGEX"),
        ("x 0: 660", "0:: not USER[:GROUP]"),
        ("x :0 660", ":0: not USER[:GROUP]"),
        ("x 1:2:3 660", "1:2:3: not USER[:GROUP]"),
        ("x 0:0 68", "68: not an octal mode"),
        ("x 0:0 10000", "10000: not an octal mode"),
        ("x 0:0 +60", "+60: not an octal mode"),
        ("x 0:0 660 =", ": not a path inside /dev"),
        ("x 0:0 660 >../y", "../y: not a path inside /dev"),
        ("x 0:0 660 @", "the command is empty or holds a NUL"),
        (
            "x 0:0 660 =y run",
            "run: not =PATH, >PATH, ! or a command after @, $ or *",
        ),
    ] {
        let (rules, mistakes) = decode(line.as_bytes());
        assert!(rules.is_empty(), "{line}");
        assert_eq!(mistakes[0].reason, reason, "{line}");
    }
}

#[test]
fn the_number_of_rules_is_bounded() {
    let (rules, mistakes) = decode("a 0:0 600\n".repeat(RULES_MAX + 2).as_bytes());
    assert_eq!(rules.len(), RULES_MAX);
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].line, RULES_MAX + 1);
}

#[test]
fn what_is_long_or_wrong_again_and_again_takes_no_memory() {
    let conditions = "a=b;".repeat(CONDITIONS_MAX);
    let good = format!("{conditions}x 0:0 600");
    assert_eq!(one(&good).conditions.len(), CONDITIONS_MAX);
    let long = format!("x 0:0 600 @{}\\\n y", "z".repeat(RULE_BYTES_MAX));
    let conf = format!("a=b;{good}\n{long}\n{good}\n");
    let (rules, mistakes) = decode(conf.as_bytes());
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].line, 4);
    let told: Vec<_> = mistakes
        .iter()
        .map(|m| (m.line, m.reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (1, "more than 16 conditions"),
            (2, "a rule of more than 65536 bytes")
        ]
    );
    let (_, mistakes) = decode(&b"bad\n".repeat(100_000));
    assert_eq!(mistakes.len(), MISTAKES_MAX + 1);
}
