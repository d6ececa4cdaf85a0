/*-------------------------------------------------------------------------
 *
 * password.c
 *		Password hashes: Argon2id (libsodium) and bcrypt (libxcrypt).
 *
 * A hash is untrusted input: it may have been imported.  Its parameters are
 * read by us, and bounded, before a library sees it; what has no prefix of
 * ours fails, it never falls through to an older scheme of crypt().
 *
 * libsodium computes lanes one after the other, so that no thread ever starts
 * in a backend.
 *
 * Source: RFC 9106; OWASP Password Storage Cheat Sheet; Provos and Mazieres,
 * USENIX 1999 (bcrypt); RFC 8265 (OpaqueString).
 *
 * IDENTIFICATION
 *	  src/identity/password.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <crypt.h>
#include <errno.h>
#include <sodium.h>

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "compat.h"
#include "identity/password.h"

#define BCRYPT_LENGTH	60
#define BCRYPT_SALT		29		/* $2b$12$ and 22 characters */
#define ARGON2_PREFIX	"$argon2id$v=19$"

/* Parameters that stand in an Argon2id hash. */
typedef struct Argon2Parameters
{
	int			memory;
	int			iterations;
	int			lanes;
} Argon2Parameters;

void
lb_wipe(void *bytes, size_t len)
{
	if (bytes != NULL && len > 0)
		sodium_memzero(bytes, len);
}

/* A number of at most seven digits without leading zero; moves past it. */
static bool
read_number(const char **at, const char *label, int *value)
{
	int			n = strlen(label);
	const char *start;

	if (strncmp(*at, label, n) != 0)
		return false;
	start = *at += n;
	*value = 0;
	while (**at >= '0' && **at <= '9')
	{
		if (*at - start >= 7)
			return false;
		*value = *value * 10 + (**at - '0');
		(*at)++;
	}
	return *at > start && *start != '0';
}

/* Reads and bounds the parameters; false for anything out of shape. */
static bool
read_argon2(const char *hash, Argon2Parameters *p)
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = hash;
	int			n;

	if (strlen(hash) >= crypto_pwhash_STRBYTES ||
		strncmp(at, ARGON2_PREFIX, strlen(ARGON2_PREFIX)) != 0)
		return false;
	at += strlen(ARGON2_PREFIX);
	if (!read_number(&at, "m=", &p->memory) ||
		!read_number(&at, ",t=", &p->iterations) ||
		!read_number(&at, ",p=", &p->lanes) || *at != '$')
		return false;
	if (p->memory > LB_ARGON2_MAX_MEMORY || p->memory < 8 * p->lanes ||
		p->iterations > LB_ARGON2_MAX_ITERATIONS || p->lanes > LB_ARGON2_MAX_LANES)
		return false;
	/* Salt of 8 to 48 bytes, tag of 16 to 64; 127 characters in all (libsodium). */
	n = strspn(++at, base64);
	if (n < 11 || n > 64 || at[n] != '$')
		return false;
	at += n + 1;
	n = strspn(at, base64);
	return n >= 22 && n <= 86 && at[n] == '\0';
}

/* The cost of a bcrypt hash or setting, or -1 for anything out of shape. */
static int
read_bcrypt(const char *hash, const char *variants, int length)
{
	static const char base64[] =
		"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	int			cost;

	if (strlen(hash) != length || strncmp(hash, "$2", 2) != 0 ||
		strchr(variants, hash[2]) == NULL || hash[3] != '$' ||
		hash[4] < '0' || hash[4] > '1' || hash[5] < '0' || hash[5] > '9' ||
		hash[6] != '$' || strspn(hash + 7, base64) != length - 7)
		return -1;
	cost = (hash[4] - '0') * 10 + (hash[5] - '0');
	return cost >= 4 && cost <= LB_BCRYPT_MAX_COST ? cost : -1;
}

bool
lb_bcrypt_raw(const char *password, const char *setting, char *hash)
{
	struct crypt_data *data;
	char	   *result;
	bool		ok;

	if (read_bcrypt(setting, "abxy", BCRYPT_SALT) < 0)
		return false;
	CHECK_FOR_INTERRUPTS();
	data = palloc0(sizeof(struct crypt_data));
	result = crypt_rn(password, setting, data, sizeof(struct crypt_data));
	ok = result != NULL && strlen(result) == BCRYPT_LENGTH;
	if (ok)
		memcpy(hash, result, BCRYPT_LENGTH + 1);
	lb_wipe(data, sizeof(struct crypt_data));
	pfree(data);
	CHECK_FOR_INTERRUPTS();
	return ok;
}

static bool
make_argon2(const char *password, int len, const LbPasswordRules *rules,
			char *hash)
{
	if (sodium_init() < 0)
		return false;
	CHECK_FOR_INTERRUPTS();
	return crypto_pwhash_str_alg(hash, password, len, rules->iterations,
								 (size_t) rules->memory * 1024,
								 crypto_pwhash_ALG_ARGON2ID13) == 0;
}

