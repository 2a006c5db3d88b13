# How Whale is compiled. build.sh calls this; `make help` lists the goals.
#
# FLAVOUR=release (default), asan (AddressSanitizer and UBSan). Each builds into build/$(FLAVOUR).
# Sources are found by folder, so that a new file needs no line here.

FLAVOUR ?= release
OUT := build/$(FLAVOUR)
CC ?= gcc
PKGS := libpq libuv libcurl libcjson libssl libcrypto libsystemd libmicrohttpd libwslay zlib

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDEN := -fPIC -fstack-protector-strong -fstack-clash-protection -fcf-protection -D_FORTIFY_SOURCE=2
LINK_HARDEN := -Wl,-z,relro,-z,now -Wl,--as-needed
CPPFLAGS := -I. -Ibuild/gen -D_GNU_SOURCE -isystem /usr/include/postgresql
CFLAGS_release := -O2 -g $(HARDEN)
CFLAGS_asan := -O1 -g -fPIC -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_release := -pie $(LINK_HARDEN)
LDFLAGS_asan := -pie -fsanitize=address,undefined
CFLAGS := -std=gnu11 $(WARN) $(CFLAGS_$(FLAVOUR)) $(EXTRA_CFLAGS)
LDFLAGS := $(LDFLAGS_$(FLAVOUR)) $(EXTRA_LDFLAGS)
LIBS := -lpq -luv -lcurl -lcjson -lssl -lcrypto -lsystemd -lmicrohttpd -lwslay -lz -lpthread -lm

# What nginx's module shares with the daemon, and what only the daemon has.
SHARED_SRC := $(wildcard core/*.c shm/*.c)
DAEMON_SRC := $(wildcard venues/*.c venues/*/*.c $(patsubst %,workerd/%/*.c,feed watch trade sign mirror notify paper net))
MAIN_SRC := $(wildcard workerd/*.c)
QUERY_SRC := $(wildcard queries/*/*.sql)
MIGRATION_SRC := $(sort $(wildcard migrations/*.sql))

obj = $(patsubst %.c,$(OUT)/obj/%.o,$(1))
GEN_OBJ := $(OUT)/obj/gen/queries.o $(OUT)/obj/gen/migrations.o
LIB := $(OUT)/libwhale.a
WORKERD := $(OUT)/workerd
TESTS := $(patsubst tests/unit/%.c,$(OUT)/tests/unit/%,$(wildcard tests/unit/test_*.c))
CONFORMANCE := $(patsubst tests/conformance/%.c,$(OUT)/tests/conformance/%,$(wildcard tests/conformance/test_*.c))
FAULTS := $(patsubst tests/faults/%.c,$(OUT)/tests/faults/%,$(wildcard tests/faults/*.c))
BENCHES := $(patsubst bench/%.c,$(OUT)/bench/%,$(wildcard bench/bench_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
MODULE := build/module/ngx_http_whale_module.so

.PHONY: all help tests benches fuzzers module format clean
.SECONDARY:
all: $(WORKERD) module

help:
	@echo 'goals: all tests benches fuzzers module format clean; FLAVOUR=release|asan'

$(WORKERD): $(call obj,$(MAIN_SRC)) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(LIB): $(call obj,$(SHARED_SRC) $(DAEMON_SRC)) $(GEN_OBJ)
	@rm -f $@
	ar rcs $@ $^

build/gen/queries.c build/gen/queries.h &: $(QUERY_SRC) scripts/embed-sql.awk Makefile
	@mkdir -p build/gen
	awk -v out=build/gen/queries -v prefix=query -f scripts/embed-sql.awk $(QUERY_SRC)
build/gen/migrations.c build/gen/migrations.h &: $(MIGRATION_SRC) scripts/embed-sql.awk Makefile
	@mkdir -p build/gen
	awk -v out=build/gen/migrations -v prefix=migration -f scripts/embed-sql.awk $(MIGRATION_SRC)

$(OUT)/obj/gen/%.o: build/gen/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(OUT)/obj/%.o: %.c | build/gen/queries.h build/gen/migrations.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

tests: $(TESTS) $(CONFORMANCE) $(FAULTS)
$(OUT)/tests/%: $(OUT)/obj/tests/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS) -lcmocka

benches: $(BENCHES)
$(OUT)/bench/%: $(OUT)/obj/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS)

# libFuzzer targets need clang; they compile the sources under test again, instrumented.
fuzzers: $(FUZZERS)
build/fuzz/%: tests/fuzz/%.c $(SHARED_SRC) $(wildcard venues/*.c venues/*/*.c) | build/gen/queries.h
	@mkdir -p $(@D)
	clang -std=gnu11 $(CPPFLAGS) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	  -o $@ $< $(SHARED_SRC) $(wildcard venues/*.c venues/*/*.c) -lssl -lcrypto -lm

module: $(MODULE)
$(MODULE): $(wildcard ngx_whale_module/*.c ngx_whale_module/*.h ngx_whale_module/config core/*.c core/*.h shm/*.c shm/*.h) build/gen/queries.c scripts/build-module.sh
	scripts/build-module.sh

format:
	clang-format -i $(shell git ls-files 'core/*.[ch]' 'shm/*.[ch]' 'venues/*.[ch]' 'workerd/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]')

clean:
	rm -rf build

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
