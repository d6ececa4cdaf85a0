/*-------------------------------------------------------------------------
 *
 * jwk.c
 *		JSON Web Keys to keys (RFC 7517, RFC 7518 section 6, RFC 8037).
 *
 * A key is refused when it is weak (RSA below 2048 bits, an HMAC secret
 * shorter than its digest), when its point is not on its curve or of small
 * order, when private and public part do not belong together, when a
 * coordinate has not exactly its length, or when "use" or "key_ops" say that
 * it is for something else.
 *
 * IDENTIFICATION
 *	  src/identity/jwk.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <sodium.h>

#include "utils/memutils.h"

#include "compat.h"
#include "core/jsonscan.h"
#include "core/text.h"
#include "identity/key_internal.h"

#define JWK_MAX_LENGTH		16384
#define JWK_MAX_MEMBERS		64
#define JWK_MAX_DEPTH		4
#define RSA_MIN_BITS		2048
#define RSA_MAX_BITS		8192
#define RSA_MAX_EXPONENT	64	/* bits */
#define SECRET_MAX			4096	/* bytes */

/* Bytes of a decoded member. */
typedef struct Bytes
{
	uint8	   *data;
	int			len;
} Bytes;

static void
free_handles(void *arg)
{
	LbKey	   *key = arg;

	EVP_PKEY_free(key->pkey);
	EVP_MAC_CTX_free(key->mac);
	lb_hmac_cleanse(key);
	if (key->secret != NULL)
		OPENSSL_cleanse(key->secret, key->secret_len);
	key->pkey = NULL;
	key->mac = NULL;
	key->secret = NULL;
}

LbKey *
lb_key_new(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "labos key",
												  ALLOCSET_SMALL_SIZES);
	LbKey	   *key = MemoryContextAllocZero(context, sizeof(LbKey));

	key->context = context;
	key->callback.func = free_handles;
	key->callback.arg = key;
	MemoryContextRegisterResetCallback(context, &key->callback);
	return key;
}

void
lb_key_free(LbKey *key)
{
	MemoryContextDelete(key->context);
}

LbAlg
lb_key_alg(const LbKey *key)
{
	return key->alg;
}

const char *
lb_key_id(const LbKey *key)
{
	return key->kid;
}

bool
lb_key_can_sign(const LbKey *key)
{
	return key->can_sign;
}

bool
lb_key_can_verify(const LbKey *key)
{
	return key->can_verify;
}

bool
lb_key_set_secret(LbKey *key, LbAlg alg, const uint8 *secret, int len)
{
	if (len <= 0)
		return false;
	key->alg = alg;
	key->info = lb_alg_info(alg);
	key->secret = MemoryContextAlloc(key->context, len);
	memcpy(key->secret, secret, len);
	key->secret_len = len;
	key->is_private = key->can_sign = key->can_verify = true;
	return true;
}

/* A base64url member decoded; false when absent or malformed. */
static bool
member_bytes(const LbJsonObject *jwk, const char *name, Bytes *bytes)
{
	int			len;
	char	   *text = lb_jsonscan_text(jwk, name, &len);

	if (text == NULL)
		return false;
	bytes->data = palloc(len * 3 / 4 + 1);
	bytes->len = lb_base64url_decode(text, len, bytes->data);
	OPENSSL_cleanse(text, len);
	return bytes->len > 0;
}

/* Is text the string under name?  Absent is not. */
static bool
member_is(const LbJsonObject *jwk, const char *name, const char *expected)
{
	char	   *text = lb_jsonscan_text(jwk, name, NULL);

	return text != NULL && strcmp(text, expected) == 0;
}

/* Makes an EVP_PKEY of "type" from params, which is freed. */
static EVP_PKEY *
pkey_from_params(const char *type, OSSL_PARAM_BLD *builder, bool ok,
				 bool is_private)
{
	OSSL_PARAM *params = ok ? OSSL_PARAM_BLD_to_param(builder) : NULL;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY   *pkey = NULL;

	if (params != NULL && context != NULL &&
		EVP_PKEY_fromdata_init(context) == 1)
		(void) EVP_PKEY_fromdata(context, &pkey,
								 is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
								 params);
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	return pkey;
}

