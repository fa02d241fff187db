// A client written from the document alone. Prints one line of JSON for each thing that happens:
//   node client.mjs BASE [--file SONG] [--job ID] [--model NAME] [--format F] [--stems S] [--transport T] [--drop]
// BASE is where the door is; --drop breaks the connection once in the middle.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { parseArgs } from "node:util";

const { io } = createRequire(`${process.env.CLIENT_MODULES}/`)("socket.io-client");
const names = ["file", "job", "model", "format", "stems", "transport"];
const options = Object.fromEntries(names.map((name) => [name, { type: "string" }]));
const { values, positionals } = parseArgs({ options: { ...options, drop: { type: "boolean" } }, allowPositionals: true });
const base = new URL(positionals[0]);
const tell = (event, data) => console.log(JSON.stringify({ event, data }));
// Once all is written, without waiting for the answer to a question that a lost connection has asked.
const leave = () => process.stdout.write("", () => process.exit(0));

async function upload() {
  const body = new FormData();
  body.append("audio_file", new Blob([await readFile(values.file)]), basename(values.file));
  for (const name of ["model", "format", "stems"]) if (values[name]) body.append(name, values[name]);
  const response = await fetch(new URL("api/upload", base), { method: "POST", body });
  const answer = await response.json();
  tell("upload", { status: response.status, ...answer });
  return answer.job_id;
}

async function download(path) {
  const response = await fetch(new URL(path, base));
  const bytes = Buffer.from(await response.arrayBuffer());
  const header = (name) => response.headers.get(name);
  tell("download", {
    status: response.status,
    type: header("content-type"),
    disposition: header("content-disposition"),
    zip: bytes.toString("base64"),
  });
}

const job_id = values.job ?? (await upload());
if (!job_id) process.exit(1);
const transports = values.transport ? [values.transport] : ["polling", "websocket"];
const socket = io(new URL("/progress", base).href, { path: `${base.pathname}socket.io/`, transports });
let dropped = !values.drop;

socket.on("connect", () => {
  tell("connect", { transport: socket.io.engine.transport.name });
  socket.emit("subscribe", { job_id });
});
socket.on("connect_error", (error) => {
  tell("connect_error", { message: error.message });
  process.exit(1);
});
socket.on("disconnect", (reason) => tell("disconnect", { reason }));
socket.on("progress", (data) => {
  tell("progress", data);
  if (dropped) return;
  dropped = true;
  socket.io.engine.close(); // as if the line were cut: the client connects again by itself
});
socket.on("completed", async (data) => {
  tell("completed", data);
  await download(data.download_url);
  leave();
});
socket.on("error", (data) => {
  tell("error", data);
  leave();
});
