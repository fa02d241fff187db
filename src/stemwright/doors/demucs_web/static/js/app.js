"use strict";

const base = new URL(".", location.href).pathname; // "/" on a port of its own, "/doors/demucs-web/" on the studio's
const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((one) => [one.id, one]));
const socket = io("/progress", { path: `${base}socket.io/` });
let job = null;

function show(...ids) {
  for (const id of ["progress", "result", "error"]) page[id].hidden = !ids.includes(id);
}

function fail(message) {
  job = null;
  page.error.textContent = message;
  page["upload-form"].querySelector("button").disabled = false;
  show("error");
}

function progress(percent, message) {
  page["progress-bar"].value = percent;
  page["progress-text"].textContent = `${percent}%`;
  page["progress-message"].textContent = message;
}

async function submit(event) {
  event.preventDefault();
  const body = new FormData();
  for (const name of ["model", "format", "stems"]) body.append(name, page[name].value);
  body.append("audio_file", page["audio-file"].files[0]);
  page["upload-form"].querySelector("button").disabled = true;
  progress(0, "Uploading");
  show("progress");
  try {
    const response = await fetch(`${base}api/upload`, { method: "POST", body });
    const answer = await response.json();
    if (!response.ok) return fail(answer.error ?? answer.detail ?? `The server answered ${response.status}`);
    job = answer.job_id;
    page["result-model"].textContent = answer.model;
    socket.emit("subscribe", { job_id: job });
  } catch {
    fail("The server cannot be reached");
  }
}

socket.on("connect", () => job && socket.emit("subscribe", { job_id: job })); // again after a connection was lost
socket.on("progress", (data) => data.job_id === job && progress(data.progress, data.message));
socket.on("error", (data) => data.job_id === job && fail(data.error_message));
socket.on("completed", (data) => {
  if (data.job_id !== job) return;
  job = null;
  page["download-btn"].href = data.download_url;
  page["upload-form"].querySelector("button").disabled = false;
  show("result");
});
page["upload-form"].addEventListener("submit", submit);
