# One image for worker, metrics and gateway; the command says which role a container plays.
# The Python is the one that CI tests on.
FROM python:3.11.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY streams streams
COPY metrics metrics
COPY oracle oracle
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/salesfloor && /opt/salesfloor/bin/pip install --quiet '.[avro]'

FROM python:3.11.11-slim-bookworm
COPY --from=build /opt/salesfloor /opt/salesfloor
ENV PATH=/opt/salesfloor/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --no-create-home --shell /usr/sbin/nologin salesfloor
USER salesfloor
WORKDIR /tmp
ENTRYPOINT ["salesfloor"]
CMD ["--help"]
