# An image of one release (镜像): the wheel and what it needs by hash, nothing of the source tree, no compiler, no shell of ours.
# Not tried where this was written: no container engine was at hand. tests/supply/test_image.py holds what is written here.
#
#   python -m build --wheel            # or: pip wheel --no-deps --wheel-dir dist .
#   docker build --build-arg BASE_IMAGE=<your registry's Python 3.11 or later, by digest> --tag fenzhi:0.1.0 .
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /build
COPY requirements-runtime.lock dist/fenzhi-*.whl ./
RUN python -m venv /opt/fenzhi \
 && /opt/fenzhi/bin/python -m pip install --no-cache-dir --no-compile --require-hashes --only-binary=:all: -r requirements-runtime.lock \
 && /opt/fenzhi/bin/python -m pip install --no-cache-dir --no-compile --no-index --no-deps ./fenzhi-*.whl \
 && /opt/fenzhi/bin/python -m pip uninstall --yes pip setuptools

FROM ${BASE_IMAGE}
COPY --from=build /opt/fenzhi /opt/fenzhi
# The folders platform and graphql of a checkout would shadow modules; no working folder leads the import path (ADR-0002).
ENV PATH=/opt/fenzhi/bin:$PATH PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 10001:10001
EXPOSE 8080 9090
CMD ["python", "-m", "fenzhi_graphql"]
