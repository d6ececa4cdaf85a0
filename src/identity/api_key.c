/*-------------------------------------------------------------------------
 *
 * api_key.c
 *		The text of an API key.
 *
 *		lab_<environment>_<id>_<secret>_<checksum>
 *
 * id and secret are base62 without bias; the checksum is the CRC-32 of all
 * before its underscore, so that a typing error, a cut key or a scanner's false
 * find is told without asking anybody.  What is stored is id and SHA-256 of the
 * secret: 256 bits need no slow hash, and the digest itself opens nothing.
 *
 * IDENTIFICATION
 *	  src/identity/api_key.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "identity/api_key.h"

static const char base62[] =
"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

uint32
lb_crc32(const char *bytes, int len)
{
	/* The reflected polynomial 0xEDB88320, four bits at a time. */
	static const uint32 nibbles[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
	};
	uint32		crc = 0xffffffff;

	for (int i = 0; i < len; i++)
	{
		crc ^= (uint8) bytes[i];
		crc = nibbles[crc & 15] ^ (crc >> 4);
		crc = nibbles[crc & 15] ^ (crc >> 4);
	}
	return crc ^ 0xffffffff;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
all_base62(const char *text, int len)
{
	for (int i = 0; i < len; i++)
		if (!is_digit(text[i]) && !is_lower(text[i]) &&
			!(text[i] >= 'A' && text[i] <= 'Z'))
			return false;
	return true;
}

bool
lb_api_key_environment_ok(const char *name, int len)
{
	if (len < 1 || len > LB_API_KEY_ENV_MAX || !is_lower(name[0]))
		return false;
	for (int i = 1; i < len; i++)
		if (!is_lower(name[i]) && !is_digit(name[i]))
			return false;
	return true;
}

static void
write_checksum(const char *text, int len, char *out)
{
	static const char hex[] = "0123456789abcdef";
	uint32		crc = lb_crc32(text, len);

	for (int i = 0; i < LB_API_KEY_CRC_LENGTH; i++)
		out[i] = hex[(crc >> (28 - 4 * i)) & 15];
}

static bool
digest_secret(const char *secret, uint8 *digest)
{
	unsigned int len = 0;

	return EVP_Digest(secret, LB_API_KEY_SECRET_LENGTH, digest, &len,
					  EVP_sha256(), NULL) == 1 && len == LB_API_KEY_DIGEST_SIZE;
}

bool
lb_api_key_parse(const char *text, int len, LbApiKey *key)
{
	/* All that follows the environment, from its underscore. */
	const int	tail = 1 + LB_API_KEY_ID_LENGTH + 1 + LB_API_KEY_SECRET_LENGTH +
		1 + LB_API_KEY_CRC_LENGTH;
	char		crc[LB_API_KEY_CRC_LENGTH];
	const char *id;
	const char *secret;

	if (len < 4 + 1 + tail || len > LB_API_KEY_MAX || memcmp(text, "lab_", 4) != 0)
		return false;
	id = text + len - tail + 1;
	secret = id + LB_API_KEY_ID_LENGTH + 1;
	if (!lb_api_key_environment_ok(text + 4, len - tail - 4) ||
		id[-1] != '_' || secret[-1] != '_' || secret[LB_API_KEY_SECRET_LENGTH] != '_' ||
		!all_base62(id, LB_API_KEY_ID_LENGTH) ||
		!all_base62(secret, LB_API_KEY_SECRET_LENGTH))
		return false;
	write_checksum(text, len - LB_API_KEY_CRC_LENGTH - 1, crc);
	if (memcmp(crc, secret + LB_API_KEY_SECRET_LENGTH + 1, LB_API_KEY_CRC_LENGTH) != 0)
		return false;
	memcpy(key->id, id, LB_API_KEY_ID_LENGTH);
	key->id[LB_API_KEY_ID_LENGTH] = '\0';
	key->prefix_len = (id - text) + LB_API_KEY_ID_LENGTH;
	return digest_secret(secret, key->digest);
}

/* Random base62: bytes from 248 on would favour the first eight characters. */
static bool
random_base62(char *out, int len)
{
	uint8		random[64];
	int			used = sizeof(random);

	for (int i = 0; i < len; used++)
	{
		if (used >= sizeof(random))
		{
			if (!pg_strong_random(random, sizeof(random)))
				return false;
			used = 0;
		}
		if (random[used] < 248)
			out[i++] = base62[random[used] % 62];
	}
	OPENSSL_cleanse(random, sizeof(random));
	return true;
}

bool
lb_api_key_make(const char *environment, char *text, LbApiKey *key)
{
	char		id[LB_API_KEY_ID_LENGTH];
	char		secret[LB_API_KEY_SECRET_LENGTH];
	int			len;
	bool		made = random_base62(id, sizeof(id)) && random_base62(secret, sizeof(secret));

	len = snprintf(text, LB_API_KEY_MAX + 1, "lab_%s_%.*s_%.*s_", environment,
				   LB_API_KEY_ID_LENGTH, id, LB_API_KEY_SECRET_LENGTH, secret);
	OPENSSL_cleanse(secret, sizeof(secret));
	if (!made || len + LB_API_KEY_CRC_LENGTH > LB_API_KEY_MAX)
		return false;
	write_checksum(text, len - 1, text + len);
	text[len + LB_API_KEY_CRC_LENGTH] = '\0';
	return lb_api_key_parse(text, len + LB_API_KEY_CRC_LENGTH, key);
}
