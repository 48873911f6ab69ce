// Sends the chosen files one after the other, each as the body of a request, and shows how far.
"use strict";

const uploadForm = document.getElementById("upload");
const uploadWords = document.getElementById("upload-words");
const uploadBar = document.getElementById("upload-bar");

function sendFile(file, run, secret, onSent) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const name = encodeURIComponent((file.webkitRelativePath || file.name).slice(-255));
    request.open("POST", `/api/v1/uploads?run=${run}&name=${name}`);
    request.setRequestHeader("X-CSRF-Token", secret);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => onSent(event.loaded));
    request.addEventListener("loadend", () => {
      if (request.status === 200) return resolve("");
      let words = `HTTP ${request.status}`;
      try { words = JSON.parse(request.responseText).detail || words; } catch { /* no JSON */ }
      resolve(`${file.name}: ${words}`);
    });
    request.send(file);
  });
}

uploadForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const inputs = uploadForm.querySelectorAll("input[type=file]");
  const files = [...inputs].flatMap((input) => [...input.files]);
  if (!files.length) return inputs[0].focus();
  const button = uploadForm.querySelector("button");
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const run = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
  const faults = [];
  let before = 0;
  button.disabled = true;
  uploadBar.hidden = false;
  for (const [index, file] of files.entries()) {
    uploadWords.textContent = `${index + 1} ${uploadForm.dataset.of} ${files.length}`;
    const fault = await sendFile(file, run, uploadForm.elements.csrf.value, (sent) => {
      uploadBar.value = Math.min(1, (before + sent) / total);
    });
    if (fault) faults.push(fault);
    before += file.size;
  }
  uploadBar.hidden = true;
  button.disabled = false;
  uploadWords.textContent =
    `${files.length - faults.length} ${uploadForm.dataset.of} ${files.length} ${uploadForm.dataset.sent}` +
    (faults.length ? `; ${uploadForm.dataset.failed}: ${faults.slice(0, 5).join("; ")}` : "");
  uploadForm.reset();
});
