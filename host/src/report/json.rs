//! JSON that people can read: one key a line, lists of numbers on one line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// Objects as [`PrettyFormatter`] writes them, arrays on one line.
#[derive(Default)]
struct Readable<'a> {
    objects: PrettyFormatter<'a>,
}

impl Formatter for Readable<'_> {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        match first {
            true => Ok(()),
            false => to.write_all(b", "),
        }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.objects.begin_object(to)
    }

    fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.objects.end_object(to)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.objects.begin_object_key(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.objects.begin_object_value(to)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.objects.end_object_value(to)
    }
}

/// Serialises plain data, whose keys are strings; that has nothing that can fail.
pub fn readable(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Readable::default());
    let _ = value.serialize(&mut serializer);
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn it_reads_back_and_lists_stay_on_their_line() {
        let value = json!({"a": [1, 2, [3]], "b": {"c": [{"d": 1}, {"e": {}}]}, "f": []});
        let text = String::from_utf8(readable(&value)).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert!(text.contains("\"a\": [1, 2, [3]],\n"), "{text}");
        assert!(text.contains("\"e\": {}"), "{text}");
    }
}
