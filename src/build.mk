# Builds the shared library and the extension script with PGXS.
# Run from the top directory by the Makefile: make -f src/build.mk [all|install]
EXTENSION  = labos
LABOS_V   := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" labos.control)
MODULE_big = labos

# One room a line, in order of dependency (docs/architecture.md).
OBJS  = src/labos.o
OBJS += src/core/errors.o src/core/json.o src/core/uuid7.o src/core/text.o src/core/jsonscan.o
OBJS += src/identity/claims_json.o src/identity/claims.o src/identity/identity_sql.o src/identity/row_triggers.o \
        src/identity/role_guard.o src/identity/log_scrub.o
OBJS += src/identity/signature.o src/identity/hmac.o src/identity/jwk.o src/identity/jwk_make.o src/identity/keycache.o src/identity/jwt.o \
        src/identity/jwk_sql.o src/identity/jwt_sql.o src/identity/pgjwt.o src/identity/crypto_settings.o
OBJS += src/identity/password.o src/identity/password_policy.o src/identity/common_passwords.o src/identity/password_sql.o \
        src/identity/password_pace.o
OBJS += src/identity/secrets.o src/identity/secrets_sql.o
OBJS += src/identity/totp.o src/identity/totp_sql.o src/identity/qr_code.o
OBJS += src/identity/api_key.o src/identity/api_key_sql.o src/identity/oidc.o
OBJS += src/identity/login.o src/identity/login_guard.o src/identity/identity_cache.o
OBJS += src/identity/shared_state.o src/identity/throttle.o src/identity/hash_slots.o src/identity/client_address.o \
        src/identity/login_limit.o src/identity/rate_limit.o src/identity/denied.o
OBJS += src/identity/login.o src/identity/login_guard.o src/identity/identity_cache.o \
        src/identity/identity_load.o src/identity/shares.o
OBJS += src/audit/merkle.o src/audit/canon.o src/audit/context.o src/audit/buffer.o src/audit/log.o
OBJS += src/audit/trigger.o src/audit/seal.o src/audit/verify.o
OBJS += src/types/elements.o src/types/formula_parse.o src/types/formula_value.o src/types/formula.o src/types/formula_ops.o src/types/labcode.o src/types/ops.o src/types/ops_words.o
OBJS_numeric = src/numeric/rng.o src/numeric/special.o src/numeric/linalg.o src/numeric/lbfgs.o src/numeric/sobol.o
OBJS += $(OBJS_numeric)
OBJS += src/parse/asdf.o src/parse/jcamp.o src/parse/csv.o
OBJS_engine = src/engine/registry.o src/engine/params.o src/engine/draw.o src/engine/stub_meso.o \
              src/engine/stub_continuum.o src/engine/stub_atomic.o src/engine/engine_sql.o
OBJS += $(OBJS_engine)
OBJS_campaign = src/campaign/descriptors.o src/campaign/config.o src/campaign/config_parts.o src/campaign/score.o \
                src/campaign/space.o src/campaign/gp.o src/campaign/acquire.o src/campaign/suggest.o
OBJS += $(OBJS_campaign)
OBJS += src/deploy/exec_file.o
OBJS := $(sort $(OBJS))

# The upgrade from the last release; those between older ones are frozen with them.
LABOS_LAST = 0.2
DATA_built = labos--$(LABOS_V).sql labos--$(LABOS_LAST)--$(LABOS_V).sql
DATA       = $(wildcard sql/released/labos--*.sql)

# Hidden by src/exports.map, not by -fvisibility: PostgreSQL 15 does not mark its own entry points.
PG_CPPFLAGS = -I$(CURDIR)/src -DLABOS_VERSION='"$(LABOS_V)"'
PG_CFLAGS   = -std=gnu99 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
              $(LABOS_CFLAGS)
SHLIB_LINK  = -Wl,--version-script=$(CURDIR)/src/exports.map -lcrypto -lsodium -lcrypt -lzint -lm $(LABOS_LDFLAGS)
EXTRA_CLEAN = $(wildcard labos--*.sql) $(wildcard src/*/*.gcda src/*/*.gcno)

# Bitcode would need clang; the gain for functions that call libraries is nil.
override with_llvm = no

PG_CONFIG ?= $(firstword $(wildcard /usr/lib/postgresql/15/bin/pg_config) pg_config)
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

labos--$(LABOS_V).sql: labos.control sql/manifest bin/gen-sql $(wildcard sql/code/*.sql sql/schema/m/*.sql sql/schema/r/*.sql)
	bin/gen-sql $(LABOS_V) > $@.tmp && mv $@.tmp $@

labos--$(LABOS_LAST)--$(LABOS_V).sql: labos--$(LABOS_V).sql $(wildcard sql/upgrade/*.sql)
	bin/gen-sql --upgrade $(LABOS_LAST) $(LABOS_V) > $@.tmp && mv $@.tmp $@

# Headers are few and shared: any change rebuilds all.
$(OBJS) labos.so: $(wildcard src/*.h src/*/*.h) src/build.mk src/exports.map labos.control

# Stub results are bit-equal everywhere: no fused multiply-add (src/engine/draw.c).
$(OBJS_engine): override CFLAGS += -ffp-contract=off
$(OBJS_numeric) $(OBJS_campaign): override CFLAGS += -O3 -ffp-contract=off
