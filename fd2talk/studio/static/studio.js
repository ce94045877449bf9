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

// On a phone the result lies below what was pressed.
document.addEventListener("click", (event) => {
  if (event.target.closest("#generate") && innerWidth < 700) {
    document.getElementById("stage")?.scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
  }
});

// What an upload button is called must contain what it says.
new MutationObserver(() => {
  for (const button of document.querySelectorAll("button.upload-container[aria-label]:not(.studio-named)")) {
    const block = button.closest(".block");
    const name = block?.querySelector("[data-testid=block-label]")?.textContent.trim() ?? "File";
    button.setAttribute("aria-label", `${name}: ${button.innerText.replace(/\s+/g, " ").trim()}`);
    button.classList.add("studio-named");
  }
}).observe(document.documentElement, { childList: true, subtree: true });
