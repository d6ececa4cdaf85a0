/*-------------------------------------------------------------------------
 *
 * secrets.c
 *		Encryption of stored secrets: AES-256-GCM under a master key.
 *
 * Nonces are random 96-bit numbers: safe for 2^32 secrets under one key
 * (NIST SP 800-38D, section 8.3).
 *
 * IDENTIFICATION
 *	  src/identity/secrets.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "identity/secrets.h"

#define MAGIC			"LBS1"
#define HEADER_SIZE		5
#define ID_SIZE			8
#define NONCE_SIZE		12
#define TAG_SIZE		16
#define KEY_LABEL		"labos master key"

static int
hex_digit(uint8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
lb_master_key_parse(const uint8 *bytes, int len, LbMasterKey *key)
{
	uint8		labelled[sizeof(KEY_LABEL) + LB_MASTER_KEY_SIZE];
	uint8		digest[SHA256_DIGEST_LENGTH];

	if (len == LB_MASTER_KEY_SIZE)
		memcpy(key->key, bytes, LB_MASTER_KEY_SIZE);
	else
	{
		while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
			len--;
		if (len != 2 * LB_MASTER_KEY_SIZE)
			return false;
		for (int i = 0; i < LB_MASTER_KEY_SIZE; i++)
		{
			int			high = hex_digit(bytes[2 * i]);
			int			low = hex_digit(bytes[2 * i + 1]);

			if (high < 0 || low < 0)
				return false;
			key->key[i] = (uint8) (high << 4 | low);
		}
	}
	memcpy(labelled, KEY_LABEL, sizeof(KEY_LABEL));
	memcpy(labelled + sizeof(KEY_LABEL), key->key, LB_MASTER_KEY_SIZE);
	SHA256(labelled, sizeof(labelled), digest);
	memcpy(key->id, digest, ID_SIZE);
	OPENSSL_cleanse(labelled, sizeof(labelled));
	return true;
}

/* The backend's cipher context, empty. */
static EVP_CIPHER_CTX *
scratch_context(void)
{
	static EVP_CIPHER_CTX *context = NULL;

	if (context == NULL)
		context = EVP_CIPHER_CTX_new();
	else
		EVP_CIPHER_CTX_reset(context);
	return context;
}

/* Header, key id and context stand in the authenticated data. */
static bool
start_cipher(EVP_CIPHER_CTX *c, bool encrypt, const LbMasterKey *key,
			 const uint8 *sealed, const char *context)
{
	const uint8 *nonce = sealed + HEADER_SIZE + ID_SIZE;
	int			n;

	return c != NULL &&
		EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key->key, nonce, encrypt) == 1 &&
		EVP_CipherUpdate(c, NULL, &n, sealed, HEADER_SIZE + ID_SIZE) == 1 &&
		EVP_CipherUpdate(c, NULL, &n, (const uint8 *) context, strlen(context)) == 1;
}

static int
seal_readable(const uint8 *plain, int len, const char *context, uint8 *sealed)
{
	memcpy(sealed, MAGIC "P", HEADER_SIZE);
	SHA256((const uint8 *) context, strlen(context), sealed + HEADER_SIZE);
	memcpy(sealed + HEADER_SIZE + SHA256_DIGEST_LENGTH, plain, len);
	return HEADER_SIZE + SHA256_DIGEST_LENGTH + len;
}

int
lb_secret_seal(const LbMasterKey *key, const uint8 *plain, int len,
			   const char *context, uint8 *sealed)
{
	uint8	   *cipher = sealed + HEADER_SIZE + ID_SIZE + NONCE_SIZE;
	EVP_CIPHER_CTX *c;
	int			n;
	bool		ok;

	if (key == NULL)
		return seal_readable(plain, len, context, sealed);
	memcpy(sealed, MAGIC "E", HEADER_SIZE);
	memcpy(sealed + HEADER_SIZE, key->id, ID_SIZE);
	if (!pg_strong_random(sealed + HEADER_SIZE + ID_SIZE, NONCE_SIZE))
		return -1;
	c = scratch_context();
	ok = start_cipher(c, true, key, sealed, context) &&
		EVP_CipherUpdate(c, cipher, &n, plain, len) == 1 &&
		EVP_CipherFinal_ex(c, cipher + len, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, cipher + len) == 1;
	if (c != NULL)
		EVP_CIPHER_CTX_reset(c);
	if (!ok)
	{
		ERR_clear_error();
		return -1;
	}
	return HEADER_SIZE + ID_SIZE + NONCE_SIZE + len + TAG_SIZE;
}

bool
lb_secret_is_encrypted(const uint8 *sealed, int len)
{
	return len >= HEADER_SIZE + ID_SIZE + NONCE_SIZE + TAG_SIZE &&
		memcmp(sealed, MAGIC "E", HEADER_SIZE) == 0;
}

static LbOpenStatus
open_readable(const uint8 *sealed, int len, const char *context,
			  uint8 *plain, int *out_len)
{
	uint8		digest[SHA256_DIGEST_LENGTH];
	int			start = HEADER_SIZE + SHA256_DIGEST_LENGTH;

	if (len < start || memcmp(sealed, MAGIC "P", HEADER_SIZE) != 0)
		return LB_OPEN_MALFORMED;
	SHA256((const uint8 *) context, strlen(context), digest);
	if (CRYPTO_memcmp(digest, sealed + HEADER_SIZE, sizeof(digest)) != 0)
		return LB_OPEN_FORGED;
	*out_len = len - start;
	memcpy(plain, sealed + start, *out_len);
	return LB_OPEN_OK;
}

LbOpenStatus
lb_secret_open(const LbMasterKey *key, const uint8 *sealed, int len,
			   const char *context, uint8 *plain, int *out_len)
{
	int			start = HEADER_SIZE + ID_SIZE + NONCE_SIZE;
	int			plain_len = len - start - TAG_SIZE;
	EVP_CIPHER_CTX *c;
	int			n;
	bool		ok;

	if (!lb_secret_is_encrypted(sealed, len))
		return open_readable(sealed, len, context, plain, out_len);
	if (key == NULL || memcmp(sealed + HEADER_SIZE, key->id, ID_SIZE) != 0)
		return LB_OPEN_OTHER_KEY;
	c = scratch_context();
	ok = start_cipher(c, false, key, sealed, context) &&
		EVP_CipherUpdate(c, plain, &n, sealed + start, plain_len) == 1 &&
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE,
							unconstify(uint8 *, sealed) + start + plain_len) == 1 &&
		EVP_CipherFinal_ex(c, plain + plain_len, &n) == 1;
	if (c != NULL)
		EVP_CIPHER_CTX_reset(c);
	if (!ok)
	{
		/* What was decrypted of a forgery must not be seen. */
		OPENSSL_cleanse(plain, plain_len);
		ERR_clear_error();
		return LB_OPEN_FORGED;
	}
	*out_len = plain_len;
	return LB_OPEN_OK;
}