static const char *
parse_oct(LbKey *key, const LbJsonObject *jwk)
{
	Bytes		secret;

	if (!member_bytes(jwk, "k", &secret) || secret.len > SECRET_MAX)
		return "\"k\" is missing, malformed or too long";
	if (secret.len < key->info->digest_size)
		return "the secret is shorter than the digest";
	(void) lb_key_set_secret(key, key->alg, secret.data, secret.len);
	OPENSSL_cleanse(secret.data, secret.len);
	return NULL;
}

static const char *
check_rsa_public(const Bytes *n, const Bytes *e)
{
	int			n_bits,
				e_bits;

	/* A leading zero byte would give one number two texts (RFC 7518 2). */
	if (n->data[0] == 0 || e->data[0] == 0)
		return "\"n\" or \"e\" has a leading zero";
	n_bits = n->len * 8 - __builtin_clz(n->data[0]) + 24;
	e_bits = e->len * 8 - __builtin_clz(e->data[0]) + 24;
	if (n_bits < RSA_MIN_BITS || n_bits > RSA_MAX_BITS)
		return "the modulus must have 2048 to 8192 bits";
	if (e_bits > RSA_MAX_EXPONENT || e_bits < 2 ||
		(e->data[e->len - 1] & 1) == 0 || (n->data[n->len - 1] & 1) == 0)
		return "the exponent and the modulus must be odd, the exponent from 3 to 64 bits";
	return NULL;
}

static const char *
parse_rsa(LbKey *key, const LbJsonObject *jwk)
{
	static const struct
	{
		const char *member;
		const char *param;
	}			parts[] = {
		{"n", OSSL_PKEY_PARAM_RSA_N}, {"e", OSSL_PKEY_PARAM_RSA_E},
		{"d", OSSL_PKEY_PARAM_RSA_D}, {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
		{"q", OSSL_PKEY_PARAM_RSA_FACTOR2}, {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
		{"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
	};
	Bytes		bytes[lengthof(parts)];
	BIGNUM	   *numbers[lengthof(parts)] = {NULL};
	int			nparts = 2;
	const char *reason;
	OSSL_PARAM_BLD *builder;
	bool		ok;

	if (lb_jsonscan_find(jwk, "oth") != NULL)
		return "keys of more than two primes are not supported";
	key->is_private = lb_jsonscan_find(jwk, "d") != NULL;
	if (key->is_private)
		nparts = lengthof(parts);
	for (int i = 0; i < nparts; i++)
		if (!member_bytes(jwk, parts[i].member, &bytes[i]) ||
			bytes[i].len > RSA_MAX_BITS / 8)
			return "a number of the RSA key is missing or malformed";
	if ((reason = check_rsa_public(&bytes[0], &bytes[1])) != NULL)
		return reason;

	/* From here on nothing may raise: the numbers are OpenSSL's. */
	builder = OSSL_PARAM_BLD_new();
	ok = builder != NULL;
	for (int i = 0; i < nparts && ok; i++)
	{
		numbers[i] = BN_bin2bn(bytes[i].data, bytes[i].len, NULL);
		ok = numbers[i] != NULL &&
			OSSL_PARAM_BLD_push_BN(builder, parts[i].param, numbers[i]) == 1;
	}
	key->pkey = pkey_from_params("RSA", builder, ok, key->is_private);
	for (int i = 0; i < nparts; i++)
	{
		BN_clear_free(numbers[i]);
		OPENSSL_cleanse(bytes[i].data, bytes[i].len);
	}
	return key->pkey == NULL ? "OpenSSL refuses the RSA key" : NULL;
}

static const char *
parse_ec(LbKey *key, const LbJsonObject *jwk)
{
	int			size = key->info->field_size;
	Bytes		x,
				y,
				d = {NULL, 0};
	uint8		point[1 + 2 * 66];
	BIGNUM	   *scalar = NULL;
	OSSL_PARAM_BLD *builder;
	EVP_PKEY_CTX *check;
	bool		ok;

	if (!member_bytes(jwk, "x", &x) || !member_bytes(jwk, "y", &y) ||
		x.len != size || y.len != size)
		return "\"x\" and \"y\" must be base64url of the curve's length";
	key->is_private = lb_jsonscan_find(jwk, "d") != NULL;
	if (key->is_private && (!member_bytes(jwk, "d", &d) || d.len != size))
		return "\"d\" must be base64url of the curve's length";
	point[0] = 4;				/* uncompressed */
	memcpy(point + 1, x.data, size);
	memcpy(point + 1 + size, y.data, size);

	builder = OSSL_PARAM_BLD_new();
	ok = builder != NULL &&
		OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
										key->info->group, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY,
										 point, 1 + 2 * size) == 1;
	if (ok && key->is_private)
	{
		scalar = BN_secure_new();
		ok = scalar != NULL && BN_bin2bn(d.data, d.len, scalar) != NULL &&
			OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, scalar) == 1;
		OPENSSL_cleanse(d.data, d.len);
	}
	key->pkey = pkey_from_params("EC", builder, ok, key->is_private);
	BN_clear_free(scalar);
	if (key->pkey == NULL)
		return "the point is not on the curve";
	check = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	ok = check != NULL && EVP_PKEY_public_check(check) == 1 &&
		(!key->is_private || EVP_PKEY_private_check(check) == 1);
	EVP_PKEY_CTX_free(check);
	return ok ? NULL : "the point is not on the curve";
}

static const char *
parse_okp(LbKey *key, const LbJsonObject *jwk)
{
	Bytes		x,
				d;
	uint8		derived[32];
	size_t		derived_len = sizeof(derived);

	if (!member_bytes(jwk, "x", &x) || x.len != 32)
		return "\"x\" must be base64url of 32 bytes";
	/* A point of small order would make one signature fit every message. */
	if (sodium_init() < 0 || crypto_core_ed25519_is_valid_point(x.data) != 1)
		return "\"x\" is not a point of the prime-order group";
	key->is_private = lb_jsonscan_find(jwk, "d") != NULL;
	if (!key->is_private)
	{
		key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.data, 32);
		return key->pkey == NULL ? "OpenSSL refuses the Ed25519 key" : NULL;
	}
	if (!member_bytes(jwk, "d", &d) || d.len != 32)
		return "\"d\" must be base64url of 32 bytes";
	key->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, d.data, 32);
	OPENSSL_cleanse(d.data, d.len);
	if (key->pkey == NULL)
		return "OpenSSL refuses the Ed25519 key";
	if (EVP_PKEY_get_raw_public_key(key->pkey, derived, &derived_len) != 1 ||
		memcmp(derived, x.data, 32) != 0)
		return "private and public part do not belong together";
	return NULL;
}

