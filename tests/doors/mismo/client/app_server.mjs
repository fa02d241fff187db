// Mismo DJ's app server, written from its document: the audio engine's WebSocket on one side, the analysis server on the other.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import path from "node:path";
import WebSocket from "ws";

const { PYTHON_SERVER_URL, AUDIO_SERVER_WS_URL, LIBRARY } = process.env;
const MAX_CONCURRENT_ANALYSIS = Number(process.env.MAX_CONCURRENT_ANALYSIS ?? 2);
const library = JSON.parse(LIBRARY); // {directories: {id: {path}}, tracks: {id: {library_directory_id, relative_path, …}}}
const RANK = { high: 1, normal: 2, low: 3 };
const say = (event, facts = {}) => console.log(JSON.stringify({ event, ...facts }));

class AnalysisQueue {
  queued = [];
  processing = new Map(); // job id → job
  done = new Map();

  requestAnalysis(track, options, priority, callback_metadata) {
    this.queued.push({ track, options, priority, callback_metadata, created_at: Date.now(), order: this.queued.length });
    this.queued.sort((a, b) => RANK[a.priority] - RANK[b.priority] || a.created_at - b.created_at || a.order - b.order);
    this.process();
  }

  async process() {
    while (this.queued.length && this.processing.size < MAX_CONCURRENT_ANALYSIS) {
      const job = this.queued.shift();
      this.processing.set(job.track.track_hash, job);
      await this.send(job);
    }
  }

  async send(job) {
    const response = await fetch(`${PYTHON_SERVER_URL}/jobs`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        file_path: job.track.absolutePath,
        track_hash: job.track.track_hash,
        options: job.options,
        callback_url: `http://127.0.0.1:${http.address().port}/api/analysis/callback`,
        stem_delivery_mode: "path",
      }),
    });
    const body = await response.json();
    say("submitted", { status: response.status, body, track_hash: job.track.track_hash });
    if (!response.ok) this.finish(job.track.track_hash, { status: "failed", error: body.detail });
  }

  finish(id, outcome) {
    const job = this.processing.get(id);
    if (!job) return;
    this.processing.delete(id);
    this.done.set(id, { ...job, ...outcome });
    this.process();
  }
}

const queue = new AnalysisQueue();
let engine;

function handleGetTrackInfo(message) {
  const track = library.tracks[message.trackId];
  if (!track) return engine.send(JSON.stringify({ success: false, error: "Track not found", requestId: message.requestId }));
  const absolutePath = path.join(library.directories[track.library_directory_id].path, track.relative_path);
  queue.requestAnalysis(
    { ...track, id: message.trackId, absolutePath },
    { stems: true, basic_features: false, characteristics: false },
    "high",
    { type: "audio_server_stems", trackId: message.trackId, requestId: message.requestId },
  );
  engine.send(JSON.stringify({ success: true, trackId: message.trackId, filePath: absolutePath, bpm: track.bpm, key: track.key, mode: track.mode }));
}

function handleCallback({ job_id, stage, status, data, error }) {
  const job = queue.processing.get(job_id);
  if (!job) return;
  job.told = (job.told ?? new Set()).add(stage);
  const { type, trackId, requestId } = job.callback_metadata ?? {};
  if (stage === "stems" && type === "audio_server_stems" && engine?.readyState === WebSocket.OPEN) {
    const news = status === "completed" ? { success: true, type: "stemsReady", requestId, trackId, stems: data.stems } : { success: false, requestId, trackId, error };
    engine.send(JSON.stringify(news));
  }
  const wanted = Object.keys(job.options).filter((name) => job.options[name]);
  if (wanted.every((name) => job.told.has(name))) queue.finish(job_id, { status, error });
}

let answers = []; // statuses for the next callbacks, 200 afterwards
const http = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = JSON.parse(Buffer.concat(parts).toString());
    const status = answers.shift() ?? 200;
    say("callback", { method: request.method, path: request.url, type: request.headers["content-type"], answered: status, body });
    if (status === 200) handleCallback(body);
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ success: status === 200 }));
  });
});

function callEngine() {
  engine = new WebSocket(AUDIO_SERVER_WS_URL);
  engine.on("message", (text) => {
    const message = JSON.parse(text.toString());
    if (message.command === "getTrackInfo") handleGetTrackInfo(message);
  });
  engine.on("error", () => {});
}

http.listen(0, "127.0.0.1", () => {
  say("listening", { port: http.address().port });
  if (AUDIO_SERVER_WS_URL) callEngine();
});

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { what, ...rest } = JSON.parse(line);
    if (what === "answers") answers = rest.statuses;
    if (what === "analyse") {
      const track = library.tracks[rest.trackId];
      const absolutePath = path.join(library.directories[track.library_directory_id].path, track.relative_path);
      queue.requestAnalysis({ ...track, absolutePath }, rest.options, rest.priority ?? "normal", null);
    }
    if (what === "status") {
      fetch(`${PYTHON_SERVER_URL}/api/analysis/jobs/${rest.jobId}`).then(async (response) => {
        const body = await response.json();
        if (["completed", "failed"].includes(body.status)) queue.finish(rest.jobId, body); // its callback was lost
        say("status", { status: response.status, body });
      });
    }
  })
  .on("close", () => process.exit(0));
