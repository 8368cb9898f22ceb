// Real Socket.IO clients, driven by lines of JSON; tests/src/app/sockets.rs is the other end.
//
// In:  {"op": "connect", "id", "url", "auth", "transports"?, "reconnection"?, "headers"?}
//      {"op": "emit", "id", "event", "data", "ack"?}        an ack number asks for the acknowledgement
//      {"op": "stall", "id"}                                takes nothing from its connection any more
//      {"op": "close", "id"}
// Out: {"id", "event", "data"}: connect, connect_error, disconnect, upgrade, and whatever the server sends
//      {"ack", "data"}
const readline = require('node:readline');
const { io } = require('socket.io-client');

const sockets = new Map();
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function connect({ id, url, auth, transports, reconnection, headers }) {
  const socket = io(url, {
    auth,
    forceNew: true,
    reconnection: reconnection ?? false,
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
    timeout: 15000,
    ...(transports ? { transports } : {}),
    ...(headers ? { extraHeaders: headers } : {}),
  });
  sockets.set(id, socket);
  // The transport may be upgraded before the credentials are checked.
  socket.io.on('open', () => {
    const upgraded = (transport) => tell({ id, event: 'upgrade', data: { transport: transport.name } });
    socket.io.engine.once('upgrade', upgraded);
  });
  socket.on('connect', () => {
    tell({ id, event: 'connect', data: { transport: socket.io.engine.transport.name } });
  });
  socket.on('connect_error', (error) => {
    tell({ id, event: 'connect_error', data: { message: error.message, data: error.data ?? null } });
  });
  socket.on('disconnect', (reason) => tell({ id, event: 'disconnect', data: reason }));
  socket.onAny((event, data) => tell({ id, event, data: data ?? null }));
}

function emit({ id, event, data, ack }) {
  const socket = sockets.get(id);
  if (ack === undefined || ack === null) {
    socket.emit(event, data);
  } else {
    socket.emit(event, data, (answer) => tell({ ack, data: answer ?? null }));
  }
}

function stall({ id }) {
  const { engine } = sockets.get(id).io;
  // Its own watch over the heartbeat would end it in the same moment in which the server gives it up.
  clearTimeout(engine._pingTimeoutTimer);
  engine.transport.ws.pause();
}

const operations = {
  connect,
  emit,
  stall,
  close: ({ id }) => sockets.get(id).close(),
};

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const command = JSON.parse(line);
  operations[command.op](command);
});
lines.on('close', () => process.exit(0));
tell({ id: '', event: 'ready', data: null });
