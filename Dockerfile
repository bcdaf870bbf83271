# flawline's images, one target per role: docker build --target inspection -t flawline-inspection .
#
#   base             books, housekeeping, watch, migrate: no camera, no model, no pages
#   backup           base with PostgreSQL's own dump and restore programs
#   ingest           cameras
#   inspection       judging on a CPU            inspection-cuda   judging on a GPU
#   training         learning on a CPU           training-cuda     learning on a GPU
#   gate             gates and PLCs
#   dashboard        the pages
#
# PyTorch: PyPI's wheels are the CUDA build (some 3 GB with its libraries). The CPU targets take the same pinned version
# from PyTorch's CPU index instead; --build-arg TORCH_INDEX=https://mirror.plant.example/simple names another one.
# Behind a proxy or without the internet, give pip's own settings: --build-arg PIP_INDEX_URL=…

ARG PYTHON=3.11.14-slim-bookworm

# ---- what the roles are installed from; none of it is in the final images ----------------------------------------
FROM python:${PYTHON} AS source
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv --without-pip /opt/flawline
COPY constraints.txt ./

FROM source AS torch-cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip --python /opt/flawline/bin/python install --no-deps --index-url "$TORCH_INDEX" \
    --constraint constraints.txt torch torchvision

FROM source AS torch-cuda
RUN pip --python /opt/flawline/bin/python install --constraint constraints.txt torch torchvision

FROM source AS code
COPY pyproject.toml README.md LICENSE ./
COPY cli/ cli/
COPY core/ core/
COPY dashboard/ dashboard/
COPY ingest/ ingest/
COPY migrations/ migrations/
COPY model/ model/
COPY workers/ workers/

FROM code AS build-base
RUN pip --python /opt/flawline/bin/python install --constraint constraints.txt ".[servers]"

FROM code AS build-ingest
RUN pip --python /opt/flawline/bin/python install --constraint constraints.txt ".[ingest,servers]"

FROM code AS build-gate
RUN pip --python /opt/flawline/bin/python install --constraint constraints.txt ".[gate,servers]"

FROM code AS build-dashboard
RUN pip --python /opt/flawline/bin/python install --constraint constraints.txt ".[dashboard,servers]"

FROM torch-cpu AS build-model-cpu
COPY --from=code /src /src
RUN pip --python /opt/flawline/bin/python install --constraint constraints.txt ".[model,servers]"

FROM torch-cuda AS build-model-cuda
COPY --from=code /src /src
RUN pip --python /opt/flawline/bin/python install --constraint constraints.txt ".[model,servers]"

# ---- what the roles run in: Python, an account without rights, the health check -----------------------------------
FROM python:${PYTHON} AS runtime
RUN groupadd --gid 10001 flawline \
    && useradd --uid 10001 --gid flawline --no-create-home --home-dir /data --shell /usr/sbin/nologin flawline \
    && install --directory --owner=flawline --group=flawline --mode=0750 /data
ENV PATH=/opt/flawline/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/data \
    FLAWLINE_DATA=/data FLAWLINE_LOG_FORMAT=json FLAWLINE_METRICS__HOST=0.0.0.0 FLAWLINE_METRICS__PORT=9100
WORKDIR /data
EXPOSE 9100
ENTRYPOINT ["flawline"]
CMD ["--help"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9100/healthz', timeout=4)"]

# OpenCV's wheel needs these two libraries of the system.
FROM runtime AS runtime-pictures
RUN apt-get update && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*

FROM runtime-pictures AS runtime-model
# Models load and compile before the first turn.
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9100/healthz', timeout=4)"]

# ---- the roles ------------------------------------------------------------------------------------------------------
FROM runtime AS base
COPY --from=build-base /opt/flawline /opt/flawline
USER flawline

FROM runtime AS backup
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client-15 && rm -rf /var/lib/apt/lists/*
COPY --from=build-base /opt/flawline /opt/flawline
HEALTHCHECK NONE
USER flawline

FROM runtime-pictures AS ingest
COPY --from=build-ingest /opt/flawline /opt/flawline
USER flawline

FROM runtime-model AS inspection
COPY --from=build-model-cpu /opt/flawline /opt/flawline
USER flawline

FROM runtime-model AS inspection-cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-model-cuda /opt/flawline /opt/flawline
USER flawline

FROM inspection AS training
HEALTHCHECK NONE

FROM inspection-cuda AS training-cuda
HEALTHCHECK NONE

FROM runtime AS gate
COPY --from=build-gate /opt/flawline /opt/flawline
USER flawline

FROM runtime-pictures AS dashboard
ENV FLAWLINE_DASHBOARD__HOST=0.0.0.0
COPY --from=build-dashboard /opt/flawline /opt/flawline
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/healthz', timeout=4)"]
USER flawline
