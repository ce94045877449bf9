// Behaviour of the page beside gradio's.
"use strict";

const still = matchMedia("(prefers-reduced-motion: reduce)");

document.addEventListener("click", (event) => {
  if (!event.target.closest(".studio-both")) return;
  const videos = [...document.querySelectorAll("#results video")];
  videos.forEach((video, number) => {
    video.currentTime = 0;
    video.muted = number > 0; // the same speech twice would echo
    video.play();
  });
});

// With prefers-reduced-motion previews do not start by themselves.
document.addEventListener("play", (event) => {
  if (still.matches && event.target.autoplay) {
    event.target.autoplay = false;
    event.target.pause();
  }
}, true);

// Dropped and chosen files are checked before the component sees them: it would refuse videos as a source of sound.
// Other types of files get a message beside the component.
const wanted = {
  photo: { types: ["image/"], said: "is no photo: give a picture, such as JPEG or PNG." },
  speech: { types: ["audio/", "video/"], said: "is no recording: give sound, or a video with sound." },
};
const place = (event) => event.target.closest?.("#photo, #speech");
const say = (block, sentence) => {
  block.parentElement.querySelector(`.studio-refused[data-of=${block.id}]`)?.remove();
  if (!sentence) return;
  const said = document.createElement("p");
  Object.assign(said, { className: "studio-alert studio-refused", textContent: sentence });
  said.dataset.of = block.id;
  said.setAttribute("role", "alert");
  block.after(said);
};
const refused = (block, files) => {
  const { types, said } = wanted[block.id];
  // Systems know no type of some recordings; the server looks into those.
  const fits = (file) => (!file.type && block.id === "speech") || types.some((type) => file.type.startsWith(type));
  const wrong = files.find((file) => !fits(file));
  say(block, wrong && `${wrong.name} ${said}`);
  return Boolean(wrong);
};
const isSound = (file) => file.type.startsWith("audio/");
const foreign = (block, files) => block.id === "speech" && !files.every(isSound);
const give = (input, files) => {
  const list = new DataTransfer();
  for (const file of files) list.items.add(isSound(file) ? file : new File([file], file.name, { type: "audio/mp4" }));
  input.files = list.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
};

document.addEventListener("drop", (event) => {
  const block = place(event), files = [...(event.dataTransfer?.files ?? [])];
  if (!block || !files.length) return;
  const input = block.querySelector("input[type=file]"), wrong = refused(block, files);
  if (!wrong && !(input && foreign(block, files))) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true })); // nothing is dragged over it any more
  if (!wrong) give(input, files);
}, true);

document.addEventListener("change", (event) => {
  const block = place(event), input = event.target;
  if (!block || input.type !== "file" || !input.files.length) return;
  const files = [...input.files], wrong = refused(block, files);
  if (!wrong && !foreign(block, files)) return;
  event.stopImmediatePropagation();
  if (wrong) input.value = "";
  else give(input, files);
}, true);

document.addEventListener("click", (event) => {
  const examples = event.target.closest("#portraits, #sounds");
  if (examples) say(document.getElementById(examples.id === "portraits" ? "photo" : "speech"), "");
});

// Browsers may ignore autoplay of muted videos while the page is busy.
document.addEventListener("canplay", (event) => {
  if (event.target.autoplay && event.target.paused && !still.matches) event.target.play().catch(() => {});
}, true);

// On a phone the result is below the button: scroll to it.
document.addEventListener("click", (event) => {
  if (event.target.closest("#generate") && innerWidth < 700) {
    document.getElementById("stage")?.scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
  }
});

// The accessible name of a button must contain its visible text (WCAG 2.5.3).
new MutationObserver(() => {
  const rename = (button, name) => {
    if (button.getAttribute("aria-label") !== name) button.setAttribute("aria-label", name);
  };
  const text = (element) => element?.innerText?.replace(/\s+/g, " ").trim() ?? "";
  for (const button of document.querySelectorAll("button.upload-container")) {
    const label = text(button.closest(".block")?.querySelector("[data-testid=block-label]")) || "File";
    if (text(button)) rename(button, `${label}: ${text(button)}`);
  }
  // The file dialog shall offer videos, too.
  const sound = document.querySelector("#speech input[type=file]");
  if (sound && sound.accept && !sound.accept.includes("video/")) sound.accept += ", video/*";
  for (const button of document.querySelectorAll("button.playback")) rename(button, `${text(button)}, playback speed`);
}).observe(document.documentElement, { childList: true, characterData: true, subtree: true });

document.addEventListener("click", async (event) => {
  if (!event.target.closest("#studio-clear")) return;
  const question =
    "Remove your photo, speech, videos and edits, here and in other tabs of this browser? " +
    "What you have not downloaded is lost.";
  if (!(await askFirst(question, "Remove everything", "Keep it"))) return;
  await fetch("/studio/forget", { method: "POST" });
  sessionStorage.removeItem("fd2talk-studio-tab");
  location.reload();
});

// Stores the open tab, at which the page opens after a reload (app.py).
document.addEventListener("click", (event) => {
  const tab = event.target.closest?.("[role=tab]");
  if (tab) sessionStorage.setItem("fd2talk-studio-tab", tab.textContent.trim());
});
