// Small things that the page does by itself.
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

// Whoever wants little movement starts previews by hand.
document.addEventListener("play", (event) => {
  if (still.matches && event.target.autoplay) {
    event.target.autoplay = false;
    event.target.pause();
  }
}, true);

// Browsers start muted videos by themselves only when nothing else is going on.
document.addEventListener("canplay", (event) => {
  if (event.target.autoplay && event.target.paused && !still.matches) event.target.play().catch(() => {});
}, true);

// On a phone the result lies below what was pressed.
document.addEventListener("click", (event) => {
  if (event.target.closest("#generate") && innerWidth < 700) {
    document.getElementById("stage")?.scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
  }
});

// What a button is called must contain what it says.
new MutationObserver(() => {
  const rename = (button, name) => {
    if (button.getAttribute("aria-label") !== name) button.setAttribute("aria-label", name);
  };
  const text = (element) => element?.innerText?.replace(/\s+/g, " ").trim() ?? "";
  for (const button of document.querySelectorAll("button.upload-container")) {
    const label = text(button.closest(".block")?.querySelector("[data-testid=block-label]")) || "File";
    if (text(button)) rename(button, `${label}: ${text(button)}`);
  }
  for (const button of document.querySelectorAll("button.playback")) rename(button, `${text(button)}, playback speed`);
}).observe(document.documentElement, { childList: true, characterData: true, subtree: true });
