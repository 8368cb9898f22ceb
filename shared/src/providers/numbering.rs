//! Whether a number can exist by the numbering plans of the world.
//!
//! Only the country code and the length are asked, as libphonenumber's `isPossibleNumber` does: ranges open and close
//! faster than anybody updates a table, and a real guest must not be refused. The send path does not ask.

use phonenumber::metadata::DATABASE;
use phonenumber::{Metadata, Type};

use super::Phone;

/// The kinds of numbers that can be reached from abroad.
const KINDS: [Type; 10] = [
    Type::FixedLine,
    Type::Mobile,
    Type::TollFree,
    Type::PremiumRate,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Voip,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
];

/// Forms that the plans have given up and people still have: beginning and length. Mexico's mobiles lost their 1 in
/// 2019; WhatsApp still names them with it.
const STILL_IN_USE: [(&str, usize); 1] = [("521", 13)];

/// Digits of the longest country code.
const COUNTRY_CODE_MAX: usize = 3;

impl Phone {
    /// Whether a number of this length exists under its country code. A number that nobody has may still pass.
    pub fn is_possible(&self) -> bool {
        let digits = self.digits();
        if STILL_IN_USE.iter().any(|(begin, len)| digits.starts_with(begin) && digits.len() == *len) {
            return true;
        }
        // No country code is the beginning of another.
        (1..=COUNTRY_CODE_MAX).any(|end| {
            let plans = digits[..end].parse().ok().and_then(|code: u16| DATABASE.by_code(&code));
            plans.is_some_and(|plans| plans.into_iter().any(|plan| has_length(plan, digits.len() - end)))
        })
    }
}

fn has_length(plan: &Metadata, national: usize) -> bool {
    let mut kinds = KINDS.iter().filter_map(|kind| plan.descriptors().get(*kind));
    kinds.any(|kind| kind.possible_length().iter().any(|length| usize::from(*length) == national))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn possible(text: &str) -> bool {
        text.parse::<Phone>().expect("E.164 in form").is_possible()
    }

    #[test]
    fn numbers_of_every_sort_are_possible() {
        let numbers = [
            "+41791234567",   // Switzerland, mobile
            "+390236618300",  // Italy, fixed, keeps its zero
            "+4915112345678", // Germany, mobile
            "+493012345",     // Germany, a short fixed one
            "+442079460000",  // United Kingdom
            "+12024561111",   // North America
            "+5491123456789", // Argentina, mobile with its 9
            "+5215512345678", // Mexico, mobile in its old form, as WhatsApp still has it
            "+80012345678",   // international free phone
            "+882161234567",  // a network without a country
            "+67627000",      // Tonga, short
        ];
        for number in numbers {
            assert!(possible(number), "{number}");
        }
    }

    #[test]
    fn numbers_that_are_kept_for_tests_are_possible() {
        for number in ["+15005550006", "+15005550207", "+15550783881", "+41790000001", "+31612345678"] {
            assert!(possible(number), "{number}");
        }
    }

    #[test]
    fn what_no_plan_knows_is_impossible() {
        let numbers = [
            "+4179123",      // too short
            "+417912345678", // too long
            "+1202456111",   // nine digits
            "+120245611112", // eleven
            "+2101234567",   // no such country
            "+9991234567",   // nor such
            "+800123456789", // international free phone has eight
            "+123456789012345",
        ];
        for number in numbers {
            assert!(!possible(number), "{number}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_number_in_form_is_answered(text in r"\+[1-9][0-9]{6,14}") {
            possible(&text);
        }
    }
}
