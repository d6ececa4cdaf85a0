# labos: the commands a person types. What they do is in bin/; how the library is built is in src/build.mk.
# Nothing here needs PostgreSQL's build system before bin/setup has installed it.
.DEFAULT_GOAL := all
BUILD = $(MAKE) --no-print-directory -s -j2 -f src/build.mk

all:           ## build the library and the extension script
	@bin/setup build
	@$(BUILD) all
install: all   ## install into the PostgreSQL of $PG_CONFIG
	@$(BUILD) install
uninstall:
	@$(BUILD) uninstall
clean:
	@rm -rf build labos.so labos--*.sql src/*.o src/*/*.o src/*/*.gcda src/*/*.gcno test/http/node_modules
regress: all   ## only the regression tests; T="install formula" picks some
	@bin/regress $(T)
demo:          ## the main job over HTTP on real data, step by step
	@bin/setup run
	@$(BUILD) all
	@bin/demo
demo-stop:     ## stop the demo's server and remove every trace
	@bin/server down
up:            ## a throw-away server: PostgreSQL and PostgREST on loopback; writes .labos/env
	@bin/setup run
	@$(BUILD) all
	@bin/server up
down:          ## stop it and remove every trace
	@bin/server down
check:         ## every test, on temporary servers
	@bin/setup test
	@bin/check
check-versions: ## build, regression and isolation tests on PostgreSQL 16, 17 and 18, fetched for it; V="18" picks
	@bin/setup versions
	@bin/check-versions $(V)
lint:          ## read the sources: scripts, lengths, lists, names, SQL rules
	@bin/setup lint
	@bin/lint
coverage:      ## which lines of src/ the tests reach
	@bin/setup coverage
	@bin/coverage
asan:          ## the regression tests under the address and undefined-behaviour sanitizers
	@bin/setup asan
	@bin/sanitize asan
valgrind:      ## the regression tests under Valgrind (slow)
	@bin/setup valgrind
	@bin/sanitize valgrind
fuzz:          ## ten million mutated tokens, keys and claims through the parsers, under the sanitizers
	@bin/setup fuzz
	@bin/fuzz $(N)
mutate:        ## loosen each policy, grant and check; a test must see it; N=20 takes a sample
	@bin/setup build
	@$(BUILD) all
	@bin/mutate $(N)
bench:         ## measure against peers; NAME=... picks one; writes bench/results.json
	@bin/setup bench
	@$(BUILD) all
	@bench/run $(NAME)
help:          ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1 —/p' Makefile
.PHONY: all install uninstall clean regress demo demo-stop up down check check-versions lint coverage asan valgrind fuzz mutate bench help
