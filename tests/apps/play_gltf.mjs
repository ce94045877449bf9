// node play_gltf.mjs FILE.glb SECONDS...: load the file with three.js, play its animation and print, for each time, the
// positions of all vertices of the face as JSON: metres, in the world. Textures cannot be read without a browser.
import { readFileSync } from "node:fs";
import { AnimationMixer, Vector3 } from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

const [path, ...times] = process.argv.slice(2);
const bytes = readFileSync(path);
const content = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const { scene, animations } = await new GLTFLoader().parseAsync(content, "");
const mixer = new AnimationMixer(scene);
for (const animation of animations) mixer.clipAction(animation).play();
const meshes = [];
scene.getObjectByName("face").traverse((object) => object.isMesh && meshes.push(object));
const frames = times.map((time) => {
  mixer.setTime(Number(time));
  scene.updateMatrixWorld(true);
  const vertex = new Vector3();
  const count = meshes[0].geometry.attributes.position.count;
  return Array.from({ length: count }, (_, index) =>
    meshes[0].getVertexPosition(index, vertex).applyMatrix4(meshes[0].matrixWorld).toArray(),
  );
});
console.log(JSON.stringify({ meshes: meshes.length, frames }));
