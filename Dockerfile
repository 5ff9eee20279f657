# Duologue in a container.
#
#   docker build -t duologue .
#
# Behind a proxy that speaks TLS (no QUIC then):
#
#   docker run --rm -p 3001:3001 -v duologue-data:/data \
#     -e JWT_SECRET="$(openssl rand -hex 32)" -e CORS_ORIGIN=https://chat.example \
#     -e DUOLOGUE_LISTEN_HTTPS=off -e DUOLOGUE_LISTEN_QUIC=off \
#     -e DUOLOGUE_LIMITS_TRUSTED_PROXIES=172.17.0.1 duologue    # the proxy as the container sees it
#
# On its own, with a certificate, on the usual ports:
#
#   docker run --rm -p 443:3443/tcp -p 443:3443/udp -v duologue-data:/data -v /etc/duologue:/certs:ro \
#     -e JWT_SECRET=... -e DUOLOGUE_TLS_CERTIFICATE=/certs/chain.pem -e DUOLOGUE_TLS_KEY=/certs/key.pem \
#     -e DUOLOGUE_PUBLIC_HOST=chat.example -e DUOLOGUE_PUBLIC_HTTPS_PORT=443 -e DUOLOGUE_PUBLIC_QUIC_PORT=443 duologue
#
# The secret and a certificate are needed: this is production, which makes nothing up. Keep the secret
# from run to run, or every token is void. The key must be readable by user 10001. Guests come in
# with -e DUOLOGUE_AUTH_GUESTS=true. Logs are in the volume, too, and on stderr; -e DUOLOGUE_LOG_FOLDER=off
# leaves it at stderr. `docker run ... duologue check` looks at the settings only.

FROM rust:1.95-slim-bookworm AS builder
# aws-lc is built with cmake and a C compiler; clang and libclang are for where its bindings are made anew.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake clang libclang-dev make perl pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --profile dist --locked

FROM debian:bookworm-slim
# A user without a shell; the data folder is theirs.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin duologue \
    && install -d -o duologue -g duologue -m 0700 /data
COPY --from=builder /build/target/dist/duologue /usr/local/bin/duologue
COPY LICENSE /usr/share/doc/duologue/LICENSE
# 3443 and not 443: ports below 1024 are not for a user like this one. Map them with -p.
ENV NODE_ENV=production \
    DUOLOGUE_SERVER_DATA=/data \
    DUOLOGUE_LOG_FOLDER=/data/logs \
    DUOLOGUE_LISTEN_HTTP=0.0.0.0:3001 \
    DUOLOGUE_LISTEN_HTTPS=0.0.0.0:3443 \
    DUOLOGUE_LISTEN_QUIC=0.0.0.0:3443
VOLUME /data
EXPOSE 3001/tcp 3443/tcp 3443/udp
WORKDIR /data
USER duologue
# session.drain_ms (8 s) and QUIC's goodbye (1 s) fit in Docker's 10 s between SIGTERM and SIGKILL.
STOPSIGNAL SIGTERM
# No curl in the image: bash opens the socket itself, on the port that -e PORT gave, if it did. 503 means draining.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${PORT:-3001} && printf 'GET /health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r status <&3 && [[ $status == *' 200 '* ]]"]
ENTRYPOINT ["/usr/local/bin/duologue"]
