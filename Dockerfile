# Generating and serving on the CPU, without root; generating without a network, too:
#   docker build -t fd2talk .
#   docker run --rm --read-only --tmpfs /tmp --network none -v "$PWD:/work" --user "$(id -u):$(id -g)" \
#     fd2talk generate photo.jpg speech.wav -o talk.mp4
# Serving: compose.yaml, docs/service.md.
FROM python:3.12-slim

# What OpenCV loads and the slim image lacks.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
COPY . /src
# PyTorch for the CPU is a fifth of the one for CUDA.
RUN pip install --no-cache-dir -c /src/constraints.txt torch --index-url https://download.pytorch.org/whl/cpu && \
    pip install --no-cache-dir -c /src/constraints.txt "/src[serve]" && rm -rf /src
# Of `fd2talk serve --data /data`: a volume that is mounted here belongs to the user below, as this folder does.
RUN mkdir /data && chown 10001:10001 /data

# The only place that is written to is /tmp, besides the folder of the files, and /data.
ENV HOME=/tmp XDG_CACHE_HOME=/tmp MPLCONFIGDIR=/tmp PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /work
ENTRYPOINT ["fd2talk"]
