// What pages do beyond HTML: nothing that they could not do without.
"use strict";

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-sends-itself]");
  if (form) form.requestSubmit();
});

document.addEventListener("submit", (event) => {
  const question = event.submitter && event.submitter.dataset.question;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copies]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = button.dataset.done;
  } catch {
    // Without TLS a browser gives pages no clipboard: the text is selected, to be copied by hand.
    window.getSelection().selectAllChildren(source);
  }
});

// The beginning of a file is tried: its header, not its pixels.
document.addEventListener("change", async (event) => {
  const input = event.target.closest("input[data-tries]");
  if (!input || !input.files.length) return;
  const answer = await fetch(input.dataset.tries, {
    method: "POST",
    headers: { "X-CSRF-Token": input.dataset.secret, "Content-Type": "application/octet-stream" },
    body: input.files[0].slice(0, 192 * 1024),
  });
  if (answer.redirected) window.location.reload();
  else document.getElementById(input.dataset.shows).innerHTML = await answer.text();
});
