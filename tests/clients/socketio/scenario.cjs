// Agents and a customer chat over two ingest replicas: by websocket, by polling, by polling that is upgraded. Redis goes
// away and comes back in between, then one replica is killed. In the end every reader holds every message that it may
// see exactly once and in order, and no note has reached the customer.
//
// Argument: one JSON object
//   replicas  [url, url]; the second one is killed
//   thread    the thread, or room of the support desk
//   agents    two {auth, headers}: what they connect with, what they post with
//   customer  {auth, headers, api}: api is "chat" or "desk", by which the customer posts
// Where the world outside must change, it prints {"cue": …} and goes on when a line comes in: redis_down, redis_up,
// kill_replica. It ends with {"ok": true, …} and status 0, or says what was wrong and ends with 1.
const readline = require('node:readline');
const { io } = require('socket.io-client');

const plan = JSON.parse(process.argv[2]);
const PATIENCE_MS = 30000;
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function fail(reason) {
  tell({ ok: false, reason });
  process.exit(1);
}

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function cue(name) {
  tell({ cue: name });
  if ((await answers.next()).done) fail(`nobody answered the cue ${name}`);
}

// A client as one should be written: it holds messages by id, and asks for the rest wherever it finds a gap.
class Reader {
  constructor(name, auth, urls, transports) {
    Object.assign(this, { name, auth, urls, transports, held: new Map(), received: [], resuming: false, again: false });
    this.connect();
  }

  connect() {
    this.socket = io(this.urls[0], { auth: this.auth, forceNew: true, reconnection: false, transports: this.transports });
    this.socket.on('connect', () => this.resume());
    this.socket.on('newMessage', ({ message, type }) => {
      this.received.push({ message, type });
      this.hold(message);
      if (message.seq > this.end() ) this.resume();
    });
    this.socket.on('threadUpdated', ({ thread }) => {
      this.received.push({ thread });
      if (thread.threadId === plan.thread && thread.seq > this.end()) this.resume();
    });
    // What a load balancer does: another replica takes over.
    const elsewhere = () => {
      this.socket.close();
      this.urls.push(this.urls.shift());
      setTimeout(() => this.connect(), 100);
    };
    this.socket.once('disconnect', elsewhere);
    this.socket.once('connect_error', elsewhere);
  }

  hold(message) {
    this.held.set(message.seq, message);
  }

  // Up to where nothing is missing.
  end() {
    let seq = 0;
    while (this.held.has(seq + 1)) seq += 1;
    return seq;
  }

  async resume() {
    if (this.resuming) {
      this.again = true;
      return;
    }
    this.resuming = true;
    try {
      for (let more = true; more || this.again; ) {
        this.again = false;
        const asked = { threadId: plan.thread, afterSeq: this.end() };
        const page = await this.socket.timeout(5000).emitWithAck('resume', asked);
        if (page.error) fail(`${this.name}: resume was refused: ${page.error.code}`);
        page.messages.forEach((message) => this.hold(message));
        more = page.hasMore;
      }
    } catch {
      // The connection broke: the next one resumes.
    }
    this.resuming = false;
  }

  texts() {
    return [...this.held.keys()].sort((a, b) => a - b).map((seq) => this.held.get(seq)).map((m) => m.body ?? m.content);
  }
}

const posted = { all: [], public: [] };

async function send(url, path, headers, body) {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    try {
      const options = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
      const answer = await fetch(url + path, options);
      if (answer.ok) return;
      if (answer.status !== 503) fail(`a post was answered ${answer.status}: ${await answer.text()}`);
    } catch (error) {
      if (Date.now() > deadline) fail(`a post was not answered: ${error}`);
    }
    await pause(100);
  }
}

const chat = `/chat/threads/${plan.thread}/messages`;

async function agentSays(url, text, type) {
  await send(url, chat, plan.agents[0].headers, { body: text, ...(type ? { type } : {}) });
  posted.all.push(text);
  if (type !== 'note') posted.public.push(text);
}

async function customerSays(url, text) {
  const { api, headers } = plan.customer;
  const desk = { room_id: plan.thread, message: { type: 'text', content: text } };
  if (api === 'desk') await send(url, '/api/conversation-v2/support/user/message', headers, desk);
  else await send(url, chat, headers, { body: text });
  posted.all.push(text);
  posted.public.push(text);
}

async function talk(topic, urls) {
  for (let n = 0; n < 6; n += 1) {
    await agentSays(urls[n % urls.length], `${topic}: agent ${n}`);
    if (n % 2) await agentSays(urls[(n + 1) % urls.length], `${topic}: secret note ${n}`, 'note');
    await customerSays(urls[(n + 1) % urls.length], `${topic}: customer ${n}`);
  }
}

const same = (a, b) => a.length === b.length && a.every((text, n) => text === b[n]);

async function complete(readers, after) {
  for (const deadline = Date.now() + PATIENCE_MS; ; await pause(20)) {
    const behind = readers.filter(({ reader, wanted }) => !same(reader.texts(), wanted));
    if (behind.length === 0) return;
    if (Date.now() > deadline) {
      const { reader, wanted } = behind[0];
      fail(`${after}: ${reader.name} holds ${JSON.stringify(reader.texts())} instead of ${JSON.stringify(wanted)}`);
    }
  }
}

async function main() {
  const [first, second] = plan.replicas;
  const staff = [
    new Reader('agent by websocket', plan.agents[0].auth, [second, first], ['websocket']),
    new Reader('agent by polling', plan.agents[1].auth, [first], ['polling']),
  ];
  const customers = [
    new Reader('customer by polling and upgrade', plan.customer.auth, [first], ['polling', 'websocket']),
    new Reader('customer by websocket', plan.customer.auth, [second, first], ['websocket']),
  ];
  const readers = [
    ...staff.map((reader) => ({ reader, wanted: posted.all })),
    ...customers.map((reader) => ({ reader, wanted: posted.public })),
  ];
  await talk('start', [first, second]);
  await complete(readers, 'at first');
  await cue('redis_down');
  await talk('without redis', [first, second]);
  await cue('redis_up');
  await complete(readers, 'after redis came back');
  await talk('with redis again', [first, second]);
  await complete(readers, 'with redis again');
  await cue('kill_replica');
  await talk('on one replica', [first]);
  await complete(readers, 'after a replica was killed');
  for (const reader of customers) {
    if (JSON.stringify([...reader.held.values(), ...reader.received]).includes('secret note')) {
      fail(`a note reached the ${reader.name}`);
    }
  }
  if (!customers[0].socket.io.engine.transport.name.includes('websocket')) fail('polling was not upgraded');
  tell({ ok: true, messages: posted.all.length, live: staff[0].received.length });
  process.exit(0);
}

main();
