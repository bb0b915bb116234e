# The image: one static program, nothing else. docs/image.md says more. scripts/image makes it from the last stage alone, without a
# container engine and without a base image.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# --build-arg COMMIT=$(git rev-parse --short=12 HEAD) names the commit in --version
ARG COMMIT=unknown
RUN install -D "$(SESSION_WEBHOOK_COMMIT=$COMMIT scripts/static)" /out/session-webhook

FROM scratch
ARG COMMIT=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="hobbyfarm-session-webhook" \
      org.opencontainers.image.description="Admission webhook that guards HobbyFarm's Session resource" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /out/session-webhook /session-webhook
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["/session-webhook"]
CMD ["serve"]
