/*-------------------------------------------------------------------------
 *
 * fuzz.c
 *		Millions of bad tokens, keys, claims and hashes against our parsers.
 *
 *	fuzz COUNT [SEED] [FIRST]
 *
 * Links the very objects of the library, compiled with the address and
 * undefined-behaviour sanitizers.  Beside crashes it looks for wrong answers:
 * an altered token that verifies, two readers that disagree about a claim, a
 * text that decodes though it is not the one its bytes encode to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <sys/time.h>

#include "core/jsonscan.h"
#include "core/text.h"
#include "identity/claims_json.h"
#include "identity/jwk.h"
#include "identity/jwt.h"
#include "identity/password.h"
#include "identity/secrets.h"
#include "mutate.h"
#include "shim.h"

/* What an older tree does not have. */
#if __has_include("identity/api_key.h")
#include "identity/api_key.h"
#define HAVE_API_KEY
#endif
#if __has_include("identity/totp.h")
#include "identity/totp.h"
#define HAVE_TOTP
#endif
#if __has_include("identity/throttle.h")
#include "identity/throttle.h"
#define HAVE_ADDRESS
#endif

static uint64 number = 0;
static Input in;

static void
wrong(const char *what)
{
	fprintf(stderr, "FINDING in input " UINT64_FORMAT ": %s\n%.*s\n", number, what, Min(in.len, 2000), in.data);
	abort();
}

/* An exact copy on the heap: one byte too far is seen. */
static char *
exact(bool terminated)
{
	char	   *copy = palloc(Max(in.len + terminated, 1));

	memcpy(copy, in.data, in.len);
	if (terminated)
		copy[in.len] = '\0';
	return copy;
}

/* ---- tokens ---- */

static const LbAlg algorithms[] = {LB_ALG_HS256, LB_ALG_HS384, LB_ALG_HS512, LB_ALG_EDDSA, LB_ALG_ES256, LB_ALG_RS256, LB_ALG_PS256};
static LbKey *keys[lengthof(algorithms)];
static char *key_texts[lengthof(algorithms)];
static char *public_texts[lengthof(algorithms)];
static char *tokens[lengthof(algorithms)];

static const char *const headers[] = {
	"{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
	"{\"typ\":\"at+jwt\",\"alg\":\"HS256\"}",
	"{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"0123456789-._:\"}",
	"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}",
};
static const char *const claims_seeds[] = {
	"{\"iss\":\"labos\",\"aud\":\"labos\",\"sub\":\"0190a000-0000-7000-8000-000000000001\",\"org_id\":\"0190a000-0000-7000-8000-000000000002\",\"sid\":\"0190a000-0000-7000-8000-000000000003\",\"exp\":4102444800,\"iat\":1700000000,\"nbf\":1700000000,\"role\":\"lab_user\",\"roles\":[\"admin\"],\"permissions\":[\"*:*\"]}",
	"{\"sub\":\"0190a000-0000-7000-8000-000000000001\",\"exp\":4102444800.5}",
	" {\"a\":[1,2.5e3,{\"b\":null}],\"exp\":4102444800,\"s\":\"\\u00e9\\ud83d\\ude00\\\"\"} ",
	"{}", "{\"role\":\"lab_anon\"}",
};

static char *
signed_token(LbKey *key, const Input *header, const Input *payload)
{
	StringInfoData token;
	uint8		signature[LB_SIGNATURE_MAX];
	int			len;

	initStringInfo(&token);
	lb_base64url_append(&token, (const uint8 *) header->data, header->len);
	appendStringInfoChar(&token, '.');
	lb_base64url_append(&token, (const uint8 *) payload->data, payload->len);
	len = lb_key_sign(key, (const uint8 *) token.data, token.len, signature);
	appendStringInfoChar(&token, '.');
	lb_base64url_append(&token, signature, Max(len, 0));
	return token.data;
}

