#!/bin/sh
# Builds ngx_whale_module out of tree against Debian's nginx headers (package nginx-dev).
#
#   FLAVOUR=release (default)  build/module/ngx_http_whale_module.so
#   FLAVOUR=asan               build/module-asan/…: run nginx with libasan in LD_PRELOAD
#
# Debian's headers and no others: upstream's have another ngx_connection_s under the same version and
# signature. nginx loads modules with RTLD_GLOBAL, so the version script keeps all names but nginx's
# own three inside, or ours would be bound to another module's and the other way round.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
flavour=${FLAVOUR:-release}
headers=${NGINX_SOURCE:-/usr/share/nginx/src}

case $flavour in
release)
    out=$root/build/module
    compile="-O2 -funroll-loops -g -fstack-protector-strong -fstack-clash-protection -fcf-protection -D_FORTIFY_SOURCE=2"
    link="-Wl,-z,relro,-z,now -Wl,--as-needed"
    ;;
asan)
    out=$root/build/module-asan
    compile="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
    link="-fsanitize=address,undefined"
    ;;
*)
    echo "$0: unknown FLAVOUR: $flavour" >&2
    exit 2
    ;;
esac
[ -f "$headers/conf_flags" ] || { echo "$0: no $headers/conf_flags: install nginx-dev" >&2; exit 1; }
[ -f "$root/build/gen/queries.c" ] || make -C "$root" build/gen/queries.c

work=$out/work
mkdir -p "$work"
exec 9>"$out/lock"
flock 9

WHALE_ROOT=$root
WHALE_LINK=$link
export WHALE_ROOT WHALE_LINK

# What decides the makefile: where it has not changed, make alone is enough.
stamp=$(cd "$root" && { ls ngx_whale_module/*.[ch] core/*.[ch] shm/*.[ch]; cat ngx_whale_module/config "$0"; nginx -V 2>&1; } | cksum)
if [ "$(cat "$work/stamp" 2>/dev/null)" != "$stamp" ]; then
    rm -f "$work/stamp"
    NGINX_HEADERS=$headers NGINX_BUILD=$work COMPILE="-fPIC -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror $compile" \
        bash -eu -c '
            cd "$NGINX_HEADERS"
            . ./conf_flags
            ./configure --with-cc-opt="$COMPILE" "${NGX_CONF_FLAGS[@]}" \
                --add-dynamic-module="$WHALE_ROOT/ngx_whale_module" --builddir="$NGINX_BUILD"
        ' >"$work/configure.log" 2>&1 || { tail -n 30 "$work/configure.log" >&2; exit 1; }
    echo "$stamp" >"$work/stamp"
fi
(cd "$headers" && make -s -f "$work/Makefile" modules) >"$work/make.log" 2>&1 || {
    grep -v '^make' "$work/make.log" | head -n 60 >&2
    exit 1
}

# By rename: overwriting a loaded module corrupts the mappings of a running nginx.
cp "$work/ngx_http_whale_module.so" "$out/.ngx_http_whale_module.so"
mv "$out/.ngx_http_whale_module.so" "$out/ngx_http_whale_module.so"
