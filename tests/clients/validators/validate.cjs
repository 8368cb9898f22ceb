// The providers' own signature code, asked by lines of JSON; tests/src/validators.rs is the other end.
//
// In:  {"op": "twilio.sign", "token", "url", "fields"}                    fields: {name: value or [values]}
//      {"op": "twilio.check", "token", "url", "fields", "signature"}
//      {"op": "twilio.checkBody", "token", "url", "body", "signature"}    the query holds bodySHA256
//      {"op": "twilio.digest", "body"}
//      {"op": "standard.sign", "secret", "id", "timestamp", "body"}       timestamp: Unix seconds
//      {"op": "standard.verify", "secret", "headers", "body"}             body: base64 of the raw bytes
// Out: {"answer": …} for each line, in order: a signature, a digest, or true and false
//      {"error": …} where the package itself gives up
const readline = require('node:readline');
const twilio = require('twilio');
const { Webhook, WebhookVerificationError } = require('standardwebhooks');

function verifies({ secret, headers, body }) {
  try {
    new Webhook(secret).verify(Buffer.from(body, 'base64'), headers);
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}

const operations = {
  'twilio.sign': ({ token, url, fields }) => twilio.getExpectedTwilioSignature(token, url, fields),
  'twilio.check': ({ token, url, fields, signature }) => twilio.validateRequest(token, signature, url, fields),
  'twilio.checkBody': ({ token, url, body, signature }) =>
    twilio.validateRequestWithBody(token, signature, url, body),
  'twilio.digest': ({ body }) => twilio.getExpectedBodyHash(body),
  'standard.sign': ({ secret, id, timestamp, body }) =>
    new Webhook(secret).sign(id, new Date(timestamp * 1000), body),
  'standard.verify': verifies,
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const question = JSON.parse(line);
  let reply;
  try {
    reply = { answer: operations[question.op](question) };
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
});
