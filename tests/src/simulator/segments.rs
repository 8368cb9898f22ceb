//! How many text messages a text takes, by the alphabets of GSM 03.38 and UCS-2.

/// Letters of one septet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Letters of two septets.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// Septets of the text, when every letter of it has some.
fn septets(text: &str) -> Option<usize> {
    let of = |letter: char| match letter {
        letter if BASIC.contains(letter) => Some(1),
        letter if EXTENDED.contains(letter) => Some(2),
        _ => None,
    };
    text.chars().map(of).sum()
}

/// 160 septets or 70 units of UTF-16 in one, 153 or 67 where there are several.
pub(super) fn count(text: &str) -> usize {
    let (units, alone, split) = match septets(text) {
        Some(septets) => (septets, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    if units <= alone { 1 } else { units.div_ceil(split) }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn the_alphabet_decides() {
        for (letter, times, segments) in [
            ("a", 160, 1),
            ("a", 161, 2),
            ("é", 160, 1),
            ("€", 80, 1),
            ("€", 81, 2),
            ("ё", 70, 1),
            ("ё", 71, 2),
        ] {
            assert_eq!(count(&letter.repeat(times)), segments, "{times} times {letter}");
        }
        assert_eq!(count(&"🎉".repeat(35)), 1);
        assert_eq!(count(&"🎉".repeat(36)), 2);
        assert_eq!((count(""), count(&"a".repeat(306)), count(&"a".repeat(307))), (1, 2, 3));
    }
}
