"""python load_in_blender.py FILE.glb FPS FRAME...: what Blender makes of a glTF file, printed as JSON.

Runs in a Python that has the package bpy.
"""

import json
import sys

import bpy

path, fps, *frames = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.fps = int(fps)
bpy.ops.import_scene.gltf(filepath=path)
face = bpy.data.objects["face"]
found = {
    "objects": {thing.name: thing.parent.name if thing.parent else None for thing in bpy.data.objects},
    "images": [list(image.size) for image in bpy.data.images if image.size[0]],
    "frames": [],
}
for frame in frames:
    scene.frame_set(int(frame))
    evaluated = face.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = [list(evaluated.matrix_world @ vertex.co) for vertex in evaluated.to_mesh().vertices]
    keys = {key.name: key.value for key in face.data.shape_keys.key_blocks if key.name != "Basis"}
    found["frames"].append({"keys": keys, "vertices": points})
print("JSON" + json.dumps(found))
