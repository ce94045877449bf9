// node show_gltf.mjs CHROMIUM FILE.glb SIZE SCREENSHOT.png SECONDS[@DEGREES]...: play the file's animation with three.js
// in headless Chromium, which also decodes its textures. Prints as JSON what went wrong and, for each time, the morph
// targets' weights by name, the rotations of the nodes and the positions of the face's vertices; the screenshot shows the times side by side, seen from the
// side by so many degrees.
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";

const [executablePath, file, size, screenshot, ...times] = process.argv.slice(2);
const modules = join(dirname(fileURLToPath(import.meta.url)), "node_modules", "three");
const page_html = `<!doctype html><title>glTF</title><body style="margin:0;background:#fff;font-size:0">
<script type="importmap">{"imports":{"three":"/three/build/three.module.js","three/addons/":"/three/examples/jsm/"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
const { scene: face, animations, cameras } = await new GLTFLoader().loadAsync("/face.glb");
const scene = new THREE.Scene();
scene.background = new THREE.Color(0xffffff);
scene.add(face);
scene.add(new THREE.HemisphereLight(0xffffff, 0x887766, 3));
const mixer = new THREE.AnimationMixer(face);
for (const animation of animations) mixer.clipAction(animation).play();
const renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
renderer.setSize(${Number(size)}, ${Number(size)});
const frames = [];
const camera = cameras[0];
camera.removeFromParent();
const distance = camera.position.z;
for (const [time, degrees = 0] of ${JSON.stringify(times.map((time) => time.split("@").map(Number)))}) {
  mixer.setTime(time);
  const angle = (degrees * Math.PI) / 180;
  camera.position.set(distance * Math.sin(angle), 0, distance * Math.cos(angle));
  camera.lookAt(0, 0, 0);
  scene.updateMatrixWorld(true);
  renderer.render(scene, camera);
  const image = document.body.appendChild(new Image());
  image.src = renderer.domElement.toDataURL();
  await image.decode();
  const mesh = face.getObjectByName("face").getObjectByProperty("isMesh", true);
  const count = mesh.geometry.attributes.position.count;
  const vertex = new THREE.Vector3();
  const place = (_, index) => mesh.getVertexPosition(index, vertex).applyMatrix4(mesh.matrixWorld).toArray();
  const frame = { weights: {}, rotations: {}, textures: 0, vertices: Array.from({ length: count }, place) };
  face.traverse((object) => {
    frame.rotations[object.name] = object.quaternion.toArray();
    if (object.material?.map?.image?.width > 1) frame.textures += 1;
    for (const [name, index] of Object.entries(object.morphTargetDictionary ?? {}))
      frame.weights[name] = object.morphTargetInfluences[index];
  });
  frames.push(frame);
}
window.frames_ = frames;
</script>`;
const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, "http://localhost").pathname);
  const send = (type, name) => {
    if (!existsSync(name)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": type });
    createReadStream(name).pipe(response);
  };
  if (path === "/") response.writeHead(200, { "content-type": "text/html" }).end(page_html);
  else if (path === "/face.glb") send("model/gltf-binary", file);
  else if (path.startsWith("/three/")) send("text/javascript", join(modules, path.slice("/three/".length)));
  else response.writeHead(204).end();
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const args = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"];
// Chromium refuses to run its sandbox as root, which is who tests are in a container.
if (process.getuid?.() === 0) args.push("--no-sandbox");
const browser = await puppeteer.launch({ executablePath, args });
const page = await browser.newPage();
const problems = [];
page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
page.on("pageerror", (error) => problems.push(error.message));
await page.setViewport({ width: Number(size) * times.length, height: Number(size) });
await page.goto(`http://127.0.0.1:${server.address().port}/`);
const loaded = await page.waitForFunction("window.frames_", { timeout: 60000 }).catch((error) => problems.push(error.message));
const frames = typeof loaded === "number" ? [] : await page.evaluate("window.frames_");
await page.screenshot({ path: screenshot });
await browser.close();
server.close();
console.log(JSON.stringify({ problems, frames }));