/* The key's algorithm: what "alg" names, or the default of its kind. */
static const char *
choose_algorithm(LbKey *key, const LbJsonObject *jwk)
{
	const LbJsonMember *alg = lb_jsonscan_find(jwk, "alg");
	char	   *kty = lb_jsonscan_text(jwk, "kty", NULL);
	char	   *crv = lb_jsonscan_text(jwk, "crv", NULL);
	LbKeyType	type;

	if (kty == NULL)
		return "\"kty\" is missing";
	if (strcmp(kty, "oct") == 0)
		type = LB_KEY_OCT;
	else if (strcmp(kty, "RSA") == 0)
		type = LB_KEY_RSA;
	else if (strcmp(kty, "EC") == 0)
		type = LB_KEY_EC;
	else if (strcmp(kty, "OKP") == 0)
		type = LB_KEY_OKP;
	else
		return "\"kty\" must be oct, RSA, EC or OKP";

	if (alg != NULL)
	{
		int			len;
		char	   *name = lb_jsonscan_text(jwk, "alg", &len);

		key->alg = name == NULL ? LB_ALG_UNKNOWN : lb_alg_from_name(name, len);
	}
	else
		key->alg = type == LB_KEY_OCT ? LB_ALG_HS256 :
			type == LB_KEY_RSA ? LB_ALG_RS256 :
			type == LB_KEY_OKP ? LB_ALG_EDDSA :
			crv == NULL ? LB_ALG_UNKNOWN :
			strcmp(crv, "P-256") == 0 ? LB_ALG_ES256 :
			strcmp(crv, "P-384") == 0 ? LB_ALG_ES384 :
			strcmp(crv, "P-521") == 0 ? LB_ALG_ES512 : LB_ALG_UNKNOWN;
	key->info = lb_alg_info(key->alg);
	if (key->alg == LB_ALG_UNKNOWN)
		return "the algorithm is not supported";
	if (key->info->type != type)
		return "\"alg\" and \"kty\" do not belong together";
	if (key->info->jwk_curve != NULL &&
		(crv == NULL || strcmp(crv, key->info->jwk_curve) != 0))
		return "\"alg\" and \"crv\" do not belong together";
	return NULL;
}

