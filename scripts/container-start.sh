#!/bin/sh
# Inside the image: migrate, then workerd and nginx side by side; the container ends when either ends.
set -eu
conf=${WHALE_CONF:-/etc/whale/whale.conf}
workerd -t -c "$conf"
workerd migrate -c "$conf" ${WHALE_MIGRATE_OWNER:+--owner "$WHALE_MIGRATE_OWNER"}
workerd -c "$conf" &
daemon=$!
nginx -g 'daemon off;' &
web=$!
trap 'kill -TERM $daemon 2>/dev/null; kill -QUIT $web 2>/dev/null' TERM INT
while kill -0 $daemon 2>/dev/null && kill -0 $web 2>/dev/null; do sleep 1; done
kill -TERM $daemon 2>/dev/null || :
kill -QUIT $web 2>/dev/null || :
wait
