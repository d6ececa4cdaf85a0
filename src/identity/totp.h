/*-------------------------------------------------------------------------
 *
 * totp.h
 *		One-time codes: HOTP (RFC 4226) and TOTP (RFC 6238), and Base32.
 *
 * IDENTIFICATION
 *	  src/identity/totp.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_TOTP_H
#define LABOS_TOTP_H

#define LB_TOTP_DIGITS	6
#define LB_TOTP_PERIOD	30		/* seconds */
#define LB_TOTP_SKEW	1		/* steps that clocks may differ, each way */

/* Writes six digits and a zero; false when OpenSSL has no HMAC-SHA-1 (FIPS). */
extern bool lb_hotp_code(const uint8 *secret, int len, uint64 counter, char *code);

typedef enum LbTotpAnswer
{
	LB_TOTP_MATCHES,
	LB_TOTP_DIFFERS,
	LB_TOTP_NO_CRYPTO
} LbTotpAnswer;

/*
 * Does the code belong to a step within the skew of "seconds" (Unix time)?
 * *step is the last that it belongs to.  Takes the same time for any six
 * digits; anything else differs at once.
 */
extern LbTotpAnswer lb_totp_match(const uint8 *secret, int secret_len, const char *code,
								  int code_len, int64 seconds, int32 *step);

/* RFC 4648 without padding; room: lb_base32_length(len) and a zero. */
#define lb_base32_length(len)	(((len) * 8 + 4) / 5)
extern void lb_base32_encode(const uint8 *bytes, int len, char *text);

#endif							/* LABOS_TOTP_H */
