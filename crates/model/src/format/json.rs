//! JSON as `sv --json` prints it: one object a line (<https://www.rfc-editor.org/rfc/rfc8259>).
//!
//! Only writing: sunup reads no JSON. Text that is not UTF-8 is escaped as Rust escapes
//! bytes (`\xff`), and a second key, `KEY_hex`, then has the bytes themselves.

use alloc::format;
use alloc::string::{String, ToString};

use super::tai64n::Tai64n;

/// An object on its way; keys come in the order in which they are added.
#[derive(Clone, Debug)]
pub struct Object {
    text: String,
}

impl Object {
    /// Without a key yet.
    pub fn new() -> Self {
        Self { text: "{".into() }
    }

    fn key(&mut self, key: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        quote(key, &mut self.text);
        self.text.push(':');
    }

    /// A value that is JSON already: a number, `true`, `null`, an object.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key);
        self.text.push_str(json);
        self
    }

    /// Another object.
    pub fn object(&mut self, key: &str, value: &Self) -> &mut Self {
        self.key(key);
        self.text.push_str(&value.text);
        self.text.push('}');
        self
    }

    /// A number.
    pub fn number(&mut self, key: &str, value: impl Into<i64>) -> &mut Self {
        self.raw(key, &value.into().to_string())
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// A text.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        quote(value, &mut self.text);
        self
    }

    /// Bytes that are text, as a rule.
    pub fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Self {
        if let Ok(text) = core::str::from_utf8(value) {
            return self.text(key, text);
        }
        self.text(key, &value.escape_ascii().to_string());
        let hex = value.iter().map(|byte| format!("{byte:02x}"));
        self.text(&format!("{key}_hex"), &hex.collect::<String>())
    }

    /// A moment, as [`rfc3339`].
    pub fn time(&mut self, key: &str, value: Tai64n) -> &mut Self {
        self.text(key, &rfc3339(value))
    }

    /// The object, without an end of line.
    pub fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

fn quote(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // The other controls, C1 among them: a terminal obeys these, too.
            c if c.is_control() => out.extend(["\\u", &format!("{:04x}", u32::from(c))]),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The moments that have such a form: those of the years 0 to 9999.
const SECONDS: (i64, i64) = (-62_167_219_200, 253_402_300_799);

/// A moment in UTC, with microseconds (<https://www.rfc-editor.org/rfc/rfc3339>). A file that
/// is broken may have any label: it becomes the nearest moment that readers can parse.
pub fn rfc3339(time: Tai64n) -> String {
    let seconds = time.unix_seconds().clamp(SECONDS.0, SECONDS.1);
    let (year, month, day) = super::stamp::date_of(seconds.div_euclid(super::stamp::DAY_SECONDS));
    let of_day = seconds.rem_euclid(super::stamp::DAY_SECONDS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let micros = time.nanos().min(999_999_999) / 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_its_keys_in_order_and_escapes_all_that_json_asks_for() {
        let mut inner = Object::new();
        inner.number("n", -1);
        let mut object = Object::new();
        object
            .text("a", "quote \" back \\ line\n tab\t \u{7f}\u{9b}ü")
            .boolean("b", true)
            .bytes("name", b"x\xff\n")
            .object("o", &inner)
            .object("empty", &Object::new())
            .raw("z", "null");
        let expected = concat!(
            r#"{"a":"quote \" back \\ line\n tab\u0009 \u007f\u009bü","b":true,"#,
            r#""name":"x\\xff\\n","name_hex":"78ff0a","o":{"n":-1},"empty":{},"z":null}"#
        );
        assert_eq!(object.end(), expected);
        assert_eq!(Object::new().end(), "{}");
    }

    #[test]
    fn moments_are_of_rfc_3339() {
        let time = Tai64n::from_unix(1_764_440_283, 123_456_789);
        assert_eq!(rfc3339(time), "2025-11-29T18:18:03.123456Z");
        assert_eq!(
            rfc3339(Tai64n::from_unix(0, 0)),
            "1970-01-01T00:00:00.000000Z"
        );
        assert_eq!(
            rfc3339(Tai64n::from_unix(-1, 0)),
            "1969-12-31T23:59:59.000000Z"
        );
        for (seconds, expected) in [
            (-62_167_219_201, "0000-01-01T00:00:00.999999Z"),
            (253_402_300_800, "9999-12-31T23:59:59.999999Z"),
            (i64::MIN, "0000-01-01T00:00:00.999999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(rfc3339(Tai64n::from_unix(seconds, u32::MAX)), expected);
        }
    }
}
