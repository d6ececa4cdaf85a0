/*-------------------------------------------------------------------------
 *
 * jwk_make.c
 *		Keys to JSON Web Keys: generation, public part, thumbprint, PEM.
 *
 * Source: RFC 7517, RFC 7518 section 6, RFC 7638, RFC 8037.
 *
 * IDENTIFICATION
 *	  src/identity/jwk_make.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/json.h"

#include "core/errors.h"
#include "core/text.h"
#include "identity/key_internal.h"

#define RSA_NEW_BITS	3072
#define NUMBER_MAX		1024	/* bytes of the longest RSA number */
#define PEM_MAX			32768

static void
crypto_failed(const char *what)
{
	ERR_clear_error();
	ereport(ERROR,
			errcode(ERRCODE_LABOS_CRYPTO),
			errmsg("could not %s", what));
}

/* Appends ,"name":"base64url" (no comma after the opening brace). */
static void
append_bytes(StringInfo out, const char *name, const uint8 *bytes, int len)
{
	if (out->data[out->len - 1] != '{')
		appendStringInfoChar(out, ',');
	appendStringInfo(out, "\"%s\":\"", name);
	lb_base64url_append(out, bytes, len);
	appendStringInfoChar(out, '"');
}

static void
append_text(StringInfo out, const char *name, const char *text)
{
	if (out->data[out->len - 1] != '{')
		appendStringInfoChar(out, ',');
	appendStringInfo(out, "\"%s\":", name);
	escape_json(out, text);
}

/* Appends a number of the key; width 0 means as many bytes as it has. */
static bool
append_number(StringInfo out, const char *name, EVP_PKEY *pkey,
			  const char *param, int width)
{
	uint8		bytes[NUMBER_MAX];
	BIGNUM	   *number = NULL;
	int			len = -1;

	if (EVP_PKEY_get_bn_param(pkey, param, &number) == 1 &&
		BN_num_bytes(number) <= NUMBER_MAX)
		len = BN_bn2binpad(number, bytes,
						   width > 0 ? width : BN_num_bytes(number));
	BN_clear_free(number);
	if (len > 0)
		append_bytes(out, name, bytes, len);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return len > 0;
}

/*
 * Appends the public members that RFC 7638 hashes, in its order (the names
 * sorted), braces included.  For a symmetric key that is the secret itself.
 */
static void
append_required(StringInfo out, const LbKey *key)
{
	const LbAlgInfo *info = key->info;
	uint8		raw[32];
	size_t		raw_len = sizeof(raw);
	bool		ok = true;

	appendStringInfoChar(out, '{');
	switch (info->type)
	{
		case LB_KEY_OCT:
			append_bytes(out, "k", key->secret, key->secret_len);
			append_text(out, "kty", "oct");
			break;
		case LB_KEY_RSA:
			ok = append_number(out, "e", key->pkey, OSSL_PKEY_PARAM_RSA_E, 0);
			append_text(out, "kty", "RSA");
			ok = ok && append_number(out, "n", key->pkey, OSSL_PKEY_PARAM_RSA_N, 0);
			break;
		case LB_KEY_EC:
			append_text(out, "crv", info->jwk_curve);
			append_text(out, "kty", "EC");
			ok = append_number(out, "x", key->pkey, OSSL_PKEY_PARAM_EC_PUB_X,
							   info->field_size) &&
				append_number(out, "y", key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y,
							  info->field_size);
			break;
		case LB_KEY_OKP:
			append_text(out, "crv", info->jwk_curve);
			append_text(out, "kty", "OKP");
			ok = EVP_PKEY_get_raw_public_key(key->pkey, raw, &raw_len) == 1;
			append_bytes(out, "x", raw, (int) raw_len);
			break;
	}
	if (!ok)
		crypto_failed("read the key");
	appendStringInfoChar(out, '}');
}

