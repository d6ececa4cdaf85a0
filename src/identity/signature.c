/*-------------------------------------------------------------------------
 *
 * signature.c
 *		Signing and verifying bytes with a key (RFC 7518, RFC 8037).
 *
 * OpenSSL works through two contexts that the backend makes once: nothing is
 * allocated that an error could leak, and nothing is fetched per call.  Every
 * failure leaves OpenSSL's error queue empty, because the server's own TLS
 * reads it.
 *
 * IDENTIFICATION
 *	  src/identity/signature.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "core/errors.h"
#include "identity/key_internal.h"

#define DER_MAX			160		/* an ECDSA signature on P-521 */

static const LbAlgInfo algorithms[] = {
	[LB_ALG_UNKNOWN] = {NULL},
	[LB_ALG_HS256] = {"HS256", LB_KEY_OCT, "SHA256", 32},
	[LB_ALG_HS384] = {"HS384", LB_KEY_OCT, "SHA384", 48},
	[LB_ALG_HS512] = {"HS512", LB_KEY_OCT, "SHA512", 64},
	[LB_ALG_RS256] = {"RS256", LB_KEY_RSA, "SHA256", 32},
	[LB_ALG_RS384] = {"RS384", LB_KEY_RSA, "SHA384", 48},
	[LB_ALG_RS512] = {"RS512", LB_KEY_RSA, "SHA512", 64},
	[LB_ALG_PS256] = {"PS256", LB_KEY_RSA, "SHA256", 32, true},
	[LB_ALG_PS384] = {"PS384", LB_KEY_RSA, "SHA384", 48, true},
	[LB_ALG_PS512] = {"PS512", LB_KEY_RSA, "SHA512", 64, true},
	[LB_ALG_ES256] = {"ES256", LB_KEY_EC, "SHA256", 32, false, "P-256", "prime256v1", 32},
	[LB_ALG_ES384] = {"ES384", LB_KEY_EC, "SHA384", 48, false, "P-384", "secp384r1", 48},
	[LB_ALG_ES512] = {"ES512", LB_KEY_EC, "SHA512", 64, false, "P-521", "secp521r1", 66},
	[LB_ALG_EDDSA] = {"EdDSA", LB_KEY_OKP, NULL, 0, false, "Ed25519", NULL, 32},
};

const LbAlgInfo *
lb_alg_info(LbAlg alg)
{
	return &algorithms[alg];
}

LbAlg
lb_alg_from_name(const char *name, int len)
{
	for (int i = 1; i < lengthof(algorithms); i++)
		if (strlen(algorithms[i].name) == len &&
			memcmp(algorithms[i].name, name, len) == 0)
			return (LbAlg) i;
	return LB_ALG_UNKNOWN;
}

const char *
lb_alg_name(LbAlg alg)
{
	return algorithms[alg].name;
}

int
lb_alg_hmac_size(LbAlg alg)
{
	if (alg == LB_ALG_UNKNOWN || algorithms[alg].type != LB_KEY_OCT)
		return 0;
	return algorithms[alg].digest_size;
}

/* The backend's digest context, empty. */
static EVP_MD_CTX *
scratch_context(void)
{
	static EVP_MD_CTX *context = NULL;

	if (context == NULL)
		context = EVP_MD_CTX_new();
	else
		EVP_MD_CTX_reset(context);
	if (context == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("out of memory"));
	return context;
}

/* Keys the key's MAC context; only the first use of a key pays for it. */
static bool
start_mac(LbKey *key)
{
	static EVP_MAC *hmac = NULL;
	OSSL_PARAM	params[2];

	if (key->mac != NULL)
		return EVP_MAC_init(key->mac, NULL, 0, NULL) == 1;
	if (hmac == NULL)
		hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (hmac == NULL || (key->mac = EVP_MAC_CTX_new(hmac)) == NULL)
		return false;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
												 unconstify(char *, key->info->digest), 0);
	params[1] = OSSL_PARAM_construct_end();
	return EVP_MAC_init(key->mac, key->secret, key->secret_len, params) == 1;
}

static int
sign_mac(LbKey *key, const uint8 *data, size_t len, uint8 *signature)
{
	size_t		written;

	if (key->alg == LB_ALG_HS256)
	{
		int			n = lb_hmac_sha256(key, data, len, signature);

		if (n > 0)
			return n;
	}
	if (!start_mac(key) ||
		EVP_MAC_update(key->mac, data, len) != 1 ||
		EVP_MAC_final(key->mac, signature, &written, LB_SIGNATURE_MAX) != 1)
		return -1;
	return (int) written;
}

