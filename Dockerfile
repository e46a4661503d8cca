# A static binary on an empty image: no shell, no package, nothing to patch but the binary itself.
#
#     docker build --tag doorward .
#
# musl's allocator is slow, and not used: the binary brings its own.
ARG RUST_VERSION=1.95

FROM rust:${RUST_VERSION}-alpine AS rust
# The C compiler is for SQLite, the allocator and the cryptography.
# hadolint ignore=DL3018
RUN apk add --no-cache build-base
WORKDIR /src

# Changes only when dependencies or the names of programs do. What is copied from here is compared by its content, so the
# layer of built dependencies below outlives every other change.
FROM rust AS skeleton
COPY . .
RUN scripts/skeleton.sh .

FROM rust AS build
COPY --from=skeleton /src .
RUN cargo build --release --locked --bin doorward
COPY . .
# Cargo compares times: our sources have to be newer than the empty programs that were built in their place.
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + \
    && cargo build --release --locked --bin doorward \
    && target/release/doorward --version \
    && readelf --dynamic target/release/doorward >/tmp/dynamic \
    && if grep NEEDED /tmp/dynamic; then echo "not a static binary"; exit 1; fi

FROM scratch
LABEL org.opencontainers.image.title="Doorward" \
    org.opencontainers.image.description="Authorization for multi-tenant platforms, answered over gRPC" \
    org.opencontainers.image.licenses="Apache-2.0"
# The authorities that connections to others are trusted by.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/doorward /doorward
USER 65532:65532
EXPOSE 50051
# The admin port stays on the container's loopback, where this asks it.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["/doorward", "health"]
ENTRYPOINT ["/doorward"]
CMD ["serve", "--listen", "0.0.0.0:50051"]
