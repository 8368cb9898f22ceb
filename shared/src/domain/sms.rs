//! How many parts an SMS is sent in, by which it is paid.
//!
//! Facts: GSM 03.38 packs 160 characters of its alphabet into a part, or 153 into each of several; anything else is
//! UCS-2 with 70 or 67. Characters of the extension table count twice; a pair never straddles two parts.

/// Of the basic alphabet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡\
    ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Of the extension table.
const EXTENDED: &str = "^{}\\[~]|€\u{c}";

/// Parts of `body`; 0 for none.
pub fn segments(body: &str) -> usize {
    let septets: Option<Vec<usize>> = body.chars().map(septets).collect();
    match septets {
        Some(widths) => parts(&widths, 160, 153),
        None => parts(&body.chars().map(char::len_utf16).collect::<Vec<_>>(), 70, 67),
    }
}

fn septets(c: char) -> Option<usize> {
    if BASIC.contains(c) {
        Some(1)
    } else if EXTENDED.contains(c) {
        Some(2)
    } else {
        None
    }
}

fn parts(widths: &[usize], alone: usize, of_several: usize) -> usize {
    let total: usize = widths.iter().sum();
    if total <= alone {
        return usize::from(total > 0);
    }
    let (mut parts, mut filled) = (1, 0);
    for width in widths {
        if filled + width > of_several {
            parts += 1;
            filled = 0;
        }
        filled += width;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_as_carriers_do() {
        let cases = [
            (String::new(), 0),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            (format!("{}€{}", "a".repeat(152), "a".repeat(20)), 2),
            ("ł".repeat(70), 1),
            ("ł".repeat(71), 2),
            ("😀".repeat(35), 1),
            ("😀".repeat(36), 2),
            ("😀".repeat(67), 3),
            ("Grüße aus Zürich".to_owned(), 1),
        ];
        for (body, wanted) in cases {
            let shown: String = body.chars().take(8).collect();
            assert_eq!(segments(&body), wanted, "{shown} × {}", body.chars().count());
        }
    }
}
