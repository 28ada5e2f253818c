# The image of the service and of the jobs: one stripped program on a base without a shell, as a user without rights.
# Bases are pinned by the digests of their indexes of platforms; `make image-pin` asks the registries for newer ones.

FROM docker.io/library/rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
WORKDIR /build

# Dependencies alone, with empty targets in the places that Cargo.toml names: this layer changes with Cargo.lock only.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches tests \
    && for target in src/main.rs benches/extract.rs benches/encoders.rs tests/main.rs; do echo 'fn main() {}' > "$target"; done \
    && touch src/lib.rs \
    && cargo build --locked --release --bin highwater

# Newer than what was built of the empty ones, whatever times the sources bring. No feature: faults are for tests. Nothing but
# the program stays, so that a registry's cache of layers does not grow by all that was compiled.
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
COPY build.rs ./
COPY src ./src
# `highwater explain` prints it
COPY docs/errors.md ./docs/errors.md
RUN find src -name '*.rs' -exec touch {} + \
    && HIGHWATER_REVISION="${REVISION}" HIGHWATER_DATE="${CREATED}" cargo build --locked --release --bin highwater \
    && mv target/release/highwater /highwater \
    && rm -rf target

# It has the certificate authorities and the C library's runtime, and neither shell nor package manager.
FROM gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="highwater" \
      org.opencontainers.image.description="Moves tables from MySQL and PostgreSQL into BigQuery: incrementally, exactly once, on Cloud Run" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

COPY LICENSE /usr/share/doc/highwater/LICENSE
COPY --from=build /highwater /usr/local/bin/highwater

# the base's nonroot, by number so that it can be verified
USER 65532:65532
WORKDIR /home/nonroot
EXPOSE 8080
ENTRYPOINT ["highwater"]
CMD ["serve"]
