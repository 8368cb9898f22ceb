//! The providers' error codes: the HTTP status each comes with and its text.
//!
//! The simulator's own table, apart from the product's error classes, which it judges.

/// Code, HTTP status, title.
type Row = (u32, u16, &'static str);

const WHATSAPP: &[Row] = &[
    (0, 401, "AuthException"),
    (1, 400, "API Unknown"),
    (2, 503, "API Service"),
    (3, 500, "API Method"),
    (4, 429, "API Too Many Calls"),
    (10, 403, "Permission Denied"),
    (33, 400, "Parameter value is not valid"),
    (100, 400, "Invalid parameter"),
    (190, 401, "Access token has expired"),
    (200, 403, "API Permission"),
    (368, 403, "Temporarily blocked for policies violations"),
    (80_007, 429, "Rate limit issues"),
    (130_429, 429, "Rate limit hit"),
    (130_472, 400, "User's number is part of an experiment"),
    (130_497, 403, "Business account is restricted from messaging users in this country"),
    (131_000, 500, "Something went wrong"),
    (131_001, 400, "Message too long"),
    (131_002, 400, "Recipient type is not valid"),
    (131_005, 403, "Access denied"),
    (131_006, 400, "Resource not found"),
    (131_008, 400, "Required parameter is missing"),
    (131_009, 400, "Parameter value is not valid"),
    (131_016, 500, "Service unavailable"),
    (131_021, 400, "Recipient cannot be sender"),
    (131_026, 400, "Message undeliverable"),
    (131_030, 400, "Recipient phone number not in allowed list"),
    (131_031, 403, "Account has been locked"),
    (131_037, 400, "Display name approval is required"),
    (131_042, 400, "Business eligibility payment issue"),
    (131_045, 500, "Incorrect certificate"),
    (131_047, 400, "Re-engagement message"),
    (131_048, 429, "Spam rate limit hit"),
    (131_049, 400, "Message not delivered to maintain healthy ecosystem engagement"),
    (131_050, 400, "User has stopped marketing messages"),
    (131_051, 400, "Unsupported message type"),
    (131_052, 400, "Media download error"),
    (131_053, 400, "Media upload error"),
    (131_056, 429, "(Business Account, Consumer Account) pair rate limit hit"),
    (131_057, 500, "Account in maintenance mode"),
    (132_000, 400, "Template param count mismatch"),
    (132_001, 404, "Template does not exist"),
    (132_005, 400, "Template hydrated text too long"),
    (132_007, 400, "Template format character policy violated"),
    (132_012, 400, "Template parameter format mismatch"),
    (132_015, 400, "Template is paused"),
    (132_016, 400, "Template is disabled"),
    (132_018, 400, "Template parameters are not valid"),
    (132_068, 400, "Flow is blocked"),
    (132_069, 400, "Flow is throttled"),
    (133_004, 503, "Server temporarily unavailable"),
    (133_006, 400, "Phone number needs to be verified"),
    (133_010, 400, "Phone number not registered"),
    (133_015, 400, "Please wait a few minutes before attempting to register"),
];

const TWILIO: &[Row] = &[
    (10_001, 401, "Account is not active"),
    (14_107, 429, "Message rate exceeded"),
    (20_003, 401, "Authenticate"),
    (20_005, 403, "Account not active"),
    (20_404, 404, "The requested resource was not found"),
    (20_429, 429, "Too Many Requests"),
    (20_500, 500, "Internal Server Error"),
    (20_503, 503, "Service Unavailable"),
    (21_211, 400, "Invalid 'To' Phone Number"),
    (21_212, 400, "Invalid 'From' Phone Number"),
    (21_214, 400, "'To' phone number cannot be reached"),
    (21_217, 400, "Phone number does not appear to be valid"),
    (21_401, 400, "Invalid Phone Number"),
    (
        21_408,
        400,
        "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
    ),
    (21_602, 400, "Message body is required"),
    (21_603, 400, "A 'From' phone number is required"),
    (21_604, 400, "A 'To' phone number is required"),
    (21_606, 400, "The 'From' phone number provided is not a valid, message-capable Twilio phone number"),
    (21_608, 400, "The number is unverified; trial accounts cannot send messages to unverified numbers"),
    (21_609, 400, "Invalid 'StatusCallback' url"),
    (21_610, 400, "Attempt to send to unsubscribed recipient"),
    (21_611, 429, "This 'From' number has exceeded the maximum number of queued messages"),
    (21_612, 400, "The 'To' phone number is not currently reachable via SMS"),
    (21_614, 400, "'To' number is not a valid mobile number"),
    (21_617, 400, "The concatenated message body exceeds the 1600 character limit"),
    (21_619, 400, "A text message body or media urls must be specified"),
    (21_620, 400, "Invalid media URL(s)"),
    (21_623, 400, "Number of media files exceeds allowed limit"),
    (21_659, 400, "'From' is not a Twilio phone number or short code country mismatch"),
    (21_660, 400, "Mismatch between the 'From' number and the account"),
    (30_001, 400, "Queue overflow"),
    (30_002, 400, "Account suspended"),
    (30_003, 400, "Unreachable destination handset"),
    (30_004, 400, "Message blocked"),
    (30_005, 400, "Unknown destination handset"),
    (30_006, 400, "Landline or unreachable carrier"),
    (30_007, 400, "Message filtered"),
    (30_008, 400, "Unknown error"),
    (30_010, 400, "Message price exceeds max price"),
    (30_022, 400, "US A2P 10DLC - Rate limits exceeded"),
    (30_023, 400, "US A2P 10DLC - Daily message cap reached"),
    (30_027, 400, "US A2P 10DLC - T-Mobile daily message limit reached"),
    (30_032, 400, "Toll-free number has not been verified"),
    (30_034, 400, "US A2P 10DLC - Message from an unregistered number"),
    (30_035, 400, "US A2P 10DLC - Message from an unregistered campaign"),
    (30_036, 400, "Validity period expired"),
    (30_410, 400, "Provider timeout error"),
    (63_001, 400, "Channel could not authenticate the request"),
    (63_002, 400, "Channel could not find the From address"),
    (63_003, 400, "Channel could not find the To address"),
    (63_005, 400, "Channel did not accept the given content"),
    (63_007, 400, "Twilio could not find a Channel with the specified From address"),
    (63_015, 400, "Channel Sandbox can only send messages to phone numbers that have joined the Sandbox"),
    (63_016, 400, "Failed to send freeform message because you are outside the allowed window"),
    (63_018, 429, "Rate limit exceeded for Channel"),
    (63_024, 400, "Invalid message recipient"),
    (63_032, 400, "We cannot send this message to this user because of a WhatsApp limitation"),
    (63_049, 400, "Meta chose not to deliver this WhatsApp marketing message"),
    (63_051, 400, "WhatsApp Business Account is blocked"),
];

/// The HTTP status and title of a WhatsApp code; an unknown one is a 400.
pub(super) fn whatsapp(code: u32) -> (u16, &'static str) {
    match code {
        201..=299 => (403, "API Permission"),
        code => find(WHATSAPP, code),
    }
}

/// The HTTP status and title of a Twilio code; an unknown one is a 400.
pub(super) fn twilio(code: u32) -> (u16, &'static str) {
    find(TWILIO, code)
}

/// The WhatsApp codes that the simulator knows; any other is answered too, as an unknown error.
pub fn whatsapp_codes() -> std::collections::BTreeSet<u32> {
    WHATSAPP.iter().map(|row| row.0).chain(201..=299).collect()
}

/// As [`whatsapp_codes`], of Twilio.
pub fn twilio_codes() -> std::collections::BTreeSet<u32> {
    TWILIO.iter().map(|row| row.0).collect()
}

fn find(rows: &[Row], code: u32) -> (u16, &'static str) {
    match rows.binary_search_by_key(&code, |row| row.0) {
        Ok(index) => (rows[index].1, rows[index].2),
        Err(_) => (400, "Unknown error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted() {
        assert!(WHATSAPP.is_sorted_by_key(|row| row.0));
        assert!(TWILIO.is_sorted_by_key(|row| row.0));
    }
}
