-- The requests of bench_web.sh, which says in the environment what they are. With BENCH_CREDENTIALS, a file of initData, a
-- line each, every request carries another one, so that none was seen lately; the baseline gets the same.
wrk.method = os.getenv("BENCH_METHOD")
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Host"] = "whale.bench"
for line in (os.getenv("BENCH_HEADERS") or ""):gmatch("[^\n]+") do
    local name, value = line:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
end

local file = os.getenv("BENCH_CREDENTIALS")
if file then
    local requests, turn = {}, 0
    function init()
        for line in io.lines(file) do
            wrk.headers["X-Telegram-Init-Data"] = line
            requests[#requests + 1] = wrk.format()
        end
    end
    function request()
        turn = turn % #requests + 1
        return requests[turn]
    end
end
