// Mismo DJ's audio engine as far as its document shows it: it asks for tracks, and loads stems when they are ready.
// `engine.mjs` alone listens (AUDIO_SERVER_WS_URL is its address); `engine.mjs ws://…` calls an app server.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import WebSocket, { WebSocketServer } from "ws";

const say = (event, facts = {}) => console.log(JSON.stringify({ event, ...facts }));
const asked = new Map(); // requestId → when
let socket, server;

function loadStems(stems) {
  return Object.fromEntries(Object.entries(stems).map(([name, file]) => [name, readFileSync(file).subarray(0, 4).toString()]));
}

function attach(connection) {
  socket = connection;
  connection.on("message", (text, binary) => {
    const message = JSON.parse(text.toString());
    const ms = asked.has(message.requestId) ? performance.now() - asked.get(message.requestId) : null;
    const loaded = message.type === "stemsReady" ? loadStems(message.stems) : undefined;
    say("message", { message, ms, binary, loaded });
  });
  connection.on("ping", () => say("ping"));
  connection.on("close", () => say("closed"));
  connection.on("error", () => {});
  say("connected");
}

function listen(port) {
  server = new WebSocketServer({ host: "127.0.0.1", port });
  server.on("connection", attach);
  server.on("listening", () => say("listening", { port: server.address().port }));
}

function call(url) {
  const connection = new WebSocket(url);
  connection.on("open", () => attach(connection));
  connection.on("error", (error) => say("refused", { error: error.message }));
}

const url = process.argv[2];
if (url) call(url);
else listen(0);

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { what, ...rest } = JSON.parse(line);
    if (what === "send") {
      if (rest.message?.requestId !== undefined) asked.set(rest.message.requestId, performance.now());
      socket.send(rest.text ?? JSON.stringify(rest.message));
    }
    if (what === "drop") socket.terminate();
    if (what === "call") call(url);
    if (what === "vanish") {
      for (const client of server.clients) client.terminate();
      const { port } = server.address();
      server.close(() => say("vanished", { port }));
    }
    if (what === "listen") listen(rest.port);
  })
  .on("close", () => process.exit(0));
