//! Words and numbers for people.

use std::time::Duration;

/// A count with separators: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 entry`, `2 entries`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A size in bytes, KiB, MiB or GiB.
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (name, unit) in UNITS {
        if bytes >= unit {
            return format!("{:.1} {name}", bytes as f64 / unit as f64);
        }
    }
    format!("{bytes} B")
}

/// A span of time in milliseconds, with a digit behind the point where it is short.
pub fn millis(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1e3;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

/// A longer span of time, by its two largest units: `12 s`, `5 min 3 s`, `2 h 5 min`, `3 d 4 h`.
pub fn span(span: Duration) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut rest = span.as_secs();
    let mut parts = Vec::new();
    for (name, unit) in UNITS {
        if rest >= unit && parts.len() < 2 {
            parts.push(format!("{} {name}", rest / unit));
        } else if !parts.is_empty() {
            break;
        }
        rest %= unit;
    }
    match parts.is_empty() {
        true => "0 s".into(),
        false => parts.join(" "),
    }
}

/// Bytes made safe for a terminal: what is no UTF-8 and every control character but those in `keep` is written as
/// `\xNN`.
pub fn printable(bytes: &[u8], keep: &[char]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() && !keep.contains(&letter) {
                let mut buffer = [0; 4];
                hex(letter.encode_utf8(&mut buffer).as_bytes(), &mut text);
            } else {
                text.push(letter);
            }
        }
        hex(chunk.invalid(), &mut text);
    }
    text
}

fn hex(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        text.push_str(&format!("\\x{byte:02x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
        assert_eq!(counted(2_000, "entry", "entries"), "2,000 entries");
    }

    #[test]
    fn sizes_and_times_read_well() {
        assert_eq!(
            [size(5), size(2048), size(3 << 20)],
            ["5 B", "2.0 KiB", "3.0 MiB"]
        );
        assert_eq!(millis(Duration::from_micros(1_250)), "1.2 ms");
        assert_eq!(millis(Duration::from_millis(125)), "125 ms");
        let spans = [0, 12, 60, 303, 7_500, 86_400 * 3 + 4 * 3_600 + 59];
        assert_eq!(
            spans.map(|seconds| span(Duration::from_secs(seconds))),
            ["0 s", "12 s", "1 min", "5 min 3 s", "2 h 5 min", "3 d 4 h"]
        );
    }

    #[test]
    fn a_terminal_gets_no_control_bytes() {
        assert_eq!(printable(b"a\x1b[2Jb\xff\n", &[]), "a\\x1b[2Jb\\xff\\x0a");
        assert_eq!(printable("ü\n\u{9b}".as_bytes(), &['\n']), "ü\n\\xc2\\x9b");
    }
}