/* What the key may do, from its private part, "use" and "key_ops". */
static const char *
choose_operations(LbKey *key, const LbJsonObject *jwk)
{
	const LbJsonMember *ops = lb_jsonscan_find(jwk, "key_ops");
	char	   *names[8];
	int			n;

	key->can_sign = key->is_private;
	key->can_verify = true;
	if (lb_jsonscan_find(jwk, "use") != NULL && !member_is(jwk, "use", "sig"))
		return "\"use\" must be sig";
	if (ops == NULL)
		return NULL;
	n = lb_jsonscan_strings(ops, names, lengthof(names));
	if (n < 0)
		return "\"key_ops\" must be an array of strings";
	key->can_sign = key->can_verify = false;
	for (int i = 0; i < n; i++)
	{
		if (strcmp(names[i], "sign") == 0)
			key->can_sign = key->is_private;
		else if (strcmp(names[i], "verify") == 0)
			key->can_verify = true;
		else
			return "\"key_ops\" must be sign and verify only";
	}
	return NULL;
}

/* A pair that cannot verify what it signs is two halves of different keys. */
static const char *
check_pair(LbKey *key)
{
	static const uint8 probe[] = "labos key check";
	uint8		signature[LB_SIGNATURE_MAX];
	bool		can_sign = key->can_sign;
	bool		can_verify = key->can_verify;
	bool		ok;
	int			len;

	if (!key->is_private || key->info->type == LB_KEY_OCT ||
		key->info->type == LB_KEY_OKP)
		return NULL;
	key->can_sign = key->can_verify = true;
	len = lb_key_sign(key, probe, sizeof(probe), signature);
	ok = len > 0 && lb_key_verify(key, probe, sizeof(probe), signature, len);
	key->can_sign = can_sign;
	key->can_verify = can_verify;
	return ok ? NULL : "private and public part do not belong together";
}

static const char *
parse_members(LbKey *key, const LbJsonObject *jwk)
{
	const char *reason;
	int			kid_len;
	char	   *kid;

	if ((reason = choose_algorithm(key, jwk)) != NULL)
		return reason;
	switch (key->info->type)
	{
		case LB_KEY_OCT:
			reason = parse_oct(key, jwk);
			break;
		case LB_KEY_RSA:
			reason = parse_rsa(key, jwk);
			break;
		case LB_KEY_EC:
			reason = parse_ec(key, jwk);
			break;
		case LB_KEY_OKP:
			reason = parse_okp(key, jwk);
			break;
	}
	if (reason == NULL)
		reason = choose_operations(key, jwk);
	if (reason == NULL)
		reason = check_pair(key);
	if (reason == NULL && lb_jsonscan_find(jwk, "kid") != NULL)
	{
		kid = lb_jsonscan_text(jwk, "kid", &kid_len);
		if (kid == NULL || kid_len == 0 || kid_len >= LB_KEY_ID_SIZE)
			return "\"kid\" must be a string of 1 to 256 bytes";
		key->kid = MemoryContextStrdup(key->context, kid);
	}
	return reason;
}

LbKey *
lb_jwk_parse(const char *json, int len, const char **reason)
{
	MemoryContext scratch,
				caller;
	LbJsonObject jwk;
	LbKey	   *key = lb_key_new();

	scratch = AllocSetContextCreate(CurrentMemoryContext, "labos jwk",
									ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(scratch);
	if (len > JWK_MAX_LENGTH)
		*reason = "the key is longer than 16 kB";
	else if (!lb_jsonscan_object(json, len, JWK_MAX_MEMBERS, JWK_MAX_DEPTH, &jwk))
		*reason = "the key is not a JSON object";
	else
		*reason = parse_members(key, &jwk);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);

	if (*reason != NULL)
	{
		ERR_clear_error();
		lb_key_free(key);
		return NULL;
	}
	return key;
}
