/*-------------------------------------------------------------------------
 *
 * totp.c
 *		One-time codes: HOTP (RFC 4226) and TOTP (RFC 6238), and Base32.
 *
 * SHA-1, six digits, thirty seconds: what every authenticator app speaks.
 * HMAC does not rest on what is broken of SHA-1.
 *
 * All steps that may match are computed and compared, so that the time does
 * not tell which one did.  That a step is accepted once only is not known
 * here: lab_private.use_guard remembers it (P57).
 *
 * Source: RFC 4226, section 5.3; RFC 6238; RFC 4648, section 6.
 *
 * IDENTIFICATION
 *	  src/identity/totp.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "identity/password.h"
#include "identity/totp.h"

#define SHA1_SIZE	20

bool
lb_hotp_code(const uint8 *secret, int len, uint64 counter, char *code)
{
	uint8		message[8];
	uint8		mac[SHA1_SIZE];
	unsigned int mac_len = 0;
	uint32		number;
	int			offset;

	for (int i = 7; i >= 0; i--)
	{
		message[i] = (uint8) (counter & 0xff);
		counter >>= 8;
	}
	if (HMAC(EVP_sha1(), secret, len, message, sizeof(message), mac, &mac_len) == NULL ||
		mac_len != SHA1_SIZE)
	{
		ERR_clear_error();
		return false;
	}
	offset = mac[SHA1_SIZE - 1] & 0x0f;
	number = ((uint32) (mac[offset] & 0x7f) << 24) | ((uint32) mac[offset + 1] << 16) |
		((uint32) mac[offset + 2] << 8) | mac[offset + 3];
	for (int i = LB_TOTP_DIGITS - 1; i >= 0; i--)
	{
		code[i] = (char) ('0' + number % 10);
		number /= 10;
	}
	code[LB_TOTP_DIGITS] = '\0';
	lb_wipe(mac, sizeof(mac));
	return true;
}

LbTotpAnswer
lb_totp_match(const uint8 *secret, int secret_len, const char *code, int code_len,
			  int64 seconds, int32 *step)
{
	int64		now = seconds / LB_TOTP_PERIOD;
	int32		matched = -1;
	char		expected[LB_TOTP_DIGITS + 1];

	if (code_len != LB_TOTP_DIGITS || seconds < 0)
		return LB_TOTP_DIFFERS;
	for (int i = 0; i < LB_TOTP_DIGITS; i++)
		if (code[i] < '0' || code[i] > '9')
			return LB_TOTP_DIFFERS;
	for (int64 at = Max(now - LB_TOTP_SKEW, 0); at <= now + LB_TOTP_SKEW; at++)
	{
		int32		same;

		if (!lb_hotp_code(secret, secret_len, (uint64) at, expected))
			return LB_TOTP_NO_CRYPTO;
		/* All ones where it matches: no branch on the secret. */
		same = -(int32) (CRYPTO_memcmp(expected, code, LB_TOTP_DIGITS) == 0);
		matched = ((int32) at & same) | (matched & ~same);
	}
	lb_wipe(expected, sizeof(expected));
	*step = matched;
	return matched >= 0 ? LB_TOTP_MATCHES : LB_TOTP_DIFFERS;
}

void
lb_base32_encode(const uint8 *bytes, int len, char *text)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32		held = 0;
	int			bits = 0;

	for (int i = 0; i < len; i++)
	{
		held = (held << 8) | bytes[i];
		bits += 8;
		while (bits >= 5)
		{
			bits -= 5;
			*text++ = alphabet[(held >> bits) & 31];
		}
		held &= (1U << bits) - 1;
	}
	if (bits > 0)
		*text++ = alphabet[(held << (5 - bits)) & 31];
	*text = '\0';
}