char *
lb_jwk_thumbprint(LbKey *key)
{
	StringInfoData text;
	StringInfoData print;
	uint8		digest[SHA256_DIGEST_LENGTH];

	initStringInfo(&text);
	append_required(&text, key);
	SHA256((const uint8 *) text.data, text.len, digest);
	OPENSSL_cleanse(text.data, text.len);
	initStringInfo(&print);
	lb_base64url_append(&print, digest, sizeof(digest));
	return print.data;
}

/* Continues the object of append_required with alg, use and kid. */
static void
append_common(StringInfo out, const LbKey *key, const char *kid)
{
	out->data[--out->len] = '\0';	/* the closing brace */
	append_text(out, "alg", key->info->name);
	append_text(out, "use", "sig");
	if (kid != NULL)
		append_text(out, "kid", kid);
	appendStringInfoChar(out, '}');
}

char *
lb_jwk_public_json(LbKey *key)
{
	StringInfoData out;

	if (key->info->type == LB_KEY_OCT)
		return NULL;
	initStringInfo(&out);
	append_required(&out, key);
	append_common(&out, key, key->kid);
	return out.data;
}

/* The private members of an asymmetric key; the object is open at its end. */
static void
append_private(StringInfo out, const LbKey *key)
{
	static const char *const rsa_parts[][2] = {
		{"d", OSSL_PKEY_PARAM_RSA_D}, {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
		{"q", OSSL_PKEY_PARAM_RSA_FACTOR2}, {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
		{"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
	};
	uint8		raw[32];
	size_t		raw_len = sizeof(raw);
	bool		ok = true;

	out->data[--out->len] = '\0';	/* the closing brace */
	if (key->info->type == LB_KEY_RSA)
		for (int i = 0; i < lengthof(rsa_parts) && ok; i++)
			ok = append_number(out, rsa_parts[i][0], key->pkey, rsa_parts[i][1], 0);
	else if (key->info->type == LB_KEY_EC)
		ok = append_number(out, "d", key->pkey, OSSL_PKEY_PARAM_PRIV_KEY,
						   key->info->field_size);
	else
	{
		ok = EVP_PKEY_get_raw_private_key(key->pkey, raw, &raw_len) == 1;
		append_bytes(out, "d", raw, (int) raw_len);
		OPENSSL_cleanse(raw, sizeof(raw));
	}
	if (!ok)
		crypto_failed("read the key");
	appendStringInfoChar(out, '}');
}

/* The whole JWK of a key that has a private part or is symmetric. */
static char *
private_json(LbKey *key)
{
	StringInfoData out;
	char	   *kid;

	if (key->info->type == LB_KEY_OCT)
	{
		/* A digest of the secret does not belong into every token's header. */
		StringInfoData id;
		uint8		random[16];

		if (!pg_strong_random(random, sizeof(random)))
			crypto_failed("read random bytes");
		initStringInfo(&id);
		lb_base64url_append(&id, random, sizeof(random));
		kid = id.data;
	}
	else
		kid = lb_jwk_thumbprint(key);
	initStringInfo(&out);
	append_required(&out, key);
	if (key->info->type != LB_KEY_OCT)
		append_private(&out, key);
	append_common(&out, key, kid);
	return out.data;
}

/* OpenSSL asks now and then; it gives up when a cancellation waits. */
static int
keep_searching(EVP_PKEY_CTX *context)
{
	return !(InterruptPending && InterruptHoldoffCount == 0);
}

/* The search for primes takes a random time, up to some seconds. */
static EVP_PKEY *
generate_rsa(void)
{
	EVP_PKEY   *pkey = NULL;
	bool		interrupted;

	do
	{
		EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);

		if (context != NULL && EVP_PKEY_keygen_init(context) == 1 &&
			EVP_PKEY_CTX_set_rsa_keygen_bits(context, RSA_NEW_BITS) == 1)
		{
			EVP_PKEY_CTX_set_cb(context, keep_searching);
			(void) EVP_PKEY_generate(context, &pkey);
		}
		EVP_PKEY_CTX_free(context);
		interrupted = pkey == NULL && InterruptPending &&
			InterruptHoldoffCount == 0;
		if (interrupted)
		{
			ERR_clear_error();
			CHECK_FOR_INTERRUPTS();
		}
		/* Not every interrupt is a cancellation: then from the start. */
	} while (interrupted);
	return pkey;
}

char *
lb_jwk_generate(LbAlg alg)
{
	LbKey	   *key = lb_key_new();
	const LbAlgInfo *info = lb_alg_info(alg);
	uint8		secret[64];
	char	   *json;

	key->alg = alg;
	key->info = info;
	switch (info->type)
	{
		case LB_KEY_OCT:
			if (!pg_strong_random(secret, info->digest_size))
				crypto_failed("read random bytes");
			(void) lb_key_set_secret(key, alg, secret, info->digest_size);
			OPENSSL_cleanse(secret, sizeof(secret));
			break;
		case LB_KEY_RSA:
			key->pkey = generate_rsa();
			break;
		case LB_KEY_EC:
			key->pkey = EVP_EC_gen(info->group);
			break;
		case LB_KEY_OKP:
			key->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
			break;
	}
	if (info->type != LB_KEY_OCT && key->pkey == NULL)
		crypto_failed("generate the key");
	json = private_json(key);
	lb_key_free(key);
	return json;
}

/* Does the PEM key fit the algorithm?  Unknown means: choose by its kind. */
static LbAlg
pem_algorithm(EVP_PKEY *pkey, LbAlg alg)
{
	int			type = EVP_PKEY_get_base_id(pkey);
	char		group[64] = "";
	LbAlg		own = LB_ALG_UNKNOWN;

	if (type == EVP_PKEY_RSA)
		own = LB_ALG_RS256;
	else if (type == EVP_PKEY_ED25519)
		own = LB_ALG_EDDSA;
	else if (type == EVP_PKEY_EC)
	{
		/* Not the size: secp256k1 and brainpoolP256r1 have 256 bits too. */
		(void) EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL);
		for (int i = LB_ALG_ES256; i <= LB_ALG_ES512; i++)
			if (strcmp(group, lb_alg_info((LbAlg) i)->group) == 0)
				own = (LbAlg) i;
	}
	if (alg == LB_ALG_UNKNOWN || alg == own)
		return own;
	return own == LB_ALG_RS256 && lb_alg_info(alg)->type == LB_KEY_RSA ?
		alg : LB_ALG_UNKNOWN;
}

/* Is the JWK one that we take ourselves?  A weak RSA key is not. */
static const char *
check_made(char *json)
{
	const char *reason = NULL;
	LbKey	   *key = lb_jwk_parse(json, strlen(json), &reason);

	if (key != NULL)
		lb_key_free(key);
	else
		OPENSSL_cleanse(json, strlen(json));
	return reason;
}

static int
no_passphrase(char *buffer, int size, int writing, void *arg)
{
	return -1;
}

char *
lb_jwk_from_pem(const char *pem, int len, LbAlg alg, const char **reason)
{
	LbKey	   *key = lb_key_new();
	BIO		   *bio;
	char	   *json;

	*reason = NULL;
	bio = len > PEM_MAX ? NULL : BIO_new_mem_buf(pem, len);
	if (bio != NULL)
	{
		key->pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
		if (key->pkey == NULL)
		{
			(void) BIO_reset(bio);
			key->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
			key->is_private = true;
		}
		BIO_free(bio);
	}
	ERR_clear_error();
	if (key->pkey == NULL)
		*reason = "the text is no unencrypted PEM key";
	else if ((key->alg = pem_algorithm(key->pkey, alg)) == LB_ALG_UNKNOWN)
		*reason = "the key does not fit the algorithm";
	if (*reason != NULL)
	{
		lb_key_free(key);
		return NULL;
	}
	key->info = lb_alg_info(key->alg);
	if (key->is_private)
		json = private_json(key);
	else
	{
		key->kid = lb_jwk_thumbprint(key);
		json = lb_jwk_public_json(key);
	}
	lb_key_free(key);
	*reason = check_made(json);
	return *reason == NULL ? json : NULL;
}
