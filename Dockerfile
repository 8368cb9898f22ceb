# syntax=docker/dockerfile:1
# One image with the three programs: ingest, workers, simulator. The command chooses: `ingest serve`,
# `workers run --queues whatsapp`, `simulator --listen 0.0.0.0:9090`.

# The same Debian release in both stages, so that the programs find the C library they were linked with.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --profile dist --workspace --bin ingest --bin workers --bin simulator \
    && mkdir /out \
    && cp target/dist/ingest target/dist/workers target/dist/simulator /out/

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin bellhop
COPY --from=build /out/ /usr/local/bin/
USER 10001:10001
# 8080 API, webhooks and sockets · 8081 workers' health and metrics · 8082 ingest's · 9090 simulator
EXPOSE 8080 8081 8082 9090
STOPSIGNAL SIGTERM
CMD ["ingest", "serve"]
