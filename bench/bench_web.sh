#!/usr/bin/env bash
# What the module costs beside nginx itself: requests a second of one worker, against `return 200` of the very same
# bytes from the same worker, alternating, so that other load on the machine meets both.
#
#   bench/bench_web.sh [price|positions|positions_again|positions_session|webhook ...]
#
# positions: 1,024 initData in turn, so that the signature of each request is computed; positions_again: one client that
# polls with the same initData, whose verdict the worker remembers.
#
# Prints `bench NAME value req/s baseline value req/s ratio r` (medians of rounds; the ratio is the median of the rounds'
# ratios), and the same of the worker's own CPU time a request, which other load hardly moves. Settings: WEB_SECONDS (2) a run,
# WEB_ROUNDS (5), WEB_CONNECTIONS (32).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

names=("$@")
[ ${#names[@]} -gt 0 ] || names=(price positions positions_again positions_session webhook)
seconds=${WEB_SECONDS:-2} rounds=${WEB_ROUNDS:-5} connections=${WEB_CONNECTIONS:-32}
command -v wrk >/dev/null || { echo "bench_web: wrk is missing" >&2; exit 1; }
[ -f build/module/ngx_http_whale_module.so ] || make -s module

work=$(mktemp -d /tmp/whale-bench-web-XXXXXX)
segment=/dev/shm/whale-bench-web-$$
cleanup() {
    exec 3>&- || true
    [ -f "$work/nginx.pid" ] && kill "$(cat "$work/nginx.pid")" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work" "$segment"
}
trap cleanup EXIT
chmod 755 "$work"
mkdir "$work/temp"

mkdir -p build/module
feeder=build/module/shm_feeder
if [ ! -x $feeder ] || [ tests/nginx/shm_feeder.c -nt $feeder ] || [ -n "$(find shm core -newer $feeder -name '*.[ch]')" ]; then
    cc -std=gnu11 -O1 -g -D_GNU_SOURCE -I. -o $feeder tests/nginx/shm_feeder.c shm/*.c core/*.c -lcrypto
fi

# One user of ten positions at ten prices, as product.md's heavy user has.
mkfifo "$work/commands"
$feeder "$segment" <"$work/commands" >"$work/feeder.log" 2>&1 &
exec 3>"$work/commands"
symbols=(BTCUSDT ETHUSDT SOLUSDT BNBUSDT XRPUSDT DOGEUSDT ADAUSDT AVAXUSDT LINKUSDT 1000PEPEUSDT)
prices=(97123.45 3456.78 234.567 678.9 2.3456 0.38765 1.0567 45.678 23.456 0.0198765)
for i in "${!symbols[@]}"; do
    echo "price binance:usdm:${symbols[$i]} ${prices[$i]} ${prices[$i]} ${prices[$i]} ${prices[$i]} 0.0001 0 0" >&3
done
echo 'user 1 900000001 1 1 1 12345.678 2345.6789' >&3
for i in "${!symbols[@]}"; do
    quantity=$((i % 2 ? -1 : 1))$((i + 1)).5
    echo "position 1 $((i + 1)) binance:usdm:${symbols[$i]} $quantity $((1000 + i)).123456 $((200 + i)).024691 5" >&3
done
sleep 1
if grep -q error "$work/feeder.log"; then
    cat "$work/feeder.log" >&2
    exit 1
fi

token=7000000001:AAThrowAwayTokenForBenchmarksOnly_0123
init_data_key=$(perl -MDigest::SHA=hmac_sha256_hex -e 'print hmac_sha256_hex($ARGV[0], "WebAppData")' "$token")
session_key=$(printf '%064d' 7)
printf '%s\n' "$init_data_key" >"$work/init-data-key"
printf '%s\n' "$session_key" >"$work/session-key"
printf '%064d\n' 9 >"$work/seal-public"
printf bench_secret >"$work/webhook-secret"
chmod 600 "$work"/*-key "$work"/webhook-secret

cat >"$work/whale.conf" <<EOF
whale_web_database "host=$work dbname=none user=none";
whale_web_pool 1;
whale_shm $segment;
whale_venue binance:usdm rest=http://127.0.0.1:1 stream=ws://127.0.0.1:1;
whale_init_data_key_file $work/init-data-key;
whale_session_key_file $work/session-key;
whale_seal_public_key_file $work/seal-public;
whale_webhook_secret_file $work/webhook-secret;
EOF
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen=>1,LocalAddr=>"127.0.0.1")->sockport')
baselines=
write_configuration() {
    cat >"$work/nginx.conf" <<EOF
daemon off;
worker_processes 1;
pid $work/nginx.pid;
error_log $work/error.log;
load_module $PWD/build/module/ngx_http_whale_module.so;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $work/temp; proxy_temp_path $work/temp; fastcgi_temp_path $work/temp;
    uwsgi_temp_path $work/temp; scgi_temp_path $work/temp;
    client_body_buffer_size 64k;
    keepalive_requests 100000000;
    default_type application/json;
    include $work/whale.conf;
    server {
        listen 127.0.0.1:$port;
        location / { whale_api; }
        location = /webhook/telegram { whale_webhook; }
$baselines
    }
}
EOF
}
start_nginx() {
    write_configuration
    taskset -c 0 nginx -c "$work/nginx.conf" >"$work/nginx.log" 2>&1 &
    for _ in $(seq 50); do
        curl -fs -o /dev/null "http://127.0.0.1:$port/api/v1/prices/binance/usdm/BTCUSDT" && return 0
        sleep 0.1
    done
    cat "$work/nginx.log" "$work/error.log" >&2
    exit 1
}
stop_nginx() {
    kill "$(cat "$work/nginx.pid")"
    while [ -f "$work/nginx.pid" ]; do sleep 0.05; done
}

# What Telegram would sign (588 bytes with its percent escapes), and a session as the module makes them.
sign() {
    perl -MDigest::SHA=hmac_sha256,hmac_sha256_hex -MMIME::Base64 -e '
        my ($kind, $token, $key) = @ARGV;
        if ($kind eq "session") {
            my $body = pack("C", 1) . pack("q>q>q>", 1, 1, time + 3600);
            my $text = encode_base64($body . hmac_sha256($body, pack("H*", $key)), "");
            $text =~ tr{+/}{-_}; $text =~ s/=+$//; print $text; exit;
        }
        foreach my $number (1 .. 1024) {
        my %pairs = (query_id => sprintf("AAHdF6IQAAAAAN0XohDhr%04d", $number), auth_date => time, chat_instance => "-3788475317572404878",
            chat_type => "private", start_param => "ref_900000009", signature => "c2lnbmF0dXJl" x 7,
            user => q({"id":900000001,"first_name":"Test","last_name":"User","username":"test_user","language_code":"en","is_premium":true,"allows_write_to_pm":true,"photo_url":"https:\/\/t.me\/i\/userpic\/320\/x.svg"}));
        my $text = join("\n", map { "$_=$pairs{$_}" } sort keys %pairs);
        $pairs{hash} = hmac_sha256_hex($text, hmac_sha256($token, "WebAppData"));
        s/([^A-Za-z0-9_.~-])/sprintf("%%%02X", ord $1)/ge for values %pairs;
        print join("&", map { "$_=$pairs{$_}" } sort keys %pairs), "\n";
        }' "$@"
}
sign init "$token" >"$work/init-data"
init_data=$(head -1 "$work/init-data")
session=$(sign session "" "$session_key")
update='{"update_id":1,"message":{"message_id":5,"from":{"id":900000001,"is_bot":false,"first_name":"Test","last_name":"User","username":"test_user","language_code":"en"},"chat":{"id":900000001,"first_name":"Test","last_name":"User","username":"test_user","type":"private"},"date":1790000000,"text":"/positions","entities":[{"offset":0,"length":10,"type":"bot_command"}]}}'

# name -> method, path, headers, body; `arguments` are wrk's, so that the baseline gets the very same request.
request() {
    method=GET body='' headers=()
    case $1 in
    price) path=/api/v1/prices/binance/usdm/BTCUSDT ;;
    positions | positions_again) path=/api/v1/trades/positions headers=("X-Telegram-Init-Data: $init_data") ;;
    positions_session) path=/api/v1/trades/positions headers=("Authorization: Bearer $session") ;;
    webhook)
        method=POST path=/webhook/telegram body=$update
        headers=('Content-Type: application/json' 'X-Telegram-Bot-Api-Secret-Token: bench_secret')
        ;;
    *) echo "bench_web: unknown name: $1" >&2; exit 2 ;;
    esac
    wrk_headers=() curl_headers=()
    for header in "${headers[@]}"; do
        wrk_headers+=(-H "$header")
        curl_headers+=(-H "$header")
    done
    printf 'wrk.method = "%s"\nwrk.body = %s\n' "$method" "${body:+[==[$body]==]}" | sed 's/= $/= nil/' >"$work/request.lua"
    if [ "$1" = positions ]; then
        cat >>"$work/request.lua" <<EOF
local requests, turn = {}, 0
function init()
    for line in io.lines("$work/init-data") do
        requests[#requests + 1] = wrk.format("GET", nil, { ["Host"] = "localhost", ["X-Telegram-Init-Data"] = line })
    end
end
function request()
    turn = turn % #requests + 1
    return requests[turn]
end
EOF
    fi
}

fetch() { curl -sS -X "$method" "${curl_headers[@]}" ${body:+--data-binary "$body"} "$@" "http://127.0.0.1:$port$path"; }

# A text in nginx's configuration has 4096 bytes at most. A longer answer is put together from parts, which costs nginx
# one copy of the bytes and two or three instructions of its script engine.
add_baseline() {
    local part parts='' sets='' i=0
    while IFS= read -r -n 2000 part || [ -n "$part" ]; do
        part=${part//\\/\\\\}
        part=${part//\'/\\\'}
        sets+="set \$$1_$i '$part'; "
        parts+="\$$1_$i"
        i=$((i + 1))
        [ ${#part} -ge 2000 ] || break
    done <"$work/answer"
    if [ $i -eq 1 ]; then
        sets='' parts=$part
    fi
    baselines+="        location = /baseline/$1 { ${sets}return 200 '$parts'; }"$'\n'
}

# Bytes of this very moment: the baseline's answer has the same length to within the digits of an age.
start_nginx
for name in "${names[@]}"; do
    request "$name"
    status=$(fetch -o "$work/answer" -w '%{http_code}')
    [ "$status" = 200 ] || { echo "bench_web: $name answered $status: $(cat "$work/answer")" >&2; exit 1; }
    [[ $name != positions* ]] || grep -q '"unrealised_pnl":"' "$work/answer" || { echo 'bench_web: no profit and loss' >&2; exit 1; }
    add_baseline "$name"
done
stop_nginx
start_nginx

ticks() { awk '{print $14 + $15}' "/proc/$(pgrep -P "$(cat "$work/nginx.pid")" | head -1)/stat"; }
# requests a second, microseconds of the worker's CPU a request
run() {
    local before after out
    before=$(ticks)
    out=$(taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" -s "$work/request.lua" "${wrk_headers[@]}" "http://127.0.0.1:$port$1")
    after=$(ticks)
    if grep -q 'Non-2xx' <<<"$out"; then
        echo "bench_web: $1: $out" >&2
        exit 1
    fi
    awk -v ticks=$((after - before)) '/requests in/ {n = $1} /Requests\/sec/ {r = $2} END {printf "%s %.3f\n", r, ticks * 10000 / n}' <<<"$out"
}
median() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

echo "bench_web: 1 worker, $connections connections, ${seconds} s a run, $rounds rounds, $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)" >&2
for name in "${names[@]}"; do
    request "$name"
    : >"$work/rounds"
    run "$path" >/dev/null
    for _ in $(seq "$rounds"); do
        ours=$(run "$path")
        echo "$ours $(run "/baseline/$name")" >>"$work/rounds"
    done
    awk '{print $1}' "$work/rounds" | median >"$work/m1"
    awk '{print $3}' "$work/rounds" | median >"$work/m2"
    awk '{print $1 / $3}' "$work/rounds" | median >"$work/m3"
    printf 'bench %s %.0f req/s baseline %.0f ratio %.2f\n' "$name" "$(cat "$work/m1")" "$(cat "$work/m2")" "$(cat "$work/m3")"
    awk '{print $2}' "$work/rounds" | median >"$work/m1"
    awk '{print $4}' "$work/rounds" | median >"$work/m2"
    awk '{print $4 / $2}' "$work/rounds" | median >"$work/m3"
    printf 'bench %s_cpu %.2f us/req baseline %.2f ratio %.2f\n' "$name" "$(cat "$work/m1")" "$(cat "$work/m2")" "$(cat "$work/m3")"
done