static bool
make_bcrypt(const char *password, int len, int cost, char *hash)
{
	char		setting[LB_PASSWORD_HASH_SIZE];
	char		random[16];

	if (len > LB_BCRYPT_MAX_BYTES || !pg_strong_random(random, sizeof(random)))
		return false;
	return crypt_gensalt_rn("$2b$", cost, random, sizeof(random), setting,
							sizeof(setting)) != NULL &&
		lb_bcrypt_raw(password, setting, hash);
}

bool
lb_password_make(const char *password, int len, const LbPasswordRules *rules,
				 char *hash)
{
	if (rules->scheme == LB_PASSWORD_BCRYPT)
		return make_bcrypt(password, len, rules->bcrypt_cost, hash);
	return make_argon2(password, len, rules, hash);
}

bool
lb_password_hash_known(const char *hash)
{
	Argon2Parameters p;

	return read_argon2(hash, &p) || read_bcrypt(hash, "aby", BCRYPT_LENGTH) >= 0;
}

static LbPasswordAnswer
check_argon2(const char *password, int len, const char *hash)
{
	char		padded[crypto_pwhash_STRBYTES] = {0};

	if (sodium_init() < 0)
		return LB_PASSWORD_NO_MEMORY;
	memcpy(padded, hash, strlen(hash));
	CHECK_FOR_INTERRUPTS();
	errno = 0;
	if (crypto_pwhash_str_verify(padded, password, len) == 0)
		return LB_PASSWORD_MATCHES;
	/* A wrong password sets EINVAL; memory that ran short must not look like it. */
	return errno == ENOMEM ? LB_PASSWORD_NO_MEMORY : LB_PASSWORD_DIFFERS;
}

LbPasswordAnswer
lb_password_check(const char *password, int len, const char *hash)
{
	Argon2Parameters p;
	char		setting[BCRYPT_SALT + 1];
	char		computed[LB_PASSWORD_HASH_SIZE];
	bool		too_long;

	if (read_argon2(hash, &p))
		return check_argon2(password, len, hash);
	if (read_bcrypt(hash, "aby", BCRYPT_LENGTH) < 0)
		return LB_PASSWORD_UNKNOWN_HASH;

	memcpy(setting, hash, BCRYPT_SALT);
	setting[BCRYPT_SALT] = '\0';
	/* Longer passwords never made a hash here: the same work, then no. */
	too_long = len > LB_BCRYPT_MAX_BYTES;
	if (!lb_bcrypt_raw(too_long ? "" : password, setting, computed))
		return LB_PASSWORD_UNKNOWN_HASH;
	return sodium_memcmp(computed, hash, BCRYPT_LENGTH) == 0 && !too_long ?
		LB_PASSWORD_MATCHES : LB_PASSWORD_DIFFERS;
}

void
lb_password_dummy_hash(const LbPasswordRules *rules, char *hash)
{
	/* Neither tag can be the result of a hash made by us: nothing matches. */
	if (rules->scheme == LB_PASSWORD_BCRYPT)
		snprintf(hash, LB_PASSWORD_HASH_SIZE,
				 "$2b$%02d$......................"
				 "...............................", rules->bcrypt_cost);
	else
		snprintf(hash, LB_PASSWORD_HASH_SIZE,
				 ARGON2_PREFIX "m=%d,t=%d,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
				 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
				 rules->memory, rules->iterations);
}

bool
lb_password_is_stale(const char *hash, const LbPasswordRules *rules)
{
	Argon2Parameters p;

	if (rules->scheme == LB_PASSWORD_BCRYPT)
		return strncmp(hash, "$2b$", 4) != 0 ||
			read_bcrypt(hash, "b", BCRYPT_LENGTH) < rules->bcrypt_cost;
	return !read_argon2(hash, &p) || p.memory < rules->memory ||
		p.iterations < rules->iterations;
}

static bool
is_control(pg_wchar c)
{
	return c < 0x20 || (c >= 0x7F && c <= 0x9F);
}

char *
lb_password_normalize(const char *text, int len, int *out_len, bool *changed)
{
	pg_wchar   *codes = palloc_array(pg_wchar, len + 1);
	pg_wchar   *normal;
	const char *at = text;
	char	   *result;
	char	   *out;
	int			n = 0;

	if (!pg_verify_mbstr(PG_UTF8, text, len, true))
		return NULL;
	while (at < text + len)
	{
		codes[n] = utf8_to_unicode((const unsigned char *) at);
		at += pg_utf_mblen((const unsigned char *) at);
		if (is_control(codes[n++]))
		{
			lb_wipe(codes, sizeof(pg_wchar) * n);
			return NULL;
		}
	}
	codes[n] = 0;
	normal = unicode_normalize(UNICODE_NFC, codes);
	lb_wipe(codes, sizeof(pg_wchar) * n);
	pfree(codes);

	for (n = 0; normal[n] != 0; n++)
		;
	result = out = palloc((Size) n * 4 + 1);
	for (int i = 0; i < n; i++)
	{
		unicode_to_utf8(normal[i], (unsigned char *) out);
		out += pg_utf_mblen((unsigned char *) out);
	}
	*out = '\0';
	lb_wipe(normal, sizeof(pg_wchar) * n);
	pfree(normal);
	*out_len = out - result;
	*changed = *out_len != len || memcmp(result, text, len) != 0;
	return result;
}
