# The image: one static binary, nothing else.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# `--build-arg COMMIT=$(git rev-parse --short HEAD)` names the commit in --version
ARG COMMIT=unknown
RUN SESSION_WEBHOOK_COMMIT=$COMMIT RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --target "$(rustc -vV | sed -n 's/^host: //p')" --bin session-webhook \
 && install -D target/*/release/session-webhook /out/session-webhook

FROM scratch
COPY --from=build /out/session-webhook /session-webhook
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["/session-webhook"]
CMD ["serve"]
