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
