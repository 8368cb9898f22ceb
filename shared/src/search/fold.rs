//! Accent- and case-insensitive folding: one function for what is indexed, asked for and matched in Rust.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// Rounds after which folding settles: a lower-case letter may decompose once more.
const ROUNDS_MAX: usize = 4;

/// Folds text so that spellings which people take for the same become equal.
///
/// Compatibility forms are decomposed (`ﬁ` → `fi`, `Ａ` → `a`), accents and invisible characters dropped, letters
/// lowered and a few spelt out (`ß` → `ss`, `ø` → `o`, `æ` → `ae`). Signs that carry meaning in their script
/// (Devanagari vowels, the Japanese voicing mark) stay. `fold(fold(x)) == fold(x)` for every `x`; it never fails.
/// The result may be longer than its input (at most 18 characters for one).
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.chars().filter(|letter| !is_dropped(*letter)).map(|l| l.to_ascii_lowercase()).collect();
    }
    let mut folded = fold_once(text);
    for _ in 0..ROUNDS_MAX {
        let again = fold_once(&folded);
        if again == folded {
            break;
        }
        folded = again;
    }
    folded
}

fn fold_once(text: &str) -> String {
    let mut lowered = String::with_capacity(text.len());
    for letter in text.nfkd().filter(|letter| !is_dropped(*letter)) {
        for low in letter.to_lowercase() {
            match spelt_out(low) {
                Some(spelling) => lowered.push_str(spelling),
                None => lowered.push(low),
            }
        }
    }
    lowered.nfkd().filter(|letter| !is_dropped(*letter)).nfc().collect()
}

/// Letters that no decomposition takes apart.
fn spelt_out(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' | 'ɖ' => "d",
        'þ' => "th",
        'ł' | 'ƚ' => "l",
        'ħ' => "h",
        'ŧ' => "t",
        'ı' => "i",
        'ŋ' => "n",
        'ĸ' => "k",
        'ƒ' => "f",
        'ς' => "σ",
        _ => return None,
    })
}

/// Accents of the scripts where people leave them out, and characters that show nothing.
fn is_dropped(letter: char) -> bool {
    matches!(letter,
        '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0489}' // Latin, Greek, Cyrillic
        | '\u{0591}'..='\u{05BD}' | '\u{05BF}' | '\u{05C1}'..='\u{05C2}' | '\u{05C4}'..='\u{05C5}' | '\u{05C7}' // Hebrew points
        | '\u{0610}'..='\u{061A}' | '\u{0640}' | '\u{064B}'..='\u{065F}' | '\u{0670}' // Arabic vowels and stretching
        | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}'
        | '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' // soft hyphen, joiners, direction
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E0FFF}' // variation selectors, byte order mark, tags
        | '\0')
}

/// True for a mark that belongs to the letter before it and was kept by [`fold`].
pub(super) fn is_kept_mark(letter: char) -> bool {
    canonical_combining_class(letter) != 0 || unicode_normalization::char::is_combining_mark(letter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_that_people_take_for_the_same_become_equal() {
        for (written, folded) in [
            ("Crème BRÛLÉE", "creme brulee"),
            ("Straße", "strasse"),
            ("STRAẞE", "strasse"),
            ("Ærøskøbing", "aeroskobing"),
            ("İstanbul ISPARTA ılık", "istanbul isparta ilik"),
            ("Łódź", "lodz"),
            ("ΟΔΟΣ οδός", "οδοσ οδοσ"),
            ("Ｆｕｌｌ ﬁt", "full fit"),
            ("co\u{00AD}op\u{200B}erate", "cooperate"),
            ("שָׁלוֹם", "שלום"),
            ("مُحَمَّد أحمد", "محمد احمد"),
            ("हिन्दी", "हिन्दी"),
            ("ガ ｶﾞ", "ガ ガ"),
            ("한국어", "한국어"),
            ("Việt Nam Đà Nẵng", "viet nam da nang"),
            ("", ""),
        ] {
            assert_eq!(fold(written), folded, "{written:?}");
        }
    }

    #[test]
    fn every_single_character_settles() {
        for letter in (0..=char::MAX as u32).filter_map(char::from_u32) {
            let once = fold(&letter.to_string());
            assert_eq!(fold(&once), once, "U+{:04X}", letter as u32);
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn case_does_not_matter(text in "[a-zA-ZäöüÄÖÜéÉñÑçÇа-яА-Я ]{0,40}") {
            prop_assert_eq!(fold(&text.to_uppercase()), fold(&text));
        }
    }
}