static LbJwtStatus
verify(LbKey *key, const char *token, int len, LbJwt *jwt)
{
	LbJwtRules	rules = {0};

	rules.now = 1800000000;
	rules.need_expiry = true;
	rules.typ = "at+jwt";
	return lb_jwt_verify(token, len, key, &rules, jwt);
}

/* Both readers of claims say the same about whose token it is. */
static void
readers_agree(const char *json, int len)
{
	LbClaims	claims;
	LbJsonObject object;
	bool		first = lb_claims_parse(json, &claims);
	bool		second = lb_jsonscan_object(json, len, 4096, 16, &object);
	char	   *sub;
	char		uuid[37];

	if (!first || !second || strlen(json) != (size_t) len)
		return;
	sub = lb_jsonscan_text(&object, "sub", NULL);
	if ((sub != NULL) != claims.has_user)
		wrong("the readers differ about sub");
	if (sub == NULL)
		return;
	for (int i = 0, n = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			uuid[n++] = '-';
		n += sprintf(uuid + n, "%02x", claims.user.data[i]);
	}
	if (pg_strcasecmp(uuid, sub) != 0)
		wrong("the readers differ about who sub is");
}

static void
fuzz_token_bytes(void)
{
	int			k = fuzz_below(lengthof(algorithms));
	LbJwt		jwt;
	char	   *token;

	/* Mostly cheap keys: the signature is not what is looked at. */
	if (fuzz_below(20) != 0)
		k %= 3;
	fuzz_set(&in, tokens[k], strlen(tokens[k]));
	fuzz_mutate(&in);
	token = exact(false);
	if (lb_jwt_peek(token, in.len, true, &jwt) == LB_JWT_OK && strspn(jwt.kid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-") != strlen(jwt.kid))
		wrong("a key id with other characters");
	if (verify(keys[k], token, in.len, &jwt) == LB_JWT_OK &&
		(in.len != (int) strlen(tokens[k]) || memcmp(token, tokens[k], in.len) != 0))
		wrong("an altered token verifies");
}

/* A signature that holds over a mutated header and mutated claims. */
static void
fuzz_token_signed(void)
{
	static Input header,
				payload;
	const char *seed = headers[fuzz_below(lengthof(headers))];
	int			k = fuzz_below(3);
	char	   *token;
	LbJwt		jwt;

	fuzz_set(&header, seed, strlen(seed));
	if (fuzz_below(3) == 0)
		fuzz_mutate(&header);
	seed = claims_seeds[fuzz_below(lengthof(claims_seeds))];
	fuzz_set(&payload, seed, strlen(seed));
	if (fuzz_below(8) != 0)
		fuzz_mutate(&payload);
	token = signed_token(keys[k], &header, &payload);
	fuzz_set(&in, token, strlen(token));
	if (verify(keys[k], token, strlen(token), &jwt) == LB_JWT_OK)
	{
		if (jwt.alg != algorithms[k])
			wrong("the header chose the algorithm");
		if (!(jwt.exp > 1800000000))
			wrong("a token without a time to end");
		readers_agree(jwt.payload, jwt.payload_len);
	}
}

static void
fuzz_claims(void)
{
	const char *seed = claims_seeds[fuzz_below(lengthof(claims_seeds))];

	fuzz_set(&in, seed, strlen(seed));
	fuzz_mutate(&in);
	readers_agree(exact(true), in.len);
}

/* Whatever can be signed must verify, and say the same. */
static void
fuzz_sign(void)
{
	const char *seed = claims_seeds[fuzz_below(3)];
	int			k = fuzz_below(3);
	char	   *text;
	char	   *token;
	LbJwt		jwt;
	LbJwtStatus status;

	fuzz_set(&in, seed, strlen(seed));
	fuzz_mutate(&in);
	text = exact(true);
	if (sigsetjmp(shim_catch, 0) != 0)
		return;
	token = lb_jwt_sign(keys[k], NULL, "at+jwt", text, in.len);
	status = verify(keys[k], token, strlen(token), &jwt);
	if (!jwt.signed_ok || jwt.payload_len != in.len || memcmp(jwt.payload, text, in.len) != 0)
		wrong("a token of ours does not verify");
	if (status == LB_JWT_BAD_PAYLOAD || status == LB_JWT_BAD_TIME)
		wrong("claims that were signed are not read");
}

/* ---- keys ---- */

static void
fuzz_jwk(void)
{
	int			k = fuzz_below(lengthof(algorithms));
	const char *reason = NULL;
	LbKey	   *key;
	char	   *text;

	/* RSA and EC keys cost their checks in OpenSSL. */
	if (fuzz_below(64) != 0)
		k %= 4;
	text = public_texts[k] != NULL && fuzz_below(2) ? public_texts[k] : key_texts[k];
	fuzz_set(&in, text, strlen(text));
	fuzz_mutate(&in);
	key = lb_jwk_parse(exact(false), in.len, &reason);
	if (key == NULL)
	{
		if (reason == NULL)
			wrong("a key is refused without a reason");
		return;
	}
	if (lb_key_alg(key) == LB_ALG_UNKNOWN)
		wrong("a key without an algorithm");
	if (lb_alg_hmac_size(lb_key_alg(key)) == 0 && lb_jwk_public_json(key) == NULL)
		wrong("an asymmetric key without a public part");
	if (strstr(lb_jwk_thumbprint(key), "\"") != NULL)
		wrong("a thumbprint that is none");
	lb_key_free(key);
}

static char pem[4096];

static void
fuzz_pem(void)
{
	const char *reason = NULL;

	fuzz_set(&in, pem, strlen(pem));
	fuzz_mutate(&in);
	(void) lb_jwk_from_pem(exact(false), in.len, LB_ALG_EDDSA, &reason);
}

static void
fuzz_base64url(void)
{
	uint8	   *bytes;
	int			len;
	StringInfoData again;

	in.len = fuzz_below(64);
	for (int i = 0; i < in.len; i++)
		in.data[i] = "ABCXYZabcxyz0189-_"[fuzz_below(18)];
	if (fuzz_below(4) == 0)
		fuzz_mutate(&in);
	bytes = palloc(in.len * 3 / 4 + 1);
	len = lb_base64url_decode(exact(false), in.len, bytes);
	if (len < 0)
		return;
	initStringInfo(&again);
	lb_base64url_append(&again, bytes, len);
	if (again.len != in.len || memcmp(again.data, in.data, in.len) != 0)
		wrong("two texts decode to the same bytes");
}

/* ---- passwords and sealed secrets ---- */

static const char *const hashes[] = {
	"$argon2id$v=19$m=47104,t=5,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObG0RdescudvJCs",
	"$argon2id$v=19$m=65536,t=3,p=4$gZiV/M1gPc22ElAH/Jh1Hw$CWOrkoo7oJBQ/iyh7uJ0LO2aLEfrHwTWllSAxT0zRno",
	"$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
	"$2y$10$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
};

static void
fuzz_hash(void)
{
	const char *seed = hashes[fuzz_below(lengthof(hashes))];
	LbPasswordRules rules = {LB_PASSWORD_ARGON2ID, LB_ARGON2_DEFAULT_MEMORY, LB_ARGON2_DEFAULT_ITERATIONS, LB_BCRYPT_DEFAULT_COST};
	char	   *hash;

	fuzz_set(&in, seed, strlen(seed));
	fuzz_mutate(&in);
	hash = exact(true);
	if (!lb_password_hash_known(hash) && lb_password_check("x", 1, hash) != LB_PASSWORD_UNKNOWN_HASH)
		wrong("an unknown hash is checked");
	(void) lb_password_is_stale(hash, &rules);
}

static void
fuzz_password(void)
{
	static const char *const seeds[] = {"Correct-Horse-7", "p\xc3\xa4ssw\xc3\xb6rd 1A", "e\xcc\x81" "e\xcc\x81", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac", ""};
	const char *seed = seeds[fuzz_below(lengthof(seeds))];
	const char *problems[LB_PASSWORD_MAX_PROBLEMS];
	char	   *context[2] = {"ann@lab.example", "horse"};
	char	   *normal;
	bool		changed;
	int			len;

	fuzz_set(&in, seed, strlen(seed));
	fuzz_mutate(&in);
	normal = lb_password_normalize(exact(false), in.len, &len, &changed);
	if (normal == NULL)
		return;
	if (memchr(normal, '\0', len) != NULL)
		wrong("a zero in a password");
	(void) lb_password_problems(normal, len, fuzz_below(2), 8, fuzz_below(2), context, 2, problems);
	if (fuzz_below(8) == 0)
	{
		int			again_len;
		char	   *again = lb_password_normalize(normal, len, &again_len, &changed);

		if (again == NULL || again_len != len || memcmp(again, normal, len) != 0)
			wrong("normalising twice is not normalising once");
	}
}

static LbMasterKey master;
static uint8 sealed[256];
static int	sealed_len;

static void
fuzz_sealed(void)
{
	uint8	   *plain;
	int			len;
	LbMasterKey key;

	fuzz_set(&in, (char *) sealed, sealed_len);
	fuzz_mutate(&in);
	plain = palloc(in.len + 1);
	if (lb_secret_open(&master, (uint8 *) exact(false), in.len, "totp:1", plain, &len) == LB_OPEN_OK &&
		lb_secret_is_encrypted((uint8 *) in.data, in.len) && (in.len != sealed_len || memcmp(in.data, sealed, sealed_len) != 0))
		wrong("an altered secret opens");
	(void) lb_master_key_parse((uint8 *) exact(false), in.len, &key);
}

/* ---- API keys, one-time codes, addresses of proxies ---- */

#ifdef HAVE_API_KEY
static char api_key[LB_API_KEY_MAX + 1];

static void
fuzz_api_key(void)
{
	LbApiKey	key;

	fuzz_set(&in, api_key, strlen(api_key));
	fuzz_mutate(&in);
	if (lb_api_key_parse(exact(false), in.len, &key) && (in.len != (int) strlen(api_key) || memcmp(in.data, api_key, in.len) != 0))
	{
		/* Only another checksum that fits may pass; one bit never does. */
		if (in.len == (int) strlen(api_key))
		{
			int			differ = 0;

			for (int i = 0; i < in.len; i++)
				differ += in.data[i] != api_key[i];
			if (differ == 1)
				wrong("a key with one character changed passes its checksum");
		}
		if (strspn(key.id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != LB_API_KEY_ID_LENGTH)
			wrong("an id with other characters");
	}
}
#endif

#ifdef HAVE_TOTP
static void
fuzz_totp(void)
{
	static const uint8 secret[] = "12345678901234567890";
	const int64 seconds = 1800000000 + fuzz_below(100000);
	char		code[LB_TOTP_DIGITS + 1];
	int32		step = -1;

	if (!lb_hotp_code(secret, 20, (uint64) (seconds / LB_TOTP_PERIOD + fuzz_below(5) - 2), code))
		return;
	fuzz_set(&in, code, LB_TOTP_DIGITS);
	if (fuzz_below(4) != 0)
		fuzz_mutate(&in);
	if (lb_totp_match(secret, 20, exact(false), in.len, seconds, &step) != LB_TOTP_MATCHES)
		return;
	if (in.len != LB_TOTP_DIGITS || strspn(memcpy(code, in.data, LB_TOTP_DIGITS), "0123456789") != LB_TOTP_DIGITS)
		wrong("a code of other characters matches");
	if (llabs((long long) step - seconds / LB_TOTP_PERIOD) > LB_TOTP_SKEW)
		wrong("a code of another time matches");
}
#endif

#ifdef HAVE_ADDRESS
static void
fuzz_address(void)
{
	static const char *const seeds[] = {"192.0.2.7", "[2001:db8::1]:443", "2001:db8::ffff:1", "::ffff:192.0.2.7", "203.0.113.9:8080", " 10.0.0.1 ", "unknown"};
	const char *seed = seeds[fuzz_below(lengthof(seeds))];
	LbAddress	address;

	fuzz_set(&in, seed, strlen(seed));
	fuzz_mutate(&in);
	if (lb_address_parse(exact(false), in.len, &address) && address.family != 4 && address.family != 6)
		wrong("an address of no family");
}
#endif

typedef struct Target
{
	const char *name;
	void		(*run) (void);
	int			share;			/* of all inputs */
	uint64		done;
} Target;

static Target targets[] = {
	{"token bytes", fuzz_token_bytes, 22},
	{"signed tokens", fuzz_token_signed, 22},
	{"claims", fuzz_claims, 20},
	{"signing", fuzz_sign, 6},
	{"JWK", fuzz_jwk, 10},
	{"PEM", fuzz_pem, 1},
	{"base64url", fuzz_base64url, 7},
	{"password hashes", fuzz_hash, 5},
	{"passwords", fuzz_password, 4},
	{"sealed secrets", fuzz_sealed, 3},
#ifdef HAVE_API_KEY
	{"API keys", fuzz_api_key, 6},
#endif
#ifdef HAVE_TOTP
	{"one-time codes", fuzz_totp, 4},
#endif
#ifdef HAVE_ADDRESS
	{"addresses", fuzz_address, 4},
#endif
};

static void
prepare(void)
{
	static const char ed25519_pem[] =
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
	uint8		bytes[LB_MASTER_KEY_SIZE];
	const char *reason;

	for (int i = 0; i < lengthof(algorithms); i++)
	{
		key_texts[i] = lb_jwk_generate(algorithms[i]);
		keys[i] = lb_jwk_parse(key_texts[i], strlen(key_texts[i]), &reason);
		if (keys[i] == NULL)
			wrong(reason);
		public_texts[i] = lb_jwk_public_json(keys[i]);
		tokens[i] = lb_jwt_sign(keys[i], NULL, "at+jwt", claims_seeds[0], strlen(claims_seeds[0]));
	}
	strcpy(pem, ed25519_pem);
	memset(bytes, 7, sizeof(bytes));
	(void) lb_master_key_parse(bytes, sizeof(bytes), &master);
	sealed_len = lb_secret_seal(&master, (const uint8 *) "JBSWY3DPEHPK3PXP", 16, "totp:1", sealed);
#ifdef HAVE_API_KEY
	{
		LbApiKey	ignored;

		if (!lb_api_key_make("live", api_key, &ignored))
			wrong("no API key can be made");
	}
#endif
	shim_keep();
}

int
main(int argc, char **argv)
{
	uint64		count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	uint64		seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	uint64		first = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	static int	shares = 0;
	struct timeval from,
				to;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < lengthof(targets); i++)
		shares += targets[i].share;
	prepare();
	gettimeofday(&from, NULL);
	for (number = first; number < first + count; number++)
	{
		int			pick;
		int			t = 0;

		fuzz_seed(seed, number);
		pick = fuzz_below(shares);
		while (pick >= targets[t].share)
			pick -= targets[t++].share;
		targets[t].done++;
		if (sigsetjmp(shim_catch, 0) == 0)
			targets[t].run();
		ERR_clear_error();
		shim_reset();
	}
	gettimeofday(&to, NULL);
	for (int i = 0; i < lengthof(targets); i++)
		printf("%12llu  %s\n", (unsigned long long) targets[i].done, targets[i].name);
	printf("seed %llu: %llu inputs in %.0f s, 0 findings\n", (unsigned long long) seed, (unsigned long long) count,
		   (to.tv_sec - from.tv_sec) + (to.tv_usec - from.tv_usec) / 1e6);
	return 0;
}
