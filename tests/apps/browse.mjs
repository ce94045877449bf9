// node browse.mjs CHROMIUM URL WIDTH light|dark SCREENSHOT.png: open a page in headless Chromium and print as JSON what
// went wrong (messages, requests that failed or left this computer) and what is visible.
import puppeteer from "puppeteer-core";

const [executablePath, url, width, scheme, screenshot] = process.argv.slice(2);
// Chromium refuses to run its sandbox as root, which is who tests are in a container.
const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
const browser = await puppeteer.launch({ executablePath, args });
const page = await browser.newPage();
const problems = [];
page.on("console", (message) => {
  if (["error", "warn"].includes(message.type())) problems.push(`console: ${message.text()}`);
});
page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
page.on("requestfailed", (request) => problems.push(`failed: ${request.url()}`));
page.on("response", (response) => {
  if (response.status() >= 400) problems.push(`status ${response.status()}: ${response.url()}`);
});
page.on("request", (request) => {
  const { protocol, hostname } = new URL(request.url());
  if (protocol.startsWith("http") && hostname !== "127.0.0.1") problems.push(`elsewhere: ${request.url()}`);
});
await page.setViewport({ width: Number(width), height: 900 });
await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
await page.goto(url, { waitUntil: "networkidle0" });
const seen = await page.evaluate(() => {
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 20 && box.height > 20 && box.left >= 0 && box.right <= window.innerWidth + 1;
  };
  const all = (selector) => [...document.querySelectorAll(selector)];
  const images = all("img").map((image) => image.complete && image.naturalWidth > 0 && shown(image));
  const style = getComputedStyle(document.body);
  return {
    title: document.title,
    text: document.body.innerText,
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    images: { count: images.length, visible: images.filter(Boolean).length },
    plots: { count: all("figure svg").length, visible: all("figure svg").filter(shown).length },
    ink: style.color,
    paper: style.backgroundColor,
  };
});
await page.screenshot({ path: screenshot, fullPage: true });
await browser.close();
console.log(JSON.stringify({ problems, ...seen }));
