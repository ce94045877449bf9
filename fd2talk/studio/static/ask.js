// A confirmation dialog; resolves to true or false. Escape cancels.
"use strict";

window.askFirst = (question, yes, no) => new Promise((answered) => {
  const dialog = document.createElement("dialog");
  const said = Object.assign(document.createElement("p"), { id: "studio-asked", textContent: question });
  const answers = Object.assign(document.createElement("form"), { method: "dialog" });
  for (const [value, text] of [["no", no], ["yes", yes]]) {
    answers.append(Object.assign(document.createElement("button"), { value, textContent: text }));
  }
  dialog.className = "studio-ask";
  dialog.setAttribute("aria-labelledby", said.id);
  dialog.append(said, answers);
  dialog.addEventListener("close", () => {
    dialog.remove(); // the browser gives the focus back to what had it
    answered(dialog.returnValue === "yes");
  }, { once: true });
  (document.querySelector(".gradio-container") ?? document.body).append(dialog);
  dialog.showModal();
});
