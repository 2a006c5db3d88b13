# The production image: nginx with the module in front, workerd beside it. Postgres and Redis are other containers.
# Containers that share the segment need one tmpfs: run nginx and workerd in this one container, or mount /dev/shm of one
# into the other.
FROM debian:12-slim AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      gcc make pkg-config nginx nginx-dev libpq-dev libuv1-dev libcurl4-openssl-dev libwslay-dev libmicrohttpd-dev \
      libcjson-dev libjsmn-dev libssl-dev libsystemd-dev zlib1g-dev
COPY . /src
RUN make -C /src -j"$(nproc)" all

FROM debian:12-slim
# Debian's own nginx binary: the module is built against exactly that (its ABI differs from upstream's).
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      nginx libpq5 libuv1 libcurl4 libwslay1 libmicrohttpd12 libcjson1 libssl3 libsystemd0 ca-certificates tini \
 && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled/* \
 && useradd --system --no-create-home --gid www-data whale \
 && useradd --system --no-create-home --user-group whale-sign
COPY --from=build /src/build/release/workerd /usr/sbin/workerd
COPY --from=build /src/build/module/ngx_http_whale_module.so /usr/lib/nginx/modules/
COPY conf/nginx.conf /etc/nginx/nginx.conf
COPY conf/whale.conf /etc/whale/whale.conf
COPY scripts/container-start.sh /usr/sbin/whale-start
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s CMD ["/usr/sbin/workerd", "status", "-c", "/etc/whale/whale.conf"]
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/sbin/whale-start"]
