//! Messages in the wire format of Protocol Buffers, which ONNX files are written in.
//!
//! Own code: writing takes the four kinds of fields below, while crates for the format bring a compiler for
//! schemas, or code that one has made. Fields are written in the order of the calls; a message in another is
//! written when it is whole, since its length comes first.

/// A message that is being written.
#[derive(Default)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

/// How a field is written: the lower three bits of its key.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;
const FOUR_BYTES: u64 = 5;

impl Message {
    /// A whole number or the value of an enumeration.
    pub(crate) fn number(&mut self, field: u64, value: i64) {
        self.varint(field << 3 | VARINT);
        // Two's complement: what is below 0 takes ten bytes.
        self.varint(value.cast_unsigned());
    }

    /// A number in f32.
    pub(crate) fn float(&mut self, field: u64, value: f32) {
        self.varint(field << 3 | FOUR_BYTES);
        self.bytes.extend(value.to_le_bytes());
    }

    /// Bytes, or a text in UTF-8.
    pub(crate) fn bytes(&mut self, field: u64, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.varint(field << 3 | LENGTH);
        self.varint(value.len() as u64);
        self.bytes.extend(value);
    }

    /// A message in this one.
    pub(crate) fn message(&mut self, field: u64, value: Self) {
        self.bytes(field, value.bytes);
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Its bytes, which are a file's too.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Seven bits a byte, the lowest first; all bytes but the last have the eighth.
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_formats_own_guide_shows() {
        // protobuf.dev, "Encoding": field 1 with 150, field 2 with "testing", both as a message in field 3.
        let mut message = Message::default();
        message.number(1, 150);
        assert_eq!(message.bytes, [0x08, 0x96, 0x01]);
        let mut outer = Message::default();
        outer.message(3, message);
        assert_eq!(outer.bytes, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let mut text = Message::default();
        text.bytes(2, "testing");
        assert_eq!(text.into_bytes(), b"\x12\x07testing");
        // "-2" as int64 is the largest u64 but one.
        let mut below = Message::default();
        below.number(1, -2);
        assert_eq!(below.bytes[1..], [&[0xfe][..], &[0xff; 8], &[1]].concat());
        let mut float = Message::default();
        float.float(2, 1.0);
        assert_eq!(float.bytes, [0x15, 0, 0, 0x80, 0x3f]);
    }
}