/* Sets RSA-PSS with a salt as long as the digest, as RFC 7518 3.5 says. */
static bool
set_padding(const LbKey *key, EVP_PKEY_CTX *context)
{
	if (!key->info->pss)
		return true;
	return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
		EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0;
}

/* DER of an ECDSA signature to r and s of fixed length; returns the length. */
static int
ecdsa_to_raw(const uint8 *der, size_t der_len, int field_size, uint8 *raw)
{
	const uint8 *at = der;
	ECDSA_SIG  *sig = d2i_ECDSA_SIG(NULL, &at, (long) der_len);
	bool		ok;

	if (sig == NULL)
		return -1;
	ok = BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, field_size) == field_size &&
		BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + field_size,
					 field_size) == field_size;
	ECDSA_SIG_free(sig);
	return ok ? 2 * field_size : -1;
}

/* The way back; the caller has checked that raw holds 2 * field_size bytes. */
static int
ecdsa_to_der(const uint8 *raw, int field_size, uint8 *der)
{
	ECDSA_SIG  *sig = ECDSA_SIG_new();
	BIGNUM	   *r = BN_bin2bn(raw, field_size, NULL);
	BIGNUM	   *s = BN_bin2bn(raw + field_size, field_size, NULL);
	int			len = -1;

	if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1)
	{
		r = s = NULL;			/* sig owns them */
		if (i2d_ECDSA_SIG(sig, NULL) <= DER_MAX)
			len = i2d_ECDSA_SIG(sig, &der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len;
}

int
lb_key_sign(LbKey *key, const uint8 *data, size_t len, uint8 *signature)
{
	EVP_MD_CTX *context;
	EVP_PKEY_CTX *pkey_context;
	uint8		der[DER_MAX];
	bool		ec = key->info->type == LB_KEY_EC;
	size_t		written = ec ? sizeof(der) : LB_SIGNATURE_MAX;
	int			result = -1;

	if (!key->can_sign)
		return -1;
	if (key->info->type == LB_KEY_OCT)
		result = sign_mac(key, data, len, signature);
	else
	{
		context = scratch_context();
		if (EVP_DigestSignInit_ex(context, &pkey_context, key->info->digest,
								  NULL, NULL, key->pkey, NULL) == 1 &&
			set_padding(key, pkey_context) &&
			EVP_DigestSign(context, ec ? der : signature, &written,
						   data, len) == 1)
			result = ec ? ecdsa_to_raw(der, written, key->info->field_size,
									   signature) : (int) written;
		EVP_MD_CTX_reset(context);
	}
	if (result < 0)
		ERR_clear_error();
	return result;
}

static bool
verify_mac(LbKey *key, const uint8 *data, size_t len, const uint8 *signature,
		   int signature_len)
{
	uint8		expected[LB_SIGNATURE_MAX];
	int			n = sign_mac(key, data, len, expected);

	/* The length is no secret; the bytes are compared in constant time. */
	return n > 0 && n == signature_len &&
		CRYPTO_memcmp(expected, signature, n) == 0;
}

bool
lb_key_verify(LbKey *key, const uint8 *data, size_t len,
			  const uint8 *signature, int signature_len)
{
	EVP_MD_CTX *context;
	EVP_PKEY_CTX *pkey_context;
	uint8		der[DER_MAX];
	bool		result;

	if (!key->can_verify)
		return false;
	if (key->info->type == LB_KEY_OCT)
		result = verify_mac(key, data, len, signature, signature_len);
	else
	{
		int			expected = EVP_PKEY_get_size(key->pkey);

		/* P8: the length first; only then may bytes be converted. */
		if (key->info->type == LB_KEY_EC)
			expected = 2 * key->info->field_size;
		if (signature_len != expected)
			return false;
		if (key->info->type == LB_KEY_EC)
		{
			signature_len = ecdsa_to_der(signature, key->info->field_size, der);
			signature = der;
		}
		context = scratch_context();
		result = signature_len > 0 &&
			EVP_DigestVerifyInit_ex(context, &pkey_context, key->info->digest,
									NULL, NULL, key->pkey, NULL) == 1 &&
			set_padding(key, pkey_context) &&
			EVP_DigestVerify(context, signature, signature_len,
							 data, len) == 1;
		EVP_MD_CTX_reset(context);
	}
	if (!result)
		ERR_clear_error();
	return result;
}
